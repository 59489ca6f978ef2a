//! The open-loop load: edits leave at their appointed times whatever the server does, and every latency counts from
//! the appointed time, so that a server that stalls cannot hide it (no coordinated omission).

use crate::client::{Background, Client, all};
use crate::process;
use crate::protocol::{self, Message};
use crate::server::Server;
use crate::typing::Typing;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::spawn_local;
use tokio::time::{sleep, sleep_until};

/// Time that late deliveries are waited for.
const GRACE: Duration = Duration::from_secs(3);

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// From an edit to its arrival at each reader of the room.
    Relay,
    /// From an edit with a message 102 behind it to the echo of the 102 at the writer.
    Acknowledgement,
}

/// A shape of load: `rooms` documents, each with one writer and some readers.
pub(crate) struct Load {
    pub(crate) rooms: usize,
    /// Readers of each room, apart from the writer.
    pub(crate) readers: usize,
    /// Edits a second of each writer.
    pub(crate) rate: f64,
    /// Time at the start that is not measured.
    pub(crate) warm_up: Duration,
    /// Time that is measured.
    pub(crate) measure: Duration,
    pub(crate) probe: Probe,
    /// Yjs client of the writers: new to their documents.
    pub(crate) typist: u64,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Nanoseconds from the appointed time.
    pub(crate) latency: Histogram<u64>,
    /// Nanoseconds by which edits left too late: the generator's own fault.
    pub(crate) lag: Histogram<u64>,
    /// Deliveries that should have been.
    pub(crate) expected: u64,
    /// Deliveries that were.
    pub(crate) delivered: u64,
    /// CPU time of the server during the measured time.
    pub(crate) server_cpu: Duration,
    /// Share of one core that the generator's reading thread used: near 1 it measures itself.
    pub(crate) generator_busy: f64,
}

/// Shared by the readers of one run, all on one thread.
struct Tally {
    load: Load,
    typing: Typing,
    start: Cell<Option<Instant>>,
    latency: RefCell<Histogram<u64>>,
    delivered: Cell<u64>,
}

impl Load {
    /// Clock of the first measured edit.
    fn first(&self) -> u64 {
        (self.rate * self.warm_up.as_secs_f64()).round() as u64
    }

    /// Number of edits of each writer.
    fn edits(&self) -> u64 {
        self.first() + (self.rate * self.measure.as_secs_f64()).round().max(1.0) as u64
    }

    /// Appointed time of an edit, from the start; the rooms take turns.
    fn due(&self, room: usize, clock: u64) -> Duration {
        let turn = room as f64 / self.rooms as f64;
        Duration::from_secs_f64((clock as f64 + turn) / self.rate)
    }

    /// Deliveries of each measured edit.
    fn copies(&self) -> u64 {
        match self.probe {
            Probe::Relay => self.readers as u64,
            Probe::Acknowledgement => 1,
        }
    }

    /// Runs the load on the documents `{prefix}-0`, `{prefix}-1`, … of `server`.
    pub(crate) async fn run(self, server: &Server, prefix: &str) -> Outcome {
        let expected = (self.edits() - self.first()) * self.copies() * self.rooms as u64;
        let tally = Rc::new(Tally {
            typing: Typing::new(self.typist, self.edits() as usize),
            start: Cell::new(None),
            latency: RefCell::new(histogram()),
            delivered: Cell::new(0),
            load: self,
        });
        let load = &tally.load;
        let join = async |room: usize| Client::join(server, &format!("{prefix}-{room}")).await;
        // The first connection of each room alone: y-sweet makes several rooms of one document that is opened by two
        // clients at once, and their readers would then miss the writer's edits.
        let writers = all(load.rooms, join).await;
        let readers = all(load.rooms * load.readers, async |index| join(index % load.rooms).await).await;

        let sockets = writers.iter().map(Client::writer).collect();
        let record = |(index, client)| spawn_local(tally.clone().record(index % load.rooms, client));
        let (measured, idle) = match load.probe {
            Probe::Relay => (readers, writers),
            Probe::Acknowledgement => (writers, readers),
        };
        let mut tasks: Vec<_> = measured.into_iter().enumerate().map(record).collect();
        tasks.extend(idle.into_iter().map(Client::idle));
        let _readers = Background::new(tasks);

        // Joining is over for the server, too, before the first edit leaves.
        sleep(Duration::from_millis(200)).await;
        let start = Instant::now() + Duration::from_millis(50);
        tally.start.set(Some(start));
        let frames = schedule(load, &tally.typing);
        let sending = std::thread::spawn(move || send(sockets, &frames, start));

        sleep_until((start + load.due(0, load.first())).into()).await;
        let (server_before, own_before, began) = (server.cpu(), process::own_thread_cpu(), Instant::now());
        sleep_until((start + load.due(load.rooms - 1, load.edits() - 1)).into()).await;
        let deadline = Instant::now() + GRACE;
        while tally.delivered.get() < expected && Instant::now() < deadline {
            sleep(Duration::from_millis(2)).await;
        }
        let server_cpu = server.cpu().saturating_sub(server_before);
        let busy = process::own_thread_cpu().saturating_sub(own_before).as_secs_f64();
        Outcome {
            latency: tally.latency.borrow().clone(),
            lag: sending.join().expect("the sending thread"),
            expected,
            delivered: tally.delivered.get(),
            server_cpu,
            generator_busy: busy / began.elapsed().as_secs_f64(),
        }
    }
}

impl Tally {
    /// Reads one connection until the task is aborted.
    async fn record(self: Rc<Self>, room: usize, mut client: Client) {
        let mut next = 0;
        while let Some(frame) = client.next().await {
            let now = Instant::now();
            for message in protocol::messages(&frame) {
                match (self.load.probe, message) {
                    (Probe::Relay, Message::Update(update) | Message::Step2(update)) => {
                        let size = |clock| self.typing.size(clock);
                        let clocks = protocol::clocks(update, self.typing.client(), size);
                        let Some((first, end)) = clocks else { continue };
                        self.arrived(room, first.max(next)..end, now);
                        next = next.max(end);
                    }
                    (Probe::Acknowledgement, Message::Acknowledged(payload)) => {
                        let Ok(clock) = payload.try_into().map(u64::from_be_bytes) else { continue };
                        self.arrived(room, clock..clock + 1, now);
                    }
                    _ => {}
                }
            }
        }
    }

    fn arrived(&self, room: usize, clocks: std::ops::Range<u64>, now: Instant) {
        let Some(start) = self.start.get() else { return };
        let mut latency = self.latency.borrow_mut();
        for clock in clocks.filter(|clock| (self.load.first()..self.load.edits()).contains(clock)) {
            let took = now.saturating_duration_since(start + self.load.due(room, clock));
            latency.saturating_record(took.as_nanos() as u64);
            self.delivered.set(self.delivered.get() + 1);
        }
    }
}

/// A finished frame, whose it is and when it leaves.
struct Appointment {
    at: Duration,
    room: usize,
    frame: Vec<u8>,
}

fn schedule(load: &Load, typing: &Typing) -> Vec<Appointment> {
    let mut all = Vec::new();
    for clock in 0..load.edits() {
        for room in 0..load.rooms {
            let mut frame = protocol::client_frame(&protocol::update(typing.update(clock)));
            if load.probe == Probe::Acknowledgement {
                frame.extend(protocol::client_frame(&protocol::acknowledge(&clock.to_be_bytes())));
            }
            all.push(Appointment { at: load.due(room, clock), room, frame });
        }
    }
    all.sort_by_key(|appointment| appointment.at);
    all
}

/// Sends every frame at its time, from a thread of its own: the runtime's timers only know milliseconds.
fn send(mut sockets: Vec<TcpStream>, frames: &[Appointment], start: Instant) -> Histogram<u64> {
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut lag = histogram();
    for Appointment { at, room, frame } in frames {
        let due = start + *at;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        lag.saturating_record(due.elapsed().as_nanos() as u64);
        // A full socket means that the server has stopped reading: what it misses shows as missing.
        let _ = sockets[*room].write_all(frame);
    }
    lag
}

/// From a microsecond to a minute, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("bounds of a histogram")
}
