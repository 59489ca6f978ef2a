//! State vectors: what passes the door is answered.

use crate::input::Input;
use crate::update::{DOCUMENT, GROWTH};
use bytes::Bytes;
use yonder_core::replica::{Replica, validate};
use yonder_core::update::{UpdateError, read_state_vector};
use yonder_core::wire::put_var_uint;

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let update = input.part();
    let state_vector = input.rest();
    let known = read_state_vector(state_vector);
    if let Ok(known) = &known {
        let mut written = Vec::new();
        put_var_uint(&mut written, known.len() as u64);
        for (client, clock) in known.iter() {
            put_var_uint(&mut written, *client);
            put_var_uint(&mut written, *clock);
        }
        assert_eq!(read_state_vector(&written).as_ref(), Ok(known));
    }
    // Of a document of yjs, and of one that a peer added to.
    let mut parts = vec![Bytes::from_static(DOCUMENT)];
    answer(parts.clone(), state_vector, &known);
    if validate(update).is_ok_and(|summary| !summary.is_empty()) {
        parts.push(Bytes::copy_from_slice(update));
        answer(parts, state_vector, &known);
    }
}

fn answer(
    parts: Vec<Bytes>,
    state_vector: &[u8],
    known: &Result<yonder_core::collections::Map<u64, u64>, UpdateError>,
) {
    let mut replica = Replica::new(None, parts);
    let answer = replica.diff(state_vector);
    let Ok(known) = known else {
        assert!(answer.is_err());
        return;
    };
    let answer = answer.expect("an answer");
    let summary = validate(&answer).expect("an answer can be sent");
    // Nothing is told again that the peer has.
    for section in summary.clients {
        assert!(section.end > known.get(&section.client).copied().unwrap_or_default(), "{section:?}");
    }
    let all = replica.diff(&[0]).expect("the document");
    assert!(answer.len() <= GROWTH * all.len(), "{} of {}", answer.len(), all.len());
}
