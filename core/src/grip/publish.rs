//! What is published to a proxy: bodies of `POST /publish/`, JSON.
//!
//! A proxy may lose what is published: it is a hint, and what a connection missed it gets when the log is read again
//! from its place. So what is too large for a message is not sent at all. Clients are asked for their awareness instead:
//! their answers are requests, by which they get what they miss at once and not at the next keep-alive. (The action
//! `refresh`, by which newer proxies ask by themselves, is an error to Pushpin 1.36, and everything beside it is lost.)

use super::channel;
use crate::effect::Close;
use crate::name::DocName;
use crate::wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

/// Bytes of a body. Fastly's publishing takes 64 KB; Pushpin's 1,000,000 bytes.
pub const BODY_MAX: usize = 64_000;

/// Something to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// On which channel: [`super::channel`].
    pub channel: String,
    /// The `Connection-Id` of who does not get it, where subscribed with `skip_self`.
    pub sender: Option<String>,
    /// Names what was published last on the channel, so that a held request that had not seen it is asked anew
    /// ([`super::hold::Channel::seen`]). A proxy passes over the second item of an id.
    pub id: Option<String>,
    /// What it is for each kind of connection; one at least.
    pub formats: Vec<Format>,
}

/// What is published, to connections of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// WebSockets get a binary message.
    Message(Bytes),
    /// WebSockets are closed.
    Close(Close),
    /// Held requests ([`super::hold`]) are made anew: each reader is at a place of its own.
    AskAgain,
}

impl Item {
    /// An item for the WebSockets of a channel.
    pub fn new(channel: impl Into<String>, format: Format) -> Self {
        Self { channel: channel.into(), sender: None, id: None, formats: vec![format] }
    }

    /// A frame for the sockets of a document, but for the one that it came from; whoever is held asks anew.
    pub fn news(doc: &DocName, frame: Bytes, sender: Option<&str>) -> Self {
        let formats = vec![Format::Message(frame), Format::AskAgain];
        Self { formats, ..Self::wake(doc) }.but_for(sender)
    }

    /// Whoever is held on a document asks anew.
    pub fn wake(doc: &DocName) -> Self {
        let formats = vec![Format::AskAgain];
        Self { channel: channel(doc), sender: None, id: None, formats }
    }

    /// The same for all but one connection.
    #[must_use]
    pub fn but_for(mut self, connection: Option<&str>) -> Self {
        self.sender = connection.map(str::to_owned);
        self
    }

    fn json(&self) -> String {
        let mut formats = serde_json::Map::new();
        for format in &self.formats {
            let (name, value) = format.json();
            formats.insert(name.to_owned(), value);
        }
        let mut item = json!({ "channel": self.channel, "formats": formats });
        if let Some(fields) = item.as_object_mut() {
            if let Some(id) = &self.id {
                fields.insert("id".to_owned(), json!(id));
            }
            if let Some(sender) = &self.sender {
                fields.insert("meta".to_owned(), json!({ "sender": sender }));
            }
        }
        item.to_string()
    }

    /// Whether it takes more than one body's bytes, whatever else it has.
    fn is_too_large(&self) -> bool {
        let content = self.formats.iter().map(|format| match format {
            Format::Message(content) => content.len().div_ceil(3) * 4,
            Format::Close(_) | Format::AskAgain => 0,
        });
        content.sum::<usize>() > BODY_MAX
    }
}

impl Format {
    fn json(&self) -> (&'static str, Value) {
        match self {
            Self::Message(content) => ("ws-message", json!({ "content-bin": STANDARD.encode(content) })),
            Self::Close(close) => {
                ("ws-message", json!({ "action": "close", "code": close.code, "reason": close.reason }))
            }
            Self::AskAgain => ("http-response", json!({ "action": "hint" })),
        }
    }

    /// What stands for it where it is too large.
    fn hint(&self) -> Self {
        match self {
            Self::Message(_) => Self::Message(wire::query_awareness()),
            Self::Close(_) | Self::AskAgain => self.clone(),
        }
    }
}

/// The bodies that publish these items in order, each of at most [`BODY_MAX`] bytes. A message that does not fit in
/// one becomes the hint; several hints become one.
pub fn bodies(items: &[Item]) -> Vec<String> {
    const START: &str = r#"{"items":["#;
    const END: &str = "]}";
    let mut bodies: Vec<String> = Vec::new();
    let mut hinted: Vec<Item> = Vec::new();
    for item in items {
        let fits = |json: &String| START.len() + json.len() + END.len() <= BODY_MAX;
        let json = (!item.is_too_large()).then(|| item.json()).filter(fits);
        let json = match json {
            Some(json) => json,
            None => {
                let hint = Item { formats: item.formats.iter().map(Format::hint).collect(), ..item.clone() };
                if hinted.contains(&hint) {
                    continue;
                }
                let json = hint.json();
                hinted.push(hint);
                json
            }
        };
        match bodies.last_mut() {
            Some(body) if body.len() + 1 + json.len() + END.len() <= BODY_MAX => {
                body.push(',');
                body.push_str(&json);
            }
            Some(_) | None => bodies.push(format!("{START}{json}")),
        }
    }
    for body in &mut bodies {
        body.push_str(END);
    }
    bodies
}
