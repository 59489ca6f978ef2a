//! What requests cost, in operations of the store.

use crate::store::*;
use yonder_core::kv::Cost;
use yonder_core::listed::Listed;
use yonder_core::log::{LogOp, Offset};

/// Reads, writes, lists and deletes.
fn cost(log: &Listed<Store>, request: LogOp) -> [u64; 4] {
    let (reply, Cost { reads, writes, lists, deletes, counts, .. }) = run(log, 1, request);
    reply.unwrap();
    assert_eq!(counts, 0);
    [reads, writes, lists, deletes]
}

#[test]
fn appends_polls_and_loads_cost_what_the_documentation_says() {
    let store = Store::new();
    let log = store.log();
    let append = |n| LogOp::Append { updates: vec![edit(n)] };
    assert_eq!(cost(&log, append(1)), [0, 2, 1, 0], "the first: the index as well");
    for n in 2..=24 {
        assert_eq!(cost(&log, append(n)), [0, 1, 0, 0]);
    }
    let poll = |log: &Listed<Store>| {
        let since = load(log, Offset::START).tail.end;
        cost(log, LogOp::Load { since })
    };
    let cold = || cost(&store.log(), LogOp::Load { since: Offset::START });
    assert_eq!((poll(&log), cold()), ([0, 0, 1, 0], [24, 0, 1, 0]));
    // Lists, reads, the snapshot, read back; lists the parts.
    assert_eq!(cost(&log, LogOp::Compact { upto: Offset::END }), [25, 1, 2, 0]);
    assert_eq!((poll(&log), cold()), ([0, 0, 1, 0], [1, 0, 1, 0]));
    assert_eq!(cost(&store.log(), LogOp::Load { since: Offset::END }), [1, 0, 1, 0]);
    for n in 25..=48 {
        cost(&log, append(n));
    }
    assert_eq!(cold(), [1 + 24, 0, 1, 0]);
    store.wait(60_000);
    assert_eq!(cost(&log, LogOp::Compact { upto: Offset::END }), [26, 1, 2, 24]);
    assert_eq!(cold(), [1, 0, 1, 0]);
}

#[test]
fn large_values_cost_one_more_for_each_part_and_are_not_read_by_polls() {
    let store = Store::new();
    let log = store.log();
    assert_eq!(cost(&log, LogOp::Append { updates: vec![large(1, 20_000_000)] }), [0, 1 + 1 + 21, 1, 0]);
    let cold = || cost(&store.log(), LogOp::Load { since: Offset::START });
    assert_eq!(cold(), [1 + 21, 0, 1, 0]);
    cost(&log, LogOp::Append { updates: vec![edit(2)] });
    cost(&log, LogOp::Compact { upto: Offset::END });
    assert_eq!(cold(), [1 + 21, 0, 1, 0]);
    let (_, polled) = run(&store.log(), 1, LogOp::Load { since: load(&log, Offset::START).tail.end });
    assert_eq!((polled.reads, polled.lists), (1, 1));
    assert!(polled.bytes_read < 200, "{}", polled.bytes_read);
}
