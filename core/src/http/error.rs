//! The one error that users of the HTTP and WebSocket routes see, with its status, code and text.

use crate::auth::AuthError;
use crate::effect::Close;
use crate::log::LogError;
use crate::name::NameError;

/// An answer that refuses: JSON `{"error":{"code","message"}}` with a status, or a close frame on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// A constant in capitals, for programs.
    pub code: &'static str,
    /// A sentence, for people.
    pub message: String,
}

impl ApiError {
    /// The request itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, code: "INVALID_REQUEST", message: message.into() }
    }

    /// There is nothing at this path.
    pub fn not_found() -> Self {
        Self { status: 404, code: "NOT_FOUND", message: "there is nothing at this path".into() }
    }

    /// The path takes other methods.
    pub fn method_not_allowed(allowed: &str) -> Self {
        let message = format!("this path takes {allowed}");
        Self { status: 405, code: "METHOD_NOT_ALLOWED", message }
    }

    /// The path is a WebSocket, and this was no request for one.
    pub fn upgrade_required() -> Self {
        let message =
            "this path is a WebSocket: connect with 'Upgrade: websocket', subprotocol none, version 13";
        Self { status: 426, code: "UPGRADE_REQUIRED", message: message.into() }
    }

    /// The path is a WebSocket, and nothing in front of this host holds one.
    pub fn no_sockets() -> Self {
        let message = "this host holds no WebSockets, and no GRIP proxy stands in front of it: use Server-Sent Events or \
                       long-polls, /v1/yjs/SERVICE/docs/DOCUMENT?offset=-1&live=sse or live=long-poll";
        Self { status: 426, code: "UPGRADE_REQUIRED", message: message.into() }
    }

    /// There is no such document, or no more.
    pub fn no_document() -> Self {
        let message = "there is no such document; PUT it, or POST /doc/new, to make it";
        Self { status: 404, code: "DOCUMENT_NOT_FOUND", message: message.into() }
    }

    /// There is no snapshot that ends there or later.
    pub fn no_snapshot() -> Self {
        let message = "there is no such snapshot: ask with ?offset=snapshot again";
        Self { status: 404, code: "SNAPSHOT_NOT_FOUND", message: message.into() }
    }

    /// The document has no such presence stream.
    pub fn no_stream() -> Self {
        let message = "the document has no such awareness stream; PUT it, or POST to it, to make it";
        Self { status: 404, code: "STREAM_NOT_FOUND", message: message.into() }
    }

    /// The document has no such version.
    pub fn no_version() -> Self {
        let message = "the document has no such version";
        Self { status: 404, code: "VERSION_NOT_FOUND", message: message.into() }
    }

    /// A document cannot be made because it is there.
    pub fn document_exists() -> Self {
        Self { status: 409, code: "DOCUMENT_EXISTS", message: "there is a document of that name".into() }
    }

    /// The document has all the versions that it may.
    pub fn too_many_versions(most: usize) -> Self {
        let message = format!("the document has {most} versions and may not have more; delete one");
        Self { status: 409, code: "TOO_MANY_VERSIONS", message }
    }

    /// The token does not allow it.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: 403, code: "FORBIDDEN", message: message.into() }
    }

    /// Something in the request, or what it would lead to, exceeds its limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { status: 413, code: "PAYLOAD_TOO_LARGE", message: message.into() }
    }

    /// A body is longer than [`super::Route::Body`] says.
    pub fn body_too_long(limit: usize) -> Self {
        match limit {
            0 => Self::invalid("this request takes no body"),
            _ => Self::too_large(format!("the body is longer than {limit} bytes")),
        }
    }

    /// The document has all the held requests that it may.
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self { status: 429, code: "RATE_LIMITED", message: message.into() }
    }

    /// The server holds all that it may.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self { status: 503, code: "OVERLOADED", message: message.into() }
    }

    /// The server is not set up: [`super::Access::Closed`].
    pub fn not_configured(message: impl Into<String>) -> Self {
        Self { status: 503, code: "NOT_CONFIGURED", message: message.into() }
    }

    /// The server could not do its part.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: "INTERNAL_ERROR", message: message.into() }
    }

    /// A page of another site asked an open server on the user's machine.
    pub fn foreign_origin() -> Self {
        let message = "without a key this server answers programs and pages of this machine only";
        Self { status: 403, code: "FORBIDDEN_ORIGIN", message: message.into() }
    }

    /// The error as JSON.
    pub fn body(&self) -> String {
        serde_json::json!({ "error": { "code": self.code, "message": self.message } }).to_string()
    }

    /// The error as the end of a socket.
    pub fn close(&self) -> Close {
        let code = match self.status {
            400 => Close::BAD_REQUEST,
            401 => Close::UNAUTHORIZED,
            403 => Close::FORBIDDEN,
            404 => Close::NOT_FOUND,
            413 => Close::TOO_BIG,
            429 | 503 => Close::TRY_AGAIN,
            _ => Close::INTERNAL,
        };
        Close::new(code, self.message.clone())
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let (status, code) = match error {
            AuthError::OtherDocument => (403, "FORBIDDEN"),
            AuthError::Missing
            | AuthError::Malformed
            | AuthError::UnknownKey
            | AuthError::Signature
            | AuthError::Expired
            | AuthError::NotYetValid => (401, "UNAUTHORIZED"),
        };
        Self { status, code, message: error.to_string() }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Deleted => Self::no_document(),
            LogError::Unavailable => {
                Self { status: 503, code: "STORE_UNAVAILABLE", message: error.to_string() }
            }
            LogError::Refused | LogError::Corrupt => Self::internal(error.to_string()),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}
