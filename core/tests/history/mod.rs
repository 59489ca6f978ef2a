//! Random histories of documents of every type, made by replicas of the CRDT library.

#![allow(dead_code, reason = "no test uses all of it")]

use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;
use yrs::types::Attrs;
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, Doc, Map, MapPrelim, MapRef, Number, Out, ReadTxn, Text, TextPrelim,
    TextRef, Transact, TransactionMut, Update, Xml, XmlElementPrelim, XmlFragment, XmlFragmentRef,
    XmlTextPrelim, XmlTextRef,
};

/// How many replicas make a history.
pub const CLIENTS: usize = 3;

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A client changes one of the types that it sees; the numbers say which and how, modulo what there is.
    Change { client: usize, target: u32, action: u8, at: u32, length: u32, value: u8 },
    /// One client gets what another has.
    Exchange { from: usize, to: usize },
}

pub fn edit() -> impl Strategy<Value = Edit> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), 0..40_u32, any::<u8>(), any::<u32>(), 0..6_u32, any::<u8>()).prop_map(
            |(client, target, action, at, length, value)| Edit::Change { client, target, action, at, length, value }),
        3 => (client(), client()).prop_map(|(from, to)| Edit::Exchange { from, to }),
    ]
}

/// A replica with this client id, that keeps deleted content if `keeps`.
pub fn replica(client: u64, keeps: bool) -> Doc {
    let mut options = yrs::Options::with_guid_and_client_id("".into(), yrs::ClientID::new(client));
    options.offset_kind = yrs::OffsetKind::Utf16;
    options.skip_gc = keeps;
    let doc = Doc::with_options(options);
    doc.get_or_insert_text("text");
    doc.get_or_insert_map("map");
    doc.get_or_insert_array("array");
    doc.get_or_insert_xml_fragment("xml");
    doc
}

/// A replica that got these updates.
pub fn replica_of(client: u64, updates: &[Bytes]) -> Doc {
    let doc = replica(client, false);
    for update in updates {
        apply(&doc, update);
    }
    doc
}

pub fn apply(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

/// The updates of a history, in the order of their making.
pub fn updates_of(history: &[Edit]) -> Vec<Bytes> {
    let docs = [replica(1, false), replica(2, true), replica((1 << 53) - 1, false)];
    play(&docs, history)
}

/// Goes on with a history.
pub fn play(docs: &[Doc; CLIENTS], history: &[Edit]) -> Vec<Bytes> {
    let mut updates = Vec::new();
    for edit in history {
        match *edit {
            Edit::Exchange { from, to } => exchange(&docs[from], &docs[to]),
            Edit::Change { client, target, action, at, length, value } => {
                let mut txn = docs[client].transact_mut();
                change(&mut txn, target, action, at, length, value);
                txn.commit();
                let update = txn.encode_update_v1();
                if *update != *Update::EMPTY_V1 {
                    updates.push(update.into());
                }
            }
        }
    }
    updates
}

pub fn exchange(from: &Doc, to: &Doc) {
    let known = to.transact().state_vector();
    let missing = from.transact().encode_state_as_update_v1(&known);
    apply(to, &missing);
}

/// All types that can be seen, the roots first.
fn types(txn: &TransactionMut<'_>) -> Vec<Out> {
    let mut found: Vec<Out> = vec![
        Out::YText(txn.get_text("text").unwrap()),
        Out::YMap(txn.get_map("map").unwrap()),
        Out::YArray(txn.get_array("array").unwrap()),
        Out::YXmlFragment(txn.get_xml_fragment("xml").unwrap()),
    ];
    let mut next = 0;
    while let Some(out) = found.get(next).cloned() {
        next += 1;
        match out {
            Out::YText(text) => {
                found.extend(text.diff(txn, YChange::identity).into_iter().map(|diff| diff.insert))
            }
            Out::YXmlText(text) => {
                found.extend(text.diff(txn, YChange::identity).into_iter().map(|diff| diff.insert))
            }
            Out::YArray(array) => found.extend(array.iter(txn)),
            Out::YMap(map) => {
                let mut entries: Vec<_> = map.iter(txn).map(|(key, out)| (key.to_owned(), out)).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                found.extend(entries.into_iter().map(|(_, out)| out));
            }
            Out::YXmlFragment(xml) => found.extend(xml.children(txn).map(Out::from)),
            Out::YXmlElement(xml) => found.extend(xml.children(txn).map(Out::from)),
            Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => {}
        }
    }
    found.retain(|out| !matches!(out, Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_)));
    found
}

fn change(txn: &mut TransactionMut<'_>, target: u32, action: u8, at: u32, length: u32, value: u8) {
    let types = types(txn);
    match &types[target as usize % types.len()] {
        Out::YText(text) => change_text(txn, text, action, at, length, value),
        Out::YXmlText(text) => {
            let as_text: &TextRef = text.as_ref();
            match action % 8 {
                0 => drop(text.insert_attribute(txn, key(value), a_value(value))),
                _ => change_text(txn, as_text, action, at, length, value),
            }
        }
        Out::YMap(map) => change_map(txn, map, action, value),
        Out::YArray(array) => change_array(txn, array, action, at, length, value),
        Out::YXmlFragment(xml) => change_xml(txn, xml, action, at, length, value),
        Out::YXmlElement(xml) => match action % 8 {
            0 | 1 => drop(xml.insert_attribute(txn, key(value), a_value(value))),
            2 => xml.remove_attribute(txn, &key(value)),
            _ => change_xml(txn, xml.as_ref(), action, at, length, value),
        },
        Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => {}
    }
}

fn change_text(txn: &mut TransactionMut<'_>, text: &TextRef, action: u8, at: u32, length: u32, value: u8) {
    const WORDS: [&str; 6] = ["a", "bc", "😀", "x😀y", "ä", "hello"];
    let end = text.len(txn);
    let at = at % (end + 1);
    let length = length.min(end - at);
    let word = WORDS[value as usize % WORDS.len()];
    match (action / 8) % 10 {
        0..=2 => text.insert(txn, at, word),
        3 => text.insert_with_attributes(txn, at, word, attributes(value / 8)),
        4 | 5 if length > 0 => text.remove_range(txn, at, length),
        6 | 7 if length > 0 => text.format(txn, at, length, attributes(value)),
        8 => drop(text.insert_embed(txn, at, a_value(value))),
        9 => drop(text.insert_embed(txn, at, MapPrelim::from([("in", a_value(value))]))),
        _ => text.insert(txn, at, word),
    }
}

fn change_map(txn: &mut TransactionMut<'_>, map: &MapRef, action: u8, value: u8) {
    let key = key(value);
    match action % 10 {
        0..=4 => drop(map.insert(txn, key, a_value(value / 4))),
        5 | 6 => drop(map.remove(txn, &key)),
        7 => drop(map.insert(txn, key, TextPrelim::new("nested"))),
        8 => drop(map.insert(txn, key, ArrayPrelim::from([1, 2]))),
        _ => drop(map.insert(txn, key, MapPrelim::from([("a", a_value(value)), ("b", Any::Null)]))),
    }
}

fn change_array(txn: &mut TransactionMut<'_>, array: &ArrayRef, action: u8, at: u32, length: u32, value: u8) {
    let end = array.len(txn);
    let at = at % (end + 1);
    let length = length.min(end - at);
    match action % 10 {
        0..=2 => {
            array.insert_range(txn, at, (0..=length as u8).map(|step| a_value(value.wrapping_add(step))))
        }
        3..=5 if length > 0 => array.remove_range(txn, at, length),
        6 => drop(array.insert(txn, at, TextPrelim::new("nested"))),
        7 => drop(array.insert(txn, at, ArrayPrelim::from(["x", "y"]))),
        8 => drop(array.insert(txn, at, MapPrelim::from([("a", a_value(value))]))),
        _ => drop(array.insert(txn, at, a_value(value))),
    }
}

fn change_xml(
    txn: &mut TransactionMut<'_>,
    xml: &XmlFragmentRef,
    action: u8,
    at: u32,
    length: u32,
    value: u8,
) {
    let end = xml.len(txn);
    let at = at % (end + 1);
    let length = length.min(end - at);
    match action % 8 {
        4 | 5 if length > 0 => xml.remove_range(txn, at, length),
        6 => drop(xml.insert(txn, at, XmlTextPrelim::new("words"))),
        _ => {
            let name = ["p", "DIV", "h1"][value as usize % 3];
            let element = xml.insert(txn, at, XmlElementPrelim::empty(name));
            element.insert_attribute(txn, key(value), a_value(value));
        }
    }
}

fn key(value: u8) -> String {
    format!("k{}", value % 3)
}

fn attributes(value: u8) -> Attrs {
    let map = Any::from_json(r#"{"href":"x","n":1}"#).unwrap();
    let (key, value) = match value % 6 {
        0 | 1 => ("bold", Any::Bool(true)),
        2 => ("bold", Any::Null),
        3 => ("a", map),
        4 => ("a", Any::Null),
        _ => ("size", Any::from(12)),
    };
    Attrs::from([(key.into(), value)])
}

fn a_value(value: u8) -> Any {
    match value % 14 {
        0 => Any::Null,
        1 => Any::Undefined,
        2 => Any::Bool(true),
        3 => Any::Number(Number::Int(-1)),
        4 => Any::Number(Number::Int(1 << 40)),
        5 => Any::Number(Number::Int(i64::MAX)),
        6 => Any::Number(Number::Float(0.1)),
        7 => Any::Number(Number::Float(1e300)),
        8 => Any::Number(Number::Float(f64::NEG_INFINITY)),
        9 => Any::String("wörter \"😀\"\n".into()),
        10 => Any::Buffer(Arc::from([0, 1, 255].as_slice())),
        11 => Any::Array(Arc::from([Any::Undefined, Any::from("in a list")].as_slice())),
        12 => Any::from_json(r#"{"b":1,"a":[{"c":null}]}"#).unwrap(),
        _ => Any::Number(Number::Int(i64::from(value))),
    }
}

/// What a reader of this document sees, formats and attributes included. Equal for equal documents.
pub fn shown(update: &[u8]) -> Any {
    let mut options = yrs::Options::with_guid_and_client_id("".into(), yrs::ClientID::new(77));
    options.offset_kind = yrs::OffsetKind::Utf16;
    options.cleanup_formatting = false;
    options.skip_gc = true;
    let doc = Doc::with_options(options);
    doc.get_or_insert_text("text");
    doc.get_or_insert_map("map");
    doc.get_or_insert_array("array");
    doc.get_or_insert_xml_fragment("xml");
    apply(&doc, update);
    shown_in(&doc)
}

pub fn shown_in(doc: &Doc) -> Any {
    let txn = doc.transact();
    let roots = [
        ("text", txn.get_text("text").map(Out::YText)),
        ("map", txn.get_map("map").map(Out::YMap)),
        ("array", txn.get_array("array").map(Out::YArray)),
        ("xml", txn.get_xml_fragment("xml").map(Out::YXmlFragment)),
    ];
    let roots =
        roots.into_iter().filter_map(|(name, root)| Some((name.to_owned(), shown_value(&txn, root?))));
    Any::Map(Arc::new(roots.collect()))
}

fn shown_value<T: ReadTxn>(txn: &T, out: Out) -> Any {
    let tagged = |tag: &str, parts: Vec<Any>| {
        Any::Array(std::iter::once(Any::from(tag)).chain(parts).collect::<Vec<_>>().into())
    };
    match out {
        // Not equal to itself otherwise.
        Out::Any(Any::Number(Number::Float(n))) if n.is_nan() => Any::from("NaN"),
        Out::Any(any) => any,
        Out::YText(text) => tagged("text", shown_text(txn, &text)),
        Out::YXmlText(text) => {
            let inner: &TextRef = text.as_ref();
            let mut parts = shown_text(txn, inner);
            parts.push(shown_attributes(txn, &text));
            tagged("xml text", parts)
        }
        Out::YArray(array) => tagged("array", array.iter(txn).map(|value| shown_value(txn, value)).collect()),
        Out::YMap(map) => {
            let entries =
                map.iter(txn).map(|(key, value)| (key.to_owned(), shown_value(txn, value))).collect();
            tagged("map", vec![Any::Map(Arc::new(entries))])
        }
        Out::YXmlFragment(xml) => {
            tagged("fragment", xml.children(txn).map(|child| shown_value(txn, child.into())).collect())
        }
        Out::YXmlElement(xml) => {
            let mut parts = vec![Any::from(&**xml.tag()), shown_attributes(txn, &xml)];
            parts.extend(xml.children(txn).map(|child| shown_value(txn, child.into())));
            tagged("element", parts)
        }
        Out::YDoc(_) | Out::UndefinedRef(_) => Any::from("else"),
    }
}

fn shown_text<T: ReadTxn>(txn: &T, text: &TextRef) -> Vec<Any> {
    // Neighbours of the same format are one.
    let mut chunks: Vec<(Any, Any)> = Vec::new();
    for diff in text.diff(txn, YChange::identity) {
        let attributes = diff.attributes.map(|attributes| {
            attributes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
        });
        let attributes = Any::Map(Arc::new(attributes.unwrap_or_default()));
        let insert = match diff.insert {
            Out::Any(Any::String(string)) => Any::String(string),
            other => Any::Array(vec![shown_value(txn, other)].into()),
        };
        match (chunks.last_mut(), &insert) {
            (Some((Any::String(last), its)), Any::String(more)) if *its == attributes => {
                *last = format!("{last}{more}").into();
            }
            _ => chunks.push((insert, attributes)),
        }
    }
    chunks.into_iter().flat_map(|(insert, attributes)| [insert, attributes]).collect()
}

fn shown_attributes<T: ReadTxn>(txn: &T, xml: &impl Xml) -> Any {
    let attributes =
        xml.attributes(txn).map(|(key, value)| (key.to_owned(), shown_value(txn, value))).collect();
    Any::Map(Arc::new(attributes))
}

/// For tests that need the type.
pub type XmlText = XmlTextRef;
