//! Routing, authorisation and errors, once for all hosts.
//!
//! A target turns its host's request into a [`Request`] without reading the path itself, and does what the
//! [`Route`] says. What only one host has (a page, metrics) it serves beside this. The API is described for users in
//! `openapi.json`, served at `/openapi.json`; a test compares it with the [table] of what is routed.

mod access;
mod error;
pub(crate) mod frames;
mod published;
pub(crate) mod query;
mod reply;
pub(crate) mod streams;
pub(crate) mod sweet;
pub mod table;

pub use access::Access;
pub use error::ApiError;
pub use published::Published;
pub use reply::{COMMON_HEADERS, Reply};

use crate::auth::{AuthError, Grant, Permission};
use crate::effect::Millis;
use crate::limits::Limits;
use crate::log::{CatalogOp, Listed};
use crate::name::{DEFAULT_SERVICE, DocName};
use crate::request::{DocRequest, VersionOp};
use bytes::Bytes;
use query::Query;
pub(crate) use query::percent_encode;
use std::sync::Arc;
use streams::What;
use table::{DocOp, Found, Op, ServerOp};

/// How the HTTP side of a server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who may do what.
    pub access: Access,
    /// Where clients reach the server, `https://sync.example`; none if that is where each request was sent to.
    pub public_url: Option<String>,
    /// What it may take.
    pub limits: Arc<Limits>,
}

/// The parts of a request that routing reads.
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Percent-encoded, as it came.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    /// A header's value by its name in lower case, one of [`HEADERS`]; none if it is not there or not text. `host`
    /// is there in HTTP/2 as well (`:authority`).
    pub header: &'a dyn Fn(&'static str) -> Option<&'a str>,
    /// Whether it came by TLS.
    pub secure: bool,
    /// A random number, a new one for each request.
    pub random: &'a dyn Fn() -> u128,
}

/// Every header that is read of a request.
pub const HEADERS: &[&str] = &[
    "authorization",
    "host",
    "if-none-match",
    "origin",
    "producer-epoch",
    "producer-id",
    "producer-seq",
    "stream-closed",
    "upgrade",
    "x-forwarded-proto",
];

impl<'a> Request<'a> {
    fn header(&self, name: &'static str) -> Option<&'a str> {
        debug_assert!(HEADERS.contains(&name), "{name} is no header that hosts give");
        (self.header)(name)
    }
}

/// What a request is.
pub enum Route {
    /// A reply that is ready.
    Reply(Reply),
    /// A WebSocket on a document, and what it may do there. One that is refused is accepted only to say why: a
    /// browser shows its page no HTTP status. It is sent a refusal ([`crate::wire::refusal`]) and closed
    /// ([`ApiError::close`]).
    Socket(Result<(DocName, Grant), ApiError>),
    /// Something for a document's room.
    Document(Asking),
    /// Something for a document's room, once its body is read.
    Body {
        /// Bytes that it may have; a longer one is [`ApiError::body_too_long`].
        limit: usize,
        /// Which document, if that is known before: a host may pass the body on to where the document is, unread.
        doc: Option<DocName>,
        /// Tells what is asked.
        then: Box<dyn FnOnce(Bytes) -> Result<Asking, ApiError> + Send>,
    },
    /// Something for the whole store; its answer goes to `then`.
    Catalog {
        /// What to ask.
        op: CatalogOp,
        /// Makes the reply.
        then: Box<dyn FnOnce(Vec<Listed>) -> Reply + Send>,
    },
}

/// A request to a document's room: [`crate::Input::Request`].
#[derive(Debug)]
pub struct Asking {
    /// Which document.
    pub doc: DocName,
    /// What is asked.
    pub request: DocRequest,
    /// When the token ends.
    pub expires: Option<Millis>,
    /// An older state will do: [`Published::answer`]. The document's own answer is as old as [`Reply::with_age`] of 0.
    pub stale: bool,
}

impl From<Result<Route, ApiError>> for Route {
    fn from(result: Result<Route, ApiError>) -> Self {
        result.unwrap_or_else(|error| Self::Reply(error.into()))
    }
}

/// Tells what a request is. [`table::ROUTES`] has them all.
pub fn route(config: &Arc<Config>, request: &Request<'_>, now: Millis) -> Route {
    let Found { op, id, rest, methods } = table::find(request.method, request.path);
    let context = Context { config, request, now };
    if request.method == "OPTIONS" {
        // Also where there is nothing: else a page is told of a failed preflight, and not of that.
        return Route::Reply(config.access.check_origin(request).map(|()| Reply::options(&methods)).into());
    }
    if let Access::Closed(why) = &config.access {
        let error = ApiError::not_configured(why);
        return match op {
            Some(Op::Socket | Op::SweetSocket) => context.socket(Err(error)),
            Some(Op::Stream | Op::Server(_) | Op::Doc(_)) | None => Route::Reply(error.into()),
        };
    }
    let Some(op) = op else {
        return Route::Reply(match methods.as_str() {
            "" => ApiError::not_found().into(),
            _ => ApiError::method_not_allowed(&methods).into(),
        });
    };
    match op {
        Op::Socket => context.socket(DocName::from_path(id).map_err(ApiError::from)),
        Op::SweetSocket => context.socket(match (DocName::from_path(id), DocName::from_path(rest)) {
            (Ok(doc), Ok(again)) if doc == again => Ok(doc),
            (Ok(_), Ok(_)) => Err(ApiError::invalid("the two ids in the path differ")),
            (Err(error), _) | (_, Err(error)) => Err(error.into()),
        }),
        Op::Stream => context.stream(id, rest).into(),
        Op::Server(op) => context.server(op).into(),
        Op::Doc(op) => context.doc(op, id, rest).into(),
    }
}

/// A request on its way through.
struct Context<'a, 'r> {
    config: &'a Arc<Config>,
    request: &'a Request<'r>,
    now: Millis,
}

impl Context<'_, '_> {
    fn socket(&self, doc: Result<DocName, ApiError>) -> Route {
        let socket = doc.and_then(|doc| self.authorize(&doc).map(|grant| (doc, grant)));
        let upgrade = self.request.header("upgrade");
        let upgrades = upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
        match socket {
            socket if upgrades => Route::Socket(socket),
            Ok(_) => Route::Reply(ApiError::upgrade_required().into()),
            Err(error) => Route::Reply(error.into()),
        }
    }

    fn stream(&self, service: &str, path: &str) -> Result<Route, ApiError> {
        let doc = DocName::in_service(service, path)?;
        let grant = self.authorize(&doc)?;
        let query = Query::parse(self.request.query)?;
        let streams::Asked { permission, what } = streams::read(self.request, &query, &grant)?;
        let stale = self.request.method == "GET" && query.stale()?;
        permits(&grant, permission)?;
        let expires = grant.expires;
        Ok(match what {
            What::Now(request) => {
                let stale = stale && published::can_answer(&request);
                Route::Document(Asking { doc, request, expires, stale })
            }
            What::Frames(frames) => {
                with_body(self.config.limits.frame_bytes, doc, expires, move |body| frames.with_body(&body))
            }
            What::Bodyless(request) => with_body(0, doc, expires, |_| Ok(request)),
        })
    }

    fn server(&self, op: ServerOp) -> Result<Route, ApiError> {
        Ok(match op {
            ServerOp::Ready => Route::Reply(Reply::json(200, r#"{"ok":true}"#)),
            ServerOp::OpenApi => Route::Reply(Reply::json(200, table::OPENAPI)),
            ServerOp::CheckStore => {
                self.authorize_all(DEFAULT_SERVICE, "")?;
                let then = Box::new(|_| Reply::json(200, r#"{"ok":true}"#));
                Route::Catalog { op: CatalogOp::Check, then }
            }
            ServerOp::List => {
                let list = sweet::List::read(&Query::parse(self.request.query)?)?;
                self.authorize_all(&list.service, &list.prefix)?;
                list.route()?
            }
            ServerOp::New => {
                let named = self.named_in_body()?;
                let then = move |body: Bytes| {
                    let (doc, expires) = named.read(&body)?;
                    let (created, existed) = (sweet::made(&doc), Ok(sweet::made(&doc)));
                    let request = DocRequest::Create { content: Vec::new(), created, existed };
                    Ok(Asking { doc, request, expires, stale: false })
                };
                Route::Body { limit: sweet::BODY_MAX, doc: None, then: Box::new(then) }
            }
        })
    }

    fn doc(&self, op: DocOp, id: &str, version: &str) -> Result<Route, ApiError> {
        let doc = DocName::from_path(id)?;
        let grant = self.authorize(&doc)?;
        permits(&grant, op.permission())?;
        let expires = grant.expires;
        let stale = op == DocOp::State && Query::parse(self.request.query)?.stale()?;
        let version = || DocName::from_path(version).map(|id| id.as_str().to_owned());
        let request = match op {
            DocOp::State => DocRequest::State,
            DocOp::Json => DocRequest::Json,
            DocOp::Delete => DocRequest::Delete,
            DocOp::Versions => DocRequest::Version(VersionOp::List),
            DocOp::VersionState => DocRequest::Version(VersionOp::State(version()?)),
            DocOp::VersionJson => DocRequest::Version(VersionOp::Json(version()?)),
            DocOp::DeleteVersion => DocRequest::Version(VersionOp::Delete(version()?)),
            DocOp::Restore => {
                // Half of what yjs takes its numbers from, so that the next free one is there.
                let client = (self.request.random)() as u32 >> 1;
                DocRequest::Version(VersionOp::Restore { id: version()?, client })
            }
            DocOp::Update => {
                return Ok(with_body(self.config.limits.frame_bytes, doc, expires, |body| {
                    Ok(DocRequest::Append { updates: vec![body], reply: Reply::empty(200) })
                }));
            }
            DocOp::Auth => {
                let base = sweet::base(self.config, self.request)?;
                let (config, now, of) = (Arc::clone(self.config), self.now, doc.clone());
                return Ok(with_body(sweet::BODY_MAX, doc, expires, move |body| {
                    sweet::client_token(&config, &base, &of, &body, now)
                }));
            }
            DocOp::Copy => {
                let named = self.named_in_body()?;
                return Ok(with_body(sweet::BODY_MAX, doc, expires, move |body| {
                    let (to, _) = named.read(&body)?;
                    let reply = sweet::made(&to);
                    Ok(DocRequest::Copy { to, reply })
                }));
            }
            DocOp::MakeVersion => {
                let random = (self.request.random)() as u32;
                return Ok(with_body(sweet::BODY_MAX, doc, expires, move |body| {
                    let name = sweet::version_name(&body)?;
                    Ok(DocRequest::Version(VersionOp::Make { name, random }))
                }));
            }
        };
        Ok(Route::Document(Asking { doc, request, expires, stale }))
    }

    /// Prepares to read the name of a document that is to be made from a body.
    fn named_in_body(&self) -> Result<Named, ApiError> {
        self.config.access.check_origin(self.request)?;
        let token = token(self.request)?;
        if let Access::Keys(keys) = &self.config.access {
            // Before anything is read.
            keys.verify(token.as_deref().ok_or(AuthError::Missing)?, self.now)?;
        }
        let (config, random) = (Arc::clone(self.config), (self.request.random)());
        Ok(Named { config, token, now: self.now, random })
    }

    fn authorize(&self, doc: &DocName) -> Result<Grant, ApiError> {
        self.config.access.check_origin(self.request)?;
        match &self.config.access {
            Access::Open | Access::OpenOnLoopback => Ok(Grant::OPEN),
            Access::Keys(keys) => Ok(keys.authorize(token(self.request)?.as_deref(), doc, self.now)?),
            Access::Closed(why) => Err(ApiError::not_configured(why)),
        }
    }

    /// Whether everything with this prefix may be managed.
    fn authorize_all(&self, service: &str, prefix: &str) -> Result<(), ApiError> {
        self.config.access.check_origin(self.request)?;
        match &self.config.access {
            Access::Open | Access::OpenOnLoopback => Ok(()),
            Access::Keys(keys) => {
                let token = token(self.request)?;
                permits(&keys.authorize_all(token.as_deref(), service, prefix, self.now)?, Permission::Admin)
            }
            Access::Closed(why) => Err(ApiError::not_configured(why)),
        }
    }
}

/// Reads the name of a document that is to be made, and checks that it may be.
struct Named {
    config: Arc<Config>,
    token: Option<String>,
    now: Millis,
    random: u128,
}

impl Named {
    fn read(self, body: &[u8]) -> Result<(DocName, Option<Millis>), ApiError> {
        let doc = sweet::new_name(body, self.random)?;
        let grant = match &self.config.access {
            Access::Keys(keys) => keys.authorize(self.token.as_deref(), &doc, self.now)?,
            Access::Open | Access::OpenOnLoopback => Grant::OPEN,
            Access::Closed(why) => return Err(ApiError::not_configured(why)),
        };
        permits(&grant, Permission::Admin)?;
        Ok((doc, grant.expires))
    }
}

impl DocOp {
    fn permission(self) -> Permission {
        match self {
            Self::State | Self::Json | Self::Versions | Self::VersionState | Self::VersionJson => {
                Permission::Read
            }
            Self::Update | Self::MakeVersion | Self::Restore | Self::DeleteVersion => Permission::Write,
            Self::Auth | Self::Delete | Self::Copy => Permission::Admin,
        }
    }
}

fn with_body(
    limit: usize,
    doc: DocName,
    expires: Option<Millis>,
    then: impl FnOnce(Bytes) -> Result<DocRequest, ApiError> + Send + 'static,
) -> Route {
    let known = Some(doc.clone());
    let then = move |body| Ok(Asking { doc, request: then(body)?, expires, stale: false });
    Route::Body { limit, doc: known, then: Box::new(then) }
}

fn permits(grant: &Grant, needed: Permission) -> Result<(), ApiError> {
    match needed {
        _ if grant.permission >= needed => Ok(()),
        Permission::Read | Permission::Write => Err(ApiError::forbidden("this token may only read")),
        Permission::Admin => Err(ApiError::forbidden("this needs a token with the permission 'admin'")),
    }
}

/// `?token=`, else `Authorization: Bearer`.
fn token(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    match Query::parse(request.query)?.one("token")? {
        Some("") => Ok(None),
        Some(token) => Ok(Some(token.to_owned())),
        None => Ok(request
            .header("authorization")
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned())),
    }
}

#[cfg(test)]
mod tests;
