//! The one error that users of the HTTP and WebSocket routes see, with its status, code and text.

use crate::auth::AuthError;
use crate::effect::Close;
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

    /// The server holds all that it may.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self { status: 503, code: "OVERLOADED", message: message.into() }
    }

    /// The server could not do its part.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: "INTERNAL_ERROR", message: message.into() }
    }

    /// A page of another site asked an open server on the user's machine.
    pub fn foreign_origin() -> Self {
        let message = "without a key this server answers pages of this machine only";
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
            503 => Close::TRY_AGAIN,
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

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string())
    }
}
