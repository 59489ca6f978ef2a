//! Making, finding and copying documents, their state, snapshots and versions.

use crate::table::*;
use bytes::Bytes;
use yonder_core::http::{ApiError, Reply};
use yonder_core::limits::Limits;
use yonder_core::log::{LogError, LogOp, Offset};
use yonder_core::replica::Replica;
use yonder_core::request::{DocRequest, Live, Since, VersionOp};
use yonder_core::{DocName, Effect, To};

/// The document of [`edit`] 1 to `n`, as one update.
fn state(n: u8) -> Bytes {
    Replica::new(None, (1..=n).map(edit).collect()).diff(&[0]).unwrap()
}

fn discover() -> DocRequest {
    DocRequest::Discover { path: "/d".into(), query: "&token=t".into() }
}

fn make(name: &str, random: u32) -> DocRequest {
    DocRequest::Version(VersionOp::Make { name: name.into(), random })
}

fn json(reply: &Reply) -> serde_json::Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn a_document_is_made_once() {
    let mut table = Table::absent();
    assert_eq!(replies(&table.ask(1, put())), [], "not before it is durable");
    let made = reply(&table.store());
    assert_eq!((made.status, next_offset(&made)), (201, Some(0)));
    table.ask(2, put());
    assert_eq!(statuses(&table.store()), [(2, 200)]);
    let there = reply(&table.ask(3, head()));
    assert_eq!(
        (there.status, next_offset(&there)),
        (200, Some(0)),
        "nothing has to be asked for that any more"
    );
    assert!(table.room.is_idle());
}

#[test]
fn a_room_that_hears_of_its_document_by_a_put_need_not_ask() {
    let mut table = Table::absent();
    table.log.answer(LogOp::Create { updates: vec![edit(1)] }).unwrap();
    table.ask(1, put());
    assert_eq!(statuses(&table.store()), [(1, 200)]);
    let there = reply(&table.ask(2, head()));
    assert_eq!((there.status, next_offset(&there)), (200, Some(1)));
}

#[test]
fn one_question_tells_all_who_wait_whether_the_document_is_there() {
    let mut table = Table::absent();
    table.ask(1, head());
    table.ask(2, DocRequest::State);
    table.ask(3, DocRequest::Exists { reply: Reply::empty(200), otherwise: ApiError::forbidden("no") });
    assert_eq!(table.asked.len(), 1);
    assert_eq!(statuses(&table.store()), [(1, 404), (2, 404), (3, 403)]);
    assert!(table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn a_document_that_cannot_be_looked_for_is_answered_503_in_the_end() {
    let mut table = Table::absent();
    table.ask(1, head());
    table.fail(LogError::Unavailable);
    assert_eq!(table.room.poll_timeout().map(|(_, why)| why), Some("retry a load"));
    let mut effects = Vec::new();
    while effects.is_empty() {
        table.wait(2_000);
        effects = table.fail(LogError::Unavailable);
    }
    let answer = reply(&effects);
    assert_eq!((answer.status, code(&answer).as_str()), (503, "STORE_UNAVAILABLE"));
    assert!(table.room.is_idle() && table.room.connections() == 0);
    table.ask(2, put());
    table.fail(LogError::Unavailable);
    table.ask(3, head());
    assert_eq!(statuses(&table.settle()), [(3, 404)]);
}

#[test]
fn the_state_has_what_was_accepted_before_and_needs_one_load() {
    let mut table = Table::live(2);
    table.ask(1, post(&[edit(3)]));
    table.ask(2, DocRequest::State);
    table.ask(3, DocRequest::State);
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(1, 204), (2, 200), (3, 200)]);
    let (_, state_2) = &replies(&effects)[1];
    assert_eq!((&state_2.body, next_offset(state_2)), (&state(3), Some(3)));
    assert_eq!(state_2.body.as_ptr(), replies(&effects)[2].1.body.as_ptr(), "merged once");
    assert!(table.room.is_idle());
    // And from memory for a while.
    assert_eq!(statuses(&table.ask(4, DocRequest::State)), [(4, 200)]);
}

#[test]
fn a_state_that_cannot_be_loaded_is_answered_with_the_stores_error() {
    let mut table = Table::live(2);
    table.ask(1, DocRequest::State);
    table.ask(2, make("x", 1));
    assert_eq!(statuses(&table.fail(LogError::Corrupt)), [(1, 500), (2, 500)]);
    assert!(table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn a_new_reader_is_sent_to_the_start_and_after_a_compaction_to_the_snapshot() {
    let mut table = Table::live(23);
    let to_start = reply(&table.ask(1, discover()));
    assert_eq!((to_start.status, header(&to_start, "location")), (307, Some("/d?offset=-1&token=t")));
    assert_eq!(header(&to_start, "cache-control"), Some("private, max-age=5"));
    table.ask(2, DocRequest::Snapshot(Offset::new(23)));
    let none = reply(&table.settle());
    assert_eq!((none.status, code(&none).as_str()), (404, "SNAPSHOT_NOT_FOUND"));
    assert_eq!(statuses(&table.ask(3, DocRequest::Snapshot(Offset::START))), [(3, 404)]);

    table.ask(4, post(&[edit(24)]));
    table.settle();
    let to_snapshot = reply(&table.ask(5, discover()));
    let expected = "/d?offset=0000000000000018_snapshot&token=t";
    assert_eq!(header(&to_snapshot, "location"), Some(expected));
    table.ask(6, DocRequest::Snapshot(Offset::new(24)));
    let snapshot = reply(&table.settle());
    assert_eq!((snapshot.status, next_offset(&snapshot)), (200, Some(24)));
    assert_eq!(snapshot.body, table.log.entries().next().unwrap());
    table.ask(7, DocRequest::Snapshot(Offset::new(25)));
    assert_eq!(statuses(&table.settle()), [(7, 404)]);
}

#[test]
fn who_asks_for_a_snapshot_that_was_replaced_gets_the_one_that_replaced_it() {
    let mut table = Table::live(24);
    table.settle();
    table.ask(1, DocRequest::Snapshot(Offset::new(24)));
    table.append_unheard(edit(25));
    table.log.answer(LogOp::Compact { upto: Offset::new(25) }).unwrap();
    let newer = reply(&table.settle());
    assert_eq!((newer.status, next_offset(&newer)), (200, Some(25)), "replaced while it was read");
    assert_eq!(newer.body, table.log.entries().next().unwrap());
    table.ask(2, DocRequest::Snapshot(Offset::new(24)));
    let newer = reply(&table.settle());
    assert_eq!((newer.status, next_offset(&newer)), (200, Some(25)), "replaced before");
}

#[test]
fn versions_are_kept_listed_read_and_deleted() {
    let mut table = Table::live(1);
    table.ask(1, make("first", 1));
    let first = json(&reply(&table.settle()));
    table.now = START.after(5);
    table.ask(2, post(&[edit(2)]));
    table.ask(3, make("second", 2));
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(2, 204), (3, 201)]);
    let second = json(&replies(&effects)[1].1);
    assert_eq!((&second["name"], &second["createdAt"]), (&"second".into(), &START.after(5).0.into()));
    assert_eq!(second["bytes"], state(2).len());

    table.ask(4, DocRequest::Version(VersionOp::List));
    let list = json(&reply(&table.settle()));
    assert_eq!(list["versions"], serde_json::json!([second, first]), "newest first");
    let id = |version: &serde_json::Value| version["versionId"].as_str().unwrap().to_owned();
    assert!(id(&second) > id(&first));
    table.ask(5, DocRequest::Version(VersionOp::State(id(&first))));
    assert_eq!(reply(&table.settle()).body, state(1));

    table.ask(6, DocRequest::Version(VersionOp::Delete(id(&first))));
    assert_eq!(statuses(&table.settle()), [(6, 204)]);
    for what in [VersionOp::State, VersionOp::Json, VersionOp::Delete] {
        table.ask(7, DocRequest::Version(what(id(&first))));
        let missing = reply(&table.settle());
        assert_eq!((missing.status, code(&missing).as_str()), (404, "VERSION_NOT_FOUND"));
    }
    table.ask(8, DocRequest::Version(VersionOp::Restore { id: id(&first), client: 1 }));
    assert_eq!(statuses(&table.settle()), [(8, 404)]);
    assert!(table.room.is_idle() && table.room.connections() == 0);
}

#[test]
fn going_back_to_a_version_is_an_edit_like_any_other() {
    let mut table = Table::live(1);
    table.ask(1, make("before", 1));
    let version = json(&reply(&table.settle()))["versionId"].as_str().unwrap().to_owned();
    table.ask(2, post(&[edit(2)]));
    table.settle();
    table.open_socket(9);
    table.ask(3, DocRequest::Read(read(Since::Now, Live::LongPoll)));
    table.ask(4, DocRequest::Version(VersionOp::Restore { id: version.clone(), client: 77 }));
    let effects = table.settle();
    assert!(sent(&effects).iter().any(|(to, _)| *to == To::Sockets { except: None }), "sockets are told");
    assert_eq!(statuses(&effects), [(4, 200), (3, 200)], "once it is stored");
    let mut now = table.ask(5, DocRequest::Json);
    now.extend(table.settle());
    let now = json(&reply(&now));
    table.ask(6, DocRequest::Version(VersionOp::Json(version.clone())));
    assert_eq!(now, json(&reply(&table.settle())));
    let entries = table.log.entries().count();
    let mut again = table.ask(7, DocRequest::Version(VersionOp::Restore { id: version, client: 78 }));
    again.extend(table.settle());
    assert_eq!(statuses(&again), [(7, 200)]);
    assert_eq!(table.log.entries().count(), entries, "it is so already");
}

#[test]
fn there_are_no_more_versions_than_there_may_be() {
    let mut table = Table::live_with(Limits { versions: 2, ..Limits::default() }, 1);
    for n in 1..=3 {
        table.ask(n, make("", n as u32));
        let answer = reply(&table.settle());
        match n {
            3 => assert_eq!((answer.status, code(&answer).as_str()), (409, "TOO_MANY_VERSIONS")),
            _ => assert_eq!(answer.status, 201),
        }
    }
}

#[test]
fn a_copy_is_handed_to_the_other_documents_room_with_what_was_accepted() {
    let to = DocName::new("other").unwrap();
    let copy = || DocRequest::Copy { to: DocName::new("other").unwrap(), reply: Reply::json(200, "{}") };
    let forwarded = |effects: &[Effect]| {
        let forwarded = effects.iter().filter_map(|effect| {
            if let Effect::Forward { conn, doc, request } = effect {
                Some((conn.0, doc.clone(), (**request).clone()))
            } else {
                None
            }
        });
        forwarded.collect::<Vec<_>>()
    };
    let create = |content| DocRequest::Create {
        content,
        created: Reply::json(200, "{}"),
        existed: Err(ApiError::document_exists()),
    };
    let mut table = Table::live(0);
    table.ask(1, copy());
    assert_eq!(forwarded(&table.settle()), [(1, to.clone(), create(Vec::new()))], "of nothing");
    table.ask(2, post(&[edit(1)]));
    table.ask(3, copy());
    let effects = table.settle();
    assert_eq!(statuses(&effects), [(2, 204)], "the other room answers");
    assert_eq!(forwarded(&effects), [(3, to, create(vec![edit(1)]))]);
    assert_eq!(table.room.connections(), 0);

    let mut other = Table::absent();
    other.ask(3, create(vec![edit(1)]));
    assert_eq!(statuses(&other.settle()), [(3, 200)]);
    other.ask(4, create(vec![edit(1)]));
    let exists = reply(&other.settle());
    assert_eq!((exists.status, code(&exists).as_str()), (409, "DOCUMENT_EXISTS"));
    other.ask(5, catch_up(Since::Start));
    assert_eq!(frames(&reply(&other.settle()).body), [edit(1)]);
}

#[test]
fn of_a_document_that_is_not_there_nothing_is_copied() {
    let mut table = Table::absent();
    table.ask(1, DocRequest::Copy { to: DocName::new("other").unwrap(), reply: Reply::empty(200) });
    assert_eq!(statuses(&table.settle()), [(1, 404)]);
}
