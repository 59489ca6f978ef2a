//! What a replica of the library shows, compared. This knows nothing of [`super::items`], whose findings it tests.

use crate::update::UpdateError;
use std::collections::BTreeMap;
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
    wanted: BTreeMap<String, Shown>,
}

impl Trial {
    /// A replica with the one state, that is to show the other.
    ///
    /// Types that are nested are followed by recursion.
    pub(super) fn new(state: &[u8], wanted: &[u8]) -> Result<Self, UpdateError> {
        Ok(Self { doc: replica(state)?, wanted: roots(&replica(wanted)?) })
    }

    /// Adds an edit.
    pub(super) fn apply(&mut self, edit: &[u8]) -> Result<(), UpdateError> {
        apply(&self.doc, edit)
    }

    /// Whether it shows what it should, formats and attributes included.
    pub(super) fn is_done(&self) -> bool {
        same_entries(&roots(&self.doc), &self.wanted, Shown::is_same)
    }
}

/// The root types in which there is anything.
fn roots(doc: &Doc) -> BTreeMap<String, Shown> {
    let txn = doc.transact();
    let names = txn.root_refs().map(|(name, _)| name.to_owned());
    let roots = names.filter_map(|name| {
        let shown = Shown::of(&txn, txn.get(&name)?.try_branch()?);
        (!shown.is_empty()).then_some((name, shown))
    });
    roots.collect()
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

/// What can be seen of one type.
#[derive(Default)]
struct Shown {
    /// Text, embeds and types with their formats.
    chunks: Vec<(Piece, BTreeMap<String, Any>)>,
    /// What a text has no place for.
    values: Vec<Piece>,
    entries: BTreeMap<String, Piece>,
}

enum Piece {
    Text(String),
    Value(Any),
    /// A type, by its name, and what is in it.
    Type(String, Shown),
    /// A subdocument's id.
    Document(String),
}

impl Shown {
    fn of<T: ReadTxn>(txn: &T, branch: &Branch) -> Self {
        let pointer = BranchPtr::from(branch);
        let mut chunks: Vec<(Piece, BTreeMap<String, Any>)> = Vec::new();
        for chunk in TextRef::from(pointer).diff(txn, YChange::identity) {
            let formats = chunk.attributes.iter().flat_map(|formats| formats.iter());
            let formats = formats.map(|(key, value)| (key.to_string(), value.clone())).collect();
            let piece = match chunk.insert {
                Out::Any(Any::String(text)) => match chunks.last_mut() {
                    // It may be cut where formats begin and end that change nothing.
                    Some((Piece::Text(before), its)) if same_entries(its, &formats, same_values) => {
                        before.push_str(&text);
                        continue;
                    }
                    Some(_) | None => Piece::Text(text.to_string()),
                },
                other => Piece::of(txn, other, true),
            };
            chunks.push((piece, formats));
        }
        // An array's values are not seen as a text, and its types are seen here once more: only where they stand.
        // In text the library would go round for ever behind a character beyond the BMP (yrs 0.28.1).
        let mut values = Vec::new();
        if !chunks.iter().any(|(piece, _)| matches!(piece, Piece::Text(_))) {
            values.extend(ArrayRef::from(pointer).iter(txn).map(|value| Piece::of(txn, value, false)));
        }
        let entries = MapRef::from(pointer);
        let entries = entries.iter(txn).map(|(key, value)| (key.to_owned(), Piece::of(txn, value, true)));
        Self { chunks, values, entries: entries.collect() }
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.values.is_empty() && self.entries.is_empty()
    }

    fn is_same(&self, other: &Self) -> bool {
        let Self { chunks, values, entries } = self;
        same_lists(chunks, &other.chunks, |(piece, formats), (other, its)| {
            piece.is_same(other) && same_entries(formats, its, same_values)
        }) && same_lists(values, &other.values, Piece::is_same)
            && same_entries(entries, &other.entries, Piece::is_same)
    }
}

impl Piece {
    fn of<T: ReadTxn>(txn: &T, out: Out, deep: bool) -> Self {
        match out {
            Out::Any(value) => Self::Value(value),
            Out::YDoc(doc) => Self::Document(doc.guid().to_string()),
            Out::YText(_)
            | Out::YArray(_)
            | Out::YMap(_)
            | Out::YXmlElement(_)
            | Out::YXmlFragment(_)
            | Out::YXmlText(_)
            | Out::UndefinedRef(_) => match out.try_branch() {
                Some(branch) if deep => {
                    Self::Type(format!("{:?}", branch.type_ref()), Shown::of(txn, branch))
                }
                Some(_) | None => Self::Type(String::new(), Shown::default()),
            },
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(this), Self::Text(that)) => this == that,
            (Self::Value(this), Self::Value(that)) => same_values(this, that),
            (Self::Type(this, shown), Self::Type(that, other)) => this == that && shown.is_same(other),
            (Self::Document(this), Self::Document(that)) => this == that,
            _ => false,
        }
    }
}

/// Like `==`, and NaN is the same as NaN.
fn same_values(this: &Any, that: &Any) -> bool {
    match (this, that) {
        (Any::Number(Number::Float(this)), Any::Number(Number::Float(that))) => {
            this == that || this.is_nan() && that.is_nan()
        }
        (Any::Array(this), Any::Array(that)) => same_lists(this, that, same_values),
        (Any::Map(this), Any::Map(that)) => {
            this.len() == that.len()
                && this
                    .iter()
                    .all(|(key, value)| that.get(key).is_some_and(|other| same_values(value, other)))
        }
        _ => this == that,
    }
}

fn same_lists<T>(these: &[T], those: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    these.len() == those.len() && these.iter().zip(those).all(|(this, that)| same(this, that))
}

fn same_entries<T>(
    these: &BTreeMap<String, T>,
    those: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
) -> bool {
    these.len() == those.len()
        && these.iter().zip(those).all(|(this, that)| this.0 == that.0 && same(this.1, that.1))
}
