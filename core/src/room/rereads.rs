//! How readers are served, and sockets, where others write to the log as well ([`crate::Residency::Shared`]).
//!
//! The log is read again at intervals, from each place that someone has: most often all have the same. Nothing is known
//! of the log between two reads, so nobody is served from what was stored here; but a write that was stored here has the
//! log read at once. A reader that comes waits for a load that began behind it: who is told on one host that something
//! is stored finds it on every other, if the store does.

use super::batches::{News, Shared};
use super::readers::{Now, Reader, Readers, Wants};
use super::shelf::part_of;
use super::{Owed, Residency, Room, RoomConfig};
use crate::collections::Set;
use crate::effect::{Close, ConnId, Effects, Millis, OpId, To};
use crate::http::{ApiError, frames};
use crate::limits::{Limits, Reread};
use crate::log::{Life, Loaded, Offset, PresencePart};
use crate::wire::{self, Reader as Bytewise};
use bytes::Bytes;
use std::collections::VecDeque;

/// Updates, and their bytes, that are remembered as having been sent to all sockets.
const RELAYED_MAX: (usize, usize) = (256, 256 << 10);

/// What a room knows of its re-reads. Where documents are never shared there is no such thing.
#[derive(Debug)]
pub(super) struct Rereads {
    /// When the log is read again; none if nobody waits for that.
    pub(super) at: Option<Millis>,
    /// Milliseconds between two reads, as far as they have grown.
    interval: u64,
    /// How often in a row something new was found.
    found: u32,
    /// Those whom the load on its way answers.
    served: Set<ConnId>,
    /// Readers that are sockets.
    pub(super) sockets: usize,
    /// These are parked.
    parks: bool,
    bounds: Reread,
    pub(super) relayed: Relayed,
    #[cfg(not(feature = "shared"))]
    _never: core::convert::Infallible,
}

/// The last updates that went to every socket of this room when they came. They are in the log as well, and need not be
/// sent again to who was here then.
#[derive(Debug, Default)]
pub(super) struct Relayed {
    updates: VecDeque<Bytes>,
    bytes: usize,
    /// How many there were before these.
    before: u64,
}

impl Rereads {
    /// Those of a room, if it has any.
    pub(super) fn of_room(config: &RoomConfig) -> Option<Self> {
        match config.residency {
            Residency::Exclusive => None,
            #[cfg(feature = "shared")]
            Residency::Shared => Some(Self {
                at: None,
                interval: 0,
                found: 0,
                served: Set::new(),
                sockets: 0,
                parks: config.parks,
                bounds: config.limits.reread.clone(),
                relayed: Relayed::default(),
            }),
        }
    }

    /// Hears of a new reader; `held`: how many wait already.
    pub(super) fn add(&mut self, now: Millis, reader: &Reader, held: usize) {
        self.sockets += usize::from(reader.wants == Wants::Messages);
        if held == 0 {
            self.interval = self.bounds.first;
        }
        if reader.loads > 0 {
            self.by(now.after(self.interval));
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId, reader: &Reader) {
        self.served.remove(&conn);
        self.sockets -= usize::from(reader.wants == Wants::Messages);
    }

    /// A load begins: it answers those who wait at this very place, and nobody who comes later. Tells whether all of them
    /// were loaded before.
    pub(super) fn loading(
        &mut self,
        behind: &mut Set<(Offset, ConnId)>,
        since: &Offset,
        was_loaded: impl Fn(ConnId) -> bool,
    ) -> bool {
        self.served =
            behind.extract_if(|(place, _)| place == since).into_iter().map(|(_, conn)| conn).collect();
        self.served.iter().all(|conn| was_loaded(*conn))
    }

    fn by(&mut self, at: Millis) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

impl Relayed {
    fn push(&mut self, update: &Bytes) {
        self.bytes += update.len();
        self.updates.push_back(update.clone());
        while self.updates.len() > RELAYED_MAX.0 || self.bytes > RELAYED_MAX.1 {
            let Some(oldest) = self.updates.pop_front() else { return };
            self.bytes -= oldest.len();
            self.before += 1;
        }
    }

    /// How many there were so far.
    fn count(&self) -> u64 {
        self.before + self.updates.len() as u64
    }

    /// Sends a socket those updates of a batch that it was not sent before; `since`: how many there were when it came.
    pub(super) fn tell(&self, conn: ConnId, since: u64, batch: &Bytes, effects: &mut Effects) {
        let mut reader = Bytewise::new(batch);
        let missed = usize::try_from(since.saturating_sub(self.before)).unwrap_or(usize::MAX);
        while let Ok(update) = reader.var_bytes() {
            if !self.updates.iter().skip(missed).any(|known| **known == *update) {
                effects.send(To::Conn(conn), wire::update(update));
            }
        }
    }
}

impl Readers {
    /// Whether nobody waits for a load that this room owes, rather than for something to happen.
    pub(super) fn is_settled(&self) -> bool {
        self.rereads.is_none() || self.load.is_none() && self.behind.is_empty()
    }

    /// Whether its first load is on its way, or about to be. There is always a next one where others write all the time.
    pub(super) fn owes(&self, conn: ConnId) -> bool {
        self.list.get(&conn).is_some_and(|reader| reader.behind && reader.loads == 0)
    }

    pub(super) fn watching_as(&mut self, reader: &Reader) -> Option<&mut usize> {
        let (stream, _) = reader.presence.as_ref().filter(|_| reader.wants.is_held())?;
        Some(match part_of(stream) {
            PresencePart::Default => &mut self.watching.0,
            PresencePart::Named => &mut self.watching.1,
        })
    }

    /// Whether anyone waits for presence.
    pub(super) fn watches(&self, part: PresencePart) -> bool {
        match part {
            PresencePart::Default => self.watching.0 > 0,
            PresencePart::Named => self.watching.1 > 0,
        }
    }

    /// Presence was read. Who has had all the reads that it may have ends.
    pub(super) fn looked(&mut self, part: PresencePart, most: u32, now: Millis, effects: &mut Effects) {
        if !self.watches(part) {
            return;
        }
        let mut over = Vec::new();
        for (conn, reader) in self.list.iter_mut().filter(|(_, reader)| reader.wants.is_held()) {
            if reader.presence.as_ref().is_some_and(|(stream, _)| part_of(stream) == part) {
                reader.looks = reader.looks.saturating_add(1);
                if reader.looks > most {
                    over.push(*conn);
                }
            }
        }
        for conn in over {
            if let Some(reader) = self.remove(conn) {
                reader.end_early(conn, now, effects);
            }
        }
    }

    /// Hears of an update that goes to every socket.
    pub(super) fn relayed(&mut self, update: &Bytes) {
        if let Some(rereads) = &mut self.rereads {
            rereads.relayed.push(update);
        }
    }

    /// The place that a socket has.
    pub(super) fn place_of(&self, conn: ConnId) -> Option<&Offset> {
        self.list.get(&conn).and_then(|reader| reader.updates.as_ref())
    }

    /// A socket has this and follows from there; `loads`: whether it was loaded just now.
    fn follow(&mut self, now: Millis, conn: ConnId, place: Offset, loads: u32, limits: &Limits) {
        if let Some(reader) = self.list.get_mut(&conn) {
            if !reader.behind {
                reader.updates = Some(place);
            }
            return;
        }
        let reader = Reader {
            updates: Some(place),
            presence: None,
            wants: Wants::Messages,
            cursor: None,
            tag: None,
            deadline: Millis(u64::MAX),
            opened: true,
            behind: false,
            loads,
            reads: u32::MAX,
            relayed: self.rereads.as_ref().map_or(0, |rereads| rereads.relayed.count()),
            looks: 0,
        };
        self.add(now, conn, reader, Offset::START, limits);
    }

    /// A socket has sent something: it is worth to look more often again.
    pub(super) fn touch(&mut self, now: Millis, conn: ConnId) {
        let Some(rereads) = &mut self.rereads else { return };
        if self.list.contains_key(&conn) {
            rereads.interval = rereads.bounds.soon(rereads.found);
            rereads.by(now.after(rereads.interval));
        }
    }

    /// Everyone who waits for something to happen waits for a load now; `sockets`: these as well.
    fn all_behind(&mut self, sockets: bool) {
        for (conn, reader) in self.list.iter_mut() {
            if let Some(place) = &reader.updates
                && !reader.behind
                && reader.loads > 0
                && (sockets || reader.wants != Wants::Messages)
            {
                reader.behind = true;
                self.behind.insert((place.clone(), *conn));
            }
        }
    }

    /// Something was stored here. A load that is on its way may be too old for it. Sockets were sent it; those that are
    /// parked are here for a moment only, in which they most often wait for just that to be stored.
    pub(super) fn read_again_now(&mut self, now: Millis) {
        let held = self.len();
        let Some(rereads) = &mut self.rereads else { return };
        let sockets = !rereads.parks;
        if self.load.is_some() && (sockets || held > 0) {
            rereads.by(now);
        }
        self.all_behind(sockets);
    }

    /// Has the log read again if it is time.
    pub(super) fn tick_rereads(&mut self, now: Millis) {
        if let Some(rereads) = &mut self.rereads
            && rereads.at.is_some_and(|at| at <= now)
        {
            rereads.at = None;
            self.all_behind(true);
        }
    }

    /// Gives what was loaded to those whom the load was for.
    pub(super) fn reread(
        &mut self,
        op: OpId,
        loaded: Result<Loaded, ApiError>,
        now: &Now<'_>,
        effects: &mut Effects,
    ) {
        if self.load.take_if(|(known, _)| *known == op).is_none() {
            return;
        }
        let Some(mut rereads) = self.rereads.take() else { return };
        let news = loaded.as_ref().ok().map(|loaded| {
            let updates = loaded.updates.iter().map(|(_, update)| update);
            (frames::frames(loaded.snapshot.iter().chain(updates)), loaded.tail.end.clone())
        });
        let found = news.as_ref().is_some_and(|(frames, _)| !frames.is_empty());
        rereads.interval = rereads.bounds.next(rereads.interval, found, &mut rereads.found);
        let mut shared = Shared::default();
        let mut over = Vec::new();
        for conn in core::mem::take(&mut rereads.served) {
            let Some(reader) = self.list.get_mut(&conn) else { continue };
            reader.behind = false;
            let was_loaded = reader.loads > 0;
            reader.loads = reader.loads.saturating_add(1);
            let is_over = match (&news, &loaded) {
                (Some((frames, end)), _) => {
                    let news = || News { frames: frames.clone(), end: end.clone(), is_all: true };
                    let encoded = shared.get(reader, now, news);
                    encoded.is_some_and(|encoded| reader.take(conn, encoded, now, &rereads.relayed, effects))
                }
                // What it has is still so.
                (None, _) if was_loaded || reader.wants == Wants::Messages => false,
                (None, Err(error)) => {
                    reader.fail(conn, error.clone(), effects);
                    true
                }
                (None, Ok(_)) => false,
            };
            if is_over {
                over.push(conn);
            } else if reader.loads > reader.reads {
                reader.end_early(conn, now.now, effects);
                over.push(conn);
            } else {
                rereads.by(now.now.after(rereads.interval));
            }
        }
        self.rereads = Some(rereads);
        over.into_iter().for_each(|conn| drop(self.remove(conn)));
    }
}

impl Reader {
    /// It has had all the reads that it may have.
    pub(super) fn end_early(&self, conn: ConnId, now: Millis, effects: &mut Effects) {
        if self.opened {
            effects.close(conn, Close::new(Close::NORMAL, "the event stream has read the log often enough"));
        } else {
            effects.reply(conn, frames::polled(&self.nothing(), frames::cursor(now, self.cursor)));
        }
    }
}

impl Room {
    /// A socket was sent our step 1 or our step 2: it has, or is asked for, what the replica has.
    pub(super) fn follow(&mut self, now: Millis, conn: ConnId, what: &Owed) {
        if self.config.residency.is_shared() && matches!(what, Owed::Question | Owed::Answer(_)) {
            let is_new = self.readers.place_of(conn).is_none();
            if is_new || matches!(what, Owed::Answer(_)) {
                self.readers.follow(now, conn, self.document.place(), 1, &self.config.limits);
                self.unparked.push(conn);
            }
        }
    }

    /// A socket goes on from the place that it had.
    pub(super) fn follow_from(&mut self, now: Millis, conn: ConnId, place: Offset) {
        if self.config.residency.is_shared() {
            self.readers.follow(now, conn, place, 0, &self.config.limits);
        }
    }

    /// Takes a load for readers.
    pub(super) fn read_again(&mut self, now: Millis, op: OpId, loaded: Loaded, effects: &mut Effects) {
        let known = self.document.tail().cloned();
        self.document.learn(now, loaded.tail.clone());
        let mut loaded = Ok(loaded);
        if self.config.residency.is_shared() {
            self.settle_life(now, known, effects);
            loaded = loaded.and_then(|loaded| {
                if loaded.tail.life == Life::Live { Ok(loaded) } else { Err(ApiError::no_document()) }
            });
            if self.config.parks {
                self.unparked.extend(self.sessions.keys());
            }
        }
        self.with_readers(now, |readers, now| readers.loaded(op, loaded, now, effects));
    }
}
