//! Routing, authorisation and errors, once for all hosts.
//!
//! A target turns its host's request into a [`Request`] without reading the path itself, and does what the
//! [`Route`] says. What only one host has (a page, metrics) it serves beside this.

mod error;

pub use error::ApiError;

use crate::auth::{Grant, Keys};
use crate::effect::Millis;
use crate::name::{DocName, percent_decode};

/// Who may do what without a token.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nobody anything: every request needs a token of one of these keys.
    Keys(Keys),
    /// Everybody everything: the server can only be reached from its own machine. Pages of other sites, which
    /// a browser on that machine would let through, are refused by their origin.
    OpenOnLoopback,
    /// Everybody everything.
    Open,
}

/// The parts of a request that routing reads.
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Percent-encoded, as it came.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    /// A header's value by its name in lower case; none if it is not there or not text.
    pub header: &'a dyn Fn(&'static str) -> Option<&'a str>,
}

/// What a request is.
#[derive(Debug)]
pub enum Route {
    /// A reply that is ready.
    Reply(Reply),
    /// A WebSocket on a document.
    Socket {
        /// Which document.
        doc: DocName,
        /// What it may do there.
        grant: Grant,
    },
    /// A WebSocket that is accepted only to say why it is not: a browser shows its page no HTTP status. To be
    /// sent a refusal ([`crate::wire::refusal`]) and closed ([`ApiError::close`]).
    RefusedSocket(ApiError),
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: String) -> Self {
        let headers =
            vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
        Self { status, headers, body }
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let mut reply = Self::json(error.status, error.body());
        match error.status {
            401 => reply.headers.push(("www-authenticate", "Bearer".to_owned())),
            405 => reply.headers.push(("allow", error.message.replace("this path takes ", ""))),
            426 => reply.headers.push(("upgrade", "websocket".to_owned())),
            _ => {}
        }
        reply
    }
}

/// Tells what a request is.
///
/// | path | is |
/// |---|---|
/// | `GET /ready` | `{"ok":true}` once the server serves |
/// | `GET /ws/{doc}` | a y-websocket connection; `{doc}` may contain slashes |
pub fn route(access: &Access, request: &Request<'_>, now: Millis) -> Route {
    if request.path == "/ready" {
        return Route::Reply(match request.method {
            "GET" | "HEAD" => Reply::json(200, r#"{"ok":true}"#.to_owned()),
            _ => ApiError::method_not_allowed("GET, HEAD").into(),
        });
    }
    let Some(doc) = request.path.strip_prefix("/ws/") else {
        return Route::Reply(ApiError::not_found().into());
    };
    if request.method != "GET" {
        return Route::Reply(ApiError::method_not_allowed("GET").into());
    }
    let socket = authorize(access, request, doc, now);
    let upgrades = (request.header)("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    match (socket, upgrades) {
        (Ok((doc, grant)), true) => Route::Socket { doc, grant },
        (Err(error), true) => Route::RefusedSocket(error),
        (Ok(_), false) => Route::Reply(ApiError::upgrade_required().into()),
        (Err(error), false) => Route::Reply(error.into()),
    }
}

fn authorize(
    access: &Access,
    request: &Request<'_>,
    doc: &str,
    now: Millis,
) -> Result<(DocName, Grant), ApiError> {
    let doc = DocName::from_path(doc)?;
    let grant = match access {
        Access::Open => Grant::OPEN,
        Access::OpenOnLoopback if is_foreign((request.header)("origin")) => {
            return Err(ApiError::foreign_origin());
        }
        Access::OpenOnLoopback => Grant::OPEN,
        Access::Keys(keys) => {
            let token = token(request)?;
            keys.authorize(token.as_deref(), &doc, now)?
        }
    };
    Ok((doc, grant))
}

/// `?token=`, else `Authorization: Bearer`.
fn token(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    let malformed = || ApiError::invalid("the query is not percent-encoded UTF-8");
    let in_query = request
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "token")
        .map(|(_, value)| percent_decode(value).and_then(|bytes| String::from_utf8(bytes).ok()));
    match in_query {
        Some(Some(token)) if !token.is_empty() => Ok(Some(token)),
        Some(Some(_)) => Ok(None),
        Some(None) => Err(malformed()),
        None => Ok((request.header)("authorization")
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned())),
    }
}

/// Whether a page that is not of this machine asks. Programs send no origin.
fn is_foreign(origin: Option<&str>) -> bool {
    let Some(origin) = origin else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    !(name == "localhost" || name.ends_with(".localhost") || name == "127.0.0.1" || name == "::1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Claims, Permission, Scope};

    const NOW: Millis = Millis(1_800_000_000_000);

    fn ask(access: &Access, method: &str, target: &str, headers: &[(&'static str, &str)]) -> Route {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header =
            |name: &'static str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        route(access, &Request { method, path, query, header: &header }, NOW)
    }

    const UPGRADE: (&str, &str) = ("upgrade", "websocket");

    fn status(route: Route) -> u16 {
        match route {
            Route::Reply(reply) => reply.status,
            Route::RefusedSocket(error) => error.close().code,
            Route::Socket { .. } => 101,
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
}
