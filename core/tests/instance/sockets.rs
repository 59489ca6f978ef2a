//! WebSockets that a proxy holds.

use crate::host::World;
use crate::{contains, update};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use yonder_core::auth::Grant;
use yonder_core::grip::Request;
use yonder_core::grip::events::{Event, Events, put};
use yonder_core::http::{ApiError, Reply};
use yonder_core::instance::Instance;
use yonder_core::{Close, DocName, wire};

pub(crate) const PROXY: &str = "http://127.0.0.1:5561/?verify-iss=tests&verify-key=a-key-of-the-tests";

pub(crate) fn signature() -> String {
    let [header, claims] = [r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"iss":"tests","exp":4000000}"#]
        .map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let mac = Hmac::<Sha256>::new_from_slice(b"a-key-of-the-tests").unwrap().chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A connection, as its proxy has it.
struct Socket {
    id: &'static str,
    session: Option<String>,
}

impl Socket {
    fn new(id: &'static str) -> Self {
        Self { id, session: None }
    }

    async fn visit(&mut self, instance: &Instance<crate::host::Host>, events: &[Event<'_>]) -> Reply {
        self.visit_as(instance, events, Ok((DocName::new("doc").unwrap(), Grant::OPEN))).await
    }

    async fn visit_as(
        &mut self,
        instance: &Instance<crate::host::Host>,
        events: &[Event<'_>],
        granted: Result<(DocName, Grant), ApiError>,
    ) -> Reply {
        let mut body = Vec::new();
        events.iter().for_each(|event| put(&mut body, event));
        self.ask(instance, Ok(body.into()), granted).await
    }

    async fn ask(
        &mut self,
        instance: &Instance<crate::host::Host>,
        body: Result<Bytes, ApiError>,
        granted: Result<(DocName, Grant), ApiError>,
    ) -> Reply {
        let signature = signature();
        let (connection, signature) = (Some(self.id), Some(signature.as_str()));
        let request = Request { connection, signature, session: self.session.as_deref(), body };
        let reply = instance.exchange(granted, &request).await.unwrap();
        if let Some((_, session)) = reply.headers.iter().find(|(name, _)| *name == "set-meta-session") {
            self.session = Some(session.clone());
        }
        reply
    }
}

fn closed(reply: &Reply) -> Option<u16> {
    let events: Vec<_> = Events::new(&reply.body).map(Result::unwrap).collect();
    events.iter().find_map(|event| if let Event::Close(Some((code, _))) = event { Some(*code) } else { None })
}

/// Client 5 is there, or is not.
fn awareness(json: &str) -> Bytes {
    let mut update = vec![1, 5, 1];
    wire::put_var_bytes(&mut update, json.as_bytes());
    update.into()
}

/// Whether a frame with these bytes was published.
fn published(world: &World, bytes: &[u8]) -> bool {
    world.posts.borrow().iter().any(|post| {
        let json: serde_json::Value = serde_json::from_str(post).unwrap();
        let items = json["items"].as_array().unwrap().clone();
        items.iter().any(|item| {
            let content = item["formats"]["ws-message"]["content-bin"].as_str().unwrap_or_default();
            contains(&STANDARD.decode(content).unwrap(), bytes)
        })
    })
}

#[test]
fn an_edit_is_stored_and_published_when_its_request_is_answered() {
    let world = World::new();
    world.proxy_takes.set(300);
    let edit = update(7, "by socket");
    world.run(async {
        let mut socket = Socket::new("a");
        let opened = socket.visit(&world.instance(Some(PROXY)), &[Event::Open]).await;
        assert!(opened.headers.contains(&("sec-websocket-extensions", "grip".to_owned())), "{opened:?}");
        assert!(opened.body.starts_with(b"OPEN\r\n"));
        // Each request in an instance of its own, which ends with the answer.
        let frame = wire::update(&edit);
        let reply = socket.visit(&world.instance(Some(PROXY)), &[Event::Binary(&frame)]).await;
        assert_eq!((reply.status, closed(&reply)), (200, None));
        assert!(published(&world, &edit), "before the answer");
        let mut other = Socket::new("b");
        let empty_state_vector = [0, 0, 1, 0];
        let instance = world.instance(Some(PROXY));
        let reply = other.visit(&instance, &[Event::Open, Event::Binary(&empty_state_vector)]).await;
        assert!(contains(&reply.body, b"by socket"), "stored");
    });
}

#[test]
fn what_was_not_published_comes_with_a_keep_alive() {
    let world = World::new();
    let edit = update(7, "missed");
    world.run(async {
        let mut reader = Socket::new("a");
        reader.visit(&world.instance(Some(PROXY)), &[Event::Open, Event::Binary(&[0, 0, 1, 0])]).await;
        let mut writer = Socket::new("b");
        let frame = wire::update(&edit);
        writer.visit(&world.instance(Some(PROXY)), &[Event::Open, Event::Binary(&frame)]).await;
        let reply = reader.visit(&world.instance(Some(PROXY)), &[]).await;
        assert!(contains(&reply.body, b"missed"));
        let again = reader.visit(&world.instance(Some(PROXY)), &[]).await;
        assert!(!contains(&again.body, b"missed"), "once");
    });
}

#[test]
fn an_edit_by_http_reaches_sockets_that_other_instances_know() {
    let world = World::new();
    let edit = update(7, "by post");
    world.run(async {
        Socket::new("a").visit(&world.instance(Some(PROXY)), &[Event::Open]).await;
        let instance = world.instance(Some(PROXY));
        assert!(crate::ask(&instance, "doc", crate::create()).await.status < 300);
        assert_eq!(crate::ask(&instance, "doc", crate::append(&edit)).await.status, 204);
        assert!(published(&world, &edit));
    });
}

#[test]
fn who_is_refused_is_told_why_and_what_was_sent_counts_for_nothing() {
    let world = World::new();
    world.run(async {
        let instance = world.instance(Some(PROXY));
        let frame = wire::update(&update(7, "forbidden"));
        let refusal = Err(ApiError::forbidden("no"));
        let reply =
            Socket::new("a").visit_as(&instance, &[Event::Open, Event::Binary(&frame)], refusal).await;
        assert_eq!(closed(&reply), Some(Close::FORBIDDEN));
        assert_eq!(crate::ask(&instance, "doc", crate::DocRequest::State).await.status, 404);
        assert!(world.posts.borrow().is_empty());
    });
}

#[test]
fn who_is_closed_for_a_request_that_cannot_be_read_is_gone_for_the_others() {
    let world = World::new();
    world.run(async {
        let granted = || Ok((DocName::new("doc").unwrap(), Grant::OPEN));
        let mut socket = Socket::new("a");
        let here = wire::awareness(&awareness("{}"));
        socket.visit(&world.instance(Some(PROXY)), &[Event::Open, Event::Binary(&here)]).await;
        world.posts.borrow_mut().clear();
        let reply =
            socket.ask(&world.instance(Some(PROXY)), Err(ApiError::body_too_long(9)), granted()).await;
        assert_eq!(closed(&reply), Some(Close::TOO_BIG));
        assert!(published(&world, &awareness("null")));
    });
}

#[test]
fn a_forged_request_and_a_host_without_a_proxy_are_refused() {
    let world = World::new();
    world.run(async {
        let granted = || Ok((DocName::new("doc").unwrap(), Grant::OPEN));
        let request = Request {
            connection: Some("a"),
            signature: Some("a.b.c"),
            session: None,
            body: Ok(Bytes::from_static(b"OPEN\r\n")),
        };
        let forged = world.instance(Some(PROXY)).exchange(granted(), &request).await;
        assert_eq!(forged.unwrap_err().status, 403);
        let alone = world.instance(None).exchange(granted(), &request).await;
        assert_eq!(alone.unwrap_err().status, 426);
    });
}
