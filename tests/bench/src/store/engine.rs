//! What every candidate must do, and the model that all of them store: a meta row for each document (found by its
//! name), updates under (document number, sequence), and one snapshot for each document number.

use std::error::Error;
use std::path::Path;

use super::{fjall_engine, lmdb_engine, redb_engine, sqlite_engine};

/// The result of everything here: a benchmark only reports errors.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the store keeps about a document beside its updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The number under which the document's rows are stored.
    pub(crate) id: u64,
    /// The sequence number of the next update.
    pub(crate) next: u64,
    /// The updates that no snapshot covers.
    pub(crate) tail_count: u64,
    /// Their bytes.
    pub(crate) tail_bytes: u64,
}

impl Meta {
    /// The stored form: four big-endian numbers.
    pub(crate) fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let words = [self.id, self.next, self.tail_count, self.tail_bytes];
        for (slot, word) in out.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Reads the stored form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut words = bytes.chunks_exact(8);
        let mut word =
            || -> Result<u64> { Ok(u64::from_be_bytes(words.next().ok_or("short meta")?.try_into()?)) };
        Ok(Self { id: word()?, next: word()?, tail_count: word()?, tail_bytes: word()? })
    }
}

/// An update on its way to the store.
pub(crate) struct Update {
    /// The document's number.
    pub(crate) id: u64,
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The update.
    pub(crate) bytes: Vec<u8>,
}

/// What one durable commit writes.
#[derive(Default)]
pub(crate) struct Batch {
    /// The updates of all documents.
    pub(crate) updates: Vec<Update>,
    /// The meta rows after them.
    pub(crate) metas: Vec<(String, Meta)>,
}

/// A document as a cold load reads it.
#[derive(Default)]
pub(crate) struct Loaded {
    /// The sequence that the snapshot covers, and the snapshot.
    pub(crate) snapshot: Option<(u64, Vec<u8>)>,
    /// The updates after it.
    pub(crate) updates: Vec<(u64, Vec<u8>)>,
}

/// One open store. Writers call it from one thread; readers from any.
pub(crate) trait Engine: Send + Sync {
    /// Writes a batch in one transaction and returns when it is durable.
    fn append(&self, batch: &Batch) -> Result<()>;
    /// The meta row of a document.
    fn meta(&self, name: &str) -> Result<Option<Meta>>;
    /// The snapshot and the updates after it, from one view of the store.
    fn load(&self, name: &str) -> Result<Loaded>;
    /// Puts the snapshot, deletes the updates up to `through`, writes the meta: one durable transaction.
    fn compact(&self, name: &str, meta: &Meta, through: u64, snapshot: &[u8]) -> Result<()>;
    /// Gives freed space back to the file system, as far as the store can. It may need the store to itself.
    fn reclaim(&mut self) -> Result<()>;
}

/// The candidates, by the names that the table shows.
pub(crate) const ENGINES: [&str; 5] = ["redb", "redb-quick", "fjall", "sqlite", "lmdb"];

/// Opens or creates the store of a candidate in a directory.
pub(crate) fn open(engine: &str, dir: &Path) -> Result<Box<dyn Engine>> {
    std::fs::create_dir_all(dir)?;
    Ok(match engine {
        "redb" => Box::new(redb_engine::Redb::open(dir, false)?),
        "redb-quick" => Box::new(redb_engine::Redb::open(dir, true)?),
        "fjall" => Box::new(fjall_engine::Fjall::open(dir)?),
        "sqlite" => Box::new(sqlite_engine::Sqlite::open(dir)?),
        "lmdb" => Box::new(lmdb_engine::Lmdb::open(dir)?),
        other => return Err(format!("no such engine: {other}").into()),
    })
}

/// A snapshot's stored form: the sequence that it covers, then its bytes.
pub(crate) fn snapshot_value(through: u64, snapshot: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + snapshot.len());
    value.extend_from_slice(&through.to_be_bytes());
    value.extend_from_slice(snapshot);
    value
}

/// Reads a snapshot's stored form.
pub(crate) fn split_snapshot(value: &[u8]) -> Result<(u64, Vec<u8>)> {
    let (head, body) = value.split_first_chunk::<8>().ok_or("short snapshot")?;
    Ok((u64::from_be_bytes(*head), body.to_vec()))
}

/// The key of an update for the stores whose keys are bytes.
pub(crate) fn update_key(id: u64, seq: u64) -> [u8; 16] {
    ((u128::from(id) << 64) | u128::from(seq)).to_be_bytes()
}

/// The sequence number in such a key.
pub(crate) fn key_seq(key: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(*key.last_chunk::<8>().ok_or("short key")?))
}
