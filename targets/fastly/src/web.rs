//! Requests and answers between the platform's form and the core's.

use crate::store::{now, random};
use crate::tasks::may_block;
use bytes::Bytes;
use fastly::http::body::StreamingBody;
use fastly::http::request::SendErrorCause;
use fastly::http::{HeaderName, HeaderValue};
use fastly::{Request, Response};
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use yonder_core::grip;
use yonder_core::http::{ApiError, COMMON_HEADERS, Config, Reply, Request as CoreRequest, Route};

/// This service, as Fanout reaches it, and where is published: backends, as `fastly.toml` has them.
const SELF: &str = "self";
const PUBLISHER: &str = "publisher";

/// A header of text.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.get_header(name)?.to_str().ok()
}

/// Posts JSON, and awaits that it was taken.
pub(crate) async fn post(url: &str, authorization: Option<&str>, body: String) -> Result<(), String> {
    let mut request = Request::post(url).with_header("content-type", "application/json").with_body(body);
    if let Some(authorization) = authorization {
        request.set_header("authorization", authorization);
    }
    let pending = request.send_async(PUBLISHER).map_err(|error| error.to_string())?;
    may_block().await;
    let answer = pending.wait().map_err(|error| error.to_string())?;
    if answer.get_status().is_success() { Ok(()) } else { Err(format!("status {}", answer.get_status())) }
}

/// Hands a WebSocket, or a long-poll, to Fanout, which asks this service about it.
pub(crate) fn hand_off(request: Request) -> Result<(), ApiError> {
    let Err(error) = request.handoff_fanout(SELF) else { return Ok(()) };
    let cause = error.root_cause();
    if matches!(cause, SendErrorCause::FanoutNotEnabled) {
        let message = "Fanout is not enabled for this service: use Server-Sent Events or long-polls, \
                       /v1/yjs/SERVICE/docs/DOCUMENT?offset=-1&live=sse or live=long-poll";
        return Err(ApiError { status: 501, code: "NOT_IMPLEMENTED", message: message.into() });
    }
    Err(ApiError::internal(format!("Fanout does not take it: {cause}")))
}

/// Says what a request is.
pub(crate) fn routed(config: &Arc<Config>, request: &Request) -> Route {
    let url = request.get_url();
    let parts = CoreRequest {
        method: request.get_method_str(),
        path: url.path(),
        query: url.query().unwrap_or_default(),
        header: &|name| header(request, name),
        secure: url.scheme() == "https",
        random: &|| u128::from(random()) << 64 | u128::from(random()),
    };
    grip::route(config, &parts, now())
}

/// Reads a body of at most `limit` bytes.
pub(crate) fn body(request: &mut Request, limit: usize) -> Result<Bytes, ApiError> {
    let length = header(request, "content-length").and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(ApiError::body_too_long(limit));
    }
    let mut body = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = request.take_body().take(most).read_to_end(&mut body);
    read.map_err(|_| ApiError::invalid("the body broke off"))?;
    match length {
        _ if body.len() > limit => Err(ApiError::body_too_long(limit)),
        Some(length) if length != body.len() => Err(ApiError::invalid("the body broke off")),
        _ => Ok(body.into()),
    }
}

/// Sends the core's answer. Whoever runs the server sees once why a request was refused; that something is not there is
/// no refusal.
pub(crate) fn answer(what: impl Display, mut reply: Reply, is_head: bool) {
    if reply.status >= 400 && reply.status != 404 {
        log!("refused {what}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    let body = std::mem::take(&mut reply.body);
    let mut response = head(&reply);
    if !body.is_empty() && !is_head {
        response.set_body(Vec::from(body));
    }
    response.send_to_client();
}

/// An answer whose body goes on.
pub(crate) struct Streaming(Option<StreamingBody>);

impl Streaming {
    pub(crate) fn begin(reply: &Reply) -> Self {
        Self(Some(head(reply).stream_to_client()))
    }

    /// Sends some of the body; false if the client left.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(body) = &mut self.0 else { return false };
        let sent = body.write_all(bytes).and_then(|()| body.flush());
        if sent.is_err() {
            self.0 = None;
        }
        sent.is_ok()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(body) = self.0.take() {
            // Whoever does not read its end has gone.
            let _ = body.finish();
        }
    }
}

fn head(reply: &Reply) -> Response {
    let mut response = Response::from_status(reply.status);
    for (name, value) in COMMON_HEADERS {
        response.set_header(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in &reply.headers {
        // A value that is none is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.set_header(HeaderName::from_static(name), value);
        }
    }
    response
}
