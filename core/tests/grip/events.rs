use proptest::prelude::*;
use yonder_core::grip::events::{Event, EventError, Events, put};

fn decoded(body: &[u8]) -> Result<Vec<Event<'_>>, EventError> {
    Events::new(body).collect()
}

fn encoded(events: &[Event<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for event in events {
        put(&mut body, event);
    }
    body
}

#[test]
fn a_body_is_read_as_pushpin_writes_it() {
    let body = b"OPEN\r\nTEXT 5\r\nhello\r\nBINARY 0\r\n\r\nBINARY A\r\n\r\n OPEN\r\n \r\nPING\r\nPONG 1\r\nx\r\nCLOSE 5\r\n\x03\xe8bye\r\nDISCONNECT\r\n";
    let events = [
        Event::Open,
        Event::Text(b"hello"),
        Event::Binary(b""),
        Event::Binary(b"\r\n OPEN\r\n "),
        Event::Ping(b""),
        Event::Pong(b"x"),
        Event::Close(Some((1000, "bye"))),
        Event::Disconnect,
    ];
    assert_eq!(decoded(body).unwrap(), events);
    assert_eq!(decoded(b"").unwrap(), [], "a keep-alive");
    assert_eq!(decoded(b"CLOSE\r\n").unwrap(), [Event::Close(None)]);
}

#[test]
fn every_truncation_of_a_body_is_an_error_or_whole_events() {
    let events =
        [Event::Open, Event::Binary(b"one\r\ntwo"), Event::Ping(b""), Event::Close(Some((4401, "no")))];
    let body = encoded(&events);
    let mut whole = Vec::new();
    for count in 0..=events.len() {
        whole.push(encoded(&events[..count]).len());
    }
    for end in 0..body.len() {
        match whole.iter().position(|length| *length == end) {
            Some(count) => assert_eq!(decoded(&body[..end]).unwrap(), events[..count]),
            None => assert_eq!(decoded(&body[..end]), Err(EventError::Truncated), "cut at {end}"),
        }
    }
}

#[test]
fn a_hostile_body_is_a_clear_error() {
    for (body, error) in [
        (&b"TEXT ffffffff\r\nx\r\n"[..], EventError::Truncated),
        (b"TEXT fffffffff\r\nx\r\n", EventError::Length),
        (b"TEXT -1\r\nx\r\n", EventError::Length),
        (b"TEXT +1\r\nx\r\n", EventError::Length),
        (b"TEXT 0x1\r\nx\r\n", EventError::Length),
        (b"TEXT \r\nx\r\n", EventError::Length),
        (b"TEXT  1\r\nx\r\n", EventError::Length),
        (b"TEXT 1 \r\nx\r\n", EventError::Length),
        (b"TEXT 1\r\nxyz", EventError::Unterminated),
        (b"TEXT 1\nx\r\nOPEN\r\n", EventError::Length),
        (b"OPEN 1\r\nx\r\n", EventError::Unknown),
        (b"open\r\n", EventError::Unknown),
        (b"\r\n", EventError::Unknown),
        (b"CLOSE 1\r\nx\r\n", EventError::Close),
        (b"CLOSE 3\r\n\x03\xe8\xff\r\n", EventError::Close),
        (&[b'A'; 4096], EventError::Unknown),
    ] {
        assert_eq!(decoded(body), Err(error), "{:?}", String::from_utf8_lossy(&body[..body.len().min(40)]));
    }
}

#[test]
fn an_empty_frame_may_come_without_a_length() {
    // As Pushpin writes it.
    let events = [Event::Binary(b""), Event::Text(b""), Event::Ping(b""), Event::Disconnect];
    assert_eq!(decoded(b"BINARY\r\nTEXT 0\r\n\r\nPING\r\nDISCONNECT\r\n").unwrap(), events);
}

#[test]
fn after_an_error_nothing_is_read() {
    let mut events = Events::new(b"text\r\nOPEN\r\n");
    assert_eq!(events.next(), Some(Err(EventError::Unknown)));
    assert_eq!(events.next(), None);
}

fn event() -> impl Strategy<Value = (u8, Vec<u8>, u16, String)> {
    (0..8_u8, proptest::collection::vec(any::<u8>(), 0..300), any::<u16>(), ".{0,40}")
}

fn of((kind, content, code, reason): &(u8, Vec<u8>, u16, String)) -> Event<'_> {
    match kind {
        0 => Event::Open,
        1 => Event::Text(content),
        2 => Event::Binary(content),
        3 => Event::Ping(content),
        4 => Event::Pong(content),
        5 => Event::Close(Some((*code, reason))),
        6 => Event::Close(None),
        _ => Event::Disconnect,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(parts in proptest::collection::vec(event(), 0..12)) {
        let events: Vec<_> = parts.iter().map(of).collect();
        let body = encoded(&events);
        prop_assert_eq!(decoded(&body).unwrap(), events);
    }

    #[test]
    fn what_is_read_is_written_alike_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(events) = decoded(&body) {
            let again = encoded(&events);
            prop_assert_eq!(decoded(&again).unwrap(), events);
        }
    }

    #[test]
    fn a_changed_byte_never_lets_content_out(parts in proptest::collection::vec(event(), 1..6), at: prop::sample::Index, byte: u8) {
        let events: Vec<_> = parts.iter().map(of).collect();
        let mut body = encoded(&events);
        let at = at.index(body.len());
        body[at] = byte;
        let length: usize = decoded(&body).unwrap_or_default().iter().map(|event| match event {
            Event::Text(content) | Event::Binary(content) | Event::Ping(content) | Event::Pong(content) => content.len(),
            Event::Close(Some((_, reason))) => reason.len(),
            Event::Open | Event::Close(None) | Event::Disconnect => 0,
        }).sum();
        prop_assert!(length < body.len());
    }
}
