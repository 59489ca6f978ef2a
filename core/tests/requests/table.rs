//! A room and a store on a table: inputs go in one by one, what the room asks of the store lies in a queue until
//! the test has it answered.

use crate::log::MemoryLog;
pub use crate::stream::{frames, header};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use yonder_core::auth::{Grant, Permission};
use yonder_core::http::{ApiError, Reply};
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp, LogReply, Offset};
use yonder_core::request::{DocRequest, Live, PresenceOp, PresenceSince, Read, Since};
use yonder_core::wire::{put_var_bytes, put_var_uint};
use yonder_core::{ConnId, Effect, Effects, Input, Millis, OpId, Residency, Room, RoomConfig, To};

pub const START: Millis = Millis(1_800_000_000_000);

/// Ticks at one instant after which a room must have moved on: one for each of its timers would be fair.
const TICKS: usize = 4;

pub struct Table {
    pub room: Room,
    pub now: Millis,
    pub limits: Limits,
    residency: Residency,
    pub log: MemoryLog,
    /// What the store was asked and has not answered.
    pub asked: VecDeque<(OpId, LogOp)>,
    past: Vec<(Millis, Input<'static>)>,
}

impl Table {
    /// A room that nobody came to yet, on a log in which nothing was ever written.
    pub fn absent() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::resident(limits, Residency::Exclusive)
    }

    fn resident(limits: Limits, residency: Residency) -> Self {
        let room = Room::new(config(&limits, residency));
        let (log, asked, past) = (MemoryLog::default(), VecDeque::new(), Vec::new());
        Self { room, now: START, limits, residency, log, asked, past }
    }

    /// A room that is not the only one of its document, which has this many updates; it knows nothing yet.
    pub fn shared(limits: Limits, updates: u8) -> Self {
        let mut table = Self::resident(limits, Residency::Shared);
        table.log.counts_generations = true;
        table.log.answer(LogOp::Create { updates: (1..=updates).map(edit).collect() }).unwrap();
        table
    }

    /// A room that knows that its document is there, and has this many updates: [`edit`] of 1, 2, ...
    pub fn live(updates: u8) -> Self {
        Self::live_with(Limits::default(), updates)
    }

    pub fn live_with(limits: Limits, updates: u8) -> Self {
        let mut table = Self::with(limits);
        let updates = (1..=updates).map(edit).collect();
        table.log.answer(LogOp::Create { updates }).unwrap();
        table.ask(999, head());
        assert_eq!(replies(&table.settle()).len(), 1);
        table
    }

    /// Gives one input. Whatever the state after it, the room must not want a tick again and again.
    pub fn give(&mut self, input: Input<'static>) -> Vec<Effect> {
        let effects = handle(&mut self.room, self.now, input.clone());
        self.past.push((self.now, input));
        self.asked.extend(stores(&effects));
        self.comes_to_rest(false);
        self.comes_to_rest(true);
        effects
    }

    pub fn ask(&mut self, conn: u64, request: DocRequest) -> Vec<Effect> {
        self.give(Input::Request { conn: ConnId(conn), request, expires: None })
    }

    /// A WebSocket that may write, and that has nothing to tell.
    pub fn open_socket(&mut self, conn: u64) {
        let (conn, grant) = (ConnId(conn), Grant { permission: Permission::Write, expires: None });
        self.give(Input::Open { conn, grant });
        self.settle();
        self.give(Input::Frame { conn, bytes: yonder_core::wire::step_2(&[0, 0]) });
    }

    pub fn leave(&mut self, conn: u64) -> Vec<Effect> {
        self.give(Input::Closed { conn: ConnId(conn) })
    }

    /// The store does what it was asked first, and says so.
    pub fn store(&mut self) -> Vec<Effect> {
        let (op, request) = self.asked.pop_front().unwrap();
        let reply = self.log.answer(request);
        self.give(Input::Stored { op, reply })
    }

    /// The store does not do what it was asked first, and says so.
    pub fn fail(&mut self, error: LogError) -> Vec<Effect> {
        let (op, _) = self.asked.pop_front().unwrap();
        self.give(Input::Stored { op, reply: Err(error) })
    }

    /// The store does what it was asked first; the reply is to be given later.
    pub fn late(&mut self) -> Input<'static> {
        let (op, request) = self.asked.pop_front().unwrap();
        Input::Stored { op, reply: self.log.answer(request) }
    }

    /// The store does all that it is asked.
    pub fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while !self.asked.is_empty() {
            effects.extend(self.store());
        }
        effects
    }

    /// Another's update is in the log, and the room does not know.
    pub fn append_unheard(&mut self, update: Bytes) -> LogReply {
        self.log.answer(LogOp::Append { updates: vec![update] }).unwrap()
    }

    /// Lets time pass, with a tick whenever the room wants one.
    pub fn wait(&mut self, millis: u64) -> Vec<Effect> {
        let end = self.now.after(millis);
        let mut effects = Vec::new();
        while let Some((at, _)) = self.room.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            effects.extend(self.give(Input::Tick));
        }
        self.now = end;
        effects
    }

    /// Plays the past to another room, and then only lets time pass: the store is silent or fails everything.
    fn comes_to_rest(&self, fails: bool) {
        let mut room = Room::new(config(&self.limits, self.residency));
        let (mut now, mut effects) = (START, Vec::new());
        for (at, input) in &self.past {
            now = *at;
            effects = handle(&mut room, now, input.clone());
        }
        let mut open: Vec<_> =
            if fails { self.asked.iter().map(|(op, _)| *op).collect() } else { Vec::new() };
        // A socket has the log read again for as long as it is there.
        let longest = match self.residency {
            Residency::Exclusive => 2 * self.limits.presence_stream_kept,
            Residency::Shared => 2 * self.limits.event_stream,
        };
        let (end, mut ticks) = (now.after(longest), 0);
        for _ in 0..2_000 {
            for op in core::mem::take(&mut open) {
                effects.extend(handle(
                    &mut room,
                    now,
                    Input::Stored { op, reply: Err(LogError::Unavailable) },
                ));
            }
            let Some((at, why)) = room.poll_timeout().filter(|(at, _)| *at < end) else { return };
            ticks = if at <= now { ticks + 1 } else { 1 };
            assert!(ticks <= TICKS, "the room does not get on: {why} at {at:?}, and it is {now:?}");
            now = now.max(at);
            effects = handle(&mut room, now, Input::Tick);
            if fails {
                open.extend(stores(&effects).map(|(op, _)| op));
            }
        }
        panic!("the room does not come to rest: {:?} at {now:?}", room.poll_timeout());
    }
}

fn config(limits: &Limits, residency: Residency) -> RoomConfig {
    RoomConfig { limits: Arc::new(limits.clone()), parks: residency == Residency::Shared, residency }
}

fn handle(room: &mut Room, now: Millis, input: Input<'_>) -> Vec<Effect> {
    let mut effects = Effects::new();
    room.handle(now, input, &mut effects);
    effects.drain().collect()
}

/// An update: client `n` inserts a letter into an empty text "t".
pub fn edit(n: u8) -> Bytes {
    Bytes::from(vec![1, 1, n, 0, 4, 1, 1, b't', 1, b'a' + n % 26, 0])
}

/// An awareness update about one client.
pub fn state(client: u64, clock: u64, json: &str) -> Bytes {
    let mut out = vec![1];
    put_var_uint(&mut out, client);
    put_var_uint(&mut out, clock);
    put_var_bytes(&mut out, json.as_bytes());
    out.into()
}

pub fn at(number: u64) -> Since {
    Since::At(Offset::new(number))
}

pub fn head() -> DocRequest {
    DocRequest::Exists { reply: Reply::empty(200), otherwise: ApiError::no_document() }
}

pub fn put() -> DocRequest {
    DocRequest::Create { content: Vec::new(), created: Reply::empty(201), existed: Ok(Reply::empty(200)) }
}

pub fn post(updates: &[Bytes]) -> DocRequest {
    DocRequest::Append { updates: updates.to_vec(), reply: Reply::empty(204) }
}

pub fn read(since: Since, live: Live) -> Read {
    Read { updates: Some(since), presence: None, live, cursor: None, if_none_match: None, held: false }
}

pub fn catch_up(since: Since) -> DocRequest {
    DocRequest::Read(read(since, Live::No))
}

pub fn long_poll(since: Since) -> DocRequest {
    DocRequest::Read(read(since, Live::LongPoll))
}

pub fn events(since: Since) -> DocRequest {
    DocRequest::Read(read(since, Live::Events))
}

/// A read of a presence stream alone.
pub fn watch(stream: &str, since: PresenceSince, live: Live) -> DocRequest {
    let presence = Some((stream.to_owned(), since));
    DocRequest::Read(Read { updates: None, presence, ..read(Since::Start, live) })
}

/// A read of the document and of who is there.
pub fn read_with_presence(since: Since, who: PresenceSince, live: Live) -> DocRequest {
    DocRequest::Read(Read { presence: Some(("default".to_owned(), who)), ..read(since, live) })
}

pub fn presence(stream: &str, what: PresenceOp) -> DocRequest {
    DocRequest::Presence { stream: stream.to_owned(), what }
}

pub fn announce(stream: &str, states: &[Bytes]) -> DocRequest {
    presence(stream, PresenceOp::Append(states.to_vec()))
}

pub fn stores(effects: &[Effect]) -> impl Iterator<Item = (OpId, LogOp)> + '_ {
    effects.iter().filter_map(|effect| {
        if let Effect::Store { op, request } = effect { Some((*op, request.clone())) } else { None }
    })
}

pub fn replies(effects: &[Effect]) -> Vec<(u64, Reply)> {
    let replies = effects.iter().filter_map(|effect| {
        if let Effect::Reply { conn, reply } = effect { Some((conn.0, reply.clone())) } else { None }
    });
    replies.collect()
}

/// Who was answered with which status.
pub fn statuses(effects: &[Effect]) -> Vec<(u64, u16)> {
    replies(effects).into_iter().map(|(conn, reply)| (conn, reply.status)).collect()
}

/// The one reply among some effects.
pub fn reply(effects: &[Effect]) -> Reply {
    let mut replies = replies(effects);
    assert_eq!(replies.len(), 1, "{effects:?}");
    replies.remove(0).1
}

/// What single connections were sent.
pub fn sent(effects: &[Effect]) -> Vec<(To, Bytes)> {
    let sent = effects.iter().filter_map(|effect| {
        if let Effect::Send { to, frame } = effect { Some((*to, frame.clone())) } else { None }
    });
    sent.collect()
}

pub fn closed(effects: &[Effect]) -> Vec<(u64, u16)> {
    let closed = effects.iter().filter_map(|effect| {
        if let Effect::Close { conn, reason } = effect { Some((conn.0, reason.code)) } else { None }
    });
    closed.collect()
}

/// `Stream-Next-Offset` as a number.
pub fn next_offset(reply: &Reply) -> Option<u64> {
    header(reply, "stream-next-offset").and_then(Offset::parse).map(|offset| offset.number())
}

/// The error's code.
pub fn code(reply: &Reply) -> String {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}
