//! The log of a document in any key-value store that lists its keys: no transactions, no order, no numbers.
//!
//! Whatever is written has a key of its own, which says when it was written, how long it is, and 64 random bits that
//! name it; it is written once, and never changed. The state of a document is the merge of every entry that is listed,
//! but those that a listed snapshot covers. So any number of instances may write, read and compact at once without
//! knowing of each other: what a list does not show yet is late, and never lost.
//!
//! An entry is deleted only after a snapshot that covers it was read back whole, and a grace period later. A reader is
//! told what it lacks, by the entries that it has ([`Offset::marks`]): a snapshot that was made of these is not told to it.
//!
//! # What it costs
//!
//! With `K` keys of the document, pages of `P` keys, `S` live snapshots (one, but just after two compactions at once), `U`
//! live updates, and bodies in `B` parts (0 for a body that fits into its value, [`KvConfig::inline_bytes`] for snapshots):
//!
//! | | lists | reads | writes |
//! |---|---|---|---|
//! | load, cold | ⌈K/P⌉ | S + U + B | 0 |
//! | load behind a place, `N` new updates | ⌈K/P⌉ | N + B, and 1 for each snapshot not seen before | 0 |
//! | load with nothing new | ⌈K/P⌉ | 0 | 0 |
//! | append | 0, or ⌈K/P⌉ if the last list is older than [`KvConfig::trust`] | 0 | 1 + B; 1 more for a new document |
//! | compaction | ⌈K/P⌉ + those of the parts | S + U + B, and 1 + B to read back | 1 + B |
//!
//! and a compaction deletes at most [`KvConfig::compaction_reads`] keys. `K` is what is live, and what was covered less
//! than a grace period before the last compaction.

mod catalog;
mod collect;
mod compact;
mod keys;
mod names;
mod place;
mod presence;
mod read;
mod versions;
mod view;
mod write;

pub use catalog::list_documents;

use crate::collections::{Map, Set};
use crate::effect::{Millis, OpId};
use crate::kv::entry::Covers;
use crate::kv::{Cost, Kv, KvConfig, ListKv, Metered, Revision};
use crate::log::{LogError, LogOp, LogReply, PresencePart};
use crate::name::DocName;
use core::cell::RefCell;
use keys::{EntryKey, Key, Keys};
use std::collections::VecDeque;
use std::sync::Arc;
use view::View;
use write::Attempt;

#[cfg(doc)]
use crate::log::Offset;

/// The log of one document. All requests go through a shared reference and may be on their way at once; dropping one
/// at any moment leaves nothing behind that the next would not understand.
#[derive(Debug)]
pub struct Listed<K> {
    kv: K,
    keys: Keys,
    config: KvConfig,
    state: RefCell<State>,
}

/// What is known, all of it only to spare requests or to be no further behind than before.
#[derive(Debug, Default)]
struct State {
    /// Keys that were listed or written, and when.
    seen: Map<Key, Millis>,
    /// When the last list was begun.
    listed: Option<Millis>,
    /// What listed snapshots cover.
    covers: Map<u64, Arc<Covers>>,
    /// Snapshots that were read whole.
    whole: Set<u64>,
    /// The live entries that the last replies were about, and their generation.
    told: (u32, Set<EntryKey>),
    /// Requests that may be tried again.
    attempts: VecDeque<(OpId, Attempt)>,
    /// The generation that is in the catalogue.
    indexed: Option<u32>,
    /// Of what was read of who is there, and not replaced since.
    presence: Map<PresencePart, Revision>,
}

/// How often a request begins anew because an entry that it wanted was collected meanwhile.
const ATTEMPTS: usize = 3;
/// Pages of a list.
const PAGES_MAX: usize = 10_000;

impl<K: ListKv> Listed<K> {
    /// The log of the document with this name.
    pub fn new(kv: K, name: &DocName, config: KvConfig) -> Self {
        Self { kv, keys: Keys::new(name), config, state: RefCell::default() }
    }

    /// The store.
    pub fn kv(&self) -> &K {
        &self.kv
    }

    /// Does what is asked, and tells what it took. `op` is the same in a retry, and in no other request.
    ///
    /// [`LogOp::Compact`] merges what is live, at most [`KvConfig::compaction_reads`] entries and the oldest first,
    /// whatever its `upto` says.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] also where a listed entry cannot be read yet.
    pub async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
        let kv = Metered::new(&self.kv);
        let reply = match request {
            LogOp::Load { since } | LogOp::Follow { since } => {
                self.load(&kv, &since).await.map(LogReply::Loaded)
            }
            LogOp::Append { updates } => self.append(&kv, op, updates).await.map(LogReply::Appended),
            LogOp::Compact { upto: _ } => self.compact(&kv).await.map(LogReply::Compacted),
            LogOp::Create { updates } => self.create(&kv, op, updates).await,
            LogOp::Delete => self.delete(&kv, op).await,
            LogOp::PutVersion { version, body, most } => {
                self.put_version(&kv, version, body, most).await.map(LogReply::Done)
            }
            LogOp::ListVersions => self.list_versions(&kv).await.map(LogReply::Versions),
            LogOp::ReadVersion { id } => self.read_version(&kv, &id).await.map(LogReply::Version),
            LogOp::DeleteVersion { id } => self.delete_version(&kv, &id).await.map(LogReply::Done),
            LogOp::ReadPresence(part) => self.read_presence(&kv, part).await.map(LogReply::Presence),
            LogOp::WritePresence { part, state } => {
                self.write_presence(&kv, part, state).await.map(LogReply::Done)
            }
        };
        (reply, kv.cost())
    }

    /// Lists the document.
    async fn list(&self, kv: &impl ListKv) -> Result<View, LogError> {
        let started = kv.now();
        let keys = list_all(kv, &self.keys.prefix('d')).await?;
        let listed: Set<_> = keys.iter().filter_map(|key| self.keys.read(key)).collect();
        let mut state = self.state.borrow_mut();
        for key in listed.iter() {
            let seen = state.seen.get_or_insert_with(*key, || started);
            *seen = (*seen).max(started);
        }
        state.listed = state.listed.max(Some(started));
        // What was seen a moment ago and is not any more is only not shown, or was collected: then a snapshot covers
        // it. That a generation is dead stays so.
        let grace = self.config.grace;
        state.seen.retain(|key, seen| matches!(key, Key::Tombstone(_)) || started.since(*seen) <= grace);
        state.forget_unseen();
        Ok(View::new(state.seen.keys().copied(), listed))
    }

    /// The document as it was listed a moment ago, or else is listed now.
    async fn trusted(&self, kv: &impl ListKv) -> Result<View, LogError> {
        {
            let state = self.state.borrow();
            // A clock that went back says nothing.
            let trust = |listed: Millis| kv.now().since(listed) < self.config.trust && listed <= kv.now();
            if state.listed.is_some_and(trust) {
                return Ok(View::new(state.seen.keys().copied(), Set::new()));
            }
        }
        self.list(kv).await
    }

    /// A key was written.
    fn wrote(&self, kv: &impl Kv, key: Key) {
        self.state.borrow_mut().seen.insert(key, kv.now());
    }
}

impl State {
    fn forget(&mut self, key: Key) {
        self.seen.remove(&key);
        self.forget_unseen();
    }

    /// Forgets entries that were not listed.
    fn forget_but(&mut self, listed: &Set<Key>) {
        self.seen.retain(|key, _| listed.contains(key) || !matches!(key, Key::Entry(..)));
        self.forget_unseen();
    }

    /// Drops what is known of entries that are not known any more.
    fn forget_unseen(&mut self) {
        let Self { seen, covers, whole, told, .. } = self;
        let entries = seen.keys().filter_map(|key| match key {
            Key::Entry(_, entry) => Some(entry.id),
            Key::Birth(_) | Key::Tombstone(_) => None,
        });
        let ids: Set<_> = entries.collect();
        covers.retain(|id, _| ids.contains(id));
        whole.retain(|id| ids.contains(id));
        told.1.retain(|entry| ids.contains(&entry.id));
    }
}

/// All keys that begin with a prefix.
async fn list_all(kv: &impl ListKv, prefix: &str) -> Result<Vec<String>, LogError> {
    let (mut keys, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..PAGES_MAX {
        let page = kv.list(prefix, cursor.as_deref()).await?;
        keys.extend(page.keys);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(keys),
        }
    }
    Err(LogError::Refused)
}
