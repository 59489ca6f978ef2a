//! Compaction: what is live becomes one snapshot, which is read back before anything is deleted for it.

use super::Listed;
use super::keys::EntryKey;
use super::read::{Fault, Live, Retry};
use super::view::View;
use crate::collections::{Map, Set};
use crate::kv::entry::{Covers, LAYER_NAMES_MAX, Layer, NAMES_MAX};
use crate::kv::{Kv, ListKv};
use crate::log::{Life, LogError, Tail};
use crate::replica;
use crate::update::{self, Summary};
use bytes::Bytes;

/// The update that changes nothing.
const EMPTY: &[u8] = &[0, 0];

impl<K: ListKv> Listed<K> {
    pub(super) async fn compact(&self, kv: &impl ListKv) -> Result<Tail, LogError> {
        let mut retry = Retry::default();
        loop {
            let view = self.list(kv).await?;
            if view.life != Life::Live {
                let end = super::place::first(view.generation);
                return Ok(Tail { life: view.life, end, ..Tail::default() });
            }
            match self.compact_once(kv, &view, &retry).await {
                Ok(tail) => return Ok(tail),
                Err(fault) => self.may_retry(&view, fault, &mut retry)?,
            }
        }
    }

    async fn compact_once(&self, kv: &impl ListKv, view: &View, retry: &Retry) -> Result<Tail, Fault> {
        let mut live = self.live(kv, view, retry).await?;
        let snapshots = live.entries.iter().filter(|entry| entry.is_snapshot).count();
        let mut merges = live.entries.len() > snapshots || snapshots > 1;
        let mut collects = true;
        if let Some(most) = self.config.apart.filter(|_| merges) {
            // What is too little to be worth it waits. Neither is to wait for the other for ever.
            collects = self.doomed(kv, view, &live).await?.len() >= most / 2 && kv.random().is_multiple_of(2);
            merges = !collects;
        }
        if merges {
            let snapshot = self.merge(kv, &mut live).await?;
            live.entries.retain(|entry| !live.names.is_covered(entry.id));
            let place = live.entries.partition_point(|entry| *entry < snapshot);
            live.entries.insert(place, snapshot);
        }
        self.settle(&live);
        if collects {
            // The snapshot is stored; what is not deleted now is deleted another time.
            let _ = self.collect(kv, view, &live).await;
        }
        Ok(live.tail())
    }

    /// Merges the oldest of what is live into a snapshot.
    async fn merge(&self, kv: &impl Kv, live: &mut Live) -> Result<EntryKey, Fault> {
        let most = self.config.compaction_reads.clamp(2, NAMES_MAX);
        let merged: Set<_> = live.entries.iter().take(most).copied().collect();
        let updates: Vec<_> = self.bodies(kv, live, &merged).await?.into_iter().flatten().collect();
        let inspected: Result<Vec<_>, _> = updates.iter().map(|update| update::inspect(update)).collect();
        let inspected = inspected.map_err(|_| LogError::Corrupt)?;
        let snapshot = replica::compact(updates).map_err(|_| LogError::Corrupt)?;
        if !covers(&snapshot, &inspected) {
            return Err(LogError::Corrupt.into());
        }
        let updates = if *snapshot == *EMPTY { Vec::new() } else { vec![snapshot] };
        let generation = live.generation;
        let entry = self.entry(kv, &updates, true);
        let covers = covers_of(live, &merged);
        self.write(kv, generation, entry, Some(covers.clone()), updates.clone()).await?;
        live.names.add(entry.id, &covers);
        self.read_back(kv, generation, entry, covers, &updates).await?;
        Ok(entry)
    }

    /// Reads a snapshot and compares it with what was written. Only one that is found to be just that may have anything
    /// deleted for it.
    async fn read_back(
        &self,
        kv: &impl Kv,
        generation: u32,
        entry: EntryKey,
        covers: Covers,
        updates: &[Bytes],
    ) -> Result<(), Fault> {
        let value = match self.value(kv, generation, entry).await {
            Ok(value) => value,
            // Not visible yet: another compaction reads it.
            Err(Fault::Lacks(_, LogError::Unavailable)) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let read = value.covers.clone();
        match self.body(kv, generation, entry, value).await {
            Ok(body) if body == updates && read.as_ref() == Some(&covers) => {
                self.state.borrow_mut().covers.insert(entry.id, covers.into());
                Ok(())
            }
            Ok(_) => {
                self.state.borrow_mut().whole.remove(&entry.id);
                Err(LogError::Corrupt.into())
            }
            Err(Fault::Lacks(_, LogError::Unavailable)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// What a snapshot of these entries says that it covers.
fn covers_of(live: &Live, merged: &Set<EntryKey>) -> Covers {
    let mut names: Vec<_> = merged.iter().map(|entry| entry.id).collect();
    // What cannot be read is covered by whoever covers all that it does.
    let all = live.names.with_covered(names.iter().copied().collect());
    let is_covered = |of: &[u64]| of.iter().all(|name| all.contains(name));
    let needless = live.needless.iter().filter(|(_, of)| is_covered(of));
    names.extend(needless.map(|(id, _)| id));
    let (mut layers, mut left, mut seen) = (Vec::new(), LAYER_NAMES_MAX, Set::new());
    // Newest first, and then what these had covered.
    let snapshots = merged.iter().rev().filter(|entry| entry.is_snapshot);
    let mut open: std::collections::VecDeque<_> = snapshots.map(|entry| entry.id).collect();
    while let Some(id) = open.pop_front() {
        let Some(names) = live.names.of(id).filter(|_| seen.insert(id)) else { continue };
        // All of a layer or nothing: half of one would say that it covers less.
        let Some(rest) = left.checked_sub(names.len() + 1) else { continue };
        left = rest;
        layers.push(Layer { id, names: names.to_vec() });
        open.extend(names);
    }
    Covers { names, layers }
}

/// Whether a snapshot has every struct that these updates have, by the clocks.
fn covers(snapshot: &Bytes, updates: &[Summary]) -> bool {
    let Ok(snapshot) = update::inspect(snapshot) else { return false };
    let clocks: Map<_, _> =
        snapshot.clients.iter().map(|section| (section.client, (section.covers, section.end))).collect();
    updates.iter().flat_map(|update| &update.clients).all(|section| {
        let (covers, end) = clocks.get(&section.client).copied().unwrap_or_default();
        section.covers <= covers && section.end <= end
    })
}
