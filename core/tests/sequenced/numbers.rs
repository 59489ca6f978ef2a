//! Numbers that are pending, void, or given twice; places; and what each operation costs.

use crate::store::*;
use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use yonder_core::kv::{Cost, KvConfig};
use yonder_core::log::{Life, LogOp, LogReply, Offset};

/// An append that has its number and has written nothing.
fn half(instance: &Instance, client: u64) -> Task {
    let store_op = instance.op();
    let mut task = instance.start(store_op, append(&[edit(client)]));
    // The instance knows the document: number, look, and then the write would be done.
    for _ in 0..3 {
        assert!(poll(&mut task).is_pending());
    }
    task
}

#[test]
fn a_slow_writer_delays_nobody_and_is_told_of_once() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    one.append(&[edit(1)]);
    let slow = half(&one, 2);
    two.append(&[edit(3)]);
    let loaded = two.all();
    assert_eq!(clients(&loaded), [1, 3].into());
    let place = loaded.tail.end;
    assert_eq!(place.marks().len(), 1);
    assert_eq!(two.load(&place).tail.end, place);
    finish(slow).0.unwrap();
    for instance in [&two, &store.instance()] {
        let news = instance.load(&place);
        assert_eq!(clients(&news), [2].into());
        assert!(news.tail.end.marks().is_empty() && news.tail.end.to_string() > place.to_string());
    }
}

#[test]
fn a_writer_that_is_too_slow_takes_another_number() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    one.append(&[edit(1)]);
    let slow = half(&one, 2);
    two.append(&[edit(3)]);
    let place = two.all().tail.end;
    store.pass(1_000_000);
    let void = two.load(&place).tail.end;
    assert!(void.marks().is_empty() && void.to_string() > place.to_string());
    let (answer, _) = finish(slow);
    let Ok(LogReply::Appended(_)) = answer else { panic!("{answer:?}") };
    assert_eq!(clients(&two.load(&void)), [2].into());
    assert_eq!(store.instance().clients(), [1, 2, 3].into());
}

#[test]
fn a_retry_stores_the_same_bytes_under_the_same_number_for_as_long_as_that_holds() {
    for (fault, wait, copies) in [
        (Fault::Failed, 0, 1),
        (Fault::Lost, 0, 1),
        (Fault::Late, 0, 1),
        (Fault::Lost, 40_000, 2),
        (Fault::Failed, 40_000, 1),
    ] {
        let store = Store::new();
        let one = store.instance();
        one.append(&[edit(1)]);
        store.plan(move |op| if op.starts_with("set e") { fault } else { Fault::None });
        let op = one.op();
        assert!(one.ask_as(op, append(&[edit(2)])).is_err());
        store.heal();
        store.pass(wait);
        one.ask_as(op, append(&[edit(2)])).unwrap();
        // What is late is the same again.
        store.land();
        let all = store.instance().all();
        assert_eq!(
            all.updates.iter().filter(|(_, update)| *update == edit(2)).count(),
            copies,
            "{fault:?} {wait}"
        );
    }
}

#[test]
fn a_counter_that_lost_its_place_is_noticed_and_nothing_is_overwritten() {
    for back in 0..=30 {
        for is_known in [false, true] {
            let store = Store::new();
            let one = store.instance();
            for client in 1..=20 {
                one.append(&[edit(client)]);
            }
            one.compact();
            for client in 21..=30 {
                one.append(&[edit(client)]);
            }
            let place = one.all().tail.end;
            store.counters.borrow_mut().values_mut().for_each(|counter| *counter -= back);
            let writer = if is_known { one.clone() } else { store.instance() };
            writer.append(&[edit(31)]);
            writer.append(&[edit(32)]);
            assert_eq!(store.instance().clients(), (1..=32).collect(), "{back}");
            assert_eq!(clients(&store.instance().load(&place)), [31, 32].into(), "{back}");
        }
    }
}

#[test]
fn a_reader_is_set_right_when_the_counter_lost_its_place() {
    for back in 1..=9 {
        let store = Store::new();
        let one = store.instance();
        (1..=10).for_each(|client| _ = one.append(&[edit(client)]));
        store.counters.borrow_mut().values_mut().for_each(|counter| *counter -= back);
        assert_eq!(store.instance().clients(), (1..=10).collect());
        assert_eq!(store.counters.borrow().values().copied().max(), Some(10));
    }
}

#[test]
fn a_writer_whose_counter_another_sets_right_stores_nothing_behind_its_readers() {
    for polls in 0..=12 {
        let store = Store::new();
        let one = store.instance();
        (1..=3).for_each(|client| _ = one.append(&[edit(client)]));
        drop(half(&one, 4));
        (5..=8).for_each(|client| _ = one.append(&[edit(client)]));
        store.pass(1_000_000);
        let place = one.all().tail.end;
        assert!(place.marks().is_empty());
        store.counters.borrow_mut().values_mut().for_each(|counter| *counter = 3);
        let fresh = store.instance();
        let mut slow = fresh.start(fresh.op(), append(&[edit(10)]));
        for _ in 0..polls {
            assert!(poll(&mut slow).is_pending());
        }
        store.instance().append(&[edit(11)]);
        finish(slow).0.unwrap();
        assert_eq!(clients(&store.instance().load(&place)), [10, 11].into(), "{polls}");
    }
}

#[test]
fn what_is_stored_while_a_reader_finds_nothing_is_told_to_it_later() {
    for polls in 0..=20 {
        let store = Store::new();
        let dead = store.instance();
        let mut task = dead.start(dead.op(), append(&[edit(1)]));
        while store.counters.borrow().is_empty() {
            assert!(poll(&mut task).is_pending());
        }
        drop(task);
        let one = store.instance();
        let place = one.all().tail.end;
        store.pass(10_000);
        let mut load = one.start(one.op(), LogOp::Load { since: place });
        let done = (0..polls).find_map(|_| match poll(&mut load) {
            Poll::Ready((answer, _)) => Some(answer),
            Poll::Pending => None,
        });
        one.append(&[edit(2)]);
        let answer = done.unwrap_or_else(|| finish(load).0);
        let Ok(LogReply::Loaded(loaded)) = answer else { panic!("{answer:?}") };
        let mut told = clients(&loaded);
        told.extend(clients(&one.load(&loaded.tail.end)));
        assert_eq!(told, [2].into(), "{polls}");
    }
}

#[test]
fn what_is_stored_in_a_dead_generation_is_deleted_by_a_later_compaction() {
    let store = Store::new();
    let one = store.instance();
    one.append(&[edit(1)]);
    let late = half(&one, 2);
    store.instance().delete();
    let _ = finish(late);
    let dead = || store.keys('e').into_iter().filter(|key| key.contains("__00000-")).count();
    assert_eq!(dead(), 1);
    store.instance().create(&[edit(3)]);
    for client in [4, 5] {
        store.instance().append(&[edit(client)]);
        store.pass(1_000_000);
        store.instance().compact();
    }
    assert_eq!((dead(), store.instance().clients()), (0, [3, 4, 5].into()));
}

#[test]
fn more_holes_than_fit_are_told_again_and_an_idle_reader_is_told_nothing() {
    let store = Store::new();
    let one = store.instance();
    one.append(&[edit(1)]);
    let mut slow: Vec<_> = (0..300).map(|client| half(&one, 1_000 + client)).collect();
    one.append(&[edit(2)]);
    let mut place = one.all().tail.end;
    let mut told = std::collections::BTreeSet::new();
    while let Some(task) = slow.pop() {
        assert_eq!(one.load(&place).tail.end, place);
        assert!(place.to_string().len() <= 250);
        finish(task).0.unwrap();
        let news = store.instance().load(&place);
        told.extend(clients(&news));
        assert!(news.tail.end > place && news.tail.end.to_string() > place.to_string());
        assert!(news.updates.is_sorted_by_key(|(offset, _)| offset.clone()));
        place = news.tail.end;
    }
    assert!(told.is_superset(&(1_000..1_300).collect()));
    assert!(place.marks().is_empty());
}

#[test]
fn what_each_operation_costs() {
    let store = Store::new();
    let one = store.instance();
    let count = |cost: Cost| (cost.counts, cost.reads, cost.writes, cost.deletes);
    // The first of all: head, tombstone, index, and what is behind its number are looked for; the index is written.
    assert_eq!(count(one.cost(append(&[edit(1)]))), (1, 4 + 8, 2, 0));
    assert_eq!(count(one.cost(append(&[edit(2)]))), (1, 1, 1, 0));
    store.pass(2_000);
    assert_eq!(count(one.cost(append(&[edit(3)]))), (1, 2, 1, 0));
    let end = one.all().tail.end;
    for since in [&end, &Offset::END] {
        assert_eq!(count(one.cost(LogOp::Load { since: since.clone() })), (1, 0, 0, 0));
    }
    let two = store.instance();
    two.append(&[edit(4)]);
    assert_eq!(count(one.cost(LogOp::Load { since: end.clone() })), (1, 1, 0, 0));
    for tail in 0..20 {
        // Head, tombstone, the numbers, and those behind them.
        let cost = store.instance().cost(LogOp::Load { since: Offset::START });
        assert_eq!(count(cost), (1, 2 + 4 + tail + 8, 0, 0));
        one.append(&[edit(5 + tail)]);
    }
    one.compact();
    for tail in 0..20 {
        let cost = store.instance().cost(LogOp::Load { since: Offset::START });
        let parts = cost.bytes_read / 400;
        assert!(parts <= 3, "{cost:?}");
        assert_eq!((cost.counts, cost.writes), (1, 0));
        // Head, tombstone, snapshot and its part, the numbers, and those behind them.
        assert!((2 + 2 + tail + 8..2 + 4 + tail + 8).contains(&cost.reads), "{tail} {cost:?}");
        one.append(&[edit(50 + tail)]);
    }
    // An instance that knows nothing appends without reading the document.
    assert_eq!(count(store.instance().cost(append(&[edit(99)]))), (1, 3 + 8, 1, 0));
}

#[test]
fn operations_of_one_instance_share_what_it_knows() {
    let store = Store::new();
    let one = store.instance();
    let mut tasks: Vec<_> = (1..=9).map(|client| one.start(one.op(), append(&[edit(client)]))).collect();
    let done = Rc::new(Cell::new(0));
    while !tasks.is_empty() {
        tasks.retain_mut(|task| match poll(task) {
            Poll::Ready((answer, _)) => {
                answer.unwrap();
                done.set(done.get() + 1);
                false
            }
            Poll::Pending => true,
        });
    }
    assert_eq!(
        (done.get(), one.clients(), store.instance().clients()),
        (9, (1..=9).collect(), (1..=9).collect())
    );
}

#[test]
fn who_follows_asks_for_the_counter_only_and_is_told_of_a_deletion_all_the_same() {
    let store = Store::new();
    let config = KvConfig { trust: 0, ..config() };
    let (one, other) = (store.instance_with(0, config.clone()), store.instance_with(0, config));
    let end = one.append(&[edit(1)]).end;
    let follow = || LogOp::Follow { since: end.clone() };
    let life = |answer: Answer| match answer {
        Ok(LogReply::Loaded(loaded)) => loaded.tail.life,
        other => panic!("{other:?}"),
    };
    let count = |cost: Cost| (cost.counts, cost.reads, cost.writes, cost.deletes);
    assert_eq!(life(one.ask(follow())), Life::Live);
    assert_eq!(count(one.cost(follow())), (1, 0, 0, 0));
    assert_eq!(count(one.cost(LogOp::Load { since: end.clone() })), (1, 1, 0, 0));
    other.delete();
    assert_eq!(life(one.ask(follow())), Life::Deleted, "the counter has moved");
    let end = other.create(&[]).1.end;
    assert_eq!(life(one.ask(LogOp::Load { since: end.clone() })), Life::Live);
    other.delete();
    assert_eq!(life(one.ask(LogOp::Load { since: end })), Life::Deleted);
}
