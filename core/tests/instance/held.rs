//! Live reads that a proxy holds.

use crate::host::{World, ask};
use crate::sockets::{PROXY, signature};
use crate::{append, contains, create, read, update};
use yonder_core::DocName;
use yonder_core::http::{Asking, Reply};
use yonder_core::instance::{Instance, Runtime as _};
use yonder_core::request::{DocRequest, Live, Since};

fn asking(request: DocRequest) -> Asking {
    Asking { doc: DocName::new("doc").unwrap(), request, expires: None, stale: false }
}

async fn hold(instance: &Instance<crate::host::Host>, since: Since, live: Live) -> Reply {
    let asking = asking(read(since, live));
    assert!(instance.can_hold(&asking));
    instance.hold(asking).await
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.header(name).unwrap_or_default()
}

/// How many times who is held was woken.
fn woken(world: &World) -> usize {
    let hints = |post: &String| post.matches(r#""http-response":{"action":"hint"}"#).count();
    world.posts.borrow().iter().map(hints).sum()
}

#[test]
fn a_poll_is_handed_back_to_the_proxy_at_once_and_woken_by_what_is_stored_elsewhere() {
    let world = World::new();
    let (here, other) = (world.instance(Some(PROXY)), world.instance(Some(PROXY)));
    let edit = update(7, "edit");
    world.run(async {
        assert_eq!(ask(&here, "doc", create()).await.status, 201);
        let began = world.now();
        let held = hold(&here, Since::Start, Live::LongPoll).await;
        assert!(world.now() - began < 50, "{} ms", world.now() - began);
        assert_eq!((held.status, header(&held, "grip-hold")), (204, "response"));
        assert_eq!(header(&held, "grip-timeout"), "25");
        assert!(header(&held, "grip-channel").starts_with("yonder-"));
        assert_eq!(woken(&world), 0);
        assert_eq!(ask(&other, "doc", append(&edit)).await.status, 204);
        assert_eq!(woken(&world), 1, "before the writer has its answer");
        let answered = hold(&here, Since::Start, Live::LongPoll).await;
        assert_eq!((answered.status, answered.header("grip-hold")), (200, None));
        assert!(contains(&answered.body, &edit));
    });
}

#[test]
fn who_waits_for_what_comes_from_now_on_is_told_where_that_is() {
    let world = World::new();
    let instance = world.instance(Some(PROXY));
    world.run(async {
        ask(&instance, "doc", create()).await;
        let reply = hold(&instance, Since::Now, Live::LongPoll).await;
        assert_eq!((reply.status, reply.header("grip-hold")), (204, None), "asked anew it would begin later");
        assert!(reply.header("stream-next-offset").is_some());
    });
}

#[test]
fn what_is_published_before_the_proxy_listens_wakes_the_reader_a_moment_later() {
    let world = World::new();
    let (here, other) = (world.instance(Some(PROXY)), world.instance(None));
    world.run(async {
        ask(&here, "doc", create()).await;
        hold(&here, Since::Start, Live::LongPoll).await;
        // It is as if what this instance says were lost.
        assert_eq!(ask(&other, "doc", append(&update(7, "edit"))).await.status, 204);
        assert_eq!(woken(&world), 0);
        here.runtime().sleep(1_000).await;
        assert_eq!(woken(&world), 1);
        here.runtime().sleep(30_000).await;
        assert_eq!(woken(&world), 1, "it looks once");
    });
}

#[test]
fn a_deletion_wakes_who_is_held_and_has_sockets_ask() {
    let world = World::new();
    let instance = world.instance(Some(PROXY));
    world.run(async {
        ask(&instance, "doc", create()).await;
        hold(&instance, Since::Start, Live::LongPoll).await;
        assert_eq!(ask(&instance, "doc", DocRequest::Delete).await.status, 204);
        assert_eq!(woken(&world), 1);
        let reply = hold(&instance, Since::Start, Live::LongPoll).await;
        assert_eq!((reply.status, reply.header("grip-hold")), (404, None));
    });
}

#[test]
fn only_a_proxy_is_told_to_hold() {
    let world = World::new();
    let (proxied, alone) = (world.instance(Some(PROXY)), world.instance(None));
    assert!(proxied.is_proxied(Some(&signature())));
    assert!(!proxied.is_proxied(Some("forged")) && !proxied.is_proxied(None));
    assert!(!alone.is_proxied(Some(&signature())));
    assert!(!alone.can_hold(&asking(read(Since::Start, Live::LongPoll))));
    assert!(!proxied.can_hold(&asking(read(Since::Start, Live::No))));
    assert!(!proxied.can_hold(&asking(DocRequest::State)));
}

#[test]
fn a_poll_is_handed_over_with_the_place_where_it_began_or_answered() {
    let world = World::new();
    let instance = world.instance(Some(PROXY));
    world.run(async {
        ask(&instance, "doc", create()).await;
        let poll = || asking(read(Since::Now, Live::LongPoll));
        let given = "offset=now&live=long-poll&cursor=3&token=t";
        let place = ask(&instance, "doc", read(Since::Now, Live::No)).await;
        let query = instance.before_hold(poll(), given).await.unwrap();
        assert_eq!(
            query,
            format!("offset={}&live=long-poll&cursor=3&token=t", header(&place, "stream-next-offset"))
        );
        let edit = update(7, "edit");
        ask(&instance, "doc", append(&edit)).await;
        let begun = instance.before_hold(asking(read(Since::Start, Live::LongPoll)), given).await;
        assert!(contains(&begun.unwrap_err().body, &edit));
        let missing = Asking { doc: DocName::new("none").unwrap(), ..poll() };
        assert_eq!(instance.before_hold(missing, given).await.unwrap_err().status, 404);
    });
}
