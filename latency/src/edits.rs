//! Edits as Yjs updates: each sets its lane's entry of one map to its number, so that a document of a million edits stays
//! small and whoever has an edit has all earlier ones of its lane.

use crate::failure::{Failure, Kind};
use std::sync::Arc;
use yonder_core::wire::{self, put_var_bytes};
use yrs::updates::decoder::Decode as _;
use yrs::updates::encoder::Encode as _;
use yrs::{Any, Doc, Map as _, MapRef, Out, ReadTxn as _, StateVector, Transact as _, Update};

/// The map's name.
const MAP: &str = "latency";
/// The update without content.
pub(crate) const EMPTY: &[u8] = &[0, 0];

/// One client that edits: its clocks arrive in order, or it is given up.
pub(crate) struct Lane {
    pub(crate) key: Arc<str>,
    doc: Doc,
    map: MapRef,
}

impl Lane {
    /// `key` is this lane's alone, in all runs.
    pub(crate) fn new(key: String) -> Self {
        let doc = Doc::new();
        let map = doc.get_or_insert_map(MAP);
        Self { key: key.into(), doc, map }
    }

    /// The update that says that edit `number` was made.
    pub(crate) fn edit(&self, number: u64) -> Vec<u8> {
        let mut txn = self.doc.transact_mut();
        self.map.insert(&mut txn, Arc::clone(&self.key), Any::from(number.cast_signed()));
        txn.encode_update_v1()
    }
}

/// A reader's copy of the document, and the place up to which it was read.
pub(crate) struct Replica {
    doc: Doc,
    map: MapRef,
    /// For HTTP: what the next read asks for.
    pub(crate) offset: Option<String>,
}

impl Replica {
    pub(crate) fn new() -> Self {
        let doc = Doc::new();
        let map = doc.get_or_insert_map(MAP);
        Self { doc, map, offset: None }
    }

    pub(crate) fn apply(&self, update: &[u8]) -> Result<(), Failure> {
        let broken = |error: String| Failure::new(Kind::Protocol, format!("no update of Yjs: {error}"));
        let update = Update::decode_v1(update).map_err(|error| broken(error.to_string()))?;
        self.doc.transact_mut().apply_update(update).map_err(|error| broken(error.to_string()))
    }

    /// Applies frames: each a length and an update.
    pub(crate) fn apply_frames(&self, body: &[u8]) -> Result<(), Failure> {
        let mut reader = wire::Reader::new(body);
        while !reader.is_empty() {
            let frame = reader.var_bytes();
            let frame = frame.map_err(|error| Failure::new(Kind::Protocol, format!("no frames: {error}")))?;
            self.apply(frame)?;
        }
        Ok(())
    }

    /// The newest edit of a lane.
    pub(crate) fn newest(&self, key: &str) -> Option<u64> {
        let Out::Any(number) = self.map.get(&self.doc.transact(), key)? else { return None };
        u64::try_from(number).ok()
    }

    /// The whole of it as one update.
    pub(crate) fn state(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    pub(crate) fn state_vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }
}

/// An update as the body of a POST.
pub(crate) fn framed(update: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(update.len() + 4);
    put_var_bytes(&mut body, update);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_has_an_edit_once_all_before_it_came() {
        let (lane, other, replica) = (Lane::new("a".into()), Lane::new("b".into()), Replica::new());
        let edits = [lane.edit(3), lane.edit(4), lane.edit(5)];
        replica.apply(&edits[0]).unwrap();
        replica.apply(&edits[2]).unwrap();
        assert_eq!((replica.newest("a"), replica.newest("b")), (Some(3), None));
        replica.apply_frames(&[framed(&edits[1]), framed(&other.edit(1))].concat()).unwrap();
        assert_eq!((replica.newest("a"), replica.newest("b")), (Some(5), Some(1)));
        assert_eq!(replica.apply(&[9, 9, 9]).unwrap_err().kind, Kind::Protocol);
    }

    #[test]
    fn a_thousand_edits_take_no_more_room_than_ten() {
        let size = |edits: u64| {
            let (lane, replica) = (Lane::new("a".into()), Replica::new());
            (1..=edits).for_each(|number| replica.apply(&lane.edit(number)).unwrap());
            replica.state().len()
        };
        assert!(size(1000) < size(10) + 10, "{} {}", size(1000), size(10));
    }
}
