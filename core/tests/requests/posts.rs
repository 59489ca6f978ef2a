//! Writing over HTTP: answered once stored, and when the store is asked.

use crate::table::*;
use bytes::Bytes;
use yonder_core::limits::{Compaction, Limits};
use yonder_core::log::{Life, LogError, LogOp, Offset};
use yonder_core::request::Since;
use yonder_core::{Close, ConnId, Input, To, wire};

fn appends(table: &Table) -> Vec<Vec<Bytes>> {
    let appends = table.asked.iter().filter_map(|(_, request)| {
        if let LogOp::Append { updates } = request { Some(updates.clone()) } else { None }
    });
    appends.collect()
}

#[test]
fn a_post_is_answered_only_once_it_is_stored() {
    let mut table = Table::live(2);
    assert_eq!(replies(&table.ask(1, post(&[edit(3), edit(4)]))), []);
    assert_eq!(appends(&table), [[edit(3), edit(4)]]);
    assert_eq!((table.room.connections(), table.room.is_idle()), (1, false));
    let answer = reply(&table.store());
    assert_eq!((answer.status, next_offset(&answer)), (204, Some(4)));
    assert_eq!((table.room.connections(), table.room.is_idle()), (0, true));
}

#[test]
fn a_post_to_a_document_that_is_not_there_is_refused_and_nothing_is_appended() {
    for life in [Life::Absent, Life::Deleted] {
        let mut table = Table::absent();
        if life == Life::Deleted {
            table.log.answer(LogOp::Create { updates: vec![edit(9)] }).unwrap();
            table.log.answer(LogOp::Delete).unwrap();
        }
        assert_eq!(replies(&table.ask(1, post(&[edit(1)]))), [], "it is not known yet");
        assert_eq!(
            table.asked.iter().map(|(_, request)| request.clone()).collect::<Vec<_>>(),
            [LogOp::Load { since: Offset::END }]
        );
        table.ask(2, post(&[edit(2)]));
        let effects = table.store();
        assert_eq!(statuses(&effects), [(1, 404), (2, 404)], "{life:?}");
        assert_eq!(code(&replies(&effects)[0].1), "DOCUMENT_NOT_FOUND");
        // Now it is known.
        assert_eq!(statuses(&table.ask(3, post(&[edit(1)]))), [(3, 404)]);
        assert!(table.asked.is_empty() && table.room.connections() == 0);
    }
}

#[test]
fn posts_that_come_during_an_append_go_together_in_the_next_and_each_is_answered() {
    let mut table = Table::live(0);
    table.ask(1, post(&[edit(1)]));
    table.ask(2, post(&[edit(2)]));
    table.ask(3, post(&[edit(3), edit(4)]));
    assert_eq!(appends(&table), [[edit(1)]]);
    let first = table.store();
    assert_eq!(statuses(&first), [(1, 204)]);
    assert_eq!(appends(&table), [[edit(2), edit(3), edit(4)]]);
    let second = table.store();
    assert_eq!(statuses(&second), [(2, 204), (3, 204)]);
    for (_, reply) in replies(&second) {
        assert_eq!(next_offset(&reply), Some(4));
    }
    assert!(table.asked.is_empty());
}

#[test]
fn a_client_that_left_is_not_waited_for_and_its_edit_is_stored_all_the_same() {
    let mut table = Table::live(0);
    table.ask(1, post(&[edit(1)]));
    table.ask(2, post(&[edit(2)]));
    table.leave(1);
    table.leave(2);
    assert_eq!(table.room.connections(), 0);
    assert_eq!(replies(&table.settle()), []);
    assert!(table.room.is_idle());
    assert_eq!(table.log.entries().collect::<Vec<_>>(), [&edit(1)[..], &edit(2)[..]]);
}

#[test]
fn a_client_that_left_before_the_document_was_known_has_written_nothing() {
    let mut table = Table::absent();
    table.log.answer(LogOp::Create { updates: Vec::new() }).unwrap();
    table.ask(1, post(&[edit(1)]));
    table.leave(1);
    assert_eq!(table.room.connections(), 0);
    assert_eq!(replies(&table.settle()), []);
    assert!(table.room.is_idle());
}

#[test]
fn an_append_that_fails_for_good_is_answered_with_the_stores_error() {
    let cases = [(LogError::Refused, 500, "INTERNAL_ERROR"), (LogError::Deleted, 404, "DOCUMENT_NOT_FOUND")];
    for (error, status, name) in cases {
        let mut table = Table::live(0);
        table.ask(1, post(&[edit(1)]));
        table.ask(2, post(&[edit(2)]));
        let effects = table.fail(error);
        assert_eq!(statuses(&effects), [(1, status), (2, status)]);
        assert_eq!(code(&replies(&effects)[0].1), name);
        assert!(table.asked.is_empty() && table.room.is_idle() && table.room.connections() == 0);
    }
}

#[test]
fn an_append_that_failed_is_repeated_until_patience_runs_out() {
    let mut table = Table::live(0);
    table.ask(1, post(&[edit(1)]));
    let first = table.asked[0].clone();
    let mut effects = table.fail(LogError::Unavailable);
    for _ in 0..100 {
        assert_eq!(replies(&effects), []);
        let (at, why) = table.room.poll_timeout().unwrap();
        assert_eq!(why, "retry an append");
        table.wait(at.since(table.now));
        assert_eq!(table.asked, core::slice::from_ref(&first), "with its number and bytes");
        effects = table.fail(LogError::Unavailable);
        if !effects.is_empty() {
            break;
        }
    }
    let answer = reply(&effects);
    assert_eq!((answer.status, code(&answer).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(header(&answer, "retry-after").is_some());
    assert!(table.now.since(START) >= table.limits.store_patience);
    assert!(table.room.is_idle() && table.room.connections() == 0);
    // And what comes then is stored.
    table.ask(2, post(&[edit(2)]));
    assert_eq!(statuses(&table.settle()), [(2, 204)]);
}

#[test]
fn of_a_body_that_cannot_be_taken_nothing_is() {
    let limits = Limits { update_bytes: 100, document_bytes: 200, unstored_bytes: 40, ..Limits::default() };
    let long = |bytes: usize| {
        let mut update = vec![1, 1, 7, 0, 4, 1, 1, b't', bytes as u8];
        update.resize(9 + bytes, b'x');
        update.push(0);
        Bytes::from(update)
    };
    let cases = [
        (Bytes::from_static(b"garbage"), 400, "INVALID_REQUEST"),
        (long(120), 413, "PAYLOAD_TOO_LARGE"),
        (long(30), 503, "OVERLOADED"),
    ];
    for (update, status, name) in cases {
        let mut table = Table::live_with(limits.clone(), 0);
        let answer = reply(&table.ask(1, post(&[edit(1), update])));
        assert_eq!((answer.status, code(&answer).as_str()), (status, name));
        assert!(table.asked.is_empty() && table.room.is_idle() && table.room.connections() == 0);
    }
    let mut table = Table::live_with(Limits { unstored_bytes: 1_000, ..limits }, 17);
    let answer = reply(&table.ask(1, post(&[long(20)])));
    assert_eq!((answer.status, code(&answer).as_str()), (413, "PAYLOAD_TOO_LARGE"), "the document is full");
}

#[test]
fn a_post_that_says_nothing_new_waits_for_what_was_accepted_before_it() {
    let mut table = Table::live(1);
    let goodbye = reply(&table.ask(1, post(&[])));
    assert_eq!((goodbye.status, next_offset(&goodbye)), (204, Some(1)), "at once");
    table.ask(2, post(&[edit(2)]));
    assert_eq!(replies(&table.ask(3, post(&[Bytes::from_static(&[0, 0])]))), []);
    let effects = table.store();
    assert_eq!(statuses(&effects), [(2, 204), (3, 204)]);
    assert!(table.asked.is_empty(), "an empty update is not stored");
}

#[test]
fn a_post_is_relayed_to_sockets_as_their_edits_are() {
    let mut table = Table::live(0);
    table.open_socket(5);
    let effects = table.ask(1, post(&[edit(1), edit(2)]));
    let relayed = [edit(1), edit(2)].map(|update| (To::Sockets { except: None }, wire::update(&update)));
    assert_eq!(sent(&effects), relayed);
    assert_eq!(statuses(&table.settle()), [(1, 204)]);
    // A store that fails for good sends the sockets away: they have what is not stored.
    table.ask(2, post(&[edit(3)]));
    let effects = table.fail(LogError::Refused);
    assert_eq!((statuses(&effects), closed(&effects)), (vec![(2, 500)], vec![(5, Close::INTERNAL)]));
}

#[test]
fn edits_do_not_wait_for_the_interval_while_someone_reads_or_posts_over_http() {
    let mut table = Table::live_with(Limits { commit_interval: 50, ..Limits::default() }, 0);
    table.open_socket(5);
    table.now = START.after(20);
    let typed = |n| Input::Frame { conn: ConnId(5), bytes: wire::update(&edit(n)) };
    table.give(typed(1));
    assert_eq!(table.asked.len(), 0, "nobody waits");
    table.ask(1, post(&[edit(2)]));
    assert_eq!(appends(&table), [[edit(1), edit(2)]], "a post is waited for, and takes the others along");
    table.settle();
    table.ask(2, long_poll(Since::Now));
    table.give(typed(3));
    assert_eq!(appends(&table), [[edit(3)]], "a reader waits for whatever comes");
    assert_eq!(statuses(&table.settle()), [(2, 200)]);
    table.give(typed(4));
    assert_eq!(table.asked.len(), 0, "it has left");
    assert_eq!(table.room.poll_timeout().map(|(_, why)| why), Some("commit"));
}

#[test]
fn a_document_without_sockets_is_compacted_only_when_nobody_was_there_for_a_while() {
    let compaction = Compaction { idle_updates: 4, idle_after: 2_000, ..Limits::default().compaction };
    let mut table = Table::live_with(Limits { compaction, ..Limits::default() }, 3);
    for n in 4..10 {
        table.ask(n.into(), post(&[edit(n)]));
        assert_eq!(statuses(&table.settle()), [(n.into(), 204)]);
        table.wait(1_500);
        assert!(table.asked.is_empty(), "a post every 1.5 s does not compact");
    }
    // A reader is somebody.
    table.ask(20, long_poll(Since::Now));
    table.wait(5_000);
    assert!(table.asked.is_empty());
    table.leave(20);
    assert_eq!(table.room.poll_timeout(), Some((table.now.after(2_000), "compact")));
    table.wait(2_000);
    assert_eq!(table.asked[0].1, LogOp::Compact { upto: Offset::new(9) });
    table.settle();
    assert_eq!(table.room.poll_timeout(), None, "there is nothing left to do");
}
