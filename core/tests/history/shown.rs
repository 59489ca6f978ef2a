//! What a reader of a document sees, as the CRDT library tells it.

#![allow(clippy::wildcard_enum_match_arm, reason = "the library's values, of which the histories have a few")]

use super::{apply, replica};
use std::sync::Arc;
use yrs::types::text::YChange;
use yrs::{Any, Array, Doc, GetString, Map, Number, Out, ReadTxn, Text, TextRef, Transact, Xml, XmlFragment};

/// What a reader of this document sees, formats and attributes included. Equal for equal documents.
pub(crate) fn shown(update: &[u8]) -> Any {
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

fn shown_in(doc: &Doc) -> Any {
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

/// The JSON of the roots that are not XML, as [`yonder_core::replica::to_json`] writes it.
pub(crate) fn json_of(update: &[u8]) -> Vec<(&'static str, String)> {
    let doc = replica(77, true);
    apply(&doc, update);
    let txn = doc.transact();
    let roots = [
        ("text", Out::YText(txn.get_text("text").unwrap())),
        ("map", Out::YMap(txn.get_map("map").unwrap())),
        ("array", Out::YArray(txn.get_array("array").unwrap())),
    ];
    roots.into_iter().map(|(name, root)| (name, json_of_value(&txn, root))).collect()
}

fn json_of_value<T: ReadTxn>(txn: &T, out: Out) -> String {
    let list = |values: Vec<String>| format!("[{}]", values.join(","));
    let object = |entries: Vec<(String, String)>| {
        let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
        format!("{{{}}}", entries.join(","))
    };
    match out {
        Out::YText(text) => serde_json::to_string(&text.get_string(txn)).unwrap(),
        Out::YArray(array) => list(array.iter(txn).map(|value| json_of_value(txn, value)).collect()),
        Out::YMap(map) => {
            let entries = map.iter(txn).filter(|(_, value)| *value != Out::Any(Any::Undefined));
            object(entries.map(|(key, value)| (key.to_owned(), json_of_value(txn, value))).collect())
        }
        Out::Any(any) => match any {
            Any::Buffer(bytes) => {
                let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
                format!("{{\"base64\":{base64:?}}}")
            }
            Any::Array(values) => {
                list(values.iter().map(|value| json_of_value(txn, Out::Any(value.clone()))).collect())
            }
            Any::Map(map) => {
                let entries = map.iter().filter(|(_, value)| **value != Any::Undefined);
                let entries =
                    entries.map(|(key, value)| (key.clone(), json_of_value(txn, Out::Any(value.clone()))));
                object(entries.collect())
            }
            Any::String(text) => serde_json::to_string(&*text).unwrap(),
            Any::Number(Number::Int(integer)) => integer.to_string(),
            Any::Number(Number::Float(number)) if number.fract() == 0.0 && number.abs() < 1e18 => {
                format!("{number:.0}")
            }
            Any::Number(Number::Float(number)) => serde_json::to_string(&number).unwrap(),
            Any::Bool(value) => value.to_string(),
            Any::Null | Any::Undefined => "null".to_owned(),
        },
        other => panic!("{other:?}"),
    }
}
