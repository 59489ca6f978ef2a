//! A look at the entries of a generation: what stands under its numbers.

use super::Work;
use super::known::{Fact, Known};
use super::numbers::Numbers;
use super::seen::Seen;
use crate::collections::{Map, Set};
use crate::effect::Millis;
use crate::kv::entry::Value;
use crate::kv::{CountKv, Kv as _, Place as _};
use crate::log::LogError;

/// Numbers that are read at once, downwards, in search of a snapshot.
const CHUNK: u64 = 64;
/// Numbers behind the counter that are read by who knows nothing yet: a counter that has lost its place is noticed by
/// them, unless so many beside each other are void.
pub(super) const PROBE: u64 = 8;
/// How often what is missing is looked for again while the counter grows.
const PASSES: usize = 16;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) generation: u64,
    /// The counter.
    pub(super) top: u64,
    pub(super) found: Map<u64, Found>,
    /// Numbers that were read and are not there.
    pub(super) missing: Set<u64>,
    /// What the reader has without a hole, or what holes it has were read.
    solid: u64,
    /// The counter had lost its place.
    lost: bool,
    /// Everything behind this was read.
    low: u64,
    /// [`Extent::Oldest`]: numbers that were not read, and may be live.
    pub(super) unread: Numbers,
    /// Numbers below this are not pending.
    pub(super) settled: u64,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) fact: Fact,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What a reader lacks; a number that is not there yet may be there next time.
    News,
    /// Everything, and what is not there is really not.
    All,
    /// The last numbers, and from the beginning on so many that no snapshot covers.
    Oldest(usize),
}

impl View {
    /// The newest snapshot that covers a number.
    pub(super) fn covering(&self, number: u64) -> Option<u64> {
        let covers = |(own, found): &(&u64, &Found)| found.fact.covers(**own, number);
        self.found.range(number + 1..).rev().find(covers).map(|(own, _)| *own)
    }

    /// The last of the snapshots behind what the reader has, and what it leaves open.
    pub(super) fn newest(&self) -> Option<(u64, &Numbers)> {
        let number = self.snapshots().next_back()?;
        Some((number, self.found.get(&number)?.fact.open.as_ref()?))
    }

    /// The snapshots behind what the reader has.
    pub(super) fn snapshots(&self) -> impl DoubleEndedIterator<Item = u64> {
        let behind = self.found.range(self.solid + 1..);
        behind.filter(|(_, found)| found.fact.open.is_some()).map(|(number, _)| *number)
    }

    /// Whether there is something behind what the reader has that was not read one by one: a snapshot covers it.
    pub(super) fn is_cut(&self) -> bool {
        self.low > self.solid
    }

    /// Numbers that are missing and that nothing covers.
    pub(super) fn uncovered(&self) -> Vec<u64> {
        self.missing.iter().copied().filter(|number| self.covering(*number).is_none()).collect()
    }

    /// Those of them under which something may yet be.
    pub(super) fn pending(&self) -> Numbers {
        self.uncovered().into_iter().filter(|number| *number >= self.settled).collect()
    }

    /// Whether a number is there, and no snapshot covers it.
    pub(super) fn is_live(&self, number: u64) -> bool {
        self.found.contains_key(&number) && self.covering(number).is_none()
    }
}

impl<K: CountKv> Work<'_, K> {
    /// Looks at what a reader lacks of a generation; none if that is dead.
    ///
    /// # Errors
    /// What must be there is not: [`LogError::Unavailable`], and never a document that is smaller than it is.
    pub(super) async fn look(&self, seen: &Seen, extent: Extent) -> Result<Option<View>, LogError> {
        let began = self.kv.now();
        let mut view = View { generation: seen.generation, ..View::default() };
        view.top = self.counter(view.generation).await?;
        let head =
            self.known_of(view.generation, |known| known.head.as_ref().map_or(0, |head| head.seen.number));
        if seen.vague.is_none() {
            self.read(&mut view, seen.holes.iter().collect()).await?;
        }
        view.solid = if seen.vague.is_some() { seen.solid() } else { seen.number };
        self.scan(&mut view, head, extent).await?;
        let is_full = extent != Extent::News;
        if is_full {
            self.find_place(&mut view).await?;
        }
        // What is missing may be so because a compaction, meanwhile, covered and deleted it. What is deleted is
        // covered, at that time, by a snapshot behind it that is there. So if what is missing is read in ascending
        // order, and no number was given by then, such a snapshot is found: or it was deleted itself when it was read,
        // and is covered by one behind it, and so on up to the last number.
        let mut sure = Set::new();
        for _ in 0..PASSES {
            self.read_open(&mut view, seen, extent).await?;
            self.settle(&mut view, began);
            let uncovered = view.uncovered();
            let lost = view.is_cut() && view.newest().is_none();
            let matters = is_full || lost || uncovered.iter().any(|number| *number < view.settled);
            if !matters || uncovered.iter().all(|number| sure.contains(number)) {
                return self.conclude(view, is_full, head, lost).await;
            }
            self.read(&mut view, uncovered).await?;
            let next = self.counter(view.generation).await?.max(view.top);
            let new: Vec<_> = (view.top + 1..=next).collect();
            view.top = next;
            self.read(&mut view, new.clone()).await?;
            if new.iter().all(|number| view.found.contains_key(number)) {
                sure = view.uncovered().into_iter().collect();
            }
        }
        Err(LogError::Unavailable)
    }

    /// What is there of a generation that is dead, where whatever is missing may be so.
    pub(super) async fn look_at_dead(&self, generation: u64, head: u64) -> Result<View, LogError> {
        // The counter may have lost its place.
        let top = self.counter(generation).await?.max(head);
        let mut view = View { generation, top, ..View::default() };
        self.scan(&mut view, head, Extent::All).await?;
        self.find_place(&mut view).await?;
        self.read_open(&mut view, &Seen::nothing(generation), Extent::All).await?;
        Ok(view)
    }

    async fn conclude(
        &self,
        view: View,
        is_full: bool,
        head: u64,
        lost: bool,
    ) -> Result<Option<View>, LogError> {
        let uncovered = view.uncovered();
        if !uncovered.is_empty() && self.is_dead(view.generation).await? {
            return Ok(None);
        }
        let was_there = |number: &u64| {
            self.known_of(view.generation, |known| {
                known.facts.contains_key(number) && !known.is_covered(*number)
            })
        };
        let must_be = |number: &u64| *number == head || is_full && was_there(number);
        if lost || uncovered.iter().any(must_be) {
            return Err(LogError::Unavailable);
        }
        let mut known = self.known_mut();
        known.raise(view.generation, view.top);
        for (number, found) in view.found.iter() {
            known.learn(view.generation, *number, found.fact.clone());
        }
        uncovered.iter().for_each(|number| known.miss(view.generation, *number));
        drop(known);
        Ok(Some(view))
    }

    /// The counter, set right if it is known to have lost its place.
    pub(super) async fn counter(&self, generation: u64) -> Result<u64, LogError> {
        let key = self.keys().counter(generation);
        // Before it is read: what comes to be known meanwhile may be later than that.
        let known = self.known_of(generation, |known| known.top);
        let mut top = self.kv.count(&key, 0).await?;
        if top < known {
            top = self.kv.count(&key, known - top).await?;
        }
        self.known_mut().raise(generation, top);
        Ok(top)
    }

    /// Something of what is known of a generation; nothing if it is not the one that is known.
    pub(super) fn known_of<T: Default>(&self, generation: u64, of: impl FnOnce(&Known) -> T) -> T {
        let known = self.known();
        if known.generation == generation { of(&known) } else { T::default() }
    }

    /// Reads numbers, in this order.
    async fn read(&self, view: &mut View, numbers: Vec<u64>) -> Result<(), LogError> {
        let slot = |number: &u64| self.keys().entry(view.generation, *number).key();
        let keys: Vec<_> = numbers.iter().map(slot).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for (number, value) in numbers.into_iter().zip(self.kv.get_all(&keys).await?) {
            let Some(value) = value else {
                view.missing.insert(number);
                view.found.remove(&number);
                continue;
            };
            let value = Value::decode(&value).map_err(|_| LogError::Corrupt)?;
            let fact = Fact::of(&value)?;
            view.missing.remove(&number);
            view.found.insert(number, Found { value, fact });
        }
        Ok(())
    }

    /// Reads downwards from the counter, to what the reader has or to a snapshot.
    async fn scan(&self, view: &mut View, head: u64, extent: Extent) -> Result<(), LogError> {
        let solid = view.solid;
        // What is far behind is read from the snapshot on.
        let is_far = solid == 0 || view.top.saturating_sub(solid) > CHUNK;
        let stop = if is_far && head > solid { head - 1 } else { solid };
        view.low = view.top;
        while view.low > stop && view.newest().is_none() {
            let low = stop.max(view.low.saturating_sub(CHUNK));
            self.read(view, (low + 1..=view.low).collect()).await?;
            view.low = low;
            if matches!(extent, Extent::Oldest(_)) && head > 0 && head <= low && view.newest().is_none() {
                // Behind the head there may be more than is to be read at once.
                self.read(view, vec![head]).await?;
            }
        }
        Ok(())
    }

    /// Whether readers may be past a number that was given just now: the counter had lost its place, and was set right by
    /// this or by another.
    pub(super) async fn is_misplaced(
        &self,
        generation: u64,
        number: u64,
        taken: Millis,
    ) -> Result<bool, LogError> {
        let mut view = View { generation, top: number, ..View::default() };
        self.find_place(&mut view).await?;
        let slack = self.slack();
        let voids = |(own, found): (&u64, &Found)| found.fact.voids(*own, number, taken, slack);
        Ok(view.lost || view.found.range(number + 1..).any(voids))
    }

    /// By how many milliseconds an entry that was stored under a larger number may seem to be older than a smaller number:
    /// by what clocks differ. As much is left until readers are past that.
    pub(super) fn slack(&self) -> u64 {
        self.config().void_after.saturating_sub(self.config().ack_within) / 2
    }

    /// Looks whether something stands behind the counter, and sets it right then. Everything up to the counter is read.
    async fn find_place(&self, view: &mut View) -> Result<(), LogError> {
        let began = self.kv.now();
        let (mut read, mut reach) = (view.top, PROBE);
        loop {
            let upto = read.max(view.top + reach);
            self.read(view, (read + 1..=upto).collect()).await?;
            let behind = || view.found.range(view.top + 1..);
            let Some((last, _)) = behind().next_back() else { break };
            let (last, is_old) =
                (*last, behind().any(|(_, found)| found.fact.time.after(self.slack()) < began));
            read = upto;
            view.top = self.counter(view.generation).await?;
            // What is new was stored by those who took their numbers since.
            reach = if is_old { PROBE } else { 0 };
            if view.top < last {
                self.known_mut().raise(view.generation, last);
                view.lost = true;
                // That of a dead generation stays where it is.
                view.top = self.counter(view.generation).await?.max(last);
                reach = CHUNK;
            }
        }
        let mut known = self.known_mut();
        known.placed |= known.generation == view.generation;
        let top = view.top;
        view.missing.retain(|number| *number <= top);
        Ok(())
    }

    /// Reads what the snapshots leave open, as far as the reader lacks it and it was not read.
    async fn read_open(&self, view: &mut View, seen: &Seen, extent: Extent) -> Result<(), LogError> {
        loop {
            let newest = view.newest().map(|(number, open)| (number, open.clone()));
            let (newest, mut open) = newest.unwrap_or((view.solid, Numbers::default()));
            open.push_run(newest + 1, view.low);
            let is_new = |number: &u64| {
                let was_read = view.found.contains_key(number) || view.missing.contains(number);
                let lacks = *number > view.solid || seen.lacks(*number);
                lacks && !was_read && view.covering(*number).is_none()
            };
            let mut new: Vec<_> = open.iter().filter(is_new).collect();
            if let Extent::Oldest(most) = extent {
                let behind = new.split_off(new.len().min(most));
                self.read(view, new).await?;
                let is_open = |number: &u64| view.covering(*number).is_none();
                view.unread = behind.into_iter().filter(is_open).collect();
                return Ok(());
            }
            if new.is_empty() {
                return Ok(());
            }
            self.read(view, new).await?;
        }
    }

    /// Reckons what is void, by what was the time before the first read.
    fn settle(&self, view: &mut View, began: Millis) {
        let void_after = self.config().void_after;
        let is_old = |found: &Found| found.fact.time.after(void_after) <= began;
        let read = view.found.iter().rev().find(|(_, found)| is_old(found)).map_or(0, |(number, _)| *number);
        view.settled = read.max(self.known_of(view.generation, |known| known.settled(began, void_after)));
    }
}
