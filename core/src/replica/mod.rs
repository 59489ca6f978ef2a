//! The document as a CRDT: the only folder that names `yrs`.
//!
//! It is needed for answering a state vector and for compacting, and for showing a document ([`to_json`]) and
//! going back to an earlier state ([`revert`]); everything else handles the clients' bytes as they came. A replica
//! is kept as the bytes of updates, not as a tree: answering a reader that has nothing is then a copy, and a warm
//! room costs what its document costs on disk.
//!
//! Whatever panics inside the library on bytes that a peer chose becomes an error where panics unwind.

mod content;
mod effort;
mod items;
mod json;
mod order;
mod reading;
mod revert;
mod shown;
mod value;
mod xml;

pub use json::to_json;
pub use revert::{RevertError, revert};

use crate::collections::Map;
use crate::update::{self, Section, Summary, UpdateError};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use yrs::updates::decoder::{Decode, Decoder as _, DecoderV1};
use yrs::updates::encoder::Encode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update};

/// Merging is quadratic in the number of its inputs in yrs 0.28, so it is done in steps of this many.
const MERGE_WIDTH: usize = 32;

/// Bytes of a snapshot from which deleted content is collected, at most. A Wasm instance has 128 MiB on most hosts, and it
/// takes the document four times.
const COLLECTED_MAX: usize = if cfg!(target_family = "wasm") { 12 << 20 } else { 1 << 30 };

/// Checks an update that a peer sent: first its structure, then by decoding it.
pub fn validate(update: &[u8]) -> Result<Summary, UpdateError> {
    let mut has_json = false;
    let summary = update::walk(update, &mut |part| has_json |= part.is_json())?;
    if summary.is_empty() {
        return Ok(summary);
    }
    // yrs 0.28.1 reads one text more than there are, and so whatever follows as something else.
    if has_json {
        return Err(UpdateError::Library);
    }
    guard(|| {
        let mut decoder = DecoderV1::from(update);
        Update::decode(&mut decoder).map_err(|_| UpdateError::Library)?;
        // Both have read the same only if both have come to the same end.
        let rest = decoder.read_to_end().map_err(|_| UpdateError::Library)?;
        if rest.is_empty() { Ok(()) } else { Err(UpdateError::Library) }
    })?;
    Ok(summary)
}

/// A document as the log holds it, for as long as its room wants to answer state vectors.
#[derive(Debug, Clone)]
pub struct Replica {
    /// One update: the merge of everything that is not in `tail`.
    merged: Bytes,
    tail: Vec<Bytes>,
    tail_bytes: usize,
    /// What the last two questions were answered with; empty again after an append.
    answers: Answers,
}

#[derive(Debug, Clone, Default)]
struct Answers {
    state_vector: Option<Vec<u8>>,
    diff: Option<(Vec<u8>, Bytes)>,
}

impl Replica {
    /// The document that these updates make, whichever order they are in.
    pub fn new(snapshot: Option<Bytes>, updates: Vec<Bytes>) -> Self {
        let tail_bytes = updates.iter().map(Bytes::len).sum();
        Self {
            merged: snapshot.unwrap_or_else(|| Bytes::from_static(Update::EMPTY_V1)),
            tail: updates,
            tail_bytes,
            answers: Answers::default(),
        }
    }

    /// Adds a stored update.
    pub fn append(&mut self, update: Bytes) {
        self.tail_bytes += update.len();
        self.tail.push(update);
        self.answers = Answers::default();
    }

    /// How many updates, and how many bytes, wait to be merged at the next question.
    pub fn unmerged(&self) -> (usize, usize) {
        (self.tail.len(), self.tail_bytes)
    }

    /// The state vector in its V1 encoding: what a step 1 of ours asks beyond.
    pub fn state_vector(&mut self) -> Result<Vec<u8>, UpdateError> {
        if let Some(known) = &self.answers.state_vector {
            return Ok(known.clone());
        }
        self.merge()?;
        let state_vector = update::inspect(&self.merged)?.encode_state_vector();
        self.answers.state_vector = Some(state_vector.clone());
        Ok(state_vector)
    }

    /// One update with all that a peer at `state_vector` misses, deletions always included.
    ///
    /// # Errors
    /// If `state_vector` is malformed, or the document cannot be read.
    pub fn diff(&mut self, state_vector: &[u8]) -> Result<Bytes, UpdateError> {
        let asks_for_all = update::read_state_vector(state_vector)?.is_empty();
        self.merge()?;
        if asks_for_all {
            return Ok(self.merged.clone());
        }
        match &self.answers.diff {
            Some((asked, answer)) if asked == state_vector => return Ok(answer.clone()),
            Some(_) | None => {}
        }
        let answer: Bytes =
            guard(|| yrs::diff_updates_v1(&self.merged, state_vector).map_err(|_| UpdateError::Library))?
                .into();
        self.answers.diff = Some((state_vector.to_vec(), answer.clone()));
        Ok(answer)
    }

    /// Whether every struct of an update is in the document.
    ///
    /// # Errors
    /// If the document cannot be read.
    pub fn has(&mut self, update: &Summary) -> Result<bool, UpdateError> {
        let own = update::read_state_vector(&self.state_vector()?)?;
        let known = |section: &Section| own.get(&section.client).is_some_and(|clock| section.end <= *clock);
        Ok(update.clients.iter().all(known))
    }

    fn merge(&mut self) -> Result<(), UpdateError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::with_capacity(self.tail.len() + 1);
        if *self.merged != *Update::EMPTY_V1 {
            parts.push(self.merged.clone());
        }
        parts.append(&mut self.tail.clone());
        self.merged = merge(parts)?;
        self.tail = Vec::new();
        self.tail_bytes = 0;
        Ok(())
    }
}

/// Builds a snapshot: one update that covers all of `updates` (an earlier snapshot among them).
///
/// Deleted content is collected, but only when nothing waits for a missing update: a replica that has
/// pending updates would leave them out (`storage.md`, I6). Nor is it where types are nested beyond all
/// measure, or where it would take the square of a document that is made for it, or more memory than there is.
pub fn compact(updates: Vec<Bytes>) -> Result<Bytes, UpdateError> {
    let merged = merge(updates)?;
    let summary = update::inspect(&merged)?;
    if summary.gaps || merged.len() > COLLECTED_MAX || !effort::is_feasible(&merged)? {
        return Ok(merged);
    }
    // The library refuses what stands in an item that holds no type, where yjs only drops it: nothing is collected then.
    let Ok(Some(collected)) = guard(|| collect(&merged)) else { return Ok(merged) };
    // Read back: it must cover what it replaces, else the merge itself is the snapshot.
    let covers = |summary: &Summary| {
        let clocks = summary.clients.iter().map(|section| (section.client, section.covers));
        clocks.filter(|(_, covers)| *covers > 0).collect::<Map<_, _>>()
    };
    let same = update::inspect(&collected).is_ok_and(|collected| covers(&collected) == covers(&summary));
    Ok(if same { collected.into() } else { merged })
}

/// The update encoded anew from a replica, without deleted content; none if something is pending in it.
fn collect(merged: &[u8]) -> Result<Option<Vec<u8>>, UpdateError> {
    // The id and the name are never written: this document makes no edit of its own.
    let mut options = Options::with_guid_and_client_id("".into(), yrs::ClientID::new(0));
    options.offset_kind = OffsetKind::Utf16;
    let doc = Doc::with_options(options);
    let mut txn = doc.transact_mut();
    let update = Update::decode_v1(merged).map_err(|_| UpdateError::Library)?;
    txn.apply_update(update).map_err(|_| UpdateError::Library)?;
    txn.commit();
    if txn.has_missing_updates() {
        return Ok(None);
    }
    let mut collected = txn.encode_state_as_update_v1(&StateVector::default());
    collected.shrink_to_fit();
    Ok(Some(collected))
}

/// Parts are let go of as they are read: a document may be large.
fn merge(mut parts: Vec<Bytes>) -> Result<Bytes, UpdateError> {
    while parts.len() > 1 {
        let mut merged = Vec::with_capacity(parts.len().div_ceil(MERGE_WIDTH));
        let mut rest = parts.into_iter();
        while let Some(first) = rest.next() {
            let several: Vec<_> =
                core::iter::once(first).chain(rest.by_ref().take(MERGE_WIDTH - 1)).collect();
            merged.push(guard(|| merge_once(several))?);
        }
        parts = merged;
    }
    Ok(parts.pop().unwrap_or_else(|| Bytes::from_static(Update::EMPTY_V1)))
}

fn merge_once(mut parts: Vec<Bytes>) -> Result<Bytes, UpdateError> {
    if parts.len() < 2 {
        return parts.pop().ok_or(UpdateError::Library);
    }
    let updates = parts
        .into_iter()
        .map(|part| Update::decode_v1(&part).map_err(|_| UpdateError::Library))
        .collect::<Result<Vec<_>, _>>()?;
    let mut merged = Update::merge_updates(updates).encode_v1();
    // It has grown by doubling.
    merged.shrink_to_fit();
    Ok(merged.into())
}

fn guard<T>(work: impl FnOnce() -> Result<T, UpdateError>) -> Result<T, UpdateError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(UpdateError::Library))
}
