//! Whole answers, and what every answer says.

use super::ApiError;
use bytes::Bytes;

/// An answer: all of it, or its head and the beginning of its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header names and values. Beside them go [`COMMON_HEADERS`].
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// Whether more of the body follows.
    pub streams: bool,
}

/// Headers of every answer. Tokens are sent on purpose and never by a cookie, so that any page may ask; what an
/// open server on loopback refuses to pages of other sites is refused by status.
pub const COMMON_HEADERS: &[(&str, &str)] = &[
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "Stream-Next-Offset, Stream-Up-To-Date, Stream-Cursor, Stream-SSE-Data-Encoding, Stream-Presence-Offset, \
         Stream-Presence-Length, Producer-Id, Producer-Epoch, Producer-Seq, ETag, Location, Retry-After, \
         Age, CF-Ray, X-Served-By, Fly-Region",
    ),
    // What a browser knows of where the time went, DNS and TLS included, is told to pages that may ask at all.
    ("timing-allow-origin", "*"),
    ("cross-origin-resource-policy", "cross-origin"),
    ("x-content-type-options", "nosniff"),
];

/// The type of Yjs updates, and of frames of them.
pub(crate) const OCTETS: &str = "application/octet-stream";

impl Reply {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
            .with("content-type", "application/json")
            .with("cache-control", "no-store")
    }

    /// Bytes.
    pub(crate) fn octets(body: Bytes) -> Self {
        Self { status: 200, body, ..Self::default() }.with("content-type", OCTETS)
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header, if it has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The same with its age (RFC 9111, 5.1), the seconds since what it tells was known to be the newest; an error
    /// has none.
    #[must_use]
    pub fn with_age(self, seconds: u64) -> Self {
        if self.status < 400 { self.with("age", seconds.to_string()) } else { self }
    }

    /// The answer to a question about what a path takes (a CORS preflight, most often).
    pub(crate) fn options(methods: &str) -> Self {
        let methods = if methods.is_empty() { "DELETE, GET, HEAD, OPTIONS, POST, PUT" } else { methods };
        Self::empty(204)
            .with("allow", methods)
            .with("access-control-allow-methods", methods)
            .with(
                "access-control-allow-headers",
                "Authorization, Content-Type, If-None-Match, Producer-Id, Producer-Epoch, Producer-Seq, Stream-Closed",
            )
            .with("access-control-max-age", "86400")
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let reply = Self::json(error.status, error.body());
        match error.status {
            401 => reply.with("www-authenticate", "Bearer"),
            405 => reply.with("allow", error.message.replace("this path takes ", "")),
            426 => reply.with("upgrade", "websocket"),
            429 | 503 => reply.with("retry-after", "2"),
            _ => reply,
        }
    }
}

impl From<Result<Reply, ApiError>> for Reply {
    fn from(result: Result<Reply, ApiError>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
