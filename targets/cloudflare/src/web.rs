//! Requests and answers between the platform's form and the core's.

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt as _};
use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use worker::js_sys::Date;
use worker::{
    Delay, Error, Headers, Request, Response, ResponseBuilder, WebSocketPair, console_error, console_log,
    web_sys,
};
use yonder_core::http::{
    ApiError, COMMON_HEADERS, Config, HEADERS, Reply, Request as CoreRequest, Route, route,
};
use yonder_core::{Millis, wire};

/// Set by the Worker on every request that it passes on, whatever the client sent: a random number, the same for all who
/// route this request.
const RANDOM: &str = "yonder-random";
/// Who sent a request to an object: set by whoever does, and so nothing that a client can say.
pub(crate) const FROM: &str = "yonder-from";

/// How long a client may take for the next part of a body.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of all bodies that are read at once in an isolate, which has 128 MB for everything.
const BODIES_MAX: usize = 48 << 20;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    fn fill_randomly(bytes: &mut [u8]) -> Result<JsValue, JsValue>;
}

/// The time of the platform's clock, which stands still while a handler computes.
pub(crate) fn now() -> Millis {
    Millis(Date::now() as u64)
}

/// A random number.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    if fill_randomly(&mut bytes).is_err() {
        console_error!("no random bytes");
    }
    u128::from_ne_bytes(bytes)
}

/// What routing reads of a request.
pub(crate) struct Parts {
    method: String,
    url: String,
    headers: Vec<(&'static str, String)>,
    random: u128,
}

impl Parts {
    /// Of a client's request.
    pub(crate) fn of_client(request: &Request) -> Self {
        Self::new(request, random())
    }

    /// Of a request that the Worker passed on.
    pub(crate) fn of_worker(request: &Request) -> Option<Self> {
        let text = request.headers().get(RANDOM).ok().flatten()?;
        Some(Self::new(request, u128::from_str_radix(&text, 16).ok()?))
    }

    fn new(request: &Request, random: u128) -> Self {
        let value = |name| Some((name, request.headers().get(name).ok().flatten()?));
        let headers = HEADERS.iter().copied().filter_map(value).collect();
        Self { method: request.inner().method(), url: request.inner().url(), headers, random }
    }

    /// Says what the request is.
    pub(crate) fn route(&self, config: &std::sync::Arc<Config>) -> Route {
        let header =
            |name| self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let request = CoreRequest {
            method: &self.method,
            path: self.path(),
            query: self.query(),
            header: &header,
            secure: self.url.starts_with("https:"),
            random: &|| self.random,
        };
        route(config, &request, now())
    }

    /// The path, still encoded.
    pub(crate) fn path(&self) -> &str {
        // The platform gives a URL that its parser has written out.
        let behind = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind.find('/').and_then(|at| behind.get(at..)).unwrap_or("/");
        path.split(['?', '#']).next().unwrap_or_default()
    }

    fn query(&self) -> &str {
        let url = self.url.split('#').next().unwrap_or_default();
        url.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether it wants to become a WebSocket.
    pub(crate) fn upgrades(&self) -> bool {
        self.headers.iter().any(|(name, value)| *name == "upgrade" && value.eq_ignore_ascii_case("websocket"))
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The request as it goes on to the document's object; with its body unless another is given.
    pub(crate) fn pass_on(
        &self,
        request: &Request,
        body: Option<&[u8]>,
    ) -> Result<web_sys::Request, JsValue> {
        let next = match body {
            None => web_sys::Request::new_with_request(request.inner())?,
            Some(body) => {
                let init = web_sys::RequestInit::new();
                init.set_method(&self.method);
                init.set_headers(&request.headers().0);
                init.set_body(&worker::js_sys::Uint8Array::from(body));
                web_sys::Request::new_with_str_and_init(&self.url, &init)?
            }
        };
        next.headers().set(RANDOM, &format!("{:x}", self.random))?;
        next.headers().set(FROM, "worker")?;
        Ok(next)
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(request: &mut Request, limit: usize) -> Result<Bytes, ApiError> {
    let length = request.headers().get("content-length").ok().flatten();
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::body_too_long(limit));
    }
    if request.inner().body().is_none() {
        return Ok(Bytes::new());
    }
    let broken = || ApiError::invalid("the body broke off");
    let mut chunks = request.stream().map_err(|_| broken())?;
    let (mut body, mut space) = (Vec::new(), Space(0));
    loop {
        let chunk = match select(chunks.next(), Delay::from(PATIENCE)).await {
            Either::Left((Some(chunk), _)) => chunk.map_err(|_| broken())?,
            Either::Left((None, _)) => break,
            Either::Right(_) => return Err(ApiError::invalid("the body did not come in time")),
        };
        if body.len() + chunk.len() > limit {
            return Err(ApiError::body_too_long(limit));
        }
        space.take(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    // A body that its client gave up ends like any other.
    match length {
        Some(length) if length != body.len() => Err(broken()),
        _ => Ok(body.into()),
    }
}

/// What a body that is being read takes of [`BODIES_MAX`].
struct Space(usize);

thread_local! {
    static BODIES: Cell<usize> = const { Cell::new(0) };
}

impl Space {
    fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        let all = BODIES.get() + bytes;
        if all > BODIES_MAX {
            return Err(ApiError::overloaded("the server has too many bodies to read"));
        }
        BODIES.set(all);
        self.0 += bytes;
        Ok(())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        BODIES.set(BODIES.get().saturating_sub(self.0));
    }
}

/// The core's answer as the platform's. Whoever runs the server sees once why a request was refused; that something is
/// not there is no refusal.
pub(crate) fn answer(what: impl Display, reply: Reply, is_head: bool) -> Result<Response, Error> {
    if reply.status >= 400 && reply.status != 404 {
        console_log!("refused {what}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    let head = head(&reply);
    // A status that has no body must not be given an empty one either.
    Ok(if is_head || reply.body.is_empty() { head.empty() } else { head.fixed(reply.body.into()) })
}

/// The core's answer, whose body goes on.
pub(crate) fn streamed(
    reply: &Reply,
    body: impl Stream<Item = Result<Bytes, Error>> + 'static,
) -> Result<Response, Error> {
    head(reply).from_stream(body)
}

fn head(reply: &Reply) -> ResponseBuilder {
    let headers = Headers::new();
    let common = COMMON_HEADERS.iter().map(|(name, value)| (*name, *value));
    for (name, value) in common.chain(reply.headers.iter().map(|(name, value)| (*name, value.as_str()))) {
        // A value that is none is left out.
        let _ = headers.set(name, value);
    }
    // Outside 200 to 599 the platform's constructor throws.
    let status = if (200..=599).contains(&reply.status) { reply.status } else { 500 };
    ResponseBuilder::new().with_status(status).with_headers(headers)
}

/// Accepts a WebSocket only to say why it is not served.
pub(crate) fn refuse(what: impl Display, error: &ApiError) -> Result<Response, Error> {
    let reason = error.close();
    console_log!("refused {what}: {} {}", reason.code, reason.reason);
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    pair.server.send_with_bytes(wire::refusal(&error.message))?;
    pair.server.close(Some(reason.code), Some(&reason.reason))?;
    Response::from_websocket(pair.client)
}
