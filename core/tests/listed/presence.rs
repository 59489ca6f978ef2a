//! Who is there: a value that is replaced by those who have read it.

use crate::store::*;
use bytes::Bytes;
use yonder_core::listed::Listed;
use yonder_core::log::{LogOp, LogReply, PresencePart};

const PART: PresencePart = PresencePart::Default;

fn read(log: &Listed<Store>) -> Option<Bytes> {
    let reply = run(log, 1, LogOp::ReadPresence(PART)).0.unwrap();
    let LogReply::Presence(state) = reply else { panic!("{reply:?}") };
    state
}

fn write(log: &Listed<Store>, state: &'static str) -> bool {
    let state = Bytes::from_static(state.as_bytes());
    let reply = run(log, 1, LogOp::WritePresence { part: PART, state }).0.unwrap();
    let LogReply::Done(done) = reply else { panic!("{reply:?}") };
    done
}

/// An instance that has read what is there.
fn informed(store: &Store) -> Listed<Store> {
    let log = store.log();
    read(&log);
    log
}

#[test]
fn who_has_read_what_another_replaced_reads_again() {
    let store = Store::new();
    let (one, two) = (informed(&store), informed(&store));
    assert!(write(&one, "one"));
    assert!(!write(&two, "two"), "there was nobody when it looked");
    assert_eq!(read(&two).unwrap(), "one");
    assert!(write(&two, "one, two"));
    assert!(!write(&one, "one is back"), "its own is not there any more");
    assert_eq!(read(&store.log()).unwrap(), "one, two");
}

#[test]
fn what_was_read_is_good_for_one_write() {
    let store = Store::new();
    let log = informed(&store);
    assert!(write(&log, "first"));
    assert!(!write(&log, "second"));
    assert_eq!(read(&log).unwrap(), "first");
    assert!(write(&log, "second"));
}

#[test]
fn nobody_left_is_no_value() {
    let store = Store::new();
    assert!(write(&informed(&store), "one"));
    assert!(write(&informed(&store), ""));
    assert_eq!(read(&store.log()), None);
    assert_eq!(store.keys(), [""; 0]);
}

#[test]
fn where_the_store_knows_no_revisions_the_last_one_writes() {
    let store = Store { revises: false, ..Store::new() };
    let (one, two) = (informed(&store), informed(&store));
    assert!(write(&one, "one"));
    assert!(write(&two, "two"));
    assert_eq!(read(&store.log()).unwrap(), "two");
}
