//! The state machine for the live connections of one document.
//!
//! A room is a function of the log and the parked sessions: it can be dropped between any two inputs and
//! rebuilt with [`Input::Resume`], and clients cannot tell. It never returns an error: a peer's fault becomes
//! an [`Effect::Close`](crate::Effect::Close), a storage fault arrives as an input.
//!
//! What it promises, and where:
//! - An update is checked, relayed and stored as the bytes that came; the document is not loaded for it.
//! - Nothing that says "I have it" leaves before the store said so: an echo (102) waits for all that its client
//!   had when it asked, edits from before the connection included; an answer to a state vector for all that was
//!   accepted before the question. Relaying is earlier where the room has the document alone: the sender still holds
//!   what was not acknowledged.

mod batches;
mod messages;
mod owed;
mod parking;
mod readers;
mod requests;
mod rereads;
mod shelf;
mod streams;
mod views;

use crate::auth::Grant;
use crate::collections::{Map, Set};
use crate::document::{Document, Outcome};
use crate::effect::{Close, ConnId, Effects, Input, Millis, OpId, To};
use crate::http::ApiError;
use crate::limits::Limits;
use crate::log::{Life, LogError, LogReply, PresencePart, Tail};
use crate::presence::Presence;
use crate::session::Session;
use crate::wire;
use bytes::Bytes;
use owed::{Owed, Waiting};
use readers::Readers;
use requests::{Asked, Asking};
use shelf::Shelves;
use std::collections::VecDeque;
use std::sync::Arc;
use streams::Stream;

/// What is said to the sockets of a document that is no more.
const DELETED: &str = "the document was deleted";

/// How a room is set up.
#[derive(Debug, Clone, Default)]
pub struct RoomConfig {
    /// What it may take.
    pub limits: Arc<Limits>,
    /// Whether sessions are parked: only where connections outlive the room.
    pub parks: bool,
    /// Who else writes to the document's log.
    pub residency: Residency,
}

/// How many rooms of one document there are at a time: the only capability of a host on which a room branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residency {
    /// One: what it knows of the log is so.
    #[default]
    Exclusive,
    /// With the feature `shared`. Any number, in as many instances: the log is read again before it is told, and every now
    /// and then while someone waits.
    #[cfg(feature = "shared")]
    Shared,
}

impl Residency {
    /// Known when this is compiled, without the feature.
    pub(crate) const fn is_shared(self) -> bool {
        match self {
            Self::Exclusive => false,
            #[cfg(feature = "shared")]
            Self::Shared => true,
        }
    }
}

/// The live connections of one document. See the module's documentation.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    sessions: Map<ConnId, Session>,
    presence: Presence,
    /// Presence instead of that and of [`Room::streams`], where any number of instances share the document.
    shelves: Option<Shelves>,
    document: Document,
    waiting: Vec<Waiting>,
    /// Edits that sockets get once so many accepted updates are stored.
    relays: VecDeque<(u64, To, Bytes)>,
    /// No grant ends before this. It may be early, never late.
    next_grant_end: Option<Millis>,
    /// Sessions whose parked form may have changed.
    unparked: Vec<ConnId>,
    /// A session was resumed of which something was perhaps not stored.
    resumed_unstored: bool,
    readers: Readers,
    /// Presence streams of HTTP clients, beside the one that they share with the sessions.
    streams: Map<String, Stream>,
    /// No version of a presence stream that was deleted lies above this.
    versions: u64,
    /// When the room was made.
    born: Millis,
    /// Requests that wait to learn whether the document is there.
    asking: Vec<Asking>,
    /// Requests to the store on behalf of single HTTP requests.
    asked: Map<OpId, (ConnId, Asked)>,
    /// Since when nobody is here.
    alone_since: Option<Millis>,
}

impl Room {
    /// A room without connections, cold.
    pub fn new(config: RoomConfig) -> Self {
        let (residency, readers) = (config.residency, Readers::new(&config));
        Self {
            config,
            sessions: Map::new(),
            presence: Presence::default(),
            shelves: Shelves::of_room(residency),
            document: Document::new(residency),
            waiting: Vec::new(),
            relays: VecDeque::new(),
            next_grant_end: None,
            unparked: Vec::new(),
            resumed_unstored: false,
            readers,
            streams: Map::new(),
            versions: 0,
            born: Millis(0),
            asking: Vec::new(),
            asked: Map::new(),
            alone_since: None,
        }
    }

    /// Takes one input, and appends to `effects` what the host has to do for it, in order.
    pub fn handle(&mut self, now: Millis, input: Input<'_>, effects: &mut Effects) {
        if self.born == Millis(0) {
            self.born = now;
            self.document.scatter(now.0, &self.config.limits);
        }
        let is_read = self.is_read();
        match input {
            Input::Open { conn, grant } => self.open(now, conn, grant, effects),
            Input::Resume { conn, parked } => self.resume(now, conn, parked, effects),
            Input::Frame { conn, bytes } => self.frame(now, conn, &bytes, effects),
            Input::Request { conn, request, expires } => self.request(now, conn, request, expires, effects),
            Input::Leave { conn } => self.leave(conn),
            Input::Closed { conn } => self.forget(now, conn, effects),
            Input::Stored { op, reply } => {
                if let Some(part) = self.awaits_presence(op) {
                    self.presence_stored(now, part, reply, effects);
                } else if let Some(reply) = self.on_asked(now, op, reply, effects) {
                    self.stored(now, op, reply, effects);
                }
                self.settle_asking(now, effects);
            }
            Input::Tick => self.tick(now, effects),
        }
        self.relay_stored(effects);
        self.answer(now, effects);
        self.tend_presence(now, effects);
        self.serve_readers(now, effects);
        let stored = self.document.stored();
        let urgent = self.sessions.is_empty()
            || self.readers.len() > 0
            || self.waiting.iter().any(|waiting| waiting.after > stored);
        self.document.flush(now, urgent, &self.config.limits, effects);
        self.be_alone(now, is_read, effects);
        self.park(effects);
    }

    fn stored(&mut self, now: Millis, op: OpId, reply: Result<LogReply, LogError>, effects: &mut Effects) {
        // Readers have their own loads.
        let reply = match reply {
            Ok(LogReply::Loaded(loaded)) if self.readers.awaits(op) => {
                self.read_again(now, op, loaded, effects);
                return;
            }
            Err(error) if self.readers.awaits(op) => {
                self.with_readers(now, |readers, now| readers.loaded(op, Err(error.into()), now, effects));
                return;
            }
            other => other,
        };
        let before = self.document.stored();
        let known = self.document.tail().cloned();
        match self.document.on_reply(now, op, reply, &self.config.limits) {
            Outcome::Progress => self.settle_life(now, known, effects),
            Outcome::Stored(updates) => {
                self.settled(before);
                self.readers.stored(now, &updates, &self.config.limits);
                self.settle_life(now, known, effects);
            }
            Outcome::Nothing => {}
            Outcome::LoadFailed(error) => self.load_failed(now, error, effects),
            Outcome::AppendFailed(error) => {
                let stored = self.document.stored();
                self.refuse_waiting(&error.into(), effects, |waiting| waiting.after > stored);
                let code = if error == LogError::Deleted { Close::NOT_FOUND } else { Close::INTERNAL };
                self.close_all(now, code, &error.to_string(), effects);
            }
        }
    }

    /// Sends everyone away if it turns out that the document was deleted: whoever is here came before that was known.
    fn settle_life(&mut self, now: Millis, known: Option<Tail>, effects: &mut Effects) {
        let Some(tail) = self.document.tail().cloned() else { return };
        if tail.life == Life::Deleted {
            self.document.begin_anew(tail.clone());
            self.end_document(now, effects);
            return;
        }
        let generation = tail.end.generation();
        if known.is_some_and(|known| known.life == Life::Live && known.end.generation() < generation) {
            self.begin_again(now, tail, effects);
        }
    }

    /// The document was deleted, and made again elsewhere. Who follows its former life is sent away; who came since then
    /// waits for an answer, and gets that of the document as it is.
    fn begin_again(&mut self, now: Millis, tail: Tail, effects: &mut Effects) {
        let generation = tail.end.generation();
        self.document.begin_anew(tail);
        self.readers.end(&ApiError::no_document(), effects, |reader| {
            let place = reader.updates.as_ref();
            place.is_none_or(|place| reader.loads > 0 && place.generation() < generation)
        });
        let is_of_former =
            |conn: &ConnId| self.readers.place_of(*conn).is_some_and(|place| place.generation() < generation);
        for conn in self.sessions.keys().copied().filter(is_of_former).collect::<Vec<_>>() {
            self.send_away(now, conn, Close::NOT_FOUND, DELETED, effects);
        }
    }

    /// Notes whether anyone is here, and lets what nobody needs come to rest.
    fn be_alone(&mut self, now: Millis, is_read: bool, effects: &mut Effects) {
        if self.connections() > 0 {
            self.alone_since = None;
        } else {
            self.alone_since.get_or_insert(now);
        }
        let idle_after = self.config.limits.compaction.idle_after;
        let idle = self.alone_since.is_some_and(|since| now.since(since) >= idle_after);
        if idle {
            self.readers.rest();
        }
        self.document.compact_if_due(now, idle, is_read || self.is_read(), &self.config.limits, effects);
    }

    /// Whether somebody here waits for what the document holds.
    fn is_read(&self) -> bool {
        let asks = |waiting: &Waiting| match waiting.what {
            Owed::Question | Owed::Answer(_) | Owed::Verdict(_) | Owed::View(_) => true,
            Owed::Echo(_) | Owed::Reply(_) => false,
        };
        self.readers.len() > 0
            || self.waiting.iter().any(asks)
            || self.asking.iter().any(|asking| asking.request.reads())
    }

    /// When the room wants an [`Input::Tick`], and why. To be asked after every input.
    pub fn poll_timeout(&self) -> Option<(Millis, &'static str)> {
        let presence = self.presence.next_expiry().map(|at| (at, "expire presence"));
        let streams = self.streams.values().map(|stream| self.stream_tick(stream)).min();
        let grant = self.next_grant_end.map(|at| (at, "end a grant"));
        let readers = self.readers.next_tick().map(|at| (at, "end a read"));
        let idle = self.alone_since.and_then(|since| self.document.compacts_at(since, &self.config.limits));
        let idle = idle.map(|at| (at, "compact"));
        let document = self.document.next_tick(&self.config.limits);
        let streams = streams.map(|at| (at, "expire presence"));
        let kept = self.next_presence_tick().map(|at| (at, "read presence"));
        [presence, streams, grant, readers, idle, document, kept].into_iter().flatten().min()
    }

    fn stream_end(&self, stream: &Stream) -> Millis {
        stream.used.after(self.config.limits.presence_stream_kept)
    }

    fn stream_tick(&self, stream: &Stream) -> Millis {
        let over = self.stream_end(stream);
        stream.presence.next_expiry().map_or(over, |at| at.min(over))
    }

    /// Whether the room can be dropped without anyone having to be asked anything again.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.asking.is_empty()
            && self.asked.is_empty()
            && self.document.is_settled()
            && self.readers.is_settled()
            && self.shelves.as_ref().is_none_or(Shelves::is_settled)
    }

    /// Whether something would be forgotten if the room were dropped, although nobody is here: presence streams that
    /// clients named. A host drops it all the same when it needs the place.
    pub fn remembers(&self) -> bool {
        !self.streams.is_empty()
    }

    /// How many connections there are, requests that are not answered, and things that are owed to either: 0 if nobody
    /// is here.
    pub fn connections(&self) -> usize {
        let wishes = self.shelves.as_ref().map_or(0, Shelves::wishes);
        let waiting = self.asking.len() + self.asked.len() + self.waiting.len();
        self.sessions.len() + self.readers.len() + waiting + wishes
    }

    /// Whether a connection waits for something that this room is about to do: an answer, a load, or the store's word on
    /// what the connection sent, also if it was closed since. If not, and once its last [`crate::Effect::Park`] is done,
    /// it can [leave](Input::Leave), or be left alone if it was closed.
    pub fn owes(&self, conn: ConnId) -> bool {
        let unstored = |session: &Session| session.last_accepted > self.document.stored();
        self.waiting.iter().any(|waiting| waiting.conn == conn)
            || self.asking.iter().any(|asking| asking.conn == conn)
            || self.asked.values().any(|(asked, _)| *asked == conn)
            || self.sessions.get(&conn).is_some_and(unstored)
            || self.readers.owes(conn)
            || self.shelves.as_ref().is_some_and(|shelves| shelves.owes(conn))
    }

    fn open(&mut self, now: Millis, conn: ConnId, grant: Grant, effects: &mut Effects) {
        let is_deleted = self.document.tail().is_some_and(|tail| tail.life == Life::Deleted);
        // Elsewhere it may have been made again: then it is looked at for this connection.
        if is_deleted && !self.config.residency.is_shared() {
            effects.send(To::Conn(conn), wire::refusal(DELETED));
            effects.close(conn, Close::new(Close::NOT_FOUND, DELETED));
            return;
        }
        if self.sessions.len() >= self.config.limits.connections {
            effects.close(conn, Close::new(Close::TRY_AGAIN, "the document has too many connections"));
            return;
        }
        self.add(conn, Session::new(grant));
        self.greet(conn, false);
        if let Some(states) = self.presence.states() {
            effects.send(To::Conn(conn), wire::awareness(&states));
        }
        self.owe(now, conn, 0, Owed::Question, effects);
    }

    fn add(&mut self, conn: ConnId, session: Session) {
        if let Some(expires) = session.grant.expires {
            self.next_grant_end = Some(self.next_grant_end.map_or(expires, |at| at.min(expires)));
        }
        self.sessions.insert(conn, session);
        self.unparked.push(conn);
    }

    fn tick(&mut self, now: Millis, effects: &mut Effects) {
        let limits = Arc::clone(&self.config.limits);
        let removals = self.presence.expire(now, &limits);
        self.tell_presence(removals, effects);
        if self.streams.values().any(|stream| self.stream_end(stream) <= now) {
            self.count_versions();
            self.streams.retain(|_, stream| now.since(stream.used) < limits.presence_stream_kept);
        }
        for stream in self.streams.values_mut() {
            self.readers.stale |= stream.presence.expire(now, &limits).is_some();
        }
        self.readers.tick_rereads(now);
        self.with_readers(now, |readers, now| readers.tick(now, &limits, effects));
        if self.next_grant_end.is_some_and(|at| at <= now) {
            let expires = |session: &Session| session.grant.expires;
            let over: Vec<_> = self
                .sessions
                .iter()
                .filter(|(_, session)| expires(session).is_some_and(|at| at <= now))
                .map(|(conn, _)| *conn)
                .collect();
            for conn in over {
                self.close(now, conn, Close::new(Close::UNAUTHORIZED, "the token has expired"), effects);
            }
            self.next_grant_end = self.sessions.values().filter_map(expires).min();
        }
        self.document.tick(now, &limits, effects);
    }

    /// The document cannot be loaded: whoever waits for that is sent away.
    fn load_failed(&mut self, now: Millis, error: LogError, effects: &mut Effects) {
        for asking in core::mem::take(&mut self.asking) {
            effects.reply(asking.conn, ApiError::from(error));
        }
        if self.document.tail().is_none() {
            [PresencePart::Default, PresencePart::Named]
                .into_iter()
                .for_each(|part| self.presence_failed(now, part, error, effects));
        }
        self.refuse_waiting(&error.into(), effects, |waiting| matches!(waiting.what, Owed::View(_)));
        let conns: Set<_> = self
            .waiting
            .iter()
            .filter(|waiting| matches!(waiting.what, Owed::Question | Owed::Answer(_) | Owed::Verdict(_)))
            .map(|waiting| waiting.conn)
            .collect();
        for conn in conns {
            self.close(now, conn, Close::new(Close::INTERNAL, error.to_string()), effects);
        }
    }

    fn close_all(&mut self, now: Millis, code: u16, why: &str, effects: &mut Effects) {
        for conn in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.send_away(now, conn, code, why, effects);
        }
    }

    fn send_away(&mut self, now: Millis, conn: ConnId, code: u16, why: &str, effects: &mut Effects) {
        if code == Close::NOT_FOUND {
            effects.send(To::Conn(conn), wire::refusal(why));
        }
        self.close(now, conn, Close::new(code, why), effects);
    }

    fn close(&mut self, now: Millis, conn: ConnId, reason: Close, effects: &mut Effects) {
        effects.close(conn, reason);
        self.forget(now, conn, effects);
    }

    fn leave(&mut self, conn: ConnId) {
        if let Some(shelves) = &mut self.shelves {
            shelves.leave(conn);
        }
        self.readers.remove(conn);
        self.sessions.remove(&conn);
        self.waiting.retain(|waiting| waiting.conn != conn);
    }

    fn forget(&mut self, now: Millis, conn: ConnId, effects: &mut Effects) {
        self.readers.remove(conn);
        if self.sessions.remove(&conn).is_none() {
            // A request whose client left. What it wrote is stored all the same.
            self.asking.retain(|asking| asking.conn != conn);
            self.waiting.retain(|waiting| waiting.conn != conn);
            if let Some(shelves) = &mut self.shelves {
                shelves.forget_request(conn);
            }
            return;
        }
        self.waiting.retain(|waiting| waiting.conn != conn);
        if let Some(shelves) = &mut self.shelves {
            return shelves.close(conn);
        }
        let left = self.presence.close(now, conn, &self.config.limits);
        for (claimant, removal) in left.questions {
            effects.send(To::Conn(claimant), wire::awareness(&removal));
        }
        self.tell_presence(left.relay, effects);
    }
}
