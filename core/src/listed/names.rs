//! What snapshots cover, as far as it was read.

use super::keys::EntryKey;
use crate::collections::{Map, Set};
use crate::kv::entry::Covers;
use std::sync::Arc;

/// What was merged into snapshots: into those that are listed, and those that these had covered.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    by_snapshot: Map<u64, Arc<[u64]>>,
    /// Everything that any of them covers.
    covered: Set<u64>,
}

impl Names {
    pub(super) fn add(&mut self, id: u64, covers: &Covers) {
        let layers = covers.layers.iter().map(|layer| (layer.id, &layer.names));
        for (id, names) in core::iter::once((id, &covers.names)).chain(layers) {
            self.by_snapshot.get_or_insert_with(id, || names.as_slice().into());
            self.covered.extend(names.iter().copied());
        }
    }

    /// What was merged into a snapshot, oldest first; none if that is not known.
    pub(super) fn of(&self, id: u64) -> Option<&[u64]> {
        self.by_snapshot.get(&id).map(AsRef::as_ref)
    }

    pub(super) fn is_covered(&self, id: u64) -> bool {
        self.covered.contains(&id)
    }

    /// All ids that are known of.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.by_snapshot.keys().chain(self.covered.iter()).copied()
    }

    /// These, and all that they cover.
    pub(super) fn with_covered(&self, mut ids: Set<u64>) -> Set<u64> {
        let mut open: Vec<_> = ids.iter().copied().collect();
        while let Some(id) = open.pop() {
            open.extend(self.of(id).unwrap_or_default().iter().filter(|name| ids.insert(**name)));
        }
        ids
    }

    /// The updates that somebody who has `known` lacks of a snapshot; none if one of them is not stored any more, or
    /// nobody knows which they are.
    pub(super) fn lacking(
        &self,
        snapshot: u64,
        known: &Set<u64>,
        stored: &Map<u64, EntryKey>,
    ) -> Option<Set<EntryKey>> {
        let (mut seen, mut open, mut lacking) = (Set::new(), vec![snapshot], Set::new());
        while let Some(id) = open.pop() {
            if known.contains(&id) || !seen.insert(id) {
                continue;
            }
            match stored.get(&id).filter(|entry| !entry.is_snapshot) {
                Some(update) => {
                    lacking.insert(*update);
                }
                None => open.extend(self.of(id)?),
            }
        }
        Some(lacking)
    }
}
