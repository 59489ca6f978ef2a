//! Ending a generation, and freeing what it took.

use super::Work;
use super::compact::Replaced;
use super::head::Head;
use super::seen::Seen;
use crate::kv::entry::{Body, Entry};
use crate::kv::{CountKv, Kv as _, unread};
use crate::log::{LogError, LogReply};

/// Requests that are remembered until they are repeated.
const DELETIONS_MAX: usize = 16;

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn delete(&self) -> Result<LogReply, LogError> {
        let generation = self.generation(true).await?;
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
        let generation = self.generation(true).await?;
        self.finish_deletion(generation).await?;
        Ok(LogReply::Deleted { existed, tail: self.peek().await?.tail })
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

    /// Frees what the generation before took, unless the head says that this was done. What fails here is done by the
    /// next who creates or deletes the document.
    pub(super) async fn finish_deletion(&self, generation: u64) -> Result<(), LogError> {
        let Some(before) = generation.checked_sub(1) else { return Ok(()) };
        let head = self.read_head().await?;
        if head.as_ref().is_some_and(|head| head.seen.generation >= generation) {
            return Ok(());
        }
        if self.free(before, head).await.is_ok() {
            self.write_head(&Head { seen: Seen::nothing(generation), bytes: 0 }).await?;
        }
        Ok(())
    }

    /// Deletes the entries and versions of a dead generation, as far as they can be named.
    async fn free(&self, generation: u64, head: Option<Head>) -> Result<(), LogError> {
        let head = head.filter(|head| head.seen.generation == generation);
        let view = self.look_at_dead(generation, head.map_or(0, |head| head.seen.number)).await?;
        // Snapshots last: they lead to the others.
        let (snapshots, updates): (Vec<_>, Vec<_>) =
            view.found.iter().partition(|(_, found)| found.fact.open.is_some());
        for number in view.uncovered() {
            self.erase(&self.keys().entry(generation, number), true).await?;
        }
        for (number, found) in updates.into_iter().chain(snapshots) {
            for (replaced, parts) in Replaced::of(&found.value).numbers() {
                self.erase(&self.keys().entry(generation, replaced), parts).await?;
            }
            let slot = self.keys().entry(generation, *number);
            self.erase(&slot, matches!(found.value.body, Body::Parts(_))).await?;
        }
        self.free_versions(generation).await?;
        Ok(self.kv.delete(&self.keys().index(generation)).await?)
    }
}
