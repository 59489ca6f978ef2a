//! The grammar of a V1 update: structs, their contents, and what is deleted.

use super::UpdateError;
use crate::wire::{Reader, WireError};

/// Nesting of values inside one item. Both libraries read nested values by recursion.
pub(crate) const MAX_DEPTH: u32 = 128;

/// The tag of an object among lib0's `any` values.
const OBJECT: u8 = 118;

/// The content that is texts of JSON, as yjs numbers contents. Yjs wrote it before it had `any` values.
const JSON: u8 = 2;

/// The content that is a shared type.
const TYPE: u8 = 7;

/// yjs and yrs count clocks in 32 bits, yrs with a sign in places.
pub(super) const MAX_CLOCK: u64 = i32::MAX as u64;

/// The place of a struct: a client, and a clock of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) client: u64,
    pub(crate) clock: u64,
}

/// What an update is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// A struct, in the order of the update.
    Struct(Struct<'a>),
    /// This many clocks from here on are deleted.
    Deletion(Id, u64),
}

impl Part<'_> {
    /// Whether it is an item that holds a shared type.
    pub(crate) fn is_type(&self) -> bool {
        self.is(TYPE)
    }

    /// Whether it is an item that holds texts of JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is(JSON)
    }

    fn is(&self, content: u8) -> bool {
        matches!(self, Self::Struct(Struct { body: Body::Item(Item { kind, .. }), .. }) if *kind == content)
    }
}

/// One struct.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struct<'a> {
    pub(crate) id: Id,
    /// In clock units.
    pub(crate) length: u64,
    pub(crate) body: Body<'a>,
}

/// What a struct is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    /// Deleted, and nothing is left of it.
    Gc,
    /// A gap: what belongs here was not there when the update was made.
    Skip,
    /// An item.
    Item(Item<'a>),
}

/// An item as it is written: most know their parent by their neighbours only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    /// What stood to the left when it was inserted.
    pub(crate) origin: Option<Id>,
    /// What stood to the right.
    pub(crate) right_origin: Option<Id>,
    /// Written only where there are no neighbours.
    pub(crate) parent: Option<Parent<'a>>,
    /// The key, in a parent that has entries. Written only together with the parent.
    pub(crate) key: Option<&'a str>,
    /// Which content follows, as yjs numbers them.
    pub(crate) kind: u8,
    /// The content as it is written.
    pub(crate) content: &'a [u8],
}

/// The type that an item stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent<'a> {
    /// A root type, by its name.
    Root(&'a str),
    /// The item whose content the type is.
    Item(Id),
}

/// A count of things that take at least `each` bytes, checked against what is left.
pub(super) fn count(reader: &mut Reader<'_>, each: u64) -> Result<u64, UpdateError> {
    let count = reader.var_uint()?;
    if count.saturating_mul(each) > reader.remaining() as u64 { Err(UpdateError::Count) } else { Ok(count) }
}

pub(super) fn clock(reader: &mut Reader<'_>) -> Result<u64, UpdateError> {
    let clock = reader.var_uint()?;
    if clock > MAX_CLOCK { Err(UpdateError::Clock) } else { Ok(clock) }
}

/// A length in clock units of something that is there.
fn length(reader: &mut Reader<'_>) -> Result<u64, UpdateError> {
    match clock(reader)? {
        0 => Err(UpdateError::EmptyStruct),
        length => Ok(length),
    }
}

/// A reference from the struct at `own`. What a client wrote refers to what it had written before: a struct that
/// waited for itself or its own future would wait for ever, and all behind it.
fn reference(reader: &mut Reader<'_>, own: Id) -> Result<Id, UpdateError> {
    let client = reader.var_uint()?;
    let clock = clock(reader)?;
    if client == own.client && clock >= own.clock {
        return Err(UpdateError::Reference);
    }
    Ok(Id { client, clock })
}

/// Reads the struct that begins at `id`.
pub(super) fn read_struct<'a>(reader: &mut Reader<'a>, id: Id) -> Result<Struct<'a>, UpdateError> {
    const GC: u8 = 0;
    const SKIP: u8 = 10;
    let info = reader.byte()?;
    if info == GC || info == SKIP {
        let body = if info == GC { Body::Gc } else { Body::Skip };
        return Ok(Struct { id, length: length(reader)?, body });
    }
    let (has_origin, has_right_origin, has_key) = (info & 0x80 != 0, info & 0x40 != 0, info & 0x20 != 0);
    let origin = if has_origin { Some(reference(reader, id)?) } else { None };
    let right_origin = if has_right_origin { Some(reference(reader, id)?) } else { None };
    let (mut parent, mut key) = (None, None);
    if !has_origin && !has_right_origin {
        // The parent is a root type's name or the item that holds the type.
        parent = Some(match reader.var_uint()? {
            0 => Parent::Item(reference(reader, id)?),
            1 => Parent::Root(reader.var_str()?),
            // yjs takes any other number for 0; yrs looks at 32 bits of it.
            other => return Err(UpdateError::UnknownKind(u8::try_from(other).unwrap_or(u8::MAX))),
        });
        if has_key {
            key = Some(reader.var_str()?);
        }
    }
    let kind = info & 0x1f;
    let mut written = reader.clone();
    let length = read_content(reader, kind)?;
    let content = written.bytes(written.remaining() - reader.remaining())?;
    Ok(Struct { id, length, body: Body::Item(Item { origin, right_origin, parent, key, kind, content }) })
}

/// The length of an item's content in clock units.
fn read_content(reader: &mut Reader<'_>, kind: u8) -> Result<u64, UpdateError> {
    match kind {
        1 => length(reader),
        JSON => {
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
        TYPE => read_type(reader).map(|()| 1),
        8 => {
            let values = count(reader, 1)?;
            for _ in 0..values {
                read_any(reader, MAX_DEPTH)?;
            }
            Ok(values)
        }
        9 => {
            reader.var_str()?;
            // A subdocument's options: yjs reads properties of it.
            if reader.peek() != Some(OBJECT) {
                return Err(UpdateError::UnknownKind(kind));
            }
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
    if is_json(reader.var_str()?) { Ok(()) } else { Err(UpdateError::Json) }
}

/// Whether a text is one JSON value, nested no deeper than its readers can follow by recursion.
pub(crate) fn is_json(text: &str) -> bool {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_u32, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest <= MAX_DEPTH && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn read_type(reader: &mut Reader<'_>) -> Result<(), UpdateError> {
    const XML_ELEMENT: u64 = 3;
    // yrs 0.28 leaves out its name, in reading and in writing: what it merges, yjs cannot read any more.
    const XML_HOOK: u64 = 5;
    match reader.var_uint()? {
        XML_ELEMENT => reader.var_str().map(|_| ()).map_err(Into::into),
        other if other > 6 || other == XML_HOOK => {
            Err(UpdateError::UnknownKind(u8::try_from(other).unwrap_or(u8::MAX)))
        }
        _ => Ok(()),
    }
}

/// Passes over a lib0 `any` value that is nested less than `depth` levels deep.
pub(crate) fn read_any(reader: &mut Reader<'_>, depth: u32) -> Result<(), UpdateError> {
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
        OBJECT => {
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
pub(super) fn read_delete_set<'a>(
    reader: &mut Reader<'a>,
    visit: &mut dyn FnMut(Part<'a>),
) -> Result<bool, UpdateError> {
    let mut any = false;
    let mut clients = Vec::new();
    for _ in 0..count(reader, 2)? {
        let client = reader.var_uint()?;
        clients.push(client);
        for _ in 0..count(reader, 2)? {
            let (clock, length) = (clock(reader)?, length(reader)?);
            if clock + length > MAX_CLOCK {
                return Err(UpdateError::Clock);
            }
            visit(Part::Deletion(Id { client, clock }, length));
            any = true;
        }
    }
    distinct(clients)?;
    Ok(any)
}

/// Refuses a client that stands twice: yjs keeps the last section of such an update, yrs both.
pub(super) fn distinct(mut clients: Vec<u64>) -> Result<(), UpdateError> {
    // Yjs writes them in descending order, so that sorting is the exception.
    if !clients.is_sorted_by(|a, b| a > b) {
        clients.sort_unstable();
        if !clients.is_sorted_by(|a, b| a < b) {
            return Err(UpdateError::DuplicateClient);
        }
    }
    Ok(())
}
