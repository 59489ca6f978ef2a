//! What operations on a store cost: most hosts bill and limit these, and not the time.

use super::{CountKv, Kv, KvError, ListKv, Page, Revision};
use crate::effect::Millis;
use bytes::Bytes;
use core::cell::Cell;

/// Operations on a store. Those that failed count as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Values that were asked for.
    pub reads: u64,
    /// Values that were written.
    pub writes: u64,
    /// Keys that were deleted.
    pub deletes: u64,
    /// Pages of keys.
    pub lists: u64,
    /// Counters that were read or raised.
    pub counts: u64,
    /// Bytes of the values that were read.
    pub bytes_read: u64,
    /// Bytes of the values that were written.
    pub bytes_written: u64,
}

impl Cost {
    /// All operations.
    pub fn operations(&self) -> u64 {
        self.reads + self.writes + self.deletes + self.lists + self.counts
    }
}

impl core::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            deletes: self.deletes + other.deletes,
            lists: self.lists + other.lists,
            counts: self.counts + other.counts,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
        }
    }
}

/// A store that counts what is asked of it.
#[derive(Debug)]
pub struct Metered<'a, K> {
    kv: &'a K,
    cost: Cell<Cost>,
}

impl<'a, K> Metered<'a, K> {
    /// Begins to count.
    pub fn new(kv: &'a K) -> Self {
        Self { kv, cost: Cell::default() }
    }

    /// What was asked so far.
    pub fn cost(&self) -> Cost {
        self.cost.get()
    }

    fn add(&self, cost: Cost) {
        self.cost.set(self.cost.get() + cost);
    }
}

fn length(value: Option<&Bytes>) -> u64 {
    value.map_or(0, |value| value.len() as u64)
}

impl<K: Kv> Kv for Metered<'_, K> {
    fn now(&self) -> Millis {
        self.kv.now()
    }

    fn random(&self) -> u64 {
        self.kv.random()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        self.add(Cost { reads: 1, ..Cost::default() });
        let value = self.kv.get(key).await?;
        self.add(Cost { bytes_read: length(value.as_ref()), ..Cost::default() });
        Ok(value)
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        self.add(Cost { reads: keys.len() as u64, ..Cost::default() });
        let values = self.kv.get_all(keys).await?;
        let bytes_read = values.iter().map(|value| length(value.as_ref())).sum();
        self.add(Cost { bytes_read, ..Cost::default() });
        Ok(values)
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        self.add(Cost { writes: 1, bytes_written: value.len() as u64, ..Cost::default() });
        self.kv.set(key, value).await
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.add(Cost { deletes: 1, ..Cost::default() });
        self.kv.delete(key).await
    }
}

impl<K: ListKv> ListKv for Metered<'_, K> {
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        self.add(Cost { lists: 1, ..Cost::default() });
        self.kv.list(prefix, cursor).await
    }

    async fn get_revision(&self, key: &str) -> Result<(Option<Bytes>, Revision), KvError> {
        self.add(Cost { reads: 1, ..Cost::default() });
        let (value, revision) = self.kv.get_revision(key).await?;
        self.add(Cost { bytes_read: length(value.as_ref()), ..Cost::default() });
        Ok((value, revision))
    }

    async fn replace(&self, key: &str, value: Bytes, revision: Revision) -> Result<bool, KvError> {
        self.add(Cost { writes: 1, bytes_written: value.len() as u64, ..Cost::default() });
        self.kv.replace(key, value, revision).await
    }
}

impl<K: CountKv> CountKv for Metered<'_, K> {
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError> {
        self.add(Cost { counts: 1, ..Cost::default() });
        self.kv.count(key, delta).await
    }
}
