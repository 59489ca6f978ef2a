//! Ending a generation, and freeing what it took.

use super::Work;
use super::compact::Replaced;
use super::head::Head;
use super::numbers::Numbers;
use super::seen::Seen;
use crate::collections::Set;
use crate::kv::entry::{Body, Entry, Value};
use crate::kv::{CountKv, Kv as _, unread};
use crate::log::{LogError, LogReply, Offset};

/// Requests that are remembered until they are repeated.
const DELETIONS_MAX: usize = 16;
/// Dead generations that are freed at once. The head says how far that was done: more than one is rare.
const DEAD_MAX: u64 = 8;
/// Numbers behind the last one of a dead generation under which something may have come to be stored.
const LATE_MAX: u64 = 64;

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn delete(&self) -> Result<LogReply, LogError> {
        let generation = self.generation(0).await?;
        let begun = self.log.deletions.borrow().get(&self.op).copied();
        // A repeated request may have been done: it does not delete what was made again since.
        let existed = match begun {
            Some(begun) if begun < generation => true,
            Some(_) | None => {
                let is_live = self.is_live(generation).await?;
                if is_live {
                    self.bury(generation).await?;
                }
                is_live
            }
        };
        let generation = self.generation(0).await?;
        // The document is deleted, whatever comes of this.
        let _ = self.finish_deletion(generation).await;
        Ok(LogReply::Deleted { existed, tail: self.load(Offset::END, self.trust()).await?.tail })
    }

    /// Writes the tombstone. From then on the generation is dead.
    async fn bury(&self, generation: u64) -> Result<(), LogError> {
        {
            let mut deletions = self.log.deletions.borrow_mut();
            deletions.insert(self.op, generation);
            if deletions.len() > DELETIONS_MAX {
                deletions.pop_first();
            }
        }
        let key = self.keys().tombstone(generation);
        let tombstone = Entry { time: self.kv.now(), covers: None, updates: Vec::new() };
        self.kv.set(&key, tombstone.encode(usize::MAX, usize::MAX).value).await?;
        unread(&self.kv, &key).await?;
        // Who waits for news of it sees that a number is missing, and looks for the tombstone. If this fails it does so
        // a little later.
        let _ = self.kv.count(&self.keys().counter(generation), 1).await;
        Ok(())
    }

    /// Frees what the generations before took, unless the head says that this was done. What fails here is done by the
    /// next who creates, deletes or compacts the document.
    pub(super) async fn finish_deletion(&self, generation: u64) -> Result<(), LogError> {
        if generation == 0 {
            return Ok(());
        }
        let head = self.read_head().await?;
        let from = head.as_ref().map_or(0, |head| head.seen.generation);
        // Who freed it may have died before the last of it.
        if let Some(left) = head.as_ref().and_then(|head| head.left.as_ref()) {
            self.erase_left(left).await?;
        }
        if from >= generation {
            self.known_mut().learn_head(head);
            return Ok(());
        }
        let (mut left, mut last) = (None, Vec::new());
        for dead in from.max(generation.saturating_sub(DEAD_MAX))..generation {
            match self.free(dead, head.as_ref()).await {
                Ok((seen, snapshot)) => {
                    last.extend(snapshot.map(|number| self.keys().entry(dead, number)));
                    left = Some(seen);
                }
                Err(LogError::Unavailable) => return Err(LogError::Unavailable),
                // What cannot be read stays.
                Err(_) => {}
            }
        }
        self.write_head(&Head { seen: Seen::nothing(generation), bytes: 0, left }).await?;
        for slot in &last {
            self.erase(slot, true).await?;
        }
        Ok(())
    }

    /// Deletes the entries and versions of a dead generation, as far as they can be named. Gives what may yet be stored
    /// there, and the snapshot that leads to the others, which goes last.
    async fn free(&self, generation: u64, head: Option<&Head>) -> Result<(Seen, Option<u64>), LogError> {
        let head = head.filter(|head| head.seen.generation == generation);
        let view = self.look_at_dead(generation, head.map_or(0, |head| head.seen.number)).await?;
        let newest = view.newest().map(|(number, _)| number);
        let holes: Set<_> = view.uncovered().into_iter().chain(newest).collect();
        for number in view.uncovered() {
            self.erase(&self.keys().entry(generation, number), true).await?;
        }
        // The last one first: should the counter lose its place, what is left is found from the first one on.
        for (number, found) in view.found.iter().rev() {
            for (replaced, parts) in Replaced::of(&found.value).numbers() {
                self.erase(&self.keys().entry(generation, replaced), parts).await?;
            }
            if Some(*number) != newest {
                let slot = self.keys().entry(generation, *number);
                self.erase(&slot, matches!(found.value.body, Body::Parts(_))).await?;
            }
        }
        self.free_versions(generation).await?;
        self.kv.delete(&self.keys().index(generation)).await?;
        Ok((Seen::new(generation, view.top, holes.into_iter().collect()), newest))
    }

    /// Deletes what was stored in a dead generation after it was freed, once nothing can be any more. Gives what is left
    /// for another time.
    pub(super) async fn sweep(&self, left: &Seen) -> Result<Option<Seen>, LogError> {
        let tombstone = unread(&self.kv, &self.keys().tombstone(left.generation)).await?;
        let is_over = |tombstone: Value| tombstone.time.after(self.config().void_after) <= self.kv.now();
        // One that cannot be read says nothing of its time.
        if Value::decode(&tombstone).is_ok_and(is_over) {
            self.erase_left(left).await
        } else {
            Ok(Some(left.clone()))
        }
    }

    async fn erase_left(&self, left: &Seen) -> Result<Option<Seen>, LogError> {
        let counted = self.kv.count(&self.keys().counter(left.generation), 0).await?;
        // Those who did not know of the deletion took their numbers a moment before or after it.
        let top = counted.clamp(left.number, left.number + LATE_MAX);
        let mut numbers = left.holes.clone();
        numbers.push_run(left.number + 1, top);
        let (mut rest, mut most) = (Numbers::default(), self.config().compaction_reads as u64);
        for (first, last) in numbers.runs() {
            let now = most.min(last - first + 1);
            most -= now;
            for number in *first..first + now {
                self.erase(&self.keys().entry(left.generation, number), true).await?;
            }
            rest.push_run(first + now, *last);
        }
        self.kv.delete(&self.keys().index(left.generation)).await?;
        let is_done = rest.first().is_none();
        Ok((!is_done).then(|| Seen::new(left.generation, top, rest)))
    }
}
