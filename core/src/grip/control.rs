//! What an answer says to the proxy itself: JSON in text messages with the prefix `c:`, since the first answer had
//! `Sec-WebSocket-Extensions: grip`. What goes to the client has the prefix `m:` from then on.

use super::events::put_content;
use serde_json::json;

/// Before what the client gets.
pub const TO_CLIENT: &[u8] = b"m:";
/// Before what the proxy gets.
pub const TO_PROXY: &[u8] = b"c:";

/// An instruction to the proxy. It knows others, of which nothing here has need: `unsubscribe`, `keep-alive`, `detach`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control<'a> {
    /// Relay what is published on this channel.
    Subscribe {
        /// Its name, not empty.
        channel: &'a str,
        /// Whether what the connection itself sent is left out: [`super::publish::Item::sender`] is compared with the
        /// connection's meta `user`.
        skip_self: bool,
    },
    /// Keep this beside the connection, for filters of channels. (What comes back in headers is `Set-Meta-NAME`.)
    SetMeta {
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
}

impl Control<'_> {
    /// The instruction as JSON.
    pub fn json(&self) -> String {
        match self {
            Self::Subscribe { channel, skip_self: true } => {
                json!({ "type": "subscribe", "channel": channel, "filters": ["skip-self"] })
            }
            Self::Subscribe { channel, skip_self: false } => {
                json!({ "type": "subscribe", "channel": channel })
            }
            Self::SetMeta { name, value } => json!({ "type": "set-meta", "name": name, "value": value }),
        }
        .to_string()
    }

    /// Appends the instruction to a body of events.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_content(out, "TEXT", &[TO_PROXY, self.json().as_bytes()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_json_whatever_it_names() {
        let plain = Control::Subscribe { channel: "a\"b", skip_self: false };
        assert_eq!(plain.json(), r#"{"channel":"a\"b","type":"subscribe"}"#);
        let mut out = Vec::new();
        Control::SetMeta { name: "user", value: "c" }.put(&mut out);
        assert_eq!(out, b"TEXT 2f\r\nc:{\"name\":\"user\",\"type\":\"set-meta\",\"value\":\"c\"}\r\n");
    }
}
