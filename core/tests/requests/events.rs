//! Event streams.

use crate::stream::{Event, parse};
use crate::table::*;
use std::collections::BTreeSet;
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, Offset};
use yonder_core::request::{Live, PresenceSince, Since};
use yonder_core::{Close, ConnId, Effect, Input, To, wire};

/// The events of the one piece that a connection was sent.
pub fn piece(effects: &[Effect], of: u64) -> Vec<Event> {
    let pieces: Vec<_> = sent(effects).into_iter().filter(|(to, _)| *to == To::Conn(ConnId(of))).collect();
    assert_eq!(pieces.len(), 1, "{effects:?}");
    let events = parse(&pieces[0].1);
    let last = events.last().unwrap();
    assert!(*last == Event::Comment || last.is_up_to_date(), "{last:?}");
    events
}

#[test]
fn an_event_stream_begins_with_its_head_what_there_is_and_the_place() {
    let mut table = Table::live(2);
    assert_eq!(table.ask(1, events(at(1))).len(), 1, "only the load");
    let head = reply(&table.settle());
    assert!(head.status == 200 && head.streams);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("stream-sse-data-encoding", "base64"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(header(&head, name), Some(value));
    }
    let first = parse(&head.body);
    assert_eq!((&first[0], first.len()), (&Event::Data(vec![edit(2)]), 2));
    assert_eq!(first[1].place(), Some(Offset::new(2)));
    // Where there is nothing, it says so.
    let nothing = parse(&reply(&table.ask(2, events(Since::Now))).body);
    assert_eq!((nothing.len(), nothing[0].place()), (1, Some(Offset::new(2))));
    assert_eq!(table.room.connections(), 2);
}

#[test]
fn an_event_stream_goes_on_with_what_is_stored() {
    let mut table = Table::live(1);
    table.open_socket(9);
    table.ask(1, events(at(1)));
    let typed = table.give(Input::Frame { conn: ConnId(9), bytes: wire::update(&edit(2)) });
    assert!(sent(&typed).iter().all(|(to, _)| *to != To::Conn(ConnId(1))), "only accepted so far");
    table.ask(2, post(&[edit(3), edit(4)]));
    let second = piece(&table.store(), 1);
    assert_eq!((&second[0], second[1].place()), (&Event::Data(vec![edit(2)]), Some(Offset::new(2))));
    let third = piece(&table.store(), 1);
    assert_eq!((&third[0], third[1].place()), (&Event::Data(vec![edit(3), edit(4)]), Some(Offset::new(4))));
}

#[test]
fn event_streams_at_one_place_are_sent_the_same_bytes() {
    let mut table = Table::live(0);
    for conn in 1..=5 {
        table.ask(conn, events(Since::Start));
    }
    table.ask(9, post(&[edit(1)]));
    let effects = table.store();
    let pieces: BTreeSet<_> = sent(&effects).iter().map(|(_, frame)| frame.as_ptr()).collect();
    assert_eq!((sent(&effects).len(), pieces.len()), (5, 1));
}

#[test]
fn a_silent_event_stream_gives_signs_of_life_and_ends_within_its_limit() {
    let mut table = Table::live(0);
    for conn in 1..=10 {
        table.ask(conn, events(Since::Start));
    }
    let mut ends = BTreeSet::new();
    let mut comments = 0;
    while let Some((at, _)) = table.room.poll_timeout() {
        let effects = table.wait(at.since(table.now));
        for (to, frame) in sent(&effects) {
            assert_eq!(parse(&frame), [Event::Comment]);
            comments += u32::from(to == To::Conn(ConnId(1)));
        }
        for (_, code) in closed(&effects) {
            assert_eq!(code, Close::NORMAL);
            ends.insert(at.since(START));
        }
        assert_eq!(replies(&effects), []);
    }
    assert!(ends.len() >= 9, "{ends:?}");
    let (first, last) = (*ends.first().unwrap(), *ends.last().unwrap());
    assert!(first >= 51_000 && last <= 60_000 && last - first > 1_000, "{ends:?}");
    assert!((3..=4).contains(&comments), "one every 15 s: {comments}");
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn an_event_stream_that_waited_for_its_load_gets_signs_of_life_too() {
    let mut table = Table::live(1);
    table.ask(1, events(Since::Now));
    table.wait(14_900);
    table.leave(1);
    table.ask(2, events(Since::Start));
    table.wait(1_000);
    assert!(reply(&table.settle()).streams);
    let effects = table.wait(16_000);
    assert_eq!(piece(&effects, 2), [Event::Comment]);
}

#[test]
fn an_event_stream_ends_with_its_token() {
    let mut table = Table::live(0);
    let expires = Some(START.after(5_000));
    table.give(Input::Request { conn: ConnId(1), request: events(Since::Start), expires });
    assert_eq!(closed(&table.wait(4_999)), []);
    assert_eq!(closed(&table.wait(1)), [(1, Close::NORMAL)]);
    assert_eq!(table.room.connections(), 0);
    table.wait(table.limits.keep_alive);
    assert_eq!(table.room.poll_timeout(), None);
}

#[test]
fn an_event_stream_that_falls_behind_is_loaded_for_and_ends_if_that_fails() {
    let limits = Limits { recent_updates: 2, ..Limits::default() };
    for fails in [false, true] {
        let mut table = Table::live_with(limits.clone(), 0);
        table.ask(1, events(Since::Start));
        table.ask(2, post(&[edit(1), edit(2), edit(3)]));
        assert_eq!(sent(&table.store()), []);
        let effects = if fails { table.fail(LogError::Unavailable) } else { table.store() };
        if fails {
            assert_eq!((closed(&effects), table.room.connections()), (vec![(1, Close::NORMAL)], 0));
        } else {
            let events = piece(&effects, 1);
            assert_eq!(events[0], Event::Data(vec![edit(1), edit(2), edit(3)]));
            assert_eq!(events[1].place(), Some(Offset::new(3)));
        }
    }
}

#[test]
fn an_event_stream_whose_client_left_is_sent_nothing_more() {
    let mut table = Table::live(0);
    table.ask(1, events(Since::Start));
    table.leave(1);
    table.ask(2, post(&[edit(1)]));
    assert_eq!(sent(&table.settle()), []);
    assert_eq!(sent(&table.wait(120_000)), []);
    assert_eq!(table.room.connections(), 0);
}

#[test]
fn an_event_stream_is_never_set_back() {
    let mut table = Table::live(1);
    table.ask(1, events(at(1)));
    table.ask(2, post(&[edit(2)]));
    let appended = table.late();
    // A load that sees the append before its reply is heard.
    table.ask(3, read_with_presence(Since::Start, PresenceSince::All, Live::Events));
    let mut effects = table.settle();
    effects.extend(table.ask(5, announce("default", &[state(1, 1, "{}")])));
    effects.extend(table.give(appended));
    table.ask(4, post(&[edit(3)]));
    effects.extend(table.settle());
    for conn in [1, 3] {
        let mut places = Vec::new();
        for effect in &effects {
            let bytes = match effect {
                Effect::Reply { conn: to, reply } if to.0 == conn => &reply.body,
                Effect::Send { to: To::Conn(to), frame } if to.0 == conn => frame,
                Effect::Reply { .. } | Effect::Send { .. } | Effect::Store { .. } => continue,
                Effect::Park { .. } | Effect::Forward { .. } | Effect::Close { .. } => continue,
            };
            places.extend(parse(bytes).iter().filter_map(Event::place));
        }
        assert!(places.is_sorted() && places.last() == Some(&Offset::new(3)), "{conn}: {places:?}");
    }
}

#[test]
fn an_event_stream_whose_load_is_overtaken_is_loaded_for_again() {
    let mut table = Table::live_with(Limits { recent_updates: 1, ..Limits::default() }, 2);
    table.ask(1, events(Since::Start));
    let loaded = table.late();
    table.ask(2, post(&[edit(3)]));
    table.settle();
    table.ask(2, post(&[edit(4)]));
    table.settle();
    let head = parse(&reply(&table.give(loaded)).body);
    assert_eq!((&head[0], head[1].place()), (&Event::Data(vec![edit(1), edit(2)]), Some(Offset::new(2))));
    assert!(!head[1].is_up_to_date());
    let rest = piece(&table.settle(), 1);
    assert_eq!((&rest[0], rest[1].place()), (&Event::Data(vec![edit(3), edit(4)]), Some(Offset::new(4))));
}
