//! What a replica of the library shows, compared. This knows nothing of [`super::items`], whose findings it tests.

use crate::update::UpdateError;
use std::sync::Arc;
use yrs::branch::{Branch, BranchPtr};
use yrs::types::text::YChange;
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Array as _, ArrayRef, ClientID, Doc, Map as _, MapRef, Number, OffsetKind, Options, Out, ReadTxn,
    Text as _, TextRef, Transact as _, Update,
};

/// A replica on its way to showing what another shows.
pub(super) struct Trial {
    doc: Doc,
    wanted: Any,
}

impl Trial {
    /// A replica with the one state, that is to show the other.
    ///
    /// Types that are nested are followed by recursion.
    pub(super) fn new(state: &[u8], wanted: &[u8]) -> Result<Self, UpdateError> {
        Ok(Self { doc: replica(state)?, wanted: shown(&replica(wanted)?) })
    }

    /// Adds an edit.
    pub(super) fn apply(&mut self, edit: &[u8]) -> Result<(), UpdateError> {
        apply(&self.doc, edit)
    }

    /// Whether it shows what it should, formats and attributes included.
    pub(super) fn is_done(&self) -> bool {
        is_same(&shown(&self.doc), &self.wanted)
    }
}

fn replica(state: &[u8]) -> Result<Doc, UpdateError> {
    let mut options = Options::with_guid_and_client_id("".into(), ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    // It is only looked at.
    options.skip_gc = true;
    options.cleanup_formatting = false;
    let doc = Doc::with_options(options);
    apply(&doc, state)?;
    Ok(doc)
}

fn apply(doc: &Doc, update: &[u8]) -> Result<(), UpdateError> {
    let update = Update::decode_v1(update).map_err(|_| UpdateError::Library)?;
    doc.transact_mut().apply_update(update).map_err(|_| UpdateError::Library)
}

/// The root types in which there is anything.
fn shown(doc: &Doc) -> Any {
    let txn = doc.transact();
    let names = txn.root_refs().map(|(name, _)| name.to_owned());
    let roots = names.filter_map(|name| {
        let root = shown_type(&txn, txn.get(&name)?.try_branch()?);
        (root != shown_nothing()).then_some((name, root))
    });
    Any::Map(Arc::new(roots.collect()))
}

/// What [`shown_type`] gives for an empty type.
fn shown_nothing() -> Any {
    list(vec![list(Vec::new()), list(Vec::new()), Any::Map(Arc::default())])
}

/// Text, embeds and types with their formats; an array's values; entries.
fn shown_type<T: ReadTxn>(txn: &T, branch: &Branch) -> Any {
    let pointer = BranchPtr::from(branch);
    let mut chunks = Vec::new();
    // Text of the same formats so far: it may come in parts, where formats begin and end that change nothing.
    let mut text = String::new();
    let mut formats = Any::Null;
    let mut has_text = false;
    for chunk in TextRef::from(pointer).diff(txn, YChange::identity) {
        let its = chunk.attributes.map_or(Any::Null, |formats| {
            Any::Map(Arc::new(formats.into_iter().map(|(key, value)| (key.to_string(), value)).collect()))
        });
        let more = if let Out::Any(Any::String(more)) = &chunk.insert { Some(more) } else { None };
        if !text.is_empty() && (more.is_none() || !is_same(&its, &formats)) {
            chunks.extend([Any::from(core::mem::take(&mut text)), formats]);
        }
        match more {
            Some(more) => {
                text.push_str(more);
                has_text = true;
            }
            None => chunks.extend([list(vec![shown_value(txn, chunk.insert, true)]), its.clone()]),
        }
        formats = its;
    }
    if !text.is_empty() {
        chunks.extend([Any::from(text), formats]);
    }
    // An array's values are not seen as a text, and its types are seen here once more: only where they stand.
    // In text the library would go round for ever behind a character beyond the BMP (yrs 0.28.1).
    let mut values = Vec::new();
    if !has_text {
        values.extend(ArrayRef::from(pointer).iter(txn).map(|value| shown_value(txn, value, false)));
    }
    let entries = MapRef::from(pointer);
    let entries = entries.iter(txn).map(|(key, value)| (key.to_owned(), shown_value(txn, value, true)));
    list(vec![list(chunks), list(values), Any::Map(Arc::new(entries.collect()))])
}

fn shown_value<T: ReadTxn>(txn: &T, out: Out, deep: bool) -> Any {
    match out {
        Out::Any(value) => value,
        Out::YDoc(doc) => list(vec![Any::from("document"), Any::from(doc.guid().to_string())]),
        Out::YText(_)
        | Out::YArray(_)
        | Out::YMap(_)
        | Out::YXmlElement(_)
        | Out::YXmlFragment(_)
        | Out::YXmlText(_)
        | Out::UndefinedRef(_) => match out.try_branch() {
            Some(branch) if deep => {
                list(vec![Any::from(branch.type_ref().to_string()), shown_type(txn, branch)])
            }
            Some(_) | None => Any::Undefined,
        },
    }
}

fn list(values: Vec<Any>) -> Any {
    Any::Array(values.into())
}

/// Like `==`, and NaN is the same as NaN.
fn is_same(this: &Any, that: &Any) -> bool {
    match (this, that) {
        (Any::Number(Number::Float(this)), Any::Number(Number::Float(that))) => {
            this == that || this.is_nan() && that.is_nan()
        }
        (Any::Array(this), Any::Array(that)) => {
            this.len() == that.len() && this.iter().zip(that.iter()).all(|(this, that)| is_same(this, that))
        }
        (Any::Map(this), Any::Map(that)) => {
            this.len() == that.len()
                && this.iter().all(|(key, value)| that.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => this == that,
    }
}
