//! What an item holds: read, cut, and written again.

use crate::update::{MAX_DEPTH, UpdateError, read_any};
use crate::wire::{Reader, put_var_bytes, put_var_uint};

/// The content of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Deleted; only where it stood is known.
    Gone,
    /// As many values as the item is long.
    Values(Notation, &'a [u8]),
    Binary(&'a [u8]),
    Text(&'a str),
    /// JSON.
    Embed(&'a str),
    /// A key, and JSON.
    Format(&'a str, &'a str),
    Type(Type<'a>),
    /// A subdocument's id, and its options as a lib0 `any` value.
    Document(&'a str, &'a [u8]),
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// Texts of JSON. Nobody writes it any more.
    Json,
    /// lib0's `any`.
    Any,
}

/// A shared type that is an item's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type<'a> {
    Array,
    Map,
    Text,
    Element(&'a str),
    Fragment,
    XmlText,
}

/// Whether a piece of text is one of a character's two surrogates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    No,
    /// The first. Its content is the whole character.
    First,
    /// The second. Its content is the empty text.
    Second,
}

/// What yjs puts in the place of each surrogate of a character that it has split.
pub(super) const REPLACEMENT: &str = "\u{fffd}";

impl<'a> Content<'a> {
    /// Reads a content of this kind.
    pub(super) fn read(kind: u8, bytes: &'a [u8]) -> Result<Self, UpdateError> {
        let mut reader = Reader::new(bytes);
        Ok(match kind {
            1 => Self::Gone,
            2 | 8 => {
                reader.var_uint()?;
                let notation = if kind == 2 { Notation::Json } else { Notation::Any };
                Self::Values(notation, reader.bytes(reader.remaining())?)
            }
            3 => Self::Binary(reader.var_bytes()?),
            4 => Self::Text(reader.var_str()?),
            5 => Self::Embed(reader.var_str()?),
            6 => Self::Format(reader.var_str()?, reader.var_str()?),
            7 => Self::Type(match reader.var_uint()? {
                0 => Type::Array,
                1 => Type::Map,
                2 => Type::Text,
                3 => Type::Element(reader.var_str()?),
                4 => Type::Fragment,
                _ => Type::XmlText,
            }),
            9 => Self::Document(reader.var_str()?, reader.bytes(reader.remaining())?),
            other => return Err(UpdateError::UnknownKind(other)),
        })
    }

    /// Yjs' number of this kind.
    pub(super) fn kind(self) -> u8 {
        match self {
            Self::Gone => 1,
            Self::Values(Notation::Json, _) => 2,
            Self::Binary(_) => 3,
            Self::Text(_) => 4,
            Self::Embed(_) => 5,
            Self::Format(..) => 6,
            Self::Type(_) => 7,
            Self::Values(Notation::Any, _) => 8,
            Self::Document(..) => 9,
        }
    }

    /// Appends what [`Content::read`] reads. Of texts and values there may be several, which become one content of
    /// this length.
    pub(super) fn write(parts: &[Self], length: u64, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match *part {
                Self::Gone => put_var_uint(out, length),
                Self::Values(_, bytes) => {
                    if index == 0 {
                        put_var_uint(out, length);
                    }
                    out.extend_from_slice(bytes);
                }
                Self::Binary(bytes) => put_var_bytes(out, bytes),
                Self::Text(part) => text.extend_from_slice(part.as_bytes()),
                Self::Embed(json) => put_var_bytes(out, json.as_bytes()),
                Self::Format(key, json) => {
                    put_var_bytes(out, key.as_bytes());
                    put_var_bytes(out, json.as_bytes());
                }
                Self::Type(of) => of.write(out),
                Self::Document(guid, options) => {
                    put_var_bytes(out, guid.as_bytes());
                    out.extend_from_slice(options);
                }
            }
        }
        if let Some(Self::Text(_)) = parts.first() {
            put_var_bytes(out, &text);
        }
    }

    /// Whether this content can follow that one in the same item.
    pub(super) fn continues(self, before: Self) -> bool {
        match (before, self) {
            (Self::Text(_), Self::Text(_)) => true,
            (Self::Values(before, _), Self::Values(notation, _)) => before == notation,
            _ => false,
        }
    }
}

impl Type<'_> {
    fn write(self, out: &mut Vec<u8>) {
        let (number, name) = match self {
            Self::Array => (0, None),
            Self::Map => (1, None),
            Self::Text => (2, None),
            Self::Element(name) => (3, Some(name)),
            Self::Fragment => (4, None),
            Self::XmlText => (6, None),
        };
        put_var_uint(out, number);
        if let Some(name) = name {
            put_var_bytes(out, name.as_bytes());
        }
    }
}

/// Cuts a content from front to back.
pub(super) struct Cutter<'a> {
    rest: Content<'a>,
    ascii: bool,
    /// Between the surrogates of a character.
    between: bool,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(content: Content<'a>) -> Self {
        let ascii = matches!(content, Content::Text(text) if text.is_ascii());
        Self { rest: content, ascii, between: false }
    }

    /// Takes this many units. A character's surrogates are taken one by one.
    pub(super) fn take(&mut self, length: u32) -> (Content<'a>, Half) {
        match self.rest {
            Content::Text(_) if core::mem::take(&mut self.between) => (Content::Text(""), Half::Second),
            Content::Text(text) => {
                let (mut units, mut bytes) = (0, 0);
                if self.ascii {
                    bytes = text.len().min(length as usize);
                } else {
                    for letter in text.chars() {
                        if units >= length {
                            break;
                        }
                        units += letter.len_utf16() as u32;
                        bytes += letter.len_utf8();
                    }
                }
                let (taken, rest) = text.split_at_checked(bytes).unwrap_or((text, ""));
                self.rest = Content::Text(rest);
                self.between = units > length;
                (Content::Text(taken), if self.between { Half::First } else { Half::No })
            }
            Content::Values(notation, bytes) => {
                let mut reader = Reader::new(bytes);
                for _ in 0..length {
                    let _ = pass(notation, &mut reader);
                }
                let (taken, rest) =
                    bytes.split_at_checked(bytes.len() - reader.remaining()).unwrap_or((bytes, &[]));
                self.rest = Content::Values(notation, rest);
                (Content::Values(notation, taken), Half::No)
            }
            whole @ (Content::Gone
            | Content::Binary(_)
            | Content::Embed(_)
            | Content::Format(..)
            | Content::Type(_)
            | Content::Document(..)) => (whole, Half::No),
        }
    }
}

/// Passes over one value.
pub(super) fn pass(notation: Notation, reader: &mut Reader<'_>) -> Result<(), UpdateError> {
    match notation {
        Notation::Json => reader.var_str().map(|_| ()).map_err(Into::into),
        Notation::Any => read_any(reader, MAX_DEPTH),
    }
}
