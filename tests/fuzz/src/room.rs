//! A room with a log in memory: an input is a row of things that happen to it.
//!
//! Whatever happens, every frame that it sends is one message that a client can read, a request is answered once at
//! most, what is parked fits, and when the store has done all that it was asked for, the room rests and its document
//! can be read.

use crate::input::Input;
use crate::log::MemoryLog;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use yonder_core::auth::{Grant, Permission};
use yonder_core::http::Reply;
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp};
use yonder_core::replica::validate;
use yonder_core::request::DocRequest;
use yonder_core::session::PARKED_MAX;
use yonder_core::wire::{Message, Messages, Reader};
use yonder_core::{
    Close, ConnId, DocName, Effects, Host, Input as Happens, Millis, OpId, Room, RoomConfig, To, drive,
};

/// A room and its host.
pub(crate) struct World {
    room: Room,
    host: MemoryHost,
    config: RoomConfig,
    effects: Effects,
    next_conn: u64,
}

struct MemoryHost {
    now: Millis,
    log: MemoryLog,
    sockets: BTreeSet<ConnId>,
    parked: BTreeMap<ConnId, Bytes>,
    /// Which requests were not answered, and which are streams.
    asking: BTreeMap<ConnId, bool>,
    store: VecDeque<(OpId, LogOp)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let log = MemoryLog::default();
        let limits = Limits { held: 8, connections: 8, document_bytes: 1 << 20, ..log.limits() };
        let config = RoomConfig { limits: Arc::new(limits), parks: true, ..RoomConfig::default() };
        let host = MemoryHost {
            now: Millis(1_800_000_000_000),
            log,
            sockets: BTreeSet::new(),
            parked: BTreeMap::new(),
            asking: BTreeMap::new(),
            store: VecDeque::new(),
        };
        Self { room: Room::new(config.clone()), host, config, effects: Effects::new(), next_conn: 0 }
    }

    fn give(&mut self, what: Happens<'_>) {
        drive(&mut self.host, &mut self.room, &mut self.effects, what);
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&mut self, permission: Permission, expires: Option<Millis>) -> ConnId {
        let conn = self.conn();
        self.host.sockets.insert(conn);
        self.give(Happens::Open { conn, grant: Grant { permission, expires } });
        conn
    }

    pub(crate) fn resume(&mut self, parked: &[u8]) -> ConnId {
        let conn = self.conn();
        self.host.sockets.insert(conn);
        self.give(Happens::Resume { conn, parked });
        conn
    }

    pub(crate) fn frame(&mut self, conn: ConnId, bytes: Bytes) {
        if self.host.sockets.contains(&conn) {
            self.give(Happens::Frame { conn, bytes });
        }
    }

    pub(crate) fn request(&mut self, request: DocRequest, expires: Option<Millis>) -> ConnId {
        let conn = self.conn();
        self.host.asking.insert(conn, false);
        self.give(Happens::Request { conn, request, expires });
        conn
    }

    fn close(&mut self, conn: ConnId) {
        self.host.forget(conn);
        self.give(Happens::Closed { conn });
    }

    /// The store does the oldest thing that it was asked for, or fails.
    pub(crate) fn store(&mut self, works: bool) -> bool {
        let Some((op, request)) = self.host.store.pop_front() else { return false };
        let reply = if works { self.host.log.answer(request) } else { Err(LogError::Unavailable) };
        self.give(Happens::Stored { op, reply });
        true
    }

    pub(crate) fn advance(&mut self, millis: u64) {
        self.host.now = self.host.now.after(millis);
        for _ in 0..8 {
            match self.room.poll_timeout() {
                Some((at, _)) if at <= self.host.now => self.give(Happens::Tick),
                Some(_) | None => return,
            }
        }
        panic!("the room does not get on: {:?}", self.room.poll_timeout());
    }

    /// The room is dropped and built anew.
    pub(crate) fn evict(&mut self) {
        for (_, request) in std::mem::take(&mut self.host.store) {
            let _ = self.host.log.answer(request);
        }
        self.host.asking.clear();
        self.room = Room::new(self.config.clone());
        for (conn, parked) in self.host.parked.clone() {
            self.give(Happens::Resume { conn, parked: &parked });
            let again = self.host.parked.get(&conn);
            assert!(again.is_none_or(|again| same_clients(&parked, again)), "{parked:?} became {again:?}");
        }
    }

    /// What is parked for the only connection of a room, once it is resumed; none if it cannot be.
    pub(crate) fn resume_alone(mut self, parked: &[u8]) -> Option<Bytes> {
        let conn = self.resume(parked);
        self.parked(conn)
    }

    pub(crate) fn parked(&self, conn: ConnId) -> Option<Bytes> {
        self.host.parked.get(&conn).cloned()
    }

    /// Lets the rest of an input happen.
    pub(crate) fn play(&mut self, input: &mut Input<'_>) {
        while !input.is_empty() {
            let step = input.byte();
            let pick =
                |conns: Vec<ConnId>, which: u8| conns.get(usize::from(which) % conns.len().max(1)).copied();
            let socket = pick(self.host.sockets.iter().copied().collect(), step >> 4);
            match step & 15 {
                0 => drop(self.open(Permission::Write, None)),
                1 => drop(
                    self.open(Permission::Read, Some(self.host.now.after(u64::from(input.byte()) * 1000))),
                ),
                2 => socket.into_iter().for_each(|conn| self.close(conn)),
                3 => {
                    let asking = pick(self.host.asking.keys().copied().collect(), step >> 4);
                    asking.into_iter().for_each(|conn| self.close(conn));
                }
                4 | 5 => drop(self.store(true)),
                6 => drop(self.store(false)),
                7 => self.advance(u64::from(input.byte()) * 200),
                8 => self.evict(),
                9 => {
                    if let Some((request, expires)) = crate::http::ask(input) {
                        self.request(request, expires);
                    }
                }
                _ => {
                    let bytes = input.bytes();
                    socket.into_iter().for_each(|conn| self.frame(conn, bytes.clone()));
                }
            }
        }
    }

    /// Lets the store do all, and checks what is left.
    pub(crate) fn rest(mut self) {
        for _ in 0..1_000 {
            if !self.store(true) {
                if self.room.is_idle() {
                    break;
                }
                self.advance(100);
            }
        }
        assert!(self.room.is_idle(), "the room does not come to rest: {:?}", self.room.poll_timeout());
        let unanswered = self.host.asking.values().filter(|streams| !**streams).count();
        assert!(unanswered <= self.config.limits.held, "{unanswered} requests are not answered");
        let document = self.host.log.replica().diff(&[0]).expect("the document");
        validate(&document).expect("the document is an update");
        self.evict();
    }
}

/// Whether a session that was resumed parks its grant, and no client that it had not parked.
fn same_clients(before: &[u8], after: &[u8]) -> bool {
    const LASTING: u8 = 1 | 2 | 4 | 32;
    before[1] & LASTING == after[1] & LASTING && after.len() <= PARKED_MAX
}

impl MemoryHost {
    fn forget(&mut self, conn: ConnId) {
        self.sockets.remove(&conn);
        self.parked.remove(&conn);
        self.asking.remove(&conn);
    }
}

impl Host for MemoryHost {
    fn now(&self) -> Millis {
        self.now
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        self.store.push_back((op, request));
    }

    fn send(&mut self, to: To, frame: Bytes) {
        match to {
            To::Conn(conn) if self.asking.get(&conn) == Some(&true) => {}
            To::Conn(conn) if self.sockets.contains(&conn) => check(&frame),
            To::Sockets { .. } => check(&frame),
            To::Conn(conn) => panic!("{conn:?} is gone and is sent {frame:?}"),
        }
    }

    fn park(&mut self, conn: ConnId, state: Bytes) {
        assert!(state.len() <= PARKED_MAX, "{} bytes", state.len());
        assert!(self.sockets.contains(&conn));
        self.parked.insert(conn, state);
    }

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        assert!((200..600).contains(&reply.status));
        for (name, value) in &reply.headers {
            let good = value.bytes().all(|byte| byte >= b' ' && byte != 127);
            assert!(good, "{name}: {value:?}");
        }
        // A client that left is answered all the same where the store was asked for it.
        if reply.streams {
            let before = self.asking.insert(conn, true);
            assert_eq!(before, Some(false), "it is answered once");
        } else {
            assert_ne!(self.asking.remove(&conn), Some(true), "it was answered");
        }
    }

    fn forward(&mut self, conn: ConnId, _: DocName, request: DocRequest) {
        assert!(matches!(request, DocRequest::Create { .. }));
        self.asking.remove(&conn);
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        assert!(reason.reason.len() <= 123);
        self.forget(conn);
    }
}

/// What is sent to a WebSocket: one message, which clients can read.
fn check(frame: &[u8]) {
    let mut messages = Messages::new(frame);
    let message = messages.next().expect("there is a message").expect("it can be read");
    assert!(messages.next().is_none(), "clients read no more than one message a frame");
    match message {
        Message::SyncStep1(vector) => {
            drop(yonder_core::update::read_state_vector(vector).expect("a state vector"))
        }
        Message::SyncStep2(update) | Message::Update(update) => drop(validate(update).expect("an update")),
        Message::Awareness(states) => read_states(states),
        Message::Auth(_) | Message::QueryAwareness | Message::Echo(_) => {}
    }
}

/// Reads an awareness update as clients do.
pub(crate) fn read_states(states: &[u8]) {
    let mut reader = Reader::new(states);
    for _ in 0..reader.var_uint().unwrap() {
        reader.var_uint().unwrap();
        reader.var_uint().unwrap();
        let json = reader.var_str().unwrap();
        serde_json::from_str::<serde::de::IgnoredAny>(json).expect("a state is JSON");
    }
    assert!(reader.is_empty());
}
