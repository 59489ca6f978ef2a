//! Deleting what nobody reads any more: only keys that this object listed, and never more than a bounded number.

use super::keys::{EntryKey, Key};
use super::read::{Fault, Live};
use super::view::View;
use super::{Listed, list_all};
use crate::collections::Set;
use crate::effect::Millis;
use crate::kv::{Kv, ListKv};
use crate::log::LogError;

/// Milliseconds after which parts that belong to nothing are deleted: a day.
const ORPHANED_AFTER: u64 = 86_400_000;

/// How many keys a request may still delete.
struct Budget(usize);

impl<K: ListKv> Listed<K> {
    /// Deletes what snapshots cover that were read whole and are older than the grace period, parts that belong to
    /// nothing, and what dead generations left.
    pub(super) async fn collect(&self, kv: &impl ListKv, view: &View, live: &Live) -> Result<(), Fault> {
        // A snapshot in many parts leaves as many behind when it is covered: more are deleted than are written.
        let parts = live.tail().snapshot_bytes / (self.config.value_bytes.max(1) as u64);
        let mut budget = self.budget(usize::try_from(parts).unwrap_or(usize::MAX).saturating_mul(2));
        let doomed = self.doomed(kv, view, live).await?;
        let mut gone = Set::new();
        for entry in &doomed {
            let key = Key::Entry(view.generation, *entry);
            // The value before its parts: an entry that is listed has all of them.
            if budget.delete(kv, &self.keys.write(key)).await? {
                self.state.borrow_mut().forget(key);
                gone.insert(entry.id);
            }
        }
        let now = kv.now();
        let stored: Set<_> = view.entries.iter().chain(&live.entries).map(|entry| entry.id).collect();
        for key in list_all(kv, &self.keys.prefix('p')).await? {
            let Some((generation, time, id)) = self.keys.read_part(&key) else { continue };
            let is_orphan =
                generation == view.generation && !stored.contains(&id) && self.is_orphaned(now, time);
            if generation < view.generation || gone.contains(&id) || is_orphan {
                budget.delete(kv, &key).await?;
            }
        }
        if view.generation > 0 {
            self.bury_with(kv, view, view.generation, &mut budget).await?;
        }
        Ok(())
    }

    /// Deletes what generations before `alive` left.
    pub(super) async fn bury(&self, kv: &impl ListKv, view: &View, alive: u32) -> Result<(), LogError> {
        let mut budget = self.budget(0);
        self.bury_with(kv, view, alive, &mut budget).await?;
        for key in list_all(kv, &self.keys.prefix('p')).await? {
            if self.keys.read_part(&key).is_some_and(|(generation, ..)| generation < alive) {
                budget.delete(kv, &key).await?;
            }
        }
        Ok(())
    }

    async fn bury_with(
        &self,
        kv: &impl ListKv,
        view: &View,
        alive: u32,
        budget: &mut Budget,
    ) -> Result<(), LogError> {
        let dead: Vec<_> = view.listed.iter().copied().filter(|key| key.generation() < alive).collect();
        // Two tombstones stay: where the last is not visible yet, the one before is.
        let is_left = |key: &&Key| !matches!(key, Key::Tombstone(of) if of.saturating_add(2) >= alive);
        let dead: Vec<_> = dead.iter().filter(is_left).collect();
        let generations: Set<_> = dead.iter().map(|key| key.generation()).collect();
        // One after the other: what is deleted again and again must not use up what a request may delete.
        for generation in generations {
            budget.delete(kv, &self.keys.index(generation)).await?;
            for key in dead.iter().filter(|key| key.generation() == generation) {
                if budget.delete(kv, &self.keys.write(**key)).await? {
                    self.state.borrow_mut().forget(**key);
                }
            }
        }
        for kind in ['v', 'w'] {
            for key in list_all(kv, &self.keys.prefix(kind)).await? {
                let version = self.keys.read_version(kind, &key);
                if version.is_some_and(|(generation, _)| generation < alive) {
                    budget.delete(kv, &key).await?;
                }
            }
        }
        Ok(())
    }

    /// Listed entries that may be deleted: updates first, so that the snapshots that cover these stay the longest.
    pub(super) async fn doomed(
        &self,
        kv: &impl Kv,
        view: &View,
        live: &Live,
    ) -> Result<Vec<EntryKey>, Fault> {
        let now = kv.now();
        let mut covered = Set::new();
        // The newest first: what it covers needs none of the others.
        for entry in view.entries.iter().rev().filter(|entry| entry.is_snapshot) {
            // One that was made just now is not older than the grace period.
            if now.since(entry.time) < self.config.grace || live.names.of(entry.id).is_none() {
                continue;
            }
            let names = live.names.with_covered(Set::from_iter([entry.id]));
            let is_covered =
                |of: &EntryKey| of.id != entry.id && names.contains(&of.id) && !covered.contains(&of.id);
            let freed = view.entries.iter().filter(|entry| is_covered(entry)).count();
            if freed == 0 {
                continue;
            }
            if !self.state.borrow().whole.contains(&entry.id) {
                // It was read to be covered itself, but not by this instance. Of a document that is edited all the time
                // there is no other that is old enough; for a few keys it is not read again.
                if live.names.is_covered(entry.id) && freed < self.config.compaction_reads / 2 {
                    continue;
                }
                let value = self.value(kv, view.generation, *entry).await?;
                self.body(kv, view.generation, *entry, value).await?;
            }
            covered.extend(names.into_iter().filter(|id| *id != entry.id));
        }
        let is_doomed = |entry: &&EntryKey| covered.contains(&entry.id) && view.has_listed(**entry);
        let doomed = view.entries.iter().filter(is_doomed).copied();
        let (snapshots, mut doomed): (Vec<_>, Vec<_>) = doomed.partition(|entry| entry.is_snapshot);
        doomed.extend(snapshots);
        Ok(doomed)
    }

    /// Whether what belongs to nothing is so old that nobody can be about to finish it, and every list would show what it
    /// belongs to.
    pub(super) fn is_orphaned(&self, now: Millis, time: Millis) -> bool {
        now.since(time) >= ORPHANED_AFTER.max(self.config.void_after)
    }

    fn budget(&self, more: usize) -> Budget {
        let most = self.config.apart.unwrap_or(self.config.compaction_reads);
        Budget(most.max(2).saturating_add(more))
    }
}

impl Budget {
    /// Deletes a key, unless it was enough; whether it did.
    async fn delete(&mut self, kv: &impl Kv, key: &str) -> Result<bool, LogError> {
        let Some(rest) = self.0.checked_sub(1) else { return Ok(false) };
        self.0 = rest;
        kv.delete(key).await?;
        Ok(true)
    }
}
