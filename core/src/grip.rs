//! WebSockets, and held requests, for hosts that cannot hold a socket: a GRIP proxy (Pushpin, Fastly Fanout) holds it
//! and asks the host by HTTP.
//!
//! Follows the WebSocket-over-HTTP protocol (<https://pushpin.org/docs/protocols/websocket-over-http/>) and GRIP
//! (<https://pushpin.org/docs/protocols/grip/>), as Pushpin 1.36 has them:
//!
//! 1. Every request of a connection is a `POST` of [`events`] with `Connection-Id` and `Grip-Sig`. Only one that
//!    [`Proxies::verify`] knows is a proxy's; anyone can send the headers.
//! 2. [`Exchange`] turns it into [`Input`](crate::Input)s for a room and what the room does into the answer. Between
//!    two requests the connection is its parked session, which the proxy keeps as the header `Meta-Session`, sealed:
//!    a proxy signs plain requests of its clients as well, whatever headers they have.
//! 3. What others are to get is published ([`publish`]) on the document's channel. It may be lost, and so is a hint: at
//!    least every [`KEEP_ALIVE`] seconds the proxy asks again, and the room reads its log from the connection's place.
//!
//! Plain data in and out. Who waits, sends and publishes is the host.

pub mod control;
pub mod events;
mod exchange;
pub mod hold;
mod proxies;
pub mod publish;
mod sealed;
mod signature;

pub use exchange::{Answer, Exchange, Head, Request, Step};
pub use proxies::{FASTLY_KEY, Proxies, Proxy};
pub use signature::SignatureError;

use crate::effect::Millis;
use crate::http::{self, Config, Route};
use crate::name::DocName;
use std::sync::Arc;

/// The type of a body of [`events`], of requests and of answers.
pub const CONTENT_TYPE: &str = "application/websocket-events";

/// Every header that is read of a request, in lower case.
pub const HEADERS: &[&str] = &["connection-id", "content-type", "grip-sig", "meta-session"];

/// Bytes of a request's body that are read. Pushpin sends less than 200 KB at a time.
pub const REQUEST_MAX: usize = 1 << 20;

/// Bytes of an answer's body. Pushpin drops the connection above 1,000,000.
pub const ANSWER_MAX: usize = 960_000;

/// Seconds of silence after which the proxy asks again: the least that Pushpin takes.
pub const KEEP_ALIVE: u32 = 20;

/// Whether a request is one of a WebSocket, by its `Content-Type`. [`Exchange::begin`] tells whether it is a proxy's.
///
/// Exactly as proxies write it: Pushpin refuses this of its clients, but passes other spellings on, signed.
pub fn is_exchange(content_type: Option<&str>) -> bool {
    content_type == Some(CONTENT_TYPE)
}

/// Tells what a request is, as [`http::route`] does: one of a WebSocket is what opened it, a `GET`.
pub fn route(config: &Arc<Config>, request: &http::Request<'_>, now: Millis) -> Route {
    if !is_exchange((request.header)("content-type")) {
        return http::route(config, request, now);
    }
    let header =
        |name: &'static str| if name == "upgrade" { Some("websocket") } else { (request.header)(name) };
    http::route(config, &http::Request { method: "GET", header: &header, ..*request }, now)
}

/// The channel on which what happens to a document is published. The letters of a key need no escaping anywhere.
pub fn channel(doc: &DocName) -> String {
    format!("yonder-{}", doc.to_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_proxys_own_spelling_of_the_type_is_taken() {
        assert!(is_exchange(Some("application/websocket-events")));
        for value in [
            "Application/WebSocket-Events",
            "application/websocket-events,",
            "application/websocket-events; a=b",
            "",
        ] {
            assert!(!is_exchange(Some(value)), "{value:?}");
        }
        assert!(!is_exchange(None));
    }

    #[test]
    fn a_channel_is_a_documents_own_and_plain() {
        let channels: Vec<_> =
            ["a", "A", "a/b", "ä; prev-id=1, b"].map(|name| channel(&DocName::new(name).unwrap())).to_vec();
        for (index, channel) in channels.iter().enumerate() {
            assert!(channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert!(!channels[..index].contains(channel), "{channel}");
        }
    }
}
