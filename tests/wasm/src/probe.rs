//! One room with the host that it runs on.

use crate::log::MemoryLog;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use yonder_core::auth::{Claims, Grant, Keys, Permission, Scope};
use yonder_core::http::{Access, Asking, Config, Reply, Request, Route, route};
use yonder_core::limits::Limits;
use yonder_core::log::LogOp;
use yonder_core::request::DocRequest;
use yonder_core::{Close, ConnId, DocName, Effects, Host, Input, Millis, OpId, Room, RoomConfig, To, drive};

/// The key of the server that [`Probe::request`] asks.
const KEY: &str = "key";

const TO_ONE: u8 = 1;
const TO_ALL_BUT: u8 = 2;
const END: u8 = 3;
const ANSWER: u8 = 4;

/// Requests are numbered from here on, behind what [`crate::open`] is given.
const FIRST_REQUEST: u64 = 1 << 32;

/// A room, what surrounds it, and the bytes that go in and out.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) host: Outside,
    pub(crate) log: MemoryLog,
    pub(crate) room: Parking,
    effects: Effects,
    asked: u64,
}

/// A room that parks its sessions, as one does whose connections outlive it.
pub(crate) struct Parking(Room);

impl Default for Parking {
    fn default() -> Self {
        Self(Room::new(RoomConfig { parks: true, ..RoomConfig::default() }))
    }
}

impl core::ops::Deref for Parking {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.0
    }
}

/// What the room sees of its host.
#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) now: Millis,
    pub(crate) outputs: VecDeque<Vec<u8>>,
    asked: VecDeque<(OpId, LogOp)>,
    parked: BTreeMap<ConnId, Bytes>,
}

impl Probe {
    /// Gives the room an input, and does what follows from it.
    pub(crate) fn drive(&mut self, input: Input<'_>) {
        drive(&mut self.host, &mut self.room.0, &mut self.effects, input);
    }

    pub(crate) fn open(&mut self, conn: ConnId) {
        self.drive(Input::Open { conn, grant: Grant::OPEN });
    }

    /// See [`crate::settle`].
    pub(crate) fn settle(&mut self) -> u32 {
        let mut answered = 0;
        while let Some((op, request)) = self.host.asked.pop_front() {
            let reply = self.log.answer(request);
            self.drive(Input::Stored { op, reply });
            answered += 1;
        }
        answered
    }

    /// See [`crate::rebuild`].
    pub(crate) fn rebuild(&mut self) {
        self.room = Parking::default();
        self.host.asked.clear();
        for (conn, parked) in core::mem::take(&mut self.host.parked) {
            self.drive(Input::Resume { conn, parked: &parked });
        }
    }

    /// See [`crate::request`]. The answer's status is 101 where there would be a WebSocket.
    pub(crate) fn request(&mut self) {
        let target = String::from_utf8_lossy(&core::mem::take(&mut self.input)).into_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let header = |name| (name == "upgrade").then_some("websocket");
        let request = Request { method: "GET", path, query, header: &header, secure: false, random: &|| 4 };
        let config =
            Config { access: Access::Keys(keys()), public_url: None, limits: Arc::new(Limits::default()) };
        let reply = match route(&Arc::new(config), &request, self.host.now) {
            Route::Reply(reply) => reply,
            Route::Socket(Err(error)) => error.into(),
            Route::Socket(Ok((doc, _))) => Reply::json(101, doc.as_str().to_owned()),
            // The answer comes when the store has said what it knows.
            Route::Document(Asking { request, expires, .. }) => {
                self.asked += 1;
                let conn = ConnId(FIRST_REQUEST + self.asked);
                return self.drive(Input::Request { conn, request, expires });
            }
            Route::Catalog { .. } | Route::Body { .. } => Reply::json(501, "not in this module"),
        };
        self.host.put(ANSWER, reply.status.into(), &[&reply.body]);
    }

    /// See [`crate::mint`].
    pub(crate) fn mint(&mut self) {
        let doc = String::from_utf8_lossy(&core::mem::take(&mut self.input)).into_owned();
        let exp = self.host.now.after(60_000).0 / 1000;
        let claims = Claims {
            scope: Scope::Doc(doc),
            service: None,
            perm: Permission::Write,
            exp,
            nbf: None,
            sub: None,
        };
        self.host.put(ANSWER, 200, &[keys().mint(&claims).as_bytes()]);
    }
}

fn keys() -> Keys {
    Keys::parse([KEY]).expect("one key")
}

impl Outside {
    fn put(&mut self, kind: u8, conn: u32, body: &[&[u8]]) {
        let mut output = vec![kind];
        output.extend(conn.to_le_bytes());
        output.extend(body.concat());
        self.outputs.push_back(output);
    }
}

impl Host for Outside {
    fn now(&self) -> Millis {
        self.now
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        self.asked.push_back((op, request));
    }

    fn send(&mut self, to: To, frame: Bytes) {
        match to {
            To::Conn(conn) => self.put(TO_ONE, number(conn), &[&frame]),
            To::Sockets { except } => self.put(TO_ALL_BUT, except.map_or(u32::MAX, number), &[&frame]),
        }
    }

    fn park(&mut self, conn: ConnId, state: Bytes) {
        self.parked.insert(conn, state);
    }

    fn reply(&mut self, _: ConnId, reply: Reply) {
        self.put(ANSWER, reply.status.into(), &[&reply.body]);
    }

    fn forward(&mut self, _: ConnId, _: DocName, _: DocRequest) {
        self.put(ANSWER, 501, &[b"one room only"]);
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        self.parked.remove(&conn);
        self.put(END, number(conn), &[&reason.code.to_le_bytes(), reason.reason.as_bytes()]);
    }
}

/// The number that came in by [`crate::open`].
fn number(conn: ConnId) -> u32 {
    u32::try_from(conn.0).expect("a number of ours")
}
