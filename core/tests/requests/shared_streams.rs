//! Presence streams of a document that any number of rooms share: which there are, and what is kept of them.

use crate::hall::Hall;
use crate::presence::{GONE, goes_on, is, next, there, who};
use crate::shared_presence::{hello, ids, present};
use crate::table::*;
use bytes::Bytes;
use yonder_core::limits::Limits;
use yonder_core::log::PresencePart;
use yonder_core::request::{Live, PresenceOp, PresenceSince};
use yonder_core::wire;

pub fn make(stream: &str) -> yonder_core::request::DocRequest {
    presence(stream, PresenceOp::Create { path: "/p".into() })
}

pub fn status(hall: &mut Hall, stream: &str, what: PresenceOp) -> u16 {
    hall.once(presence(stream, what)).status
}

#[test]
fn a_named_stream_is_there_for_all_rooms_until_it_is_deleted() {
    let mut hall = Hall::new();
    assert_eq!(status(&mut hall, "default", PresenceOp::Head), 200);
    assert_eq!(hall.once(make("default")).status, 200);
    for what in [PresenceOp::Head, PresenceOp::Delete] {
        assert_eq!(status(&mut hall, "cursors", what), 404);
    }
    let missing = hall.once(watch("cursors", PresenceSince::All, Live::No));
    assert_eq!((missing.status, code(&missing)), (404, "STREAM_NOT_FOUND".into()));
    let made = hall.once(make("cursors"));
    assert_eq!((made.status, header(&made, "location")), (201, Some("/p?awareness=cursors")));
    assert_eq!(hall.once(make("cursors")).status, 200);
    let head = hall.once(presence("cursors", PresenceOp::Head));
    assert_eq!(goes_on(header(&head, "stream-next-offset").unwrap()), next(&made));
    assert_eq!(hall.once(announce("by-its-first-post", &[there(1, 1)])).status, 204);
    hall.once(announce("cursors", &[there(2, 1)]));
    assert_eq!(hall.told(), [], "sockets share another one");
    assert_eq!(present(&mut hall), []);
    let read = |hall: &mut Hall, stream: &str| hall.once(watch(stream, PresenceSince::All, Live::No));
    assert_eq!(who(&read(&mut hall, "cursors").body), [is(2, 1, "{}")]);
    assert_eq!(who(&read(&mut hall, "by-its-first-post").body), [is(1, 1, "{}")]);

    let mut room = hall.room();
    let place = next(&read(&mut hall, "cursors"));
    let (held, _) = hall.ask(&mut room, watch("cursors", place, Live::LongPoll));
    assert_eq!(status(&mut hall, "cursors", PresenceOp::Delete), 204);
    let effects = hall.pass(&mut room, 3_000);
    assert_eq!(statuses(&effects), [(held.0, 404)]);
    assert_eq!(status(&mut hall, "cursors", PresenceOp::Delete), 404);
    assert_eq!(read(&mut hall, "by-its-first-post").status, 200);
    let anew = hall.once(make("cursors"));
    assert_eq!(anew.status, 201);
    let (reply, _) = hall.once_timed(watch("cursors", next(&made), Live::No));
    assert_eq!((reply.status, who(&reply.body)), (200, vec![]));
}

#[test]
fn a_named_stream_is_kept_while_it_is_used_and_there_are_no_more_than_the_limit() {
    let mut hall = Hall::new();
    let kept = hall.limits.presence_stream_kept;
    hall.once(make("read"));
    hall.once(make("idle"));
    for _ in 0..3 {
        hall.now = hall.now.after(kept / 2);
        assert_eq!(hall.once(watch("read", PresenceSince::All, Live::No)).status, 200);
        // What a reader says of it is written when nobody waits for that.
        assert_eq!(status(&mut hall, "read", PresenceOp::Head), 200);
    }
    assert_eq!(status(&mut hall, "idle", PresenceOp::Head), 404);
    for index in 1..hall.limits.presence_streams {
        assert_eq!(hall.once(make(&format!("s{index}"))).status, 201);
    }
    assert_eq!(hall.once(make("one-more")).status, 429);
    assert_eq!(hall.once(announce("one-more", &[there(1, 1)])).status, 429);
}

#[test]
fn deleting_the_default_stream_removes_who_came_by_requests() {
    let mut hall = Hall::new();
    let mut socket = hall.open();
    hall.visit(&mut socket, &[hello(1, 1)]);
    hall.once(announce("default", &[there(2, 1)]));
    hall.told();
    assert_eq!(status(&mut hall, "default", PresenceOp::Delete), 204);
    assert_eq!((hall.told(), ids(&mut hall)), (vec![is(2, 1, GONE)], vec![1]));
}

#[test]
fn presence_dies_with_the_document() {
    let mut hall = Hall::new();
    let mut elsewhere = hall.room();
    hall.once(announce("default", &[there(1, 1)]));
    hall.once(make("cursors"));
    let (held, _) = hall.ask(&mut elsewhere, watch("cursors", PresenceSince::All, Live::LongPoll));
    let (posted, effects) = hall.ask(&mut elsewhere, announce("default", &[there(3, 1)]));
    assert_eq!(statuses(&effects), [(posted.0, 204)]);
    let kept = hall.log.presence.clone();
    assert_eq!(hall.once(yonder_core::request::DocRequest::Delete).status, 204);
    assert!(hall.log.presence.is_empty(), "nothing says who was there");
    assert_eq!(hall.once(watch("default", PresenceSince::All, Live::No)).status, 404);
    assert_eq!(hall.once(announce("default", &[there(1, 2)])).status, 404);
    assert_eq!(hall.once(put()).status, 201);
    // It may come too late.
    hall.log.presence = kept;
    assert_eq!(ids(&mut hall), [] as [u64; 0]);
    assert_eq!(status(&mut hall, "cursors", PresenceOp::Head), 404);
    let effects = hall.pass(&mut elsewhere, 30_000);
    assert!(statuses(&effects).iter().all(|(conn, status)| *conn == held.0 && *status >= 204));
}

#[test]
fn what_cannot_be_read_counts_as_nobody() {
    let mut hall = Hall::new();
    hall.once(announce("default", &[there(1, 1)]));
    let good = hall.kept(PresencePart::Default).unwrap().clone();
    let mut damaged: Vec<Bytes> = (0..good.len()).map(|end| good.slice(..end)).collect();
    damaged.extend((0..good.len()).map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    }));
    damaged.push(Bytes::from(vec![b'a'; 2 << 20]));
    for value in damaged {
        hall.log.presence.insert(PresencePart::Default, value);
        assert_eq!(ids(&mut hall), [] as [u64; 0]);
    }
    assert_eq!(hall.once(announce("default", &[there(2, 1)])).status, 204);
    assert_eq!(ids(&mut hall), [2]);
}

#[test]
fn a_value_stays_within_its_bytes() {
    let mut hall = Hall::new();
    hall.limits = Limits { presence_bytes: 4_000, ..Limits::default() };
    let pad = format!(r#""{}""#, "x".repeat(900));
    for client in 0..8 {
        assert_eq!(hall.once(announce("default", &[state(client, 1, &pad)])).status, 204);
    }
    let mut socket = hall.open();
    hall.visit(&mut socket, &[wire::awareness(&state(9, 1, &pad))]);
    assert!(hall.kept(PresencePart::Default).unwrap().len() <= 4_000);
    assert_eq!(ids(&mut hall), [0, 1, 2]);
}
