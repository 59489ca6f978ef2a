//! Why something failed: a word that is counted, and a sentence.

use crate::legible::legible;
use crate::result::Problem;
use std::io;

/// What failed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// Without credentials.
    pub(crate) message: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The URL is none.
    Url,
    /// The name has no address.
    Lookup,
    /// Nobody listens there.
    Refused,
    /// The network does not lead there.
    Unreachable,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// Nothing came in time.
    Timeout,
    /// The connection ended.
    Closed,
    /// It answers, and is something else.
    NotYonder,
    /// No token, or none that is valid.
    Unauthorized,
    /// The token does not permit it.
    Forbidden,
    /// The host has no WebSockets.
    NoSockets,
    /// Another HTTP status than was to come.
    Status(u16),
    /// Something else than the protocol has.
    Protocol,
}

impl Kind {
    /// As it is counted.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Url => "url",
            Self::Lookup => "lookup",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotYonder => "not-yonder",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NoSockets => "no-websockets",
            Self::Protocol => "protocol",
            Self::Status(status) => return format!("http-{status}"),
        }
        .to_owned()
    }

    /// Whether nothing of what was to be sent can have been taken.
    pub(crate) fn before_sending(self) -> bool {
        match self {
            Self::Url | Self::Lookup | Self::Refused | Self::Unreachable | Self::Tls | Self::NoSockets => {
                true
            }
            Self::NotYonder | Self::Unauthorized | Self::Forbidden => true,
            Self::Status(status) => status < 500,
            Self::Timeout | Self::Closed | Self::Protocol => false,
        }
    }
}

impl Failure {
    /// What servers say may be part of the message.
    pub(crate) fn new(kind: Kind, message: impl AsRef<str>) -> Self {
        Self { kind, message: legible(message.as_ref()) }
    }

    pub(crate) fn timeout(what: &str) -> Self {
        Self::new(Kind::Timeout, format!("{what} took too long"))
    }

    /// An answer of another status than was to come; `body` may be an error of yonder's.
    pub(crate) fn status(status: u16, body: &[u8]) -> Self {
        let kind = match status {
            401 => Kind::Unauthorized,
            403 => Kind::Forbidden,
            other => Kind::Status(other),
        };
        let error = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
        let said = error.pointer("/error/message").and_then(|message| message.as_str());
        Self::new(
            kind,
            said.map_or_else(|| format!("it answered {status}"), |said| format!("{status}: {said}")),
        )
    }

    /// What went wrong with a connection while it was made.
    pub(crate) fn connecting(error: &io::Error) -> Self {
        let is = |kind: io::ErrorKind| error.kind() == kind;
        let kind = if is(io::ErrorKind::ConnectionRefused) { Kind::Refused } else { Kind::Unreachable };
        let kind = if is(io::ErrorKind::TimedOut) { Kind::Timeout } else { kind };
        Self::new(kind, format!("no connection: {error}"))
    }

    pub(crate) fn closed(error: impl std::fmt::Display) -> Self {
        Self::new(Kind::Closed, format!("the connection ended: {error}"))
    }

    pub(crate) fn problem(&self) -> Problem {
        Problem { kind: self.kind.name(), message: self.message.clone() }
    }
}
