//! Catching up and long-polls: what a reader gets, when, and what the store is asked for it.

use crate::table::*;
use bytes::Bytes;
use std::collections::BTreeSet;
use yonder_core::http::Reply;
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp};
use yonder_core::request::{DocRequest, Live, Read, Since};
use yonder_core::{ConnId, Input, wire};

fn loads(table: &Table) -> Vec<u64> {
    let since = |request: &LogOp| {
        if let LogOp::Load { since } | LogOp::Follow { since } = request {
            Some(since.number())
        } else {
            None
        }
    };
    table.asked.iter().filter_map(|(_, request)| since(request)).collect()
}

/// What a reader was given, and where it goes on.
fn given(reply: &Reply) -> (Vec<Bytes>, Option<u64>) {
    assert_eq!((reply.status, header(reply, "stream-up-to-date")), (200, Some("true")));
    (frames(&reply.body), next_offset(reply))
}

#[test]
fn a_reader_gets_what_lies_behind_its_place_with_one_load() {
    let mut table = Table::live(3);
    table.ask(1, catch_up(at(1)));
    assert_eq!(loads(&table), [1]);
    assert_eq!(given(&reply(&table.settle())), (vec![edit(2), edit(3)], Some(3)));
    for since in [at(3), Since::Now] {
        let nothing = reply(&table.ask(2, catch_up(since)));
        assert_eq!(given(&nothing), (vec![], Some(3)), "without a load");
    }
    assert!(table.asked.is_empty() && table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn readers_behind_share_one_load_and_who_is_further_behind_waits_for_the_next() {
    let mut table = Table::live(5);
    table.ask(1, catch_up(at(2)));
    table.ask(2, catch_up(at(2)));
    table.ask(3, catch_up(at(4)));
    table.ask(4, catch_up(Since::Start));
    table.ask(5, catch_up(at(1)));
    assert_eq!(loads(&table), [2], "one at a time");
    let effects = table.store();
    let served = replies(&effects);
    assert_eq!(statuses(&effects), [(1, 200), (2, 200), (3, 200)]);
    assert_eq!(served[0].1.body.as_ptr(), served[1].1.body.as_ptr(), "encoded once");
    assert_eq!(given(&served[2].1), (vec![edit(5)], Some(5)));
    assert_eq!(loads(&table), [0], "from where the last of those who wait is");
    let effects = table.store();
    assert_eq!(statuses(&effects), [(4, 200), (5, 200)]);
    assert_eq!(given(&replies(&effects)[1].1).0, [edit(2), edit(3), edit(4), edit(5)]);
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn a_reader_that_leaves_during_its_load_is_forgotten() {
    let mut table = Table::live(5);
    table.ask(1, catch_up(at(2)));
    table.ask(2, events(at(2)));
    table.leave(1);
    table.leave(2);
    assert_eq!(table.room.connections(), 0);
    assert_eq!(table.settle(), []);
    assert_eq!(table.wait(table.limits.keep_alive), []);
    assert_eq!(table.room.poll_timeout(), None);
}

#[test]
fn a_load_that_fails_is_answered_503_to_all_who_wait_and_the_next_may_succeed() {
    let mut table = Table::live(5);
    for (conn, request) in [(1, catch_up(at(2))), (2, long_poll(at(2))), (3, events(at(2)))] {
        table.ask(conn, request);
    }
    let effects = table.fail(LogError::Unavailable);
    assert_eq!(statuses(&effects), [(1, 503), (2, 503), (3, 503)]);
    assert_eq!(code(&replies(&effects)[0].1), "STORE_UNAVAILABLE");
    assert!(table.asked.is_empty() && table.room.connections() == 0);
    table.ask(4, catch_up(at(2)));
    assert_eq!(statuses(&table.settle()), [(4, 200)]);
}

#[test]
fn a_load_that_is_never_answered_is_given_up() {
    let mut table = Table::live(5);
    table.ask(1, catch_up(at(2)));
    table.ask(2, long_poll(at(2)));
    table.ask(3, events(at(2)));
    let effects = table.wait(60_000);
    assert_eq!(statuses(&effects), [(1, 503), (2, 503), (3, 503)]);
    assert_eq!(code(&replies(&effects)[0].1), "OVERLOADED");
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn an_offset_beyond_the_end_gets_everything_at_once() {
    let mut table = Table::live(2);
    for (conn, live) in [(1, Live::No), (2, Live::LongPoll)] {
        table.ask(conn, DocRequest::Read(read(at(7), live)));
        assert_eq!(given(&reply(&table.settle())), (vec![edit(1), edit(2)], Some(2)));
    }
    table.ask(3, events(at(7)));
    assert_eq!(reply(&table.settle()).status, 200);
}

#[test]
fn behind_a_snapshot_it_comes_as_the_first_frame_and_otherwise_not_at_all() {
    let mut table = Table::live(24);
    table.settle();
    table.ask(1, post(&[edit(25), edit(26)]));
    table.settle();
    table.ask(1, catch_up(at(23)));
    table.ask(2, catch_up(at(24)));
    let effects = table.settle();
    let snapshot = Bytes::copy_from_slice(table.log.entries().next().unwrap());
    assert_eq!(given(&replies(&effects)[0].1), (vec![snapshot, edit(25), edit(26)], Some(26)));
    assert_eq!(given(&replies(&effects)[1].1), (vec![edit(25), edit(26)], Some(26)));
}

#[test]
fn what_the_reader_has_already_is_not_sent_again() {
    let mut table = Table::live(2);
    let ask = |table: &mut Table, known: Option<&str>, since| {
        let if_none_match = known.map(str::to_owned);
        let mut effects = table.ask(1, DocRequest::Read(Read { if_none_match, ..read(since, Live::No) }));
        effects.extend(table.settle());
        reply(&effects)
    };
    let first = ask(&mut table, None, at(1));
    let tag = header(&first, "etag").unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}, \"other\"")] {
        let same = ask(&mut table, Some(&known), at(1));
        assert_eq!((same.status, &same.body[..], header(&same, "etag")), (304, &[][..], Some(&*tag)));
        assert_eq!(next_offset(&same), Some(2));
    }
    assert_eq!(ask(&mut table, Some("\"other\""), at(1)).status, 200);
    assert_eq!(ask(&mut table, Some(&tag), Since::Start).status, 200, "that is another question");
    table.ask(2, post(&[edit(3)]));
    table.settle();
    let more = ask(&mut table, Some(&tag), at(1));
    assert_eq!(given(&more), (vec![edit(2), edit(3)], Some(3)));
    assert_ne!(header(&more, "etag"), Some(&*tag));
    // What holds for this moment only has no tag.
    assert_eq!(header(&ask(&mut table, None, Since::Now), "etag"), None);
}

#[test]
fn a_long_poll_wakes_when_an_update_is_stored_and_not_when_it_is_accepted() {
    let mut table = Table::live(1);
    table.open_socket(9);
    assert_eq!(table.ask(1, long_poll(at(1))), []);
    let typed = table.give(Input::Frame { conn: ConnId(9), bytes: wire::update(&edit(2)) });
    assert_eq!(replies(&typed), []);
    table.ask(2, post(&[edit(3)]));
    let effects = table.store();
    let served = reply(&effects);
    assert_eq!(given(&served), (vec![edit(2)], Some(2)), "the second is on its way");
    assert!(header(&served, "stream-cursor").is_some());
    // The writer's own update comes back to it as well, and from memory.
    table.ask(1, long_poll(at(2)));
    let effects = table.store();
    let answers = replies(&effects);
    assert_eq!(statuses(&effects), [(2, 204), (1, 200)]);
    assert_eq!(given(&answers[1].1), (vec![edit(3)], Some(3)));
    assert!(table.asked.is_empty());
}

#[test]
fn a_long_poll_that_is_behind_is_answered_at_once() {
    let mut table = Table::live(3);
    table.ask(1, long_poll(Since::Start));
    assert_eq!(given(&reply(&table.settle())).0.len(), 3);
}

#[test]
fn readers_at_one_place_are_given_the_same_bytes_and_others_their_own() {
    let mut table = Table::live(2);
    for conn in 1..=8 {
        table.ask(conn, long_poll(if conn % 2 == 0 { at(2) } else { Since::Now }));
    }
    table.ask(9, post(&[edit(3)]));
    let effects = table.store();
    let bodies: BTreeSet<_> = replies(&effects)
        .iter()
        .filter(|(conn, _)| *conn < 9)
        .map(|(_, reply)| reply.body.as_ptr())
        .collect();
    assert_eq!((replies(&effects).len(), bodies.len()), (9, 1));
    // Who was away has missed one, and it is still at hand.
    table.ask(1, long_poll(Since::Now));
    table.ask(9, post(&[edit(4)]));
    table.store();
    table.ask(2, long_poll(at(3)));
    let other = reply(&table.ask(3, catch_up(at(2))));
    assert_eq!(given(&other), (vec![edit(3), edit(4)], Some(4)));
    assert!(table.asked.is_empty(), "nothing had to be loaded");
}

#[test]
fn a_reader_far_behind_costs_one_load_and_shares_it() {
    let limits = Limits { recent_updates: 2, ..Limits::default() };
    let mut table = Table::live_with(limits, 0);
    table.ask(1, events(Since::Start));
    for n in 1..=4 {
        table.ask(9, post(&[edit(n)]));
        table.settle();
    }
    let near = reply(&table.ask(2, long_poll(at(2))));
    assert_eq!(given(&near), (vec![edit(3), edit(4)], Some(4)), "the last two are at hand");
    for conn in 3..6 {
        assert_eq!(replies(&table.ask(conn, long_poll(at(1)))), []);
    }
    assert_eq!(loads(&table), [1]);
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(3, 200), (4, 200), (5, 200)]);
    for (_, reply) in replies(&effects) {
        assert_eq!(given(&reply), (vec![edit(2), edit(3), edit(4)], Some(4)));
    }
}

#[test]
fn updates_larger_than_what_is_kept_are_loaded() {
    let mut table = Table::live_with(Limits { recent_bytes: 25, ..Limits::default() }, 0);
    table.ask(1, long_poll(Since::Start));
    table.ask(9, post(&[edit(1), edit(2), edit(3)]));
    let effects = table.store();
    assert_eq!((statuses(&effects), loads(&table)), (vec![(9, 204)], vec![0]));
    assert_eq!(given(&reply(&table.settle())).0.len(), 3);
}

#[test]
fn long_polls_end_at_different_times_within_the_limit_and_never_after_their_token() {
    let mut table = Table::live(1);
    for conn in 1..=20 {
        table.ask(conn, long_poll(at(1)));
    }
    let expires = Some(START.after(3_000));
    table.give(Input::Request { conn: ConnId(21), request: long_poll(at(1)), expires });
    let mut ends = BTreeSet::new();
    let early = table.wait(3_000);
    assert_eq!(statuses(&early), [(21, 204)], "its token ends");
    while let Some((at, why)) = table.room.poll_timeout() {
        assert_eq!(why, "end a read");
        for (conn, reply) in replies(&table.wait(at.since(table.now))) {
            ends.insert(at.since(START));
            assert_eq!((reply.status, next_offset(&reply)), (204, Some(1)), "{conn}");
            assert_eq!(header(&reply, "stream-up-to-date"), Some("true"));
            assert!(header(&reply, "stream-cursor").is_some() && reply.body.is_empty());
        }
    }
    assert!(ends.len() >= 18, "{ends:?}");
    let (first, last) = (*ends.first().unwrap(), *ends.last().unwrap());
    assert!(first >= 21_250 && last <= 25_000 && last - first > 1_000, "{ends:?}");
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn a_cursor_moves_past_the_one_that_is_echoed() {
    let mut table = Table::live(0);
    let request = |cursor| DocRequest::Read(Read { cursor, ..read(Since::Now, Live::LongPoll) });
    table.ask(1, request(None));
    table.ask(2, request(Some(1 << 50)));
    table.ask(3, post(&[edit(1)]));
    let effects = table.store();
    let cursors: Vec<_> = replies(&effects)
        .iter()
        .filter_map(|(_, reply)| header(reply, "stream-cursor")?.parse::<u64>().ok())
        .collect();
    assert!(cursors[0] < 1 << 50 && cursors[1] > 1 << 50, "{cursors:?}");
}

#[test]
fn there_are_no_more_held_requests_than_there_may_be() {
    let mut table = Table::live_with(Limits { held: 2, ..Limits::default() }, 1);
    table.ask(1, long_poll(at(1)));
    table.ask(2, events(at(1)));
    for (conn, request) in [(3, long_poll(at(1))), (4, events(at(1)))] {
        let refused = reply(&table.ask(conn, request));
        assert_eq!((refused.status, code(&refused).as_str()), (429, "RATE_LIMITED"));
        assert!(header(&refused, "retry-after").is_some());
    }
    table.ask(5, catch_up(Since::Start));
    assert_eq!(statuses(&table.settle()), [(5, 200)], "who does not wait is not held");
    table.leave(1);
    assert_eq!(table.ask(6, long_poll(at(1))), []);
}

#[test]
fn an_update_that_the_room_did_not_hear_of_is_not_lost_to_readers() {
    // Given up by the room, done by the store all the same: the next one lies behind it.
    let mut table = Table::live(1);
    table.ask(1, long_poll(at(1)));
    table.append_unheard(edit(2));
    table.ask(2, post(&[edit(3)]));
    let mut effects = table.settle();
    effects.retain(|effect| statuses(core::slice::from_ref(effect)) != [(2, 204)]);
    assert_eq!(given(&reply(&effects)), (vec![edit(2), edit(3)], Some(3)));
}

#[test]
fn an_update_that_only_a_load_shows_wakes_readers() {
    let mut table = Table::live(1);
    table.ask(1, long_poll(at(1)));
    table.append_unheard(edit(2));
    table.ask(2, DocRequest::State);
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(2, 200), (1, 200)]);
    assert_eq!(given(&replies(&effects)[1].1), (vec![edit(2)], Some(2)));
}

#[test]
fn an_update_that_a_load_shows_before_the_room_hears_of_it_is_not_lost_to_readers() {
    for overtaken in [DocRequest::State, catch_up(Since::Start)] {
        let mut table = Table::live(1);
        table.ask(1, long_poll(at(1)));
        table.ask(2, post(&[edit(2)]));
        table.ask(3, overtaken);
        let appended = table.late();
        let mut effects = table.settle();
        // Told now or told later; but not passed over.
        effects.extend(table.ask(4, catch_up(at(1))));
        effects.extend(table.give(appended));
        effects.extend(table.settle());
        for (conn, reply) in replies(&effects).into_iter().filter(|(conn, _)| [1, 4].contains(conn)) {
            let (got, end) = (frames(&reply.body), next_offset(&reply));
            assert!((got, end) == (vec![edit(2)], Some(2)) || conn == 4 && end == Some(1), "{reply:?}");
        }
        let answered: BTreeSet<_> = statuses(&effects).into_iter().map(|(conn, _)| conn).collect();
        assert!(answered.is_superset(&BTreeSet::from([1, 2, 4])), "{answered:?}");
    }
}

#[test]
fn a_reader_is_not_answered_from_a_load_that_is_older_than_its_question() {
    let mut table = Table::live(1);
    table.ask(1, catch_up(Since::Start));
    let old = table.late();
    table.ask(2, post(&[edit(2)]));
    table.ask(3, post(&[edit(3)]));
    assert_eq!(statuses(&table.settle()), [(2, 204), (3, 204)]);
    let mut effects = table.ask(4, catch_up(Since::Start));
    effects.extend(table.ask(5, catch_up(at(2))));
    effects.extend(table.give(old));
    effects.extend(table.settle());
    let answer = |of| replies(&effects).into_iter().find(|(conn, _)| *conn == of).unwrap().1;
    assert_eq!(
        given(&answer(4)),
        (vec![edit(1), edit(2), edit(3)], Some(3)),
        "its writer was told so before"
    );
    assert_eq!(given(&answer(5)), (vec![edit(3)], Some(3)));
}
