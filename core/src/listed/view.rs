//! A document as its keys show it.

use super::keys::{EntryKey, Key};
use crate::collections::Set;
use crate::log::Life;

/// What a list has shown, together with what this object has seen or written a moment ago and the list did not show.
#[derive(Debug)]
pub(super) struct View {
    /// The generation that is live, or would be the next to live.
    pub(super) generation: u32,
    pub(super) life: Life,
    /// The generation's entries, oldest first: covered ones as well.
    pub(super) entries: Vec<EntryKey>,
    /// What the list itself has shown.
    pub(super) listed: Set<Key>,
}

impl View {
    pub(super) fn new(keys: impl Iterator<Item = Key> + Clone, listed: Set<Key>) -> Self {
        // A generation is begun only once the one before is dead, whether or not its tombstone is shown.
        let first_alive = |key: Key| match key {
            Key::Tombstone(generation) => generation.saturating_add(1),
            Key::Birth(generation) | Key::Entry(generation, _) => generation,
        };
        let generation = keys.clone().map(first_alive).max().unwrap_or_default();
        let (mut entries, mut lives) = (Set::new(), false);
        for key in keys.filter(|key| key.generation() >= generation) {
            lives = true;
            if let Key::Entry(_, entry) = key {
                entries.insert(entry);
            }
        }
        let life = match generation {
            _ if lives => Life::Live,
            0 => Life::Absent,
            _ => Life::Deleted,
        };
        Self { generation, life, entries: entries.into_iter().collect(), listed }
    }

    /// Whether the list has shown this entry.
    pub(super) fn has_listed(&self, entry: EntryKey) -> bool {
        self.listed.contains(&Key::Entry(self.generation, entry))
    }
}
