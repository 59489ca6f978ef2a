//! Who is there, over HTTP: beside the document, alone, and in streams of other names.

use crate::events::piece;
use crate::stream::{self, Event, parse};
use crate::table::*;
use bytes::Bytes;
use yonder_core::http::Reply;
use yonder_core::limits::Limits;
use yonder_core::log::Offset;
use yonder_core::request::{Live, PresenceOffset, PresenceOp, PresenceSince, Since};
use yonder_core::{ConnId, Input, To, wire};

pub const GONE: &str = "null";

pub fn there(client: u64, clock: u64) -> Bytes {
    state(client, clock, "{}")
}

/// Where a reader of presence goes on.
pub fn goes_on(text: &str) -> PresenceSince {
    PresenceSince::At(PresenceOffset::parse(text).unwrap())
}

pub fn next(reply: &Reply) -> PresenceSince {
    goes_on(header(reply, "stream-next-offset").unwrap())
}

/// Frames of awareness updates without how they were put together: client, clock, state.
pub fn who(body: &[u8]) -> Vec<(u64, u64, String)> {
    frames(body).iter().flat_map(|update| who_in(update)).collect()
}

pub fn who_in(update: &[u8]) -> Vec<(u64, u64, String)> {
    let mut reader = wire::Reader::new(update);
    let count = reader.var_uint().unwrap();
    let mut entry = |_| {
        let (client, clock) = (reader.var_uint().unwrap(), reader.var_uint().unwrap());
        (client, clock, reader.var_str().unwrap().to_owned())
    };
    (0..count).map(&mut entry).collect()
}

pub fn is(client: u64, clock: u64, json: &str) -> (u64, u64, String) {
    (client, clock, json.to_owned())
}

#[test]
fn presence_reaches_sockets_and_readers_at_once_whoever_says_it() {
    let mut table = Table::live(0);
    table.open_socket(9);
    table.ask(1, watch("default", PresenceSince::All, Live::LongPoll));
    table.ask(2, watch("default", PresenceSince::All, Live::Events));
    let frame = wire::awareness(&there(5, 1));
    let effects = table.give(Input::Frame { conn: ConnId(9), bytes: frame });
    assert_eq!(who(&reply(&effects).body), [is(5, 1, "{}")]);
    assert_eq!(piece(&effects[1..], 2)[0], Event::Data(vec![there(5, 1)]), "its stream's own data");

    let effects = table.ask(3, announce("default", &[there(6, 1)]));
    assert_eq!(statuses(&effects), [(3, 204)], "nothing is stored");
    let expected = (To::Sockets { except: None }, wire::awareness(&there(6, 1)));
    assert!(sent(&effects).contains(&expected));
    assert_eq!(piece(&effects[1..], 2)[0], Event::Data(vec![there(6, 1)]));
    assert!(table.asked.is_empty());
}

#[test]
fn a_new_reader_gets_everyone_at_once_and_then_what_changed() {
    let mut table = Table::live(0);
    table.ask(1, announce("default", &[there(5, 1), there(6, 1)]));
    let all = reply(&table.ask(2, watch("default", PresenceSince::All, Live::No)));
    assert_eq!((all.status, who(&all.body)), (200, vec![is(5, 1, "{}"), is(6, 1, "{}")]));
    let held = table.ask(3, watch("default", next(&all), Live::LongPoll));
    assert_eq!(held, []);
    let effects = table.ask(4, announce("default", &[state(6, 1, GONE)]));
    let changed = reply(&effects[..1]);
    let (_, woken) = replies(&effects).into_iter().find(|(conn, _)| *conn == 3).unwrap();
    assert_eq!((changed.status, who(&woken.body)), (204, vec![is(6, 1, GONE)]));
    // Clocks that are known wake nobody.
    table.ask(3, watch("default", next(&woken), Live::LongPoll));
    assert_eq!(statuses(&table.ask(4, announce("default", &[there(5, 1)]))), [(4, 204)]);
}

#[test]
fn a_state_that_is_not_renewed_is_removed_and_readers_are_told() {
    let mut table = Table::live(0);
    table.ask(1, announce("default", &[there(5, 1), there(6, 1)]));
    table.wait(20_000);
    table.ask(2, watch("default", PresenceSince::All, Live::Events));
    table.ask(3, announce("default", &[there(6, 2)]));
    assert_eq!(sent(&table.wait(9_999)), []);
    let effects = table.wait(1);
    assert_eq!(piece(&effects, 2)[0], Event::Data(vec![state(5, 1, GONE)]));
    assert_eq!(table.now.since(START), 30_000);
    let left = reply(&table.ask(4, watch("default", PresenceSince::All, Live::No)));
    assert_eq!(who(&left.body), [is(6, 2, "{}")]);
    let effects = table.wait(20_000);
    assert!(sent(&effects).iter().any(|(_, frame)| parse(frame)[0] == Event::Data(vec![state(6, 2, GONE)])));
}

#[test]
fn a_socket_that_closes_is_gone_for_readers_at_once() {
    let mut table = Table::live(0);
    table.open_socket(9);
    table.give(Input::Frame { conn: ConnId(9), bytes: wire::awareness(&there(5, 1)) });
    let first = reply(&table.ask(1, watch("default", PresenceSince::All, Live::LongPoll)));
    table.ask(1, watch("default", next(&first), Live::LongPoll));
    assert_eq!(who(&reply(&table.leave(9)).body), [is(5, 1, GONE)]);
}

#[test]
fn a_long_poll_of_both_is_woken_by_either_and_tells_them_apart() {
    let mut table = Table::live(1);
    let ask = |table: &mut Table, who| table.ask(1, read_with_presence(at(1), who, Live::LongPoll));
    let parts = |reply: &Reply| {
        assert!(header(reply, "stream-presence-length").is_some());
        let (updates, presence) = stream::parts(reply);
        (updates, presence.iter().flat_map(|update| who_in(update)).collect(), next_offset(reply))
    };
    assert_eq!(ask(&mut table, PresenceSince::All), []);
    let effects = table.ask(2, announce("default", &[there(5, 1)]));
    let presence_only = replies(&effects).into_iter().find(|(conn, _)| *conn == 1).unwrap().1;
    assert_eq!(parts(&presence_only), (vec![], vec![is(5, 1, "{}")], Some(1)));
    let known = goes_on(header(&presence_only, "stream-presence-offset").unwrap());

    assert_eq!(ask(&mut table, known), []);
    table.ask(2, post(&[edit(2)]));
    let updates_only = replies(&table.store()).into_iter().find(|(conn, _)| *conn == 1).unwrap().1;
    assert_eq!(parts(&updates_only), (vec![edit(2)], vec![], Some(2)));
    assert_eq!(goes_on(header(&updates_only, "stream-presence-offset").unwrap()), known);

    table.ask(2, announce("default", &[there(6, 1)]));
    let both = reply(&ask(&mut table, known));
    assert_eq!(parts(&both), (vec![edit(2)], vec![is(6, 1, "{}")], Some(2)));

    // Neither: the deadline.
    let known = goes_on(header(&both, "stream-presence-offset").unwrap());
    table.ask(1, read_with_presence(at(2), known, Live::LongPoll));
    let nothing = reply(&table.wait(25_000));
    assert_eq!((nothing.status, next_offset(&nothing)), (204, Some(2)));
    assert_eq!(goes_on(header(&nothing, "stream-presence-offset").unwrap()), known);
}

#[test]
fn an_event_stream_of_both_tells_them_apart() {
    let mut table = Table::live(1);
    table.ask(2, announce("default", &[there(5, 1)]));
    table.ask(1, read_with_presence(Since::Start, PresenceSince::All, Live::Events));
    let first = parse(&reply(&table.settle()).body);
    assert_eq!(first[0], Event::Data(vec![edit(1)]));
    assert_eq!(first[1], Event::Presence(vec![there(5, 1)]));
    assert_eq!(first[2].place(), Some(Offset::new(1)));
    let offset = |event: &Event| event.presence_place().unwrap();
    let effects = table.ask(2, announce("default", &[there(6, 1)]));
    let second = piece(&effects[1..], 1);
    assert_eq!((&second[0], second.len()), (&Event::Presence(vec![there(6, 1)]), 2));
    assert!(offset(&second[1]) > offset(&first[2]) && second[1].place() == Some(Offset::new(1)));
    table.ask(2, post(&[edit(2)]));
    let third = piece(&table.store()[1..], 1);
    assert_eq!((&third[0], third.len()), (&Event::Data(vec![edit(2)]), 2));
    assert_eq!((offset(&third[1]), third[1].place()), (offset(&second[1]), Some(Offset::new(2))));
}

#[test]
fn a_presence_offset_of_an_earlier_room_gets_everyone_who_is_there() {
    let mut table = Table::live(0);
    table.ask(1, announce("default", &[there(5, 1)]));
    let old = PresenceOffset { life: yonder_core::Millis(START.0 - 1), version: 400 };
    for live in [Live::No, Live::LongPoll] {
        let all = reply(&table.ask(2, watch("default", PresenceSince::At(old), live)));
        assert_eq!(who(&all.body), [is(5, 1, "{}")]);
    }
}

#[test]
fn streams_are_made_written_read_and_deleted_beside_the_default_one() {
    let mut table = Table::live(0);
    let create = || presence("cursors", PresenceOp::Create { path: "/d".into() });
    for request in
        [presence("cursors", PresenceOp::Head), watch("cursors", PresenceSince::All, Live::LongPoll)]
    {
        let missing = reply(&table.ask(1, request));
        assert_eq!((missing.status, code(&missing).as_str()), (404, "STREAM_NOT_FOUND"));
    }
    let made = reply(&table.ask(1, create()));
    assert_eq!((made.status, header(&made, "location")), (201, Some("/d?awareness=cursors")));
    assert_eq!(statuses(&table.ask(1, create())), [(1, 200)]);
    table.ask(2, announce("cursors", &[there(5, 1)]));
    let here = reply(&table.ask(3, watch("cursors", PresenceSince::All, Live::No)));
    assert_eq!(who(&here.body), [is(5, 1, "{}")]);
    let elsewhere = reply(&table.ask(3, watch("default", PresenceSince::All, Live::No)));
    assert_eq!(who(&elsewhere.body), []);

    table.ask(4, watch("cursors", next(&here), Live::LongPoll));
    table.ask(5, watch("cursors", next(&here), Live::Events));
    table.ask(6, watch("default", PresenceSince::All, Live::Events));
    let effects = table.ask(7, presence("cursors", PresenceOp::Delete));
    assert_eq!(statuses(&effects), [(4, 404), (7, 204)]);
    assert_eq!(closed(&effects), [(5, 1000)]);
    assert_eq!(statuses(&table.ask(8, presence("cursors", PresenceOp::Delete))), [(8, 404)]);
    // The first announcement makes it, too; and nobody of before is in it.
    assert_eq!(statuses(&table.ask(9, announce("cursors", &[there(6, 1)]))), [(9, 204)]);
    let anew = reply(&table.ask(3, watch("cursors", PresenceSince::All, Live::No)));
    assert_eq!(who(&anew.body), [is(6, 1, "{}")]);
    assert_eq!(table.room.connections(), 1);
}

#[test]
fn an_offset_of_a_stream_that_was_deleted_does_not_hide_who_is_there_now() {
    let mut table = Table::live(0);
    table.ask(1, announce("x", &[there(1, 1), there(2, 1)]));
    let old = next(&reply(&table.ask(2, watch("x", PresenceSince::All, Live::No))));
    table.ask(3, presence("x", PresenceOp::Delete));
    table.ask(4, announce("x", &[there(3, 1), there(4, 1), there(5, 1)]));
    let now = reply(&table.ask(5, watch("x", old, Live::No)));
    assert_eq!(who(&now.body), [is(3, 1, "{}"), is(4, 1, "{}"), is(5, 1, "{}")]);
}

#[test]
fn deleting_the_default_stream_empties_it_and_it_stays() {
    let mut table = Table::live(0);
    table.open_socket(9);
    table.ask(1, announce("default", &[there(5, 1)]));
    assert_eq!(statuses(&table.ask(2, presence("default", PresenceOp::Delete))), [(2, 204)]);
    let empty = reply(&table.ask(3, watch("default", PresenceSince::All, Live::No)));
    assert_eq!((empty.status, who(&empty.body)), (200, vec![]));
}

#[test]
fn a_stream_is_forgotten_an_hour_after_its_last_use_and_there_are_only_so_many() {
    let mut table = Table::live_with(Limits { presence_streams: 2, ..Limits::default() }, 0);
    assert_eq!(statuses(&table.ask(1, announce("a", &[there(5, 1)]))), [(1, 204)]);
    assert_eq!(statuses(&table.ask(1, announce("b", &[there(5, 1)]))), [(1, 204)]);
    for request in [announce("c", &[there(5, 1)]), presence("c", PresenceOp::Create { path: "/d".into() })] {
        let refused = reply(&table.ask(2, request));
        assert_eq!((refused.status, code(&refused).as_str()), (429, "RATE_LIMITED"));
    }
    table.wait(1_800_000);
    assert_eq!(statuses(&table.ask(3, presence("b", PresenceOp::Head))), [(3, 200)]);
    table.wait(1_799_999);
    assert_eq!(statuses(&table.ask(3, announce("default", &[there(6, 1)]))), [(3, 204)]);
    table.wait(1);
    assert_eq!(statuses(&table.ask(3, presence("a", PresenceOp::Head))), [(3, 404)]);
    assert_eq!(statuses(&table.ask(3, announce("c", &[there(5, 1)]))), [(3, 204)], "there is room again");
    assert_eq!(statuses(&table.ask(3, presence("b", PresenceOp::Head))), [(3, 200)]);
}

#[test]
fn states_that_cannot_be_taken_are_refused() {
    let mut table = Table::live_with(Limits { awareness_bytes: 100, ..Limits::default() }, 0);
    let large = state(5, 1, &format!("\"{}\"", "x".repeat(100)));
    for (states, status, name) in [
        (Bytes::from_static(b"\x07"), 400, "INVALID_REQUEST"),
        (state(5, 1, "{"), 400, "INVALID_REQUEST"),
        (large, 413, "PAYLOAD_TOO_LARGE"),
    ] {
        let refused = reply(&table.ask(1, announce("default", &[states])));
        assert_eq!((refused.status, code(&refused).as_str()), (status, name));
    }
    let nobody = reply(&table.ask(2, watch("default", PresenceSince::All, Live::No)));
    assert_eq!((nobody.status, who(&nobody.body)), (200, vec![]));
}

#[test]
fn presence_of_a_document_that_is_not_there_is_not_found() {
    let mut table = Table::absent();
    table.ask(1, announce("default", &[there(5, 1)]));
    table.ask(2, watch("default", PresenceSince::All, Live::LongPoll));
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(1, 404), (2, 404)]);
    assert_eq!(code(&replies(&effects)[0].1), "DOCUMENT_NOT_FOUND");
}
