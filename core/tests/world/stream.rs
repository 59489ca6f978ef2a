//! What the Durable Streams Yjs protocol puts into bodies: lib0 frames, and events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use yonder_core::http::Reply;
use yonder_core::log::Offset;
use yonder_core::request::PresenceOffset;
use yonder_core::wire::Reader;

/// An event of an event stream.
#[derive(Debug, PartialEq)]
pub enum Event {
    Data(Vec<Bytes>),
    Presence(Vec<Bytes>),
    Control(serde_json::Value),
    Comment,
}

/// Reads whole events.
pub fn parse(text: &[u8]) -> Vec<Event> {
    let text = core::str::from_utf8(text).unwrap();
    let event = |block: &str| {
        if block.starts_with(':') {
            return Event::Comment;
        }
        let (name, data) = block.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let decoded = || frames(&STANDARD.decode(data).unwrap());
        match name {
            "event: data" => Event::Data(decoded()),
            "event: presence" => Event::Presence(decoded()),
            "event: control" => Event::Control(serde_json::from_str(data).unwrap()),
            other => panic!("{other}"),
        }
    };
    text.strip_suffix("\n\n").unwrap().split("\n\n").map(event).collect()
}

impl Event {
    /// The place that a control event tells.
    pub fn place(&self) -> Option<Offset> {
        let Self::Control(control) = self else { return None };
        assert!(control["streamCursor"].is_string(), "{control}");
        Offset::parse(control["streamNextOffset"].as_str().unwrap())
    }

    /// Whether a control event says that there is no more at this moment.
    pub fn is_up_to_date(&self) -> bool {
        matches!(self, Self::Control(control) if control["upToDate"] == true)
    }

    /// The place in the presence stream that a control event tells beside it.
    pub fn presence_place(&self) -> Option<PresenceOffset> {
        let Self::Control(control) = self else { return None };
        PresenceOffset::parse(control["presenceOffset"].as_str()?)
    }
}

/// Reads lib0 frames.
pub fn frames(body: &[u8]) -> Vec<Bytes> {
    let mut reader = Reader::new(body);
    let mut frames = Vec::new();
    while !reader.is_empty() {
        frames.push(Bytes::copy_from_slice(reader.var_bytes().unwrap()));
    }
    frames
}

/// A header's value.
pub fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut values = reply.headers.iter().filter(|(known, _)| *known == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert_eq!(values.next(), None, "{name} is said twice");
    value
}

/// The two parts of a body that has updates and presence.
pub fn parts(reply: &Reply) -> (Vec<Bytes>, Vec<Bytes>) {
    let length = header(reply, "stream-presence-length").map_or(0, |length| length.parse().unwrap());
    let (updates, presence) = reply.body.split_at(reply.body.len() - length);
    (frames(updates), frames(presence))
}
