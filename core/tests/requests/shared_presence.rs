//! Presence of a document that any number of rooms share, as every request and every frame comes to a new one.

use crate::hall::{Hall, Socket};
use crate::presence::{GONE, is, next, there, who};
use crate::shared_streams::{make, status};
use crate::table::*;
use bytes::Bytes;
use yonder_core::http::Reply;
use yonder_core::log::{LogError, LogOp, PresencePart};
use yonder_core::request::{Live, PresenceOp, PresenceSince, Since};
use yonder_core::{Effect, Input, Residency, wire};

pub fn move_to(client: u64, clock: u64) -> Bytes {
    wire::awareness(&state(client, clock, &format!(r#"{{"at":{clock}}}"#)))
}

pub fn hello(client: u64, clock: u64) -> Bytes {
    wire::awareness(&there(client, clock))
}

fn goodbye(client: u64, clock: u64) -> Bytes {
    wire::awareness(&state(client, clock, GONE))
}

/// Who is there, as a room sees it that knows nothing.
pub fn present(hall: &mut Hall) -> Vec<(u64, u64, String)> {
    let reply = hall.once(watch("default", PresenceSince::All, Live::No));
    assert_eq!(reply.status, 200);
    who(&reply.body)
}

pub fn ids(hall: &mut Hall) -> Vec<u64> {
    present(hall).into_iter().map(|(id, ..)| id).collect()
}

#[test]
fn what_one_room_was_told_another_shows() {
    let mut hall = Hall::new();
    let posted = hall.once(announce("default", &[there(5, 1)]));
    assert_eq!(posted.status, 204);
    assert_eq!(hall.told(), [is(5, 1, "{}")], "sockets elsewhere are told");
    assert_eq!(present(&mut hall), [is(5, 1, "{}")]);
    let mut socket = hall.open();
    assert_eq!(socket.told, [is(5, 1, "{}")], "who comes is told who is there");
    hall.visit(&mut socket, &[hello(6, 1)]);
    assert_eq!(hall.told(), [is(6, 1, "{}")]);
    assert_eq!(ids(&mut hall), [5, 6]);
    let late = hall.open();
    assert_eq!(late.told, [is(5, 1, "{}"), is(6, 1, "{}")]);
    let asks = Bytes::from_static(&[3]);
    hall.visit(&mut socket, &[asks]);
    assert_eq!(socket.told[1..], [is(5, 1, "{}"), is(6, 1, "{}")], "and who asks");
    hall.once(announce("default", &[state(5, 2, GONE)]));
    hall.visit(&mut socket, &[goodbye(6, 1)]);
    assert_eq!(hall.told(), [is(5, 2, GONE), is(6, 1, GONE)]);
    assert_eq!(ids(&mut hall), [] as [u64; 0]);
}

#[test]
fn an_edit_is_published_although_no_socket_is_in_the_room() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    let (_, effects) = hall.ask(&mut room, post(&[edit(2)]));
    assert!(sent(&effects).iter().any(|(_, frame)| *frame == wire::update(&edit(2))));
}

#[test]
fn a_reader_in_another_room_is_woken_when_that_looks_again() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    let (_, effects) = hall.ask(&mut room, watch("default", PresenceSince::All, Live::LongPoll));
    assert_eq!(replies(&effects), []);
    let (_, effects) = hall.ask(&mut room, read_with_presence(Since::Now, PresenceSince::All, Live::Events));
    assert_eq!(statuses(&effects), [(2, 200)]);
    hall.pass(&mut room, 500);
    hall.once(announce("default", &[there(5, 1)]));
    let effects = hall.pass(&mut room, 1_000);
    assert_eq!(statuses(&effects), [(1, 200)]);
    assert_eq!(who(&reply(&effects).body), [is(5, 1, "{}")]);
    assert_eq!(crate::events::piece(&effects, 2).len(), 2, "presence, and where to go on");
}

#[test]
fn a_poll_that_goes_to_a_new_room_each_time_waits() {
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(5, 1)]));
    let first = hall.once(watch("default", PresenceSince::All, Live::LongPoll));
    assert_eq!((first.status, who(&first.body)), (200, vec![is(5, 1, "{}")]));
    let place = next(&first);
    let (second, took) = hall.once_timed(watch("default", place, Live::LongPoll));
    assert_eq!((second.status, next(&second)), (204, place));
    assert!(took > 20_000, "{took}");
    // Where nobody ever was likewise.
    let mut hall = Hall::new();
    let (nobody, took) = hall.once_timed(watch("default", PresenceSince::All, Live::LongPoll));
    assert_eq!(nobody.status, 204);
    let (again, again_took) = hall.once_timed(watch("default", next(&nobody), Live::LongPoll));
    assert!(again.status == 204 && took > 20_000 && again_took > 20_000);
    hall.once(announce("default", &[there(5, 1)]));
    let woken = hall.once(watch("default", next(&again), Live::LongPoll));
    assert_eq!(who(&woken.body), [is(5, 1, "{}")]);
    assert!(header(&woken, "stream-next-offset") > header(&again, "stream-next-offset"));
    hall.once(announce("default", &[there(6, 1)]));
    let changed = hall.once(watch("default", next(&woken), Live::LongPoll));
    assert_eq!(who(&changed.body), [is(6, 1, "{}")], "only what changed");
}

#[test]
fn what_is_not_renewed_goes_and_readers_are_told() {
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(5, 1), there(6, 1)]));
    let mut room = hall.room();
    hall.ask(&mut room, watch("default", PresenceSince::All, Live::Events));
    hall.pass(&mut room, 20_000);
    hall.once(announce("default", &[there(6, 2)]));
    hall.pass(&mut room, 9_900);
    assert_eq!(ids(&mut hall), [5, 6]);
    hall.told();
    let effects = hall.pass(&mut room, 3_000);
    assert_eq!(hall.told(), [is(5, 1, GONE)]);
    let told: Vec<_> = sent(&effects).into_iter().map(|(_, frame)| frame).collect();
    assert!(!told.is_empty(), "the reader as well");
    assert_eq!(present(&mut hall), [is(6, 2, "{}")]);
    // Nobody waits: who comes then is not shown what is late.
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(5, 1)]));
    hall.now = hall.now.after(30_000);
    assert_eq!(present(&mut hall), []);
}

#[test]
fn a_room_whose_clock_is_behind_or_ahead_goes_by_what_it_noticed() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    hall.ask(&mut room, watch("default", PresenceSince::All, Live::Events));
    // It is written with a clock that is a minute behind, and noticed here.
    hall.now = START;
    hall.pass(&mut room, 5_000);
    let here = hall.now;
    hall.now = yonder_core::Millis(START.0 - 60_000);
    hall.once(announce("default", &[there(5, 1)]));
    hall.now = here;
    let effects = hall.pass(&mut room, 3_000);
    assert!(!sent(&effects).is_empty());
    let seen = hall.answer(&mut room, watch("default", PresenceSince::All, Live::No)).0;
    assert_eq!(who(&seen.body), [is(5, 1, "{}")], "it is shown for as long as any other");
    hall.pass(&mut room, 33_000);
    let seen = hall.answer(&mut room, watch("default", PresenceSince::All, Live::No)).0;
    assert_eq!(who(&seen.body), []);
}

/// 30 moves a second for 10 seconds; how often they were written, and what is shown then.
fn moves(hall: &mut Hall, mut step: impl FnMut(&mut Hall, u64)) -> usize {
    hall.writes = 0;
    let began = hall.now;
    for clock in 2..302 {
        hall.now = hall.now.max(began.after(clock * 1_000 / 30));
        step(hall, clock);
    }
    hall.writes
}

#[test]
fn a_cursor_is_stored_a_few_times_a_second_in_one_room_and_in_ever_new_ones() {
    let mut hall = Hall::new();
    let mut socket = hall.open();
    hall.visit(&mut socket, &[hello(1, 1)]);
    hall.reads = 0;
    let written = moves(&mut hall, |hall, clock| {
        hall.visit(&mut socket, &[move_to(1, clock)]);
        assert!(hall.told().contains(&is(1, clock, &format!(r#"{{"at":{clock}}}"#))), "all are told at once");
    });
    assert!((25..=36).contains(&written), "{written}");
    assert!(hall.reads <= 40, "{}", hall.reads);
    // What was moved last is stored when the connection is heard of next.
    hall.now = hall.now.after(1_000);
    hall.visit(&mut socket, &[]);
    assert_eq!(present(&mut hall), [is(1, 301, r#"{"at":301}"#)]);
    let reads = hall.reads;
    hall.now = hall.now.after(1_000);
    hall.visit(&mut socket, &[]);
    assert_eq!(hall.reads, reads, "once is enough");

    let mut hall = Hall::new();
    let (mut room, conn) = (hall.room(), hall.conn());
    let grant = yonder_core::auth::Grant { permission: yonder_core::auth::Permission::Write, expires: None };
    hall.give(&mut room, Input::Open { conn, grant });
    hall.give(&mut room, Input::Frame { conn, bytes: hello(1, 1) });
    let mut last = hall.now;
    let written = moves(&mut hall, |hall, clock| {
        let wait = hall.now.since(last);
        hall.now = last;
        hall.pass(&mut room, wait);
        last = hall.now;
        hall.give(&mut room, Input::Frame { conn, bytes: move_to(1, clock) });
    });
    assert!((25..=36).contains(&written), "{written}");
    hall.pass(&mut room, 1_000);
    assert_eq!(present(&mut hall), [is(1, 301, r#"{"at":301}"#)]);
}

#[test]
fn many_cursors_are_stored_no_more_often_than_one() {
    let mut hall = Hall::new();
    let mut sockets: Vec<Socket> = (0..8).map(|_| hall.open()).collect();
    for (id, socket) in sockets.iter_mut().enumerate() {
        hall.visit(socket, &[hello(id as u64, 1)]);
    }
    let written = moves(&mut hall, |hall, clock| {
        for (id, socket) in sockets.iter_mut().enumerate() {
            hall.visit(socket, &[move_to(id as u64, clock)]);
        }
    });
    // One each 300 ms, and each client at least every 5 s.
    assert!(written <= 36 + 8 * 3, "{written}");
    assert!(present(&mut hall).iter().all(|(_, clock, _)| *clock > 100), "{:?}", present(&mut hall));
}

#[test]
fn moves_over_http_are_put_off_and_each_answer_waits_for_its_own() {
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(1, 1)]));
    let written = moves(&mut hall, |hall, clock| {
        assert_eq!(hall.once(announce("default", &[there(1, clock)])).status, 204);
        assert_eq!(present(hall), [is(1, clock, "{}")]);
    });
    assert_eq!(written, 300, "the client waits, and not the store");
    assert!(hall.now.since(START) >= 300 * 300, "{}", hall.now.since(START));
    let (_, took) = hall.once_timed(announce("default", &[there(2, 1)]));
    assert_eq!(took, 0, "who comes does not wait");
}

#[test]
fn what_was_put_off_is_not_forgotten_when_its_time_comes_while_the_value_is_read_for_another() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    hall.ask(&mut room, announce("default", &[there(1, 1)]));
    hall.pass(&mut room, 100);
    let (moves, effects) = hall.ask(&mut room, announce("default", &[there(1, 2)]));
    assert_eq!(reply_status(&effects), None, "it is put off");
    hall.pass(&mut room, 190);
    let conn = hall.conn();
    let request = announce("default", &[there(2, 1)]);
    let effects = hall.hand(&mut room, Input::Request { conn, request, expires: None });
    let (op, request) = stores(&effects).next().unwrap();
    assert!(matches!(request, LogOp::ReadPresence(_)));
    hall.now = hall.now.after(20);
    let reply = hall.store(request);
    let mut effects = hall.give(&mut room, Input::Stored { op, reply });
    effects.extend(hall.pass(&mut room, 1_000));
    let answered: Vec<_> = replies(&effects).into_iter().map(|(conn, reply)| (conn, reply.status)).collect();
    assert_eq!(answered, [(conn.0, 204), (moves.0, 204)]);
    assert_eq!(present(&mut hall), [is(1, 2, "{}"), is(2, 1, "{}")]);
}

#[test]
fn two_who_write_at_once_are_both_seen_after_they_are_heard_again() {
    let mut hall = Hall::new();
    let mut rooms = [hall.room(), hall.room()];
    let mut asked = Vec::new();
    // Both have read before either writes.
    for (index, room) in rooms.iter_mut().enumerate() {
        let request = announce("default", &[there(index as u64, 1)]);
        let conn = hall.conn();
        let mut effects = hall.hand(room, Input::Request { conn, request, expires: None });
        loop {
            let (op, request) = stores(&effects).next().unwrap();
            if matches!(request, LogOp::WritePresence { .. }) {
                asked.push((op, request));
                break;
            }
            let reply = hall.store(request);
            effects = hall.hand(room, Input::Stored { op, reply });
        }
    }
    for (room, (op, request)) in rooms.iter_mut().zip(asked) {
        let reply = hall.store(request);
        let effects = hall.give(room, Input::Stored { op, reply });
        assert_eq!(reply_status(&effects), Some(204));
    }
    assert_eq!(ids(&mut hall).len(), 1, "the last writer wins");
    for index in 0..2 {
        hall.once(announce("default", &[there(index, 2)]));
    }
    assert_eq!(ids(&mut hall), [0, 1]);
}

fn reply_status(effects: &[Effect]) -> Option<u16> {
    replies(effects).first().map(|(_, reply)| reply.status)
}

#[test]
fn a_place_of_a_value_that_was_replaced_brings_everyone() {
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(1, 1)]));
    let before = hall.kept(PresencePart::Default).unwrap().clone();
    hall.once(announce("default", &[there(2, 1)]));
    let seen = hall.once(watch("default", PresenceSince::All, Live::No));
    hall.log.presence.insert(PresencePart::Default, before);
    let again = hall.once(watch("default", next(&seen), Live::LongPoll));
    assert_eq!(who(&again.body), [is(1, 1, "{}")]);
    let (waits, _) = hall.once_timed(watch("default", next(&again), Live::LongPoll));
    assert_eq!(waits.status, 204);
}

#[test]
fn a_connection_that_goes_on_elsewhere_is_not_gone() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    let mut socket = hall.open();
    hall.visit_in(&mut room, &mut socket, &[hello(1, 1)]);
    hall.told();
    let effects = hall.pass(&mut room, 10_000);
    assert!(sent(&effects).is_empty() && hall.told().is_empty());
    assert_eq!(room.connections(), 0);
    assert_eq!(ids(&mut hall), [1]);
    // It comes back to the same room, and to others.
    hall.visit_in(&mut room, &mut socket, &[move_to(1, 2)]);
    hall.visit(&mut socket, &[move_to(1, 3)]);
    hall.now = hall.now.after(1_000);
    hall.visit_in(&mut room, &mut socket, &[]);
    assert_eq!(present(&mut hall), [is(1, 3, r#"{"at":3}"#)]);
    let reads = hall.reads;
    hall.visit(&mut socket, &[]);
    assert_eq!(hall.reads, reads, "who has nothing to say costs no read of presence");
}

#[test]
fn a_store_that_fails_keeps_no_socket_from_hearing() {
    let mut hall = Hall::new();
    let (mut room, conn) = (hall.room(), hall.conn());
    let grant = yonder_core::auth::Grant { permission: yonder_core::auth::Permission::Write, expires: None };
    hall.give(&mut room, Input::Open { conn, grant });
    hall.fails = Some(LogError::Unavailable);
    hall.give(&mut room, Input::Frame { conn, bytes: hello(1, 1) });
    let (posted, _) = hall.ask(&mut room, announce("default", &[there(2, 1)]));
    let (read, _) = hall.ask(&mut room, watch("default", PresenceSince::All, Live::No));
    let effects = hall.pass(&mut room, 15_000);
    let mut answers = statuses(&effects);
    answers.sort_unstable();
    assert_eq!(answers, [(posted.0, 503), (read.0, 503)]);
    assert!(hall.told().contains(&is(1, 1, "{}")));
    assert!(hall.reads < 40, "{}", hall.reads);
    hall.fails = None;
    hall.give(&mut room, Input::Frame { conn, bytes: move_to(1, 2) });
    hall.pass(&mut room, 5_000);
    assert_eq!(present(&mut hall), [is(1, 2, r#"{"at":2}"#)]);
    hall.fails = Some(LogError::Refused);
    assert!(hall.once(announce("default", &[there(2, 2)])).status >= 500);
}

#[test]
fn malformed_presence_is_refused_and_changes_nothing() {
    let mut hall = Hall::new();
    let mut socket = hall.open();
    hall.visit(&mut socket, &[hello(1, 1)]);
    let writes = hall.writes;
    for bad in [Bytes::new(), Bytes::from_static(&[200, 1]), state(5, 1, "{")] {
        assert_eq!(hall.once(announce("default", &[there(4, 1), bad.clone()])).status, 400);
        let (mut room, conn) = (hall.room(), hall.conn());
        let parked = socket.parked.clone().unwrap();
        hall.give(&mut room, Input::Resume { conn, parked: &parked });
        let effects = hall.give(&mut room, Input::Frame { conn, bytes: wire::awareness(&bad) });
        assert_eq!(closed(&effects)[0].1, 1007);
    }
    assert_eq!(hall.once(announce("new", &[Bytes::new()])).status, 400);
    assert_eq!(status(&mut hall, "new", PresenceOp::Head), 404, "nothing was made for it");
    assert!(hall.writes <= writes + 1, "only that the connection closed");
}

#[test]
fn nobody_who_does_not_ask_for_presence_pays_for_it() {
    let mut hall = Hall::new();
    let mut room = hall.room();
    hall.ask(&mut room, long_poll(at(1)));
    hall.ask(&mut room, events(at(1)));
    hall.ask(&mut room, post(&[edit(2)]));
    hall.pass(&mut room, 30_000);
    assert_eq!((hall.reads, hall.writes), (0, 0));
}

#[test]
fn a_room_that_is_the_only_one_asks_the_store_nothing() {
    let mut hall = Hall::new();
    hall.residency = Residency::Exclusive;
    let mut room = hall.room();
    let mut socket = hall.open();
    hall.visit_in(&mut room, &mut socket, &[hello(1, 1), move_to(1, 2)]);
    hall.ask(&mut room, announce("default", &[there(2, 1)]));
    hall.ask(&mut room, make("cursors"));
    hall.ask(&mut room, watch("default", PresenceSince::All, Live::LongPoll));
    hall.pass(&mut room, 60_000);
    assert_eq!((hall.reads, hall.writes), (0, 0));
}

#[test]
fn what_a_request_costs() {
    let mut hall = Hall::new();
    let mut cost = |what: yonder_core::request::DocRequest| {
        (hall.reads, hall.writes, hall.others) = (0, 0, 0);
        let _: Reply = hall.once(what);
        (hall.others, hall.reads, hall.writes)
    };
    assert_eq!(cost(announce("default", &[there(1, 1)])), (1, 1, 1), "is it there, who was, who is");
    assert_eq!(cost(watch("default", PresenceSince::All, Live::No)), (1, 1, 0));
    assert_eq!(cost(presence("default", PresenceOp::Head)), (1, 1, 0));
    assert_eq!(cost(announce("default", &[there(1, 1)])), (1, 1, 0), "nothing new");
}
