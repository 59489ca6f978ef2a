//! One request of a WebSocket that a proxy holds: what it brings for the room, and what the room does as its answer.

use super::control::{Control, TO_CLIENT};
use super::events::{self, Event, EventError, Events};
use super::{ANSWER_MAX, CONTENT_TYPE, KEEP_ALIVE, Proxies, REQUEST_MAX, channel, sealed};
use crate::auth::Grant;
use crate::effect::{Close, ConnId, Input, Millis};
use crate::http::{ApiError, Reply};
use crate::name::DocName;
use bytes::Bytes;

/// Bytes of a `Connection-Id`.
const CONNECTION_MAX: usize = 256;
/// Bytes of an answer that are kept for what ends it: a close event, and nothing else.
const RESERVED: usize = 160;

/// The headers of a request, while its body is on its way.
#[derive(Debug, Clone)]
pub struct Head {
    connection: Option<String>,
    signature: Option<String>,
    session: Option<String>,
}

impl Head {
    /// Reads a request's headers, by their names in lower case; none if it is not one of a WebSocket.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        let value = |name| header(name).map(str::to_owned);
        super::is_exchange(header("content-type")).then(|| Self {
            connection: value("connection-id"),
            signature: value("grip-sig"),
            session: value("meta-session"),
        })
    }

    /// The request, with its body, or why that could not be read.
    pub fn request(&self, body: Result<Bytes, ApiError>) -> Request<'_> {
        Request {
            connection: self.connection.as_deref(),
            signature: self.signature.as_deref(),
            session: self.session.as_deref(),
            body,
        }
    }
}

/// What is read of a request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// `Connection-Id`.
    pub connection: Option<&'a str>,
    /// `Grip-Sig`.
    pub signature: Option<&'a str>,
    /// `Meta-Session`.
    pub session: Option<&'a str>,
    /// The body, of at most [`REQUEST_MAX`] bytes, or why it could not be read.
    pub body: Result<Bytes, ApiError>,
}

/// What a request brings for the room, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The connection is new.
    Open,
    /// It goes on from its parked session.
    Resume(Bytes),
    /// It sent a frame.
    Frame(Bytes),
    /// It is gone.
    Closed,
}

impl Step {
    /// The same as an input; `grant` is what a new connection may do.
    pub fn input(&self, conn: ConnId, grant: &Grant) -> Input<'_> {
        match self {
            Self::Open => Input::Open { conn, grant: grant.clone() },
            Self::Resume(parked) => Input::Resume { conn, parked },
            Self::Frame(bytes) => Input::Frame { conn, bytes: bytes.clone() },
            Self::Closed => Input::Closed { conn },
        }
    }
}

/// The answer to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Goes to the proxy as it is. No header of [`COMMON_HEADERS`](crate::http::COMMON_HEADERS) is needed beside it.
    pub reply: Reply,
    /// Why the connection ends with this answer, if it does.
    pub closed: Option<Close>,
}

/// A request that is being answered.
///
/// The host gives the [`Step`]s to the room. Of the effects that follow, what is for [`Exchange::conn`] comes back here
/// ([`Exchange::send`], [`Exchange::park`], [`Exchange::close`]); what is for all sockets is published
/// ([`Item::news`](super::publish::Item::news)), wherever they are. Once the room owes the connection
/// nothing more, [`Exchange::finish`] makes the answer, and the room is told nothing: the connection is still open,
/// elsewhere.
#[derive(Debug)]
pub struct Exchange {
    conn: ConnId,
    doc: DocName,
    connection: String,
    opens: bool,
    /// Events behind the opening ones.
    out: Vec<u8>,
    /// If it was parked anew; what the proxy has it keeps.
    parked: Option<Bytes>,
    end: End,
}

#[derive(Debug)]
enum End {
    /// It stays open.
    Open,
    /// The proxy said that it is gone, and awaits no word.
    Gone,
    /// Its client closed it, which is confirmed.
    Left(Close),
    /// It is closed here.
    Closed(Close),
}

/// The events of a request, and the body that they are in.
fn read<'a>(request: &'a Request<'_>) -> Result<(&'a Bytes, Vec<Event<'a>>), ApiError> {
    let body = request.body.as_ref().map_err(Clone::clone)?;
    if body.len() > REQUEST_MAX {
        return Err(ApiError::body_too_long(REQUEST_MAX));
    }
    let events: Result<Vec<_>, EventError> = Events::new(body).collect();
    let events = events.map_err(|error| ApiError::invalid(error.to_string()))?;
    if events.iter().skip(1).any(|event| *event == Event::Open) {
        return Err(ApiError::invalid("an OPEN event is not the first"));
    }
    Ok((body, events))
}

impl Exchange {
    /// Reads a request on `doc` as the connection `conn`, and tells what is to be given to the room.
    ///
    /// # Errors
    /// If it is not from one of these proxies, or nothing is known of a connection whose request is malformed. Nothing of
    /// it counts then, and the answer is the error; the proxy drops the connection, and its client comes again. A
    /// connection that is known is closed, and its room told so.
    pub fn begin(
        request: &Request<'_>,
        proxies: &Proxies,
        doc: &DocName,
        conn: ConnId,
        now: Millis,
    ) -> Result<(Self, Vec<Step>), ApiError> {
        proxies.verify(request.signature, now).map_err(|error| ApiError::forbidden(error.to_string()))?;
        let connection = request.connection.filter(|id| !id.is_empty() && id.len() <= CONNECTION_MAX);
        let connection = connection.ok_or_else(|| ApiError::invalid("there is no Connection-Id"))?;
        let mut exchange = Self {
            conn,
            doc: doc.clone(),
            connection: connection.to_owned(),
            opens: false,
            out: Vec::new(),
            parked: None,
            end: End::Open,
        };
        let session = || sealed::open(proxies.seals(), doc, connection, request.session?);
        let (body, events) = match read(request) {
            Ok(it) => it,
            Err(error) => {
                let parked = session().ok_or_else(|| error.clone())?;
                exchange.close(error.close());
                return Ok((exchange, vec![Step::Resume(parked), Step::Closed]));
            }
        };
        exchange.opens = events.first() == Some(&Event::Open);
        let opens = exchange.opens;
        let session = if opens { None } else { session() };
        let mut steps = Vec::with_capacity(events.len() + 1);
        match (opens, session) {
            (true, _) => steps.push(Step::Open),
            (false, Some(parked)) => steps.push(Step::Resume(parked)),
            (false, None) => {
                exchange.unknown(&events);
                return Ok((exchange, steps));
            }
        }
        exchange.read(&events, body, &mut steps);
        Ok((exchange, steps))
    }

    fn read(&mut self, events: &[Event<'_>], body: &Bytes, steps: &mut Vec<Step>) {
        for event in events {
            match event {
                Event::Open | Event::Pong(_) => {}
                Event::Ping(content) => self.put(&Event::Pong(content)),
                Event::Binary(content) => steps.push(Step::Frame(body.slice_ref(content))),
                Event::Text(_) => {
                    self.close(Close::new(Close::UNSUPPORTED, "frames are binary in this protocol"));
                }
                Event::Close(code) => {
                    let (code, reason) = code.unwrap_or((Close::NORMAL, ""));
                    self.end = End::Left(Close::new(code, reason));
                }
                Event::Disconnect => self.end = End::Gone,
            }
            if !matches!(self.end, End::Open) {
                steps.push(Step::Closed);
                return;
            }
        }
    }

    /// A connection of which nothing is known: closed here before, most often, and its end crosses ours.
    fn unknown(&mut self, events: &[Event<'_>]) {
        let gone = events.contains(&Event::Disconnect);
        let close = Close::new(Close::TRY_AGAIN, "the session is not known (any more): connect again");
        self.end = if gone { End::Gone } else { End::Closed(close) };
    }

    /// The number by which the room knows the connection.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// The proxy's name for it, by which it is left out of what is published.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The client gets a frame, with the answer.
    pub fn send(&mut self, frame: &Bytes) {
        if !matches!(self.end, End::Open) {
            return;
        }
        let space = ANSWER_MAX.saturating_sub(RESERVED + self.opening().len() + self.out.len());
        if frame.len() + 32 > space {
            // Nothing can be left out: a client that was not sent an answer waits for it for ever.
            let why = "this is too large for a WebSocket by way of this host's proxy: use Server-Sent Events";
            return self.close(Close::new(Close::TOO_BIG, why));
        }
        events::put_content(&mut self.out, "BINARY", &[TO_CLIENT, frame]);
    }

    /// The session as it is now, for the next request.
    pub fn park(&mut self, state: Bytes) {
        self.parked = Some(state);
    }

    /// The connection ends with this answer. The first reason counts.
    pub fn close(&mut self, reason: Close) {
        if matches!(self.end, End::Open) {
            self.end = End::Closed(reason);
        }
    }

    /// Whether there is no need to wait for more.
    pub fn is_over(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Makes the answer.
    pub fn finish(self, proxies: &Proxies) -> Answer {
        let mut reply = Reply { status: 200, ..Reply::default() }.with("content-type", CONTENT_TYPE);
        if self.opens {
            reply = reply
                .with("sec-websocket-extensions", "grip")
                .with("keep-alive-interval", KEEP_ALIVE.to_string());
        }
        let mut body = self.opening();
        body.extend_from_slice(&self.out);
        let seal = |parked: &Bytes| {
            let key = proxies.seals().first();
            key.map(|key| sealed::seal(key, &self.doc, &self.connection, parked)).unwrap_or_default()
        };
        let session = match &self.end {
            End::Open => self.parked.as_ref().map(seal),
            // The proxy forgets what it had.
            End::Gone | End::Left(_) | End::Closed(_) => Some(String::new()),
        };
        if let Some(session) = session {
            reply = reply.with("set-meta-session", session);
        }
        let closed = match self.end {
            End::Open | End::Gone => None,
            End::Left(close) | End::Closed(close) => {
                // 1005 and 1006 stand for what was not said, and are never sent (RFC 6455, 7.4.1).
                let code = (!matches!(close.code, 1005 | 1006 | 1015)).then_some(close.code);
                events::put(&mut body, &Event::Close(code.map(|code| (code, close.reason.as_str()))));
                Some(close)
            }
        };
        reply.body = body.into();
        Answer { reply, closed }
    }

    fn put(&mut self, event: &Event<'_>) {
        events::put(&mut self.out, event);
    }

    /// The events that the first answer begins with.
    fn opening(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.opens {
            events::put(&mut out, &Event::Open);
            let channel = channel(&self.doc);
            Control::SetMeta { name: "user", value: &self.connection }.put(&mut out);
            Control::Subscribe { channel: &channel, skip_self: true }.put(&mut out);
        }
        out
    }
}
