//! The HTTP server: it turns requests into the core's, and does what the core says they are.

use crate::metrics::Metrics;
use crate::patient::Patient;
use crate::rooms::{Rooms, wall_clock};
use crate::socket::Socket;
use crate::store::Store;
use crate::{body, held, page, socket};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::fmt::Display;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use yonder_core::auth::Grant;
use yonder_core::http::{ApiError, COMMON_HEADERS, Config, Reply, Request as CoreRequest, Route, route};
use yonder_core::log::{CatalogOp, Listed, LogError};
use yonder_core::{ConnId, DocName};

/// How long a peer may take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Requests at once on one connection of HTTP/2, and how often its peer is asked whether it lives.
const STREAMS: u32 = 1_000;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Connections may be a few more than sockets: requests for the page, for metrics.
const SPARE_CONNECTIONS: usize = 256;
/// Bytes that a WebSocket reads at once. Edits are small; larger frames grow it while they come in.
const READ_BUFFER: usize = 4 << 10;

/// What every request needs.
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) rooms: Rooms,
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) queue_bytes: usize,
    /// Kibibytes of bodies.
    pub(crate) bodies: Arc<Semaphore>,
    /// Places for sockets and for requests to documents.
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) next_conn: AtomicU64,
    /// One for each connection.
    pub(crate) tasks: TaskTracker,
}

/// Serves until `stop`, then closes the listener and returns; what is open goes on until it is done.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, connections: usize, stop: CancellationToken) {
    let room =
        Arc::new(Semaphore::new(connections.saturating_add(SPARE_CONNECTIONS).min(Semaphore::MAX_PERMITS)));
    let router = Router::new().fallback(answer).with_state(Arc::clone(&app));
    loop {
        // No room: peers wait in the listener's queue.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                app.tasks.spawn(connection(stream, router.clone(), stop.clone(), permit));
            }
            // Out of file descriptors, or the peer is gone already. Not a reason to end.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // An edit is a small frame that waits for nothing.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Ok(Ok(is_http2)) = timeout(HEAD_PATIENCE, speaks_http2(&stream)).await else { return };
    let (io, service) = (TokioIo::new(Patient::new(stream)), TowerToHyperService::new(router));
    let ended = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(16 << 10)
            .keep_alive_interval(Some(KEEP_ALIVE))
            .keep_alive_timeout(KEEP_ALIVE);
        let mut served = pin!(builder.serve_connection(io, service));
        tokio::select! {
            ended = &mut served => ended,
            () = stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        }
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(16 << 10);
        let served = builder.serve_connection(io, service).with_upgrades();
        let mut served = pin!(served);
        tokio::select! {
            ended = &mut served => ended,
            () = stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

/// Whether a peer begins with HTTP/2's preface (RFC 9113, 3.4). Nothing is taken from the stream.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        let begins = PREFACE.starts_with(seen.get(..length).unwrap_or_default());
        if length == 0 || !begins || length == PREFACE.len() {
            return Ok(begins && length > 0);
        }
        // A few bytes of it: what is peeked at stays readable, so nothing tells when there is more.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_head = *request.method() == Method::HEAD;
    let mut response = respond(&app, request).await;
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn respond(app: &Arc<App>, request: Request) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(file) = page::file(path, request.headers()) {
        return if reads { file } else { reply(ApiError::method_not_allowed("GET, HEAD").into()) };
    }
    if path == "/metrics" && reads {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response();
    }
    // Without the query, in which there may be a token.
    let path = path.to_owned();
    let (asking, space) = match routed(app, &request) {
        Route::Reply(ready) => return reply_to(path, ready),
        Route::Socket(socket) => return socket_of(app, request, socket),
        Route::Catalog { op, then } => return reply_to(path, catalog(app, op, then).await),
        Route::Document(asking) => (Ok(asking), None),
        Route::Body { limit, then, .. } => match body::read(request.into_body(), limit, &app.bodies).await {
            Ok((body, space)) => (then(body), space),
            Err(error) => (Err(error), None),
        },
    };
    match asking {
        Ok(asking) => held::ask(app, asking, space).await,
        Err(error) => reply_to(path, error.into()),
    }
}

/// Answers a request. Whoever runs the server sees once why one was refused; that something is not there is no
/// refusal.
pub(crate) fn reply_to(what: impl Display, ready: Reply) -> Response {
    if ready.status >= 400 && ready.status != 404 {
        let why = String::from_utf8_lossy(&ready.body);
        tracing::info!(%what, status = ready.status, %why, "refused");
    }
    reply(ready)
}

async fn catalog(app: &App, op: CatalogOp, then: impl FnOnce(Vec<Listed>) -> Reply) -> Reply {
    let (sender, listed) = oneshot::channel();
    // Who does not wait for it any more needs no answer.
    app.store.catalog(op, Box::new(move |listed| drop(sender.send(listed))));
    match listed.await.unwrap_or(Err(LogError::Unavailable)) {
        Ok(listed) => then(listed),
        Err(error) => ApiError::from(error).into(),
    }
}

fn socket_of(app: &Arc<App>, request: Request, granted: Result<(DocName, Grant), ApiError>) -> Response {
    // One that is refused takes a place as well, for as long as it takes to say so.
    let Ok(place) = Arc::clone(&app.sockets).try_acquire_owned() else {
        return reply(ApiError::overloaded("the server has too many connections").into());
    };
    let (path, state) = (request.uri().path().to_owned(), Arc::clone(app));
    upgrade(app, request, move |socket| async move {
        let _place = place;
        match granted {
            Ok((doc, grant)) => {
                let conn = ConnId(state.next_conn.fetch_add(1, Ordering::Relaxed));
                state.metrics.connections.inc();
                socket::serve(socket, &state, &doc, conn, grant).await;
                state.metrics.connections.dec();
            }
            Err(error) => socket::refuse(socket, path, &error, &state.metrics).await,
        }
    })
}

fn routed(app: &App, request: &Request) -> Route {
    let header = |name: &'static str| match request.headers().get(name) {
        Some(value) => value.to_str().ok(),
        // HTTP/2 has it in `:authority`.
        None if name == "host" => request.uri().authority().map(|authority| authority.as_str()),
        None => None,
    };
    let parts = CoreRequest {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        header: &header,
        secure: false,
        random: &random,
    };
    route(&app.config, &parts, wall_clock())
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "no random bytes");
    }
    u128::from_ne_bytes(bytes)
}

/// Accepts a WebSocket (RFC 6455, 4.2), and serves it once the handshake is done.
fn upgrade<F, Fut>(app: &App, mut request: Request, serve: F) -> Response
where
    F: FnOnce(Socket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let headers = request.headers();
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return reply(ApiError::upgrade_required().into());
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()))
    else {
        return reply(ApiError::invalid("the handshake has no Sec-WebSocket-Key").into());
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_frame_size(Some(app.config.limits.frame_bytes))
        .max_message_size(Some(app.config.limits.frame_bytes));
    let upgraded = hyper::upgrade::on(&mut request);
    app.tasks.spawn(async move {
        // The peer left before it had our answer.
        let Ok(upgraded) = upgraded.await else { return };
        match upgraded.downcast::<TokioIo<Patient>>() {
            Ok(parts) => {
                let (stream, read) = (parts.io.into_inner().into_inner(), parts.read_buf.into());
                serve(Socket::from_partially_read(stream, read, Role::Server, Some(config)).await).await;
            }
            Err(_) => tracing::error!("a connection that was accepted as TCP is something else"),
        }
    });
    let answer = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
    ];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, answer).into_response();
    if let Ok(key) = HeaderValue::from_str(&key) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    response
}

/// The core's answer as hyper's.
fn reply(mut reply: Reply) -> Response {
    let body = Body::from(std::mem::take(&mut reply.body));
    reply_with(reply, body)
}

/// The head of the core's answer, with a body.
pub(crate) fn reply_with(reply: Reply, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let common = COMMON_HEADERS.iter().map(|(name, value)| (*name, HeaderValue::from_static(value)));
    response.headers_mut().extend(common.map(|(name, value)| (HeaderName::from_static(name), value)));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Lets the process have as many sockets as it may.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
