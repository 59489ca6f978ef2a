//! WebSocket-over-HTTP: bodies, GRIP's signatures, and the sessions that a proxy gives back.

use crate::input::Input;
use crate::signature::sign;
use bytes::Bytes;
use yonder_core::grip::events::{self, Event, EventError, Events};
use yonder_core::grip::{Exchange, Proxies, Request};
use yonder_core::{ConnId, DocName, Millis};

const PROXY: &str = "http://127.0.0.1:5561/?verify-iss=fuzz&verify-key=a-key-of-the-fuzzer";

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let (session, signature, body) = (input.part(), input.part(), input.part());
    let read: Result<Vec<Event<'_>>, EventError> = Events::new(body).collect();
    if let Ok(read) = &read {
        // What is written again is read as the same.
        let mut written = Vec::new();
        read.iter().for_each(|event| events::put(&mut written, event));
        let again: Result<Vec<Event<'_>>, EventError> = Events::new(&written).collect();
        assert_eq!(again.as_ref().ok(), Some(read));
    }
    let (proxies, doc) = (Proxies::parse(PROXY).expect("a proxy"), DocName::new("d").expect("a name"));
    let ours =
        sign(b"a-key-of-the-fuzzer", br#"{"alg":"HS256","typ":"JWT"}"#, br#"{"iss":"fuzz","exp":2000}"#);
    let forged = std::str::from_utf8(signature).ok();
    for signature in [Some(ours.as_str()), forged] {
        let is_ours = signature == Some(ours.as_str());
        let request = Request {
            connection: Some("c"),
            signature,
            session: std::str::from_utf8(session).ok(),
            body: Ok(Bytes::copy_from_slice(body)),
        };
        let begun = Exchange::begin(&request, &proxies, &doc, ConnId(1), Millis(1_000_000));
        assert!(is_ours || begun.is_err(), "{signature:?} is not ours");
        if is_ours
            && read.is_ok()
            && let Ok((exchange, _)) = begun
        {
            let answer = exchange.finish(&proxies).reply;
            let events: Result<Vec<Event<'_>>, EventError> = Events::new(&answer.body).collect();
            assert!(answer.status == 200 && events.is_ok(), "{answer:?}");
        }
    }
}
