//! What a reader is told.

use super::Work;
use super::look::{Extent, View};
use super::numbers::Numbers;
use super::seen::Seen;
use crate::collections::Set;
use crate::kv::{CountKv, Kv as _, Place as _, fetch};
use crate::log::{Life, Loaded, LogError, Offset, Tail};
use bytes::Bytes;

/// How often a load begins again when something changed under it.
const ATTEMPTS: usize = 3;
/// Numbers that are read to learn where the log ends.
const PEEK: usize = 64;

/// What is to be told, by numbers.
struct News {
    /// Most often one, if any.
    snapshots: Set<u64>,
    /// Other entries.
    updates: Set<u64>,
    /// What the reader still lacks then.
    pending: Numbers,
}

impl<K: CountKv> Work<'_, K> {
    /// `trust`: for how many milliseconds what is known of the document's life is believed.
    pub(super) async fn load(&self, since: Offset, trust: u64) -> Result<Loaded, LogError> {
        let mut result = Err(LogError::Unavailable);
        for _ in 0..ATTEMPTS {
            result = if since == Offset::END {
                self.peek(trust).await
            } else {
                self.read_since(&since, trust).await
            };
            if result != Err(LogError::Unavailable) {
                break;
            }
        }
        result
    }

    /// Where the log ends, as of now.
    pub(super) async fn peek(&self, trust: u64) -> Result<Loaded, LogError> {
        loop {
            let generation = self.generation(trust).await?;
            let began = self.kv.now();
            // The first time it is made sure that the counter has its place.
            let is_first = self.known_of(generation, |known| !known.placed);
            if is_first {
                self.counter(generation).await?;
            }
            if !self.is_live(generation).await? {
                return Ok(Loaded { tail: self.tail(), ..Loaded::default() });
            }
            // Only the last ones: most often that is all of them.
            let unsettled = self.known_of(generation, |known| {
                let settled = known.settled(began, self.config().void_after);
                known.unsettled(settled).iter().rev().take(PEEK).collect::<Vec<_>>()
            });
            let lacks: Numbers = unsettled.into_iter().rev().collect();
            let solid = self.known_of(generation, |known| known.top);
            let seen = Seen::new(generation, solid, lacks);
            if self.look(&seen, if is_first { Extent::All } else { Extent::News }).await?.is_some() {
                return Ok(Loaded { tail: self.tail(), ..Loaded::default() });
            }
        }
    }

    async fn read_since(&self, since: &Offset, trust: u64) -> Result<Loaded, LogError> {
        let parsed = Seen::parse(since);
        // A whole document is not told from memory.
        let mut generation = self.generation(if parsed.number == 0 { 0 } else { trust }).await?;
        if parsed.generation > generation {
            // Another instance may have made it again a moment ago.
            generation = self.generation(0).await?;
        }
        let seen = if parsed.generation == generation {
            parsed
        } else {
            // Of a life that is over; or of one that never was, as after a return to a backup.
            Seen::nothing(generation)
        };
        let extent = if seen.number == 0 { Extent::All } else { Extent::News };
        if extent == Extent::News && !self.is_live(generation).await? {
            let mut tail = self.tail();
            // Another request stored something meanwhile, which was not told.
            if tail.life == Life::Live {
                return Err(LogError::Unavailable);
            }
            // Numbers were given, and nothing stands under them yet: who knows of more is not sent back.
            tail.end = tail.end.max(since.clone());
            return Ok(Loaded { tail, ..Loaded::default() });
        }
        // Dead meanwhile: then the next one is loaded.
        let Some(view) = self.look(&seen, extent).await? else { return Err(LogError::Unavailable) };
        let news = News::of(&view, &seen);
        let mut loaded = Loaded::default();
        let is_news = view.top > seen.number || news.pending.count() < seen.lacking();
        let end = if is_news {
            self.tell(&view, &seen, since, &news, &mut loaded).await?;
            Seen::new(generation, view.top.max(seen.number), news.pending).offset()
        } else if seen.number > 0 {
            since.clone()
        } else {
            seen.offset()
        };
        let known = self.known();
        // Its life is another one's by now.
        if known.generation != generation {
            return Err(LogError::Unavailable);
        }
        loaded.tail = known.tail(end);
        Ok(loaded)
    }

    /// Reads what is to be told, in the order of the numbers, with the place behind each update.
    async fn tell(
        &self,
        view: &View,
        seen: &Seen,
        since: &Offset,
        news: &News,
        loaded: &mut Loaded,
    ) -> Result<(), LogError> {
        let mut snapshots = news.snapshots.iter().rev();
        if let Some(snapshot) = snapshots.next() {
            loaded.snapshot = self.body(view, *snapshot).await?.pop();
        }
        // What these cover is known only behind the last of them.
        for snapshot in snapshots {
            let updates = self.body(view, *snapshot).await?.into_iter();
            loaded.updates.extend(updates.map(|update| (since.clone(), update)));
        }
        let place = |number: u64, left: &Set<u64>| {
            let lacking = news.pending.iter().take_while(|pending| *pending <= number);
            let lacking: Set<_> = lacking.chain(left.range(..=number).copied()).collect();
            let place = Seen::new(view.generation, number, lacking.into_iter().collect());
            // A reader that does not know its holes one by one is told more than it lacks.
            place.offset().max(since.clone())
        };
        let mut number = news.snapshots.last().map_or(seen.number, |snapshot| seen.number.max(*snapshot));
        let mut left = news.updates.clone();
        let mut before = place(number, &left);
        for own in news.updates.iter() {
            let updates = self.body(view, *own).await?;
            left.remove(own);
            number = number.max(*own);
            let behind = place(number, &left);
            // Between two updates of one entry there is no place: who stops there is told both again.
            let last = updates.len().saturating_sub(1);
            for (index, update) in updates.into_iter().enumerate() {
                loaded.updates.push((if index == last { &behind } else { &before }.clone(), update));
            }
            before = behind;
        }
        Ok(())
    }

    /// The updates of an entry that was found.
    pub(super) async fn body(&self, view: &View, number: u64) -> Result<Vec<Bytes>, LogError> {
        let Some(found) = view.found.get(&number) else { return Err(LogError::Unavailable) };
        fetch(&self.kv, &self.keys().entry(view.generation, number), found.value.clone()).await
    }

    /// Whether a generation has an entry.
    pub(super) async fn is_live(&self, generation: u64) -> Result<bool, LogError> {
        for _ in 0..ATTEMPTS {
            if self.known_of(generation, |known| known.live) {
                return Ok(true);
            }
            // The first one is most often there until the first compaction, upon which the head knows.
            if self.kv.get(&self.keys().entry(generation, 1).key()).await?.is_some() {
                let mut known = self.known_mut();
                known.live |= known.generation == generation;
                return Ok(true);
            }
            match self.look(&Seen::nothing(generation), Extent::All).await {
                Ok(Some(view)) => return Ok(!view.found.is_empty()),
                // Another request stored something while this one looked.
                Ok(None) | Err(LogError::Unavailable) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LogError::Unavailable)
    }

    /// How long the log is, as far as is known.
    pub(super) fn tail(&self) -> Tail {
        let known = self.known();
        known.tail(known.end(self.kv.now(), self.config().void_after).offset())
    }
}

impl News {
    fn of(view: &View, seen: &Seen) -> Self {
        let mut snapshots = Set::new();
        // What was not read one by one stands in one of them. Who has nothing is given the newest also if all was read, as
        // after a compaction that was cut off before the head: it is where readers are sent to.
        if view.is_cut() || seen.number == 0 {
            snapshots.extend(view.snapshots().filter(|number| view.is_live(*number)));
        }
        let missing = view.missing.iter().filter(|number| seen.lacks(**number));
        snapshots.extend(missing.filter_map(|number| view.covering(*number)));
        let told = |number: u64| {
            let covers = |own: &u64| view.found.get(own).is_some_and(|found| found.fact.covers(*own, number));
            snapshots.iter().any(covers)
        };
        let updates = view
            .found
            .iter()
            .filter(|(number, found)| found.fact.open.is_none() && seen.lacks(**number) && !told(**number));
        let updates = updates.map(|(number, _)| *number).collect();
        let pending = view.pending().iter().filter(|number| seen.lacks(*number)).collect();
        Self { snapshots, updates, pending }
    }
}
