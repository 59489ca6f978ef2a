use super::*;
use crate::auth::{Claims, Keys, Permission, Scope};
use crate::effect::Close;

const NOW: Millis = Millis(1_800_000_000_000);

fn ask(access: &Access, method: &str, target: &str, headers: &[(&'static str, &str)]) -> Route {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header =
        |name: &'static str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let config = Config { access: access.clone(), public_url: None, limits: Arc::default() };
    let request = Request { method, path, query, header: &header, secure: false, random: &|| 7 };
    route(&Arc::new(config), &request, NOW)
}

/// A request with a body, if it comes to that.
fn send(
    access: &Access,
    method: &str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &'static [u8],
) -> Route {
    match ask(access, method, target, headers) {
        Route::Body { limit, .. } if body.len() > limit => {
            Route::Reply(ApiError::body_too_long(limit).into())
        }
        Route::Body { then, .. } => then(Bytes::from_static(body)).map(Route::Document).into(),
        other @ (Route::Reply(_) | Route::Socket(_) | Route::Document(_) | Route::Catalog { .. }) => other,
    }
}

const UPGRADE: (&str, &str) = ("upgrade", "websocket");

fn status(route: Route) -> u16 {
    match route {
        Route::Reply(reply) => reply.status,
        Route::Socket(Err(error)) => error.close().code,
        Route::Socket(Ok(_)) => 101,
        // Not answered here.
        Route::Document(_) | Route::Catalog { .. } | Route::Body { .. } => 0,
    }
}

#[test]
fn every_path_and_method_has_its_answer() {
    let open = Access::Open;
    for (method, target, upgrade, expected) in [
        ("GET", "/ready", false, 200),
        ("POST", "/ready", false, 405),
        ("GET", "/", false, 404),
        ("GET", "/ws", false, 404),
        ("GET", "/ws/a/b%20c", true, 101),
        ("GET", "/ws/a", false, 426),
        ("POST", "/ws/a", false, 405),
        ("OPTIONS", "/ws/a", false, 204),
        ("GET", "/doc/a/as-update?stale=no", false, 400),
        ("HEAD", "/d/a/as-update?stale=", false, 400),
        ("GET", "/d/a/as-update?stale=ok&stale=ok", false, 400),
        ("GET", "/d/a/json?stale=no", false, 0),
        ("GET", "/docs?stale=no", false, 0),
        ("OPTIONS", "/nowhere", false, 204),
        ("GET", "/d/a/ws/a", true, 101),
        ("GET", "/d/a/ws/b", true, 4400),
        ("GET", "/doc/ws/a", true, 101),
        ("GET", "/doc/a%2Fb/as-update", false, 0),
        ("GET", "/doc//as-update", false, 400),
        ("DELETE", "/doc/new", false, 0),
        ("GET", "/doc/new", false, 405),
        ("GET", "/docs?limit=0", false, 400),
        ("GET", "/docs?service=a%20b", false, 400),
        ("GET", "/docs", false, 0),
        ("PATCH", "/v1/yjs/default/docs/a", false, 405),
        ("GET", "/v1/yjs/default/docs/a/%2e%2e/b", false, 400),
        ("GET", "/v1/yjs/a.b/docs/a", false, 400),
        ("GET", "/ws/", true, 4400),
        ("GET", "/ws/a/../b", true, 4400),
        ("GET", "/ws/a/%2E%2e/b", false, 400),
    ] {
        let headers: &[_] = if upgrade { &[UPGRADE] } else { &[] };
        assert_eq!(status(ask(&open, method, target, headers)), expected, "{method} {target}");
    }
}

#[test]
fn a_token_is_taken_from_the_query_or_the_header() {
    let keys = Keys::parse(["secret"]).unwrap();
    let claims = Claims {
        scope: Scope::Prefix("a".into()),
        service: None,
        perm: Permission::Read,
        exp: NOW.0 / 1000 + 9,
        nbf: None,
        sub: None,
    };
    let token = keys.mint(&claims);
    let access = Access::Keys(keys);
    let bearer = format!("Bearer {token}");
    assert_eq!(status(ask(&access, "GET", "/ws/a", &[UPGRADE])), 4401);
    assert_eq!(status(ask(&access, "GET", "/ws/a", &[])), 401);
    assert_eq!(status(ask(&access, "GET", &format!("/ws/a?x=1&token={token}"), &[UPGRADE])), 101);
    assert_eq!(status(ask(&access, "GET", "/ws/a", &[UPGRADE, ("authorization", &bearer)])), 101);
    assert_eq!(status(ask(&access, "GET", &format!("/ws/b?token={token}"), &[UPGRADE])), 4403);
    assert_eq!(status(ask(&access, "GET", "/ws/a?token=%zz", &[UPGRADE])), 4400);
}

#[test]
fn an_open_server_on_loopback_refuses_pages_of_other_sites() {
    let access = Access::OpenOnLoopback;
    for (origin, expected) in [
        ("http://localhost:5173", 101),
        ("http://127.0.0.1:8787", 101),
        ("http://[::1]:8787", 101),
        ("https://evil.example", 4403),
        ("https://localhost.evil.example", 4403),
        ("null", 4403),
    ] {
        assert_eq!(
            status(ask(&access, "GET", "/ws/a", &[UPGRADE, ("origin", origin)])),
            expected,
            "{origin}"
        );
    }
    assert_eq!(status(ask(&access, "GET", "/ws/a", &[UPGRADE])), 101);
}

const STREAM: &str = "/v1/yjs/default/docs/a";

fn document(route: Route) -> DocRequest {
    let Route::Document(Asking { request, .. }) = route else { panic!("{}", status(route)) };
    request
}

#[test]
fn reads_of_a_stream_are_told_by_their_query() {
    use crate::request::{Live, Read, Since};
    let get = |query: &str| ask(&Access::Open, "GET", &format!("{STREAM}{query}"), &[]);
    let read = Read {
        updates: Some(Since::Start),
        presence: None,
        live: Live::No,
        cursor: None,
        if_none_match: None,
        held: false,
    };
    assert_eq!(document(get("")), DocRequest::Read(read.clone()));
    assert_eq!(document(get("?offset=-1")), DocRequest::Read(read.clone()));
    let at = Some(Since::At(crate::log::Offset::new(255)));
    let polled = Read { updates: at, live: Live::LongPoll, cursor: Some(7), ..read };
    assert_eq!(document(get("?offset=00000000000000ff&live=long-poll&cursor=7")), DocRequest::Read(polled));
    let path = STREAM.to_owned();
    assert_eq!(
        document(get("?token=t&offset=snapshot")),
        DocRequest::Discover { path, query: "&token=t".to_owned() }
    );
    for query in [
        "?offset=",
        "?offset=1",
        "?offset=-2",
        "?offset=00000000000000FF",
        "?offset=-1&offset=-1",
        "?offset=_snapshot",
        "?live=sse",
        "?offset=-1&live=maybe",
        "?offset=-1&live=sse&cursor=x",
        "?offset=snapshot&live=sse",
        "?offset=-1&presence=now",
        "?offset=-1&live=sse&presence=x",
        "?awareness=",
        "?awareness=a&offset=x",
        "?awareness=a&offset=now&live=sse&presence=now",
        "?offset=%zz",
        "?offset=-1&live=sse&cursor=-1",
        "?offset=snapshot&stale=",
        "?stale=OK",
        "?offset=0000000000000001_snapshot&stale=true",
    ] {
        assert_eq!(status(get(query)), 400, "{query}");
    }
}

#[test]
fn writes_to_a_stream_are_frames_and_producers_come_whole() {
    let post = |headers: &[_], body| send(&Access::Open, "POST", STREAM, headers, body);
    let DocRequest::Append { updates, reply } = document(post(&[], &[2, 0, 0, 1, 9])) else { panic!() };
    assert_eq!((updates.len(), reply.status), (2, 204));
    let (id, epoch, seq) = (("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", "7"));
    let DocRequest::Append { reply, .. } = document(post(&[id, epoch, seq], &[2, 0, 0])) else { panic!() };
    assert_eq!((reply.status, &reply.headers[2]), (200, &("producer-seq", "7".to_owned())));
    for headers in
        [&[id][..], &[id, epoch], &[("producer-id", ""), epoch, seq], &[id, ("producer-epoch", "-1"), seq]]
    {
        assert_eq!(status(post(headers, &[2, 0, 0])), 400, "{headers:?}");
    }
    for body in [&[][..], &[5, 1], &[0xff]] {
        assert_eq!(status(post(&[], body)), 400, "{body:?}");
    }
    assert!(matches!(document(post(&[("stream-closed", "true")], &[])), DocRequest::Append { .. }));
    assert_eq!(status(send(&Access::Open, "PUT", STREAM, &[], &[0])), 400);
}

#[test]
fn each_permission_reaches_as_far_as_it_says() {
    let keys = Keys::parse(["secret"]).unwrap();
    let bearer = |perm, scope| {
        let claims = Claims { scope, service: None, perm, exp: NOW.0 / 1000 + 9, nbf: None, sub: None };
        format!("Bearer {}", keys.mint(&claims))
    };
    let access = Access::Keys(keys.clone());
    let all = || Scope::Prefix(String::new());
    let [read, write, admin] =
        [Permission::Read, Permission::Write, Permission::Admin].map(|perm| bearer(perm, all()));
    for (method, target, allowed) in [
        ("GET", "/d/a/as-update", [0, 0, 0]),
        ("POST", "/d/a/update", [403, 0, 0]),
        ("POST", "/doc/a/auth", [403, 403, 0]),
        ("POST", "/doc/new", [403, 403, 0]),
        ("GET", "/docs", [403, 403, 0]),
        ("POST", "/doc/a/copy", [403, 403, 0]),
        ("DELETE", "/doc/a", [403, 403, 0]),
        ("POST", "/doc/a/versions", [403, 0, 0]),
        ("POST", "/doc/a/versions/1/restore", [403, 0, 0]),
        ("GET", "/doc/a/versions", [0, 0, 0]),
        ("GET", "/check_store", [403, 403, 0]),
        ("PUT", STREAM, [0, 0, 0]),
        ("DELETE", STREAM, [403, 403, 0]),
        ("GET", STREAM, [0, 0, 0]),
    ] {
        for (token, expected) in [&read, &write, &admin].into_iter().zip(allowed) {
            let got = status(send(&access, method, target, &[("authorization", token), ("host", "h")], b""));
            assert_eq!(got, expected, "{method} {target}");
        }
        assert_eq!(status(send(&access, method, target, &[], b"")), 401, "{method} {target}");
        let other = bearer(Permission::Admin, Scope::Doc("b".into()));
        assert_eq!(
            status(send(&access, method, target, &[("authorization", &other)], br#"{"docId":"a"}"#)),
            403,
            "{method} {target}"
        );
    }
    let DocRequest::Exists { .. } = document(send(&access, "PUT", STREAM, &[("authorization", &read)], b""))
    else {
        panic!("a reader makes no document")
    };
}

#[test]
fn a_client_is_told_where_the_server_is_and_gets_a_token_for_its_document_only() {
    let keys = Keys::parse(["secret"]).unwrap();
    let claims = Claims {
        scope: Scope::Prefix(String::new()),
        service: None,
        perm: Permission::Admin,
        exp: NOW.0 / 1000 + 9,
        nbf: None,
        sub: None,
    };
    let bearer = format!("Bearer {}", keys.mint(&claims));
    let access = Access::Keys(keys.clone());
    let headers =
        [("authorization", bearer.as_str()), ("host", "sync.example:1"), ("x-forwarded-proto", "https")];
    let body = br#"{"authorization":"read-only","validForSeconds":60,"userId":"ada","extra":1}"#;
    let DocRequest::Exists { reply, .. } = document(send(&access, "POST", "/doc/a%20b/auth", &headers, body))
    else {
        panic!()
    };
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["url"], "wss://sync.example:1/d/a%20b/ws");
    assert_eq!(answer["baseUrl"], "https://sync.example:1/d/a%20b");
    let minted = keys.verify(answer["token"].as_str().unwrap(), NOW).unwrap();
    assert_eq!((minted.scope, minted.perm), (Scope::Doc("a b".into()), Permission::Read));
    assert_eq!((minted.exp, minted.sub.as_deref()), (NOW.0 / 1000 + 60, Some("ada")));
    for body in [
        &br#"{"authorization":"admin"}"#[..],
        b"[]",
        b"{",
        br#"{"validForSeconds":-1}"#,
        br#"{"validForSeconds":0}"#,
    ] {
        assert_eq!(status(send(&access, "POST", "/doc/a/auth", &headers, body)), 400, "{body:?}");
    }
    assert_eq!(status(send(&Access::Open, "POST", "/doc/a/auth", &[], b"")), 400, "no host");
    assert_eq!(status(send(&Access::Open, "POST", "/doc/a/auth", &[("host", "a b")], b"")), 400);
    for body in [&br#"{"docId":"a/b"}"#[..], br#"{"docId":""}"#, br#"{"docId":1}"#] {
        assert_eq!(status(send(&Access::Open, "POST", "/doc/new", &[], body)), 400, "{body:?}");
    }
}

#[test]
fn the_api_description_and_the_table_name_the_same_routes() {
    let api: serde_json::Value = serde_json::from_str(table::OPENAPI).unwrap();
    let described: std::collections::BTreeSet<_> = api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(|method| (path.clone(), method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect();
    let routed: std::collections::BTreeSet<_> = table::ROUTES
        .iter()
        .flat_map(|(path, methods)| {
            methods.iter().map(|(method, _)| ((*path).to_owned(), (*method).to_owned()))
        })
        .collect();
    assert_eq!(described, routed);
}

#[test]
fn an_older_state_will_do_where_the_client_says_so_and_snapshots_tell_it() {
    for (target, expected) in [
        ("/d/a/as-update?stale=ok", true),
        ("/doc/a/as-update?x=1&stale=ok", true),
        ("/doc/a/as-update", false),
        ("/doc/a/json?stale=ok", false),
        ("/doc/a/versions/1/as-update?stale=ok", false),
        ("/v1/yjs/default/docs/a?offset=snapshot&stale=ok", true),
        ("/v1/yjs/default/docs/a?stale=ok&offset=0000000000000001_snapshot", true),
        ("/v1/yjs/default/docs/a?offset=snapshot", false),
        ("/v1/yjs/default/docs/a?offset=-1&stale=ok", false),
        ("/v1/yjs/default/docs/a?offset=now&live=sse&stale=ok", false),
        ("/v1/yjs/default/docs/a?awareness=default&stale=ok", false),
    ] {
        let Route::Document(asking) = ask(&Access::Open, "GET", target, &[]) else { panic!("{target}") };
        assert_eq!(asking.stale, expected, "{target}");
    }
    let Route::Document(asking) = ask(&Access::Open, "HEAD", &format!("{STREAM}?stale=no"), &[]) else {
        panic!("no parameter of this")
    };
    assert!(!asking.stale);
    let keys = Access::Keys(Keys::parse(["secret"]).unwrap());
    for target in ["/d/a/as-update?stale=ok", "/v1/yjs/default/docs/a?offset=snapshot&stale=ok"] {
        assert_eq!(status(ask(&keys, "GET", target, &[])), 401, "{target}");
    }
}

#[test]
fn a_server_that_is_not_set_up_says_so_whatever_is_asked() {
    let access = Access::closed("it has no key. Give it one.");
    let mut asked = vec![("GET", "/nowhere".to_owned()), ("PATCH", "/docs".to_owned())];
    for (pattern, methods) in table::ROUTES {
        asked.extend(methods.iter().map(|(method, _)| (*method, (*pattern).to_owned())));
    }
    let token = Keys::parse(["secret"]).unwrap().mint(&Claims {
        scope: Scope::Prefix(String::new()),
        service: None,
        perm: Permission::Admin,
        exp: NOW.0 / 1000 + 9,
        nbf: None,
        sub: None,
    });
    let bearer = format!("Bearer {token}");
    for (method, target) in asked {
        for headers in [&[][..], &[("authorization", bearer.as_str())]] {
            let Route::Reply(reply) = ask(&access, method, &target, headers) else { panic!("{target}") };
            let error: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, &error["error"]["code"]), (503, &"NOT_CONFIGURED".into()), "{target}");
            assert_eq!(error["error"]["message"], "this server is not set up: it has no key. Give it one.");
        }
        let preflight = |access| {
            let Route::Reply(reply) = ask(access, "OPTIONS", &target, &[]) else { panic!("{target}") };
            reply
        };
        assert_eq!(preflight(&access), preflight(&Access::Open));
    }
    for target in ["/ws/a", "/doc/ws/a", "/d/a/ws/a", "/d/a/ws/b", "/ws/"] {
        let Route::Socket(Err(error)) = ask(&access, "GET", target, &[UPGRADE]) else { panic!("{target}") };
        assert_eq!((error.close().code, error.code), (Close::TRY_AGAIN, "NOT_CONFIGURED"));
        assert!(error.close().reason.starts_with("this server is not set up: "));
    }
}

#[test]
fn hosts_know_every_header_that_is_read() {
    let routes = table::ROUTES.iter().map(|(path, methods)| (path.replace(['{', '}'], ""), methods));
    let routes: Vec<_> = routes.collect();
    let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let header = |name: &'static str| {
        read.borrow_mut().insert(name);
        (name == "host").then_some("localhost")
    };
    for access in [Access::OpenOnLoopback, Access::Keys(Keys::parse(["secret"]).unwrap())] {
        let config = Arc::new(Config { access, public_url: None, limits: Arc::default() });
        for (path, methods) in &routes {
            for (method, _) in **methods {
                let request =
                    Request { method, path, query: "", header: &header, secure: false, random: &|| 7 };
                route(&config, &request, NOW);
            }
        }
    }
    assert_eq!(read.into_inner().into_iter().collect::<Vec<_>>(), HEADERS);
}

#[test]
fn a_body_is_told_its_document_unless_that_is_in_the_body() {
    for (method, target, expected) in [
        ("POST", STREAM, Some("a")),
        ("PUT", STREAM, Some("a")),
        ("POST", "/v1/yjs/other/docs/a/b", Some("\u{1f}other\u{1f}a/b")),
        ("POST", "/d/a%2Fb/update", Some("a/b")),
        ("POST", "/doc/a/auth", Some("a")),
        ("POST", "/doc/a/copy", Some("a")),
        ("POST", "/doc/a/versions", Some("a")),
        ("POST", "/doc/new", None),
    ] {
        let Route::Body { doc, .. } = ask(&Access::Open, method, target, &[("host", "h")]) else {
            panic!("{target}")
        };
        assert_eq!(doc.as_ref().map(DocName::internal), expected, "{method} {target}");
    }
}

#[test]
fn an_open_server_on_loopback_is_not_reached_by_a_name_of_others() {
    let access = Access::OpenOnLoopback;
    for (host, expected) in
        [("localhost:1", 0), ("127.0.0.1", 0), ("[::1]:8787", 0), ("evil.example:8787", 403)]
    {
        assert_eq!(status(ask(&access, "GET", STREAM, &[("host", host)])), expected, "{host}");
    }
}
