//! Instances, clients, and what comes between them, step by step.

use super::client::{At, Client, Http, Over, Socket};
use super::host::{Instance, Task};
use crate::edits::{Authors, Edit};
use crate::log::poll;
use crate::lowering::Lowering;
use crate::outcome::{Counts, Outcome, Violation};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::store::{NO_SKEW, Shared, Store, View};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use yonder_core::http::Reply;
use yonder_core::kv::Kv as _;
use yonder_core::log::{LogError, LogOp, LogReply};
use yonder_core::request::DocRequest;
use yonder_core::wire::{self};
use yonder_core::{ConnId, DocName, Effect, Input, Millis, To};

/// Clients over HTTP, and with sockets.
const CLIENTS: (usize, usize) = (3, 3);
/// Milliseconds after which a host cuts a request to its store off.
const REQUEST_MAX: u64 = 30_000;
/// Milliseconds after a deletion within which somebody may still believe in what was deleted: two trusts, a request.
pub(super) const BELIEF: u64 = 40_000;

/// An edit that a client made.
pub(super) struct Made {
    pub(super) edit: Edit,
    pub(super) at: u64,
    pub(super) saved: bool,
}

/// Instances, their store, and clients of one document.
pub struct World<L> {
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) shared: Rc<Shared>,
    pub(super) name: DocName,
    pub(super) instances: Vec<Instance<L>>,
    pub(super) tasks: Vec<Option<Task>>,
    pub(super) clients: Vec<Client>,
    /// Answers on their way.
    pub(super) answers: VecDeque<(At, Reply)>,
    authors: Authors,
    pub(super) edits: Vec<Made>,
    /// Updates of appends that the lowering has acknowledged.
    pub(super) stored: BTreeSet<Bytes>,
    /// How many deletions were begun, and when the last was last under way.
    pub(super) deletions: u64,
    pub(super) deleting: Option<At>,
    pub(super) deleted_at: u64,
    pub(super) counts: Counts,
    step: u64,
    trace: bool,
}

impl<L: Lowering> World<L> {
    /// A world of this plan.
    pub fn new(plan: &Plan, trace: bool) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0x0070_0075);
        let store = Store::new(plan.profile.clone(), Rng::new(plan.seed ^ 0x5707e), L::overwritten);
        let skew = plan.profile.skew;
        let skews = (0..plan.instances).map(|_| NO_SKEW + rng.below(2 * skew + 1) - skew).collect();
        let shared =
            Rc::new(Shared { store: RefCell::new(store), polled: Cell::new(0), skews: RefCell::new(skews) });
        let over_http =
            |_| Client { over: Over::Http(Http { make: true, ..Http::default() }), ..Client::default() };
        let socket = |_| Client { over: Over::Socket(Socket::default()), ..Client::default() };
        Self {
            plan: plan.clone(),
            rng,
            instances: (0..plan.instances).map(|index| Instance::new(View::new(&shared, index))).collect(),
            shared,
            name: DocName::new("notes").unwrap(),
            tasks: Vec::new(),
            clients: (0..CLIENTS.0).map(over_http).chain((0..CLIENTS.1).map(socket)).collect(),
            answers: VecDeque::new(),
            authors: Authors::new(1, 4),
            edits: Vec::new(),
            stored: BTreeSet::new(),
            deletions: 0,
            deleting: None,
            deleted_at: 0,
            counts: Counts::default(),
            step: 0,
            trace,
        }
    }

    /// Plays to the end.
    pub fn play(mut self) -> Outcome {
        let mut wrong = None;
        while self.step < self.plan.steps && wrong.is_none() {
            wrong = self.step().err();
            wrong = self.shared.store.borrow_mut().wrong.take().or(wrong);
            self.step += 1;
        }
        if wrong.is_none() {
            wrong = self.finish().err();
            wrong = self.shared.store.borrow_mut().wrong.take().or(wrong);
        }
        let violation = wrong.map(|what| Violation { step: self.step, what });
        Outcome { violation, steps: self.step, counts: self.counts }
    }

    fn step(&mut self) -> Result<(), String> {
        let weights = &self.plan.weights;
        let flights = {
            let mut store = self.shared.store.borrow_mut();
            store.now += self.rng.below(40);
            store.flights.len()
        };
        let progress = 15 * flights.min(12) as u32;
        let choice = [
            progress,
            8,
            20,
            30,
            10,
            2,
            weights.crash,
            weights.cut,
            weights.jump,
            weights.delete,
            u32::from(self.deletions > 0),
        ];
        match self.rng.weighted(&choice) {
            0 => self.progress(),
            1 => {
                self.edit();
                Ok(())
            }
            2 => self.act(),
            3 => self.deliver(),
            4 => self.tick(),
            5 => self.evict(),
            6 => {
                let instance = self.rng.index(self.instances.len());
                self.crash(instance);
                Ok(())
            }
            7 => {
                self.hang_up();
                Ok(())
            }
            8 => self.jump(),
            9 => self.delete(),
            _ => self.forget_deletion(),
        }
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>6} {:>9} ms  {}", self.step, self.now(), what());
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.shared.store.borrow().now
    }

    /// An operation reaches the store, or its answer the instance; often both.
    fn progress(&mut self) -> Result<(), String> {
        let mut store = self.shared.store.borrow_mut();
        let index = self.rng.index(store.flights.len());
        if store.flights[index].answer.is_none() {
            store.arrive(index);
            if store.wrong.is_some() || (self.rng.chance(300) && store.flights[index].task.is_some()) {
                return Ok(());
            }
        }
        let task = store.deliver(index);
        drop(store);
        task.map_or(Ok(()), |task| self.poll(task))
    }

    pub(super) fn poll(&mut self, index: usize) -> Result<(), String> {
        self.shared.polled.set(index);
        let Some(task) = &mut self.tasks[index] else { return Ok(()) };
        let Some((reply, _)) = poll(&mut task.running) else { return Ok(()) };
        let Some(Task { instance, room, op, request, .. }) = self.tasks[index].take() else { return Ok(()) };
        self.shared.store.borrow_mut().orphan(index, 1_000);
        self.say(|| format!("store of {instance}: {op:?} {request:?} -> {reply:?}"));
        match (&request, &reply) {
            (LogOp::Append { updates }, Ok(LogReply::Appended(_))) => {
                self.stored.extend(updates.iter().cloned())
            }
            (_, Ok(_) | Err(LogError::Unavailable)) => {}
            (_, Err(LogError::Deleted)) if self.deletions > 0 => {}
            (_, Err(error)) => return Err(format!("I7: {request:?} fails: {error}")),
        }
        match &reply {
            Ok(LogReply::Compacted(_)) => self.counts.compactions += 1,
            Ok(LogReply::Loaded(_)) => self.counts.loads += 1,
            Err(_) => self.counts.failures += 1,
            Ok(_) => {}
        }
        if room == self.instances[instance].rooms {
            self.give(instance, Input::Stored { op, reply })
        } else {
            Ok(())
        }
    }

    /// Gives an instance's room an input, and does what follows.
    pub(super) fn give(&mut self, instance: usize, input: Input<'_>) -> Result<(), String> {
        let now: Millis = self.instances[instance].view.now();
        for effect in self.instances[instance].give(now, input) {
            match effect {
                Effect::Store { op, request } => self.begin(instance, op, request)?,
                Effect::Send { to: To::Conn(conn), frame } => self.send((instance, conn), &frame),
                Effect::Send { to: To::Sockets { except }, frame } => {
                    let conns: Vec<_> = self.sockets(instance).filter(|conn| Some(*conn) != except).collect();
                    conns.into_iter().for_each(|conn| self.send((instance, conn), &frame));
                }
                Effect::Reply { conn, reply } => self.answers.push_back(((instance, conn), reply)),
                Effect::Close { conn, .. } => self.closed((instance, conn))?,
                Effect::Park { .. } | Effect::Forward { .. } => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, instance: usize, op: yonder_core::OpId, request: LogOp) -> Result<(), String> {
        let began = self.now();
        let config = self.plan.config.clone();
        let host = &mut self.instances[instance];
        let (view, name) = (&host.view, &self.name);
        let object = host.object.get_or_insert_with(|| Rc::new(L::new(view.clone(), name, config)));
        let object = Rc::clone(object);
        let running = host.start(&object, op, &request);
        let index = self.tasks.iter().position(Option::is_none).unwrap_or(self.tasks.len());
        if index == self.tasks.len() {
            self.tasks.push(None);
        }
        let room = self.instances[instance].rooms;
        self.tasks[index] = Some(Task { instance, room, op, request, began, running });
        self.poll(index)
    }

    pub(super) fn sockets(&self, instance: usize) -> impl Iterator<Item = ConnId> {
        self.clients.iter().filter_map(move |client| match &client.over {
            Over::Socket(Socket { at: Some((of, conn)), .. }) if *of == instance => Some(*conn),
            Over::Socket(_) | Over::Http(_) => None,
        })
    }

    fn send(&mut self, at: At, frame: &Bytes) {
        for client in &mut self.clients {
            if let Over::Socket(socket) = &mut client.over
                && socket.at == Some(at)
            {
                socket.coming.push_back(frame.clone());
            }
        }
    }

    /// The server ends a connection. What it said before arrives.
    fn closed(&mut self, at: At) -> Result<(), String> {
        let is_this = |client: &Client| matches!(&client.over, Over::Socket(socket) if socket.at == Some(at));
        let Some(index) = self.clients.iter().position(is_this) else { return Ok(()) };
        while self.hear_frame(index)? {}
        if let Over::Socket(socket) = &mut self.clients[index].over {
            *socket = Socket::default();
        }
        Ok(())
    }

    fn edit(&mut self) {
        let client = self.rng.index(self.clients.len());
        let edit = self.authors.edit(&mut self.rng, self.plan.weights.large);
        let number = self.edits.len();
        let update = wire::update(&edit.bytes);
        let at = self.now();
        self.say(|| format!("client {client} makes edit {number}"));
        self.edits.push(Made { edit, at, saved: false });
        self.clients[client].unsaved.push(number);
        self.clients[client].has.merge(&self.edits[number].edit.has);
        if let Over::Socket(socket) = &mut self.clients[client].over
            && socket.at.is_some()
        {
            socket.sent.push_back(update);
        }
    }

    fn tick(&mut self) -> Result<(), String> {
        let instance = self.rng.index(self.instances.len());
        self.tick_instance(instance).map(drop)
    }

    pub(super) fn tick_instance(&mut self, instance: usize) -> Result<bool, String> {
        let host = &self.instances[instance];
        let now = host.view.now();
        let due = host.room.as_ref().and_then(|room| room.poll_timeout()).is_some_and(|(at, _)| at <= now);
        if due {
            self.give(instance, Input::Tick)?;
        }
        Ok(due)
    }

    /// An instance lets its room go, as it may at any moment at which nothing is in hand; sockets go on elsewhere.
    fn evict(&mut self) -> Result<(), String> {
        let instance = self.rng.index(self.instances.len());
        let host = &mut self.instances[instance];
        if host.room.as_ref().is_none_or(|room| !room.is_idle()) {
            return Ok(());
        }
        self.say(|| format!("instance {instance} lets its room go"));
        let keeps_object = self.rng.chance(500);
        let host = &mut self.instances[instance];
        host.room = None;
        host.rooms += 1;
        if !keeps_object {
            host.object = None;
        }
        let parked = std::mem::take(&mut host.parked);
        self.end_requests(instance);
        for index in 0..self.clients.len() {
            let Over::Socket(Socket { at: Some((of, conn)), .. }) = &self.clients[index].over else {
                continue;
            };
            if *of != instance {
                continue;
            }
            let state = parked.get(conn).cloned();
            let other = self.rng.index(self.instances.len());
            let conn = self.instances[other].conn();
            if let Over::Socket(socket) = &mut self.clients[index].over {
                let Some(state) = state else {
                    *socket = Socket::default();
                    continue;
                };
                socket.at = Some((other, conn));
                self.instances[other].parked.insert(conn, state.clone());
                self.give(other, Input::Resume { conn, parked: &state })?;
            }
        }
        Ok(())
    }

    /// Requests that an instance held end without an answer.
    fn end_requests(&mut self, instance: usize) {
        self.answers.retain(|((of, _), _)| *of != instance);
        if self.deleting.is_some_and(|(of, _)| of == instance) {
            (self.deleting, self.deleted_at) = (None, self.now());
        }
        for client in &mut self.clients {
            if let Over::Http(http) = &mut client.over {
                http.read = http.read.filter(|(of, _)| *of != instance);
                http.post = http.post.take().filter(|((of, _), _)| *of != instance);
            }
        }
    }

    pub(super) fn crash(&mut self, instance: usize) {
        self.say(|| format!("instance {instance} crashes"));
        self.counts.crashes += 1;
        for index in 0..self.tasks.len() {
            if self.tasks[index].as_ref().is_some_and(|task| task.instance == instance) {
                self.tasks[index] = None;
                self.shared.store.borrow_mut().orphan(index, self.plan.weights.late);
            }
        }
        let host = &mut self.instances[instance];
        (host.room, host.object) = (None, None);
        host.rooms += 1;
        host.parked.clear();
        self.end_requests(instance);
        for client in &mut self.clients {
            if let Over::Socket(socket) = &mut client.over
                && socket.at.is_some_and(|(of, _)| of == instance)
            {
                *socket = Socket::default();
            }
        }
    }

    /// Time passes. What takes too long is answered as unavailable.
    fn jump(&mut self) -> Result<(), String> {
        let by = match self.rng.below(10) {
            0..=6 => self.rng.below(3_000),
            7 | 8 => self.rng.below(20_000),
            _ => self.rng.below(200_000),
        };
        self.shared.store.borrow_mut().now += by;
        let now = self.now();
        self.cut_tasks(|task| task.began + REQUEST_MAX < now)
    }

    /// What was asked of the store is answered as unavailable.
    pub(super) fn cut_tasks(&mut self, cuts: impl Fn(&Task) -> bool) -> Result<(), String> {
        for index in 0..self.tasks.len() {
            if let Some(Task { instance, room, op, .. }) = self.tasks[index].take_if(|task| cuts(task)) {
                self.shared.store.borrow_mut().orphan(index, self.plan.weights.late);
                if room == self.instances[instance].rooms {
                    self.give(instance, Input::Stored { op, reply: Err(LogError::Unavailable) })?;
                }
            }
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<(), String> {
        // What a store shows that is late without bound, it shows of deleted documents as well.
        if self.deleting.is_some()
            || self.plan.profile.staleness().is_none()
            || self.plan.profile.miscounts > 0
        {
            return Ok(());
        }
        let instance = self.rng.index(self.instances.len());
        let conn = self.instances[instance].conn();
        self.deletions += 1;
        self.counts.deletions += 1;
        self.deleted_at = u64::MAX;
        self.deleting = Some((instance, conn));
        self.authors = Authors::new(1 + 100 * self.deletions, 4);
        self.say(|| format!("the document is deleted at {instance}"));
        self.give(instance, Input::Request { conn, request: DocRequest::Delete, expires: None })
    }

    /// Nobody waits for a deletion for ever.
    fn forget_deletion(&mut self) -> Result<(), String> {
        let Some((instance, conn)) = self.deleting.take() else { return Ok(()) };
        // It may be done later, as long as the store is asked for it.
        self.deleted_at = self.now() + REQUEST_MAX;
        self.answers.retain(|(at, _)| *at != (instance, conn));
        self.give(instance, Input::Closed { conn })
    }
}
