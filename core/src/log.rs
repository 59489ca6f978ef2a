//! What any host's store must do: a document is a log of immutable updates, and snapshots that cover some.
//!
//! Requests are at the level of the log and not of get and set, because the hosts' primitives differ too much
//! for one honest contract of the latter. A store that cannot keep these promises is lowered to them.

use bytes::Bytes;

/// A place in a document's log. It grows with every append, is never given twice, and goes on growing when the
/// document is deleted and made again.
///
/// Its text is opaque to clients, and sorts as the places do: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// Before the first update.
    pub const START: Self = Self(0);
    /// Behind every update: a [`LogOp::Load`] from here only tells how long the log is.
    pub const END: Self = Self(u64::MAX);

    /// The place of the update with this number, counted from 1.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that [`Offset::new`] was given.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Reads the text of [`Offset`]'s `Display`; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits =
            text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits { u64::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl core::fmt::Display for Offset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A request to the log of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOp {
    /// What comes behind a place: every later update; where a snapshot covers some of these, the snapshot and every
    /// update that it does not cover.
    Load {
        /// The last update that is not asked for.
        since: Offset,
    },
    /// Stores updates, all or none, as these bytes. Answered only once they are durable. Makes a document that never
    /// was; a deleted one stays deleted ([`LogError::Deleted`]). A request with the same [`crate::OpId`] is a retry
    /// after an ambiguous error: the same bytes, to be stored under the same keys.
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
    /// Makes the document, with these updates, unless it is there. A deleted one begins anew, behind its old end.
    Create {
        /// Its first updates; most often none.
        updates: Vec<Bytes>,
    },
    /// Deletes the document with its snapshot, updates and versions, and remembers that it was there.
    Delete,
    /// Keeps a state under a name.
    PutVersion {
        /// What is told about it.
        version: Version,
        /// One update.
        body: Bytes,
        /// How many versions there may be then; beyond that it is not kept.
        most: usize,
    },
    /// Tells all versions.
    ListVersions,
    /// Reads a version.
    ReadVersion {
        /// [`Version::id`].
        id: String,
    },
    /// Deletes a version.
    DeleteVersion {
        /// [`Version::id`].
        id: String,
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
    /// To [`LogOp::Create`]: the document is durably there.
    Created {
        /// It was there before, and nothing was written.
        existed: bool,
        /// How long its log is.
        tail: Tail,
    },
    /// To [`LogOp::Delete`]: what is left, and whether there was something to delete.
    Deleted {
        /// It was there.
        existed: bool,
        /// What remains: the place from which on it would begin anew.
        tail: Tail,
    },
    /// To [`LogOp::PutVersion`] (whether it was kept) and to [`LogOp::DeleteVersion`] (whether it was there).
    Done(bool),
    /// To [`LogOp::ListVersions`], newest first.
    Versions(Vec<Version>),
    /// To [`LogOp::ReadVersion`]: the update; none if there is no such version.
    Version(Option<Bytes>),
}

/// A named snapshot that a user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Unique within the document; later ones sort behind earlier ones.
    pub id: String,
    /// What people call it; may be empty.
    pub name: String,
    /// When it was made.
    pub created: crate::effect::Millis,
    /// Bytes of the update.
    pub bytes: u64,
}

/// A document as the log holds it, from the place that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The newest snapshot, one update, if it covers something that was asked for.
    pub snapshot: Option<Bytes>,
    /// The updates behind it, or behind the place that was asked for, in their order.
    pub updates: Vec<(Offset, Bytes)>,
    /// How long the log is.
    pub tail: Tail,
}

/// Whether a document is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// It never was.
    #[default]
    Absent,
    /// It is.
    Live,
    /// It was, and was deleted.
    Deleted,
}

/// How long a document's log is, and how much of it no snapshot covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Whether the document is there.
    pub life: Life,
    /// The place of the last update.
    pub end: Offset,
    /// The last update that the snapshot covers; [`Offset::START`] if there is none.
    pub snapshot: Offset,
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

/// A request to all the documents of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogOp {
    /// Documents that are there, in the order of their names.
    List {
        /// Only names that begin with this, as [`crate::DocName::internal`] has them.
        prefix: String,
        /// Only names behind this one; empty for all.
        after: String,
        /// How many at most.
        limit: usize,
    },
    /// Whether the store can be read and written.
    Check,
}

/// One document of a [`CatalogOp::List`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as [`crate::DocName::internal`] has it.
    pub name: String,
    /// How long its log is.
    pub tail: Tail,
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
    /// The document was deleted: nothing can be appended to it.
    Deleted,
}

impl core::fmt::Display for LogError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store is unavailable",
            Self::Refused => "the store refused the write",
            Self::Corrupt => "the stored document cannot be read",
            Self::Deleted => "the document was deleted",
        })
    }
}

impl std::error::Error for LogError {}
