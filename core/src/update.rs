//! The structure of a Yjs update (V1), walked without building it.
//!
//! This is the door for every update that a peer sends: it bounds what the CRDT library behind it would
//! otherwise trust (counts that reserve memory, nesting that recurses, clocks that overflow), and it tells
//! in one pass, without allocating, whether the update is empty, has gaps, and up to which state vector it
//! goes. It follows yjs' `UpdateDecoderV1` and `readItemContent`, and accepts only what both yjs and yrs
//! read in the same way.

mod structs;

pub(crate) use structs::{Body, Id, MAX_DEPTH, Parent, Part, is_json, read_any};

use crate::collections::Map;
use crate::wire::{Reader, WireError, put_var_uint};
use structs::{MAX_CLOCK, clock, count, distinct, read_delete_set, read_struct};

/// What an update says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// What it holds of each client, in the order of the update.
    pub clients: Vec<Section>,
    /// How many structs it holds, gaps left out.
    pub structs: u64,
    /// Whether it deletes anything.
    pub deletes: bool,
    /// Whether structs are missing in front of others: it cannot be applied alone to an empty document.
    pub gaps: bool,
}

/// A client's structs in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The client's id.
    pub client: u64,
    /// The clock up to which every struct from 0 on is there; 0 if the first is not.
    pub covers: u64,
    /// The clock behind the last struct.
    pub end: u64,
}

impl Summary {
    /// Whether the update changes nothing. Such an update is neither stored nor relayed.
    pub fn is_empty(&self) -> bool {
        self.structs == 0 && !self.deletes
    }

    /// The state vector in its V1 encoding.
    pub fn encode_state_vector(&self) -> Vec<u8> {
        let covered = || self.clients.iter().filter(|section| section.covers > 0);
        let mut out = Vec::with_capacity(2 + self.clients.len() * 8);
        put_var_uint(&mut out, covered().count() as u64);
        for section in covered() {
            put_var_uint(&mut out, section.client);
            put_var_uint(&mut out, section.covers);
        }
        out
    }
}

/// Why bytes are not an update or not a state vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateError {
    /// A value could not be read.
    Wire(WireError),
    /// Bytes were left after the end.
    TrailingBytes,
    /// A count that the rest of the bytes cannot hold.
    Count,
    /// A client stands twice.
    DuplicateClient,
    /// A clock or length beyond 31 bits.
    Clock,
    /// A struct of length 0 where none may be, or a client without any other.
    EmptyStruct,
    /// A struct that refers to itself or to what its client wrote later.
    Reference,
    /// A kind of struct, content, type or value that Yjs does not have.
    UnknownKind(u8),
    /// Values nested too deeply.
    Depth,
    /// Embedded JSON that is not JSON.
    Json,
    /// Types nested more than 256 levels deep, or formats that take more than 16 MiB when each stretch of text is
    /// written with its own. Such a document can be kept, but not shown.
    Unshowable,
    /// Well formed here, yet refused by the CRDT library.
    Library,
}

impl From<WireError> for UpdateError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl core::fmt::Display for UpdateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::TrailingBytes => f.write_str("bytes are left after the end"),
            Self::Count => f.write_str("a count exceeds the bytes that follow"),
            Self::DuplicateClient => f.write_str("a client stands twice"),
            Self::Clock => f.write_str("a clock exceeds 31 bits"),
            Self::EmptyStruct => f.write_str("a struct has length 0, or a client has none"),
            Self::Reference => f.write_str("a struct refers to its own future"),
            Self::UnknownKind(kind) => write!(f, "unknown kind {kind}"),
            Self::Depth => write!(f, "values are nested more than {MAX_DEPTH} levels deep"),
            Self::Json => f.write_str("embedded JSON is malformed"),
            Self::Unshowable => f.write_str("the document is nested too deeply, or has too many formats"),
            Self::Library => f.write_str("the update does not decode"),
        }
    }
}

impl std::error::Error for UpdateError {}

/// Walks a V1 update from end to end.
pub fn inspect(update: &[u8]) -> Result<Summary, UpdateError> {
    walk(update, &mut |_| {})
}

/// Walks a V1 update from end to end, and shows each part of it.
pub(crate) fn walk<'a>(update: &'a [u8], visit: &mut dyn FnMut(Part<'a>)) -> Result<Summary, UpdateError> {
    let mut reader = Reader::new(update);
    let mut summary = Summary::default();
    let mut clients = Vec::new();
    for _ in 0..count(&mut reader, 1)? {
        // A client's section takes at least its count, id and clock.
        let structs = count(&mut reader, 1)?;
        let client = reader.var_uint()?;
        clients.push(client);
        let start = clock(&mut reader)?;
        let mut section = Section { client, covers: 0, end: start };
        let mut contiguous = start == 0;
        for _ in 0..structs {
            let read = read_struct(&mut reader, Id { client, clock: section.end })?;
            section.end += read.length;
            if section.end > MAX_CLOCK {
                return Err(UpdateError::Clock);
            }
            let gap = matches!(read.body, Body::Skip);
            contiguous &= !gap;
            if contiguous {
                section.covers = section.end;
            }
            summary.gaps |= gap;
            summary.structs += u64::from(!gap);
            visit(Part::Struct(read));
        }
        if section.end == start {
            // Nobody writes a client of whom there is nothing to say, and yrs 0.28.1 passes over such clients by recursion.
            return Err(UpdateError::EmptyStruct);
        }
        summary.gaps |= start != 0;
        summary.clients.push(section);
    }
    distinct(clients)?;
    summary.deletes = read_delete_set(&mut reader, visit)?;
    if !reader.is_empty() {
        return Err(UpdateError::TrailingBytes);
    }
    Ok(summary)
}

/// Reads a V1 state vector: the clock of each client.
pub fn read_state_vector(state_vector: &[u8]) -> Result<Map<u64, u64>, UpdateError> {
    let mut reader = Reader::new(state_vector);
    let mut clocks = Map::new();
    for _ in 0..count(&mut reader, 2)? {
        let (client, clock) = (reader.var_uint()?, reader.var_uint()?);
        if clock > u64::from(u32::MAX) {
            return Err(UpdateError::Clock);
        }
        clocks.insert(client, clock);
    }
    if reader.is_empty() { Ok(clocks) } else { Err(UpdateError::TrailingBytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client 5 inserts "ab" into the text "t", then deletes "a".
    const TEXT: &[u8] = &[1, 1, 5, 0, 4, 1, 1, b't', 2, b'a', b'b', 1, 5, 1, 0, 1];

    #[test]
    fn an_update_tells_its_state_vector_and_deletions() {
        let summary = inspect(TEXT).unwrap();
        assert_eq!(
            summary,
            Summary {
                clients: vec![Section { client: 5, covers: 2, end: 2 }],
                structs: 1,
                deletes: true,
                gaps: false,
            }
        );
        assert_eq!(summary.encode_state_vector(), [1, 5, 2]);
        assert!(inspect(&[0, 0]).unwrap().is_empty());
    }

    #[test]
    fn a_struct_that_does_not_start_at_clock_0_is_a_gap() {
        let mut late = TEXT.to_vec();
        late[3] = 7;
        let summary = inspect(&late).unwrap();
        assert!(summary.gaps);
        assert_eq!(summary.clients, [Section { client: 5, covers: 0, end: 9 }]);
        assert_eq!(summary.encode_state_vector(), [0]);
    }

    #[test]
    fn text_is_counted_in_utf16_units() {
        let text = "a😀";
        let mut update = vec![1, 1, 5, 0, 4, 1, 1, b't', text.len() as u8];
        update.extend_from_slice(text.as_bytes());
        update.push(0);
        assert_eq!(inspect(&update).unwrap().encode_state_vector(), [1, 5, 3]);
    }

    #[test]
    fn every_truncation_and_every_extension_is_refused() {
        for end in 0..TEXT.len() {
            assert!(inspect(&TEXT[..end]).is_err(), "cut at {end}");
        }
        let mut longer = TEXT.to_vec();
        longer.push(0);
        assert_eq!(inspect(&longer), Err(UpdateError::TrailingBytes));
    }

    #[test]
    fn counts_that_the_bytes_cannot_hold_are_refused_before_memory_is_taken() {
        let mut bomb = Vec::new();
        put_var_uint(&mut bomb, u64::from(u32::MAX));
        assert_eq!(inspect(&bomb), Err(UpdateError::Count));
        let mut bomb = vec![1];
        put_var_uint(&mut bomb, u64::from(u32::MAX));
        bomb.extend_from_slice(&[5, 0]);
        assert_eq!(inspect(&bomb), Err(UpdateError::Count));
        assert_eq!(read_state_vector(&[0xff, 0x7f, 1, 1]), Err(UpdateError::Count));
    }

    #[test]
    fn a_client_of_whom_nothing_is_said_is_refused() {
        let nothing: [&[u8]; 3] = [&[0, 5, 0], &[1, 5, 0, 4, 1, 1, b't', 0], &[1, 5, 7, 8, 1, 1, b't', 0]];
        for section in nothing {
            let update = [&[2, 1, 6, 0, 0, 1], section, &[0]].concat();
            assert_eq!(inspect(&update), Err(UpdateError::EmptyStruct), "{section:?}");
        }
        // One that is empty beside others was once written by mistake.
        assert!(inspect(&[1, 2, 5, 0, 4, 1, 1, b't', 0, 4, 1, 1, b't', 1, b'a', 0]).is_ok());
    }

    #[test]
    fn a_parent_is_a_name_or_an_item() {
        // 2 to the 32nd, and 1: yrs would read the 1 only.
        let number = [0x81, 0x80, 0x80, 0x80, 0x10];
        let update = [&[1, 1, 5, 0, 4][..], &number, &[1, b't', 1, b'a', 0]].concat();
        assert_eq!(inspect(&update), Err(UpdateError::UnknownKind(u8::MAX)));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| {
            let mut update = vec![1, 1, 5, 0, 8, 1, 1, b't', 1];
            for _ in 0..levels {
                update.extend_from_slice(&[117, 1]);
            }
            update.extend_from_slice(&[126, 0]);
            update
        };
        assert!(inspect(&nested(100)).is_ok());
        assert_eq!(inspect(&nested(10_000)), Err(UpdateError::Depth));
    }

    #[test]
    fn a_struct_that_waits_for_itself_is_refused() {
        // Client 5 inserts "a" behind (5, 0), which is that very "a".
        assert_eq!(inspect(&[1, 1, 5, 0, 0x84, 5, 0, 1, b'a', 0]), Err(UpdateError::Reference));
        assert!(inspect(&[1, 1, 5, 1, 0x84, 5, 0, 1, b'a', 0]).is_ok());
    }

    #[test]
    fn an_xml_hook_is_refused() {
        // A hook without a name: yrs would take the empty name for the number of deletions.
        let hook = [1, 1, 5, 0, 7, 1, 1, b'x', 5, 0, 0];
        assert_eq!(inspect(&hook), Err(UpdateError::UnknownKind(5)));
        let text = [1, 1, 5, 0, 7, 1, 1, b'x', 6, 0];
        assert!(inspect(&text).is_ok());
    }

    #[test]
    fn json_is_bounded_in_depth_and_brackets_in_strings_do_not_count() {
        assert!(is_json(&format!("{}{}", "[".repeat(128), "]".repeat(128))));
        assert!(!is_json(&format!("{}{}", "[".repeat(129), "]".repeat(129))));
        assert!(is_json(&format!(r#""{}\"{}""#, "[".repeat(500), "{".repeat(500))));
        assert!(!is_json("undefined"));
    }

    #[test]
    fn a_client_that_stands_twice_is_refused() {
        let section = [1, 5, 0, 0, 1];
        let update = [&[2][..], &section, &section, &[0]].concat();
        assert_eq!(inspect(&update), Err(UpdateError::DuplicateClient));
    }
}
