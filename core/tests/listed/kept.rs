//! Whatever is cut off, fails or comes twice: what was acknowledged is there, and what was deleted is not.

use crate::store::*;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yonder_core::kv::KvConfig;
use yonder_core::listed::list_documents;
use yonder_core::log::{Life, LogError, LogOp, LogReply, Offset, Version};
use yonder_core::{DocName, Millis, OpId};

/// A document with a snapshot, and updates behind it.
fn written(store: &Store) -> BTreeSet<u64> {
    let log = store.log();
    for n in 1..=5 {
        append(&log, n, &[edit(n)]).unwrap();
    }
    compact(&log);
    for n in 6..=9 {
        append(&log, n, &[edit(n)]).unwrap();
    }
    (1..=9).collect()
}

fn requests() -> Vec<LogOp> {
    let version = Version { id: "1".into(), name: "one".into(), created: START, bytes: 1 };
    vec![
        LogOp::Append { updates: vec![edit(20), large(21, 2_500_000)] },
        LogOp::Compact { upto: Offset::END },
        LogOp::Create { updates: vec![edit(22)] },
        LogOp::PutVersion { version, body: edit(1), most: 5 },
        LogOp::Load { since: Offset::START },
        LogOp::Delete,
    ]
}

#[test]
fn a_request_that_is_cut_off_anywhere_loses_nothing() {
    for request in requests() {
        for (cut, done_unheard) in (1..60).flat_map(|cut| [(cut, false), (cut, true)]) {
            let mut store = Store::new();
            let mut expected = written(&store);
            store.wait(KvConfig::default().grace + 1);
            store.done_unheard = done_unheard;
            let instance = Store { left: Rc::new(cut.into()), ..store.clone() };
            let answered = drive(instance.log().run(OpId(1), request.clone()));
            let later = Store::of(Rc::clone(&store.data)).log();
            let loaded = load(&later, Offset::START);
            if request == LogOp::Delete && loaded.tail.life == Life::Deleted {
                assert_eq!(append(&later, 2, &[edit(30)]), Err(LogError::Deleted));
            } else {
                let there = document(&later);
                if answered.is_some() && matches!(request, LogOp::Append { .. }) {
                    expected.extend([20, 21]);
                }
                assert!(there.is_superset(&expected), "{request:?} cut at {cut}: {there:?}");
                compact(&later);
                store.wait(KvConfig::default().grace + 1);
                compact(&later);
                assert_eq!(document(&later), there, "{request:?} cut at {cut}, then compacted");
            }
            if answered.is_some() {
                break;
            }
        }
    }
}

/// Two requests at once, their operations taking turns in every pattern of a few bits.
#[test]
fn two_compactions_at_once_lose_nothing_in_any_order() {
    for pattern in 0..256_u64 {
        let store = Store::new();
        let expected = written(&store);
        store.wait(KvConfig::default().grace + 1);
        let (one, two) = (store.log(), store.log());
        let (upto, mut context) = (Offset::END, Context::from_waker(Waker::noop()));
        let mut first = Box::pin(one.run(OpId(1), LogOp::Compact { upto: upto.clone() }));
        let mut second = Box::pin(two.run(OpId(1), LogOp::Compact { upto }));
        let (mut over, mut step) = ((false, false), 0);
        while over != (true, true) {
            let turn = pattern >> (step % 8) & 1 == 0;
            step += 1;
            if turn && !over.0 || over.1 {
                over.0 = over.0 || first.as_mut().poll(&mut context).is_ready();
            } else {
                over.1 = over.1 || second.as_mut().poll(&mut context).is_ready();
            }
            // A reader in the middle of it.
            if step % 5 == 0 {
                assert_eq!(document(&store.log()), expected, "pattern {pattern:08b} at {step}");
            }
        }
        drop((first, second));
        compact(&store.log());
        store.wait(KvConfig::default().grace + 1);
        compact(&store.log());
        assert_eq!(document(&store.log()), expected);
    }
}

#[test]
fn a_reader_that_is_overtaken_by_a_compaction_is_told_everything_all_the_same() {
    for steps in 1..30 {
        let store = Store::new();
        let expected = written(&store);
        let log = store.log();
        let mut reading = Box::pin(log.run(OpId(1), LogOp::Load { since: Offset::START }));
        let mut context = Context::from_waker(Waker::noop());
        let mut answer = None;
        for _ in 0..steps {
            if let Poll::Ready(reply) = reading.as_mut().poll(&mut context) {
                answer = Some(reply);
                break;
            }
        }
        let other = store.log();
        compact(&other);
        store.wait(KvConfig::default().grace + 1);
        compact(&other);
        compact(&other);
        let (reply, _) = answer.unwrap_or_else(|| drive(reading).unwrap());
        let Ok(LogReply::Loaded(loaded)) = reply else { panic!("{reply:?} after {steps}") };
        assert_eq!(told(&loaded), expected);
    }
}

#[test]
fn a_write_that_failed_and_was_done_is_stored_once_when_it_is_tried_again() {
    let store = Store::new();
    let log = store.log();
    append(&log, 1, &[edit(1)]).unwrap();
    for done in [true, false] {
        store.fails.set(Some(done));
        assert_eq!(append(&log, 2, &[edit(2)]), Err(LogError::Unavailable));
    }
    store.fails.set(None);
    store.wait(5_000);
    assert_eq!(append(&log, 2, &[edit(2)]).unwrap().updates, 2);
    assert_eq!(store.keys().iter().filter(|key| key.starts_with('d')).count(), 2);
    // Another room of this object counts its requests anew.
    store.fails.set(Some(false));
    assert!(append(&log, 3, &[edit(3)]).is_err());
    store.fails.set(None);
    append(&log, 3, &[edit(4)]).unwrap();
    assert_eq!(document(&store.log()), BTreeSet::from([1, 2, 4]));
}

#[test]
fn a_deleted_document_stays_deleted_whatever_is_written_to_it_late() {
    let store = Store::new();
    written(&store);
    let (late, other) = (store.log(), store.log());
    load(&late, Offset::END);
    let put = LogOp::PutVersion {
        version: Version { id: "9".into(), name: "nine".into(), created: START, bytes: 3 },
        body: large(1, 3_000_000),
        most: 9,
    };
    assert_eq!(run(&other, 1, put).0, Ok(LogReply::Done(true)));
    let Ok(LogReply::Deleted { existed: true, tail }) = run(&other, 1, LogOp::Delete).0 else { panic!() };
    assert_eq!(tail.life, Life::Deleted);
    // It believes that the document is there.
    append(&late, 1, &[edit(50)]).unwrap();
    for log in [&other, &store.log()] {
        assert_eq!(load(log, Offset::START).tail.life, Life::Deleted);
        assert_eq!(append(log, 2, &[edit(51)]), Err(LogError::Deleted));
    }
    store.wait(KvConfig::default().trust);
    assert_eq!(append(&late, 2, &[edit(52)]), Err(LogError::Deleted));
    for existed in [false, true] {
        let created = run(&other, 3, LogOp::Create { updates: vec![edit(60)] }).0;
        assert!(matches!(created, Ok(LogReply::Created { existed: was, .. }) if was == existed));
    }
    assert_eq!(document(&store.log()), BTreeSet::from([60]));
    compact(&other);
    // What was written late is collected, and all that was there before.
    let keys = store.keys();
    assert!(
        keys.iter().all(|key| key.contains("__00001") || key.ends_with("00000t") || key.starts_with('i')),
        "{keys:?}"
    );
    assert_eq!(drive(list_documents(&store, "", "", 10)).unwrap(), Ok(vec![DocName::new("a/doc").unwrap()]));
}

#[test]
fn a_document_is_made_and_deleted_many_times() {
    let store = Store::new();
    let log = store.log();
    for n in 1..=30 {
        assert!(matches!(
            run(&log, 1, LogOp::Create { updates: vec![edit(n)] }).0,
            Ok(LogReply::Created { existed: false, .. })
        ));
        append(&log, 2, &[edit(100 + n)]).unwrap();
        assert_eq!(document(&store.log()), BTreeSet::from([n, 100 + n]));
        assert!(matches!(run(&log, 3, LogOp::Delete).0, Ok(LogReply::Deleted { existed: true, .. })));
        assert!(matches!(run(&log, 3, LogOp::Delete).0, Ok(LogReply::Deleted { existed: false, .. })));
    }
    assert!(store.keys().len() < 15, "{:?}", store.keys());
}

#[test]
fn what_is_damaged_or_missing_fails_and_is_never_taken_for_nothing() {
    let store = Store::new();
    written(&store);
    for key in store.keys().into_iter().filter(|key| key.starts_with('d')) {
        let value = store.data.values.borrow_mut().insert(key.clone(), Bytes::from_static(b"y")).unwrap();
        let needed = document_fails(&store);
        assert!(needed.is_none_or(|error| error == LogError::Corrupt));
        let covered = needed.is_none();
        store.data.values.borrow_mut().insert(key.clone(), value);
        assert!(document(&store.log()).len() == 9, "{key} {covered}");
    }
}

fn document_fails(store: &Store) -> Option<LogError> {
    run(&store.log(), 1, LogOp::Load { since: Offset::START }).0.err()
}

#[test]
fn versions_are_kept_told_and_deleted() {
    let store = Store::new();
    written(&store);
    let log = store.log();
    let version = |id: &str, created: u64| Version {
        id: id.into(),
        name: format!("name of {id}"),
        created: Millis(created),
        bytes: 2_000_009,
    };
    let put = |id: &str, created| LogOp::PutVersion {
        version: version(id, created),
        body: large(7, 2_000_000),
        most: 2,
    };
    for (id, created, kept) in [("a1", 5, true), ("b2", 9, true), ("c3", 7, false)] {
        assert_eq!(run(&log, 1, put(id, created)).0, Ok(LogReply::Done(kept)));
    }
    let all = run(&store.log(), 1, LogOp::ListVersions).0;
    assert_eq!(all, Ok(LogReply::Versions(vec![version("b2", 9), version("a1", 5)])));
    let read = |id: &str| run(&log, 1, LogOp::ReadVersion { id: id.into() }).0.unwrap();
    assert_eq!(read("a1"), LogReply::Version(Some(large(7, 2_000_000))));
    for id in ["c3", "", "A/b"] {
        assert_eq!(read(id), LogReply::Version(None));
    }
    for existed in [true, false] {
        assert_eq!(run(&log, 1, LogOp::DeleteVersion { id: "a1".into() }).0, Ok(LogReply::Done(existed)));
    }
    assert_eq!(run(&log, 1, LogOp::ListVersions).0, Ok(LogReply::Versions(vec![version("b2", 9)])));
    assert_eq!(store.keys().iter().filter(|key| key.starts_with(['v', 'w'])).count(), 5);
}

#[test]
fn parts_of_a_write_that_was_cut_off_are_deleted_a_day_later() {
    let store = Store::new();
    written(&store);
    let instance = Store { left: Rc::new(4.into()), ..store.clone() };
    assert!(
        drive(instance.log().run(OpId(1), LogOp::Append { updates: vec![large(5, 5_000_000)] })).is_none()
    );
    let parts = || store.keys().iter().filter(|key| key.starts_with('p')).count();
    assert_eq!(parts(), 2);
    compact(&store.log());
    assert_eq!(parts(), 2);
    store.wait(86_400_000);
    compact(&store.log());
    assert_eq!(parts(), 0);
}

/// A compactor that was cut off before it read its snapshot back, whose parts were then taken for orphans.
#[test]
fn a_snapshot_whose_parts_are_lost_is_done_without_while_what_it_covers_is_there() {
    let store = Store::new();
    append(&store.log(), 1, &[large(1, 100_000)]).unwrap();
    append(&store.log(), 1, &[edit(2)]).unwrap();
    compact(&store.log());
    let part = store.keys().into_iter().find(|key| key.starts_with('p')).unwrap();
    store.data.values.borrow_mut().remove(&part);
    let log = store.log();
    assert_eq!(document(&log), BTreeSet::from([1, 2]));
    store.wait(KvConfig::default().grace + 1);
    append(&log, 1, &[edit(3)]).unwrap();
    compact(&log);
    for log in [&log, &store.log()] {
        assert_eq!(document(log), BTreeSet::from([1, 2, 3]));
    }
    store.wait(KvConfig::default().grace + 1);
    compact(&log);
    assert_eq!(store.keys().iter().filter(|key| key.starts_with('d')).count(), 1);
    // What it covers is not there any more: an error, and not half of the document.
    let part = store.keys().into_iter().find(|key| key.starts_with('p')).unwrap();
    store.data.values.borrow_mut().remove(&part);
    assert_eq!(document_fails(&store), Some(LogError::Unavailable));
}

#[test]
fn nothing_is_deleted_for_a_snapshot_that_cannot_be_read_back() {
    let store = Store::new();
    let expected = written(&store);
    let log = store.log();
    let before: BTreeSet<_> = store.keys().into_iter().collect();
    // The snapshot's key is not known before: the second time it is hidden too.
    compact(&log);
    let new: Vec<_> = store.keys().into_iter().filter(|key| !before.contains(key)).collect();
    store.unreadable.borrow_mut().extend(new);
    store.wait(KvConfig::default().grace + 1);
    let other = store.log();
    let reply = run(&other, 1, LogOp::Compact { upto: Offset::END }).0;
    assert_eq!(reply, Err(LogError::Unavailable));
    assert!(before.iter().all(|key| store.keys().contains(key)));
    store.unreadable.borrow_mut().clear();
    assert_eq!(document(&other), expected);
}

#[test]
fn an_append_in_parts_that_took_too_long_is_not_acknowledged_and_begun_anew() {
    let store = Store::new();
    let log = store.log();
    let request = LogOp::Append { updates: vec![large(1, 2_500_000)] };
    let mut context = Context::from_waker(Waker::noop());
    let mut slow = Box::pin(log.run(OpId(1), request.clone()));
    for _ in 0..4 {
        assert!(slow.as_mut().poll(&mut context).is_pending());
    }
    store.wait(KvConfig::default().ack_within + 1);
    assert_eq!(drive(slow).unwrap().0, Err(LogError::Unavailable));
    assert_eq!(load(&store.log(), Offset::START).tail.life, Life::Absent);
    assert!(run(&log, 1, request).0.is_ok());
    let parts = || store.keys().iter().filter(|key| key.starts_with('p')).count();
    assert_eq!((document(&store.log()), parts()), (BTreeSet::from([1]), 6));
    store.wait(86_400_000);
    compact(&store.log());
    assert_eq!((document(&store.log()), parts()), (BTreeSet::from([1]), 3 + 3));
}

#[test]
fn deleting_and_making_tell_a_retry_what_the_first_try_did() {
    let store = Store::new();
    let log = store.log();
    for done in [false, true] {
        store.fails.set(Some(done));
        assert!(run(&log, 1, LogOp::Create { updates: vec![edit(1)] }).0.is_err());
        store.fails.set(None);
        let created = run(&log, 1, LogOp::Create { updates: vec![edit(1)] }).0.unwrap();
        assert!(matches!(created, LogReply::Created { existed: false, .. }));
        assert_eq!(document(&store.log()), BTreeSet::from([1]));
        store.fails.set(Some(done));
        assert!(run(&log, 2, LogOp::Delete).0.is_err());
        store.fails.set(None);
        assert!(matches!(
            run(&log, 2, LogOp::Delete).0,
            Ok(LogReply::Deleted { existed: true, tail }) if tail.life == Life::Deleted
        ));
        assert!(matches!(run(&log, 3, LogOp::Delete).0, Ok(LogReply::Deleted { existed: false, .. })));
    }
}

#[test]
fn keys_of_others_and_of_other_documents_are_left_alone() {
    let store = Store::new();
    let expected = written(&store);
    let log = store.log();
    let mine = store.keys().into_iter().find(|key| key.starts_with('d')).unwrap();
    let foreign = [format!("{mine}x"), mine.replace('d', "e"), "da__00000b".into(), "x".into(), "p".into()];
    for key in &foreign {
        store.data.values.borrow_mut().insert(key.clone(), Bytes::from_static(b"?"));
    }
    assert_eq!(document(&store.log()), expected);
    compact(&log);
    run(&log, 1, LogOp::Delete).0.unwrap();
    run(&log, 2, LogOp::Delete).0.unwrap();
    let keys = store.keys();
    assert!(foreign.iter().all(|key| keys.contains(key)), "{keys:?}");
    assert_eq!(keys.len(), foreign.len() + 1, "the tombstone: {keys:?}");
}

#[test]
fn the_catalogue_has_what_is_there_in_the_order_of_names() {
    let store = Store::new();
    let names = ["a", "Ä", "b c", "b/c", "b/d", "b-c", "zz", "日本"];
    for name in names {
        let log = yonder_core::listed::Listed::new(
            Store { page: 3, ..store.clone() },
            &DocName::new(name).unwrap(),
            KvConfig::default(),
        );
        append(&log, 1, &[edit(1)]).unwrap();
        if name == "zz" {
            run(&log, 1, LogOp::Delete).0.unwrap();
        }
    }
    let paged = Store { page: 3, ..store.clone() };
    let list = |prefix: &str, after: &str, limit| {
        let names = drive(list_documents(&paged, prefix, after, limit)).unwrap().unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(list("", "", 99), ["a", "b c", "b-c", "b/c", "b/d", "Ä", "日本"]);
    assert_eq!(list("b", "b c", 2), ["b-c", "b/c"]);
    assert_eq!(list("b/", "", 9), ["b/c", "b/d"]);
    assert_eq!(list("", "b/d", 1), ["Ä"]);
    assert!(list("", "日本", 9).is_empty() && list("", "", 0).is_empty() && list("zz", "", 9).is_empty());
}

/// Tails far longer than one compaction reads, and than a place tells singly.
#[test]
fn long_tails_are_merged_in_steps_and_lose_nothing() {
    let store = Store { page: 7, ..Store::new() };
    let log = store.log();
    for n in 1..=200 {
        store.wait(10);
        append(&log, n, &[edit(n)]).unwrap();
    }
    let expected: BTreeSet<u64> = (1..=200).collect();
    for left in [136, 72, 8, 0, 0] {
        assert_eq!(compact(&store.log()).updates, left);
        assert_eq!(document(&store.log()), expected);
    }
    for _ in 0..6 {
        store.wait(KvConfig::default().grace + 1);
        compact(&store.log());
        assert_eq!(document(&store.log()), expected);
    }
    assert_eq!(store.keys().iter().filter(|key| key.starts_with('d')).count(), 1);
}
