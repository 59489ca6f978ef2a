//! A room that is one of several of its document: when it reads the log again, and who is told what.

use crate::log::MemoryLog;
use crate::table::*;

use bytes::Bytes;
use yonder_core::limits::{Limits, Reread};
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset};
use yonder_core::request::{DocRequest, Since};
use yonder_core::wire::{self, Message, Messages};
use yonder_core::{ConnId, Effect, Input, To};

fn limits() -> Limits {
    Limits {
        reread: Reread { first: 100, steady: 300, most: 400, reads: 20, trust: 1_000 },
        ..Limits::default()
    }
}

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

/// Lets time pass while the store does what it is asked; when it was asked what.
fn live(table: &mut Table, millis: u64) -> (Vec<Effect>, Vec<u64>) {
    let (end, mut effects, mut asked) = (table.now.after(millis), Vec::new(), Vec::new());
    loop {
        while !table.asked.is_empty() {
            asked.push(table.now.0 - START.0);
            effects.extend(table.store());
        }
        let Some((at, _)) = table.room.poll_timeout().filter(|(at, _)| *at <= end) else { break };
        table.now = table.now.max(at);
        effects.extend(table.give(Input::Tick));
    }
    table.now = end;
    (effects, asked)
}

/// Updates that a socket was sent.
fn updates(effects: &[Effect], conn: u64) -> Vec<Bytes> {
    let mut updates = Vec::new();
    for (to, frame) in sent(effects) {
        if to == To::Conn(ConnId(conn))
            || matches!(to, To::Sockets { except } if except != Some(ConnId(conn)))
        {
            for message in Messages::new(&frame) {
                if let Message::Update(update) = message.unwrap() {
                    updates.push(Bytes::copy_from_slice(update));
                }
            }
        }
    }
    updates
}

#[test]
fn a_reader_is_told_what_another_instance_stored_and_the_log_is_read_less_often_while_nothing_comes() {
    let mut table = Table::shared(limits(), 2);
    table.ask(1, long_poll(at(2)));
    assert_eq!(loads(&table), [2], "at once, and without asking for the tail first");
    let (effects, asked) = live(&mut table, 2_000);
    assert_eq!(effects.iter().filter(|effect| !matches!(effect, Effect::Store { .. })).count(), 0);
    assert_eq!(asked, [0, 150, 375, 712, 1_112, 1_512, 1_912]);
    table.append_unheard(edit(3));
    let (effects, _) = live(&mut table, 400);
    let answer = reply(&effects);
    assert_eq!((answer.status, next_offset(&answer), frames(&answer.body)), (200, Some(3), vec![edit(3)]));
    assert_eq!(live(&mut table, 60_000).1, [] as [u64; 0], "nobody waits any more");
}

#[test]
fn what_is_stored_here_is_told_here_at_once() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, long_poll(at(1)));
    table.settle();
    table.ask(2, post(&[edit(2)]));
    assert_eq!(statuses(&table.settle()), [(2, 204), (1, 200)]);
    assert_eq!(table.now, START);
}

#[test]
fn a_reader_that_comes_while_the_log_is_read_waits_for_the_next_read() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, catch_up(Since::Start));
    let late = table.late();
    table.append_unheard(edit(2));
    table.ask(2, catch_up(Since::Start));
    let effects = table.give(late);
    assert_eq!((statuses(&effects), frames(&reply(&effects).body)), (vec![(1, 200)], vec![edit(1)]));
    assert_eq!(frames(&reply(&table.settle()).body), [edit(1), edit(2)]);
}

#[test]
fn a_replica_that_is_kept_is_brought_up_to_date_before_it_answers() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, DocRequest::State);
    let first = reply(&table.settle());
    table.append_unheard(edit(2));
    table.ask(2, DocRequest::State);
    let asked = |table: &mut Table| loads(table);
    assert_eq!(asked(&mut table), [u64::MAX], "is it there");
    table.store();
    assert_eq!(asked(&mut table), [1], "what came since");
    let second = reply(&table.settle());
    assert_eq!((next_offset(&first), next_offset(&second)), (Some(1), Some(2)));
    let summary = yonder_core::update::inspect(&second.body).unwrap();
    assert_eq!(summary.clients.len(), 2);
}

#[test]
fn whether_the_document_is_there_is_asked_again_and_believed_for_a_moment_by_who_writes() {
    let mut table = Table::shared(limits(), 0);
    table.ask(1, post(&[edit(1)]));
    assert_eq!(loads(&table), [u64::MAX]);
    table.settle();
    table.ask(2, post(&[edit(2)]));
    assert!(matches!(table.asked.front(), Some((_, LogOp::Append { .. }))));
    table.settle();
    table.log.answer(LogOp::Delete).unwrap();
    table.ask(3, head());
    assert_eq!(statuses(&table.settle()), [(3, 404)]);
    table.ask(4, post(&[edit(4)]));
    assert_eq!(statuses(&table.settle()), [(4, 404)]);
    table.log.answer(LogOp::Create { updates: Vec::new() }).unwrap();
    table.ask(5, post(&[edit(5)]));
    table.settle();
    table.wait(2_000);
    table.ask(6, post(&[edit(6)]));
    assert_eq!(statuses(&table.settle()), [(6, 204)], "it was made anew elsewhere");
}

#[test]
fn an_answer_that_is_overtaken_by_a_later_one_counts_no_more() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, head());
    let before = table.late();
    table.log.answer(LogOp::Delete).unwrap();
    table.ask(2, catch_up(Since::Start));
    assert_eq!(statuses(&table.settle()), [(2, 404), (1, 404)], "who asked before is told what is so now");
    assert_eq!(statuses(&table.give(before)), []);
    table.ask(3, post(&[edit(2)]));
    let deleted = table.late();
    table.log.answer(LogOp::Create { updates: Vec::new() }).unwrap();
    table.ask(4, catch_up(Since::Start));
    assert_eq!(statuses(&table.settle()), [(4, 200)]);
    assert_eq!(statuses(&table.give(deleted)), []);
    assert_eq!(statuses(&table.settle()), [(3, 204)]);
}

#[test]
fn a_deletion_elsewhere_ends_readers_and_sockets() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, long_poll(at(1)));
    table.ask(2, events(at(1)));
    table.open_socket(3);
    live(&mut table, 50);
    table.log.answer(LogOp::Delete).unwrap();
    let (effects, _) = live(&mut table, 500);
    assert_eq!(statuses(&effects), [(1, 404)]);
    let mut over = closed(&effects);
    over.sort_unstable();
    assert_eq!(over, [(2, 1000), (3, 4404)]);
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn who_comes_after_a_deletion_and_a_creation_elsewhere_is_answered_of_the_new_life() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, long_poll(at(1)));
    table.open_socket(2);
    live(&mut table, 50);
    table.log.answer(LogOp::Delete).unwrap();
    table.log.answer(LogOp::Create { updates: vec![edit(8)] }).unwrap();
    // This room believes still what it learnt a moment ago.
    table.ask(3, post(&[edit(9)]));
    table.ask(4, catch_up(at(1)));
    table.ask(5, DocRequest::State);
    let grant = yonder_core::auth::Grant { permission: yonder_core::auth::Permission::Write, expires: None };
    table.give(Input::Open { conn: ConnId(6), grant });
    let mut effects = table.settle();
    effects.extend(live(&mut table, 500).0);
    let mut answers = statuses(&effects);
    answers.sort_unstable();
    assert_eq!(answers, [(1, 404), (3, 204), (4, 200), (5, 200)]);
    assert_eq!(closed(&effects), [(2, 4404)], "it followed the former life");
    assert_eq!(table.room.connections(), 1);
}

#[test]
fn a_document_that_an_edit_and_a_request_made_at_once_was_not_deleted_between_the_two() {
    let mut table = Table::shared(limits(), 0);
    table.log = MemoryLog::default();
    table.open_socket(1);
    table.settle();
    table.ask(2, put());
    // The store is about to make it, finds nothing there, and comes to say so after the edit is stored.
    let (op, _) = table.asked.pop_front().unwrap();
    table.give(Input::Frame { conn: ConnId(1), bytes: wire::update(&edit(1)) });
    assert!(matches!(table.asked.front(), Some((_, LogOp::Append { .. }))));
    table.settle();
    let Ok(LogReply::Loaded(Loaded { tail, .. })) = table.log.answer(LogOp::Load { since: Offset::END })
    else {
        panic!("it is there")
    };
    let reply = Ok(LogReply::Created { existed: false, tail });
    let effects = table.give(Input::Stored { op, reply });
    assert_eq!((statuses(&effects), closed(&effects)), (vec![(2, 201)], vec![]));
}

#[test]
fn sockets_are_sent_what_others_stored_once_and_not_what_they_were_sent_before() {
    let mut table = Table::shared(limits(), 0);
    table.open_socket(1);
    table.open_socket(2);
    let given = table.give(Input::Frame { conn: ConnId(1), bytes: wire::update(&edit(1)) });
    assert_eq!((updates(&given, 1), updates(&given, 2)), (vec![], vec![]), "it is not stored yet");
    let stored = table.settle();
    assert_eq!((updates(&stored, 1), updates(&stored, 2)), (vec![], vec![edit(1)]));
    table.append_unheard(edit(2));
    let (effects, _) = live(&mut table, 1_000);
    assert_eq!((updates(&effects, 1), updates(&effects, 2)), (vec![edit(2)], vec![edit(2)]));
}

/// A socket's parked state, once it has what is stored.
fn parked(table: &mut Table) -> &'static [u8] {
    let grant = yonder_core::auth::Grant { permission: yonder_core::auth::Permission::Write, expires: None };
    let mut effects = table.give(Input::Open { conn: ConnId(1), grant });
    effects.extend(table.settle());
    effects.extend(table.give(Input::Frame { conn: ConnId(1), bytes: wire::step_2(&[0, 0]) }));
    effects.extend(live(table, 10).0);
    let state =
        |effect: &Effect| if let Effect::Park { state, .. } = effect { Some(state.to_vec()) } else { None };
    effects.iter().rev().find_map(state).unwrap().leak()
}

#[test]
fn a_session_that_is_resumed_elsewhere_is_sent_what_came_meanwhile() {
    let mut table = Table::shared(limits(), 1);
    let parked = parked(&mut table);
    table.append_unheard(edit(2));
    let mut next = Table::shared(limits(), 0);
    next.log = table.log;
    let mut effects = next.give(Input::Resume { conn: ConnId(1), parked });
    assert!(!next.room.is_idle());
    effects.extend(next.settle());
    assert_eq!(updates(&effects, 1), [edit(2)]);
    assert!(next.room.is_idle());
}

#[test]
fn a_session_that_is_resumed_is_sent_what_was_relayed_here_before_it_came() {
    let mut table = Table::shared(limits(), 1);
    let parked = parked(&mut table);
    let mut next = Table::shared(limits(), 0);
    next.log = table.log;
    next.open_socket(7);
    next.give(Input::Frame { conn: ConnId(7), bytes: wire::update(&edit(2)) });
    next.settle();
    let mut effects = next.give(Input::Resume { conn: ConnId(8), parked });
    effects.extend(live(&mut next, 1_000).0);
    assert_eq!((updates(&effects, 8), updates(&effects, 7)), (vec![edit(2)], vec![]));
}

#[test]
fn a_read_that_fails_ends_nobody_who_waits() {
    let mut table = Table::shared(limits(), 1);
    table.ask(1, long_poll(at(1)));
    table.settle();
    table.wait(200);
    assert_eq!(statuses(&table.fail(LogError::Unavailable)), []);
    table.append_unheard(edit(2));
    assert_eq!(statuses(&live(&mut table, 1_000).0), [(1, 200)]);
    table.ask(2, long_poll(at(2)));
    assert_eq!(statuses(&table.fail(LogError::Unavailable)), [(2, 503)], "it was told nothing yet");
}

#[test]
fn a_request_ends_when_it_has_had_its_reads() {
    let mut limits = limits();
    limits.reread.reads = 3;
    let mut table = Table::shared(limits, 1);
    table.ask(1, long_poll(at(1)));
    table.ask(2, events(at(1)));
    let (effects, asked) = live(&mut table, 10_000);
    assert_eq!(asked.len(), 5, "one each when they came, and three for both");
    assert_eq!((statuses(&effects), closed(&effects)), (vec![(2, 200), (1, 204)], vec![(2, 1000)]));
}

#[test]
fn one_room_alone_reads_nothing_again() {
    let mut table = Table::live(1);
    table.ask(1, long_poll(at(1)));
    let (_, asked) = live(&mut table, 10_000);
    assert_eq!(asked, [] as [u64; 0]);
}

#[test]
fn who_follows_asks_what_is_new_and_who_comes_asks_whether_the_document_is_there_as_well() {
    let mut table = Table::shared(limits(), 1);
    let follows = |table: &Table| matches!(table.asked.front(), Some((_, LogOp::Follow { .. })));
    table.ask(1, long_poll(at(1)));
    assert!(!follows(&table) && !table.asked.is_empty());
    table.settle();
    table.wait(150);
    assert!(follows(&table), "it was there a moment ago");
    table.settle();
    table.wait(100);
    table.ask(2, catch_up(at(1)));
    assert!(!follows(&table) && !table.asked.is_empty());
}

#[test]
fn while_every_read_finds_something_the_log_is_read_less_often() {
    let mut limits = limits();
    limits.reread.reads = 99;
    let mut table = Table::shared(limits, 0);
    table.ask(1, events(at(0)));
    let mut told = Vec::new();
    for edits in 1..=60 {
        table.append_unheard(edit(edits));
        let (effects, asked) = live(&mut table, 50);
        if effects.iter().any(|effect| matches!(effect, Effect::Send { .. })) {
            told.extend(asked);
        }
    }
    told.dedup(); // what is compacted is asked for as well
    let pauses: Vec<_> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..3], [100, 100, 100]);
    assert!(pauses[3..].iter().all(|pause| *pause == 300), "{pauses:?}");
    live(&mut table, 5_000);
    let mut is_told = |edits, within: u64| {
        table.append_unheard(edit(edits));
        let mut steps = (0..within).step_by(10);
        steps.any(|_| live(&mut table, 10).0.iter().any(|effect| matches!(effect, Effect::Send { .. })))
    };
    assert!(is_told(61, 400));
    assert!(is_told(62, 110), "it was quiet before");
}
