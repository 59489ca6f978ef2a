//! What each operation does when nothing goes wrong.

use crate::store::*;
use yonder_core::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};

#[test]
fn a_document_that_never_was_is_absent() {
    let store = Store::new();
    let one = store.instance();
    for since in [Offset::START, Offset::END, Offset::new(77)] {
        assert_eq!(one.load(&since), Loaded::default().clone(), "{since:?}");
    }
    assert_eq!(one.delete(), (false, Tail::default()));
    assert_eq!(one.ask(LogOp::ListVersions), Ok(LogReply::Versions(Vec::new())));
    assert_eq!(one.put_version("a", &edit(1), 3), Err(LogError::Refused));
    assert!(store.values.borrow().is_empty());
}

#[test]
fn every_instance_sees_what_is_appended() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    let first = one.append(&[edit(1), edit(2)]);
    assert_eq!((first.life, first.updates), (Life::Live, 2));
    assert_eq!(two.append(&[edit(3)]).life, Life::Live);
    for instance in [&one, &two, &store.instance()] {
        let loaded = instance.all();
        assert_eq!(
            loaded.updates.iter().map(|(_, update)| update.clone()).collect::<Vec<_>>(),
            [edit(1), edit(2), edit(3)]
        );
        assert_eq!((loaded.tail.updates, loaded.tail.bytes), (3, edit(1).len() as u64 * 3));
        let end = loaded.tail.end.clone();
        assert_eq!(loaded.updates.last().unwrap().0, end);
        // Who stops between two updates of one entry is told both again.
        assert_eq!(instance.load(&loaded.updates[0].0).updates.len(), 3);
        assert_eq!(instance.load(&loaded.updates[1].0).updates.len(), 1);
        let idle = instance.load(&end);
        assert_eq!((idle.updates.len(), idle.snapshot, &idle.tail.end), (0, None, &end));
        assert_eq!(instance.load(&Offset::END).tail, loaded.tail);
        assert_eq!(instance.load(&Offset::END).updates, []);
    }
}

#[test]
fn compaction_keeps_all_and_frees_what_an_earlier_one_replaced() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    for client in 1..=5 {
        one.append(&[edit(client)]);
    }
    let before = one.all();
    let place = before.updates[2].0.clone();
    let tail = two.compact();
    assert_eq!((tail.life, tail.updates, tail.bytes), (Life::Live, 0, 0));
    assert!(tail.snapshot_bytes > 0 && tail.snapshot == tail.end && tail.end > before.tail.end);
    let fresh = store.instance().all();
    assert_eq!((fresh.updates.len(), clients(&fresh)), (0, (1..=5).collect()));
    assert_eq!(fresh.tail, tail);
    // Nothing is deleted yet: a reader of before gets only what it lacks.
    assert_eq!(store.keys('e').len(), 6);
    assert_eq!(clients(&two.load(&place)), [4, 5].into());
    store.pass(60_000);
    two.append(&[edit(6)]);
    two.compact();
    // The five entries are gone; the snapshot that covered them waits in turn.
    assert_eq!(store.keys('e').len(), 3);
    assert_eq!(clients(&two.load(&place)), (1..=6).collect());
    assert_eq!(clients(&store.instance().load(&place)), (1..=6).collect());
    store.pass(60_000);
    two.append(&[edit(7)]);
    two.compact();
    assert_eq!(store.keys('e').len(), 3);
    assert_eq!(store.instance().clients(), (1..=7).collect());
}

#[test]
fn large_updates_and_snapshots_stand_in_parts_which_are_freed_as_well() {
    let store = Store::new();
    let one = store.instance();
    one.append(&[large_edit(1, 3_000)]);
    one.append(&[edit(2)]);
    assert_eq!(store.keys('p').len(), 8);
    assert_eq!(one.clients(), [1, 2].into());
    for client in 3..6 {
        one.compact();
        store.pass(60_000);
        one.append(&[edit(client)]);
        assert_eq!(store.instance().clients(), (1..=client).collect());
    }
    one.compact();
    // Those of the last snapshot, and of the one before.
    assert_eq!((store.keys('p').len(), store.keys('e').len()), (16, 3));
}

#[test]
fn a_document_is_deleted_and_made_again() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    one.append(&[edit(1)]);
    one.compact();
    one.append(&[large_edit(2, 2_000)]);
    assert_eq!(one.put_version("a", &large_edit(9, 2_000), 3), Ok(LogReply::Done(true)));
    let place = two.all().tail.end;
    let (existed, tail) = one.delete();
    assert!(existed && tail.life == Life::Deleted && tail.end > place);
    store.pass(2_000);
    for instance in [&one, &two, &store.instance()] {
        for since in [&Offset::START, &place, &Offset::END] {
            let loaded = instance.load(since);
            assert_eq!((loaded.tail, loaded.updates.len(), loaded.snapshot), (tail.clone(), 0, None));
        }
        assert_eq!(instance.ask(append(&[edit(3)])), Err(LogError::Deleted));
        assert_eq!(instance.delete(), (false, tail.clone()));
        assert!(instance.versions().is_empty());
    }
    // A tombstone and the head are all that is left.
    assert_eq!(store.values.borrow().len(), 2, "{:?}", store.values.borrow().keys());
    assert!(!two.create(&[]).0);
    let (existed, made) = one.create(&[edit(8)]);
    assert!(existed && made.life == Life::Live && made.end > tail.end);
    two.append(&[edit(4)]);
    for since in [&Offset::START, &place, &tail.end] {
        assert_eq!(clients(&store.instance().load(since)), [4].into());
    }
    store.pass(2_000);
    one.append(&[edit(5)]);
    one.compact();
    assert_eq!(two.clients(), [4, 5].into());
    assert!(two.delete().0);
    assert!(!one.create(&[edit(6)]).0);
    assert_eq!(two.clients(), [6].into());
}

#[test]
fn versions_are_kept_listed_and_deleted() {
    let store = Store::new();
    let (one, two) = (store.instance(), store.instance());
    one.append(&[edit(1)]);
    let large = large_edit(5, 3_000);
    assert_eq!(one.put_version("1", &large, 2), Ok(LogReply::Done(true)));
    assert_eq!(two.put_version("2", &edit(6), 2), Ok(LogReply::Done(true)));
    assert_eq!(two.put_version("3", &edit(7), 2), Ok(LogReply::Done(false)));
    // A retry; and other bytes of the same name.
    assert_eq!(two.put_version("1", &large, 2), Ok(LogReply::Done(true)));
    assert_eq!(two.put_version("1", &edit(9), 2), Err(LogError::Refused));
    assert_eq!(one.versions(), ["2", "1"]);
    assert_eq!(two.ask(LogOp::ReadVersion { id: "1".into() }), Ok(LogReply::Version(Some(large))));
    assert_eq!(two.ask(LogOp::ReadVersion { id: "4".into() }), Ok(LogReply::Version(None)));
    assert_eq!(two.ask(LogOp::DeleteVersion { id: "1".into() }), Ok(LogReply::Done(true)));
    assert_eq!(two.ask(LogOp::DeleteVersion { id: "1".into() }), Ok(LogReply::Done(false)));
    assert_eq!(one.versions(), ["2"]);
    assert_eq!((store.keys('b').len(), store.keys('q').len(), store.keys('v').len()), (1, 0, 1));
    for round in 0..100 {
        store.pass(60_000);
        assert_eq!(two.put_version(&format!("x{round}"), &edit(9), 5), Ok(LogReply::Done(true)));
        assert_eq!(two.ask(LogOp::DeleteVersion { id: format!("x{round}") }), Ok(LogReply::Done(true)));
    }
    assert_eq!(one.put_version("y", &edit(9), 5), Ok(LogReply::Done(true)));
    assert_eq!(one.versions(), ["y", "2"]);
    let cost = one.cost(LogOp::ListVersions);
    assert!(cost.operations() < 40, "{cost:?}");
}
