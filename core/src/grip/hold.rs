//! Requests that a proxy holds: headers of an answer that goes to the client later, or goes on.
//!
//! A long-poll costs the host nothing while it is held: the answer is what the client gets at the deadline, and what is
//! published meanwhile ([`super::publish::Format::AskAgain`]) makes the proxy ask again.

use crate::log::Offset;

/// A channel that a held request listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name: [`super::channel`].
    pub name: String,
    /// How far the reader has come. If the [`super::publish::Item::id`] that was published last is another, the proxy
    /// does not hold the request, but asks again at once.
    pub seen: Option<Offset>,
}

/// How a request is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Until something is published or the time is over, then answered once.
    Response {
        /// Seconds.
        timeout: u32,
    },
    /// The answer's body is its beginning, and more follows.
    Stream {
        /// Where the proxy asks for what is next, a path with its query; and after how many seconds at the latest.
        next: Option<(String, u32)>,
        /// What is sent whenever nothing was for so many seconds: text of one or several lines.
        keep_alive: Option<(String, u32)>,
    },
}

impl Hold {
    /// The headers by which the proxy is told. They never reach the client. For a status other than 200, 201 or 204 a
    /// host whose platform changes such answers gives it as `Grip-Status` beside a 200.
    pub fn headers(&self, channels: &[Channel]) -> Vec<(&'static str, String)> {
        let channels = channels.iter().map(|Channel { name, seen }| match seen {
            Some(seen) => format!("{name}; prev-id={seen}"),
            None => name.clone(),
        });
        let channels = channels.collect::<Vec<_>>().join(", ");
        let mut headers = vec![("grip-hold", self.mode().to_owned()), ("grip-channel", channels)];
        match self {
            Self::Response { timeout } => headers.push(("grip-timeout", timeout.to_string())),
            Self::Stream { next, keep_alive } => {
                if let Some((uri, seconds)) = next {
                    headers
                        .push(("grip-link", format!("<{}>; rel=next; timeout={seconds}", quoted_uri(uri))));
                }
                if let Some((text, seconds)) = keep_alive {
                    let text = escaped(text);
                    headers.push(("grip-keep-alive", format!("{text}; format=cstring; timeout={seconds}")));
                }
            }
        }
        headers
    }

    fn mode(&self) -> &'static str {
        match self {
            Self::Response { .. } => "response",
            Self::Stream { .. } => "stream",
        }
    }
}

/// A URI from which nothing leads out of the angle brackets.
fn quoted_uri(uri: &str) -> String {
    let mut out = String::with_capacity(uri.len());
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() && !b"<>\"".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A text as `format=cstring` has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\r', "\\r").replace('\n', "\\n")
}
