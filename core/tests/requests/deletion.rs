//! A document that is deleted, and what becomes of everyone in it.

use crate::stream::parse;
use crate::table::*;
use yonder_core::auth::{Grant, Permission};
use yonder_core::log::{LogError, LogOp, Offset};
use yonder_core::request::{DocRequest, Live, PresenceOp, PresenceSince, Since};
use yonder_core::{Close, ConnId, Input, wire};

fn open(conn: u64) -> Input<'static> {
    Input::Open { conn: ConnId(conn), grant: Grant { permission: Permission::Write, expires: None } }
}

fn typed(conn: u64, n: u8) -> Input<'static> {
    Input::Frame { conn: ConnId(conn), bytes: wire::update(&edit(n)) }
}

/// A deleted document, and a room that knows.
fn deleted() -> Table {
    let mut table = Table::live(2);
    table.ask(1, DocRequest::Delete);
    assert_eq!(statuses(&table.settle()), [(1, 204)]);
    table
}

#[test]
fn a_delete_sends_everyone_away_once_it_is_durable() {
    let mut table = Table::live(2);
    table.open_socket(9);
    table.ask(1, long_poll(at(2)));
    table.ask(2, events(at(2)));
    table.ask(3, watch("default", PresenceSince::All, Live::LongPoll));
    table.ask(4, catch_up(at(1)));
    let load = table.late();
    assert_eq!(table.ask(5, DocRequest::Delete).len(), 1, "it is only asked for");
    let effects = table.store();
    assert_eq!(statuses(&effects), [(1, 404), (3, 404), (4, 404), (5, 204)]);
    assert_eq!(code(&replies(&effects)[0].1), "DOCUMENT_NOT_FOUND");
    assert_eq!(closed(&effects), [(2, Close::NORMAL), (9, Close::NOT_FOUND)]);
    assert_eq!(table.room.connections(), 0);
    assert_eq!(table.give(load), [], "what comes late is for nobody");
    assert!(table.room.is_idle());
}

#[test]
fn after_a_delete_nothing_is_there_but_sockets_are_told_why() {
    let mut table = deleted();
    let requests = [
        head(),
        post(&[edit(3)]),
        catch_up(Since::Start),
        long_poll(at(2)),
        DocRequest::State,
        announce("default", &[state(5, 1, "{}")]),
    ];
    for request in requests {
        let gone = reply(&table.ask(1, request));
        assert_eq!((gone.status, code(&gone).as_str()), (404, "DOCUMENT_NOT_FOUND"));
    }
    assert_eq!(closed(&table.give(open(9))), [(9, Close::NOT_FOUND)]);
    table.ask(2, DocRequest::Delete);
    assert_eq!(statuses(&table.settle()), [(2, 404)]);
    assert!(table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn a_room_that_does_not_know_learns_of_the_delete_from_the_store() {
    let gone = || {
        let mut table = Table::absent();
        table.log.answer(LogOp::Create { updates: vec![edit(1)] }).unwrap();
        table.log.answer(LogOp::Delete).unwrap();
        table
    };
    let mut loads = gone();
    loads.give(open(9));
    assert_eq!(closed(&loads.settle()), [(9, Close::NOT_FOUND)]);
    let mut asks = gone();
    asks.give(open(9));
    asks.asked.clear();
    asks.give(typed(9, 2));
    assert_eq!(closed(&asks.settle()), [(9, Close::NOT_FOUND)], "an append is refused");
    assert_eq!(asks.log.entries().count(), 0);
}

#[test]
fn a_document_that_never_was_is_not_deleted_under_those_who_are_about_to_make_it() {
    let mut table = Table::absent();
    table.open_socket(9);
    table.ask(1, DocRequest::Delete);
    let effects = table.settle();
    assert_eq!((statuses(&effects), closed(&effects)), (vec![(1, 404)], vec![]));
    table.give(typed(9, 1));
    table.settle();
    assert_eq!(statuses(&table.ask(2, head())), [(2, 200)]);
}

#[test]
fn posts_in_flight_are_refused_and_their_late_replies_ignored() {
    let mut table = Table::live(1);
    table.ask(1, post(&[edit(2)]));
    table.ask(2, post(&[edit(3)]));
    let appended = table.late();
    table.ask(3, DocRequest::Delete);
    assert_eq!(statuses(&table.store()), [(1, 404), (2, 404), (3, 204)]);
    assert_eq!(replies(&table.give(appended)), []);
    assert!(table.asked.is_empty(), "the second is not stored any more");
    assert_eq!(statuses(&table.ask(4, head())), [(4, 404)]);
    assert!(table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn an_append_that_was_to_be_repeated_does_not_come_back_into_the_next_document() {
    let mut table = Table::live(1);
    table.ask(1, post(&[edit(2)]));
    table.fail(LogError::Unavailable);
    table.ask(2, DocRequest::Delete);
    table.ask(3, put());
    assert_eq!(statuses(&table.settle()), [(1, 404), (2, 204), (3, 201)]);
    table.wait(10_000);
    table.settle();
    assert_eq!(table.log.entries().count(), 0);
    assert!(table.room.is_idle());
}

#[test]
fn a_late_reply_to_an_old_append_says_nothing_about_the_next_document() {
    for done in [true, false] {
        let mut table = Table::live(1);
        table.ask(1, post(&[edit(2)]));
        let appended = if done {
            table.late()
        } else {
            let (op, _) = table.asked.pop_front().unwrap();
            Input::Stored { op, reply: Err(LogError::Deleted) }
        };
        table.ask(2, DocRequest::Delete);
        table.ask(3, put());
        table.settle();
        table.ask(4, long_poll(Since::Start));
        table.ask(5, post(&[edit(4)]));
        assert_eq!(replies(&table.give(appended)), [], "neither the post nor the reader hears of it");
        let effects = table.settle();
        assert_eq!(statuses(&effects), [(5, 204), (4, 200)]);
        assert_eq!(frames(&replies(&effects)[1].1.body), [edit(4)]);
    }
}

#[test]
fn a_document_that_is_made_again_begins_empty_and_its_offsets_go_on() {
    let mut table = deleted();
    table.ask(1, put());
    let made = reply(&table.settle());
    assert_eq!((made.status, next_offset(&made)), (201, Some(2)));
    table.ask(2, catch_up(Since::Start));
    let empty = reply(&table.settle());
    assert_eq!((frames(&empty.body), next_offset(&empty)), (vec![], Some(2)));
    table.open_socket(9);
    table.ask(3, events(at(2)));
    table.ask(4, post(&[edit(7)]));
    let effects = table.settle();
    assert_eq!(next_offset(&reply(&effects)), Some(3));
    assert_eq!(
        sent(&effects).iter().flat_map(|(_, frame)| parse(frame)).find_map(|event| event.place()),
        Some(Offset::new(3))
    );
    // A reader of before misses nothing that is new.
    let old = reply(&table.ask(5, long_poll(at(2))));
    assert_eq!((frames(&old.body), next_offset(&old)), (vec![edit(7)], Some(3)));
}

#[test]
fn nobody_of_before_is_in_the_document_that_is_made_again() {
    let mut table = Table::live(0);
    table.ask(1, announce("default", &[state(1, 1, "{}"), state(2, 1, "{}")]));
    table.ask(1, announce("x", &[state(3, 1, "{}")]));
    let before = reply(&table.ask(2, watch("default", PresenceSince::All, Live::No)));
    table.ask(3, DocRequest::Delete);
    table.ask(4, put());
    table.settle();
    let now = reply(&table.ask(5, watch("default", PresenceSince::All, Live::No)));
    assert_eq!((now.status, frames(&now.body)), (200, vec![]));
    assert_eq!(statuses(&table.ask(6, presence("x", PresenceOp::Head))), [(6, 404)]);
    // An offset of before does not hide who is there now.
    table.ask(7, announce("default", &[state(3, 1, "{}"), state(4, 1, "{}"), state(5, 1, "{}")]));
    let offset = header(&before, "stream-next-offset").unwrap();
    let old = PresenceSince::At(yonder_core::request::PresenceOffset::parse(offset).unwrap());
    let all = frames(&reply(&table.ask(8, watch("default", old, Live::No))).body);
    assert_eq!(wire::Reader::new(&all[0]).var_uint(), Ok(3), "three are there");
}

#[test]
fn a_delete_that_fails_leaves_everyone_in_the_document() {
    let mut table = Table::live(1);
    table.open_socket(9);
    table.ask(1, long_poll(at(1)));
    table.ask(2, DocRequest::Delete);
    let effects = table.fail(LogError::Unavailable);
    assert_eq!((statuses(&effects), closed(&effects)), (vec![(2, 503)], vec![]));
    table.ask(3, post(&[edit(2)]));
    assert_eq!(statuses(&table.settle()), [(3, 204), (1, 200)]);
}

/// A document of one update that is deleted, and a room that was told of an error instead. There are a socket (9), a
/// long-poll (1) and an event stream of presence alone (2).
fn deleted_unheard() -> Table {
    let mut table = Table::live(1);
    table.open_socket(9);
    table.ask(1, long_poll(at(1)));
    table.ask(2, watch("default", PresenceSince::All, Live::Events));
    table.ask(3, DocRequest::Delete);
    table.log.answer(LogOp::Delete).unwrap();
    assert_eq!(statuses(&table.fail(LogError::Unavailable)), [(3, 503)]);
    table
}

#[test]
fn a_delete_whose_outcome_is_not_known_is_found_out() {
    let mut table = deleted_unheard();
    let mut effects = table.ask(4, head());
    effects.extend(table.settle());
    assert!(statuses(&effects).contains(&(4, 404)), "the store knows: {effects:?}");
    assert!(statuses(&effects).contains(&(1, 404)) && closed(&effects).contains(&(9, Close::NOT_FOUND)));
}

#[test]
fn a_delete_that_finds_it_done_sends_everyone_away_as_well() {
    let mut table = deleted_unheard();
    let mut effects = table.ask(4, DocRequest::Delete);
    effects.extend(table.ask(5, post(&[edit(2)])));
    effects.extend(table.settle());
    let answered = statuses(&effects);
    for answer in [(1, 404), (4, 404), (5, 404)] {
        assert!(answered.contains(&answer), "{answer:?} is not in {answered:?}");
    }
    assert!(
        closed(&effects).contains(&(9, Close::NOT_FOUND)) && closed(&effects).contains(&(2, Close::NORMAL))
    );
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn a_document_that_is_made_again_after_an_unheard_delete_begins_with_nobody_in_it() {
    let mut table = deleted_unheard();
    let mut effects = table.ask(4, put());
    for _ in 0..10 {
        if !table.asked.is_empty() {
            effects.extend(table.store());
        }
    }
    assert!(table.asked.is_empty(), "it does not ask again and again: {:?}", table.asked);
    assert!(statuses(&effects).contains(&(4, 201)) && statuses(&effects).contains(&(1, 404)));
    assert!(closed(&effects).contains(&(9, Close::NOT_FOUND)), "it has what was deleted");
    assert_eq!(table.log.entries().count(), 0);
}

#[test]
fn an_append_that_is_due_during_a_delete_does_not_get_behind_it() {
    let mut table = Table::live(1);
    table.ask(1, post(&[edit(2)]));
    table.fail(LogError::Unavailable);
    table.ask(2, DocRequest::Delete);
    table.ask(3, put());
    table.wait(1_000);
    assert_eq!(statuses(&table.settle()), [(1, 404), (2, 204), (3, 201)]);
    assert_eq!(table.log.entries().count(), 0);
}

#[test]
fn a_question_asked_before_the_doubt_does_not_settle_it() {
    let mut table = Table::absent();
    table.ask(1, put());
    assert_eq!(statuses(&table.fail(LogError::Unavailable)), [(1, 503)]);
    let absent = (!table.asked.is_empty()).then(|| table.late());
    table.ask(2, put());
    table.log.answer(LogOp::Create { updates: Vec::new() }).unwrap();
    assert_eq!(statuses(&table.fail(LogError::Unavailable)), [(2, 503)]);
    absent.map(|reply| table.give(reply));
    let mut effects = table.ask(3, head());
    effects.extend(table.settle());
    assert_eq!(statuses(&effects), [(3, 200)]);
}
