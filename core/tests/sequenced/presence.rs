//! Who is there: writers of one value take turns.

use crate::store::*;
use bytes::Bytes;
use std::rc::Rc;
use yonder_core::log::{LogError, LogOp, LogReply, PresencePart};

const PART: PresencePart = PresencePart::Default;

fn read(instance: &Instance) -> Option<Bytes> {
    match instance.ask(LogOp::ReadPresence(PART)) {
        Ok(LogReply::Presence(state)) => state,
        Ok(other) => panic!("{other:?}"),
        Err(error) => panic!("{error:?}"),
    }
}

fn write(instance: &Instance, state: &'static str) -> Result<bool, LogError> {
    let state = Bytes::from_static(state.as_bytes());
    instance.ask(LogOp::WritePresence { part: PART, state }).map(|reply| {
        let LogReply::Done(done) = reply else { panic!("{reply:?}") };
        done
    })
}

/// An instance that has read what is there.
fn informed(store: &Rc<Store>) -> Instance {
    let instance = store.instance();
    read(&instance);
    instance
}

#[test]
fn who_has_read_what_stands_there_writes_at_once() {
    let store = Store::new();
    for state in ["one", "two", "three"] {
        assert_eq!(write(&informed(&store), state), Ok(true));
        assert_eq!(read(&store.instance()).unwrap(), state);
    }
    let cost = informed(&store).cost(LogOp::WritePresence { part: PART, state: Bytes::from_static(b"four") });
    assert_eq!((cost.counts, cost.writes, cost.reads), (1, 1, 0));
}

#[test]
fn who_has_read_what_another_replaced_reads_again() {
    let store = Store::new();
    let (one, two) = (informed(&store), informed(&store));
    assert_eq!(write(&one, "one"), Ok(true));
    assert_eq!(write(&two, "two"), Ok(false), "it does not know of the first");
    assert_eq!(read(&two).unwrap(), "one");
    assert_eq!(write(&two, "one, two"), Ok(true));
    assert_eq!(write(&informed(&store), "one, two, three"), Ok(true), "no turn is left over");
}

#[test]
fn they_write_in_the_order_of_their_turns() {
    let store = Store::new();
    let all: Vec<_> = (0..4).map(|_| informed(&store)).collect();
    assert_eq!(write(&all[0], "0"), Ok(true));
    for later in &all[1..] {
        assert_eq!(write(later, "-"), Ok(false));
    }
    for (index, state) in [(3, "-"), (2, "-"), (1, "0, 1"), (3, "-"), (2, "0, 1, 2"), (3, "0, 1, 2, 3")] {
        read(&all[index]);
        assert_eq!(write(&all[index], state), Ok(state != "-"), "{index} {state}");
    }
    assert_eq!(read(&all[0]).unwrap(), "0, 1, 2, 3");
}

#[test]
fn whoever_is_gone_is_waited_for_a_moment() {
    let store = Store::new();
    let (gone, two, three) = (informed(&store), informed(&store), informed(&store));
    store.plan(|name| if name.starts_with("set a") { Fault::Failed } else { Fault::None });
    assert_eq!(write(&gone, "gone"), Err(LogError::Unavailable));
    store.heal();
    assert_eq!((write(&two, "-"), write(&three, "-")), (Ok(false), Ok(false)));
    store.pass(499);
    assert_eq!((write(&two, "-"), write(&three, "-")), (Ok(false), Ok(false)));
    store.pass(1);
    assert_eq!(write(&two, "two"), Ok(true));
    assert_eq!(write(&three, "-"), Ok(false), "it waits for the second as well");
    assert_eq!(read(&three).unwrap(), "two");
    assert_eq!(write(&three, "two, three"), Ok(true));
    // It comes back, and has missed its turn.
    assert_eq!(read(&gone).unwrap(), "two, three");
    assert_eq!(write(&gone, "two, three, gone"), Ok(true));
    assert_eq!(write(&informed(&store), "everyone"), Ok(true));
}

#[test]
fn a_write_that_failed_keeps_its_turn() {
    let store = Store::new();
    let one = informed(&store);
    for fault in [Fault::Failed, Fault::Lost] {
        store.plan(move |name| if name.starts_with("set a") { fault } else { Fault::None });
        assert_eq!(write(&one, "one"), Err(LogError::Unavailable));
        store.heal();
        read(&one);
        assert_eq!(write(&one, "one"), Ok(true), "{fault:?}");
        assert_eq!(write(&informed(&store), "two"), Ok(true), "{fault:?}");
        read(&one);
    }
}

#[test]
fn a_counter_that_lost_its_place_is_set_right() {
    let store = Store::new();
    for _ in 0..5 {
        assert_eq!(write(&informed(&store), "before"), Ok(true));
    }
    store.counters.borrow_mut().clear();
    let (one, two) = (informed(&store), informed(&store));
    assert_eq!(write(&one, "one"), Ok(true));
    assert_eq!(write(&two, "-"), Ok(false));
    read(&two);
    assert_eq!(write(&two, "two"), Ok(true));
}

#[test]
fn what_is_erased_is_erased_whoever_writes() {
    let store = Store::new();
    let one = informed(&store);
    assert_eq!(write(&one, ""), Ok(true));
    assert!(store.values.borrow().is_empty(), "nothing was there");
    assert_eq!(write(&one, "one"), Ok(true));
    let two = informed(&store);
    assert_eq!(write(&informed(&store), "late"), Ok(true));
    assert_eq!(write(&two, ""), Ok(true));
    assert_eq!(read(&two), None);
    assert_eq!(write(&two, "anew"), Ok(true));
    assert_eq!(read(&one).unwrap(), "anew");
}
