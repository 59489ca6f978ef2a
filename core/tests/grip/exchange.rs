use super::{HS256, NOW, URL, claims, grip_sig, proxies, signed};
use bytes::Bytes;
use yonder_core::grip::events::{Event, Events, put};
use yonder_core::grip::{ANSWER_MAX, Answer, Exchange, KEEP_ALIVE, Proxies, Request, Step, channel};
use yonder_core::http::ApiError;
use yonder_core::{Close, ConnId, DocName, session};

const CONN: ConnId = ConnId(9);

fn doc() -> DocName {
    DocName::new("a").unwrap()
}

fn body(events: &[Event<'_>]) -> Bytes {
    let mut body = Vec::new();
    for event in events {
        put(&mut body, event);
    }
    body.into()
}

fn begin(session: Option<&str>, events: &[Event<'_>]) -> Result<(Exchange, Vec<Step>), ApiError> {
    let signature = grip_sig();
    let request =
        Request { connection: Some("c1"), signature: Some(&signature), session, body: Ok(body(events)) };
    Exchange::begin(&request, &proxies(), &doc(), CONN, NOW)
}

/// An answer's headers and events.
struct Read {
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Read {
    fn new(answer: &Answer) -> Self {
        assert_eq!(answer.reply.status, 200, "anything else drops the connection");
        Self { headers: answer.reply.headers.clone(), body: answer.reply.body.clone() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn events(&self) -> Vec<Event<'_>> {
        Events::new(&self.body).map(Result::unwrap).collect()
    }
}

/// What the proxy keeps of a session.
fn parked(state: &'static [u8]) -> String {
    let (mut exchange, _) = begin(None, &[Event::Open]).unwrap();
    exchange.park(Bytes::from_static(state));
    Read::new(&exchange.finish(&proxies())).header("set-meta-session").unwrap().to_owned()
}

#[test]
fn the_first_answer_opens_and_subscribes_before_anything_is_sent() {
    let (mut exchange, steps) = begin(None, &[Event::Open]).unwrap();
    assert_eq!(steps, [Step::Open]);
    exchange.send(&Bytes::from_static(b"step 1"));
    exchange.park(Bytes::from_static(b"state"));
    let answer = exchange.finish(&proxies());
    let read = Read::new(&answer);
    assert_eq!(read.header("content-type"), Some("application/websocket-events"));
    assert_eq!(read.header("sec-websocket-extensions"), Some("grip"));
    assert_eq!(read.header("keep-alive-interval"), Some(KEEP_ALIVE.to_string().as_str()));
    let subscribe =
        format!(r#"c:{{"channel":"{}","filters":["skip-self"],"type":"subscribe"}}"#, channel(&doc()));
    assert_eq!(
        read.events(),
        [
            Event::Open,
            Event::Text(br#"c:{"name":"user","type":"set-meta","value":"c1"}"#),
            Event::Text(subscribe.as_bytes()),
            Event::Binary(b"m:step 1"),
        ]
    );
    assert_eq!(answer.closed, None);
}

#[test]
fn a_session_comes_back_with_the_next_request_and_its_frames_in_order() {
    let session = parked(b"state");
    let events = [Event::Binary(b"one"), Event::Pong(b""), Event::Binary(b"two")];
    let (exchange, steps) = begin(Some(&session), &events).unwrap();
    let expected = [
        Step::Resume(Bytes::from_static(b"state")),
        Step::Frame(Bytes::from_static(b"one")),
        Step::Frame(Bytes::from_static(b"two")),
    ];
    assert_eq!(steps, expected);
    let answer = exchange.finish(&proxies());
    let read = Read::new(&answer);
    assert_eq!(read.events(), []);
    assert_eq!(read.header("set-meta-session"), None, "the proxy keeps what it has");
    let (_, steps) = begin(Some(&session), &[]).unwrap();
    assert_eq!(steps, [Step::Resume(Bytes::from_static(b"state"))], "a keep-alive");
}

#[test]
fn a_request_that_no_proxy_signed_counts_for_nothing() {
    let token = |issuer, seconds, secret| signed(HS256, &claims(issuer, seconds), secret);
    let forged = [
        None,
        Some(token("pushpin", 60, "guessed")),
        Some(token("other", 60, "secret")),
        Some(token("pushpin", 0, "secret")),
        Some("x.y.z".to_owned()),
    ];
    let session = parked(b"state");
    for signature in &forged {
        let request = Request {
            connection: Some("c1"),
            signature: signature.as_deref(),
            session: Some(&session),
            body: Ok(body(&[Event::Binary(b"x")])),
        };
        let error = Exchange::begin(&request, &proxies(), &doc(), CONN, NOW).unwrap_err();
        assert_eq!(error.status, 403, "{signature:?}");
    }
}

#[test]
fn a_session_that_is_not_ours_is_not_resumed_though_a_proxy_signed_the_request() {
    let elsewhere = Proxies::parse(&URL.replace("secret", "other")).unwrap();
    let (mut exchange, _) = begin(None, &[Event::Open]).unwrap();
    exchange.park(Bytes::from_static(b"state"));
    let forged = Read::new(&exchange.finish(&elsewhere)).header("set-meta-session").unwrap().to_owned();
    for session in [None, Some(""), Some("x"), Some(forged.as_str())] {
        let (exchange, steps) = begin(session, &[Event::Binary(b"edit")]).unwrap();
        assert_eq!(steps, [], "{session:?}");
        assert!(exchange.is_over());
        let answer = exchange.finish(&proxies());
        assert_eq!(answer.closed.as_ref().map(|close| close.code), Some(Close::TRY_AGAIN));
        assert!(matches!(Read::new(&answer).events()[..], [Event::Close(Some((Close::TRY_AGAIN, _)))]));
    }
    let session = parked(b"state");
    let signature = grip_sig();
    let request = Request {
        connection: Some("c2"),
        signature: Some(&signature),
        session: Some(&session),
        body: Ok(body(&[])),
    };
    let (_, steps) = Exchange::begin(&request, &proxies(), &doc(), CONN, NOW).unwrap();
    assert_eq!(steps, [], "another connection's");
    let (_, steps) = begin(Some(&session), &[Event::Open]).unwrap();
    assert_eq!(steps, [Step::Open], "a new connection has none");
}

#[test]
fn a_malformed_request_is_refused_whole() {
    let signature = grip_sig();
    let request =
        |connection, body| Request { connection, signature: Some(&signature), session: None, body: Ok(body) };
    for (connection, body, status) in [
        (None, body(&[Event::Open]), 400),
        (Some(""), body(&[Event::Open]), 400),
        (Some("c".repeat(300).leak() as &str), body(&[Event::Open]), 400),
        (Some("c"), Bytes::from_static(b"OPEN\r\nBINARY 5\r\nx"), 400),
        (Some("c"), body(&[Event::Open, Event::Open]), 400),
        (Some("c"), body(&[Event::Ping(b""), Event::Open]), 400),
        (Some("c"), vec![b'x'; (1 << 20) + 1].into(), 413),
    ] {
        let error = Exchange::begin(&request(connection, body), &proxies(), &doc(), CONN, NOW).unwrap_err();
        assert_eq!(error.status, status, "{connection:?}: {}", error.message);
    }
}

#[test]
fn a_known_connection_whose_request_cannot_be_read_is_closed_and_its_room_told() {
    let (session, signature) = (parked(b"state"), grip_sig());
    for (body, code) in [
        (Ok(Bytes::from_static(b"BINARY 5\r\nx")), Close::BAD_REQUEST),
        (Ok(vec![b'x'; (1 << 20) + 1].into()), Close::TOO_BIG),
        (Err(ApiError::body_too_long(1 << 20)), Close::TOO_BIG),
        (Err(ApiError::invalid("the body broke off")), Close::BAD_REQUEST),
    ] {
        let (connection, session) = (Some("c1"), Some(session.as_str()));
        let request = Request { connection, signature: Some(&signature), session, body };
        let (exchange, steps) = Exchange::begin(&request, &proxies(), &doc(), CONN, NOW).unwrap();
        assert_eq!(steps, [Step::Resume(Bytes::from_static(b"state")), Step::Closed]);
        let answer = exchange.finish(&proxies());
        assert_eq!(answer.closed.map(|close| close.code), Some(code));
    }
}

#[test]
fn a_ping_is_answered_and_a_text_closes() {
    let session = parked(b"state");
    let (exchange, _) = begin(Some(&session), &[Event::Ping(b"p")]).unwrap();
    assert_eq!(Read::new(&exchange.finish(&proxies())).events(), [Event::Pong(b"p")]);
    let events = [Event::Binary(b"one"), Event::Text(b"t"), Event::Binary(b"two")];
    let (exchange, steps) = begin(Some(&session), &events).unwrap();
    assert_eq!(steps[1..], [Step::Frame(Bytes::from_static(b"one")), Step::Closed]);
    let answer = exchange.finish(&proxies());
    assert_eq!(answer.closed.as_ref().map(|close| close.code), Some(Close::UNSUPPORTED));
}

#[test]
fn whoever_closes_the_proxy_hears_a_close_and_forgets_the_session() {
    let session = parked(b"state");
    for (event, code) in [
        (Event::Close(Some((4001, "bye"))), Some((4001, "bye"))),
        (Event::Close(None), Some((1000, ""))),
        (Event::Close(Some((1005, ""))), None),
    ] {
        let (exchange, steps) = begin(Some(&session), &[event]).unwrap();
        assert_eq!(steps[1..], [Step::Closed]);
        let read = Read::new(&exchange.finish(&proxies()));
        assert_eq!(read.events(), [Event::Close(code)]);
        assert_eq!(read.header("set-meta-session"), Some(""));
    }
    let (mut exchange, _) = begin(Some(&session), &[]).unwrap();
    exchange.send(&Bytes::from_static(b"last"));
    exchange.close(Close::new(Close::UNAUTHORIZED, "expired"));
    exchange.close(Close::new(Close::INTERNAL, "later"));
    exchange.send(&Bytes::from_static(b"too late"));
    exchange.park(Bytes::from_static(b"too late"));
    let read = Read::new(&exchange.finish(&proxies()));
    assert_eq!(read.events(), [Event::Binary(b"m:last"), Event::Close(Some((4401, "expired")))]);
    assert_eq!(read.header("set-meta-session"), Some(""));
}

#[test]
fn a_connection_that_is_gone_is_told_nothing() {
    let session = parked(b"state");
    let (exchange, steps) = begin(Some(&session), &[Event::Disconnect]).unwrap();
    assert_eq!(steps[1..], [Step::Closed]);
    let answer = exchange.finish(&proxies());
    assert_eq!((Read::new(&answer).events(), answer.closed), (vec![], None));
    let (exchange, steps) = begin(None, &[Event::Disconnect]).unwrap();
    assert_eq!(steps, []);
    assert_eq!(Read::new(&exchange.finish(&proxies())).events(), []);
}

#[test]
fn an_answer_that_the_proxy_would_drop_is_a_clear_close() {
    let session = parked(b"state");
    let frame = Bytes::from(vec![1; 300_000]);
    let (mut exchange, _) = begin(Some(&session), &[]).unwrap();
    for _ in 0..3 {
        exchange.send(&frame);
    }
    assert!(!exchange.is_over());
    exchange.send(&frame);
    let answer = exchange.finish(&proxies());
    assert_eq!(answer.closed.as_ref().map(|close| close.code), Some(Close::TOO_BIG));
    assert!(answer.reply.body.len() <= ANSWER_MAX);
    let (mut exchange, _) = begin(None, &[Event::Open]).unwrap();
    exchange.send(&Bytes::from(vec![1; ANSWER_MAX - 1000]));
    exchange.close(Close::new(Close::INTERNAL, "r".repeat(200)));
    assert!(exchange.finish(&proxies()).reply.body.len() <= ANSWER_MAX);
}

#[test]
fn the_largest_parked_session_fits_in_a_header() {
    let session = parked(&[0xff; session::PARKED_MAX]);
    assert!(session.len() < 4096, "{}", session.len());
    let (_, steps) = begin(Some(&session), &[]).unwrap();
    assert_eq!(steps, [Step::Resume(Bytes::from_static(&[0xff; session::PARKED_MAX]))]);
}
