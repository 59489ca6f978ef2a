//! Appends, and the lives of a document: making and deleting it.

use super::keys::{At, EntryKey, GENERATION_MAX, Key, TIME_MAX};
use super::read::{Retry, tail};
use super::view::View;
use super::{Listed, State, place};
use crate::collections::Set;
use crate::effect::{Millis, OpId};
use crate::kv::entry::{Covers, Entry};
use crate::kv::{Kv, KvConfig, ListKv, Place};
use crate::log::{Life, LogError, LogReply, Tail};
use bytes::Bytes;

/// A request that was begun: what a retry goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    /// These updates are being written into a generation, as an entry.
    Append(u32, EntryKey, Vec<Bytes>),
    /// A generation is being made, with these updates and an entry for them if there are any.
    Create(u32, Option<EntryKey>, Vec<Bytes>),
    /// A generation is being deleted.
    Delete(u32),
}

/// How many requests may be tried again.
const ATTEMPTS_KEPT: usize = 64;
/// Bytes of a value beside its updates and what it covers, at most.
const HEAD_MAX: usize = 64;

impl<K: ListKv> Listed<K> {
    pub(super) async fn append(
        &self,
        kv: &impl ListKv,
        op: OpId,
        updates: Vec<Bytes>,
    ) -> Result<Tail, LogError> {
        let view = self.trusted(kv).await?;
        if view.life == Life::Deleted {
            self.state.borrow_mut().done(op);
            return Err(LogError::Deleted);
        }
        let generation = view.generation;
        let begun = match self.state.borrow().attempt(op) {
            // Another room may count its requests anew: only what is the same is a retry.
            Some(Attempt::Append(of, entry, same)) if *of == generation && *same == updates => Some(*entry),
            Some(Attempt::Append(..) | Attempt::Create(..) | Attempt::Delete(_)) | None => None,
        };
        let begun = begun.filter(|entry| !self.is_late(kv, *entry));
        let entry = begun.unwrap_or_else(|| self.entry(kv, &updates, false));
        self.state.borrow_mut().begin(op, Attempt::Append(generation, entry, updates.clone()));
        if view.life == Life::Absent {
            self.index(kv, generation).await?;
        }
        self.write(kv, generation, entry, None, updates).await?;
        self.state.borrow_mut().done(op);
        Ok(self.appended(&view, generation, Some(entry)))
    }

    pub(super) async fn create(
        &self,
        kv: &impl ListKv,
        op: OpId,
        updates: Vec<Bytes>,
    ) -> Result<LogReply, LogError> {
        let view = self.list(kv).await?;
        let begun = match self.state.borrow().attempt(op) {
            Some(Attempt::Create(of, entry, same)) if *of == view.generation && *same == updates => {
                Some(*entry)
            }
            Some(Attempt::Append(..) | Attempt::Create(..) | Attempt::Delete(_)) | None => None,
        };
        if view.life == Life::Live && begun.is_none() {
            return Ok(LogReply::Created { existed: true, tail: self.tail_of(kv, &view).await? });
        }
        let generation = view.generation;
        if generation > GENERATION_MAX {
            return Err(LogError::Refused);
        }
        let entry = begun.flatten().filter(|entry| !self.is_late(kv, *entry));
        let entry = entry.or_else(|| (!updates.is_empty()).then(|| self.entry(kv, &updates, false)));
        self.state.borrow_mut().begin(op, Attempt::Create(generation, entry, updates.clone()));
        self.index(kv, generation).await?;
        // The content before the mark: whoever sees the document made sees it with its content.
        if let Some(entry) = entry {
            self.write(kv, generation, entry, None, updates).await?;
        }
        kv.set(&self.keys.write(Key::Birth(generation)), mark()).await?;
        self.wrote(kv, Key::Birth(generation));
        self.state.borrow_mut().done(op);
        Ok(LogReply::Created { existed: false, tail: self.appended(&view, generation, entry) })
    }

    /// The tombstone comes first; then, if it can be read back, what was listed is deleted, within the bounds of one
    /// request. What is left goes when the document is deleted once more, or compacted in a later life.
    pub(super) async fn delete(&self, kv: &impl ListKv, op: OpId) -> Result<LogReply, LogError> {
        let view = self.list(kv).await?;
        let is_live = view.life == Life::Live;
        // A retry of what was done says that the document was there.
        let last = view.generation.checked_sub(1).map(Attempt::Delete);
        let begun = last.is_some_and(|last| self.state.borrow().attempt(op) == Some(&last));
        let tombstone = Key::Tombstone(view.generation);
        let mut is_dead = view.life == Life::Deleted;
        let existed = is_live || begun && is_dead;
        if is_live {
            if view.generation >= GENERATION_MAX {
                return Err(LogError::Refused);
            }
            self.state.borrow_mut().begin(op, Attempt::Delete(view.generation));
            let key = self.keys.write(tombstone);
            kv.set(&key, mark()).await?;
            self.wrote(kv, tombstone);
            is_dead = kv.get(&key).await.is_ok_and(|value| value == Some(mark()));
        }
        let life = if is_live { Life::Deleted } else { view.life };
        let next = if is_live { view.generation.saturating_add(1) } else { view.generation };
        if is_dead {
            // It is deleted, whatever becomes of what it left.
            let _ = self.bury(kv, &view, next).await;
        }
        self.state.borrow_mut().done(op);
        let tail = Tail { life, end: place::first(next), ..Tail::default() };
        Ok(LogReply::Deleted { existed, tail })
    }

    /// A key for a new entry.
    pub(super) fn entry(&self, kv: &impl Kv, updates: &[Bytes], is_snapshot: bool) -> EntryKey {
        let bytes = updates.iter().map(|update| update.len() as u64).sum();
        EntryKey { time: Millis(kv.now().0.min(TIME_MAX)), id: kv.random(), is_snapshot, bytes }
    }

    /// Stores updates as an entry: its parts first. It is there once this is done, and perhaps if it fails.
    pub(super) async fn write(
        &self,
        kv: &impl Kv,
        generation: u32,
        key: EntryKey,
        covers: Option<Covers>,
        updates: Vec<Bytes>,
    ) -> Result<(), LogError> {
        let at = At { keys: &self.keys, generation, entry: key };
        let KvConfig { value_bytes, inline_bytes, .. } = self.config;
        let whole = value_bytes.saturating_sub(HEAD_MAX);
        let inline = if covers.is_some() { inline_bytes.min(whole) } else { whole };
        let entry = Entry { time: key.time, covers, updates }.encode(inline, value_bytes);
        for (index, part) in entry.parts.into_iter().enumerate() {
            kv.set(&at.part(index), part).await?;
        }
        // Parts that are so old that they may be taken for orphans make no entry.
        if self.is_late(kv, key) {
            return Err(LogError::Unavailable);
        }
        kv.set(&at.key(), entry.value).await?;
        if self.is_late(kv, key) {
            return Err(LogError::Unavailable);
        }
        self.wrote(kv, Key::Entry(generation, key));
        Ok(())
    }

    /// Whether an entry may have parts, and was begun so long ago that these might be taken for orphans.
    fn is_late(&self, kv: &impl Kv, entry: EntryKey) -> bool {
        let in_parts = entry.is_snapshot || entry.bytes.saturating_mul(2) >= self.config.value_bytes as u64;
        in_parts && kv.now().since(entry.time) > self.config.ack_within
    }

    /// Puts a generation into the catalogue, before anything of it is written.
    async fn index(&self, kv: &impl Kv, generation: u32) -> Result<(), LogError> {
        if self.state.borrow().indexed != Some(generation) {
            kv.set(&self.keys.index(generation), mark()).await?;
            self.state.borrow_mut().indexed = Some(generation);
        }
        Ok(())
    }

    /// How long the log is, read anew.
    pub(super) async fn tail_of(&self, kv: &impl ListKv, view: &View) -> Result<Tail, LogError> {
        let mut retry = Retry::default();
        match self.live(kv, view, &retry).await {
            Ok(live) => {
                self.settle(&live);
                Ok(live.tail())
            }
            Err(fault) => {
                self.may_retry(view, fault, &mut retry)?;
                let tail = self.load(kv, &crate::log::Offset::END).await?.tail;
                // What was there and was not deleted is only not shown.
                if view.life == Life::Live && tail.life == Life::Absent {
                    return Err(LogError::Unavailable);
                }
                Ok(tail)
            }
        }
    }

    /// How long the log is behind an entry that was stored. Its place has what the last reply was about, and what was
    /// written since: nothing that was only listed. How long it is may be guessed from the keys, without a read.
    fn appended(&self, view: &View, generation: u32, entry: Option<EntryKey>) -> Tail {
        let mut state = self.state.borrow_mut();
        let State { told: (of, told), covers, .. } = &mut *state;
        if *of < generation {
            (*of, *told) = (generation, Set::new());
        }
        if *of == generation {
            told.extend(entry);
        }
        let told: Vec<_> = told.iter().copied().collect();
        let newest = view.entries.iter().rfind(|entry| entry.is_snapshot).map(|entry| entry.time);
        let is_live = |entry: &&EntryKey| {
            let is_behind = entry.is_snapshot || newest.is_none_or(|newest| entry.time > newest);
            is_behind && !covers.values().any(|covers| covers.names.contains(&entry.id))
        };
        let mut live: Set<_> = view.entries.iter().filter(is_live).copied().collect();
        live.extend(told.iter().copied());
        let live: Vec<_> = live.into_iter().collect();
        Tail { end: place::place(generation, &told), ..tail(generation, &live) }
    }
}

impl State {
    fn attempt(&self, op: OpId) -> Option<&Attempt> {
        self.attempts.iter().find(|(of, _)| *of == op).map(|(_, attempt)| attempt)
    }

    fn begin(&mut self, op: OpId, attempt: Attempt) {
        self.done(op);
        if self.attempts.len() >= ATTEMPTS_KEPT {
            self.attempts.pop_front();
        }
        self.attempts.push_back((op, attempt));
    }

    fn done(&mut self, op: OpId) {
        self.attempts.retain(|(of, _)| *of != op);
    }
}

/// The value of a key that says everything itself.
pub(super) fn mark() -> Bytes {
    let entry = Entry { time: Millis::default(), covers: None, updates: Vec::new() };
    entry.encode(usize::MAX, usize::MAX).value
}
