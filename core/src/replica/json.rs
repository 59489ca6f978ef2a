//! A document as JSON.

use super::content::{Content, Type};
use super::items::{Items, ListAt, Piece, Views, only};
use super::value::{self, Object, push_quoted};
use super::xml;
use crate::update::UpdateError;
use yrs::Any;

/// The one view that is shown.
pub(super) const VIEW: Views = only(0);

/// The document that this one update makes, as JSON: what yjs' `Y.Doc.toJSON()` gives where the application has
/// defined the root types, `{name: value}`, keys in order.
///
/// An update does not tell of which type a root is, so that is inferred from what can be seen in it:
///
/// | what can be seen | shown as |
/// |---|---|
/// | text, formats, embeds, perhaps types among them | a `Y.Text`: a string |
/// | XML elements, XML texts, fragments | a `Y.XmlFragment`: a string of XML |
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
/// If the update is malformed, or the document [cannot be shown](UpdateError::Unshowable).
pub fn to_json(update: &[u8]) -> Result<String, UpdateError> {
    let items = Items::read(&[update])?;
    items.check_showable(VIEW)?;
    let mut out = String::new();
    let mut object = Object::open(&mut out);
    for (name, list) in items.roots.iter() {
        if let Some(shape) = items.shape(ListAt(*list)) {
            items.root(ListAt(*list), shape, object.key(name));
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
    /// What can be seen in the sequence of a type.
    pub(super) fn sequence(&self, list: ListAt) -> impl Iterator<Item = &Piece<'a>> {
        self.from(self.list(list).start).filter(|piece| piece.shown & VIEW != 0)
    }

    /// The entries of a type that can be seen.
    pub(super) fn entries(&self, list: ListAt) -> impl Iterator<Item = (&'a str, &Piece<'a>)> {
        self.chains(list).filter_map(|chain| {
            let piece = self.piece(chain.last);
            (piece.shown & VIEW != 0).then_some((chain.key, piece))
        })
    }

    fn shape(&self, list: ListAt) -> Option<Shape> {
        let (mut text, mut xml, mut types, mut values) = (false, false, false, false);
        for piece in self.sequence(list) {
            match piece.content {
                Some(Content::Text(_) | Content::Embed(_) | Content::Format(..)) => text = true,
                Some(Content::Type(Type::Array | Type::Map | Type::Text)) => types = true,
                Some(Content::Type(Type::Element(_) | Type::Fragment | Type::XmlText)) => xml = true,
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
            if let Some(value) = last.filter(|value| !matches!(value, Shown::Value(Any::Undefined))) {
                self.value(value, object.key(key));
            }
        }
        object.close();
    }

    fn value(&self, value: Shown<'a>, out: &mut String) {
        match value {
            Shown::Value(value) => value::push_json(&value, out),
            Shown::Type(Type::Array, list) => self.array(list, out),
            Shown::Type(Type::Map, list) => self.map(list, false, out),
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
                for value in value::read(notation, bytes, piece.length) {
                    each(Shown::Value(value));
                }
            }
            Some(Content::Text(_)) => {
                let letters = Items::text_of(piece, VIEW).into_iter().flat_map(str::chars);
                letters.for_each(|letter| each(Shown::Value(Any::from(letter.to_string()))));
            }
            Some(Content::Binary(bytes)) => each(Shown::Value(Any::from(bytes))),
            Some(Content::Embed(json)) => each(Shown::Value(value::read_json(json))),
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
    Value(Any),
    Type(Type<'a>, ListAt),
    /// A subdocument's id.
    Document(&'a str),
}
