//! Texts and XML as the strings that yjs makes of them (`YText.js`, `YXmlElement.js`, `YXmlText.js`).
//!
//! They are made for reading and not escaped, as in yjs.

use super::content::{Content, Half, Type};
use super::items::{Items, ListAt, Piece};
use super::json::Shown;
use super::value::Value;
use core::cmp::Ordering;
use std::collections::BTreeMap;

/// The text of a type, without formats and embeds.
pub(super) fn text(items: &Items<'_>, list: ListAt) -> String {
    items.sequence(list).filter_map(plain).collect()
}

/// All children, one behind the other.
pub(super) fn fragment(items: &Items<'_>, list: ListAt) -> String {
    let mut out = String::new();
    push_children(items, list, &mut out);
    out
}

/// An element, its attributes, and its children.
pub(super) fn element(items: &Items<'_>, list: ListAt, name: &str) -> String {
    let mut out = String::new();
    push_element(items, list, name, &mut out);
    out
}

/// A text with an element around what is formatted.
pub(super) fn formatted(items: &Items<'_>, list: ListAt) -> String {
    let mut out = String::new();
    push_formatted(items, list, &mut out);
    out
}

fn push_children(items: &Items<'_>, list: ListAt, out: &mut String) {
    for piece in items.sequence(list) {
        items.each_value(piece, &mut |child| push_shown(items, &child, out));
    }
}

fn push_element(items: &Items<'_>, list: ListAt, name: &str, out: &mut String) {
    let name = name.to_lowercase();
    out.extend(["<", &name]);
    let mut attributes: Vec<_> = items.entries(list).collect();
    attributes.sort_by(|a, b| by_utf16(a.0, b.0));
    for (key, piece) in attributes {
        let mut last = Shown::Value(Value::Undefined);
        items.each_value(piece, &mut |value| last = value);
        out.extend([" ", key, "=\""]);
        push_shown(items, &last, out);
        out.push('"');
    }
    out.push('>');
    push_children(items, list, out);
    out.extend(["</", &name, ">"]);
}

fn push_formatted(items: &Items<'_>, list: ListAt, out: &mut String) {
    let mut formats: BTreeMap<&str, Value> = BTreeMap::new();
    // Whether the tags of a stretch of text are open.
    let mut open = false;
    for piece in items.sequence(list) {
        match piece.content {
            Some(Content::Text(_)) => {
                if !core::mem::replace(&mut open, true) {
                    push_opening(&formats, out);
                }
                out.extend(plain(piece));
            }
            Some(Content::Embed(_) | Content::Type(_)) => {
                if core::mem::take(&mut open) {
                    push_closing(&formats, out);
                }
                push_opening(&formats, out);
                items.each_value(piece, &mut |embedded| push_shown(items, &embedded, out));
                push_closing(&formats, out);
            }
            Some(Content::Format(key, json)) => {
                if core::mem::take(&mut open) {
                    push_closing(&formats, out);
                }
                match Value::read_json(json) {
                    Value::Null => drop(formats.remove(key)),
                    value => drop(formats.insert(key, value)),
                }
            }
            Some(Content::Values(..) | Content::Binary(_) | Content::Document(..) | Content::Gone) | None => {
            }
        }
    }
    if open {
        push_closing(&formats, out);
    }
}

fn push_opening(formats: &BTreeMap<&str, Value>, out: &mut String) {
    for (name, value) in sorted(formats) {
        out.extend(["<", name]);
        match value {
            Value::Object(attributes) => {
                let mut attributes: Vec<_> = attributes.iter().collect();
                attributes.sort_by(|a, b| by_utf16(a.0, b.0));
                attributes.into_iter().for_each(|(key, value)| push_attribute(key, value, out));
            }
            // JavaScript enumerates these too.
            Value::Array(values) => {
                let mut values: Vec<_> =
                    values.iter().enumerate().map(|(key, value)| (key.to_string(), value)).collect();
                values.sort_by(|a, b| a.0.cmp(&b.0));
                values.into_iter().for_each(|(key, value)| push_attribute(&key, value, out));
            }
            Value::String(text) => {
                let units = text.encode_utf16().map(|unit| String::from_utf16_lossy(&[unit]));
                let mut units: Vec<_> =
                    units.enumerate().map(|(key, unit)| (key.to_string(), unit)).collect();
                units.sort();
                units.into_iter().for_each(|(key, unit)| push_attribute(&key, &Value::String(unit), out));
            }
            Value::Undefined
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::BigInt(_)
            | Value::Binary(_) => {}
        }
        out.push('>');
    }
}

fn push_closing(formats: &BTreeMap<&str, Value>, out: &mut String) {
    sorted(formats).into_iter().rev().for_each(|(name, _)| out.extend(["</", name, ">"]));
}

fn push_attribute(key: &str, value: &Value, out: &mut String) {
    out.extend([" ", key, "=\""]);
    value.to_text(out);
    out.push('"');
}

fn sorted<'f, 'a>(formats: &'f BTreeMap<&'a str, Value>) -> Vec<(&'a str, &'f Value)> {
    let mut sorted: Vec<_> = formats.iter().map(|(name, value)| (*name, value)).collect();
    sorted.sort_by(|a, b| by_utf16(a.0, b.0));
    sorted
}

/// What JavaScript's `String()` makes of a child.
fn push_shown(items: &Items<'_>, shown: &Shown<'_>, out: &mut String) {
    match shown {
        Shown::Value(value) => value.to_text(out),
        Shown::Type(Type::Text, list) => out.extend(items.sequence(*list).filter_map(plain)),
        Shown::Type(Type::Element(name), list) => push_element(items, *list, name, out),
        Shown::Type(Type::Fragment, list) => push_children(items, *list, out),
        Shown::Type(Type::XmlText, list) => push_formatted(items, *list, out),
        Shown::Type(Type::Array | Type::Map | Type::Hook(_), _) | Shown::Document(_) => {
            out.push_str("[object Object]");
        }
    }
}

fn plain<'a>(piece: &Piece<'a>) -> Option<&'a str> {
    match piece.content {
        Some(Content::Text(_)) if piece.half != Half::No => Some("\u{fffd}"),
        Some(Content::Text(text)) => Some(text),
        Some(
            Content::Values(..)
            | Content::Binary(_)
            | Content::Embed(_)
            | Content::Format(..)
            | Content::Type(_)
            | Content::Document(..)
            | Content::Gone,
        )
        | None => None,
    }
}

/// The order in which JavaScript sorts strings.
fn by_utf16(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}
