//! How reads of the Durable Streams Yjs protocol are answered: frames, offsets, cursors, events.

use super::Reply;
use crate::effect::Millis;
use crate::log::Offset;
use crate::request::PresenceOffset;
use crate::wire::put_var_bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// What a reader gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Frames of updates.
    pub(crate) updates: Bytes,
    /// The place behind them; none where only presence is read.
    pub(crate) end: Option<Offset>,
    /// Whether the log ends there.
    pub(crate) up_to_date: bool,
    /// Frames of awareness updates.
    pub(crate) presence: Bytes,
    /// The place behind these; none where only updates are read.
    pub(crate) presence_end: Option<PresenceOffset>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.presence.is_empty()
    }

    /// The offset that goes on from here: of updates, or of presence where only that is read.
    fn next_offset(&self) -> String {
        match (&self.end, self.presence_end) {
            (Some(end), _) => end.to_string(),
            (None, Some(end)) => end.to_string(),
            (None, None) => Offset::START.to_string(),
        }
    }
}

/// Updates as lib0 frames.
pub(crate) fn frames<'a>(updates: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut out = Vec::new();
    for update in updates {
        put_var_bytes(&mut out, update);
    }
    out.into()
}

/// The document as one update.
pub(crate) fn state(body: Bytes, end: &Offset) -> Reply {
    Reply::octets(body).with("stream-next-offset", end.to_string()).with("cache-control", "no-store")
}

/// The redirect to where a new reader begins: the newest snapshot, if there is one.
pub(crate) fn discovered(path: &str, query: &str, snapshot: &Offset) -> Reply {
    let offset = if *snapshot == Offset::START { "-1".to_owned() } else { format!("{snapshot}_snapshot") };
    Reply::empty(307)
        .with("location", format!("{path}?offset={offset}{query}"))
        .with("cache-control", "private, max-age=5")
}

/// A snapshot, by its own name or that of an older one: either goes on from its own end, so its reader may cache it.
pub(crate) fn snapshot(body: Bytes, end: &Offset) -> Reply {
    Reply::octets(body)
        .with("stream-next-offset", end.to_string())
        .with("cache-control", "private, max-age=3600")
}

/// The tag of the updates between two places.
pub(crate) fn tag(since: &Offset, end: &Offset) -> String {
    format!("\"{since}-{end}\"")
}

/// Whether `If-None-Match` names a tag.
pub(crate) fn matches(if_none_match: &str, tag: &str) -> bool {
    if_none_match.split(',').map(|known| known.trim().trim_start_matches("W/")).any(|known| known == tag)
}

/// A read that does not wait. `tag`: none where the answer holds for this moment only.
pub(crate) fn caught_up(batch: &Batch, tag: Option<String>) -> Reply {
    let reply =
        Reply::octets(if batch.end.is_some() { batch.updates.clone() } else { batch.presence.clone() });
    let reply = match tag {
        Some(tag) => reply.with("etag", tag).with("cache-control", "private, no-cache"),
        None => reply.with("cache-control", "no-store"),
    };
    with_offset(reply, batch)
}

/// What the reader has is all there is.
pub(crate) fn not_modified(tag: String, end: &Offset) -> Reply {
    Reply::empty(304).with("etag", tag).with("stream-next-offset", end.to_string())
}

/// The answer to a long-poll: with nothing in it, the deadline's.
pub(crate) fn polled(batch: &Batch, cursor: u64) -> Reply {
    let mut reply = Reply::empty(204);
    if !batch.is_empty() {
        reply = Reply::octets(match (batch.updates.is_empty(), batch.presence.is_empty()) {
            (_, true) => batch.updates.clone(),
            (true, false) => batch.presence.clone(),
            (false, false) => [&batch.updates[..], &batch.presence[..]].concat().into(),
        });
    }
    if batch.presence_end.is_some() && batch.end.is_some() {
        reply = reply.with("stream-presence-length", batch.presence.len().to_string());
    }
    placed(reply, batch).with("stream-cursor", cursor.to_string())
}

/// The same with the places behind a batch.
pub(crate) fn placed(reply: Reply, batch: &Batch) -> Reply {
    let reply = match (batch.presence_end, &batch.end) {
        (Some(end), Some(_)) => reply.with("stream-presence-offset", end.to_string()),
        _ => reply,
    };
    with_offset(reply, batch)
}

fn with_offset(reply: Reply, batch: &Batch) -> Reply {
    let reply = reply.with("stream-next-offset", batch.next_offset());
    if batch.up_to_date { reply.with("stream-up-to-date", "true") } else { reply }
}

/// The head of an event stream, with its first events.
pub(crate) fn opened(first: Bytes) -> Reply {
    Reply { status: 200, headers: Vec::new(), body: first, streams: true }
        .with("content-type", "text/event-stream")
        .with("cache-control", "no-store")
        .with("stream-sse-data-encoding", "base64")
        // Tells nginx, and who learned from it, to pass each event on at once.
        .with("x-accel-buffering", "no")
}

/// What a silent event stream says, so that nobody between takes it for dead.
pub(crate) const KEEP_ALIVE: &str = ": still here\n\n";

/// A batch as events: `data` and `presence` (base64, each if there is any), then `control`.
pub(crate) fn events(batch: &Batch, cursor: u64) -> Bytes {
    // Presence on its own is that stream's data.
    let (data, presence) = match batch.end {
        Some(_) => (&batch.updates, &batch.presence),
        None => (&batch.presence, &batch.updates),
    };
    let mut out = String::with_capacity((data.len() + presence.len()) / 3 * 4 + 160);
    for (event, bytes) in [("data", data), ("presence", presence)] {
        if !bytes.is_empty() {
            out.push_str("event: ");
            out.push_str(event);
            out.push_str("\ndata: ");
            STANDARD.encode_string(bytes, &mut out);
            out.push_str("\n\n");
        }
    }
    let mut control = serde_json::Map::new();
    control.insert("streamNextOffset".into(), batch.next_offset().into());
    control.insert("streamCursor".into(), cursor.to_string().into());
    if batch.up_to_date {
        control.insert("upToDate".into(), true.into());
    }
    if let (Some(end), Some(_)) = (batch.presence_end, &batch.end) {
        control.insert("presenceOffset".into(), end.to_string().into());
    }
    out.push_str("event: control\ndata: ");
    out.push_str(&serde_json::Value::Object(control).to_string());
    out.push_str("\n\n");
    out.into()
}

/// 2024-10-09T00:00Z: what the protocol counts intervals from, and how long one is.
const CURSOR_EPOCH: Millis = Millis(1_728_432_000_000);
const CURSOR_INTERVAL: u64 = 20_000;

/// The cursor of an answer: the present interval, and always past what the client echoes, so that a cache in
/// between never gives the same answer again.
pub(crate) fn cursor(now: Millis, echoed: Option<u64>) -> u64 {
    let present = now.since(CURSOR_EPOCH) / CURSOR_INTERVAL;
    echoed.map_or(present, |echoed| present.max(echoed.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_count_intervals_and_move_past_an_echo() {
        let now = CURSOR_EPOCH.after(100 * CURSOR_INTERVAL + 19_999);
        assert_eq!(cursor(now, None), 100);
        assert_eq!(cursor(now, Some(7)), 100);
        assert_eq!(cursor(now, Some(100)), 101);
        assert_eq!(cursor(now, Some(500)), 501);
    }

    #[test]
    fn events_carry_frames_in_base64_and_where_to_go_on() {
        let updates = frames([&Bytes::from_static(&[0, 0])]);
        let batch = Batch { updates, end: Some(Offset::new(5)), up_to_date: true, ..Batch::default() };
        let expected = "event: data\ndata: AgAA\n\nevent: control\ndata: \
                        {\"streamCursor\":\"9\",\"streamNextOffset\":\"0000000000000005\",\"upToDate\":true}\n\n";
        assert_eq!(events(&batch, 9), expected);
    }

    #[test]
    fn tags_are_found_in_lists_and_when_weak() {
        let tag = tag(&Offset::START, &Offset::new(1));
        assert!(matches(&format!("\"x\", W/{tag}"), &tag) && !matches("\"x\"", &tag));
    }
}
