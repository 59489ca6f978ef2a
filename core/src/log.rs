//! What any host's store must do: a document is a log of immutable updates, and snapshots that cover some.
//!
//! Requests are at the level of the log and not of get and set, because the hosts' primitives differ too much
//! for one honest contract of the latter. A store that cannot keep these promises is lowered to them.

use bytes::Bytes;
use core::fmt::Write as _;
use std::sync::Arc;

/// A place in a document's log: what a reader has that is there.
///
/// Where one process owns the document it is the number of the last update, counted from 1: it grows with every append,
/// is never given twice, and goes on growing when the document is deleted and made again. Where any number of instances
/// write at once no single number can say it: what comes later may lie before. There the place has [`Offset::marks`],
/// which mean something to the store alone, and reading from a place at worst tells again what was told.
///
/// Its text is opaque to clients, and sorts as the places do: 16 hexadecimal digits, and 6 characters of base 64 for each
/// mark; at most 250 in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset {
    number: u64,
    marks: Option<Arc<[u64]>>,
}

impl Offset {
    /// Before the first update.
    pub const START: Self = Self::new(0);
    /// Behind every update: a [`LogOp::Load`] from here only tells how long the log is.
    pub const END: Self = Self::new(u64::MAX);
    /// How many marks there may be: the protocol's clients keep 255 characters.
    pub const MARKS_MAX: usize = 39;
    /// Bits of a number below its generation.
    pub const GENERATION_SHIFT: u32 = 44;
    /// Bits of a mark.
    pub const MARK_BITS: u32 = 36;

    /// The place of the update with this number, counted from 1.
    pub const fn new(number: u64) -> Self {
        Self { number, marks: None }
    }

    /// A place with marks, each of [`Offset::MARK_BITS`] bits and at most [`Offset::MARKS_MAX`]: what is beyond is cut.
    pub fn with_marks(number: u64, marks: impl IntoIterator<Item = u64>) -> Self {
        let fits = |mark: u64| mark & ((1 << Self::MARK_BITS) - 1);
        let marks: Arc<[u64]> = marks.into_iter().take(Self::MARKS_MAX).map(fits).collect();
        Self { number, marks: (!marks.is_empty()).then_some(marks) }
    }

    /// The number that [`Offset::new`] was given.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The 20 highest bits of the number. Where any number of instances write, they count how often the document was
    /// deleted and begun anew: nothing of an earlier generation is left in a later one. Elsewhere numbers do not reach
    /// them.
    pub const fn generation(&self) -> u64 {
        self.number >> Self::GENERATION_SHIFT
    }

    /// What [`Offset::with_marks`] was given.
    pub fn marks(&self) -> &[u64] {
        self.marks.as_deref().unwrap_or_default()
    }

    /// Reads the text of [`Offset`]'s `Display`; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, marks) = text.split_at_checked(16)?;
        let digits = number.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let marks = marks.as_bytes();
        if !digits || marks.len() % MARK_DIGITS != 0 || marks.len() > MARK_DIGITS * Self::MARKS_MAX {
            return None;
        }
        let number = u64::from_str_radix(number, 16).ok()?;
        let marks: Option<Vec<_>> = marks.chunks(MARK_DIGITS).map(mark).collect();
        Some(Self::with_marks(number, marks?))
    }
}

/// Characters of a mark, and what they are: base 64 in an order in which texts sort as the numbers do.
const MARK_DIGITS: usize = 6;
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

fn mark(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| DIGITS.binary_search(byte).ok();
    text.iter().try_fold(0, |mark, byte| Some(mark << 6 | digit(byte)? as u64))
}

impl core::fmt::Display for Offset {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:016x}", self.number)?;
        for mark in self.marks() {
            for index in (0..MARK_DIGITS).rev() {
                let digit = DIGITS.get((mark >> (6 * index)) as usize & 63).copied().unwrap_or_default();
                f.write_char(char::from(digit))?;
            }
        }
        Ok(())
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
    /// [`LogOp::Load`] for who was loaded from there before and goes on to listen: whether the document is still there
    /// may be as of [`crate::kv::FOLLOWED`] ago.
    Follow {
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
    /// Reads what is kept of who is there. Only asked where any number of instances share the document
    /// ([`crate::Residency::Shared`]); where one owns it presence stays in its memory, and this is refused.
    ReadPresence(PresencePart),
    /// Replaces what was read last. Where the store can tell, nothing is done if another is about to write: it is to be
    /// read again then. Elsewhere the last writer wins. The same holds for who is asked.
    WritePresence {
        /// Which.
        part: PresencePart,
        /// What is kept; empty for nothing.
        state: Bytes,
    },
}

/// What is kept of the presence of a document: two values, so that nothing has to be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresencePart {
    /// The stream that WebSocket clients share.
    Default,
    /// All streams that HTTP clients named.
    Named,
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
    /// To [`LogOp::PutVersion`] (whether it was kept), to [`LogOp::DeleteVersion`] (whether it was there), and to
    /// [`LogOp::WritePresence`] (whether it was written).
    Done(bool),
    /// To [`LogOp::ListVersions`], newest first.
    Versions(Vec<Version>),
    /// To [`LogOp::ReadVersion`]: the update; none if there is no such version.
    Version(Option<Bytes>),
    /// To [`LogOp::ReadPresence`]: what was written last; none if that was nothing.
    Presence(Option<Bytes>),
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

#[cfg(test)]
mod tests {
    use super::*;

    const MARK_MAX: u64 = (1 << Offset::MARK_BITS) - 1;

    /// In their order.
    fn places() -> Vec<Offset> {
        let full = |mark| Offset::with_marks(5, vec![mark; Offset::MARKS_MAX]);
        vec![
            Offset::START,
            Offset::with_marks(0, [0]),
            Offset::new(5),
            Offset::with_marks(5, [0]),
            Offset::with_marks(5, [0, 1]),
            full(0x0123_4567),
            Offset::with_marks(5, [0x8_1234_5678]),
            Offset::with_marks(5, [MARK_MAX]),
            full(MARK_MAX),
            Offset::new(0x10),
            Offset::END,
            Offset::with_marks(u64::MAX, [MARK_MAX]),
        ]
    }

    #[test]
    fn places_are_read_as_they_were_written() {
        for place in places() {
            let text = place.to_string();
            assert_eq!(text.len(), 16 + 6 * place.marks().len());
            assert!(text.len() <= 250 && text.is_ascii(), "{text}");
            assert_eq!(Offset::parse(&text), Some(place));
        }
        assert_eq!(Offset::new(255).to_string(), "00000000000000ff");
        assert_eq!(Offset::with_marks(1, [0, 1, MARK_MAX]).to_string(), "0000000000000001-----------0zzzzzz");
    }

    #[test]
    fn texts_sort_as_the_places_do() {
        // Each digit in turn, at either end of a mark.
        let digits = (0..64).flat_map(|digit| [digit, digit << 30]).map(|mark| Offset::with_marks(7, [mark]));
        let mut all: Vec<_> = places().into_iter().chain(digits).collect();
        assert!(places().is_sorted());
        all.sort();
        assert!(all.iter().map(Offset::to_string).is_sorted());
    }

    #[test]
    fn what_is_beyond_a_place_is_cut() {
        let marks = Offset::with_marks(1, (0..100).map(|mark| MARK_MAX + 1 + mark));
        assert!(marks.marks().iter().copied().eq(0..Offset::MARKS_MAX as u64));
        assert_eq!(Offset::with_marks(1, []), Offset::new(1));
    }

    #[test]
    fn other_texts_are_no_places() {
        let number = "00000000000000ff";
        let texts = [
            String::new(),
            "-1".into(),
            "00000000000000FF".into(),
            "+0000000000000ff".into(),
            "00000000000000f".into(),
            "00000000000000fg".into(),
            format!("{number}0"),
            format!("{number}00000"),
            format!("{number}0000000"),
            format!("{number}_snapshot"),
            format!("{number}00000 "),
            format!("{number}00000+"),
            format!("{number}00000="),
            format!("{number}00000/"),
            format!("{number}{}", "0".repeat(6 * 40)),
            // The split falls into a character; into none of the digits; into a mark.
            "000000000000000\u{e9}".into(),
            "000000000000000\u{e9}00000".into(),
            "\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}".into(),
            format!("{number}00000\u{e9}00000"),
            format!("{number}\u{e9}\u{e9}\u{e9}"),
        ];
        for text in texts {
            assert_eq!(Offset::parse(&text), None, "{text:?}");
        }
    }
}
