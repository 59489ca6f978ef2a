//! Offsets and presence offsets: what reads is written as it was.

use yonder_core::log::Offset;
use yonder_core::request::PresenceOffset;

pub(crate) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(offset) = Offset::parse(&text) {
        assert_eq!(offset.to_string(), text);
    }
    if let Some(offset) = PresenceOffset::parse(&text) {
        assert_eq!(offset.to_string(), text);
    }
}
