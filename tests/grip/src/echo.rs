//! A WebSocket without a room: each frame is a text that says what is to be done.

use crate::pattern;
use yonder_core::grip::publish::Item;
use yonder_core::grip::{Exchange, Step};
use yonder_core::{Close, DocName};

/// `send BYTES`, `publish BYTES` (to all, its sender as well), `publish-others BYTES`, `close CODE REASON`, `park TEXT`,
/// `parked`; anything else comes back.
pub(crate) fn run(exchange: &mut Exchange, steps: &[Step], doc: &DocName) -> Vec<Item> {
    let mut items = Vec::new();
    let mut parked = bytes::Bytes::new();
    for step in steps {
        match step {
            Step::Open => exchange.park(b"new".as_slice().into()),
            Step::Resume(state) => parked = state.clone(),
            Step::Closed => {}
            Step::Frame(frame) => {
                let text = String::from_utf8_lossy(frame).into_owned();
                let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
                let length = rest.parse().unwrap_or(0);
                match word {
                    "send" => exchange.send(&pattern(length)),
                    "publish" => items.push(Item::news(doc, pattern(length), None)),
                    "publish-others" => {
                        items.push(Item::news(doc, pattern(length), Some(exchange.connection())));
                    }
                    "close" => {
                        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                        exchange.close(Close::new(code.parse().unwrap_or(Close::INTERNAL), reason));
                    }
                    "park" => exchange.park(rest.to_owned().into()),
                    "parked" => exchange.send(&parked),
                    _ => exchange.send(frame),
                }
            }
        }
    }
    if steps.len() == 1 && !parked.is_empty() {
        exchange.send(&b"asked again".as_slice().into());
    }
    items
}
