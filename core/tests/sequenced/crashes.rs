//! Every operation of every request, cut off; and requests interleaved in every place.

use crate::store::*;
use bytes::Bytes;
use std::rc::Rc;
use std::task::Poll;
use yonder_core::log::{Life, LogError, LogOp, LogReply, Offset, Version};
use yonder_core::{Millis, OpId};

/// A document with a snapshot that replaced something, updates behind it, parts, and a version.
fn prepared() -> (Rc<Store>, Instance) {
    let store = Store::new();
    let one = store.instance();
    one.append(&[edit(1)]);
    one.append(&[large_edit(2, 700)]);
    one.put_version("a", &large_edit(3, 600), 5).unwrap();
    one.compact();
    store.pass(70_000);
    one.append(&[edit(4)]);
    one.append(&[large_edit(5, 700)]);
    (store, one)
}

fn requests() -> Vec<LogOp> {
    let version = Version { id: "b".into(), name: String::new(), created: Millis(1), bytes: 1 };
    vec![
        append(&[large_edit(6, 700)]),
        LogOp::Compact { upto: Offset::new((1 << 44) - 1) },
        LogOp::Create { updates: vec![edit(6)] },
        LogOp::Delete,
        LogOp::PutVersion { version, body: large_edit(6, 700), most: 5 },
        LogOp::DeleteVersion { id: "a".into() },
        LogOp::ListVersions,
        LogOp::Load { since: Offset::START },
    ]
}

/// Polls a request so often, and drops it then; its answer if it was done before.
fn cut(instance: &Instance, op: OpId, request: &LogOp, after: usize) -> Option<Answer> {
    let mut task = instance.start(op, request.clone());
    (0..after).find_map(|_| match poll(&mut task) {
        Poll::Ready((answer, _)) => Some(answer),
        Poll::Pending => None,
    })
}

fn check_whole(store: &Rc<Store>, deleted: bool, alone: bool) {
    let fresh = store.instance();
    let loaded = fresh.all();
    if deleted && loaded.tail.life == Life::Deleted {
        assert_eq!(fresh.ask(append(&[edit(7)])), Err(LogError::Deleted));
        assert!(!fresh.create(&[edit(8)]).0);
        assert_eq!(fresh.clients(), [8].into());
        // Whoever makes it again frees what was left over.
        let values = store.values.borrow();
        let left: Vec<_> =
            values.keys().filter(|key| key.contains("__00000-") && !key.starts_with('p')).collect();
        assert!(left.is_empty() || !alone, "{left:?}");
        return;
    }
    assert!(clients(&loaded).is_superset(&[1, 2, 4, 5].into()), "{:?}", clients(&loaded));
    fresh.append(&[edit(7)]);
    fresh.compact();
    store.pass(70_000);
    store.instance().append(&[edit(8)]);
    store.instance().compact();
    assert!(store.instance().clients().is_superset(&[1, 2, 4, 5, 7, 8].into()));
    store.instance().versions();
}

#[test]
fn whoever_dies_after_any_operation_leaves_a_whole_document() {
    for request in requests() {
        for after in 1.. {
            let (store, one) = prepared();
            let done = cut(&one, one.op(), &request, after);
            check_whole(&store, request == LogOp::Delete, true);
            if done.is_some() {
                break;
            }
        }
    }
}

#[test]
fn a_first_compaction_that_was_cut_off_anywhere_gives_the_snapshot_that_readers_are_sent_to() {
    for after in 0..100 {
        let store = Store::new();
        let one = store.instance();
        (1..=3).for_each(|n| drop(one.append(&[edit(n)])));
        let compact = LogOp::Compact { upto: Offset::new((1 << 44) - 1) };
        let is_done = cut(&one, OpId(1), &compact, after).is_some();
        let loaded = store.instance().all();
        let is_named = loaded.tail.snapshot != Offset::START;
        assert_eq!(is_named, loaded.snapshot.is_some(), "after {after} operations");
        if is_done {
            assert!(is_named);
            return;
        }
    }
    panic!("it is never done");
}

#[test]
fn a_request_is_repeated_after_any_operation_failed_in_any_way() {
    for request in requests() {
        for fault in [Fault::Failed, Fault::Lost, Fault::Late] {
            for nth in 1.. {
                let (store, one) = prepared();
                let mut count = 0;
                store.plan(move |_| {
                    count += 1;
                    if count == nth { fault } else { Fault::None }
                });
                let op = one.op();
                let mut answer = one.ask_as(op, request.clone());
                if answer == Err(LogError::Unavailable) {
                    store.land();
                    answer = one.ask_as(op, request.clone());
                }
                let done = store.log.borrow().len();
                store.heal();
                let right = match (&request, answer.unwrap()) {
                    (LogOp::Append { updates }, LogReply::Appended(_)) => {
                        let all = store.instance().all();
                        all.updates.iter().filter(|(_, update)| *update == updates[0]).count() == 1
                    }
                    (LogOp::Create { .. }, LogReply::Created { existed, .. }) => existed,
                    (LogOp::Delete, LogReply::Deleted { existed, .. }) => existed,
                    (LogOp::PutVersion { .. }, LogReply::Done(kept)) => {
                        kept && store.instance().versions() == ["b", "a"]
                    }
                    (LogOp::DeleteVersion { .. }, LogReply::Done(_)) => {
                        store.instance().versions().is_empty()
                    }
                    _ => true,
                };
                assert!(right, "{request:?} {fault:?} {nth}");
                check_whole(&store, request == LogOp::Delete, true);
                if nth > 60 || done < nth {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_birth_cut_off_anywhere_is_repeated_by_anyone() {
    for request in [append(&[edit(1)]), LogOp::Create { updates: vec![edit(1)] }] {
        for after in 1..12 {
            let store = Store::new();
            let one = store.instance();
            let done = cut(&one, one.op(), &request, after);
            let existed = store.instance().create(&[edit(2)]).0;
            assert!(done.is_none() || existed);
            let fresh = store.instance();
            assert_eq!(fresh.all().tail.life, Life::Live);
            assert_eq!(clients(&fresh.all()).contains(&2), !existed);
            assert_eq!(store.keys('i').len(), 1);
        }
    }
}

/// Runs two requests, the second one beginning after so many operations of the first and then `stride` by one.
fn interleave(mut first: Task, mut second: Task, before: usize, stride: usize) -> [Answer; 2] {
    let mut answers = [None, None];
    let mut step = 0;
    while answers.iter().any(Option::is_none) {
        let turn = usize::from(step >= before && (step - before) % (stride + 1) != stride);
        let turn = if answers[turn].is_none() { turn } else { 1 - turn };
        let task = if turn == 0 { &mut first } else { &mut second };
        if let Poll::Ready((answer, _)) = poll(task) {
            answers[turn] = Some(answer);
        }
        step += 1;
    }
    answers.map(Option::unwrap)
}

#[test]
fn two_requests_at_once_do_no_harm_in_any_order() {
    let all = Offset::new((1 << 44) - 1);
    let compact = LogOp::Compact { upto: all };
    let edit_6: Vec<Bytes> = vec![edit(6)];
    for (a, b) in [
        (compact.clone(), compact.clone()),
        (compact.clone(), append(&edit_6)),
        (append(&edit_6), compact.clone()),
        (LogOp::Load { since: Offset::START }, compact.clone()),
        (LogOp::Delete, append(&edit_6)),
        (append(&edit_6), LogOp::Delete),
        (LogOp::Delete, compact.clone()),
        (compact.clone(), LogOp::Delete),
        (LogOp::Delete, LogOp::Delete),
        (LogOp::Load { since: Offset::START }, LogOp::Delete),
        (LogOp::Create { updates: Vec::new() }, LogOp::Delete),
    ] {
        for before in 0..45 {
            for stride in [1, 3, 1_000] {
                let (store, one) = prepared();
                let two = store.instance();
                let is_deletion = a == LogOp::Delete || b == LogOp::Delete;
                let place = two.all().tail.end;
                let [first, second] = interleave(
                    one.start(one.op(), a.clone()),
                    two.start(two.op(), b.clone()),
                    before,
                    stride,
                );
                for answer in [&first, &second] {
                    match answer {
                        Ok(LogReply::Loaded(loaded)) => assert!(
                            loaded.tail.life == Life::Deleted
                                || clients(loaded).is_superset(&[1, 2, 4, 5].into()),
                            "{a:?} {b:?} {before} {stride}: {loaded:?}"
                        ),
                        Ok(_) | Err(LogError::Unavailable) => {}
                        Err(LogError::Deleted) if is_deletion => {}
                        other => panic!("{a:?} {b:?} {before} {stride}: {other:?}"),
                    }
                }
                if is_deletion {
                    store.pass(2_000);
                    let life = store.instance().all().tail.life;
                    let is_made = matches!(a, LogOp::Create { .. });
                    assert!(is_made || life == Life::Deleted, "{a:?} {b:?} {before} {stride}");
                    assert_eq!(two.load(&place).tail.life, life);
                } else if matches!(b, LogOp::Append { .. }) || matches!(a, LogOp::Append { .. }) {
                    assert!(clients(&two.load(&place)).contains(&6));
                    assert!(store.instance().clients().contains(&6));
                }
                if !matches!(a, LogOp::Create { .. }) {
                    check_whole(&store, is_deletion, false);
                }
            }
        }
    }
}

#[test]
fn a_head_that_was_ever_written_leads_to_the_document() {
    let store = Store::new();
    let one = store.instance();
    let mut heads = vec![None];
    for client in 1..=120 {
        one.append(&[edit(client)]);
        if client % 10 == 0 {
            one.compact();
            store.pass(70_000);
            heads.push(store.value('h'));
        }
    }
    one.delete();
    heads.push(store.value('h'));
    one.create(&[edit(1)]);
    for client in 2..=120 {
        one.append(&[edit(client)]);
        if client % 10 == 0 {
            one.compact();
            store.pass(70_000);
        }
    }
    for head in heads {
        let key = store.keys('h').first().cloned().unwrap_or_else(|| format!("h{}__", "doc"));
        match &head {
            Some(head) => _ = store.values.borrow_mut().insert(key, head.clone()),
            None => _ = store.values.borrow_mut().remove(&key),
        }
        let fresh = store.instance();
        assert_eq!(fresh.clients(), (1..=120).collect(), "{head:?}");
        assert!(store.instance().cost(LogOp::Load { since: Offset::START }).operations() < 180);
        store.instance().append(&[edit(1)]);
        assert_eq!(store.instance().compact().life, Life::Live);
    }
}
