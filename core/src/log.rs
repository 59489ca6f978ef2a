//! What any host's store must do: a document is a log of immutable updates, and snapshots that cover some.
//!
//! Requests are at the level of the log and not of get and set, because the hosts' primitives differ too much
//! for one honest contract of the latter. A store that cannot keep these promises is lowered to them.

use bytes::Bytes;

/// A place in a document's log. It grows with every append and is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// Before the first update.
    pub const START: Self = Self(0);

    /// The place of the update with this number, counted from 1.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that [`Offset::new`] was given.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A request to the log of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOp {
    /// All that makes the document: the newest snapshot, and every update that it does not cover.
    Load,
    /// Stores updates, all or none, as these bytes. Answered only once they are durable. A request with the
    /// same [`crate::OpId`] is a retry after an ambiguous error: the same bytes, to be stored under the same
    /// keys.
    Append {
        /// The updates in the order in which they came.
        updates: Vec<Bytes>,
    },
    /// Replaces the updates up to an offset by a snapshot. The store reads them, calls
    /// [`crate::replica::compact`], and deletes only what the snapshot covers and only once it is durable.
    /// It must not hold up an append.
    Compact {
        /// The last update to cover.
        upto: Offset,
    },
}

/// What the store answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogReply {
    /// To [`LogOp::Load`].
    Loaded(Loaded),
    /// To [`LogOp::Append`]: the updates are durable.
    Appended(Tail),
    /// To [`LogOp::Compact`]: what is left.
    Compacted(Tail),
}

/// A document as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The newest snapshot, one update.
    pub snapshot: Option<Bytes>,
    /// The updates behind it, in their order.
    pub updates: Vec<Bytes>,
    /// How long the log is.
    pub tail: Tail,
}

/// How much of a document's log no snapshot covers: what decides about compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// The place of the last update.
    pub end: Offset,
    /// Updates behind the snapshot.
    pub updates: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The snapshot's bytes.
    pub snapshot_bytes: u64,
}

impl Tail {
    /// Bytes that the document takes in all.
    pub fn document_bytes(&self) -> u64 {
        self.bytes + self.snapshot_bytes
    }
}

/// Why the store could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogError {
    /// Perhaps it did and perhaps it did not: worth a retry.
    Unavailable,
    /// It did not, and a retry will not help: no space, or beyond what the store takes.
    Refused,
    /// What it holds cannot be read.
    Corrupt,
}

impl core::fmt::Display for LogError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store is unavailable",
            Self::Refused => "the store refused the write",
            Self::Corrupt => "the stored document cannot be read",
        })
    }
}

impl std::error::Error for LogError {}
