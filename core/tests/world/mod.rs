//! A room, its log and its clients in one process and one thread: clients are real replicas that behave as
//! y-websocket's do, the log is in memory, and whatever is under way is a queue that the test empties.

pub mod client;
pub mod http;
mod log;
pub mod reader;
pub mod stream;

pub use client::Client;
pub use log::MemoryLog;

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use yonder_core::auth::{Grant, Permission};
use yonder_core::http::Reply;
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp, Offset};
use yonder_core::request::DocRequest;
use yonder_core::{Close, ConnId, DocName, Effects, Host, Input, Millis, OpId, Room, RoomConfig, To, drive};

/// Everything around the room.
pub struct World {
    pub room: Room,
    pub host: TestHost,
    pub clients: Vec<Client>,
    config: RoomConfig,
    effects: Effects,
    next_conn: u64,
}

/// A host whose sockets and store are queues.
pub struct TestHost {
    pub now: Millis,
    pub log: MemoryLog,
    /// Frames on their way to each open connection.
    pub sockets: BTreeMap<ConnId, VecDeque<Bytes>>,
    pub parked: BTreeMap<ConnId, Bytes>,
    pub closed: Vec<(ConnId, Close)>,
    /// Requests that the store has not answered.
    pub requests: VecDeque<(OpId, LogOp)>,
    /// How often the document was asked for.
    pub loads: usize,
    pub http: http::Requests,
}

impl World {
    pub fn new(clients: usize) -> Self {
        Self::with_limits(clients, MemoryLog::default().limits())
    }

    pub fn with_limits(clients: usize, limits: Limits) -> Self {
        let host = TestHost {
            now: Millis(1_800_000_000_000),
            log: MemoryLog::default(),
            sockets: BTreeMap::new(),
            parked: BTreeMap::new(),
            closed: Vec::new(),
            requests: VecDeque::new(),
            loads: 0,
            http: http::Requests::default(),
        };
        let config = RoomConfig { limits: Arc::new(limits), parks: true, ..RoomConfig::default() };
        Self {
            room: Room::new(config.clone()),
            host,
            clients: (0..clients).map(Client::new).collect(),
            config,
            effects: Effects::new(),
            next_conn: 1,
        }
    }

    pub fn give(&mut self, input: Input<'_>) {
        drive(&mut self.host, &mut self.room, &mut self.effects, input);
        let parked = |conn: &ConnId| self.host.parked.get(conn).map(Bytes::len);
        assert!(
            self.host
                .sockets
                .keys()
                .filter_map(parked)
                .all(|bytes| bytes <= yonder_core::session::PARKED_MAX)
        );
        // A client that was sent away knows it at once.
        for client in &mut self.clients {
            if client.conn.is_some_and(|conn| !self.host.sockets.contains_key(&conn)) {
                client.disconnected();
            }
        }
    }

    /// Connects a client that is offline.
    pub fn open(&mut self, client: usize) {
        if self.clients[client].conn.is_some() {
            return;
        }
        let conn = self.new_conn();
        self.host.sockets.insert(conn, VecDeque::new());
        self.clients[client].connected(conn);
        let grant = Grant { permission: Permission::Write, expires: None };
        self.give(Input::Open { conn, grant });
    }

    fn new_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Cuts a client's connection, with whatever is on its way.
    pub fn cut(&mut self, client: usize) {
        if let Some(conn) = self.clients[client].conn {
            self.host.sockets.remove(&conn);
            self.host.parked.remove(&conn);
            self.clients[client].disconnected();
            self.give(Input::Closed { conn });
        }
    }

    /// Delivers the oldest frame of a client to the room; false if there is none.
    pub fn deliver_up(&mut self, client: usize) -> bool {
        let Some(conn) = self.clients[client].conn else { return false };
        let Some(bytes) = self.clients[client].outbox.pop_front() else { return false };
        self.give(Input::Frame { conn, bytes });
        true
    }

    /// Delivers the oldest frame for a client to it; false if there is none.
    pub fn deliver_down(&mut self, client: usize) -> bool {
        let Some(conn) = self.clients[client].conn else { return false };
        let Some(frame) = self.host.sockets.get_mut(&conn).and_then(VecDeque::pop_front) else {
            return false;
        };
        self.clients[client].receive(&frame, &self.host.log);
        true
    }

    /// The store works on its oldest request, or on its newest. `done`: it does it; `said`: and the room hears so,
    /// else of an error.
    pub fn store(&mut self, done: bool, said: bool, newest: bool) -> bool {
        let requests = &mut self.host.requests;
        let request = if newest { requests.pop_back() } else { requests.pop_front() };
        let Some((op, request)) = request else { return false };
        let reply = if done { self.host.log.answer(request) } else { Err(LogError::Unavailable) };
        let reply = if said { reply } else { Err(LogError::Unavailable) };
        self.give(Input::Stored { op, reply });
        true
    }

    /// Drops the room and builds it anew, as a host that hibernates does. The store may still do what was asked.
    pub fn evict(&mut self, finishes: bool) {
        for (_, request) in std::mem::take(&mut self.host.requests) {
            if finishes {
                let _ = self.host.log.answer(request);
            }
        }
        self.host.http.lose_all();
        self.room = Room::new(self.config.clone());
        for (conn, parked) in self.host.parked.clone() {
            self.give(Input::Resume { conn, parked: &parked });
        }
    }

    pub fn advance(&mut self, millis: u64) {
        self.host.now = self.host.now.after(millis);
        for _ in 0..5 {
            let Some((at, _)) = self.room.poll_timeout() else { return };
            if at > self.host.now {
                return;
            }
            self.give(Input::Tick);
        }
        panic!("the room does not get on: {:?}", self.room.poll_timeout());
    }

    /// Lets everything that is under way arrive, and everyone come back.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.store(true, true, false);
            for client in 0..self.clients.len() {
                self.open(client);
                moved |= self.deliver_up(client) | self.deliver_down(client);
            }
            if !moved && self.room.is_idle() {
                return;
            }
            if !moved {
                self.advance(100);
            }
        }
        panic!("the world does not come to rest: {:?}", self.room.poll_timeout());
    }
}

impl Host for TestHost {
    fn now(&self) -> Millis {
        self.now
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        self.loads += usize::from(matches!(request, LogOp::Load { since: Offset::START }));
        self.requests.push_back((op, request));
    }

    fn send(&mut self, to: To, frame: Bytes) {
        for (conn, socket) in &mut self.sockets {
            let meant = match to {
                To::Conn(only) => only == *conn,
                To::Sockets { except } => except != Some(*conn),
            };
            if meant {
                socket.push_back(frame.clone());
            }
        }
        if let To::Conn(conn) = to {
            self.http.send(conn, frame, &self.log);
        }
    }

    fn park(&mut self, conn: ConnId, state: Bytes) {
        if self.sockets.contains_key(&conn) {
            self.parked.insert(conn, state);
        }
    }

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        self.http.reply(conn, reply, &self.log);
    }

    fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest) {
        panic!("nobody asked: {conn:?} {doc} {request:?}");
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        self.sockets.remove(&conn);
        self.parked.remove(&conn);
        self.http.close(conn);
        self.closed.push((conn, reason));
    }
}
