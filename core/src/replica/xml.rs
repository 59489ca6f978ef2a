//! Texts and XML as the strings that yjs makes of them (`YText.js`, `YXmlElement.js`, `YXmlText.js`).
//!
//! They are made for reading and not escaped, as in yjs.

use super::content::{Content, Type};
use super::items::{Items, ListAt};
use super::json::{Shown, VIEW};
use super::value::{entries, push_text, read_json};
use yrs::Any;

/// The text of a type, without formats and embeds.
pub(super) fn text(items: &Items<'_>, list: ListAt) -> String {
    let mut out = String::new();
    push_plain(items, list, &mut out);
    out
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

fn push_plain(items: &Items<'_>, list: ListAt, out: &mut String) {
    for piece in items.sequence(list) {
        out.push_str(Items::text_of(piece, VIEW).unwrap_or_default());
    }
}

fn push_children(items: &Items<'_>, list: ListAt, out: &mut String) {
    for piece in items.sequence(list) {
        items.each_value(piece, &mut |child| push_shown(items, &child, out));
    }
}

fn push_element(items: &Items<'_>, list: ListAt, name: &str, out: &mut String) {
    let name = name.to_ascii_lowercase();
    push_all(&["<", &name], out);
    for (key, piece) in items.entries(list) {
        let mut last = Shown::Value(Any::Undefined);
        items.each_value(piece, &mut |value| last = value);
        push_all(&[" ", key, "=\""], out);
        push_shown(items, &last, out);
        out.push('"');
    }
    out.push('>');
    push_children(items, list, out);
    push_all(&["</", &name, ">"], out);
}

fn push_formatted(items: &Items<'_>, list: ListAt, out: &mut String) {
    // In the order of their keys.
    let mut formats: Vec<(&str, Any)> = Vec::new();
    // Whether the tags around a stretch of text are open.
    let mut open = false;
    for piece in items.sequence(list) {
        match piece.content {
            Some(Content::Text(_)) => {
                if !core::mem::replace(&mut open, true) {
                    push_opening(&formats, out);
                }
                out.push_str(Items::text_of(piece, VIEW).unwrap_or_default());
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
                formats.retain(|(other, _)| *other != key);
                let value = read_json(json);
                if value != Any::Null {
                    formats.insert(formats.partition_point(|(other, _)| *other < key), (key, value));
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

fn push_opening(formats: &[(&str, Any)], out: &mut String) {
    for (name, value) in formats {
        push_all(&["<", name], out);
        for (key, value) in entries(value) {
            push_all(&[" ", &key, "=\""], out);
            push_text(&value, out);
            out.push('"');
        }
        out.push('>');
    }
}

fn push_closing(formats: &[(&str, Any)], out: &mut String) {
    for (name, _) in formats.iter().rev() {
        push_all(&["</", name, ">"], out);
    }
}

fn push_all(parts: &[&str], out: &mut String) {
    parts.iter().for_each(|part| out.push_str(part));
}

/// What JavaScript's `String()` makes of a child.
fn push_shown(items: &Items<'_>, shown: &Shown<'_>, out: &mut String) {
    match shown {
        Shown::Value(value) => push_text(value, out),
        Shown::Type(Type::Text, list) => push_plain(items, *list, out),
        Shown::Type(Type::Element(name), list) => push_element(items, *list, name, out),
        Shown::Type(Type::Fragment, list) => push_children(items, *list, out),
        Shown::Type(Type::XmlText, list) => push_formatted(items, *list, out),
        Shown::Type(Type::Array | Type::Map, _) | Shown::Document(_) => {
            out.push_str("[object Object]");
        }
    }
}
