//! Versions: states that users keep under a name. They belong to a generation, and go with it.

use super::keys::{VersionAt, is_version, version_time};
use super::{Listed, list_all};
use crate::collections::Set;
use crate::kv::entry::{Body, Entry, Value};
use crate::kv::{Kv, ListKv, Place, fetch, put, unread};
use crate::log::{Life, LogError, Version};
use bytes::Bytes;

impl<K: ListKv> Listed<K> {
    /// The state is stored first, and what is told about it last.
    pub(super) async fn put_version(
        &self,
        kv: &impl ListKv,
        version: Version,
        body: Bytes,
        most: usize,
    ) -> Result<bool, LogError> {
        let view = self.trusted(kv).await?;
        match view.life {
            Life::Live if is_version(&version.id) => {}
            Life::Live | Life::Absent => return Err(LogError::Refused),
            Life::Deleted => return Err(LogError::Deleted),
        }
        let generation = view.generation;
        let ids = self.version_ids(kv, generation).await?;
        let at = VersionAt { keys: &self.keys, generation, id: &version.id };
        if ids.contains(&version.id) {
            // A retry finds what it wrote. Other bytes never take its place.
            let kept = self.state_of(kv, generation, &version.id).await?;
            return if kept == body { Ok(true) } else { Err(LogError::Refused) };
        }
        if ids.len() >= most {
            return Ok(false);
        }
        let state = Entry { time: version.created, covers: None, updates: vec![body] };
        put(kv, &at, &state, &self.config).await?;
        let told =
            vec![version.name.into_bytes().into(), Bytes::copy_from_slice(&version.bytes.to_le_bytes())];
        let told = Entry { time: version.created, covers: None, updates: told };
        let told = told.encode(usize::MAX, usize::MAX).value;
        kv.set(&self.keys.version(generation, &version.id), told).await?;
        Ok(true)
    }

    pub(super) async fn list_versions(&self, kv: &impl ListKv) -> Result<Vec<Version>, LogError> {
        let view = self.trusted(kv).await?;
        if view.life != Life::Live {
            return Ok(Vec::new());
        }
        let ids = self.version_ids(kv, view.generation).await?;
        let ids: Vec<_> = ids.into_iter().collect();
        let keys: Vec<_> = ids.iter().map(|id| self.keys.version(view.generation, id)).collect();
        let mut versions = Vec::with_capacity(keys.len());
        for ((id, key), value) in ids.into_iter().zip(&keys).zip(kv.get_all(&keys).await?).rev() {
            let value = match value {
                Some(value) => value,
                None => match kv.get(key).await? {
                    Some(value) => value,
                    // Deleted since it was listed, or not visible yet.
                    None if list_all(kv, key).await?.contains(key) => return Err(LogError::Unavailable),
                    None => continue,
                },
            };
            versions.push(told(id, &value).ok_or(LogError::Corrupt)?);
        }
        Ok(versions)
    }

    pub(super) async fn read_version(&self, kv: &impl ListKv, id: &str) -> Result<Option<Bytes>, LogError> {
        let view = self.trusted(kv).await?;
        if view.life != Life::Live || !self.has_version(kv, view.generation, id).await? {
            return Ok(None);
        }
        self.state_of(kv, view.generation, id).await.map(Some)
    }

    pub(super) async fn delete_version(&self, kv: &impl ListKv, id: &str) -> Result<bool, LogError> {
        let view = self.trusted(kv).await?;
        let generation = view.generation;
        if view.life != Life::Live || !self.has_version(kv, generation, id).await? {
            return Ok(false);
        }
        kv.delete(&self.keys.version(generation, id)).await?;
        // It is deleted, whatever becomes of its state.
        let _ = self.sweep_states(kv, generation, id).await;
        Ok(true)
    }

    /// Deletes the state of a version that is not there any more, and states whose versions never came to be.
    async fn sweep_states(&self, kv: &impl ListKv, generation: u32, id: &str) -> Result<(), LogError> {
        let ids = self.version_ids(kv, generation).await?;
        let now = kv.now();
        for key in list_all(kv, &self.keys.prefix('w')).await? {
            let Some((of, other)) = self.keys.read_version('w', &key) else { continue };
            let is_left = of == generation && !ids.contains(other);
            let is_orphan = version_time(other).is_some_and(|time| self.is_orphaned(now, time));
            if of == generation && other == id || is_left && is_orphan {
                kv.delete(&key).await?;
            }
        }
        Ok(())
    }

    async fn has_version(&self, kv: &impl ListKv, generation: u32, id: &str) -> Result<bool, LogError> {
        if !is_version(id) {
            return Ok(false);
        }
        let key = self.keys.version(generation, id);
        Ok(kv.get(&key).await?.is_some() || list_all(kv, &key).await?.contains(&key))
    }

    /// The state of a version that is listed.
    async fn state_of(&self, kv: &impl Kv, generation: u32, id: &str) -> Result<Bytes, LogError> {
        let at = VersionAt { keys: &self.keys, generation, id };
        let value = match kv.get(&at.key()).await? {
            Some(value) => value,
            None => unread(kv, &at.key()).await?,
        };
        let value = Value::decode(&value).map_err(|_| LogError::Corrupt)?;
        fetch(kv, &at, value).await?.pop().ok_or(LogError::Corrupt)
    }

    /// The ids of a generation's versions, oldest first.
    async fn version_ids(&self, kv: &impl ListKv, generation: u32) -> Result<Set<String>, LogError> {
        let keys = list_all(kv, &self.keys.version(generation, "")).await?;
        let versions = keys.iter().filter_map(|key| self.keys.read_version('v', key));
        Ok(versions.filter(|(of, _)| *of == generation).map(|(_, id)| id.to_owned()).collect())
    }
}

fn told(id: String, value: &Bytes) -> Option<Version> {
    let value = Value::decode(value).ok()?;
    let Body::Here(told) = value.body else { return None };
    let [name, bytes] = told.as_slice() else { return None };
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some(Version {
        id,
        name,
        created: value.time,
        bytes: u64::from_le_bytes(bytes.as_ref().try_into().ok()?),
    })
}
