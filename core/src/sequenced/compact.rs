//! Replacing entries by a snapshot, and deleting what an earlier snapshot has replaced.

use super::Work;
use super::append::Taken;
use super::head::Head;
use super::known::Fact;
use super::look::{Extent, Found, View};
use super::numbers::Numbers;
use super::seen::Seen;
use crate::collections::Set;
use crate::kv::entry::{Body, Covers, Entry, Layer, NAMES_MAX, Value};
use crate::kv::{CountKv, Kv as _, Place, fetch, put, unread};
use crate::log::{LogError, Offset, Tail};
use crate::replica;
use bytes::Bytes;

/// Runs of replaced numbers that are kept for the next compaction; what is beyond is deleted before its time.
const RUNS_MAX: usize = 128;
/// The layer that lists the numbers which may have parts; the others are runs, from the layer's id to its name.
const PARTS: u64 = 0;
const PARTS_MAX: usize = 200;
/// Void numbers that one compaction takes care of.
const VOIDS_MAX: usize = 64;

/// What a snapshot replaces, and what is to be deleted once it is old enough.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    numbers: Set<u64>,
    /// Those of them that may have parts.
    parts: Set<u64>,
}

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn compact(&self, upto: &Offset) -> Result<Tail, LogError> {
        let generation = self.generation(0).await?;
        let upto = Seen::parse(upto);
        if upto.generation != generation {
            return Ok(self.peek(self.trust()).await?.tail);
        }
        // The head is about to say that this was done.
        if generation > 0 && self.known_of(generation, |known| known.head.is_none()) {
            self.finish_deletion(generation).await?;
        }
        let extent = Extent::Oldest(self.config().compaction_reads);
        let Some(view) = self.look(&Seen::nothing(generation), extent).await? else {
            return Ok(self.peek(self.trust()).await?.tail);
        };
        // All snapshots, so that this one has what all of them cover; and the oldest of the others.
        let live = |is_snapshot: bool| {
            let view = &view;
            let entries = view.found.iter().filter(move |(number, found)| {
                found.fact.open.is_some() == is_snapshot && view.is_live(**number)
            });
            entries.map(|(number, _)| *number)
        };
        let snapshots: Vec<_> = live(true).collect();
        let most = self.config().compaction_reads.saturating_sub(snapshots.len()).max(1);
        let updates: Vec<_> = live(false).take_while(|number| *number <= upto.number).take(most).collect();
        if updates.is_empty() && snapshots.len() < 2 {
            return Ok(self.tail());
        }
        let merged: Set<_> = snapshots.iter().chain(&updates).copied().collect();
        let mut bodies = Vec::with_capacity(merged.len());
        for number in merged.iter() {
            bodies.extend(self.body(&view, *number).await?);
        }
        let body = replica::compact(bodies).map_err(|_| LogError::Corrupt)?;
        self.index(generation).await?;
        let replaced = self.clean(&view, &snapshots, &merged).await?;
        let taken = self.take(generation, true).await?;
        if let Some(mut head) = self.replace(&view, &merged, replaced, taken, body).await? {
            if let Some(left) = self.left(generation) {
                head.left = self.sweep(&left).await?;
            }
            // Another's head may stand there by now, which is as good.
            self.write_head(&head).await?;
        }
        Ok(self.tail())
    }

    /// Writes a snapshot and reads it back; none if it leaves open too much, or its generation is dead.
    async fn replace(
        &self,
        view: &View,
        merged: &Set<u64>,
        replaced: Replaced,
        taken: Taken,
        body: Bytes,
    ) -> Result<Option<Head>, LogError> {
        let generation = view.generation;
        let open = open(view, merged, taken.number);
        let covers = Covers { names: open.encode(), layers: replaced.layers() };
        if covers.names.len() > NAMES_MAX / 4 {
            self.give_back(generation, taken).await;
            return Ok(None);
        }
        if self.is_dead(generation).await? {
            return Ok(None);
        }
        if self.kv.now().since(taken.at) >= self.config().ack_within {
            return Err(LogError::Unavailable);
        }
        let slot = self.keys().entry(generation, taken.number);
        let entry = Entry { time: self.kv.now(), covers: Some(covers), updates: vec![body] };
        put(&self.kv, &slot, &entry, self.config()).await?;
        let value = unread(&self.kv, &slot.key()).await?;
        let value = Value::decode(&value).map_err(|_| LogError::Corrupt)?;
        let fact = Fact::of(&value)?;
        let is_same = value.time == entry.time && value.covers == entry.covers;
        if !is_same || fetch(&self.kv, &slot, value).await? != entry.updates {
            return Err(LogError::Corrupt);
        }
        if self.is_dead(generation).await? {
            self.erase(&slot, true).await?;
            return Ok(None);
        }
        let bytes = fact.bytes;
        self.known_mut().learn(generation, taken.number, fact);
        Ok(Some(Head { seen: Seen::new(generation, taken.number, open), bytes, left: None }))
    }

    /// Deletes what the snapshots that are merged say is replaced by them, if they are old enough; and tells what there
    /// will be to delete once the next snapshot is.
    async fn clean(&self, view: &View, snapshots: &[u64], merged: &Set<u64>) -> Result<Replaced, LogError> {
        let generation = view.generation;
        // Who died may have left parts under a number that is void.
        let voids = view.uncovered().into_iter().filter(|number| *number < view.settled);
        let parts: Set<_> = voids.take(VOIDS_MAX).collect();
        let mut next = Replaced { numbers: merged.iter().chain(parts.iter()).copied().collect(), parts };
        let now = self.kv.now();
        for snapshot in snapshots {
            let Some(found) = view.found.get(snapshot) else { continue };
            let replaced = Replaced::of(&found.value);
            let is_old = found.value.time.after(self.config().grace) <= now;
            if is_old || replaced.is_much() {
                self.lead_to(generation, *snapshot, found).await?;
                // It covers them, and was read just now.
                for number in replaced.numbers.iter() {
                    let slot = self.keys().entry(generation, *number);
                    self.erase(&slot, replaced.parts.contains(number)).await?;
                }
            } else {
                next.numbers.extend(replaced.numbers);
                next.parts.extend(replaced.parts);
            }
        }
        let has_parts = |number: &u64| {
            let body = view.found.get(number).map(|found| &found.value.body);
            matches!(body, Some(Body::Parts(_)))
        };
        next.parts.extend(merged.iter().copied().filter(has_parts));
        // Who died before the value was written may have left parts.
        for number in view.uncovered().into_iter().filter(|number| *number < view.settled) {
            let part = self.keys().entry(generation, number).part(0);
            if self.kv.get(&part).await?.is_some() {
                next.numbers.insert(number);
                next.parts.insert(number);
            }
        }
        Ok(next)
    }

    /// Makes sure that the head is not before a snapshot whose numbers are about to be deleted: should the counter lose its
    /// place, nothing else tells that these were given.
    async fn lead_to(&self, generation: u64, snapshot: u64, found: &Found) -> Result<(), LogError> {
        let head = self.known_of(generation, |known| known.head.as_ref().map_or(0, |head| head.seen.number));
        if head < snapshot {
            let open = found.fact.open.clone().unwrap_or_default();
            let seen = Seen::new(generation, snapshot, open);
            self.write_head(&Head { seen, bytes: found.fact.bytes, left: self.left(generation) }).await?;
        }
        Ok(())
    }

    /// What the head says that the generation before has left.
    fn left(&self, generation: u64) -> Option<Seen> {
        self.known_of(generation, |known| known.head.as_ref().and_then(|head| head.left.clone()))
    }

    /// Deletes an entry, and then its parts, the last one first: whoever goes on with it finds what is left.
    pub(super) async fn erase(&self, slot: &impl Place, parts: bool) -> Result<(), LogError> {
        self.kv.delete(&slot.key()).await?;
        let mut count = 0;
        while parts && self.kv.get(&slot.part(count)).await?.is_some() {
            count += 1;
        }
        for index in (0..count).rev() {
            self.kv.delete(&slot.part(index)).await?;
        }
        Ok(())
    }
}

/// What a snapshot under a number does not cover: what is pending or was not looked at, what was not merged, and the
/// numbers that were given since the look.
fn open(view: &View, merged: &Set<u64>, number: u64) -> Numbers {
    let unmerged = view.found.keys().copied().filter(|own| view.is_live(*own) && !merged.contains(own));
    let mut open: Set<u64> = unmerged.chain(view.pending().iter()).chain(view.unread.iter()).collect();
    open.extend(view.top + 1..number);
    open.retain(|own| *own < number);
    open.into_iter().collect()
}

impl Replaced {
    pub(super) fn of(value: &Value) -> Self {
        let mut replaced = Self::default();
        for layer in value.covers.iter().flat_map(|covers| &covers.layers) {
            match (layer.id, layer.names.as_slice()) {
                (PARTS, names) => replaced.parts.extend(names.iter().copied()),
                (first, [last]) => replaced.numbers.extend(first..=*last),
                _ => {}
            }
        }
        replaced
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = (u64, bool)> + '_ {
        self.numbers.iter().map(|number| (*number, self.parts.contains(number)))
    }

    fn is_much(&self) -> bool {
        let numbers: Numbers = self.numbers.iter().copied().collect();
        numbers.runs().len() > RUNS_MAX / 2 || self.parts.len() > PARTS_MAX / 2
    }

    fn layers(&self) -> Vec<Layer> {
        let numbers: Numbers = self.numbers.iter().copied().collect();
        let parts = Layer { id: PARTS, names: self.parts.iter().copied().take(PARTS_MAX).collect() };
        let runs = numbers.runs().iter().take(RUNS_MAX);
        let runs = runs.map(|(first, last)| Layer { id: *first, names: vec![*last] });
        core::iter::once(parts).chain(runs).collect()
    }
}
