//! Reads over HTTP that wait: long-polls and event streams; and those that only wait for a load.
//!
//! Readers are given what is stored and nothing else, with the place behind it. Most have just had the update
//! before: they are served from the last few that were stored ([`Recent`]). Who is further behind waits for a
//! load, one at a time, that serves all who wait. What several get is encoded once.
//!
//! The store may be ahead of its replies, and a load may be ahead of or behind what was heard of appends. So a
//! reader's place only grows; what a load lacks is taken from the recent updates; and where these would have a
//! hole they begin anew, upon which readers in front of it are behind.
//!
//! All this is so where nobody else writes to the log; where others do, [`super::rereads`] tells how it goes on.

use super::RoomConfig;
use super::batches::{Encoded, News, Recent, Shared};
use super::rereads::{Relayed, Rereads};
use crate::collections::{Map, Set};
use crate::effect::{Close, ConnId, Effects, Millis, OpId, To};
use crate::http::frames::{self, Batch, KEEP_ALIVE};
use crate::http::{ApiError, Reply};
use crate::limits::Limits;
use crate::log::{Loaded, Offset};
use crate::request::{Live, PresenceOffset};
use bytes::Bytes;
use std::borrow::Cow;

/// The name of a presence stream.
pub(super) type StreamName = Cow<'static, str>;

/// All reads that wait.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) list: Map<ConnId, Reader>,
    /// Those of them that are live.
    held: usize,
    /// Those of these that wait for presence: of the default stream, and of others.
    pub(super) watching: (usize, usize),
    deadlines: Set<(Millis, ConnId)>,
    recent: Option<Recent>,
    /// The load for those who are behind, and from where on it is.
    pub(super) load: Option<(OpId, Offset)>,
    keep_alive_at: Option<Millis>,
    /// Those who wait for a load, by what they have.
    pub(super) behind: Set<(Offset, ConnId)>,
    /// Those who were not looked at since they came, or since they got something.
    fresh: Vec<ConnId>,
    /// Something happened that all may have to be told.
    pub(super) stale: bool,
    /// How it goes on where others write to the log as well.
    pub(super) rereads: Option<Rereads>,
}

/// One read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The last update that it has; none if it reads presence only.
    pub(super) updates: Option<Offset>,
    /// A presence stream, and the place that it has; none for everyone who is there.
    pub(super) presence: Option<(StreamName, Option<PresenceOffset>)>,
    pub(super) wants: Wants,
    pub(super) cursor: Option<u64>,
    /// What `If-None-Match` says; with an empty one there is a tag all the same.
    pub(super) tag: Option<String>,
    pub(super) deadline: Millis,
    /// The head of its event stream is out.
    pub(super) opened: bool,
    /// It waits for a load.
    pub(super) behind: bool,
    /// Loads that it was served from.
    pub(super) loads: u32,
    /// Loads that it may have behind the first.
    pub(super) reads: u32,
    /// Updates that had been relayed to all sockets when it came.
    pub(super) relayed: u64,
    /// How often what is kept of its presence stream was read for it.
    pub(super) looks: u32,
}

/// In which form a reader is told, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// What there is.
    Once,
    /// The next that comes, see [`Live::LongPoll`].
    LongPoll,
    /// All that comes, see [`Live::Events`].
    Events,
    /// All that comes, as messages on a socket.
    Messages,
}

/// Gives what is new in a stream since a place, and the place behind that.
pub(super) type PresenceNews<'a> =
    dyn Fn(&str, Option<PresenceOffset>) -> (Option<Bytes>, PresenceOffset) + 'a;

/// What readers are told about beside updates: the time, and who is there.
pub(super) struct Now<'a> {
    /// What a presence stream has since a place, and the place behind that.
    pub(super) presence: &'a PresenceNews<'a>,
    pub(super) now: Millis,
}

impl Readers {
    pub(super) fn new(config: &RoomConfig) -> Self {
        Self { rereads: Rereads::of_room(config), ..Self::default() }
    }

    /// How many came over HTTP.
    pub(super) fn len(&self) -> usize {
        self.list.len() - self.rereads.as_ref().map_or(0, |rereads| rereads.sockets)
    }

    /// How many wait for something to happen.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The end of what readers may be told of; none if nobody reads.
    pub(super) fn known_end(&self) -> Option<Offset> {
        self.recent.as_ref().map(|recent| recent.end.clone())
    }

    /// Hears how long the log is known to be, while no append is on its way: one that was given up may have been
    /// done.
    pub(super) fn catch_up(&mut self, end: &Offset) {
        if let Some(recent) = self.recent.as_mut().filter(|recent| recent.end < *end) {
            *recent = Recent::new(end.clone());
            self.stale = true;
        }
    }

    /// Takes a read; `end` is where the log is known to end.
    pub(super) fn add(&mut self, now: Millis, conn: ConnId, reader: Reader, end: Offset, limits: &Limits) {
        if let Some(rereads) = &mut self.rereads {
            rereads.add(now, &reader, self.held);
        } else {
            // Before anything is loaded for it: whatever is stored from now on is in one of both.
            self.recent.get_or_insert_with(|| Recent::new(end));
        }
        if reader.wants == Wants::Events {
            self.keep_alive_at.get_or_insert(now.after(limits.keep_alive));
        }
        self.deadlines.insert((reader.deadline, conn));
        self.held += usize::from(reader.wants.is_held());
        if let Some(watching) = self.watching_as(&reader) {
            *watching += 1;
        }
        self.list.insert(conn, reader);
        self.fresh.push(conn);
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Reader> {
        let reader = self.list.remove(&conn)?;
        self.deadlines.remove(&(reader.deadline, conn));
        self.held -= usize::from(reader.wants.is_held());
        if let Some(watching) = self.watching_as(&reader) {
            *watching -= 1;
        }
        if let Some(rereads) = &mut self.rereads {
            rereads.remove(conn, &reader);
        }
        if reader.behind {
            self.behind.remove(&(reader.updates.clone().unwrap_or_default(), conn));
        }
        Some(reader)
    }

    /// Updates that were stored, one directly behind the other.
    pub(super) fn stored(&mut self, now: Millis, updates: &[(Offset, Bytes)], limits: &Limits) {
        if self.rereads.is_some() {
            self.read_again_now(now);
            return;
        }
        if let Some(recent) = &mut self.recent {
            recent.push(updates, limits);
        }
        self.stale = true;
    }

    /// Nobody is here any more: what is kept for readers can go.
    pub(super) fn rest(&mut self) {
        self.recent = None;
    }

    /// The place from which on a load is needed, unless one is on its way.
    pub(super) fn wants_load(&self) -> Option<Offset> {
        if self.load.is_some() {
            return None;
        }
        self.behind.first().map(|(since, _)| since.clone())
    }

    /// Whether a reply of the store is for readers.
    pub(super) fn awaits(&self, op: OpId) -> bool {
        self.load.as_ref().is_some_and(|(known, _)| *known == op)
    }

    /// A load begins. Tells whether all whom it is for go on to listen: they were loaded before.
    pub(super) fn loading(&mut self, op: OpId, since: Offset) -> bool {
        let list = &self.list;
        let follows = self.rereads.as_mut().is_some_and(|rereads| {
            rereads.loading(&mut self.behind, &since, |conn| {
                list.get(&conn).is_some_and(|reader| reader.loads > 0)
            })
        });
        self.load = Some((op, since));
        follows
    }

    /// Whether somebody may have to be given something.
    pub(super) fn is_due(&self) -> bool {
        !self.list.is_empty() && (self.stale || !self.fresh.is_empty())
    }

    /// Gives what there is to everyone who lacks it.
    pub(super) fn serve(&mut self, now: &Now<'_>, effects: &mut Effects) {
        let fresh = core::mem::take(&mut self.fresh);
        let all = core::mem::take(&mut self.stale);
        let conns = if all { self.list.keys().copied().collect() } else { fresh };
        let mut shared = Shared::default();
        for conn in conns {
            let Some(reader) = self.list.get_mut(&conn).filter(|reader| !reader.behind) else { continue };
            let since = reader.updates.clone().unwrap_or(Offset::END);
            if let Some(rereads) = &mut self.rereads {
                if reader.loads == 0 && reader.updates.is_some() {
                    reader.behind = true;
                    self.behind.insert((since, conn));
                    continue;
                }
                let nothing = || News { frames: Bytes::new(), end: since, is_all: true };
                let encoded = shared.get(reader, now, nothing);
                if encoded.is_some_and(|encoded| reader.take(conn, encoded, now, &rereads.relayed, effects)) {
                    self.remove(conn);
                } else if reader.reads == 0 {
                    reader.end_early(conn, now.now, effects);
                    self.remove(conn);
                }
                continue;
            }
            let Some(recent) = self.recent.as_ref().filter(|recent| recent.from <= since) else {
                reader.behind = true;
                self.behind.insert((since, conn));
                continue;
            };
            let encoded = shared.get(reader, now, || News {
                frames: frames::frames(recent.behind(&since)),
                end: recent.end.clone().max(since),
                is_all: true,
            });
            if encoded.is_some_and(|encoded| reader.take(conn, encoded, now, &Relayed::default(), effects)) {
                self.remove(conn);
            }
        }
    }

    /// Gives what was loaded to everyone who waits for it.
    pub(super) fn loaded(
        &mut self,
        op: OpId,
        loaded: Result<Loaded, ApiError>,
        now: &Now<'_>,
        effects: &mut Effects,
    ) {
        if self.rereads.is_some() {
            return self.reread(op, loaded, now, effects);
        }
        let Some((_, from)) = self.load.take_if(|(known, _)| *known == op) else { return };
        let mut shared = Shared::default();
        for (since, conn) in self.behind.extract_if(|(since, _)| *since >= from) {
            let Some(reader) = self.list.get_mut(&conn) else { continue };
            reader.behind = false;
            let is_over = match &loaded {
                Ok(loaded) => {
                    let recent = self.recent.as_ref();
                    let encoded = shared.get(reader, now, || News::of(loaded, recent, &since));
                    encoded
                        .is_some_and(|encoded| reader.take(conn, encoded, now, &Relayed::default(), effects))
                }
                Err(error) => {
                    reader.fail(conn, error.clone(), effects);
                    true
                }
            };
            if is_over {
                self.remove(conn);
            } else {
                self.fresh.push(conn);
            }
        }
    }

    /// Ends who is at the deadline, and gives the others a sign of life.
    pub(super) fn tick(&mut self, now: &Now<'_>, limits: &Limits, effects: &mut Effects) {
        while let Some((_, conn)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now.now) {
            let Some(reader) = self.remove(conn) else { return };
            if reader.opened {
                effects.close(conn, Close::new(Close::NORMAL, "the event stream has reached its deadline"));
            } else if reader.behind && reader.loads == 0 {
                reader.fail(conn, ApiError::overloaded("the store is too slow"), effects);
            } else {
                let cursor = frames::cursor(now.now, reader.cursor);
                effects.reply(conn, frames::polled(&reader.nothing(), cursor));
            }
        }
        if self.keep_alive_at.is_some_and(|at| at <= now.now) {
            let mut any = false;
            for (conn, reader) in self.list.iter().filter(|(_, reader)| reader.wants == Wants::Events) {
                any = true;
                if reader.opened {
                    effects.send(To::Conn(*conn), Bytes::from_static(KEEP_ALIVE.as_bytes()));
                }
            }
            self.keep_alive_at = any.then(|| now.now.after(limits.keep_alive));
        }
    }

    /// When [`Readers::tick`] has something to do.
    pub(super) fn next_tick(&self) -> Option<Millis> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let reread = self.rereads.as_ref().and_then(|rereads| rereads.at);
        deadline.into_iter().chain(self.keep_alive_at).chain(reread).min()
    }

    /// Ends everyone that `ends` names: the document, or a presence stream of it, is gone.
    pub(super) fn end(&mut self, error: &ApiError, effects: &mut Effects, ends: impl Fn(&Reader) -> bool) {
        let conns: Vec<_> = self
            .list
            .iter()
            .filter(|(_, reader)| reader.wants != Wants::Messages && ends(reader))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            if let Some(reader) = self.remove(conn) {
                reader.fail(conn, error.clone(), effects);
            }
        }
    }

    /// Forgets what was known of the log: the document was deleted or begins anew.
    pub(super) fn begin_anew(&mut self) {
        (self.recent, self.load) = (None, None);
    }
}

impl Reader {
    /// Gives a reader what it lacks; true if that was all it wants.
    pub(super) fn take(
        &mut self,
        conn: ConnId,
        encoded: &mut Encoded,
        now: &Now<'_>,
        relayed: &Relayed,
        effects: &mut Effects,
    ) -> bool {
        let batch = &encoded.batch;
        let since = core::mem::replace(&mut self.updates, batch.end.clone());
        if let (Some((_, known)), Some(end)) = (&mut self.presence, batch.presence_end) {
            *known = Some(end);
        }
        match self.wants {
            Wants::Messages => {
                relayed.tell(conn, self.relayed, &batch.updates, effects);
                false
            }
            Wants::Once => {
                let tag = since.as_ref().zip(batch.end.as_ref()).filter(|_| self.tag.is_some());
                let tag = tag.map(|(since, end)| (frames::tag(since, end), end));
                effects.reply(
                    conn,
                    match (tag, &self.tag) {
                        (Some((tag, end)), Some(known)) if frames::matches(known, &tag) => {
                            frames::not_modified(tag, end)
                        }
                        (tag, _) => frames::caught_up(batch, tag.map(|(tag, _)| tag)),
                    },
                );
                true
            }
            Wants::LongPoll if batch.is_empty() => false,
            Wants::LongPoll => {
                effects.reply(conn, frames::polled(batch, frames::cursor(now.now, self.cursor)));
                true
            }
            Wants::Events if self.opened && batch.is_empty() => false,
            Wants::Events => {
                let events = encoded.events(frames::cursor(now.now, self.cursor));
                if core::mem::replace(&mut self.opened, true) {
                    effects.send(To::Conn(conn), events);
                } else if self.reads == 0 {
                    effects.reply(conn, frames::placed(frames::opened(events), &encoded.batch));
                } else {
                    effects.reply(conn, frames::opened(events));
                }
                false
            }
        }
    }

    pub(super) fn fail(&self, conn: ConnId, error: ApiError, effects: &mut Effects) {
        if self.opened {
            effects.close(conn, Close::new(Close::NORMAL, error.message));
        } else {
            effects.reply(conn, Reply::from(error));
        }
    }

    /// An empty batch at the place where it is.
    pub(super) fn nothing(&self) -> Batch {
        Batch {
            end: self.updates.clone(),
            up_to_date: true,
            presence_end: self.presence.as_ref().map(|(_, place)| place.unwrap_or_default()),
            ..Batch::default()
        }
    }
}

impl Wants {
    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::LongPoll | Self::Events)
    }
}

impl From<Live> for Wants {
    fn from(live: Live) -> Self {
        match live {
            Live::No => Self::Once,
            Live::LongPoll => Self::LongPoll,
            Live::Events => Self::Events,
        }
    }
}
