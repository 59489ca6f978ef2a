//! Requests and answers between the platform's form and the core's.

use crate::store::now;
use bytes::Bytes;
use futures_util::future::{Either, select};
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields, Method, Scheme, Trailers};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use yonder_core::grip;
use yonder_core::http::{ApiError, COMMON_HEADERS, Config, Reply, Request as CoreRequest, Route};
use yonder_core::instance::{Events, Runtime};

/// How long a client may take for the next part of a body.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much of a body is read at once.
const PART: usize = 16 << 10;

/// A request, with what the platform says of it.
pub(crate) struct Request {
    coming: types::Request,
    method: Method,
    target: String,
    authority: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl From<types::Request> for Request {
    fn from(coming: types::Request) -> Self {
        let target = coming.get_path_with_query().filter(|target| !target.is_empty());
        Self {
            method: coming.get_method(),
            target: target.unwrap_or_else(|| "/".to_owned()),
            authority: coming.get_authority(),
            headers: coming.get_headers().copy_all(),
            coming,
        }
    }
}

impl Request {
    pub(crate) fn method(&self) -> &str {
        match &self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(other) => other,
        }
    }

    /// Without the query, in which there may be a token.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header of text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, value)) => str::from_utf8(value).ok().filter(|value| is_text(value)),
            // HTTP/2 has it in `:authority`.
            None if name == "host" => self.authority.as_deref(),
            None => None,
        }
    }
}

/// Whether it may stand in a header.
fn is_text(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic())
}

type Ended = Result<Option<Trailers>, ErrorCode>;

/// The body of what is sent.
struct Body {
    parts: StreamWriter<u8>,
    end: FutureWriter<Ended>,
}

impl Body {
    fn new() -> (Self, StreamReader<u8>, FutureReader<Ended>) {
        let (parts, coming) = wit_stream::new();
        let (end, ended) = wit_future::new(|| Err(ErrorCode::InternalError(Some("cut off".to_owned()))));
        (Self { parts, end }, coming, ended)
    }

    /// Whether whoever reads it is still there.
    async fn write(&mut self, part: Bytes) -> bool {
        part.is_empty() || self.parts.write_all(part.into()).await.is_empty()
    }

    async fn end(self) {
        drop(self.parts);
        // Who does not want it any more has it.
        let _ = self.end.write(Ok(None)).await;
    }

    async fn whole(mut self, body: Bytes) {
        if self.write(body).await {
            self.end().await;
        }
    }
}

/// Posts JSON, and awaits that it was taken.
pub(crate) async fn post(url: &str, authorization: Option<&str>, body: String) -> Result<(), String> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err("it is no URL of HTTP".to_owned()),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut headers = vec![
        ("content-type".to_owned(), b"application/json".to_vec()),
        // Without its length it would go out in chunks, which Pushpin does not take.
        ("content-length".to_owned(), body.len().to_string().into_bytes()),
    ];
    headers.extend(authorization.map(|value| ("authorization".to_owned(), value.as_bytes().to_vec())));
    let headers = Fields::from_list(&headers).map_err(|error| error.to_string())?;
    let (sending, parts, ended) = Body::new();
    let (request, _) = types::Request::new(headers, Some(parts), ended, None);
    let set = request.set_method(&Method::Post).and_then(|()| request.set_scheme(Some(&scheme)));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    set.and_then(|()| request.set_path_with_query(Some(path))).map_err(|()| "it is no URL of HTTP")?;
    spawn(sending.whole(body.into()));
    match select(pin!(client::send(request)), pin!(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((Ok(answer), _)) => match answer.get_status_code() {
            200..300 => Ok(()),
            status => Err(format!("status {status}")),
        },
        Either::Left((Err(error), _)) => Err(error.to_string()),
        Either::Right(_) => Err("no answer".to_owned()),
    }
}

/// Says what a request is.
pub(crate) fn routed(config: &Arc<Config>, request: &Request) -> Route {
    let parts = CoreRequest {
        method: request.method(),
        path: request.path(),
        query: request.target.split_once('?').map_or("", |(_, query)| query),
        header: &|name| request.header(name),
        secure: request.header("spin-full-url").is_some_and(|url| url.starts_with("https:")),
        random: &random,
    };
    grip::route(config, &parts, now())
}

fn random() -> u128 {
    use spin_sdk::wasip3::random::random::get_random_u64;
    u128::from(get_random_u64()) << 64 | u128::from(get_random_u64())
}

/// Bytes of a body that is too long which are passed over.
const PASSED_OVER_MAX: usize = 64 << 20;

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let length = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let mut is_too_long = length.is_some_and(|length| length > limit);
    let late = |()| ApiError::invalid("the body did not come in time");
    // What it is told lasts until the body is read.
    let (_taken, taking) = wit_future::new(|| Ok(()));
    let (mut parts, ended) = types::Request::consume_body(request.coming, taking);
    let (mut body, mut passed_over) = (Vec::new(), 0);
    loop {
        let (result, part) = match in_time(parts.read(Vec::with_capacity(PART))).await {
            Ok(read) => read,
            Err(()) if is_too_long => break,
            Err(()) => return Err(late(())),
        };
        match result {
            StreamResult::Complete(_) => {}
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
        is_too_long |= body.len() + part.len() > limit;
        if is_too_long {
            // The host closes a connection whose body is not taken, and a proxy has others' requests on it.
            body = Vec::new();
            passed_over += part.len();
            if passed_over > PASSED_OVER_MAX {
                break;
            }
        } else {
            body.extend_from_slice(&part);
        }
    }
    if is_too_long {
        return Err(ApiError::body_too_long(limit));
    }
    let ended = in_time(ended.into_future()).await.map_err(late)?;
    match length {
        _ if ended.is_err() => Err(ApiError::invalid("the body broke off")),
        Some(length) if length != body.len() => Err(ApiError::invalid("the body broke off")),
        _ => Ok(body.into()),
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, ()> {
    match select(pin!(work), pin!(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(_) => Err(()),
    }
}

/// The core's answer as the platform's. Whoever runs the server sees once why a request was refused; that something is
/// not there is no refusal.
pub(crate) fn answer(
    what: impl Display,
    mut reply: Reply,
    is_head: bool,
) -> Result<types::Response, ErrorCode> {
    if reply.status >= 400 && reply.status != 404 {
        log!("refused {what}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    let body = std::mem::take(&mut reply.body);
    let has_none = matches!(reply.status, 204 | 304);
    let length = (!has_none && !is_head).then(|| body.len());
    let (response, sending) = head(&reply, length)?;
    spawn(sending.whole(if is_head { Bytes::new() } else { body }));
    Ok(response)
}

/// The core's answer, whose body goes on.
pub(crate) fn streamed<R: Runtime>(
    mut reply: Reply,
    mut events: Events<R>,
) -> Result<types::Response, ErrorCode> {
    let first = std::mem::take(&mut reply.body);
    let (response, mut sending) = head(&reply, None)?;
    spawn(async move {
        let mut next = Some(first);
        while let Some(part) = next {
            if !sending.write(part).await {
                return;
            }
            next = events.next().await;
        }
        sending.end().await;
    });
    Ok(response)
}

fn head(reply: &Reply, length: Option<usize>) -> Result<(types::Response, Body), ErrorCode> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    let mut put = |name: &str, value: &str| {
        headers.retain(|(known, _)| known != name);
        headers.push((name.to_owned(), value.as_bytes().to_vec()));
    };
    COMMON_HEADERS.iter().for_each(|(name, value)| put(name, value));
    for (name, value) in &reply.headers {
        // A value that is none is left out, and what the platform keeps to itself.
        if *name != "upgrade" && is_text(value) {
            put(name, value);
        }
    }
    if let Some(length) = length {
        put("content-length", &length.to_string());
    }
    let failed = |error: types::HeaderError| ErrorCode::InternalError(Some(error.to_string()));
    let (sending, parts, ended) = Body::new();
    let (response, _) =
        types::Response::new(Fields::from_list(&headers).map_err(failed)?, Some(parts), ended);
    let _ = response.set_status_code(reply.status);
    Ok((response, sending))
}
