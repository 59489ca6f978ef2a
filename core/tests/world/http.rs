//! HTTP requests of a world: whose answers are on their way, and what was said in them. And a store that does
//! things when it will: writes in their order, loads and compactions beside them, and replies that come later.

use super::World;
use super::log::MemoryLog;
use super::stream::{Event, parse, parts};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use yonder_core::http::Reply;
use yonder_core::log::{Life, LogError, LogOp, LogReply};
use yonder_core::request::DocRequest;
use yonder_core::{ConnId, Input, OpId, update};

/// A part of an answer.
#[derive(Debug)]
pub enum Piece {
    Reply(Reply),
    More(Bytes),
}

/// A request and its answer.
#[derive(Debug, Default)]
struct Exchange {
    /// On their way to the client.
    pieces: VecDeque<Piece>,
    /// It is answered as an event stream.
    streams: bool,
    over: bool,
}

/// All requests, and what the store has done and not yet said.
#[derive(Default)]
pub struct Requests {
    open: BTreeMap<ConnId, Exchange>,
    said: VecDeque<(OpId, bool, Result<LogReply, LogError>)>,
}

impl Requests {
    /// How many are not answered to their end.
    pub fn unanswered(&self) -> usize {
        self.open.values().filter(|exchange| !exchange.over).count()
    }

    /// The room is gone, and with it all who waited for it. What was sent before still arrives.
    pub(super) fn lose_all(&mut self) {
        self.said.clear();
        self.open.values_mut().for_each(|exchange| exchange.over = true);
    }

    pub(super) fn reply(&mut self, conn: ConnId, reply: Reply, log: &MemoryLog) {
        // A client that left is answered all the same where the store was asked for it.
        let Some(exchange) = self.open.get_mut(&conn) else { return };
        assert!(!exchange.over && !exchange.streams, "{conn:?} is answered twice: {reply:?}");
        check(&Piece::Reply(reply.clone()), log);
        (exchange.streams, exchange.over) = (reply.streams, !reply.streams);
        exchange.pieces.push_back(Piece::Reply(reply));
    }

    pub(super) fn send(&mut self, conn: ConnId, more: Bytes, log: &MemoryLog) {
        let Some(exchange) = self.open.get_mut(&conn) else { return };
        assert!(!exchange.over && exchange.streams, "{conn:?} is no event stream, or none any more");
        check(&Piece::More(more.clone()), log);
        exchange.pieces.push_back(Piece::More(more));
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        let Some(exchange) = self.open.get_mut(&conn) else { return };
        assert!(!exchange.over && exchange.streams, "{conn:?} is no event stream, or none any more");
        exchange.over = true;
    }
}

impl Piece {
    /// Updates, awareness updates, and the events that say where to go on.
    pub fn read(&self) -> (Vec<Bytes>, Vec<Bytes>, Vec<Event>) {
        let events = match self {
            Self::Reply(reply) if !reply.streams => {
                let is_read = reply.status == 200 && !reply.body.is_empty();
                let (updates, presence) = if is_read { parts(reply) } else { Default::default() };
                return (updates, presence, Vec::new());
            }
            Self::Reply(reply) => parse(&reply.body),
            Self::More(more) => parse(more),
        };
        let (mut updates, mut presence, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Data(frames) => updates.extend(frames),
                Event::Presence(frames) => presence.extend(frames),
                Event::Control(_) => places.push(event),
                Event::Comment => {}
            }
        }
        (updates, presence, places)
    }
}

/// What readers are told is stored at this moment; unless the document was deleted, and the room does not know.
fn check(piece: &Piece, log: &MemoryLog) {
    let (updates, ..) = piece.read();
    if log.life() == Life::Live && !updates.is_empty() {
        updates.iter().for_each(|update| assert!(has(log, update), "a reader is told what is not stored"));
    }
}

/// Whether the log has what an update ends with.
pub fn has(log: &MemoryLog, update: &[u8]) -> bool {
    let ends = |update: &[u8]| {
        let sections = update::inspect(update).unwrap().clients;
        sections.into_iter().map(|section| (section.client, section.end)).collect::<BTreeMap<_, _>>()
    };
    let stored = ends(&log.replica().diff(&[0]).unwrap());
    ends(update).iter().all(|(client, end)| stored.get(client).is_some_and(|stored| stored >= end))
}

/// Whether the store does such requests one after the other.
fn is_write(request: &LogOp) -> bool {
    !matches!(
        request,
        LogOp::Load { .. }
            | LogOp::Follow { .. }
            | LogOp::Compact { .. }
            | LogOp::ListVersions
            | LogOp::ReadVersion { .. }
            | LogOp::ReadPresence(_)
    )
}

impl World {
    pub fn request(&mut self, request: DocRequest) -> ConnId {
        let conn = self.new_conn();
        self.host.http.open.insert(conn, Exchange::default());
        self.give(Input::Request { conn, request, expires: None });
        conn
    }

    /// Cuts a request, with whatever is on its way.
    pub fn cut_request(&mut self, conn: ConnId) {
        if self.host.http.open.remove(&conn).is_some_and(|exchange| !exchange.over) {
            self.give(Input::Closed { conn });
        }
    }

    /// Delivers the next piece of an answer. An error tells whether there will be more.
    pub fn deliver(&mut self, conn: ConnId) -> Result<Piece, bool> {
        let exchange = self.host.http.open.get_mut(&conn).unwrap();
        let over = exchange.over;
        let piece = exchange.pieces.pop_front();
        if over && piece.is_none() {
            self.host.http.open.remove(&conn);
        }
        piece.ok_or(!over)
    }

    /// The store does one of the things that it could do now, or says that it failed, or both; the room hears of it
    /// later.
    pub fn work(&mut self, pick: usize, done: bool, said: bool) -> bool {
        let mut first_write = true;
        let could =
            |(_, request): &&(OpId, LogOp)| !is_write(request) || std::mem::replace(&mut first_write, false);
        let ops: Vec<_> = self.host.requests.iter().filter(could).map(|(op, _)| *op).collect();
        let Some(op) = pick.checked_rem(ops.len()).map(|index| ops[index]) else { return false };
        let index = self.host.requests.iter().position(|(known, _)| *known == op).unwrap();
        let (_, request) = self.host.requests.remove(index).unwrap();
        // A compaction ends with a write.
        let in_order = is_write(&request) || matches!(request, LogOp::Compact { .. });
        let reply = if done { self.host.log.answer(request) } else { Err(LogError::Unavailable) };
        let reply = if said { reply } else { Err(LogError::Unavailable) };
        self.host.http.said.push_back((op, in_order, reply));
        true
    }

    /// The room hears one of the replies that it could hear now.
    pub fn hear(&mut self, pick: usize) -> bool {
        let mut first_write = true;
        let said = &mut self.host.http.said;
        let could: Vec<_> = (0..said.len())
            .filter(|index| !said[*index].1 || std::mem::replace(&mut first_write, false))
            .collect();
        let Some(index) = pick.checked_rem(could.len()).map(|index| could[index]) else { return false };
        let (op, _, reply) = said.remove(index).unwrap();
        self.give(Input::Stored { op, reply });
        true
    }
}
