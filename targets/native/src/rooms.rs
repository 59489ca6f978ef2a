//! The rooms that are awake: one task each, made by whoever comes first and dropped when idle.

use crate::body::Space;
use crate::held::Answer;
use crate::host::{Event, NativeHost, Request};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::store::Store;
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use yonder_core::auth::Grant;
use yonder_core::http::ApiError;
use yonder_core::limits::Limits;
use yonder_core::request::DocRequest;
use yonder_core::{Close, ConnId, DocName, Effects, Host as _, Input, Millis, Room, RoomConfig};

/// What waits for a room's task. A connection whose frame finds it full waits, and so does its client.
const INBOX: usize = 1024;
/// Kibibytes of large frames that wait for a room's task, and from how many bytes on a frame is one.
const QUEUED_KIB: usize = 64 << 10;
const LARGE: usize = 16 << 10;
/// Inputs that a room takes before others get their turn.
const TURN: usize = 128;

/// All rooms of the server.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

struct Shared {
    rooms: Mutex<HashMap<DocName, Entry>>,
    store: Store,
    limits: Arc<Limits>,
    /// Rooms at once.
    documents: usize,
    /// Tells rooms that others need their places.
    crowded: Notify,
    /// How long a room without connections stays.
    linger: Duration,
    /// Bytes that may wait for one event stream.
    queue_bytes: usize,
    metrics: Arc<Metrics>,
    next_room: AtomicU64,
    closing: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Entry {
    number: u64,
    inbox: mpsc::Sender<Event>,
    /// Connections of the room, those included that have not yet been announced to it: while there is one, the
    /// room does not end.
    seats: Arc<AtomicUsize>,
    space: Arc<Semaphore>,
}

/// A connection's place in a room, until it leaves.
pub(crate) struct Seat {
    conn: ConnId,
    entry: Entry,
    left: bool,
}

impl Rooms {
    pub(crate) fn new(
        store: Store,
        limits: Arc<Limits>,
        documents: usize,
        linger: Duration,
        queue_bytes: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Arc::new(Shared {
            rooms: Mutex::default(),
            store,
            limits,
            documents,
            crowded: Notify::new(),
            linger,
            queue_bytes,
            metrics,
            next_room: AtomicU64::new(1),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Takes a connection into its document's room, which is made if there is none.
    pub(crate) async fn join(
        &self,
        doc: &DocName,
        conn: ConnId,
        grant: Grant,
        outbound: Outbound,
    ) -> Result<Seat, ApiError> {
        let seat = Seat { conn, entry: self.enter(doc)?, left: false };
        let gone = |_| ApiError::internal("the document's room has failed");
        let grant = Grant { expires: grant.expires.map(steady), ..grant };
        seat.entry.inbox.send(Event::Open(Box::new((conn, grant, outbound)))).await.map_err(gone)?;
        Ok(seat)
    }

    /// Brings an HTTP request to its document's room, which is made if there is none.
    pub(crate) async fn ask(
        &self,
        doc: &DocName,
        conn: ConnId,
        request: DocRequest,
        expires: Option<Millis>,
        answer: oneshot::Sender<Answer>,
        space: Space,
    ) -> Result<Seat, ApiError> {
        let seat = Seat { conn, entry: self.enter(doc)?, left: false };
        let gone = |_| ApiError::internal("the document's room has failed; try again");
        let expires = expires.map(steady);
        let request = Box::new(Request { conn, request, expires, answer, space });
        seat.entry.inbox.send(Event::Request(request)).await.map_err(gone)?;
        Ok(seat)
    }

    /// Sends everyone away, and waits until everything accepted is stored.
    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn enter(&self, doc: &DocName) -> Result<Entry, ApiError> {
        let mut rooms = self.0.lock();
        if self.0.closing.is_cancelled() {
            return Err(ApiError::overloaded("the server is stopping"));
        }
        if let Some(entry) = rooms.get(doc) {
            entry.seats.fetch_add(1, Ordering::Relaxed);
            return Ok(entry.clone());
        }
        if rooms.len() >= self.0.documents {
            // Whoever comes back finds a place that a room without connections has left.
            self.0.crowded.notify_waiters();
            return Err(ApiError::overloaded("the server has too many documents open"));
        }
        let (inbox, events) = mpsc::channel(INBOX);
        let number = self.0.next_room.fetch_add(1, Ordering::Relaxed);
        let space = Arc::new(Semaphore::new(QUEUED_KIB));
        let entry = Entry { number, inbox, seats: Arc::new(AtomicUsize::new(1)), space };
        rooms.insert(doc.clone(), entry.clone());
        self.0.metrics.rooms.inc();
        let task = run(Arc::clone(&self.0), doc.clone(), entry.clone(), events);
        self.0.tasks.spawn(guard(Arc::clone(&self.0), doc.clone(), number, task));
        Ok(entry)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<DocName, Entry>> {
        // Nothing that can panic runs while it is held.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Gives a frame to the room; false if the room is gone.
    pub(crate) async fn frame(&self, bytes: Bytes) -> bool {
        let mut space = None;
        if bytes.len() > LARGE {
            let kib = u32::try_from((bytes.len() >> 10).min(QUEUED_KIB)).unwrap_or(u32::MAX);
            space = Arc::clone(&self.entry.space).acquire_many_owned(kib).await.ok();
        }
        self.entry.inbox.send(Event::Frame { conn: self.conn, bytes, space }).await.is_ok()
    }

    /// Tells the room that the connection is gone.
    pub(crate) async fn leave(mut self) {
        // A room that is gone needs no word.
        let _ = self.entry.inbox.send(Event::Closed { conn: self.conn }).await;
        self.left = true;
    }
}

impl Seat {
    /// The room knows already that it is over.
    pub(crate) fn has_left(&mut self) {
        self.left = true;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A connection whose task failed, or a request whose client left, takes its leave here.
        if !self.left
            && let Err(mpsc::error::TrySendError::Full(event)) =
                self.entry.inbox.try_send(Event::Closed { conn: self.conn })
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let inbox = self.entry.inbox.clone();
            // A room that is gone needs no word.
            runtime.spawn(async move { inbox.send(event).await.is_ok() });
        }
        self.entry.seats.fetch_sub(1, Ordering::Release);
    }
}

/// A room's task that panics takes its room along and nothing else: its connections are closed, as their
/// [`Outbound`]s are dropped, and the next one to come makes a new room from the log.
async fn guard(shared: Arc<Shared>, doc: DocName, number: u64, task: impl Future<Output = ()>) {
    let panicked = AssertUnwindSafe(task).catch_unwind().await.is_err();
    if panicked {
        tracing::error!(%doc, "a room failed; its connections are closed");
    }
    let mut rooms = shared.lock();
    if rooms.get(&doc).is_some_and(|entry| entry.number == number) {
        rooms.remove(&doc);
    }
    shared.metrics.rooms.dec();
}

async fn run(shared: Arc<Shared>, doc: DocName, entry: Entry, mut events: mpsc::Receiver<Event>) {
    let (replies, mut stored) = mpsc::unbounded_channel();
    let queue_bytes = shared.queue_bytes;
    let mut host =
        NativeHost::new(doc, shared.store.clone(), queue_bytes, Arc::clone(&shared.metrics), replies);
    let mut room = Room::new(RoomConfig { limits: Arc::clone(&shared.limits), ..RoomConfig::default() });
    let mut effects = Effects::new();
    let mut turn = Vec::new();
    let mut closing = false;
    loop {
        let timer = sleep_until(room.poll_timeout().map(|(at, _)| at));
        let empty = room.connections() == 0;
        tokio::select! {
            biased;
            Some(answer) = stored.recv() => {
                let (op, reply) = *answer;
                host.give(&mut room, &mut effects, Input::Stored { op, reply });
            }
            _ = events.recv_many(&mut turn, TURN) => {
                for event in turn.drain(..) {
                    host.take(&mut room, &mut effects, event);
                }
            }
            () = shared.closing.cancelled(), if !closing => {}
            () = timer => {}
            () = leave(&shared, room.remembers()), if empty && !closing => {
                if room.is_idle() && retire(&shared, host.doc(), &entry.seats) {
                    return;
                }
            }
        }
        // Both are asked here, so that a flood of frames does not put them off.
        closing = shared.closing.is_cancelled();
        if room.poll_timeout().is_some_and(|(at, _)| at <= now()) {
            host.give(&mut room, &mut effects, Input::Tick);
        }
        if closing {
            // Those included that had a seat already, and came in only now.
            for conn in host.sockets() {
                host.close(conn, Close::new(Close::GOING_AWAY, "the server is stopping"));
                host.give(&mut room, &mut effects, Input::Closed { conn });
            }
            for conn in host.readers() {
                host.reply(conn, ApiError::overloaded("the server is stopping").into());
                host.close(conn, Close::new(Close::NORMAL, "the server is stopping"));
                host.give(&mut room, &mut effects, Input::Closed { conn });
            }
            if room.is_idle() {
                return;
            }
        }
    }
}

/// Until a room without connections should end: after a while, unless it remembers something, or because others
/// need its place.
async fn leave(shared: &Shared, remembers: bool) {
    let linger = async {
        if remembers {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(shared.linger).await;
    };
    tokio::select! {
        () = linger => {}
        () = shared.crowded.notified() => {}
    }
}

/// Takes the room out of the map unless someone has come, or is about to.
fn retire(shared: &Shared, doc: &DocName, seats: &AtomicUsize) -> bool {
    let mut rooms = shared.lock();
    let retires = seats.load(Ordering::Acquire) == 0;
    if retires {
        rooms.remove(doc);
    }
    retires
}

async fn sleep_until(at: Option<Millis>) {
    match at {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.since(now()))).await,
        None => std::future::pending().await,
    }
}

/// The time by the wall clock, for tokens that come in.
pub(crate) fn wall_clock() -> Millis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// The time that rooms are told: the wall clock's at the start, and steady from there on. A wall clock that is
/// set back must not put off what is due.
pub(crate) fn now() -> Millis {
    static START: LazyLock<(Instant, Millis)> = LazyLock::new(|| (Instant::now(), wall_clock()));
    let (began, at) = *START;
    at.after(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// An instant of the wall clock by the rooms' clock.
fn steady(at: Millis) -> Millis {
    now().after(at.since(wall_clock()))
}
