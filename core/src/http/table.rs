//! Every path and method that is routed.

/// The description of the API for its users: OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A y-websocket connection.
    Socket,
    /// The same, as y-sweet addresses it.
    SweetSocket,
    /// The Durable Streams Yjs protocol.
    Stream,
    /// Something about the server or all its documents.
    Server(ServerOp),
    /// Something about one document.
    Doc(DocOp),
}

/// What a request to the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerOp {
    /// Whether the server serves.
    Ready,
    /// Whether the store works.
    CheckStore,
    /// The API's description.
    OpenApi,
    /// A list of documents.
    List,
    /// Makes a document.
    New,
}

/// What a request to a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocOp {
    /// Makes a token for a client.
    Auth,
    /// The document as one update.
    State,
    /// An edit.
    Update,
    /// The document as JSON.
    Json,
    /// Deletes a document.
    Delete,
    /// Copies a document.
    Copy,
    /// A list of versions.
    Versions,
    /// Makes a version.
    MakeVersion,
    /// A version as one update.
    VersionState,
    /// A version as JSON.
    VersionJson,
    /// Brings a version back.
    Restore,
    /// Deletes a version.
    DeleteVersion,
}

type Methods = &'static [(&'static str, Op)];

const STREAM: Methods = &[
    ("GET", Op::Stream),
    ("HEAD", Op::Stream),
    ("PUT", Op::Stream),
    ("POST", Op::Stream),
    ("DELETE", Op::Stream),
];
const STATE: Methods = &[("GET", Op::Doc(DocOp::State))];
const UPDATE: Methods = &[("POST", Op::Doc(DocOp::Update))];
const JSON: Methods = &[("GET", Op::Doc(DocOp::Json))];
const DELETE: Methods = &[("DELETE", Op::Doc(DocOp::Delete))];
const COPY: Methods = &[("POST", Op::Doc(DocOp::Copy))];
const VERSIONS: Methods = &[("GET", Op::Doc(DocOp::Versions)), ("POST", Op::Doc(DocOp::MakeVersion))];
const VERSION: Methods = &[("DELETE", Op::Doc(DocOp::DeleteVersion))];
const VERSION_STATE: Methods = &[("GET", Op::Doc(DocOp::VersionState))];
const VERSION_JSON: Methods = &[("GET", Op::Doc(DocOp::VersionJson))];
const RESTORE: Methods = &[("POST", Op::Doc(DocOp::Restore))];

/// Path patterns, their methods, and what these are for. `{...}` in the middle stands for one segment, at the end
/// for one segment or, as `{path}`, for all that are left. What takes GET and not HEAD answers HEAD as GET, without
/// the body. Of several patterns that fit, the first one that has the method counts.
pub const ROUTES: &[(&str, Methods)] = &[
    ("/ready", &[("GET", Op::Server(ServerOp::Ready))]),
    (
        "/check_store",
        &[("GET", Op::Server(ServerOp::CheckStore)), ("POST", Op::Server(ServerOp::CheckStore))],
    ),
    ("/openapi.json", &[("GET", Op::Server(ServerOp::OpenApi))]),
    ("/ws/{path}", &[("GET", Op::Socket)]),
    ("/v1/yjs/{service}/docs/{path}", STREAM),
    ("/docs", &[("GET", Op::Server(ServerOp::List))]),
    ("/doc/new", &[("POST", Op::Server(ServerOp::New))]),
    ("/doc/ws/{id}", &[("GET", Op::Socket)]),
    ("/d/{id}/ws/{again}", &[("GET", Op::SweetSocket)]),
    ("/doc/{id}/auth", &[("POST", Op::Doc(DocOp::Auth))]),
    ("/d/{id}", DELETE),
    ("/doc/{id}", DELETE),
    ("/d/{id}/as-update", STATE),
    ("/doc/{id}/as-update", STATE),
    ("/d/{id}/update", UPDATE),
    ("/doc/{id}/update", UPDATE),
    ("/d/{id}/json", JSON),
    ("/doc/{id}/json", JSON),
    ("/d/{id}/copy", COPY),
    ("/doc/{id}/copy", COPY),
    ("/d/{id}/versions", VERSIONS),
    ("/doc/{id}/versions", VERSIONS),
    ("/d/{id}/versions/{version}", VERSION),
    ("/doc/{id}/versions/{version}", VERSION),
    ("/d/{id}/versions/{version}/as-update", VERSION_STATE),
    ("/doc/{id}/versions/{version}/as-update", VERSION_STATE),
    ("/d/{id}/versions/{version}/json", VERSION_JSON),
    ("/doc/{id}/versions/{version}/json", VERSION_JSON),
    ("/d/{id}/versions/{version}/restore", RESTORE),
    ("/doc/{id}/versions/{version}/restore", RESTORE),
];

/// What was found for a request.
pub(super) struct Found<'a> {
    /// None if there is no such path, or it does not take this method.
    pub(super) op: Option<Op>,
    /// The first part of the path that is a parameter, as it came.
    pub(super) id: &'a str,
    /// The second one.
    pub(super) rest: &'a str,
    /// What the path takes; empty if there is no such path.
    pub(super) methods: String,
}

/// Looks a request up.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let mut allowed = Vec::new();
    for (pattern, methods) in ROUTES {
        let Some((id, rest)) = fit(pattern, path) else { continue };
        let has = |wanted: &str| methods.iter().find(|(known, _)| *known == wanted).map(|(_, op)| *op);
        let op = has(method).or_else(|| if method == "HEAD" { has("GET") } else { None });
        if op.is_some() {
            return Found { op, id, rest, methods: String::new() };
        }
        let head = has("GET").map(|_| "HEAD");
        for method in methods.iter().map(|(known, _)| *known).chain(head).chain(["OPTIONS"]) {
            if let Err(place) = allowed.binary_search(&method) {
                allowed.insert(place, method);
            }
        }
    }
    Found { op: None, id: "", rest: "", methods: allowed.join(", ") }
}

/// The parameters of a path, as far as there are two; none if it does not fit.
fn fit<'a>(pattern: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let mut found = ["", ""];
    let mut filled = 0;
    let mut left = path.strip_prefix('/')?;
    let mut parts = pattern.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let (segment, after) = match left.split_once('/') {
            Some((segment, after)) if part != "{path}" => (segment, Some(after)),
            _ => (left, None),
        };
        if part.starts_with('{') {
            *found.get_mut(filled)? = segment;
            filled += 1;
        } else if part != segment {
            return None;
        }
        match (after, parts.peek()) {
            (Some(after), Some(_)) => left = after,
            (None, None) => {}
            _ => return None,
        }
    }
    Some((found[0], found[1]))
}
