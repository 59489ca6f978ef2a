//! Key-value stores: the primitives that the lowerings of the log need, and what they cost.
//!
//! [`crate::listed`] and [`crate::sequenced`] keep a document's log in a store without transactions, which any number
//! of instances use at once. Both are written as plain `async` functions over the traits below: a host awaits its store
//! in them, and needs no runtime for that; the simulator polls them by hand and cuts them off between any two
//! operations.

mod cost;
pub(crate) mod crc;
pub mod entry;
mod parts;

pub use cost::{Cost, Metered};
pub(crate) use parts::{Place, fetch, put, unread};

use crate::effect::Millis;
use crate::log::{LogError, PresencePart};
use bytes::Bytes;

/// Why a store could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvError {
    /// Perhaps it did and perhaps it did not: no answer, or too many requests.
    Unavailable,
    /// It did not, and a retry will not help: a key or a value that it does not take, no space.
    Refused,
}

impl From<KvError> for LogError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Unavailable => Self::Unavailable,
            KvError::Refused => Self::Refused,
        }
    }
}

impl core::fmt::Display for KvError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store is unavailable",
            Self::Refused => "the store refuses this",
        })
    }
}

impl std::error::Error for KvError {}

/// What every store can do, and what its host knows. Keys have the letters `[a-z0-9_-]` and at most 255 bytes.
///
/// A read may be stale: it may miss what was written a while ago, and show what was deleted.
#[allow(async_fn_in_trait)]
pub trait Kv {
    /// The time. Clocks of two instances may differ by minutes; that of one never goes back.
    fn now(&self) -> Millis;
    /// 64 random bits, never the same twice in any instance.
    fn random(&self) -> u64;
    /// The value of a key; none if it is not there, or not yet visible.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError>;
    /// The values of several keys, in their order: for hosts that can read beside each other.
    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(key).await?);
        }
        Ok(values)
    }
    /// Stores a value durably; what was there before is replaced.
    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError>;
    /// Deletes a key; it is no error if it is not there.
    async fn delete(&self, key: &str) -> Result<(), KvError>;
}

/// A store that lists its keys.
#[allow(async_fn_in_trait)]
pub trait ListKv: Kv {
    /// Keys that begin with `prefix`, in any order: a page, behind `cursor` if there is one.
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError>;
    /// Reads a value that is to be replaced, and its revision.
    async fn get_revision(&self, key: &str) -> Result<(Option<Bytes>, Revision), KvError> {
        Ok((self.get(key).await?, Revision::Unknown))
    }
    /// Replaces a value, unless its revision is another one by now; whether it did. Which one it has then is not told.
    async fn replace(&self, key: &str, value: Bytes, _revision: Revision) -> Result<bool, KvError> {
        self.set(key, value).await.map(|()| true)
    }
}

/// By what a store tells whether a value is still what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// It cannot tell.
    Unknown,
    /// There was no value.
    Missing,
    /// Its own number, which says nothing of an order.
    Number(u64),
}

/// A store that counts.
#[allow(async_fn_in_trait)]
pub trait CountKv: Kv {
    /// Adds to a counter, and gives its new value; with 0 it is only read. A counter that never was begins at 0. The
    /// keys of counters are used for nothing else.
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError>;
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// What the next page is asked with; none if this is the last.
    pub next: Option<String>,
}

/// The key of what is kept of who is there, by the document's key form.
pub(crate) fn presence_key(document: &str, part: PresencePart) -> String {
    match part {
        PresencePart::Default => format!("a{document}__"),
        PresencePart::Named => format!("a{document}__n"),
    }
}

/// Whether a store can be written and read: what y-sweet's `/check_store` asks.
///
/// # Errors
/// If it cannot, or gives something else than what was written.
pub async fn check(kv: &impl Kv) -> Result<(), LogError> {
    // Stores bound how often one key is written, and no document's keys begin so.
    let key = format!("kcheck-{:x}", kv.random() % 64);
    let value = Bytes::from(kv.random().to_le_bytes().to_vec());
    kv.set(&key, value.clone()).await?;
    match kv.get(&key).await? {
        Some(read) if read.len() == value.len() => Ok(()),
        _ => Err(LogError::Corrupt),
    }
}

/// Milliseconds for which what is known of a document's life is believed by who follows it, where it is believed at all
/// only for [`KvConfig::trust`] else: how long after a deletion elsewhere its readers are told of that.
pub const FOLLOWED: u64 = 1_000;

/// What a lowering may do to its store. The defaults hold for every store that yonder knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvConfig {
    /// Bytes of a value; what is larger is stored in parts of this size. 1 MB is what every host takes.
    pub value_bytes: usize,
    /// Bytes of a snapshot that stand in its own value, and not in a part: whoever asks only what is new reads these
    /// values, and not the parts.
    pub inline_bytes: usize,
    /// Milliseconds from a snapshot until what it covers is deleted. Longer than a list or a read is stale for, and
    /// than any request takes: else a reader has to start again.
    pub grace: u64,
    /// Milliseconds for which an instance believes what it knows of a document's life: how long after a deletion
    /// elsewhere it still takes edits, which are then lost with the document.
    pub trust: u64,
    /// Milliseconds from the moment when a number was taken until its writer may no longer say that it is stored under
    /// it (`sequenced`).
    pub ack_within: u64,
    /// Milliseconds after which a number under which nothing is stored is void (`sequenced`): `ack_within`, and what
    /// clocks differ by.
    pub void_after: u64,
    /// Entries that one compaction reads at most. A longer tail takes several.
    pub compaction_reads: usize,
    /// Keys that are deleted by one that merges nothing, where a request may ask only so much (`listed`): one that merges
    /// deletes nothing then. None if both are done at once, and as many deleted as are read.
    pub apart: Option<usize>,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self {
            value_bytes: 1_000_000,
            inline_bytes: 16 << 10,
            grace: 60_000,
            trust: 2_000,
            ack_within: 30_000,
            void_after: 900_000,
            compaction_reads: 64,
            apart: None,
        }
    }
}
