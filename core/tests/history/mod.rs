//! Random histories of documents of every type, made by replicas of the CRDT library.

#![allow(dead_code, unused_imports, reason = "no test uses all of it")]

mod shown;

pub(crate) use shown::{json_of, shown};

use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;
use yrs::types::Attrs;
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, Doc, Map, MapPrelim, MapRef, Number, Out, ReadTxn, Text, TextPrelim,
    TextRef, Transact, TransactionMut, Update, Xml, XmlElementPrelim, XmlFragment, XmlFragmentRef,
    XmlTextPrelim,
};

/// How many replicas make a history.
pub(crate) const CLIENTS: usize = 3;

/// What is typed.
pub(crate) const WORDS: &[&str] = &["a", "bc", "😀", "x😀y", "ä", "hello"];

/// The same, without what can be split. A replica that splits a character has other text than the rest from then on,
/// in yjs as in yrs.
pub(crate) const PLAIN_WORDS: &[&str] = &["a", "bc", "€", "xyz", "ä", "hello"];

/// One step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// A client changes one of the types that it sees; the numbers say which and how, modulo what there is.
    Change { client: usize, target: u32, action: u8, at: u32, length: u32, value: u8 },
    /// One client gets what another has.
    Exchange { from: usize, to: usize },
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), 0..40_u32, any::<u8>(), any::<u32>(), 0..6_u32, any::<u8>()).prop_map(
            |(client, target, action, at, length, value)| Edit::Change { client, target, action, at, length, value }),
        3 => (client(), client()).prop_map(|(from, to)| Edit::Exchange { from, to }),
    ]
}

/// A replica with this client id, that keeps deleted content if `keeps`.
pub(crate) fn replica(client: u64, keeps: bool) -> Doc {
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

pub(crate) fn apply(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

/// The updates of a history, in the order of their making.
pub(crate) fn updates_of(history: &[Edit]) -> Vec<Bytes> {
    let docs = [replica(1, false), replica(2, true), replica((1 << 53) - 1, false)];
    play(&docs, history, WORDS)
}

/// Goes on with a history.
pub(crate) fn play(docs: &[Doc; CLIENTS], history: &[Edit], words: &[&str]) -> Vec<Bytes> {
    let mut updates = Vec::new();
    for edit in history {
        match *edit {
            Edit::Exchange { from, to } => exchange(&docs[from], &docs[to]),
            Edit::Change { client, target, action, at, length, value } => {
                let mut txn = docs[client].transact_mut();
                change(&mut txn, target, Change { action, at, length, value, words });
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

pub(crate) fn exchange(from: &Doc, to: &Doc) {
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

#[derive(Clone, Copy)]
struct Change<'w> {
    action: u8,
    at: u32,
    length: u32,
    value: u8,
    words: &'w [&'w str],
}

impl Change<'_> {
    /// A place and a length in what is this long.
    fn within(&self, end: u32) -> (u32, u32) {
        let at = self.at % (end + 1);
        (at, self.length.min(end - at))
    }
}

fn change(txn: &mut TransactionMut<'_>, target: u32, change: Change<'_>) {
    let types = types(txn);
    let Change { action, value, .. } = change;
    match &types[target as usize % types.len()] {
        Out::YText(text) => change_text(txn, text, change),
        Out::YXmlText(text) => {
            let as_text: &TextRef = text.as_ref();
            match action % 8 {
                0 => drop(text.insert_attribute(txn, key(value), a_value(value))),
                _ => change_text(txn, as_text, change),
            }
        }
        Out::YMap(map) => change_map(txn, map, change),
        Out::YArray(array) => change_array(txn, array, change),
        Out::YXmlFragment(xml) => change_xml(txn, xml, change),
        Out::YXmlElement(xml) => match action % 8 {
            0 | 1 => drop(xml.insert_attribute(txn, key(value), a_value(value))),
            2 => xml.remove_attribute(txn, &key(value)),
            _ => change_xml(txn, xml.as_ref(), change),
        },
        Out::Any(_) | Out::YDoc(_) | Out::UndefinedRef(_) => {}
    }
}

fn change_text(txn: &mut TransactionMut<'_>, text: &TextRef, change: Change<'_>) {
    let Change { action, value, words, .. } = change;
    let (at, length) = change.within(text.len(txn));
    let word = words[value as usize % words.len()];
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

fn change_map(txn: &mut TransactionMut<'_>, map: &MapRef, change: Change<'_>) {
    let Change { action, value, .. } = change;
    let key = key(value);
    match action % 10 {
        0..=4 => drop(map.insert(txn, key, a_value(value / 4))),
        5 | 6 => drop(map.remove(txn, &key)),
        7 => drop(map.insert(txn, key, TextPrelim::new("nested"))),
        8 => drop(map.insert(txn, key, ArrayPrelim::from([1, 2]))),
        _ => drop(map.insert(txn, key, MapPrelim::from([("a", a_value(value)), ("b", Any::Null)]))),
    }
}

fn change_array(txn: &mut TransactionMut<'_>, array: &ArrayRef, change: Change<'_>) {
    let Change { action, value, .. } = change;
    let (at, length) = change.within(array.len(txn));
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

fn change_xml(txn: &mut TransactionMut<'_>, xml: &XmlFragmentRef, change: Change<'_>) {
    let Change { action, value, .. } = change;
    let (at, length) = change.within(xml.len(txn));
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
        5 => Any::Number(Number::Int((1 << 53) + 1)),
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
