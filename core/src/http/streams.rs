//! The Durable Streams Yjs protocol: what its requests ask. How they are answered in HTTP stands in
//! [`super::frames`].
//!
//! A document is one address, `/v1/yjs/{service}/docs/{path}`; what is asked of it is told by the method and the
//! query. Bodies are lib0 frames: a varUint length, and one Yjs update; any number of them.

use super::query::Query;
use super::{ApiError, Reply, Request};
use crate::auth::{Grant, Permission};
use crate::log::Offset;
use crate::request::{DocRequest, Live, PresenceOffset, PresenceOp, PresenceSince, Read, Since};
use crate::wire;
use bytes::Bytes;

/// The presence stream that every document has, and that WebSocket clients share.
pub(crate) const DEFAULT_STREAM: &str = "default";
/// Bytes of the name of a presence stream, and of a producer.
const NAME_MAX: usize = 256;
/// Largest integer of a header: what JavaScript's numbers hold.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What a request needs, and what it asks once its body is there.
pub(super) struct Asked {
    pub(super) permission: Permission,
    pub(super) what: What,
}

pub(super) enum What {
    /// It has no body, or none that counts.
    Now(DocRequest),
    /// Frames, and what is done with them.
    Frames(Frames),
    /// There must be no body.
    Bodyless(DocRequest),
}

/// A request whose body is frames.
pub(super) struct Frames {
    stream: Option<String>,
    reply: Reply,
    /// The client says that it will write no more: it may have nothing left to say.
    closes: bool,
}

/// Reads a request but for its body.
pub(super) fn read(request: &Request<'_>, query: &Query, grant: &Grant) -> Result<Asked, ApiError> {
    let awareness = query.one("awareness")?;
    if let Some(name) = awareness
        && (name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control))
    {
        return Err(ApiError::invalid("the name of an awareness stream is 1 to 256 bytes of text"));
    }
    let asked = |permission, what| Ok(Asked { permission, what });
    let what = match (request.method, awareness) {
        ("GET", _) => What::Now(read_get(request, query, awareness)?),
        ("POST", _) => What::Frames(read_post(request, awareness)?),
        ("PUT", Some(stream)) => {
            What::Bodyless(presence(stream, PresenceOp::Create { path: request.path.to_owned() }))
        }
        ("PUT", None) => {
            let (created, existed) = (Reply::empty(201), Reply::empty(200));
            let headers = |reply: Reply| reply.with("content-type", super::reply::OCTETS);
            let created = headers(created).with("location", request.path);
            // YjsProvider always makes its document first; a reader may find it there.
            let otherwise = ApiError::forbidden("this token may not make a document");
            What::Bodyless(if grant.permission >= Permission::Write {
                DocRequest::Create { content: Vec::new(), created, existed: Ok(headers(existed)) }
            } else {
                DocRequest::Exists { reply: headers(existed), otherwise }
            })
        }
        ("HEAD", Some(stream)) => What::Now(presence(stream, PresenceOp::Head)),
        ("HEAD", None) => {
            let reply = Reply::empty(200)
                .with("content-type", super::reply::OCTETS)
                .with("cache-control", "no-store");
            What::Now(DocRequest::Exists { reply, otherwise: ApiError::no_document() })
        }
        ("DELETE", Some(stream)) => What::Now(presence(stream, PresenceOp::Delete)),
        (_, None) => return asked(Permission::Admin, What::Now(DocRequest::Delete)),
        (_, Some(_)) => return Err(ApiError::not_found()),
    };
    let writes = matches!(&what, What::Frames(Frames { stream: None, .. }));
    let deletes_stream = request.method == "DELETE";
    asked(if writes || deletes_stream { Permission::Write } else { Permission::Read }, what)
}

fn presence(stream: &str, what: PresenceOp) -> DocRequest {
    DocRequest::Presence { stream: stream.to_owned(), what }
}

fn read_get(request: &Request<'_>, query: &Query, awareness: Option<&str>) -> Result<DocRequest, ApiError> {
    let offset = query.one("offset")?;
    let live = match query.one("live")? {
        None => Live::No,
        // "The server picks": the reference server's choice.
        Some("true") if awareness.is_some() => Live::Events,
        Some("long-poll" | "true") => Live::LongPoll,
        Some("sse") => Live::Events,
        Some(_) => return Err(ApiError::invalid("'live' is 'long-poll' or 'sse'")),
    };
    if live != Live::No && offset.is_none() {
        return Err(ApiError::invalid("a live read needs an 'offset'"));
    }
    let cursor = match query.one("cursor")? {
        Some(text) => Some(integer(text).ok_or_else(|| ApiError::invalid("'cursor' is not a number"))?),
        None => None,
    };
    let with_presence = query.one("presence")?;
    if with_presence.is_some() && (awareness.is_some() || live == Live::No) {
        return Err(ApiError::invalid("'presence' goes with a live read of the document"));
    }
    let read = Read {
        updates: None,
        presence: None,
        live,
        cursor,
        if_none_match: request.header("if-none-match").map(str::to_owned),
        held: false,
    };
    if let Some(stream) = awareness {
        let presence = Some((stream.to_owned(), presence_since(offset.unwrap_or("-1"), "offset")?));
        return Ok(DocRequest::Read(Read { presence, ..read }));
    }
    let since = match offset {
        None | Some("-1") => Since::Start,
        Some("now") => Since::Now,
        Some("snapshot") if live == Live::No => {
            let path = request.path.to_owned();
            return Ok(DocRequest::Discover { path, query: query.without(&["offset"]) });
        }
        Some(text) => match (Offset::parse(text), text.strip_suffix("_snapshot").and_then(Offset::parse)) {
            (Some(offset), _) => Since::At(offset),
            (None, Some(offset)) if live == Live::No => return Ok(DocRequest::Snapshot(offset)),
            _ => return Err(ApiError::invalid("'offset' is none that this server has given")),
        },
    };
    let presence = match with_presence {
        Some(text) => Some((DEFAULT_STREAM.to_owned(), presence_since(text, "presence")?)),
        None => None,
    };
    Ok(DocRequest::Read(Read { updates: Some(since), presence, ..read }))
}

fn presence_since(text: &str, parameter: &str) -> Result<PresenceSince, ApiError> {
    match text {
        "-1" | "now" => Ok(PresenceSince::All),
        text => PresenceOffset::parse(text)
            .map(PresenceSince::At)
            .ok_or_else(|| ApiError::invalid(format!("'{parameter}' is none that this server has given"))),
    }
}

fn read_post(request: &Request<'_>, awareness: Option<&str>) -> Result<Frames, ApiError> {
    let headers = ["producer-id", "producer-epoch", "producer-seq"].map(|name| request.header(name));
    let reply = match headers {
        [None, None, None] => Reply::empty(204),
        [Some(id), Some(epoch), Some(seq)] => {
            if id.is_empty() || id.len() > NAME_MAX {
                return Err(ApiError::invalid("'Producer-Id' is 1 to 256 bytes of text"));
            }
            let (Some(epoch), Some(seq)) = (integer(epoch), integer(seq)) else {
                return Err(ApiError::invalid("'Producer-Epoch' and 'Producer-Seq' are numbers"));
            };
            // Neither a stale epoch nor a gap is an error: updates may come twice and in any order.
            Reply::empty(200)
                .with("producer-id", id)
                .with("producer-epoch", epoch.to_string())
                .with("producer-seq", seq.to_string())
        }
        _ => {
            let message = "'Producer-Id', 'Producer-Epoch' and 'Producer-Seq' come together or not at all";
            return Err(ApiError::invalid(message));
        }
    };
    let closes = request.header("stream-closed").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(Frames { stream: awareness.map(str::to_owned), reply, closes })
}

/// A whole number of up to 53 bits, in decimal digits.
fn integer(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= INTEGER_MAX)
}

impl Frames {
    /// What the request asks, with its body.
    pub(super) fn with_body(self, body: &Bytes) -> Result<DocRequest, ApiError> {
        let frames = split(body)?;
        if frames.is_empty() && !(self.closes && self.stream.is_none()) {
            return Err(ApiError::invalid("the body is empty; it takes lib0 frames"));
        }
        Ok(match self.stream {
            Some(stream) => DocRequest::Presence { stream, what: PresenceOp::Append(frames) },
            None => DocRequest::Append { updates: frames, reply: self.reply },
        })
    }
}

/// Splits a body into its frames.
fn split(body: &Bytes) -> Result<Vec<Bytes>, ApiError> {
    let mut reader = wire::Reader::new(body);
    let mut frames = Vec::new();
    while !reader.is_empty() {
        let frame = reader
            .var_bytes()
            .map_err(|error| ApiError::invalid(format!("the body is not lib0 frames: {error}")))?;
        frames.push(body.slice_ref(frame));
    }
    Ok(frames)
}
