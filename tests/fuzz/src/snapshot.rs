//! Several updates at once: in whichever order and in however many steps, they make the same document.

use crate::input::Input;
use crate::update::{GROWTH, covered};
use bytes::Bytes;
use yonder_core::replica::{Replica, compact, to_json, validate};

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut updates = Vec::new();
    while !input.is_empty() && updates.len() < 40 {
        updates.push(input.part().to_vec());
    }
    merge(&updates);
}

/// Merges those of some updates that pass the door.
pub(crate) fn merge(updates: &[Vec<u8>]) {
    let accepted = updates.iter().filter(|update| validate(update).is_ok_and(|summary| !summary.is_empty()));
    let accepted: Vec<Bytes> = accepted.map(|update| Bytes::copy_from_slice(update)).collect();
    let whole = |parts: Vec<Bytes>| Replica::new(None, parts).diff(&[0]).expect("the document");

    let forwards = whole(accepted.clone());
    let summary = validate(&forwards).expect("an update");
    let backwards = whole(accepted.iter().rev().cloned().collect());
    let backwards = validate(&backwards).expect("an update");
    assert_eq!(covered(&backwards), covered(&summary));

    // Each alone into a snapshot of those before.
    let mut snapshot = Bytes::from_static(&[0, 0]);
    for update in &accepted {
        snapshot = compact(vec![snapshot, update.clone()]).expect("a snapshot");
        validate(&snapshot).expect("a snapshot can be sent");
    }
    let compacted = validate(&snapshot).expect("an update");
    assert!(summary.gaps || !compacted.gaps, "{compacted:?} and {summary:?}");
    assert_eq!(covered(&compacted), covered(&summary));
    let bytes: usize = accepted.iter().map(Bytes::len).sum();
    assert!(snapshot.len() <= GROWTH * bytes + 2, "{} of {bytes}", snapshot.len());
    let _ = to_json(&snapshot);
}
