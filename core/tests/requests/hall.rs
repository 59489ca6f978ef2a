//! A document that any number of rooms share: rooms come and go, the log stays, and sockets go from room to room.

use crate::log::MemoryLog;
use crate::table::*;
use bytes::Bytes;
use std::sync::Arc;
use yonder_core::auth::{Grant, Permission};
use yonder_core::http::Reply;
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp, PresencePart};
use yonder_core::request::DocRequest;
use yonder_core::wire::{self, Message, Messages};
use yonder_core::{ConnId, Effect, Effects, Input, Millis, Residency, Room, RoomConfig, To};

/// An entry of an awareness update: client, clock, state.
pub type Entry = (u64, u64, String);

pub struct Hall {
    pub log: MemoryLog,
    pub now: Millis,
    pub limits: Limits,
    pub residency: Residency,
    pub reads: usize,
    pub writes: usize,
    /// Requests to the log beside these.
    pub others: usize,
    /// The store does nothing with presence.
    pub fails: Option<LogError>,
    /// What all sockets were told.
    pub told: Vec<Entry>,
    conns: u64,
}

/// A socket, wherever it is.
pub struct Socket {
    pub parked: Option<Bytes>,
    /// What it alone was told.
    pub told: Vec<Entry>,
}

impl Hall {
    pub fn new() -> Self {
        let mut log = MemoryLog::default();
        log.counts_generations = true;
        log.answer(LogOp::Create { updates: vec![edit(1)] }).unwrap();
        let (now, limits, residency) = (START, Limits::default(), Residency::Shared);
        let (reads, writes, others, fails, told, conns) = (0, 0, 0, None, Vec::new(), 0);
        Self { log, now, limits, residency, reads, writes, others, fails, told, conns }
    }

    pub fn room(&self) -> Room {
        Room::new(RoomConfig {
            limits: Arc::new(self.limits.clone()),
            parks: true,
            residency: self.residency,
        })
    }

    pub fn conn(&mut self) -> ConnId {
        self.conns += 1;
        ConnId(self.conns)
    }

    /// Gives an input, and has the store do all that follows.
    pub fn give(&mut self, room: &mut Room, input: Input<'_>) -> Vec<Effect> {
        let effects = self.hand(room, input);
        self.do_all(room, effects)
    }

    /// Has the store do all that is wanted and all that follows.
    fn do_all(&mut self, room: &mut Room, mut effects: Vec<Effect>) -> Vec<Effect> {
        let mut done = 0;
        while done < effects.len() {
            if let Effect::Store { op, request } = effects[done].clone() {
                let reply = self.store(request);
                effects.extend(self.hand(room, Input::Stored { op, reply }));
            }
            done += 1;
        }
        effects
    }

    /// Gives an input; the store does nothing yet.
    pub fn hand(&mut self, room: &mut Room, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Effects::new();
        room.handle(self.now, input, &mut effects);
        let effects: Vec<_> = effects.drain().collect();
        for (to, frame) in sent(&effects) {
            if matches!(to, To::Sockets { .. }) {
                self.told.extend(heard(&frame));
            }
        }
        effects
    }

    pub fn store(&mut self, request: LogOp) -> Result<yonder_core::log::LogReply, LogError> {
        if matches!(request, LogOp::ReadPresence(_)) {
            self.reads += 1;
        } else if matches!(request, LogOp::WritePresence { .. }) {
            self.writes += 1;
        } else {
            self.others += 1;
            return self.log.answer(request);
        }
        self.fails.map_or_else(|| self.log.answer(request), Err)
    }

    /// Lets time pass for one room.
    pub fn pass(&mut self, room: &mut Room, millis: u64) -> Vec<Effect> {
        let (end, mut effects) = (self.now.after(millis), Vec::new());
        for _ in 0..2_000 {
            let Some((at, _)) = room.poll_timeout().filter(|(at, _)| *at <= end) else {
                self.now = end;
                return effects;
            };
            self.now = self.now.max(at);
            effects.extend(self.give(room, Input::Tick));
        }
        panic!("the room does not come to rest: {:?}", room.poll_timeout());
    }

    pub fn ask(&mut self, room: &mut Room, request: DocRequest) -> (ConnId, Vec<Effect>) {
        let conn = self.conn();
        (conn, self.give(room, Input::Request { conn, request, expires: None }))
    }

    /// Asks a room, and waits for the answer; how long that took.
    pub fn answer(&mut self, room: &mut Room, request: DocRequest) -> (Reply, u64) {
        let began = self.now;
        let (conn, mut effects) = self.ask(room, request);
        for _ in 0..2_000 {
            if let Some((_, reply)) = replies(&effects).into_iter().find(|(answered, _)| *answered == conn.0)
            {
                return (reply, self.now.since(began));
            }
            let (at, _) = room.poll_timeout().unwrap();
            self.now = self.now.max(at);
            effects = self.give(room, Input::Tick);
        }
        panic!("no answer");
    }

    /// The same of a room that nobody asked before, and nobody will again.
    pub fn once(&mut self, request: DocRequest) -> Reply {
        self.once_timed(request).0
    }

    pub fn once_timed(&mut self, request: DocRequest) -> (Reply, u64) {
        let mut room = self.room();
        self.answer(&mut room, request)
    }

    pub fn open(&mut self) -> Socket {
        let mut socket = Socket { parked: None, told: Vec::new() };
        self.visit(&mut socket, &[wire::step_2(&[0, 0])]);
        socket
    }

    /// What a socket sends goes to a room of its own, which it leaves when nothing is owed to it.
    pub fn visit(&mut self, socket: &mut Socket, frames: &[Bytes]) {
        let mut room = self.room();
        self.visit_in(&mut room, socket, frames);
    }

    pub fn visit_in(&mut self, room: &mut Room, socket: &mut Socket, frames: &[Bytes]) {
        let conn = self.conn();
        let mut effects = self.enter(room, conn, socket);
        // They come together.
        let handed: Vec<_> = frames
            .iter()
            .flat_map(|frame| self.hand(room, Input::Frame { conn, bytes: frame.clone() }))
            .collect();
        effects.extend(self.do_all(room, handed));
        effects.extend(self.settle(room, conn));
        let parked = effects.iter().rev().find_map(|effect| {
            if let Effect::Park { conn: parked, state } = effect
                && *parked == conn
            {
                return Some(state.clone());
            }
            None
        });
        socket.parked = Some(parked.unwrap());
        socket.hear(&effects, conn);
        assert_eq!(self.give(room, Input::Leave { conn }), []);
        assert!(!room.owes(conn));
    }

    fn enter(&mut self, room: &mut Room, conn: ConnId, socket: &Socket) -> Vec<Effect> {
        match &socket.parked {
            Some(parked) => self.give(room, Input::Resume { conn, parked }),
            None => {
                let grant = Grant { permission: Permission::Write, expires: None };
                self.give(room, Input::Open { conn, grant })
            }
        }
    }

    /// Waits for as long as something is owed.
    fn settle(&mut self, room: &mut Room, conn: ConnId) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..2_000 {
            if !room.owes(conn) {
                return effects;
            }
            let (at, _) = room.poll_timeout().unwrap();
            self.now = self.now.max(at);
            effects.extend(self.give(room, Input::Tick));
        }
        panic!("something is owed for ever");
    }

    /// Its connection ends, and a room hears of it that knew nothing.
    pub fn close(&mut self, socket: Socket) {
        let mut room = self.room();
        let conn = self.conn();
        self.enter(&mut room, conn, &socket);
        self.give(&mut room, Input::Closed { conn });
        self.settle(&mut room, conn);
        assert!(room.is_idle());
    }

    pub fn kept(&self, part: PresencePart) -> Option<&Bytes> {
        self.log.presence.get(&part)
    }

    /// What all sockets were told since this was asked last.
    pub fn told(&mut self) -> Vec<Entry> {
        core::mem::take(&mut self.told)
    }
}

impl Socket {
    fn hear(&mut self, effects: &[Effect], conn: ConnId) {
        for (to, frame) in sent(effects) {
            if to == To::Conn(conn) {
                self.told.extend(heard(&frame));
            }
        }
    }
}

/// The awareness entries of a frame.
fn heard(frame: &Bytes) -> Vec<Entry> {
    let mut all = Vec::new();
    for message in Messages::new(frame) {
        if let Message::Awareness(states) = message.unwrap() {
            all.extend(crate::presence::who_in(states));
        }
    }
    all
}
