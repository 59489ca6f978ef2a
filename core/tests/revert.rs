//! Documents as JSON, and going back to earlier states, over random histories of the CRDT library's replicas.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod history;

use bytes::Bytes;
use history::{Edit, PLAIN_WORDS, apply, edit, exchange, play, replica, shown, updates_of};
use proptest::prelude::*;
use proptest::sample::Index;
use yonder_core::replica::{Replica, RevertError, compact, revert, to_json, validate};
use yonder_core::update;
use yrs::{Doc, ReadTxn, StateVector, Text, Transact};

/// Whole states, compacted or not.
fn state(updates: &[Bytes], compacted: bool) -> Bytes {
    let merged = Replica::new(None, updates.to_vec()).diff(&[0]).unwrap();
    if compacted { compact(vec![merged]).unwrap() } else { merged }
}

/// A state with an edit, if there is one.
fn with(state: &Bytes, edit: Option<&Bytes>) -> Bytes {
    let parts = [state].into_iter().chain(edit).cloned().collect();
    Replica::new(None, parts).diff(&[0]).unwrap()
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
            let back = with(&current, edit.as_ref());
            prop_assert_eq!(shown(&back), shown(&version));
            prop_assert_eq!(to_json(&back).unwrap(), to_json(&version).unwrap());
            // And from there forth again, and back.
            let forth = revert(&back, &current, 1000).unwrap_or_else(|error| panic!("{error}"));
            let forth = state(&[with(&back, forth.as_ref())], compacted);
            prop_assert_eq!(to_json(&forth).unwrap(), to_json(&current).unwrap());
            prop_assert_eq!(revert(&forth, &current, 1000), Ok(None));
        }
    }

    #[test]
    fn a_compacted_beginning_and_the_rest_make_the_same_document(history in histories(80), at in any::<Index>()) {
        let updates = updates_of(&history);
        let (beginning, rest) = updates.split_at(at.index(updates.len() + 1));
        let compacted = [&[state(beginning, true)], rest].concat();
        prop_assert_eq!(shown(&state(&compacted, false)), shown(&state(&updates, false)));
    }

    #[test]
    fn edits_that_are_made_meanwhile_survive_and_replicas_converge(
        history in histories(60),
        at in any::<Index>(),
        meanwhile in histories(20),
    ) {
        let docs = [replica(1, false), replica(2, true), replica((1 << 53) - 1, false)];
        let updates = play(&docs, &history, PLAIN_WORDS);
        let version = state(&updates[..at.index(updates.len() + 1)], true);
        let edit = revert(&state(&updates, false), &version, 1000).unwrap();
        // They go on without having seen it, and get it at different times.
        let more = play(&docs, &meanwhile, PLAIN_WORDS);
        for (doc, edit) in docs.iter().zip(edit.iter().cycle()) {
            apply(doc, edit);
            exchange(&docs[0], doc);
        }
        for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            exchange(&docs[from], &docs[to]);
        }
        let server = state(&[&updates[..], edit.as_slice(), &more].concat(), false);
        for doc in &docs {
            let whole = doc.transact().encode_state_as_update_v1(&StateVector::default());
            prop_assert_eq!(shown(&whole), shown(&server));
            prop_assert_eq!(to_json(&whole).unwrap(), to_json(&server).unwrap());
        }
    }

    #[test]
    fn json_shows_what_a_replica_shows(
        updates in histories(80).prop_map(|history| updates_of(&history)).prop_flat_map(|updates| {
            let len = updates.len();
            prop::sample::subsequence(updates, len.saturating_sub(3)..=len)
        }),
        compacted in any::<bool>(),
    ) {
        let update = state(&updates, compacted);
        let json: serde_json::Value = serde_json::from_str(&to_json(&update).unwrap()).unwrap();
        for (root, expected) in history::json_of(&update) {
            let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
            let empty = ["\"\"", "[]", "{}"].contains(&expected.to_string().as_str());
            // A root that holds nothing is left out, and a text of embedded types alone looks like an array.
            if !empty || root != "text" && json.get(root).is_some() {
                prop_assert_eq!(json.get(root), Some(&expected), "{}", root);
            }
        }
    }

    #[test]
    fn what_passes_the_door_is_shown_and_restored_or_refused(
        history in histories(40),
        compacted in any::<bool>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let version = state(&updates_of(&history), compacted);
        let mut mutated = version.to_vec();
        for (at, byte) in changes {
            let at = at.index(mutated.len());
            mutated[at] = byte;
        }
        if let Ok(json) = to_json(&mutated) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{}", json);
        }
        if validate(&mutated).is_ok() {
            // Whatever comes of it: no panic, and nothing that was not tried.
            let both = state(&[version.clone(), mutated.into()], false);
            for (current, version) in [(&both, &version), (&both, &state(&[], false))] {
                if let Ok(Some(edit)) = revert(current, version, 1000) {
                    prop_assert_eq!(revert(&with(current, Some(&edit)), version, 1001), Ok(None));
                }
            }
        }
    }

    #[test]
    fn missing_updates_do_not_keep_a_document_from_its_earlier_states(
        (version, rest) in histories(80).prop_map(|history| updates_of(&history)).prop_flat_map(|updates| {
            let versions = 0..=updates.len();
            (versions, Just(updates))
        }).prop_flat_map(|(at, updates)| {
            let (version, rest) = updates.split_at(at);
            let some = rest.len().saturating_sub(5)..=rest.len();
            (Just(version.to_vec()), prop::sample::subsequence(rest.to_vec(), some))
        }),
        compacted in any::<bool>(),
    ) {
        let current = state(&[version.clone(), rest].concat(), compacted);
        let version = state(&version, compacted);
        let edit = revert(&current, &version, 1000).unwrap();
        let back = with(&current, edit.as_ref());
        prop_assert_eq!(shown(&back), shown(&version));
        prop_assert_eq!(to_json(&back).unwrap(), to_json(&version).unwrap());
    }
}

/// Two states of a text: a thousand letters, and then without what is at this place.
fn erased(from: u32, length: u32) -> (Bytes, Bytes) {
    let doc = replica(1, false);
    let text = doc.get_or_insert_text("text");
    text.insert(&mut doc.transact_mut(), 0, &"letters...".repeat(100));
    let version = whole(&doc);
    text.remove_range(&mut doc.transact_mut(), from, length);
    (version, whole(&doc))
}

fn whole(doc: &Doc) -> Bytes {
    doc.transact().encode_state_as_update_v1(&StateVector::default()).into()
}

#[test]
fn what_both_states_show_is_left_as_it_is() {
    let (version, current) = erased(500, 7);
    let edit = revert(&current, &version, 1000).unwrap().unwrap();
    let summary = update::inspect(&edit).unwrap();
    assert_eq!((summary.structs, summary.deletes), (1, false), "only what is missing is inserted");
    assert!(edit.len() < 40, "{} bytes", edit.len());
}

#[test]
fn a_document_that_shows_the_state_already_gets_no_edit() {
    let (version, current) = erased(500, 7);
    assert_eq!(revert(&version, &version, 1000), Ok(None));
    let edit = revert(&current, &version, 1000).unwrap().unwrap();
    // Other letters, but the same text.
    let back = with(&current, Some(&edit));
    assert_eq!(revert(&back, &version, 1000), Ok(None));
}

#[test]
fn the_edit_is_of_a_client_that_neither_state_mentions() {
    let (version, current) = erased(500, 7);
    let edit = revert(&current, &version, 1).unwrap().unwrap();
    assert_eq!(update::inspect(&edit).unwrap().clients[0].client, 2);
    let back = with(&current, Some(&edit));
    let edit = revert(&back, &[0, 0], 1).unwrap().unwrap();
    let largest = revert(&back, &version[..], u64::MAX).unwrap();
    assert!(update::inspect(&edit).unwrap().clients.is_empty(), "it only deletes");
    assert_eq!(largest, None);
}

#[test]
fn a_state_of_another_document_is_refused() {
    let (version, _) = erased(0, 1);
    let other = replica(2, false);
    other.get_or_insert_text("text").insert(&mut other.transact_mut(), 0, "other");
    assert_eq!(revert(&whole(&other), &version, 1000), Err(RevertError::NotEarlier));
    // Nor can a document go back to what comes later.
    assert_eq!(revert(&[0, 0], &version, 1000), Err(RevertError::NotEarlier));
}

#[test]
fn what_is_no_state_is_refused() {
    let (version, current) = erased(500, 7);
    assert!(matches!(revert(&current, b"no update", 1000), Err(RevertError::Update(_))));
    assert!(matches!(revert(b"no update", &version, 1000), Err(RevertError::Update(_))));
}

#[test]
fn a_character_that_was_split_is_whole_again() {
    let doc = replica(1, false);
    let text = doc.get_or_insert_text("text");
    text.insert(&mut doc.transact_mut(), 0, "a😀b");
    let version = whole(&doc);
    text.remove_range(&mut doc.transact_mut(), 2, 1);
    text.insert(&mut doc.transact_mut(), 2, "x");
    let current = whole(&doc);
    assert_eq!(to_json(&current).unwrap(), "{\"text\":\"a\u{fffd}xb\"}");
    let edit = revert(&current, &version, 1000).unwrap().unwrap();
    assert_eq!(to_json(&with(&current, Some(&edit))).unwrap(), r#"{"text":"a😀b"}"#);
}
