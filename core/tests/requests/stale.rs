//! Reads for which an older state will do: from a published snapshot they are answered as the room would have, had it
//! still been the newest state, but for the age.

use crate::table::*;
use bytes::Bytes;
use std::sync::Arc;
use yonder_core::DocName;
use yonder_core::http::{Access, Asking, COMMON_HEADERS, Config, Published, Reply, Request, Route, route};
use yonder_core::limits::Limits;
use yonder_core::log::{LogOp, LogReply, Offset};
use yonder_core::request::{DocRequest, Live, PresenceOp, Since, VersionOp};

/// Seconds that the published snapshot is old.
const AGE: u64 = 90;

fn asked(target: &str) -> Asking {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let config = Config { access: Access::Open, public_url: None, limits: Arc::default() };
    let request = Request { method: "GET", path, query, header: &|_| None, secure: false, random: &|| 7 };
    match route(&Arc::new(config), &request, START) {
        Route::Document(asking) => asking,
        Route::Reply(reply) => panic!("{target}: {reply:?}"),
        Route::Socket(_) | Route::Body { .. } | Route::Catalog { .. } => panic!("{target}"),
    }
}

/// A document of 24 updates that was just compacted, and what was published of it.
fn compacted() -> (Table, Published) {
    let mut table = Table::live(24);
    table.settle();
    let Ok(LogReply::Loaded(loaded)) = table.log.answer(LogOp::Load { since: Offset::START }) else {
        panic!()
    };
    assert_eq!((&loaded.tail.snapshot, loaded.updates.len()), (&Offset::new(24), 0));
    let published = Published { upto: loaded.tail.snapshot, at: table.now, body: loaded.snapshot.unwrap() };
    (table, published)
}

fn targets() -> [String; 5] {
    let stream = "/v1/yjs/default/docs/a%20b";
    [
        "/d/a%20b/as-update?stale=ok".to_owned(),
        "/doc/a%20b/as-update?stale=ok".to_owned(),
        format!("{stream}?offset=snapshot&stale=ok"),
        format!("{stream}?x=%2F&stale=ok&offset=snapshot&token=t"),
        format!("{stream}?offset={}_snapshot&stale=ok", Offset::new(24)),
    ]
}

#[test]
fn a_published_snapshot_answers_as_the_room_does_but_for_the_age() {
    let (mut table, published) = compacted();
    for target in targets() {
        let Asking { request, stale, .. } = asked(&target);
        assert!(stale, "{target}");
        let mut effects = table.ask(1, request.clone());
        effects.extend(table.settle());
        let own = reply(&effects);
        assert!(own.status < 400, "{target}: {own:?}");
        let near = published.answer(&request, table.now.after(1_000 * AGE + 999)).unwrap();
        assert_eq!(near, own.clone().with("age", AGE.to_string()), "{target}");
        assert_eq!(published.answer(&request, table.now), Some(own.with_age(0)), "{target}");
    }
}

#[test]
fn a_published_snapshot_is_the_same_after_its_way_through_a_store() {
    let (table, published) = compacted();
    let read = Published::read(&published.metadata(), published.body.clone()).unwrap();
    assert_eq!(read, published);
    let now = table.now.after(1);
    for target in targets() {
        let request = asked(&target).request;
        assert_eq!(read.answer(&request, now), published.answer(&request, now));
    }
}

#[test]
fn who_is_sent_to_a_snapshot_may_read_an_older_one_there_too_and_goes_on_behind_it() {
    let (mut table, published) = compacted();
    table.ask(9, post(&[edit(25), edit(26)]));
    table.settle();
    let now = table.now.after(5_000);
    let sent = published.answer(&asked(&targets()[2]).request, now).unwrap();
    assert_eq!((sent.status, header(&sent, "age")), (307, Some("5")));
    let there = asked(header(&sent, "location").unwrap());
    assert!(there.stale);
    let snapshot = published.answer(&there.request, now).unwrap();
    assert_eq!((snapshot.status, &snapshot.body), (200, &published.body));
    let since = header(&snapshot, "stream-next-offset").and_then(Offset::parse).unwrap();
    table.ask(1, catch_up(Since::At(since)));
    assert_eq!(frames(&reply(&table.settle()).body), [edit(25), edit(26)]);
}

#[test]
fn what_is_not_in_a_published_snapshot_is_asked_of_the_document() {
    let (_, published) = compacted();
    let elsewhere = |offset| DocRequest::Snapshot(Offset::new(offset));
    for request in [
        elsewhere(25),
        elsewhere(0),
        DocRequest::Json,
        DocRequest::Delete,
        head(),
        put(),
        post(&[edit(1)]),
        catch_up(Since::Start),
        DocRequest::Read(read(Since::Now, Live::Events)),
        presence("default", PresenceOp::Head),
        DocRequest::Copy { to: DocName::new("b").unwrap(), reply: Reply::empty(200) },
        DocRequest::Version(VersionOp::List),
    ] {
        assert_eq!(published.answer(&request, START), None, "{request:?}");
    }
    let older = published.answer(&elsewhere(23), START).unwrap();
    assert_eq!(next_offset(&older), Some(24), "it replaced that");
}

#[test]
fn no_snapshot_is_read_at_the_start_whatever_was_published() {
    let published = Published { upto: Offset::START, at: START, body: Bytes::from_static(&[0, 0]) };
    assert_eq!(published.answer(&DocRequest::Snapshot(Offset::START), START), None);
    let mut table = Table::live(0);
    for target in [&targets()[0], &targets()[2]] {
        let request = asked(target).request;
        let mut effects = table.ask(1, request.clone());
        effects.extend(table.settle());
        assert_eq!(published.answer(&request, START), Some(reply(&effects).with_age(0)), "{target}");
    }
}

#[test]
fn a_refusal_has_no_age() {
    let mut table = Table::with(Limits::default());
    table.ask(1, DocRequest::State);
    let refused = reply(&table.settle());
    assert_eq!(refused.status, 404);
    assert_eq!(header(&refused.with_age(0), "age"), None);
}

#[test]
fn a_page_may_read_the_age() {
    let (_, exposed) =
        COMMON_HEADERS.iter().find(|(name, _)| *name == "access-control-expose-headers").unwrap();
    assert!(exposed.split(", ").any(|name| name == "Age"), "{exposed}");
}

#[test]
fn a_page_may_read_where_the_time_went() {
    assert!(COMMON_HEADERS.contains(&("timing-allow-origin", "*")));
}
