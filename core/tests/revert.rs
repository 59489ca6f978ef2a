//! Documents as JSON, and going back to earlier states, over random histories of the CRDT library's replicas.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod history;

use bytes::Bytes;
use history::{CLIENTS, Edit, apply, edit, exchange, play, replica, replica_of, shown, shown_in, updates_of};
use proptest::prelude::*;
use proptest::sample::Index;
use yonder_core::replica::{Replica, compact, revert, to_json};
use yrs::{ReadTxn, StateVector, Transact};

/// Whole states, compacted or not.
fn state(updates: &[Bytes], compacted: bool) -> Bytes {
    let merged = Replica::new(None, updates.to_vec()).diff(&[0]).unwrap();
    if compacted { compact(vec![merged]).unwrap() } else { merged }
}

fn histories(longest: usize) -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(edit(), 1..longest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn going_back_to_an_earlier_state_shows_what_it_showed(
        history in histories(80),
        versions in prop::collection::vec((any::<Index>(), any::<bool>()), 1..4),
        compacted in any::<bool>(),
    ) {
        let updates = updates_of(&history);
        let current = state(&updates, compacted);
        for (at, compacted) in versions {
            let version = state(&updates[..at.index(updates.len() + 1)], compacted);
            let edit = revert(&current, &version, 1000).unwrap();
            let back = state(&[&[current.clone()], edit.as_slice()].concat(), false);
            prop_assert_eq!(shown(&back), shown(&version));
            prop_assert_eq!(to_json(&back).unwrap(), to_json(&version).unwrap());
            // And from there forth again, and back.
            let forth = revert(&back, &current, 1000).unwrap_or_else(|error| panic!("{error}"));
            let forth = state(&[&[back.clone()], forth.as_slice()].concat(), compacted);
            prop_assert_eq!(to_json(&forth).unwrap(), to_json(&current).unwrap());
            prop_assert_eq!(revert(&forth, &current, 1000), Ok(None));
        }
    }
}
