//! Presence where any number of instances share the document ([`crate::Residency::Shared`]): it is kept in two small
//! values beside the log ([`Kept`]), each of which is read, changed and written by whoever has something to say.
//!
//! A [`Shelf`] does this for one of the values, one request to the store at a time. What is to be done is a [`Wish`]: it
//! is judged by a value that was read after it came, and answered and told to others when that is written. Only the moves
//! of clients that a connection of this room brought are told before.
//!
//! # What it costs
//!
//! | | reads | writes |
//! |---|---|---|
//! | a client comes, goes, or is announced by HTTP | 1 | 1 |
//! | a client of a connection moves or is renewed | 1 | 1, at most every [`Limits::presence_pause`]; none for what is between |
//! | a connection repeats what it heard from another client | 1, or 0 if this room knows it | 0 |
//! | a connection opens, or asks who is there; a read, `HEAD` | 1 | 0 |
//! | somebody waits for presence | 1 with each re-read ([`crate::limits::Reread`]) | 1 when a state has expired |
//! | nobody asks for presence | 0 | 0 |
//!
//! A store that counts is also asked for a number with each write: its writers take turns.

mod hear;
mod judge;
mod say;
mod tend;

use super::Residency;
use crate::collections::Map;
use crate::effect::{ConnId, Millis, OpId};
use crate::http::streams::DEFAULT_STREAM;
use crate::http::{ApiError, Reply};
use crate::limits::Limits;
use crate::log::PresencePart;
use crate::presence::{Kept, Writer, last_of_each, read_entries};
use crate::request::{PresenceOffset, PresenceOp};
use crate::session::ParkedClient;
use bytes::Bytes;

/// All that is kept of a document's presence, and the clients whose connections are here. Where documents are never
/// shared there is no such thing.
#[derive(Debug)]
#[cfg_attr(feature = "shared", derive(Default))]
pub(super) struct Shelves {
    default: Shelf,
    named: Shelf,
    own: Map<u64, Own>,
    /// Moves that were not stored when their connections went on elsewhere, where they are stored late.
    left: Map<u64, Left>,
    #[cfg(not(feature = "shared"))]
    _never: core::convert::Infallible,
}

/// A client of a connection of this room.
#[derive(Debug)]
struct Own {
    conn: ConnId,
    clock: u64,
    /// See [`crate::presence::kept::Known::owner`].
    token: u64,
    /// Its last state, if that is not stored.
    unstored: Option<Bytes>,
}

/// A move of a client whose connection is not here any more.
#[derive(Debug)]
struct Left {
    clock: u64,
    token: u64,
    state: Bytes,
}

/// What is to be read first, and which read it is.
pub(super) type Look = (PresencePart, u64);

/// One of the values.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// As it was read or written last.
    kept: Option<Kept>,
    /// Reads of it: who waits for one waits for the next that begins.
    begun: u64,
    ended: u64,
    /// The read that somebody waits for.
    wanted: u64,
    on_its_way: Option<(OpId, Doing)>,
    /// A value that was read, until the document's generation is known.
    unread: Option<Option<Bytes>>,
    wishes: Vec<Wanted>,
    /// Connections that are to be told who is there; whether they asked.
    greetings: Vec<(ConnId, bool, u64)>,
    /// When what is not stored is, at the latest.
    due: Option<Millis>,
    /// It was put off once.
    put_off: bool,
    /// Others wait for us to write.
    has_turn: bool,
    /// When it is read again for those who wait for something to happen; milliseconds until the next time.
    look_at: Option<Millis>,
    interval: u64,
    /// How often in a row something new was found.
    found: u32,
    failing_since: Option<Millis>,
    failures: u32,
    rests_until: Option<Millis>,
}

#[derive(Debug)]
enum Doing {
    Read,
    Write(Box<Change>),
}

/// A wish, and since when.
#[derive(Debug)]
struct Wanted {
    wish: Wish,
    round: u64,
    /// It was put off once.
    put_off: bool,
}

/// What is to be done with a value.
#[derive(Debug)]
enum Wish {
    /// An awareness update of a connection.
    Announce { conn: ConnId, introduces: bool, update: Bytes },
    /// The clients of a connection that closed: id, clock, token.
    Gone { conn: ConnId, clients: Vec<(u64, u64, u64)> },
    /// An HTTP request.
    Request { conn: ConnId, stream: String, what: PresenceOp },
    /// A stream is used by who reads it.
    Touch { stream: String },
}

/// A value that is changed, and what is to be said then.
#[derive(Debug, Default)]
struct Change {
    kept: Kept,
    wishes: Vec<Wanted>,
    said: Said,
}

/// What is to be said.
#[derive(Debug, Default)]
struct Said {
    relay: Writer,
    tells: Vec<(ConnId, Bytes)>,
    replies: Vec<(ConnId, String, Result<Reply, ApiError>)>,
    /// Clients and the connections that own them now, with the clocks.
    owned: Vec<(u64, ConnId, u64)>,
    /// Clients that perhaps came back over these.
    claimed: Vec<(u64, ConnId, u64)>,
    /// Moves that are stored then.
    moved: Vec<(u64, u64)>,
    /// Streams that are no more.
    ended: Vec<String>,
    /// Somebody came or went.
    urgent: bool,
}

impl Wish {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Announce { conn, .. } | Self::Gone { conn, .. } | Self::Request { conn, .. } => Some(*conn),
            Self::Touch { .. } => None,
        }
    }
}

impl Shelf {
    fn wish(&mut self, wish: Wish) {
        self.wishes.push(Wanted { wish, round: self.begun + 1, put_off: false });
    }

    /// An update of a connection. What it says while an earlier one waits goes with that: of each client only the last.
    /// How a connection introduces itself says nothing of what it repeats.
    fn announce(&mut self, conn: ConnId, introduces: bool, update: &Bytes, limits: &Limits) {
        for wanted in self.wishes.iter_mut().rev() {
            match &mut wanted.wish {
                Wish::Announce { conn: waits, introduces: first, update: earlier } if *waits == conn => {
                    if *first != introduces {
                        break;
                    }
                    *earlier = last_of_each(earlier, update, 2 * limits.awareness_per_connection, limits);
                    return;
                }
                Wish::Announce { .. } | Wish::Gone { .. } | Wish::Request { .. } | Wish::Touch { .. } => {}
            }
        }
        // A slice would keep the whole frame alive.
        self.wish(Wish::Announce { conn, introduces, update: Bytes::copy_from_slice(update) });
    }

    /// Something moved, and is stored by then, unless it is put off already.
    fn due_by(&mut self, at: Millis) {
        let known = self.due.filter(|known| self.put_off || *known <= at);
        self.due = Some(known.unwrap_or(at));
    }

    /// What was not written is judged again, by what is there then.
    fn again(&mut self, now: Millis, change: Change) {
        if !change.said.moved.is_empty() {
            self.due_by(now);
        }
        self.wishes.splice(..0, change.wishes);
        let round = self.begun + 1;
        self.wishes.iter_mut().for_each(|wanted| wanted.round = round);
    }

    /// Whether a request to the store is under way.
    fn is_busy(&self) -> bool {
        self.on_its_way.is_some() || self.unread.is_some()
    }

    /// Whether something waits that nobody else may be waiting for.
    fn waits(&self) -> bool {
        !self.wishes.is_empty() || !self.greetings.is_empty()
    }

    fn owes(&self, conn: ConnId) -> bool {
        let is_doing = matches!(&self.on_its_way, Some((_, Doing::Write(change)))
            if change.wishes.iter().any(|wanted| wanted.wish.conn() == Some(conn)));
        is_doing
            || self.wishes.iter().any(|wanted| wanted.wish.conn() == Some(conn))
            || self.greetings.iter().any(|(greeted, ..)| *greeted == conn)
    }
}

pub(super) fn part_of(stream: &str) -> PresencePart {
    if stream == DEFAULT_STREAM { PresencePart::Default } else { PresencePart::Named }
}

const PARTS: [PresencePart; 2] = [PresencePart::Default, PresencePart::Named];

impl Shelves {
    /// Those of a room, if it has any.
    pub(super) fn of_room(residency: Residency) -> Option<Self> {
        match residency {
            Residency::Exclusive => None,
            #[cfg(feature = "shared")]
            Residency::Shared => Some(Self::default()),
        }
    }

    fn of(&self, part: PresencePart) -> &Shelf {
        match part {
            PresencePart::Default => &self.default,
            PresencePart::Named => &self.named,
        }
    }

    fn of_mut(&mut self, part: PresencePart) -> &mut Shelf {
        match part {
            PresencePart::Default => &mut self.default,
            PresencePart::Named => &mut self.named,
        }
    }

    /// What a stream has since a place, and the place behind that.
    pub(super) fn news(
        &self,
        now: Millis,
        stream: &str,
        since: Option<PresenceOffset>,
        limits: &Limits,
    ) -> (Option<Bytes>, PresenceOffset) {
        let kept = self.of(part_of(stream)).kept.as_ref();
        match kept.and_then(|kept| kept.streams.get(stream)) {
            Some(roster) => (roster.news(since, now, limits), roster.offset()),
            None => (None, PresenceOffset::default()),
        }
    }

    /// Has a value read.
    fn look(&mut self, part: PresencePart) -> Look {
        let shelf = self.of_mut(part);
        shelf.wanted = shelf.begun + 1;
        (part, shelf.wanted)
    }

    /// Whether there is a stream of this name. Who reads it keeps it.
    pub(super) fn touch(&mut self, now: Millis, stream: &str, limits: &Limits) -> bool {
        let part = part_of(stream);
        let shelf = self.of_mut(part);
        let used = shelf.kept.as_ref().and_then(|kept| kept.streams.get(stream)).map(|roster| roster.used);
        if part == PresencePart::Named && used.is_some_and(|used| is_old(now, used, limits)) {
            shelf.wish(Wish::Touch { stream: stream.to_owned() });
        }
        part == PresencePart::Default
            || used.is_some_and(|used| now.since(used) < limits.presence_stream_kept)
    }

    pub(super) fn request(&mut self, conn: ConnId, stream: String, what: PresenceOp) {
        self.of_mut(part_of(&stream)).wish(Wish::Request { conn, stream, what });
    }

    /// A connection is to be told who is there.
    pub(super) fn greet(&mut self, conn: ConnId, asked: bool) {
        let round = self.default.begun + 1;
        self.default.greetings.push((conn, asked, round));
    }

    /// Whether something that a connection or request waits for is under way.
    pub(super) fn owes(&self, conn: ConnId) -> bool {
        let moves = self.own.values().any(|own| own.conn == conn && own.unstored.is_some());
        self.default.owes(conn) || self.named.owes(conn) || moves && self.default.is_busy()
    }

    /// How many wishes there are.
    pub(super) fn wishes(&self) -> usize {
        let doing = |shelf: &Shelf| match &shelf.on_its_way {
            Some((_, Doing::Write(change))) => change.wishes.len(),
            Some((_, Doing::Read)) | None => 0,
        };
        PARTS.into_iter().map(|part| self.of(part)).map(|shelf| shelf.wishes.len() + doing(shelf)).sum()
    }

    pub(super) fn is_settled(&self) -> bool {
        let settled = |shelf: &Shelf| {
            shelf.on_its_way.is_none() && shelf.wishes.is_empty() && shelf.greetings.is_empty()
        };
        settled(&self.default) && settled(&self.named) && self.left.is_empty()
    }

    /// The clients of a connection, as they are parked.
    pub(super) fn parked(&self, conn: ConnId) -> Vec<ParkedClient> {
        let own = self.own.iter().filter(|(_, own)| own.conn == conn);
        let parked = own.map(|(client, own)| ParkedClient {
            client: *client,
            clock: own.clock,
            seen: Millis(0),
            state: own.unstored.clone(),
            owner: own.token,
        });
        parked.collect()
    }

    /// Puts back what a connection had parked; `shown`: when something of it was stored last.
    pub(super) fn restore(
        &mut self,
        now: Millis,
        conn: ConnId,
        clients: Vec<ParkedClient>,
        shown: Millis,
        limits: &Limits,
    ) {
        for ParkedClient { client, clock, state, owner, .. } in clients {
            if state.is_some() {
                self.default.due_by(next_write(now, shown, limits));
            }
            self.left.remove(&client);
            self.own.insert(client, Own { conn, clock, token: owner, unstored: state });
        }
    }

    /// A connection goes on elsewhere.
    pub(super) fn leave(&mut self, conn: ConnId) {
        for (client, own) in self.own.extract_if(|_, own| own.conn == conn) {
            let Own { clock, token, .. } = own;
            self.left.extend(own.unstored.map(|state| (client, Left { clock, token, state })));
        }
        self.default.greetings.retain(|(greeted, ..)| *greeted != conn);
    }

    /// A connection closed.
    pub(super) fn close(&mut self, conn: ConnId) {
        let own = self.own.extract_if(|_, own| own.conn == conn);
        let clients: Vec<_> = own.into_iter().map(|(client, own)| (client, own.clock, own.token)).collect();
        self.default.wishes.retain(|wanted| wanted.wish.conn() != Some(conn));
        self.default.greetings.retain(|(greeted, ..)| *greeted != conn);
        if !clients.is_empty() {
            self.default.wish(Wish::Gone { conn, clients });
        }
    }

    /// The client of a request left. What it announced is kept all the same.
    pub(super) fn forget_request(&mut self, conn: ConnId) {
        for part in PARTS {
            let reads = |wanted: &Wanted| matches!(&wanted.wish, Wish::Request { conn: asks, what: PresenceOp::Head, .. } if *asks == conn);
            self.of_mut(part).wishes.retain(|wanted| !reads(wanted));
        }
    }

    /// Takes an awareness update of a connection. What is to be told to all at once, and whether that is all of it.
    fn announce(
        &mut self,
        now: Millis,
        conn: ConnId,
        introduces: bool,
        update: &Bytes,
        shown: Millis,
        limits: &Limits,
    ) -> Result<Option<(Bytes, bool)>, crate::presence::PresenceError> {
        let entries = read_entries(update, limits)?;
        let is_queued = self.default.owes(conn);
        let is_own = |client| self.own.get(&client).is_some_and(|own| own.conn == conn);
        if introduces
            || is_queued
            || !entries.iter().all(|entry| entry.state.is_some() && is_own(entry.client))
        {
            // Clients repeat what they hear: most often it is known.
            let kept = self.default.kept.as_ref().and_then(|kept| kept.streams.get(DEFAULT_STREAM));
            let is_known = |entry: &crate::presence::Entry<'_>| {
                let known = kept.and_then(|roster| roster.get(entry.client));
                known.is_some_and(|known| {
                    known.state.is_some() && entry.state.is_some() && entry.clock <= known.clock
                })
            };
            if introduces || is_queued || !entries.iter().all(is_known) {
                self.default.announce(conn, introduces, update, limits);
            }
            return Ok(None);
        }
        let mut relay = Writer::default();
        for entry in &entries {
            let (Some(own), Some(json)) = (self.own.get_mut(&entry.client), entry.state) else { continue };
            if entry.clock > own.clock {
                own.clock = entry.clock;
                own.unstored = Some(Bytes::copy_from_slice(json.as_bytes()));
                relay.push(entry.client, entry.clock, Some(json.as_bytes()));
            }
        }
        let is_all = relay.len() == entries.len() as u64;
        let relay = relay.finish();
        if relay.is_some() {
            self.default.due_by(next_write(now, shown, limits));
        }
        Ok(relay.map(|relay| (relay, is_all)))
    }

    /// The document is no more: what was known of it is void. The requests that wait.
    fn end(&mut self) -> Vec<ConnId> {
        let mut waiting = Vec::new();
        for part in PARTS {
            let shelf = core::mem::take(self.of_mut(part));
            let doing = match shelf.on_its_way {
                Some((_, Doing::Write(change))) => change.wishes,
                Some((_, Doing::Read)) | None => Vec::new(),
            };
            for Wanted { wish, .. } in doing.into_iter().chain(shelf.wishes) {
                if let Wish::Request { conn, .. } = wish {
                    waiting.push(conn);
                }
            }
            // Who waits for a read that was under way waits for another.
            let (begun, ended) = (shelf.begun, shelf.ended);
            let wanted = if begun > ended || shelf.wanted > ended { begun + 1 } else { ended };
            *self.of_mut(part) = Shelf { begun, ended, wanted, ..Shelf::default() };
        }
        self.own.clear();
        self.left.clear();
        waiting
    }
}

/// When something of a connection may be stored again.
fn next_write(now: Millis, shown: Millis, limits: &Limits) -> Millis {
    // A clock that went back says nothing.
    if shown > now { now } else { shown.after(limits.presence_pause).max(now) }
}

/// Whether it is worth a write to say that a stream is in use.
fn is_old(now: Millis, used: Millis, limits: &Limits) -> bool {
    now.since(used) > limits.presence_stream_kept / 4
}
