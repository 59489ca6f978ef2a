//! Values and manifests of key-value stores: what is written is read, and what was changed in one place is refused.

use crate::input::Input;
use crate::memory;
use bytes::Bytes;
use yonder_core::Millis;
use yonder_core::kv::entry::{Body, Covers, Entry, Layer, Value};

/// Memory that reading a value may take: a part that is always there, and for each byte.
const MEMORY: (usize, usize) = (4 << 10, 64);

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    if input.below(2) == 0 {
        foreign(input.rest());
    } else {
        ours(&mut input);
    }
}

/// A value as nobody wrote it, with a sum that holds, and parts that are none.
fn foreign(bytes: &[u8]) {
    let _ = Value::decode(&Bytes::copy_from_slice(bytes));
    let value = Bytes::from([bytes, &crc32fast::hash(bytes).to_le_bytes()].concat());
    let (read, peak) = memory::peak(|| Value::decode(&value));
    assert!(peak <= MEMORY.0 + MEMORY.1 * value.len(), "reading {} bytes took {peak}", value.len());
    let Ok(Value { time, covers, body }) = read else { return };
    match body {
        Body::Here(updates) => {
            let entry = Entry { time, covers, updates };
            let again = Value::decode(&entry.encode(usize::MAX, 1).value).expect("what is written is read");
            assert_eq!((again.time, again.covers), (time, entry.covers));
            assert_eq!(again.body, Body::Here(entry.updates));
        }
        Body::Parts(parts) => {
            let bodies = [vec![], vec![value.clone()], vec![Bytes::new(); parts.count]];
            assert!(
                bodies
                    .iter()
                    .all(|body| parts.join(body).is_err() || parts.bytes == body.concat().len() as u64)
            );
        }
    }
}

fn ours(input: &mut Input<'_>) {
    let names = |input: &mut Input<'_>| (0..input.below(5)).map(|_| input.number()).collect::<Vec<_>>();
    let covers = (input.below(2) == 1).then(|| Covers {
        names: names(input),
        layers: (0..input.below(4)).map(|_| Layer { id: input.number(), names: names(input) }).collect(),
    });
    let time = Millis(input.number() & ((1 << 53) - 1));
    let (inline, part) = (input.number() as usize, input.below(64));
    let (at, by) = (input.number() as usize, input.byte() | 1);
    let mut updates = Vec::new();
    while !input.is_empty() {
        updates.push(input.bytes());
    }
    let entry = Entry { time, covers, updates };
    let encoded = entry.encode(inline, part);
    let value = Value::decode(&encoded.value).expect("what is written is read");
    assert_eq!((value.time, value.covers), (entry.time, entry.covers));
    match value.body {
        Body::Here(updates) => assert!(updates == entry.updates && encoded.parts.is_empty()),
        Body::Parts(parts) => {
            assert_eq!(parts.join(&encoded.parts).as_ref(), Ok(&entry.updates));
            let mut changed = encoded.parts.clone();
            let which = at % changed.len();
            changed[which] = change(&changed[which], at, by);
            assert!(parts.join(&changed).is_err(), "part {which} was changed");
        }
    }
    assert!(Value::decode(&change(&encoded.value, at, by)).is_err(), "the value was changed at {at}");
}

fn change(bytes: &Bytes, at: usize, by: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    bytes[at] ^= by;
    bytes.into()
}
