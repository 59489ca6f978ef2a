//! Versions: each has a number from a counter of their own, and two keys, for what is told about it and for its state.
//!
//! Which numbers are to be looked at stands in a list. It says only what stays true, so that it may be overwritten by an
//! older one: all numbers up to one, but for those that it names, are free of versions for good.

use super::Work;
use super::numbers::{NUMBER_MAX, Numbers};
use crate::collections::{Map, Set};
use crate::effect::Millis;
use crate::kv::entry::{Body, Covers, Entry, Value};
use crate::kv::{CountKv, Kv as _, Place as _, fetch, put};
use crate::log::{LogError, Version};
use bytes::Bytes;

/// Numbers without a version that are looked at before the list is written anew.
const FREE_MAX: usize = 16;
/// Numbers that are taken for one version at most.
const NUMBERS: usize = 8;
/// Numbers behind the counter that are looked at, should it have lost its place.
const PROBE: u64 = 2;

/// What a look at the versions found.
#[derive(Debug, Default)]
struct Versions {
    top: u64,
    found: Vec<(u64, Millis, Version)>,
    /// Numbers that have no version, or none yet.
    missing: Vec<u64>,
}

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn list_versions(&self) -> Result<Vec<Version>, LogError> {
        let generation = self.generation(self.trust()).await?;
        let found = self.versions(generation).await?.found;
        let mut by_id: Map<&str, &Version> = Map::new();
        for (_, _, version) in &found {
            by_id.get_or_insert_with(&version.id, || version);
        }
        Ok(by_id.values().rev().map(|version| Version::clone(version)).collect())
    }

    pub(super) async fn put_version(
        &self,
        version: Version,
        body: Bytes,
        most: usize,
    ) -> Result<bool, LogError> {
        let generation = self.generation(self.trust()).await?;
        if !self.is_live(generation).await? {
            return Err(if generation == 0 { LogError::Refused } else { LogError::Deleted });
        }
        let began = self.kv.now();
        let versions = self.versions(generation).await?;
        if let Some(number) = versions.number(&version.id) {
            // A repeated request finds what it wrote. Other bytes never take its place.
            let kept = self.read_body(generation, number).await? == Some(body);
            return if kept { Ok(true) } else { Err(LogError::Refused) };
        }
        if versions.found.len() >= most {
            return Ok(false);
        }
        let (number, taken) = self.take_version(generation, versions.top).await?;
        let state = Entry { time: self.kv.now(), covers: None, updates: vec![body] };
        put(&self.kv, &self.keys().body(generation, number), &state, self.config()).await?;
        let told = Entry { time: self.kv.now(), covers: None, updates: encode(&version) };
        put(&self.kv, &self.keys().version(generation, number), &told, self.config()).await?;
        if self.kv.now().since(taken) >= self.config().ack_within {
            return Err(LogError::Unavailable);
        }
        self.shorten(generation, versions, began, FREE_MAX).await?;
        Ok(true)
    }

    pub(super) async fn read_version(&self, id: &str) -> Result<Option<Bytes>, LogError> {
        let generation = self.generation(self.trust()).await?;
        match self.versions(generation).await?.number(id) {
            Some(number) => self.read_body(generation, number).await,
            None => Ok(None),
        }
    }

    pub(super) async fn delete_version(&self, id: &str) -> Result<bool, LogError> {
        let generation = self.generation(self.trust()).await?;
        let began = self.kv.now();
        let mut versions = self.versions(generation).await?;
        let (gone, found): (Vec<_>, Vec<_>) =
            versions.found.into_iter().partition(|(_, _, version)| version.id == id);
        versions.found = found;
        for (number, _, _) in &gone {
            self.erase_version(generation, *number).await?;
        }
        // These are free for good, whatever the time.
        self.shorten(generation, versions, began, usize::from(gone.is_empty()) * FREE_MAX).await?;
        Ok(!gone.is_empty())
    }

    /// Deletes all versions of a dead generation.
    pub(super) async fn free_versions(&self, generation: u64) -> Result<(), LogError> {
        let versions = self.versions(generation).await?;
        // Who died in between may have left a state alone.
        for number in versions.found.iter().map(|(number, _, _)| *number).chain(versions.missing) {
            self.erase_version(generation, number).await?;
        }
        Ok(self.kv.delete(&self.keys().version_list(generation)).await?)
    }

    async fn erase_version(&self, generation: u64, number: u64) -> Result<(), LogError> {
        self.erase(&self.keys().version(generation, number), false).await?;
        self.erase(&self.keys().body(generation, number), true).await
    }

    async fn versions(&self, generation: u64) -> Result<Versions, LogError> {
        let list = self.kv.get(&self.keys().version_list(generation)).await?;
        // A list that cannot be read only costs reads.
        let (upto, mut numbers) = list.and_then(|list| decode_list(&list)).unwrap_or_default();
        let counted = self.kv.count(&self.keys().version_counter(generation), 0).await?;
        let mut versions = Versions { top: counted.max(upto), ..Versions::default() };
        numbers.push_run(upto + 1, versions.top);
        if versions.top > 0 {
            numbers.push_run(versions.top + 1, versions.top + PROBE);
        }
        let keys: Vec<_> =
            numbers.iter().map(|number| self.keys().version(generation, number).key()).collect();
        for (number, value) in numbers.iter().zip(self.kv.get_all(&keys).await?) {
            match value {
                Some(value) => {
                    let (time, version) = decode(&value).ok_or(LogError::Corrupt)?;
                    versions.top = versions.top.max(number);
                    versions.found.push((number, time, version));
                }
                None if number <= versions.top => versions.missing.push(number),
                None => {}
            }
        }
        Ok(versions)
    }

    async fn read_body(&self, generation: u64, number: u64) -> Result<Option<Bytes>, LogError> {
        let slot = self.keys().body(generation, number);
        let Some(value) = self.kv.get(&slot.key()).await? else {
            // Deleted in this moment, or it must be there.
            let told = self.kv.get(&self.keys().version(generation, number).key()).await?;
            return if told.is_none() { Ok(None) } else { Err(LogError::Unavailable) };
        };
        let value = Value::decode(&value).map_err(|_| LogError::Corrupt)?;
        Ok(fetch(&self.kv, &slot, value).await?.pop())
    }

    async fn take_version(&self, generation: u64, known: u64) -> Result<(u64, Millis), LogError> {
        let key = self.keys().version_counter(generation);
        for _ in 0..NUMBERS {
            let at = self.kv.now();
            let mut number = self.kv.count(&key, 1).await?;
            if number <= known {
                number = self.kv.count(&key, known + 1 - number).await?;
            }
            if number > NUMBER_MAX {
                return Err(LogError::Refused);
            }
            if self.kv.get(&self.keys().version(generation, number).key()).await?.is_none() {
                return Ok((number, at));
            }
        }
        Err(LogError::Unavailable)
    }

    /// Writes the list anew if it names `most` numbers or more for nothing.
    async fn shorten(
        &self,
        generation: u64,
        versions: Versions,
        began: Millis,
        most: usize,
    ) -> Result<(), LogError> {
        let is_old = |(_, time, _): &&(u64, Millis, Version)| time.after(self.config().void_after) <= began;
        let settled = versions.found.iter().rev().find(is_old).map_or(0, |(number, _, _)| *number);
        let (free, pending): (Vec<_>, Vec<_>) =
            versions.missing.into_iter().partition(|number| *number < settled);
        if free.len() < most {
            return Ok(());
        }
        for number in free {
            self.erase(&self.keys().body(generation, number), true).await?;
        }
        let numbers: Set<u64> = versions.found.iter().map(|(number, _, _)| *number).chain(pending).collect();
        let numbers: Numbers = numbers.into_iter().collect();
        let covers = Covers { names: numbers.encode(), layers: Vec::new() };
        let upto = Bytes::copy_from_slice(&versions.top.to_le_bytes());
        let list = Entry { time: began, covers: Some(covers), updates: vec![upto] };
        let key = self.keys().version_list(generation);
        Ok(self.kv.set(&key, list.encode(usize::MAX, usize::MAX).value).await?)
    }
}

impl Versions {
    fn number(&self, id: &str) -> Option<u64> {
        self.found.iter().find(|(_, _, version)| version.id == id).map(|(number, _, _)| *number)
    }
}

fn encode(version: &Version) -> Vec<Bytes> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let number = |number: u64| Bytes::copy_from_slice(&number.to_le_bytes());
    vec![text(&version.id), text(&version.name), number(version.created.0), number(version.bytes)]
}

fn decode(value: &Bytes) -> Option<(Millis, Version)> {
    let Value { time, body: Body::Here(updates), .. } = Value::decode(value).ok()? else { return None };
    let [id, name, created, bytes] = updates.as_slice() else { return None };
    let text = |bytes: &Bytes| Some(core::str::from_utf8(bytes).ok()?.to_owned());
    let number = |bytes: &Bytes| Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?));
    let created = Millis(number(created)?);
    Some((time, Version { id: text(id)?, name: text(name)?, created, bytes: number(bytes)? }))
}

fn decode_list(value: &Bytes) -> Option<(u64, Numbers)> {
    let Value { covers: Some(covers), body: Body::Here(updates), .. } = Value::decode(value).ok()? else {
        return None;
    };
    let [upto] = updates.as_slice() else { return None };
    Some((u64::from_le_bytes(upto.as_ref().try_into().ok()?), Numbers::decode(&covers.names)?))
}
