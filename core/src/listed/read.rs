//! Which entries are live, and loads: what is live and a reader lacks.

use super::keys::{At, EntryKey, Key};
use super::names::Names;
use super::view::View;
use super::{ATTEMPTS, Listed, State, place};
use crate::collections::{Map, Set};
use crate::kv::entry::{Body, Value};
use crate::kv::{Kv, KvError, ListKv, Place};
use crate::log::{Life, Loaded, LogError, Offset, Tail};
use bytes::Bytes;

/// What another read of an entry costs, in bytes: a few small updates are told rather than a snapshot of a large
/// document, and a snapshot rather than a great many.
const READ_BYTES: u64 = 512;

/// What is live.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) generation: u32,
    /// Oldest first.
    pub(super) entries: Vec<EntryKey>,
    pub(super) names: Names,
    /// Snapshots that cannot be read and can be done without, and what they cover.
    pub(super) needless: Map<u64, Vec<u64>>,
    /// Values that were read on the way.
    values: Map<u64, Value>,
}

/// Why a request could not go on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// This entry, or a part of it, is not there, or was damaged: the error if that remains so.
    Lacks(EntryKey, LogError),
    Log(LogError),
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<KvError> for Fault {
    fn from(error: KvError) -> Self {
        Self::Log(error.into())
    }
}

/// How far a request is that begins anew when an entry cannot be read.
#[derive(Debug, Default)]
pub(super) struct Retry {
    count: usize,
    /// Snapshots that could not be read.
    unreadable: Set<u64>,
}

impl Live {
    /// How long the log is.
    pub(super) fn tail(&self) -> Tail {
        tail(self.generation, &self.entries)
    }
}

impl<K: ListKv> Listed<K> {
    pub(super) async fn load(&self, kv: &impl ListKv, since: &Offset) -> Result<Loaded, LogError> {
        let mut retry = Retry::default();
        loop {
            let view = self.list(kv).await?;
            match self.load_once(kv, &view, since, &retry).await {
                Ok(loaded) => return Ok(loaded),
                Err(fault) => self.may_retry(&view, fault, &mut retry)?,
            }
        }
    }

    async fn load_once(
        &self,
        kv: &impl ListKv,
        view: &View,
        since: &Offset,
        retry: &Retry,
    ) -> Result<Loaded, Fault> {
        if view.life != Life::Live {
            let end = place::first(view.generation);
            let end = if *since == Offset::END { end } else { end.max(since.clone()) };
            return Ok(Loaded {
                tail: Tail { life: view.life, end, ..Tail::default() },
                ..Loaded::default()
            });
        }
        let mut live = self.live(kv, view, retry).await?;
        let mut loaded = Loaded { tail: live.tail(), ..Loaded::default() };
        if *since == Offset::END {
            self.settle(&live);
            return Ok(loaded);
        }
        if since.generation() > u64::from(view.generation) {
            // The list is late: what it shows was deleted before the reader came to its place.
            loaded.tail.end = since.clone();
            return Ok(loaded);
        }
        let lacking = lacking(&live, view, since, retry);
        if loaded.tail.end <= *since {
            // Places only grow, and go on if there is something to tell.
            let number = since.number().saturating_add(u64::from(!lacking.is_empty()));
            let marks = if lacking.is_empty() { since.marks() } else { loaded.tail.end.marks() };
            loaded.tail.end = Offset::with_marks(number, marks.iter().copied());
        }
        let bodies = self.bodies(kv, &mut live, &lacking).await?;
        let newest = live.entries.iter().rfind(|entry| entry.is_snapshot).copied();
        for (entry, updates) in lacking.iter().zip(bodies) {
            let mut updates = updates.into_iter();
            // The one that the tail names, and readers are sent to.
            if Some(*entry) == newest {
                loaded.snapshot = updates.next();
            }
            loaded.updates.extend(updates.map(|update| (loaded.tail.end.clone(), update)));
        }
        self.settle(&live);
        Ok(loaded)
    }

    /// Finds what is live. Reads the values of listed snapshots that were not read before.
    pub(super) async fn live(&self, kv: &impl Kv, view: &View, retry: &Retry) -> Result<Live, Fault> {
        let mut live = Live {
            generation: view.generation,
            entries: Vec::new(),
            names: Names::default(),
            needless: Map::new(),
            values: Map::new(),
        };
        let mut unread = Vec::new();
        {
            let state = self.state.borrow();
            for entry in view.entries.iter().filter(|entry| entry.is_snapshot) {
                match state.covers.get(&entry.id) {
                    Some(covers) if !retry.unreadable.contains(&entry.id) => {
                        live.names.add(entry.id, covers);
                    }
                    Some(_) => {}
                    None => unread.push(*entry),
                }
            }
        }
        // Newest first: most often it covers the others, and says what these cover.
        while let Some(entry) = unread.pop() {
            let names = &live.names;
            let is_update = |entry: &&EntryKey| !entry.is_snapshot && !names.is_covered(entry.id);
            let covered = names.is_covered(entry.id);
            if covered
                && (names.of(entry.id).is_some() || !view.entries.iter().any(|entry| is_update(&entry)))
            {
                continue;
            }
            match self.value(kv, view.generation, entry).await {
                Ok(value) => {
                    if !retry.unreadable.contains(&entry.id) {
                        live.names.add(entry.id, &self.covers_of(entry, &value));
                    }
                    live.values.insert(entry.id, value);
                }
                // What it covered is merged again at worst.
                Err(Fault::Lacks(..)) if covered => {}
                Err(fault) => return Err(fault),
            }
        }
        for entry in view.entries.iter().filter(|entry| !live.names.is_covered(entry.id)) {
            match self.needless(&live, view, retry, entry.id) {
                Some(names) => drop(live.needless.insert(entry.id, names)),
                None => live.entries.push(*entry),
            }
        }
        Ok(live)
    }

    /// What a snapshot covers that cannot be read, if all of that is there.
    fn needless(&self, live: &Live, view: &View, retry: &Retry, id: u64) -> Option<Vec<u64>> {
        let state = self.state.borrow();
        let covers = state.covers.get(&id).filter(|_| retry.unreadable.contains(&id))?;
        let is_there =
            |name: &u64| live.names.is_covered(*name) || view.entries.iter().any(|entry| entry.id == *name);
        covers.names.iter().all(is_there).then(|| covers.names.clone())
    }

    /// The updates of entries, in their order.
    pub(super) async fn bodies(
        &self,
        kv: &impl Kv,
        live: &mut Live,
        entries: &Set<EntryKey>,
    ) -> Result<Vec<Vec<Bytes>>, Fault> {
        let generation = live.generation;
        let unread: Vec<_> = entries.iter().filter(|entry| !live.values.contains_key(&entry.id)).collect();
        let keys: Vec<_> =
            unread.iter().map(|entry| At { keys: &self.keys, generation, entry: **entry }.key()).collect();
        let values = if keys.is_empty() { Vec::new() } else { kv.get_all(&keys).await? };
        for (entry, value) in unread.into_iter().zip(values) {
            let value = match value {
                Some(value) => decode(*entry, &value)?,
                None => self.value(kv, generation, *entry).await?,
            };
            live.values.insert(entry.id, value);
        }
        let mut bodies = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            let Some(value) = live.values.remove(&entry.id) else { continue };
            bodies.push(self.body(kv, generation, *entry, value).await?);
        }
        Ok(bodies)
    }

    /// The updates of an entry whose value was read. A snapshot that has come this far was read whole.
    pub(super) async fn body(
        &self,
        kv: &impl Kv,
        generation: u32,
        entry: EntryKey,
        value: Value,
    ) -> Result<Vec<Bytes>, Fault> {
        let at = At { keys: &self.keys, generation, entry };
        let updates = match value.body {
            Body::Here(updates) => updates,
            Body::Parts(parts) => {
                let keys: Vec<_> = (0..parts.count).map(|index| at.part(index)).collect();
                let mut read = Vec::with_capacity(keys.len());
                for (key, part) in keys.iter().zip(kv.get_all(&keys).await?) {
                    let part = match part {
                        Some(part) => Some(part),
                        None => kv.get(key).await?,
                    };
                    read.push(part.ok_or(Fault::Lacks(entry, LogError::Unavailable))?);
                }
                parts.join(&read).map_err(|_| Fault::Lacks(entry, LogError::Corrupt))?
            }
        };
        if entry.is_snapshot {
            if updates.len() > 1 {
                return Err(Fault::Lacks(entry, LogError::Corrupt));
            }
            self.state.borrow_mut().whole.insert(entry.id);
        }
        Ok(updates)
    }

    /// The value of an entry that must be there: what seems to be missing is read again.
    pub(super) async fn value(&self, kv: &impl Kv, generation: u32, entry: EntryKey) -> Result<Value, Fault> {
        let key = At { keys: &self.keys, generation, entry }.key();
        let value = match kv.get(&key).await? {
            Some(value) => Some(value),
            None => kv.get(&key).await?,
        };
        decode(entry, &value.ok_or(Fault::Lacks(entry, LogError::Unavailable))?)
    }

    /// Decides whether a request that met a fault may list again and begin anew.
    ///
    /// # Errors
    /// What the request fails with.
    pub(super) fn may_retry(&self, view: &View, fault: Fault, retry: &mut Retry) -> Result<(), LogError> {
        let (entry, error) = match fault {
            Fault::Log(error) => return Err(error),
            Fault::Lacks(entry, error) => (entry, error),
        };
        retry.count += 1;
        if retry.count >= ATTEMPTS {
            return Err(error);
        }
        if entry.is_snapshot {
            retry.unreadable.insert(entry.id);
        }
        if !view.has_listed(entry) {
            // Only remembered: it was collected, and perhaps others were.
            self.state.borrow_mut().forget_but(&view.listed);
        }
        Ok(())
    }

    /// A reply is about this: appends are told as behind it.
    pub(super) fn settle(&self, live: &Live) {
        let mut state = self.state.borrow_mut();
        let State { told: (generation, told), seen, .. } = &mut *state;
        if *generation < live.generation {
            (*generation, *told) = (live.generation, Set::new());
        }
        if *generation == live.generation {
            told.extend(live.entries.iter().copied());
            let is_seen = |entry: &EntryKey| seen.contains_key(&Key::Entry(live.generation, *entry));
            told.retain(|entry| is_seen(entry) && !live.names.is_covered(entry.id));
        }
    }

    /// What a snapshot covers, kept from now on.
    fn covers_of(&self, entry: EntryKey, value: &Value) -> crate::kv::entry::Covers {
        let covers = value.covers.clone().unwrap_or_default();
        self.state.borrow_mut().covers.insert(entry.id, covers.clone().into());
        covers
    }
}

/// What a reader lacks, as entries to tell it.
fn lacking(live: &Live, view: &View, since: &Offset, retry: &Retry) -> Set<EntryKey> {
    let known = place::known(since, &live.entries, &view.entries, &live.names);
    let stored = view.entries.iter().filter(|entry| view.has_listed(**entry));
    let stored: Map<_, _> = stored.map(|entry| (entry.id, *entry)).collect();
    let mut lacking = Set::new();
    for entry in live.entries.iter().filter(|entry| !known.contains(&entry.id)) {
        let single = Set::from_iter([*entry]);
        // Covered updates may be gone by now: that is not tried twice.
        let updates = Some(entry).filter(|entry| entry.is_snapshot && !known.is_empty() && retry.count == 0);
        let updates = updates.and_then(|entry| live.names.lacking(entry.id, &known, &stored));
        let cost = |entries: &Set<EntryKey>| -> u64 {
            entries.iter().map(|entry| entry.bytes.saturating_add(READ_BYTES)).fold(0, u64::saturating_add)
        };
        lacking.extend(updates.filter(|updates| cost(updates) < cost(&single)).unwrap_or(single));
    }
    lacking
}

/// How long the log is of which these entries are live.
pub(super) fn tail(generation: u32, live: &[EntryKey]) -> Tail {
    let bytes = |snapshots: bool| {
        let entries = live.iter().filter(|entry| entry.is_snapshot == snapshots);
        entries.fold(0, |bytes: u64, entry| bytes.saturating_add(entry.bytes))
    };
    let newest = live.iter().rfind(|entry| entry.is_snapshot);
    Tail {
        life: Life::Live,
        end: place::place(generation, live),
        snapshot: newest.map(|entry| place::place(generation, &[*entry])).unwrap_or_default(),
        updates: live.iter().filter(|entry| !entry.is_snapshot).count() as u64,
        bytes: bytes(false),
        snapshot_bytes: bytes(true),
    }
}

fn decode(entry: EntryKey, value: &Bytes) -> Result<Value, Fault> {
    let value = Value::decode(value).ok();
    let value = value.filter(|value| value.covers.is_some() == entry.is_snapshot);
    value.ok_or(Fault::Lacks(entry, LogError::Corrupt))
}
