//! HTTP requests: routed, with their body, and given to a room.

use crate::input::Input;
use crate::memory;
use crate::room::World;
use std::sync::Arc;
use yonder_core::Millis;
use yonder_core::auth::{Claims, Keys, Permission, Scope};
use yonder_core::http::table::ROUTES;
use yonder_core::http::{Access, Config, HEADERS, Reply, Request, Route, route};
use yonder_core::limits::Limits;
use yonder_core::request::DocRequest;

const NOW: Millis = Millis(1_800_000_000_000);
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get"];

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut world = World::new();
    world.play(&mut input);
    world.rest();
}

/// Asks the router; what a document's room is to answer, and until when it may.
pub(crate) fn ask(input: &mut Input<'_>) -> Option<(DocRequest, Option<Millis>)> {
    let choice = input.byte();
    let keys = Keys::parse(["secret"]).unwrap();
    let access = match choice & 3 {
        0 => Access::Keys(keys.clone()),
        1 => Access::OpenOnLoopback,
        2 => Access::Open,
        _ => [Access::Open, Access::Closed("it is not set up".to_owned())][usize::from(choice >> 7)].clone(),
    };
    let public_url = (choice & 4 != 0).then(|| "https://sync.example".to_owned());
    let config = Arc::new(Config { access, public_url, limits: Arc::new(Limits::default()) });
    let path = path(input);
    let (query, body) = (input.text(), input.bytes());
    let method = METHODS[input.below(METHODS.len())];
    let mut headers = vec![("host", "localhost".to_owned())];
    if choice & 8 == 0 {
        let claims = Claims {
            scope: Scope::Prefix(String::new()),
            service: None,
            perm: [Permission::Read, Permission::Write, Permission::Admin][input.below(3)],
            exp: NOW.0 / 1000 + 9,
            nbf: None,
            sub: None,
        };
        headers.push(("authorization", format!("Bearer {}", keys.mint(&claims))));
    }
    for _ in 0..usize::from(choice >> 4 & 3) {
        // As hosts give them: text without control characters.
        let (name, value) = (HEADERS[input.below(HEADERS.len())], input.text());
        headers.insert(0, (name, value.replace(|letter: char| letter.is_control(), "")));
    }
    let header = |name: &'static str| {
        headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    };
    let request = Request {
        method,
        path: &path,
        query: &query,
        header: &header,
        secure: choice & 64 != 0,
        random: &|| 7,
    };
    let (route, peak) = memory::peak(|| route(&config, &request, NOW));
    let bytes = path.len() + query.len() + headers.iter().map(|(_, value)| value.len()).sum::<usize>();
    assert!(peak <= (64 << 10) + 100 * bytes, "routing {bytes} bytes took {peak}");
    let asking = match route {
        Route::Reply(reply) => {
            check(&reply);
            return None;
        }
        Route::Socket(socket) => {
            if let Err(error) = socket {
                check(&error.clone().into());
                assert!(error.close().reason.len() <= 123);
            }
            return None;
        }
        Route::Catalog { then, .. } => {
            check(&then(Vec::new()));
            return None;
        }
        Route::Document(asking) => asking,
        Route::Body { limit, then, .. } => match then(body.slice(..body.len().min(limit))) {
            Ok(asking) => asking,
            Err(error) => {
                check(&error.into());
                return None;
            }
        },
    };
    Some((asking.request, asking.expires))
}

/// One of the paths that there are, with what the input says in place of the parameters; or what the input says.
fn path(input: &mut Input<'_>) -> String {
    let which = input.below(ROUTES.len() + 1);
    let Some((pattern, _)) = ROUTES.get(which) else { return input.text() };
    let parts = pattern.split('/').map(|part| {
        if !part.starts_with('{') {
            return part.to_owned();
        }
        match input.below(4) {
            0 => "a".to_owned(),
            1 => "default".to_owned(),
            2 => "1".to_owned(),
            _ => input.text(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether a reply can be sent: no header breaks its line, and an error is told as errors are.
fn check(reply: &Reply) {
    assert!((200..600).contains(&reply.status));
    for (name, value) in &reply.headers {
        assert!(value.bytes().all(|byte| byte >= b' ' && byte != 127), "{name}: {value:?}");
    }
    if reply.status >= 400 {
        let error: serde_json::Value = serde_json::from_slice(&reply.body).expect("an error is JSON");
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string());
    }
}
