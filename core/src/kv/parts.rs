//! Entries in a store: parts first and the value last, and back.

use super::entry::{Body, Entry, Value};
use super::{Kv, KvConfig, KvError};
use crate::log::LogError;
use bytes::Bytes;

/// Where an entry is stored: its key, and the keys of its parts.
pub(crate) trait Place {
    /// The key of its value.
    fn key(&self) -> String;
    /// The key of a part.
    fn part(&self, index: usize) -> String;
}

/// Stores an entry: done once its value is. Where it fails some parts may be there, which nobody finds.
pub(crate) async fn put<K: Kv>(
    kv: &K,
    place: &impl Place,
    entry: &Entry,
    config: &KvConfig,
) -> Result<(), KvError> {
    let whole = config.value_bytes.saturating_sub(HEAD_MAX);
    let inline = if entry.covers.is_some() { config.inline_bytes.min(whole) } else { whole };
    let encoded = entry.encode(inline, config.value_bytes);
    for (index, part) in encoded.parts.into_iter().enumerate() {
        kv.set(&place.part(index), part).await?;
    }
    kv.set(&place.key(), encoded.value).await
}

/// Bytes of a value beside its updates, at most, if it is no snapshot.
const HEAD_MAX: usize = 64;

/// The updates of an entry whose value was read.
pub(crate) async fn fetch<K: Kv>(kv: &K, place: &impl Place, value: Value) -> Result<Vec<Bytes>, LogError> {
    let parts = match value.body {
        Body::Here(updates) => return Ok(updates),
        Body::Parts(parts) => parts,
    };
    let keys: Vec<_> = (0..parts.count).map(|index| place.part(index)).collect();
    let mut read = Vec::with_capacity(keys.len());
    for (key, part) in keys.iter().zip(kv.get_all(&keys).await?) {
        read.push(match part {
            Some(part) => part,
            None => unread(kv, key).await?,
        });
    }
    parts.join(&read).map_err(|_| LogError::Corrupt)
}

/// Reads a key again that must be there and seemed not to be: what is missing is never taken for empty.
pub(crate) async fn unread<K: Kv>(kv: &K, key: &str) -> Result<Bytes, LogError> {
    kv.get(key).await?.ok_or(LogError::Unavailable)
}
