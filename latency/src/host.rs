//! One server as it is asked: HTTP/1.1 connections and WebSockets, and what its answers tell of it.

use crate::failure::{Failure, Kind};
use crate::legible::legible;
use crate::line::{self, Line, Marks, Phases};
use crate::target::{Target, redacted};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that an answer may have.
const BODY_MAX: usize = 64 << 20;
/// Who asks.
const AGENT: &str = concat!("yonder-latency/", env!("CARGO_PKG_VERSION"));
/// Headers that tell where an answer came from. Of some, only a part does; the rest is new in every answer.
const LOCATIONS: [(&str, Part); 10] = [
    ("cf-ray", Part::Behind('-')),
    ("fly-region", Part::All),
    ("fly-request-id", Part::Behind('-')),
    ("server", Part::All),
    ("x-akamai-edgescape", Part::All),
    ("x-cache", Part::All),
    ("x-served-by", Part::All),
    ("x-vercel-id", Part::Before("::")),
    ("x-amz-cf-pop", Part::All),
    ("via", Part::All),
];
/// Values that are kept of one header.
const VALUES_MAX: usize = 32;

#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    /// What stands behind the last one.
    Behind(char),
    /// What stands before the last one.
    Before(&'static str),
}

/// A server to be measured.
pub(crate) struct Host {
    pub(crate) target: Target,
    /// How long an operation may take.
    pub(crate) timeout: Duration,
    tls: TlsConnector,
    heard: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
}

impl Host {
    pub(crate) fn new(target: Target, tls: TlsConnector, timeout: Duration) -> Self {
        Self { target, timeout, tls, heard: Mutex::default() }
    }

    /// By which deadline something that begins now has to be over.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(crate) async fn dial(&self) -> Result<(Line, Phases), Failure> {
        line::dial(&self.target, &self.tls).await
    }

    /// A connection for HTTP.
    pub(crate) async fn http(self: &Arc<Self>) -> Result<(Http, Phases), Failure> {
        let (line, phases) = self.dial().await?;
        let marks = Arc::clone(&line.marks);
        let (sender, connection) = http1::handshake(TokioIo::new(line)).await.map_err(Failure::closed)?;
        // What ends it is told to whoever asks.
        let task = tokio::spawn(async move { drop(connection.await) });
        let http = Http {
            host: Arc::clone(self),
            sender,
            marks,
            asked: Instant::now(),
            used: Instant::now(),
            _connection: AbortOnDropHandle::new(task),
        };
        Ok((http, phases))
    }

    /// A WebSocket on a document, over a connection that stands. Tells how long its handshake took, and until the first
    /// byte of the answer came.
    pub(crate) async fn socket(
        &self,
        line: Line,
        doc: &str,
    ) -> Result<(Socket, Duration, Duration), Failure> {
        let uri = self
            .target
            .socket(doc)
            .parse()
            .map_err(|_| Failure::new(Kind::Url, "the document has no URL"))?;
        let mut request = ClientRequestBuilder::new(uri).with_header(USER_AGENT.as_str(), AGENT);
        if let Some(token) = &self.target.token {
            request = request.with_header(AUTHORIZATION.as_str(), format!("Bearer {token}"));
        }
        let config =
            WebSocketConfig::default().max_message_size(Some(BODY_MAX)).max_frame_size(Some(BODY_MAX));
        let marks = Arc::clone(&line.marks);
        let began = Instant::now();
        let (stream, response) = client_async_with_config(request, line, Some(config))
            .await
            .map_err(|error| self.no_socket(error))?;
        let took = began.elapsed();
        self.hear(response.headers());
        Ok((Socket { stream }, took, marks.first_byte().unwrap_or(took)))
    }

    fn no_socket(&self, error: Error) -> Failure {
        if let Error::Io(error) = error {
            return Failure::closed(error);
        }
        if matches!(error, Error::Protocol(ProtocolError::HandshakeIncomplete)) {
            return Failure::closed(error);
        }
        let Error::Http(response) = error else {
            return Failure::new(Kind::Protocol, format!("no WebSocket: {error}"));
        };
        self.hear(response.headers());
        let status = response.status().as_u16();
        let failure = Failure::status(status, response.body().as_deref().unwrap_or_default());
        // What yonder says where nothing holds its sockets.
        if status == 426 || status == 501 { Failure { kind: Kind::NoSockets, ..failure } } else { failure }
    }

    fn hear(&self, headers: &HeaderMap) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, part) in LOCATIONS {
            let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
            let value = match part {
                Part::All => value.to_owned(),
                Part::Behind(mark) => {
                    format!("..{mark}{}", value.rsplit_once(mark).map_or("", |(_, rest)| rest))
                }
                Part::Before(mark) => {
                    format!("{}{mark}..", value.rsplit_once(mark).map_or("", |(rest, _)| rest))
                }
            };
            let values = heard.entry(name.to_owned()).or_default();
            if values.len() < VALUES_MAX || values.contains_key(&value) {
                *values.entry(value).or_default() += 1;
            } else {
                *values.entry("..".to_owned()).or_default() += 1;
            }
        }
    }

    /// What its answers told of where they came from.
    pub(crate) fn locations(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks whether this is a server of yonder; what it calls itself.
    pub(crate) async fn introduce(self: &Arc<Self>) -> Result<String, Failure> {
        let asked = async {
            let (mut http, _) = self.http().await?;
            http.ask(Method::GET, &self.target.path("/openapi.json"), Bytes::new()).await
        };
        let answer = line::within(self.deadline(), "an answer", asked).await?;
        if matches!(answer.status, 401 | 403 | 429 | 500..) {
            return Err(Failure::status(answer.status, &answer.body));
        }
        let described = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
        let info = |name: &str| described.pointer(&format!("/info/{name}")).and_then(|value| value.as_str());
        match (info("title"), info("version")) {
            (Some("yonder"), Some(version)) => Ok(legible(&format!("yonder {version}"))),
            _ => {
                let to =
                    answer.header("location").map(|to| format!(", to {}", redacted(to))).unwrap_or_default();
                Err(Failure::new(
                    Kind::NotYonder,
                    format!(
                        "this is no server of yonder: GET /openapi.json is answered with {}{to}, and not with its description",
                        answer.status
                    ),
                ))
            }
        }
    }
}

/// A connection for HTTP/1.1, kept alive.
pub(crate) struct Http {
    host: Arc<Host>,
    sender: SendRequest<Full<Bytes>>,
    marks: Arc<Marks>,
    asked: Instant,
    used: Instant,
    _connection: AbortOnDropHandle<()>,
}

/// An answer with its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer if its status is 2xx.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(Failure::status(self.status, &self.body))
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    /// Whether it stands.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether it stands, and was not idle for so long that its end may be on its way.
    pub(crate) fn is_fresh(&self) -> bool {
        const IDLE: Duration = Duration::from_secs(3);
        self.is_open() && self.used.elapsed() < IDLE
    }

    /// From the last request's last byte to the first of its answer; for one that was answered before it was written to
    /// its end, from its first.
    pub(crate) fn first_byte(&self) -> Duration {
        self.marks.first_byte().unwrap_or_else(|| self.asked.elapsed())
    }

    /// Asks, and reads the head of the answer.
    pub(crate) async fn open(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let target = &self.host.target;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, target.authority()).header(USER_AGENT, AGENT);
        if let Some(token) = &target.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Failure::new(Kind::Url, format!("no request: {error}")))?;
        self.sender.ready().await.map_err(Failure::closed)?;
        self.asked = Instant::now();
        let response = self.sender.send_request(request).await.map_err(failed)?;
        self.used = Instant::now();
        self.host.hear(response.headers());
        Ok(response)
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let (head, body) = self.open(method, path, body).await?.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await.map_err(Failure::closed)?.to_bytes();
        self.used = Instant::now();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

fn failed(error: hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::new(Kind::NotYonder, format!("it speaks no HTTP: {error}"));
    }
    Failure::closed(error)
}

/// A WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<Line>,
}

impl Socket {
    /// Writes frames, at once.
    pub(crate) async fn send(&mut self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), Failure> {
        for frame in frames {
            self.stream.feed(Message::Binary(frame)).await.map_err(Failure::closed)?;
        }
        self.stream.flush().await.map_err(Failure::closed)
    }

    /// The next binary frame; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(frame),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let kind = match u16::from(frame.code) {
                        4401 => Kind::Unauthorized,
                        4403 => Kind::Forbidden,
                        _ => Kind::Closed,
                    };
                    return Err(Failure::new(kind, format!("closed with {}: {}", frame.code, frame.reason)));
                }
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(None))) | None => return Err(Failure::closed("closed by the server")),
                Some(Err(error)) => return Err(Failure::closed(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_header_that_is_new_in_every_answer_only_the_place_is_kept() {
        let host = Host::new(
            Target::parse("http://localhost", None).unwrap(),
            line::tls().unwrap(),
            Duration::from_secs(1),
        );
        for number in 0..3 {
            let mut headers = HeaderMap::new();
            headers.insert("cf-ray", format!("8f1{number}-FRA").parse().unwrap());
            headers.insert("x-vercel-id", format!("fra1::iad1::{number}").parse().unwrap());
            headers.insert("x-served-by", "cache-fra-1".parse().unwrap());
            host.hear(&headers);
        }
        for number in 0..100 {
            let mut headers = HeaderMap::new();
            headers.insert("via", number.to_string().parse().unwrap());
            host.hear(&headers);
        }
        let heard = host.locations();
        let values = |name: &str| heard[name].clone().into_iter().collect::<Vec<_>>();
        assert_eq!(values("cf-ray"), [("..-FRA".to_owned(), 3)]);
        assert_eq!(values("x-vercel-id"), [("fra1::iad1::..".to_owned(), 3)]);
        assert_eq!(values("x-served-by"), [("cache-fra-1".to_owned(), 3)]);
        assert_eq!((heard["via"].len(), heard["via"][".."]), (VALUES_MAX + 1, 100 - VALUES_MAX as u64));
    }
}
