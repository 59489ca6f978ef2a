//! A document as JSON.

use super::content::{Content, Half, Notation, Type};
use super::items::{At, Items, ListAt, Piece, Views, only};
use super::value::{Object, Value, push_quoted};
use super::xml;
use crate::update::UpdateError;
use crate::wire::Reader;

/// How deeply types may be nested. Readers of what nests more deeply fail, and so would the recursion here and in
/// the library.
pub(super) const MAX_NESTING: u32 = 500;

/// The one view that is shown.
pub(super) const VIEW: Views = 1;

/// The document that this one update makes, as JSON: what yjs' `Y.Doc.toJSON()` gives where the application has
/// defined the root types, `{name: value}`, keys in order.
///
/// An update does not tell of which type a root is, so that is inferred from what can be seen in it:
///
/// | what can be seen | shown as |
/// |---|---|
/// | text, formats, embeds, perhaps types among them | a `Y.Text`: a string |
/// | XML elements, XML texts, fragments, hooks | a `Y.XmlFragment`: a string of XML |
/// | both of these | a `Y.XmlText`: a string of XML |
/// | any other sequence | a `Y.Array` |
/// | entries | a `Y.Map` |
/// | entries, and text | the text; yjs' `toJSON` leaves attributes out there too |
/// | entries, and XML | an element without a name, as yjs shows an `Y.XmlElement` that is a root |
/// | entries, and any other sequence | the entries, and the sequence under the key "" |
/// | nothing | left out: nothing tells what it was |
///
/// Bytes are `{"base64":"..."}`, a subdocument is `{"guid":"..."}`, a BigInt its digits. NaN and the infinities are
/// null; `undefined` is left out of objects and null elsewhere. What waits for a missing update is not shown.
///
/// # Errors
/// If the update is malformed, or nests types more than 500 levels deep.
pub fn to_json(update: &[u8]) -> Result<String, UpdateError> {
    let items = Items::read(&[update])?;
    items.check_depth()?;
    let mut out = String::new();
    let mut object = Object::open(&mut out);
    for (name, list) in &items.roots {
        if let Some(shape) = items.shape(*list) {
            items.root(*list, shape, object.key(name));
        }
    }
    object.close();
    Ok(out)
}

/// What a root type looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Xml,
    XmlText,
    XmlElement,
    Array,
    Map,
    ArrayAndMap,
}

impl<'a> Items<'a> {
    /// Refuses a document whose types are nested too deeply.
    pub(super) fn check_depth(&self) -> Result<(), UpdateError> {
        let shallow = self.lists.iter().all(|list| list.depth <= MAX_NESTING);
        if shallow { Ok(()) } else { Err(UpdateError::Depth) }
    }

    /// What can be seen in the sequence of a type.
    pub(super) fn sequence(&self, list: ListAt) -> impl Iterator<Item = &Piece<'a>> {
        self.chain_from(self.list(list).start).filter(|piece| piece.shown & VIEW != 0)
    }

    /// A piece and all behind it.
    pub(super) fn chain_from(&self, start: Option<At>) -> impl Iterator<Item = &Piece<'a>> {
        core::iter::successors(start.map(|at| self.piece(at)), |piece| piece.right.map(|at| self.piece(at)))
    }

    /// The entries of a type that can be seen.
    pub(super) fn entries(&self, list: ListAt) -> impl Iterator<Item = (&'a str, &Piece<'a>)> {
        self.list(list).entries.iter().filter_map(|(key, chain)| {
            let piece = self.piece(self.chain(*chain)?.last);
            (piece.shown & VIEW != 0).then_some((*key, piece))
        })
    }

    fn shape(&self, list: ListAt) -> Option<Shape> {
        let (mut text, mut xml, mut types, mut values) = (false, false, false, false);
        for piece in self.sequence(list) {
            match piece.content {
                Some(Content::Text(_) | Content::Embed(_) | Content::Format(..)) => text = true,
                Some(Content::Type(Type::Array | Type::Map | Type::Text)) => types = true,
                Some(Content::Type(Type::Element(_) | Type::Fragment | Type::Hook(_) | Type::XmlText)) => {
                    xml = true
                }
                Some(Content::Values(..) | Content::Binary(_) | Content::Document(..)) => values = true,
                Some(Content::Gone) | None => {}
            }
        }
        let entries = self.entries(list).next().is_some();
        Some(match (text, xml, types, values, entries) {
            (false, false, false, false, false) => return None,
            (false, false, false, false, true) => Shape::Map,
            (true, true, _, false, _) => Shape::XmlText,
            (true, false, _, false, _) => Shape::Text,
            (false, true, false, false, false) => Shape::Xml,
            (false, true, false, false, true) => Shape::XmlElement,
            (_, _, _, _, false) => Shape::Array,
            (_, _, _, _, true) => Shape::ArrayAndMap,
        })
    }

    fn root(&self, list: ListAt, shape: Shape, out: &mut String) {
        match shape {
            Shape::Text => push_quoted(&xml::text(self, list), out),
            Shape::Xml => push_quoted(&xml::fragment(self, list), out),
            Shape::XmlText => push_quoted(&xml::formatted(self, list), out),
            Shape::XmlElement => push_quoted(&xml::element(self, list, "UNDEFINED"), out),
            Shape::Array => self.array(list, out),
            Shape::Map => self.map(list, false, out),
            Shape::ArrayAndMap => self.map(list, true, out),
        }
    }

    fn array(&self, list: ListAt, out: &mut String) {
        out.push('[');
        let mut empty = true;
        for piece in self.sequence(list) {
            self.each_value(piece, &mut |value| {
                if !core::mem::replace(&mut empty, false) {
                    out.push(',');
                }
                self.value(value, out);
            });
        }
        out.push(']');
    }

    fn map(&self, list: ListAt, and_sequence: bool, out: &mut String) {
        let mut object = Object::open(out);
        if and_sequence {
            self.array(list, object.key(""));
        }
        for (key, piece) in self.entries(list) {
            let mut last = None;
            self.each_value(piece, &mut |value| last = Some(value));
            if let Some(value) = last.filter(|value| !matches!(value, Shown::Value(Value::Undefined))) {
                self.value(value, object.key(key));
            }
        }
        object.close();
    }

    fn value(&self, value: Shown<'a>, out: &mut String) {
        match value {
            Shown::Value(value) => value.to_json(out),
            Shown::Type(Type::Array, list) => self.array(list, out),
            Shown::Type(Type::Map | Type::Hook(_), list) => self.map(list, false, out),
            Shown::Type(Type::Text, list) => push_quoted(&xml::text(self, list), out),
            Shown::Type(Type::Element(name), list) => push_quoted(&xml::element(self, list, name), out),
            Shown::Type(Type::Fragment, list) => push_quoted(&xml::fragment(self, list), out),
            Shown::Type(Type::XmlText, list) => push_quoted(&xml::formatted(self, list), out),
            Shown::Document(guid) => {
                let mut object = Object::open(out);
                push_quoted(guid, object.key("guid"));
                object.close();
            }
        }
    }

    /// The values of a piece as an array has them; letters if it is text.
    pub(super) fn each_value(&self, piece: &Piece<'a>, each: &mut dyn FnMut(Shown<'a>)) {
        match piece.content {
            Some(Content::Values(notation, bytes)) => {
                let mut reader = Reader::new(bytes);
                while !reader.is_empty() {
                    let value = match notation {
                        Notation::Any => Value::read_any(&mut reader),
                        Notation::Json => reader.var_str().map(Value::read_json).map_err(Into::into),
                    };
                    let Ok(value) = value else { return };
                    each(Shown::Value(value));
                }
            }
            Some(Content::Text(text)) if piece.half == Half::No => {
                text.chars().for_each(|letter| each(Shown::Value(Value::String(letter.into()))));
            }
            Some(Content::Text(_)) => each(Shown::Value(Value::String("\u{fffd}".into()))),
            Some(Content::Binary(bytes)) => each(Shown::Value(Value::Binary(bytes.to_vec()))),
            Some(Content::Embed(json)) => each(Shown::Value(Value::read_json(json))),
            Some(Content::Type(of)) => {
                piece.children.into_iter().for_each(|list| each(Shown::Type(of, list)))
            }
            Some(Content::Document(guid, _)) => each(Shown::Document(guid)),
            Some(Content::Format(..) | Content::Gone) | None => {}
        }
    }
}

/// Something that stands in an array or in an entry.
#[derive(Debug)]
pub(super) enum Shown<'a> {
    Value(Value),
    Type(Type<'a>, ListAt),
    /// A subdocument's id.
    Document(&'a str),
}

const _: () = assert!(VIEW == 1, "the only view is the first");
