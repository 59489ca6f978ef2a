//! Clients: what they have, what they have sent, and what they were told.

use crate::ranges::Has;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use yonder_core::ConnId;
use yonder_core::http::Reply;
use yonder_core::log::Offset;
use yonder_core::request::{DocRequest, Live, Read, Since};
use yonder_core::wire::{self, Message, Messages, Reader, put_var_uint};

/// Where a connection or a request of a client is: an instance, and its number there.
pub(super) type At = (usize, ConnId);

/// A client of the document. It has what it was told, and offers its own edits until they are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) has: Has,
    /// Its edits that nobody acknowledged, by their numbers.
    pub(super) unsaved: Vec<usize>,
    pub(super) over: Over,
}

/// How it is connected.
#[derive(Debug)]
pub(super) enum Over {
    Http(Http),
    Socket(Socket),
}

#[derive(Debug, Default)]
pub(super) struct Http {
    pub(super) place: Offset,
    /// A post on its way, and the edits in it.
    pub(super) post: Option<(At, Vec<usize>)>,
    pub(super) read: Option<At>,
    /// The document has to be made.
    pub(super) make: bool,
}

#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) at: Option<At>,
    /// Frames on their way to the server, and from it.
    pub(super) sent: VecDeque<Bytes>,
    pub(super) coming: VecDeque<Bytes>,
    /// Edits that an echo stands for.
    pub(super) asked: BTreeMap<u64, Vec<usize>>,
    pub(super) echoes: u64,
    pub(super) synced: bool,
}

impl Default for Over {
    fn default() -> Self {
        Self::Http(Http::default())
    }
}

/// What an answer to a client says that its world must check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// These edits are stored.
    Saved(Vec<usize>),
    /// There is no document.
    Gone,
}

impl Client {
    /// The document is gone, and all that this client had of it.
    pub(super) fn begin_anew(&mut self) {
        self.has = Has::default();
        self.unsaved.clear();
        match &mut self.over {
            Over::Http(http) => *http = Http { make: true, ..Http::default() },
            Over::Socket(socket) => *socket = Socket::default(),
        }
    }

    fn apply(&mut self, update: &[u8]) -> Result<(), String> {
        self.has.read(update).map_err(|error| format!("a client is sent what is no update: {error}"))
    }

    /// A read from where it is.
    pub(super) fn read_request(http: &Http, live: Live) -> DocRequest {
        let updates = Some(Since::At(http.place.clone()));
        DocRequest::Read(Read {
            updates,
            presence: None,
            live,
            cursor: None,
            if_none_match: None,
            held: false,
        })
    }

    /// Takes the answer to its read.
    pub(super) fn hear_read(&mut self, reply: &Reply) -> Result<Heard, String> {
        match reply.status {
            200 | 204 => {}
            404 => return Ok(Heard::Gone),
            503 | 429 => return Ok(Heard::Nothing),
            _ => return Err(format!("a read is answered with {reply:?}")),
        }
        let updates = frames(&reply.body)?;
        for update in &updates {
            self.apply(update)?;
        }
        let Over::Http(http) = &mut self.over else { return Ok(Heard::Nothing) };
        let text = header(reply, "stream-next-offset").ok_or("a read is answered without an offset")?;
        let next = Offset::parse(text).filter(|_| text.len() <= 250);
        let next = next.ok_or_else(|| format!("limits: the offset {text} cannot be"))?;
        let (before, after) = (http.place.to_string(), next.to_string());
        if after < before || !updates.is_empty() && after == before {
            return Err(format!(
                "I10: a reader at {before} is sent to {after}, told {} updates",
                updates.len()
            ));
        }
        http.place = next;
        Ok(Heard::Nothing)
    }

    /// Takes the answer to its post.
    pub(super) fn hear_post(&mut self, reply: &Reply, edits: Vec<usize>) -> Result<Heard, String> {
        match reply.status {
            200 | 201 | 204 => {
                self.unsaved.retain(|edit| !edits.contains(edit));
                Ok(Heard::Saved(edits))
            }
            404 => Ok(Heard::Gone),
            503 | 429 => Ok(Heard::Nothing),
            _ => Err(format!("a post is answered with {reply:?}")),
        }
    }

    /// Takes a frame of the server. `own`: the bytes of an edit.
    pub(super) fn hear_frame(&mut self, frame: &[u8], own: impl Fn(usize) -> Bytes) -> Result<Heard, String> {
        let mut heard = Heard::Nothing;
        for message in Messages::new(frame) {
            match message.map_err(|error| format!("a client is sent what is no message: {error}"))? {
                Message::Update(update) => self.apply(update)?,
                Message::SyncStep2(update) => {
                    self.apply(update)?;
                    if let Over::Socket(socket) = &mut self.over {
                        socket.synced = true;
                    }
                }
                Message::SyncStep1(_) => {
                    // What the server lacks is among what it has not acknowledged.
                    let unsaved: Vec<_> = self.unsaved.iter().map(|edit| wire::update(&own(*edit))).collect();
                    if let Over::Socket(socket) = &mut self.over {
                        socket.sent.extend(unsaved);
                        socket.sent.push_back(wire::step_2(&[0, 0]));
                    }
                }
                Message::Echo(payload) => {
                    let number = Reader::new(payload).var_uint().map_err(|error| error.to_string())?;
                    let Over::Socket(socket) = &mut self.over else { continue };
                    let edits = socket.asked.remove(&number).ok_or("an echo that nobody asked for")?;
                    self.unsaved.retain(|edit| !edits.contains(edit));
                    heard = Heard::Saved(edits);
                }
                Message::Auth(_) => heard = Heard::Gone,
                Message::Awareness(_) | Message::QueryAwareness => {}
            }
        }
        Ok(heard)
    }
}

impl Socket {
    /// Asks for an acknowledgement of all that was sent.
    pub(super) fn ask(&mut self, unsaved: &[usize]) {
        self.echoes += 1;
        self.asked.insert(self.echoes, unsaved.to_vec());
        let mut payload = Vec::new();
        put_var_uint(&mut payload, self.echoes);
        self.sent.push_back(wire::echo(&payload));
    }
}

fn frames(body: &[u8]) -> Result<Vec<Bytes>, String> {
    let (mut reader, mut frames) = (Reader::new(body), Vec::new());
    while !reader.is_empty() {
        let frame = reader.var_bytes().map_err(|error| format!("a body is no frames: {error}"))?;
        frames.push(Bytes::copy_from_slice(frame));
    }
    Ok(frames)
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}
