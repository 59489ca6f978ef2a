//! The structure of a Yjs update (V1), walked without building it.
//!
//! This is the door for every update that a peer sends: it bounds what the CRDT library behind it would
//! otherwise trust (counts that reserve memory, nesting that recurses, clocks that overflow), and it tells
//! in one pass, without allocating, whether the update is empty, has gaps, and up to which state vector it
//! goes. It follows yjs' `UpdateDecoderV1` and `readItemContent`, and accepts only what both yjs and yrs
//! read in the same way.

use crate::wire::{Reader, WireError, put_var_uint};

/// Nesting of values inside one item. Both libraries read nested values by recursion.
const MAX_DEPTH: u32 = 128;

/// yjs and yrs count clocks in 32 bits, yrs with a sign in places.
const MAX_CLOCK: u64 = i32::MAX as u64;

/// What an update says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Per client, the clock up to which this update has every struct from 0 on; clients without any are
    /// left out. In the order of the update.
    pub state_vector: Vec<(u64, u64)>,
    /// How many structs it holds, gaps left out.
    pub structs: u64,
    /// Whether it deletes anything.
    pub deletes: bool,
    /// Whether structs are missing in front of others: it cannot be applied alone to an empty document.
    pub gaps: bool,
}

impl Summary {
    /// Whether the update changes nothing. Such an update is neither stored nor relayed.
    pub fn is_empty(&self) -> bool {
        self.structs == 0 && !self.deletes
    }

    /// The state vector in its V1 encoding.
    pub fn encode_state_vector(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + self.state_vector.len() * 8);
        put_var_uint(&mut out, self.state_vector.len() as u64);
        for (client, clock) in &self.state_vector {
            put_var_uint(&mut out, *client);
            put_var_uint(&mut out, *clock);
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
    /// A struct of length 0 where none may be.
    EmptyStruct,
    /// A kind of struct, content, type or value that Yjs does not have.
    UnknownKind(u8),
    /// Values nested too deeply.
    Depth,
    /// Embedded JSON that is not JSON.
    Json,
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
            Self::EmptyStruct => f.write_str("a struct has length 0"),
            Self::UnknownKind(kind) => write!(f, "unknown kind {kind}"),
            Self::Depth => write!(f, "values are nested more than {MAX_DEPTH} levels deep"),
            Self::Json => f.write_str("embedded JSON is malformed"),
            Self::Library => f.write_str("the update does not decode"),
        }
    }
}

impl std::error::Error for UpdateError {}

/// Walks a V1 update from end to end.
pub fn inspect(update: &[u8]) -> Result<Summary, UpdateError> {
    let mut reader = Reader::new(update);
    let mut summary = Summary::default();
    let mut clients = Vec::new();
    for _ in 0..count(&mut reader, 1)? {
        // A client's section takes at least its count, id and clock.
        let structs = count(&mut reader, 1)?;
        let client = reader.var_uint()?;
        clients.push(client);
        let start = clock(&mut reader)?;
        let mut position = start;
        let mut contiguous = (start == 0).then_some(0);
        for _ in 0..structs {
            let (length, gap) = read_struct(&mut reader)?;
            position += length;
            if position > MAX_CLOCK {
                return Err(UpdateError::Clock);
            }
            if gap {
                summary.gaps = true;
                if let Some(end) = contiguous.take() {
                    push_clock(&mut summary, client, end);
                }
            } else {
                summary.structs += 1;
                contiguous = contiguous.map(|_| position);
            }
        }
        summary.gaps |= start != 0 && structs > 0;
        if let Some(end) = contiguous {
            push_clock(&mut summary, client, end);
        }
    }
    distinct(clients)?;
    summary.deletes = read_delete_set(&mut reader)?;
    if !reader.is_empty() {
        return Err(UpdateError::TrailingBytes);
    }
    Ok(summary)
}

/// Checks a V1 state vector; true if it is the empty one.
pub fn inspect_state_vector(state_vector: &[u8]) -> Result<bool, UpdateError> {
    let mut reader = Reader::new(state_vector);
    let entries = count(&mut reader, 2)?;
    for _ in 0..entries {
        reader.var_uint()?;
        if reader.var_uint()? > u64::from(u32::MAX) {
            return Err(UpdateError::Clock);
        }
    }
    if reader.is_empty() { Ok(entries == 0) } else { Err(UpdateError::TrailingBytes) }
}

fn push_clock(summary: &mut Summary, client: u64, end: u64) {
    if end > 0 {
        summary.state_vector.push((client, end));
    }
}

/// A count of things that take at least `each` bytes, checked against what is left.
fn count(reader: &mut Reader<'_>, each: u64) -> Result<u64, UpdateError> {
    let count = reader.var_uint()?;
    if count.saturating_mul(each) > reader.remaining() as u64 { Err(UpdateError::Count) } else { Ok(count) }
}

fn clock(reader: &mut Reader<'_>) -> Result<u64, UpdateError> {
    let clock = reader.var_uint()?;
    if clock > MAX_CLOCK { Err(UpdateError::Clock) } else { Ok(clock) }
}

fn id(reader: &mut Reader<'_>) -> Result<(), UpdateError> {
    reader.var_uint()?;
    clock(reader)?;
    Ok(())
}

/// The length of a struct, and whether it is a gap (`Skip`).
fn read_struct(reader: &mut Reader<'_>) -> Result<(u64, bool), UpdateError> {
    const GC: u8 = 0;
    const SKIP: u8 = 10;
    let info = reader.byte()?;
    if info == GC || info == SKIP {
        return match clock(reader)? {
            0 => Err(UpdateError::EmptyStruct),
            length => Ok((length, info == SKIP)),
        };
    }
    let (has_origin, has_right_origin, has_parent_sub) =
        (info & 0x80 != 0, info & 0x40 != 0, info & 0x20 != 0);
    if has_origin {
        id(reader)?;
    }
    if has_right_origin {
        id(reader)?;
    }
    if !has_origin && !has_right_origin {
        // The parent is a root type's name or the item that holds the type.
        if reader.var_uint()? == 1 {
            reader.var_str()?;
        } else {
            id(reader)?;
        }
        if has_parent_sub {
            reader.var_str()?;
        }
    }
    Ok((read_content(reader, info & 0x1f)?, false))
}

/// The length of an item's content in clock units.
fn read_content(reader: &mut Reader<'_>, kind: u8) -> Result<u64, UpdateError> {
    match kind {
        1 => clock(reader),
        2 => {
            let values = count(reader, 1)?;
            for _ in 0..values {
                reader.var_str()?;
            }
            Ok(values)
        }
        3 => reader.var_bytes().map(|_| 1).map_err(Into::into),
        4 => Ok(utf16_length(reader.var_str()?)),
        5 => json(reader).map(|()| 1),
        6 => {
            reader.var_str()?;
            json(reader).map(|()| 1)
        }
        7 => read_type(reader).map(|()| 1),
        8 => {
            let values = count(reader, 1)?;
            for _ in 0..values {
                read_any(reader, MAX_DEPTH)?;
            }
            Ok(values)
        }
        9 => {
            reader.var_str()?;
            read_any(reader, MAX_DEPTH).map(|()| 1)
        }
        other => Err(UpdateError::UnknownKind(other)),
    }
}

/// Yjs counts text in UTF-16 code units.
fn utf16_length(text: &str) -> u64 {
    if text.is_ascii() { text.len() as u64 } else { text.chars().map(|c| c.len_utf16() as u64).sum() }
}

fn json(reader: &mut Reader<'_>) -> Result<(), UpdateError> {
    let text = reader.var_str()?;
    // What JavaScript writes for a missing value.
    if text == "undefined" {
        return Ok(());
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|_| UpdateError::Json)
}

fn read_type(reader: &mut Reader<'_>) -> Result<(), UpdateError> {
    const XML_ELEMENT: u64 = 3;
    const XML_HOOK: u64 = 5;
    match reader.var_uint()? {
        XML_ELEMENT | XML_HOOK => reader.var_str().map(|_| ()).map_err(Into::into),
        0..=6 => Ok(()),
        other => Err(UpdateError::UnknownKind(u8::try_from(other).unwrap_or(u8::MAX))),
    }
}

/// A lib0 `any` value.
fn read_any(reader: &mut Reader<'_>, depth: u32) -> Result<(), UpdateError> {
    let depth = depth.checked_sub(1).ok_or(UpdateError::Depth)?;
    match reader.byte()? {
        // undefined, null, false, true
        127 | 126 | 121 | 120 => {}
        // A signed integer: the first byte has 6 bits of it, the others 7.
        125 => {
            let mut bytes = 1;
            while reader.byte()? >= 0x80 {
                bytes += 1;
                if bytes > 8 {
                    return Err(WireError::IntegerRange.into());
                }
            }
        }
        124 => {
            reader.bytes(4)?;
        }
        123 | 122 => {
            reader.bytes(8)?;
        }
        119 => {
            reader.var_str()?;
        }
        118 => {
            for _ in 0..count(reader, 2)? {
                reader.var_str()?;
                read_any(reader, depth)?;
            }
        }
        117 => {
            for _ in 0..count(reader, 1)? {
                read_any(reader, depth)?;
            }
        }
        116 => {
            reader.var_bytes()?;
        }
        other => return Err(UpdateError::UnknownKind(other)),
    }
    Ok(())
}

/// Whether anything is deleted.
fn read_delete_set(reader: &mut Reader<'_>) -> Result<bool, UpdateError> {
    let mut any = false;
    let mut clients = Vec::new();
    for _ in 0..count(reader, 2)? {
        clients.push(reader.var_uint()?);
        for _ in 0..count(reader, 2)? {
            if clock(reader)? + clock(reader)? > MAX_CLOCK {
                return Err(UpdateError::Clock);
            }
            any = true;
        }
    }
    distinct(clients)?;
    Ok(any)
}

/// Refuses a client that stands twice: yjs keeps the last section of such an update, yrs both.
fn distinct(mut clients: Vec<u64>) -> Result<(), UpdateError> {
    // Yjs writes them in descending order, so that sorting is the exception.
    if !clients.is_sorted_by(|a, b| a > b) {
        clients.sort_unstable();
        if !clients.is_sorted_by(|a, b| a < b) {
            return Err(UpdateError::DuplicateClient);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client 5 inserts "ab" into the text "t", then deletes "a".
    const TEXT: &[u8] = &[1, 1, 5, 0, 4, 1, 1, b't', 2, b'a', b'b', 1, 5, 1, 0, 1];

    #[test]
    fn an_update_tells_its_state_vector_and_deletions() {
        let summary = inspect(TEXT).unwrap();
        assert_eq!(summary, Summary { state_vector: vec![(5, 2)], structs: 1, deletes: true, gaps: false });
        assert_eq!(summary.encode_state_vector(), [1, 5, 2]);
        assert!(inspect(&[0, 0]).unwrap().is_empty());
    }

    #[test]
    fn a_struct_that_does_not_start_at_clock_0_is_a_gap() {
        let mut late = TEXT.to_vec();
        late[3] = 7;
        let summary = inspect(&late).unwrap();
        assert!(summary.gaps);
        assert_eq!(summary.state_vector, []);
    }

    #[test]
    fn text_is_counted_in_utf16_units() {
        let text = "a😀";
        let mut update = vec![1, 1, 5, 0, 4, 1, 1, b't', text.len() as u8];
        update.extend_from_slice(text.as_bytes());
        update.push(0);
        assert_eq!(inspect(&update).unwrap().state_vector, [(5, 3)]);
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
        assert_eq!(inspect_state_vector(&[0xff, 0x7f, 1, 1]), Err(UpdateError::Count));
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
    fn a_client_that_stands_twice_is_refused() {
        let section = [1, 5, 0, 0, 1];
        let update = [&[2][..], &section, &section, &[0]].concat();
        assert_eq!(inspect(&update), Err(UpdateError::DuplicateClient));
    }
}
