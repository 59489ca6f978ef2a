//! Requests and answers between the platform's form and the core's.

use crate::store::now;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, select};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use spin_sdk::http::Request;
use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use yonder_core::grip;
use yonder_core::http::{ApiError, COMMON_HEADERS, Config, Reply, Request as CoreRequest, Route};

/// How long a client may take for the next part of a body.
const PATIENCE: Duration = Duration::from_secs(15);

/// The body of an answer.
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Events(events) => events.as_mut().poll_next(context),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A header of text.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    match request.headers().get(name) {
        Some(value) => value.to_str().ok(),
        // HTTP/2 has it in `:authority`.
        None if name == "host" => request.uri().authority().map(|authority| authority.as_str()),
        None => None,
    }
}

/// Posts JSON, and awaits that it was taken.
pub(crate) async fn post(url: &str, authorization: Option<&str>, body: String) -> Result<(), String> {
    // Without its length it would go out in chunks, which Pushpin does not take.
    let mut request = http::Request::post(url)
        .header("content-type", "application/json")
        .header("content-length", body.len());
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let request = request.body(Body::Whole(Some(body.into()))).map_err(|error| error.to_string())?;
    let sent = pin!(spin_sdk::http::send(request));
    match select(sent, pin!(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((Ok(answer), _)) if answer.status().is_success() => Ok(()),
        Either::Left((Ok(answer), _)) => Err(format!("status {}", answer.status())),
        Either::Left((Err(error), _)) => Err(error.to_string()),
        Either::Right(_) => Err("no answer".to_owned()),
    }
}

/// Says what a request is.
pub(crate) fn routed(config: &Arc<Config>, request: &Request) -> Route {
    let uri = request.uri();
    let parts = CoreRequest {
        method: request.method().as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        header: &|name| header(request, name),
        secure: header(request, "spin-full-url").is_some_and(|url| url.starts_with("https:")),
        random: &random,
    };
    grip::route(config, &parts, now())
}

fn random() -> u128 {
    use spin_sdk::wasip3::random::random::get_random_u64;
    u128::from(get_random_u64()) << 64 | u128::from(get_random_u64())
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let length = request.headers().get("content-length").and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::body_too_long(limit));
    }
    let (mut coming, mut body) = (request.into_body(), Vec::new());
    loop {
        let frame = pin!(poll_fn(|context| Pin::new(&mut coming).poll_frame(context)));
        let frame = match select(frame, pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((Some(frame), _)) => frame.map_err(|_| ApiError::invalid("the body broke off"))?,
            Either::Left((None, _)) => break,
            Either::Right(_) => return Err(ApiError::invalid("the body did not come in time")),
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if body.len() + chunk.len() > limit {
            return Err(ApiError::body_too_long(limit));
        }
        body.extend_from_slice(&chunk);
    }
    match length {
        Some(length) if length != body.len() => Err(ApiError::invalid("the body broke off")),
        _ => Ok(body.into()),
    }
}

/// The core's answer as the platform's. Whoever runs the server sees once why a request was refused; that something is
/// not there is no refusal.
pub(crate) fn answer(what: impl Display, mut reply: Reply, is_head: bool) -> Response<Body> {
    if reply.status >= 400 && reply.status != 404 {
        eprintln!("refused {what}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    let body = std::mem::take(&mut reply.body);
    let length = body.len();
    let body = Some(body).filter(|body| !body.is_empty() && !is_head);
    let mut response = head(&reply, Body::Whole(body));
    let has_none = matches!(reply.status, 204 | 304);
    if !has_none && !is_head {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// The core's answer, whose body goes on.
pub(crate) fn streamed(reply: &Reply, events: impl Stream<Item = Bytes> + 'static) -> Response<Body> {
    head(reply, Body::Events(Box::pin(events)))
}

fn head(reply: &Reply, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let common = COMMON_HEADERS.iter().map(|(name, value)| (*name, HeaderValue::from_static(value)));
    response.headers_mut().extend(common.map(|(name, value)| (HeaderName::from_static(name), value)));
    for (name, value) in &reply.headers {
        // A value that is none is left out, and what the platform keeps to itself.
        if *name == "upgrade" {
            continue;
        }
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
