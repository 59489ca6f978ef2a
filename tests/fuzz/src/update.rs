//! Updates: what passes the door can be kept, merged, asked for, compacted and shown.

use crate::memory;
use bytes::Bytes;
use yonder_core::replica::{Replica, compact, revert, to_json, validate};
use yonder_core::update::{Section, Summary, UpdateError, inspect};

/// A document of yjs that the updates are merged with.
pub(crate) const DOCUMENT: &[u8] = include_bytes!("../../corpus/json/text-with-formats-and-embeds.bin");

/// How much longer an update may become when it is merged: yrs writes every option of a subdocument.
pub(crate) const GROWTH: usize = 16;
/// Memory that work on an update may take: a part that is always there, and for each byte.
const MEMORY: (usize, usize) = (1 << 20, 2_000);

pub(crate) fn run(input: &[u8]) {
    let (summary, peak) = memory::peak(|| validate(input));
    assert!(peak <= MEMORY.0 + MEMORY.1 * input.len(), "checking {} bytes took {peak}", input.len());
    let walked = inspect(input);
    match &summary {
        Ok(summary) => assert_eq!(walked.as_ref(), Ok(summary)),
        // What the walk lets through and the library does not.
        Err(UpdateError::Library) => assert!(walked.is_ok()),
        Err(error) => assert_eq!(walked, Err(*error)),
    }
    // What says nothing is not kept.
    if let Some(summary) = summary.ok().filter(|summary| !summary.is_empty()) {
        let ((), peak) = memory::peak(|| keep(input, &summary));
        assert!(peak <= MEMORY.0 + MEMORY.1 * input.len(), "keeping {} bytes took {peak}", input.len());
    }
}

/// Does all that is done with an update that was let in.
pub(crate) fn keep(update: &[u8], summary: &Summary) {
    let parts = || vec![Bytes::from_static(DOCUMENT), Bytes::copy_from_slice(update)];
    let mut replica = Replica::new(None, parts());
    let state_vector = replica.state_vector().expect("a state vector");
    let all = replica.diff(&[0]).expect("the document");
    let merged = validate(&all).expect("what is merged can be sent");
    assert_eq!(merged.encode_state_vector(), state_vector);
    assert!(all.len() <= GROWTH * (DOCUMENT.len() + update.len()), "{} of {}", all.len(), update.len());

    // Who has everything gets nothing new.
    let news = replica.diff(&state_vector).expect("what is missing");
    let news = inspect(&news).expect("an update");
    assert!(merged.gaps || news.structs == 0, "{news:?} beyond {merged:?}");
    // What is known changes nothing.
    let again = Replica::new(Some(all.clone()), parts()).diff(&[0]).expect("the document");
    let again = validate(&again).expect("an update");
    assert_eq!(covered(&again), covered(&merged));
    for section in &summary.clients {
        let covers = |known: &Section| known.client == section.client && known.covers >= section.covers;
        assert!(section.covers == 0 || merged.clients.iter().any(covers), "{section:?} in {merged:?}");
    }

    let snapshot = compact(parts()).expect("a snapshot");
    let compacted = validate(&snapshot).expect("a snapshot can be sent");
    assert_eq!(compacted.encode_state_vector(), state_vector);
    assert!(snapshot.len() <= GROWTH * all.len(), "{} of {}", snapshot.len(), all.len());
    compact(vec![snapshot.clone()]).expect("a snapshot of a snapshot");

    let shown = to_json(&all);
    if !merged.gaps {
        assert_eq!(shown.is_ok(), to_json(&snapshot).is_ok() && shown.is_ok());
    }
    if let Ok(Some(edit)) = revert(&all, DOCUMENT, 77) {
        validate(&edit).expect("an edit can be sent");
    }
}

/// Up to where each client's structs are all there, by client.
pub(crate) fn covered(summary: &Summary) -> Vec<(u64, u64)> {
    let sections = summary.clients.iter().map(|section| (section.client, section.covers));
    let mut covered: Vec<_> = sections.filter(|(_, covers)| *covers > 0).collect();
    covered.sort_unstable();
    covered
}
