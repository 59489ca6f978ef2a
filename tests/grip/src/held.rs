//! Requests that the proxy holds: a number that grows by one with each `POST /held/add`.
//! `GET /held/poll?seen=N` is answered once it is above N.

use crate::http::Asked;
use std::sync::atomic::{AtomicU64, Ordering};
use yonder_core::grip::hold::{self, Channel};
use yonder_core::grip::publish::{Format, Item};
use yonder_core::http::{ApiError, Reply};
use yonder_core::log::Offset;

const CHANNEL: &str = "held";

/// Seconds that a poll is held.
const TIMEOUT: u32 = 2;

/// The answer, and what is published before it.
pub(crate) fn answer(number: &AtomicU64, asked: &Asked) -> (Reply, Vec<Item>) {
    let seen = asked.query.strip_prefix("seen=").and_then(|seen| seen.parse().ok()).unwrap_or(0);
    let now = number.load(Ordering::SeqCst);
    let channels = [Channel { name: CHANNEL.to_owned(), seen: Some(Offset::new(now)) }];
    let text = |text: String| Reply { status: 200, body: text.into(), ..Reply::default() };
    match asked.path.as_str() {
        "/held/add" => {
            let id = Offset::new(number.fetch_add(1, Ordering::SeqCst) + 1).to_string();
            let formats = vec![Format::AskAgain];
            let item = Item { channel: CHANNEL.to_owned(), sender: None, id: Some(id), formats };
            (Reply::empty(204), vec![item])
        }
        "/held/poll" if now > seen => (text(now.to_string()), Vec::new()),
        "/held/poll" => {
            let mut reply = text("nothing".to_owned());
            reply.headers.extend(hold::headers(&channels, TIMEOUT));
            (reply, Vec::new())
        }
        _ => (ApiError::not_found().into(), Vec::new()),
    }
}
