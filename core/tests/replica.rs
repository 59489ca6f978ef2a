//! Merging, diffing and compacting against replicas of the CRDT library, over random histories.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// The library's values, of which the histories here have a few.
#![allow(clippy::wildcard_enum_match_arm)]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use yonder_core::replica::{Replica, compact, validate};
use yonder_core::update;
use yonder_core::wire::put_var_uint;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    Any, Array, ArrayPrelim, Doc, GetString, Map, MapPrelim, ReadTxn, StateVector, Text, Transact, Update,
};

#[derive(Debug, Clone)]
enum Edit {
    Type { client: usize, at: u32, text: String },
    Erase { client: usize, at: u32, length: u32 },
    Set { client: usize, key: u8, value: i64 },
    Nest { client: usize },
    Exchange { from: usize, to: usize },
}

fn edit() -> impl Strategy<Value = Edit> {
    let client = || 0..3_usize;
    prop_oneof![
        6 => (client(), any::<u32>(), "[a-zä😀]{1,6}").prop_map(|(client, at, text)| Edit::Type { client, at, text }),
        3 => (client(), any::<u32>(), 1..5_u32).prop_map(|(client, at, length)| Edit::Erase { client, at, length }),
        2 => (client(), 0..4_u8, any::<i64>()).prop_map(|(client, key, value)| Edit::Set { client, key, value }),
        1 => client().prop_map(|client| Edit::Nest { client }),
        2 => (client(), client()).prop_map(|(from, to)| Edit::Exchange { from, to }),
    ]
}

fn doc(client: u64) -> Doc {
    let mut options = yrs::Options::with_guid_and_client_id("".into(), yrs::ClientID::new(client));
    options.offset_kind = yrs::OffsetKind::Utf16;
    Doc::with_options(options)
}

/// The updates of a history, in the order of their making.
fn updates_of(history: &[Edit]) -> Vec<Bytes> {
    let docs = [doc(1), doc(2), doc((1 << 53) - 1)];
    let mut updates = Vec::new();
    for edit in history {
        let client = match *edit {
            Edit::Exchange { from, to } => {
                let known = docs[to].transact().state_vector();
                let missing = docs[from].transact().encode_state_as_update_v1(&known);
                docs[to].transact_mut().apply_update(Update::decode_v1(&missing).unwrap()).unwrap();
                continue;
            }
            Edit::Type { client, .. } | Edit::Erase { client, .. } => client,
            Edit::Set { client, .. } | Edit::Nest { client } => client,
        };
        let doc = &docs[client];
        let (text, map) = (doc.get_or_insert_text("text"), doc.get_or_insert_map("map"));
        let array = doc.get_or_insert_array("array");
        let mut txn = doc.transact_mut();
        // A place that is not inside a surrogate pair.
        let place = |txn: &yrs::TransactionMut<'_>, at: u32| {
            let string = text.get_string(txn);
            let at = at as usize % (string.chars().count() + 1);
            string.chars().take(at).map(|letter| letter.len_utf16() as u32).sum::<u32>()
        };
        match edit {
            Edit::Type { at, text: typed, .. } => {
                let at = place(&txn, *at);
                text.insert(&mut txn, at, typed);
            }
            Edit::Erase { at, length, .. } => {
                let (from, to) = (place(&txn, *at), place(&txn, at.wrapping_add(*length)));
                if from < to {
                    text.remove_range(&mut txn, from, to - from);
                }
            }
            Edit::Set { key, value, .. } => drop(map.insert(&mut txn, format!("k{key}"), *value)),
            Edit::Nest { .. } => {
                let nested = array.insert(&mut txn, 0, MapPrelim::from([("a", Any::Null)]));
                nested.insert(&mut txn, "list", ArrayPrelim::from(["x", "y"]));
            }
            Edit::Exchange { .. } => {}
        }
        updates.push(Bytes::from(txn.encode_update_v1()));
    }
    updates
}

/// What a reader of one update sees.
fn content(update: &[u8]) -> (String, String, String, bool) {
    let doc = doc(77);
    let (text, map) = (doc.get_or_insert_text("text"), doc.get_or_insert_map("map"));
    let array = doc.get_or_insert_array("array");
    let mut txn = doc.transact_mut();
    txn.apply_update(Update::decode_v1(update).unwrap()).unwrap();
    let sorted = |any: Any| match any {
        Any::Map(map) => format!(
            "{:?}",
            map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect::<BTreeMap<_, _>>()
        ),
        other => other.to_string(),
    };
    use yrs::types::ToJson as _;
    let array: Vec<_> = match array.to_json(&txn) {
        Any::Array(items) => items.iter().cloned().map(sorted).collect(),
        other => vec![sorted(other)],
    };
    (text.get_string(&txn), sorted(map.to_json(&txn)), array.join(","), txn.has_missing_updates())
}

/// Updates of a history, some twice, in another order.
fn shuffled() -> impl Strategy<Value = (Vec<Bytes>, Vec<Bytes>)> {
    prop::collection::vec(edit(), 1..40).prop_map(|history| updates_of(&history)).prop_flat_map(|updates| {
        let twice = prop::sample::subsequence(updates.clone(), 0..=updates.len());
        let all = updates.clone();
        let mixed = twice.prop_flat_map(move |twice| {
            let all: Vec<_> = all.iter().cloned().chain(twice).collect();
            Just(all).prop_shuffle()
        });
        (Just(updates), mixed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_steps_of_merging_make_the_same_document((updates, mixed) in shuffled(), step in 1..9_usize) {
        let expected = content(&Replica::new(None, updates).diff(&[0]).unwrap());
        prop_assert!(!expected.3, "nothing is missing");
        // All at once.
        prop_assert_eq!(&content(&Replica::new(None, mixed.clone()).diff(&[0]).unwrap()), &expected);
        // Some at a time, each time asked for.
        let mut replica = Replica::new(None, Vec::new());
        let mut snapshot = vec![Bytes::from_static(&[0, 0])];
        for some in mixed.chunks(step) {
            some.iter().for_each(|update| replica.append(update.clone()));
            replica.diff(&[0]).unwrap();
            // And compacted each time.
            snapshot = vec![compact(snapshot.into_iter().chain(some.iter().cloned()).collect()).unwrap()];
        }
        prop_assert_eq!(&content(&replica.diff(&[0]).unwrap()), &expected);
        prop_assert_eq!(&content(&snapshot[0]), &expected);
    }

    #[test]
    fn a_peer_that_gets_what_it_misses_has_everything((updates, mixed) in shuffled(), has in 0..40_usize) {
        let mut replica = Replica::new(None, mixed);
        let everything = content(&replica.diff(&[0]).unwrap());
        let peer = doc(78);
        let has: Vec<_> = updates.iter().take(has).cloned().collect();
        let has = Replica::new(None, has).diff(&[0]).unwrap();
        let mut txn = peer.transact_mut();
        txn.apply_update(Update::decode_v1(&has).unwrap()).unwrap();
        let missing = replica.diff(&txn.state_vector().encode_v1()).unwrap();
        let both = Replica::new(None, vec![has, missing]).diff(&[0]).unwrap();
        prop_assert_eq!(content(&both), everything);
    }

    #[test]
    fn our_walk_and_the_library_agree_on_state_vectors((_, mixed) in shuffled()) {
        for update in &mixed {
            let ours = update::inspect(update).unwrap();
            let theirs = Update::decode_v1(update).unwrap().state_vector();
            let ours = StateVector::decode_v1(&ours.encode_state_vector()).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_mutated_update_is_refused_or_can_be_kept(
        (updates, _) in shuffled(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        prop_assume!(!updates.is_empty());
        let mut mutated = updates[0].to_vec();
        for (at, byte) in changes {
            let at = at.index(mutated.len());
            mutated[at] = byte;
        }
        if validate(&mutated).is_ok() {
            // Whatever passes the door must not spoil what others wrote, nor panic behind it.
            let mut replica = Replica::new(None, updates.clone());
            replica.append(mutated.into());
            prop_assert!(replica.diff(&[0]).is_ok());
            prop_assert!(replica.state_vector().is_ok());
        }
    }
}

#[test]
fn compaction_drops_what_was_deleted() {
    let doc = doc(1);
    let text = doc.get_or_insert_text("text");
    let mut updates = Vec::new();
    for _ in 0..100 {
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 0, &"x".repeat(100));
        updates.push(Bytes::from(txn.encode_update_v1()));
        drop(txn);
        let mut txn = doc.transact_mut();
        text.remove_range(&mut txn, 0, 100);
        updates.push(Bytes::from(txn.encode_update_v1()));
    }
    let snapshot = compact(updates).unwrap();
    assert!(snapshot.len() < 100, "{} bytes", snapshot.len());
}

#[test]
fn compaction_keeps_what_waits_for_a_missing_update() {
    let doc = doc(1);
    let text = doc.get_or_insert_text("text");
    let mut updates: Vec<_> = ["a", "b", "c"]
        .map(|letter| {
            let mut txn = doc.transact_mut();
            text.push(&mut txn, letter);
            Bytes::from(txn.encode_update_v1())
        })
        .into();
    let missing = updates.remove(1);
    let snapshot = compact(updates).unwrap();
    assert_eq!(content(&snapshot).0, "a");
    assert_eq!(content(&compact(vec![missing, snapshot]).unwrap()).0, "abc");
}

#[test]
fn types_that_are_nested_without_end_do_not_overflow_the_stack() {
    // Each array stands in the one before, and the first is deleted.
    let mut nested = vec![1];
    put_var_uint(&mut nested, 20_000);
    nested.extend([7, 0, 7, 1, 1, b'a', 0]);
    for parent in 0..19_999 {
        nested.extend([7, 0, 7]);
        put_var_uint(&mut nested, parent);
        nested.push(0);
    }
    nested.extend([1, 7, 1, 0, 1]);
    assert!(validate(&nested).is_ok());
    let snapshot = compact(vec![nested.clone().into()]).unwrap();
    assert_eq!(snapshot, nested);
}

/// Client 5 inserts a value, and a text into that value, which is no type.
const INTO_A_VALUE: [u8; 17] = [1, 2, 5, 0, 8, 1, 1, b't', 1, 127, 4, 0, 5, 0, 1, b'a', 0];

#[test]
fn what_the_library_cannot_apply_is_kept_as_it_was_merged() {
    assert!(validate(&INTO_A_VALUE).is_ok());
    let snapshot = compact(vec![INTO_A_VALUE.to_vec().into()]).unwrap();
    assert_eq!(snapshot, INTO_A_VALUE.as_slice());
}

#[test]
fn texts_of_json_are_refused_because_the_library_misreads_them() {
    let json = [&[1, 1, 5, 0, 2, 1, 1, b't', 1, 1, b'1'][..], &[0]].concat();
    assert!(update::inspect(&json).is_ok());
    assert_eq!(validate(&json), Err(update::UpdateError::Library));
}

#[test]
fn an_update_that_takes_the_square_of_its_length_is_kept_and_not_collected() {
    // Each sets the same entry, and tells of no other.
    let mut entries = vec![1];
    put_var_uint(&mut entries, 50_000);
    entries.extend([5, 0]);
    entries.extend([0x28, 1, 1, b't', 1, b'k', 1, 127].repeat(50_000));
    entries.push(0);
    // A text, and what stands inside it, from its end to its start.
    let (length, inside) = (200_000, 25_000);
    let mut text = vec![2, 1, 9, 0, 4, 1, 1, b't'];
    put_var_uint(&mut text, length);
    text.extend(vec![b'a'; length as usize]);
    put_var_uint(&mut text, inside);
    text.extend([5, 0]);
    for index in 0..inside {
        text.extend([0x84, 9]);
        put_var_uint(&mut text, length - 2 - index * 3);
        text.extend([1, b'b']);
    }
    text.push(0);
    for update in [entries, text] {
        assert!(validate(&update).is_ok());
        assert_eq!(compact(vec![update.clone().into()]).unwrap(), update);
    }
}
