//! Instances of a host that runs any number of them: what requests wait for, and what is done by the time of an answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod held;
mod host;
mod sockets;

use bytes::Bytes;
use host::{World, ask};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use yonder_core::DocName;
use yonder_core::http::{ApiError, Asking, Reply};
use yonder_core::instance::Answered;
use yonder_core::request::{DocRequest, Live, Read, Since};
use yrs::{ReadTxn as _, Text as _, Transact as _};

/// Two futures beside each other.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut x, mut y) = (None, None);
    std::future::poll_fn(|context| {
        if x.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(context)
        {
            x = Some(done);
        }
        if y.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(context)
        {
            y = Some(done);
        }
        if x.is_some() && y.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (x.unwrap(), y.unwrap())
}

fn create() -> DocRequest {
    let (created, existed) = (Reply::empty(201), Ok(Reply::empty(200)));
    DocRequest::Create { content: Vec::new(), created, existed }
}

fn update(client: u64, text: &str) -> Bytes {
    let doc = yrs::Doc::with_client_id(client);
    let field = doc.get_or_insert_text("text");
    let mut txn = doc.transact_mut();
    field.insert(&mut txn, 0, text);
    txn.encode_state_as_update_v1(&yrs::StateVector::default()).into()
}

fn append(update: &Bytes) -> DocRequest {
    DocRequest::Append { updates: vec![update.clone()], reply: Reply::empty(204) }
}

fn read(updates: Since, live: Live) -> DocRequest {
    let updates = Some(updates);
    DocRequest::Read(Read { updates, presence: None, live, cursor: None, if_none_match: None, held: false })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_held_read_is_woken_by_a_write_beside_it_and_found_by_reading_again_elsewhere() {
    for same in [true, false] {
        let world = World::new();
        let here = world.instance(None);
        let other = world.instance(None);
        let edit = update(7, "edit");
        let took = world.run(async {
            assert_eq!(ask(&here, "doc", create()).await.status, 201);
            let waiting = async {
                let reply = ask(&here, "doc", read(Since::Now, Live::LongPoll)).await;
                (reply, world.now())
            };
            let writing = async {
                yonder_core::instance::Runtime::sleep(here.runtime(), 5_000).await;
                let writer = if same { &here } else { &other };
                assert_eq!(ask(writer, "doc", append(&edit)).await.status, 204);
                world.now()
            };
            let ((reply, read_at), written_at) = both(waiting, writing).await;
            assert_eq!(reply.status, 200);
            assert!(contains(&reply.body, &edit));
            read_at.saturating_sub(written_at)
        });
        // Once nothing has come for a while, every 2 s.
        assert!(took <= if same { 50 } else { 2_100 }, "{took} ms");
    }
}

#[test]
fn a_silent_poll_ends_at_its_deadline_though_nothing_else_happens() {
    let world = World::new();
    let instance = world.instance(None);
    world.run(async {
        ask(&instance, "doc", create()).await;
        let began = world.now();
        let reply = ask(&instance, "doc", read(Since::Now, Live::LongPoll)).await;
        assert_eq!(reply.status, 204);
        let took = world.now() - began;
        assert!((20_000..=25_000).contains(&took), "{took} ms");
    });
}

#[test]
fn what_one_room_asked_is_no_retry_of_what_the_next_one_asks() {
    let world = World::new();
    let instance = world.instance(None);
    world.run(async {
        // Each finds a new room, whose requests have the same numbers.
        for round in 0..10 {
            assert_eq!(ask(&instance, "doc", create()).await.status, 201, "{round}");
            assert_eq!(ask(&instance, "doc", append(&update(7, "same"))).await.status, 204, "{round}");
            assert!(contains(&ask(&instance, "doc", DocRequest::State).await.body, b"same"), "{round}");
            assert_eq!(ask(&instance, "doc", DocRequest::Delete).await.status, 204, "{round}");
            assert_eq!(ask(&instance, "doc", DocRequest::State).await.status, 404, "{round}");
        }
    });
}

#[test]
fn of_creators_at_once_one_is_first_in_one_instance_and_in_several() {
    for several in [false, true] {
        let world = World::new();
        let (a, b) = (world.instance(None), world.instance(None));
        world.run(async {
            for round in 0..10 {
                let doc = format!("doc-{round}");
                let second = if several { &b } else { &a };
                let (one, two) = both(ask(&a, &doc, create()), ask(second, &doc, create())).await;
                let mut statuses = [one.status, two.status];
                statuses.sort_unstable();
                assert_eq!(statuses, [200, 201], "{round} {several}");
            }
        });
    }
}

#[test]
fn a_copy_goes_through_two_rooms() {
    let world = World::new();
    let instance = world.instance(None);
    world.run(async {
        ask(&instance, "from", create()).await;
        ask(&instance, "from", append(&update(7, "copied"))).await;
        let to = DocName::new("to").unwrap();
        let copy = DocRequest::Copy { to, reply: Reply::empty(200) };
        assert_eq!(ask(&instance, "from", copy).await.status, 200);
        assert!(contains(&ask(&instance, "to", DocRequest::State).await.body, b"copied"));
    });
}

#[test]
fn an_event_stream_brings_what_comes_and_leaving_it_leaves_the_room() {
    let world = World::new();
    let instance = world.instance(None);
    let edit = update(7, "edit");
    world.run(async {
        ask(&instance, "doc", create()).await;
        let doc = DocName::new("doc").unwrap();
        let request = read(Since::Now, Live::Events);
        let asking = Asking { doc, request, expires: None, stale: false };
        let Answered::Events(reply, mut events) = instance.ask(asking).await else { panic!("no stream") };
        assert_eq!(reply.status, 200);
        let ((), seen) =
            both(async { assert_eq!(ask(&instance, "doc", append(&edit)).await.status, 204) }, async {
                let mut seen = Vec::new();
                while !contains(&seen, b"event: data") {
                    seen.extend(events.next().await.expect("it goes on"));
                }
                seen
            })
            .await;
        assert!(!seen.is_empty());
        drop(events);
        // Nothing holds the room any more: the next one finds a new one, and all that was stored.
        assert!(contains(&ask(&instance, "doc", DocRequest::State).await.body, b"edit"));
    });
}

#[test]
fn a_reader_waits_for_the_compaction_that_it_has_shown_to_be_due() {
    let world = World::new();
    world.run(async {
        let writer = world.instance(None);
        ask(&writer, "doc", create()).await;
        for client in 0..40 {
            ask(&world.instance(None), "doc", append(&update(client + 1, "x"))).await;
        }
        // Instances that end with their answer: each compacts a part of what there is.
        for _ in 0..4 {
            ask(&world.instance(None), "doc", DocRequest::State).await;
        }
        let discover = DocRequest::Discover { path: "/p".to_owned(), query: String::new() };
        let reply = ask(&world.instance(None), "doc", discover).await;
        let location = reply.headers.iter().find(|(name, _)| *name == "location").unwrap();
        assert!(location.1.ends_with("_snapshot"), "{location:?}");
    });
}

#[test]
fn a_document_that_nobody_made_is_not_there() {
    let world = World::new();
    let instance = world.instance(None);
    world.run(async {
        assert_eq!(
            ask(&instance, "doc", append(&update(1, "x"))).await.status,
            ApiError::no_document().status
        );
        assert_eq!(ask(&instance, "doc", DocRequest::State).await.status, 404);
    });
}
