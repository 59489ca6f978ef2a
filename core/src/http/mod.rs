//! Routing, authorisation and errors, once for all hosts.
//!
//! A target turns its host's request into a [`Request`] without reading the path itself, and does what the
//! [`Route`] says. What only one host has (a page, metrics) it serves beside this. The API is described for users in
//! `openapi.json`, served at `/openapi.json`; a test compares it with the [table] of what is routed.

mod error;
pub(crate) mod frames;
mod query;
mod reply;
pub(crate) mod streams;
pub(crate) mod sweet;
pub mod table;

pub use error::ApiError;
pub use reply::{COMMON_HEADERS, Reply};

use crate::auth::{AuthError, Grant, Keys, Permission};
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

/// Who may do what without a token.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nobody anything: every request needs a token of one of these keys.
    Keys(Keys),
    /// Everybody everything: the server can only be reached from its own machine. Pages of other sites, which
    /// a browser on that machine would let through, are refused by their origin and by the name that they call
    /// this server (a name of theirs may lead here).
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
    /// A header's value by its name in lower case; none if it is not there or not text. `host` is there in HTTP/2
    /// as well (`:authority`).
    pub header: &'a dyn Fn(&'static str) -> Option<&'a str>,
    /// Whether it came by TLS.
    pub secure: bool,
    /// A random number, a new one for each request.
    pub random: &'a dyn Fn() -> u128,
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
}

impl From<Result<Route, ApiError>> for Route {
    fn from(result: Result<Route, ApiError>) -> Self {
        result.unwrap_or_else(|error| Self::Reply(error.into()))
    }
}

/// Tells what a request is. [`table::ROUTES`] has them all.
pub fn route(config: &Arc<Config>, request: &Request<'_>, now: Millis) -> Route {
    let Found { op, id, rest, methods } = table::find(request.method, request.path);
    let Some(op) = op else {
        return Route::Reply(match (methods.as_str(), request.method) {
            // Also where there is nothing: else a page is told of a failed preflight, and not of that.
            (_, "OPTIONS") => match check_origin(&config.access, request) {
                Ok(()) => Reply::options(&methods),
                Err(error) => error.into(),
            },
            ("", _) => ApiError::not_found().into(),
            _ => ApiError::method_not_allowed(&methods).into(),
        });
    };
    let context = Context { config, request, now };
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
        let upgrade = (self.request.header)("upgrade");
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
        permits(&grant, permission)?;
        let expires = grant.expires;
        Ok(match what {
            What::Now(request) => Route::Document(Asking { doc, request, expires }),
            What::Frames(frames) => with_body(self.config.limits.frame_bytes, move |body| {
                Ok(Asking { doc, request: frames.with_body(&body)?, expires })
            }),
            What::Bodyless(request) => with_body(0, move |_| Ok(Asking { doc, request, expires })),
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
                with_body(sweet::BODY_MAX, move |body| {
                    let (doc, expires) = named.read(&body)?;
                    let (created, existed) = (sweet::made(&doc), Ok(sweet::made(&doc)));
                    let request = DocRequest::Create { content: Vec::new(), created, existed };
                    Ok(Asking { doc, request, expires })
                })
            }
        })
    }

    fn doc(&self, op: DocOp, id: &str, version: &str) -> Result<Route, ApiError> {
        let doc = DocName::from_path(id)?;
        let grant = self.authorize(&doc)?;
        permits(&grant, op.permission())?;
        let expires = grant.expires;
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
                return Ok(with_body(self.config.limits.frame_bytes, move |body| {
                    let request = DocRequest::Append { updates: vec![body], reply: Reply::empty(200) };
                    Ok(Asking { doc, request, expires })
                }));
            }
            DocOp::Auth => {
                let base = sweet::base(self.config, self.request)?;
                let (config, now) = (Arc::clone(self.config), self.now);
                return Ok(with_body(sweet::BODY_MAX, move |body| {
                    let request = sweet::client_token(&config, &base, &doc, &body, now)?;
                    Ok(Asking { doc, request, expires })
                }));
            }
            DocOp::Copy => {
                let named = self.named_in_body()?;
                return Ok(with_body(sweet::BODY_MAX, move |body| {
                    let (to, _) = named.read(&body)?;
                    let reply = sweet::made(&to);
                    Ok(Asking { doc, request: DocRequest::Copy { to, reply }, expires })
                }));
            }
            DocOp::MakeVersion => {
                let random = (self.request.random)() as u32;
                return Ok(with_body(sweet::BODY_MAX, move |body| {
                    let name = sweet::version_name(&body)?;
                    let request = DocRequest::Version(VersionOp::Make { name, random });
                    Ok(Asking { doc, request, expires })
                }));
            }
        };
        Ok(Route::Document(Asking { doc, request, expires }))
    }

    /// Prepares to read the name of a document that is to be made from a body.
    fn named_in_body(&self) -> Result<Named, ApiError> {
        check_origin(&self.config.access, self.request)?;
        let token = token(self.request)?;
        if let Access::Keys(keys) = &self.config.access {
            // Before anything is read.
            keys.verify(token.as_deref().ok_or(AuthError::Missing)?, self.now)?;
        }
        let (config, random) = (Arc::clone(self.config), (self.request.random)());
        Ok(Named { config, token, now: self.now, random })
    }

    fn authorize(&self, doc: &DocName) -> Result<Grant, ApiError> {
        check_origin(&self.config.access, self.request)?;
        match &self.config.access {
            Access::Open | Access::OpenOnLoopback => Ok(Grant::OPEN),
            Access::Keys(keys) => Ok(keys.authorize(token(self.request)?.as_deref(), doc, self.now)?),
        }
    }

    /// Whether everything with this prefix may be managed.
    fn authorize_all(&self, service: &str, prefix: &str) -> Result<(), ApiError> {
        check_origin(&self.config.access, self.request)?;
        match &self.config.access {
            Access::Open | Access::OpenOnLoopback => Ok(()),
            Access::Keys(keys) => {
                let token = token(self.request)?;
                permits(&keys.authorize_all(token.as_deref(), service, prefix, self.now)?, Permission::Admin)
            }
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

fn with_body(limit: usize, then: impl FnOnce(Bytes) -> Result<Asking, ApiError> + Send + 'static) -> Route {
    Route::Body { limit, then: Box::new(then) }
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
        None => Ok((request.header)("authorization")
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned())),
    }
}

fn check_origin(access: &Access, request: &Request<'_>) -> Result<(), ApiError> {
    let local =
        |header, name: fn(&str) -> &str| (request.header)(header).is_none_or(|value| is_local(name(value)));
    let of_this_machine = || {
        local("origin", |origin| origin.split_once("://").map_or("", |(_, host)| host))
            && local("host", |host| host)
    };
    if matches!(access, Access::OpenOnLoopback) && !of_this_machine() {
        return Err(ApiError::foreign_origin());
    }
    Ok(())
}

/// Whether a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name == "127.0.0.1" || name == "::1"
}

#[cfg(test)]
mod tests;
