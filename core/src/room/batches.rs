//! What readers are given: batches, made once for all who have the same, and the last updates that they are made of.

use super::readers::{Now, Reader, StreamName};
use crate::http::frames::{self, Batch};
use crate::limits::Limits;
use crate::log::{Loaded, Offset};
use crate::request::PresenceOffset;
use bytes::Bytes;
use std::collections::VecDeque;

/// Batches that are kept while readers are served, for those who are at the same place.
const SHARED: usize = 4;

/// The last updates that were stored, without a hole, as far as the store has said so.
#[derive(Debug)]
pub(super) struct Recent {
    /// Everything behind this is here,
    pub(super) from: Offset,
    /// up to this.
    pub(super) end: Offset,
    updates: VecDeque<(Offset, Bytes)>,
    bytes: usize,
}

/// Batches of one round, by what their readers had.
#[derive(Default)]
pub(super) struct Shared {
    batches: VecDeque<Encoded>,
}

/// Updates for a reader.
pub(super) struct News {
    pub(super) frames: Bytes,
    /// The place behind them.
    pub(super) end: Offset,
    /// Whether there are no more.
    pub(super) is_all: bool,
}

pub(super) struct Encoded {
    updates: Option<Offset>,
    presence: Option<(StreamName, Option<PresenceOffset>)>,
    pub(super) batch: Batch,
    events: Option<(u64, Bytes)>,
}

impl Shared {
    /// The batch for a reader: made of `news` unless another at the same place has had it.
    pub(super) fn get(
        &mut self,
        reader: &Reader,
        now: &Now<'_>,
        news: impl FnOnce() -> News,
    ) -> Option<&mut Encoded> {
        let same = |known: &Encoded| known.updates == reader.updates && known.presence == reader.presence;
        let known = self.batches.iter().position(same).and_then(|index| self.batches.remove(index));
        let encoded = known.unwrap_or_else(|| Encoded::new(reader, now, news));
        self.batches.truncate(SHARED - 1);
        // The last one that was asked for is most often the next.
        self.batches.push_front(encoded);
        self.batches.front_mut()
    }
}

impl Encoded {
    fn new(reader: &Reader, now: &Now<'_>, news: impl FnOnce() -> News) -> Self {
        let mut batch = Batch { up_to_date: true, ..Batch::default() };
        if reader.updates.is_some() {
            let News { frames, end, is_all } = news();
            (batch.updates, batch.end, batch.up_to_date) = (frames, Some(end), is_all);
        }
        if let Some((stream, since)) = &reader.presence {
            let (news, end) = (now.presence)(stream, *since);
            batch.presence = news.map(|news| frames::frames([&news])).unwrap_or_default();
            batch.presence_end = Some(end);
        }
        let (updates, presence) = (reader.updates.clone(), reader.presence.clone());
        Self { updates, presence, batch, events: None }
    }

    pub(super) fn events(&mut self, cursor: u64) -> Bytes {
        match &self.events {
            Some((known, events)) if *known == cursor => events.clone(),
            _ => {
                let events = frames::events(&self.batch, cursor);
                self.events = Some((cursor, events.clone()));
                events
            }
        }
    }
}

impl Recent {
    pub(super) fn new(end: Offset) -> Self {
        Self { from: end.clone(), end, updates: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, updates: &[(Offset, Bytes)], limits: &Limits) {
        let before = |(offset, _): &(Offset, Bytes)| Offset::new(offset.number().saturating_sub(1));
        if let Some(before) = updates.first().map(before).filter(|before| *before > self.end) {
            *self = Self::new(before);
        }
        for (offset, update) in updates.iter().filter(|(offset, _)| *offset > self.end) {
            self.bytes += update.len();
            self.updates.push_back((offset.clone(), update.clone()));
        }
        if let Some((offset, _)) = updates.last().filter(|(offset, _)| *offset > self.end) {
            self.end = offset.clone();
        }
        while self.bytes > limits.recent_bytes || self.updates.len() > limits.recent_updates {
            let Some((offset, update)) = self.updates.pop_front() else { return };
            self.bytes -= update.len();
            self.from = offset;
        }
    }

    pub(super) fn behind<'a>(&'a self, since: &Offset) -> impl Iterator<Item = &'a Bytes> + use<'a> {
        let start = self.updates.partition_point(|(offset, _)| offset <= since);
        self.updates.range(start..).map(|(_, update)| update)
    }
}

impl News {
    /// What a load and the recent updates have for a reader: the snapshot only if it covers something that the
    /// reader lacks.
    pub(super) fn of(loaded: &Loaded, recent: Option<&Recent>, since: &Offset) -> Self {
        let snapshot = loaded.snapshot.iter().filter(|_| *since < loaded.tail.snapshot);
        let news = loaded.updates.iter().filter(|(offset, _)| offset > since).map(|(_, update)| update);
        let end = (&loaded.tail.end).max(since);
        let joins = recent.filter(|recent| recent.from <= *end);
        let rest = joins.into_iter().flat_map(|recent| recent.behind(end));
        Self {
            frames: frames::frames(snapshot.chain(news).chain(rest)),
            end: joins.map_or(end, |recent| end.max(&recent.end)).clone(),
            is_all: joins.is_some(),
        }
    }
}
