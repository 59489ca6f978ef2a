//! The HTTP server: it turns requests into the core's, and does what the core says they are.

use crate::metrics::Metrics;
use crate::rooms::{Rooms, wall_clock};
use crate::socket::Socket;
use crate::{page, socket};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use yonder_core::ConnId;
use yonder_core::http::{Access, ApiError, Reply, Request as CoreRequest, Route, route};

/// How long a peer may take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Connections may be a few more than sockets: requests for the page, for metrics.
const SPARE_CONNECTIONS: usize = 256;
/// Bytes that a WebSocket reads at once. Edits are small; larger frames grow it while they come in.
const READ_BUFFER: usize = 4 << 10;

/// What every request needs.
pub(crate) struct App {
    pub(crate) access: Access,
    pub(crate) rooms: Rooms,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) queue_bytes: usize,
    /// Bytes of one frame.
    pub(crate) frame_bytes: usize,
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) next_conn: AtomicU64,
    /// One for each socket.
    pub(crate) tasks: TaskTracker,
}

/// Serves until `stop`, then closes the listener and returns; open sockets go on.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, connections: usize, stop: CancellationToken) {
    let room =
        Arc::new(Semaphore::new(connections.saturating_add(SPARE_CONNECTIONS).min(Semaphore::MAX_PERMITS)));
    let router = Router::new().fallback(answer).with_state(app);
    loop {
        // No room: peers wait in the listener's queue.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), permit));
            }
            // Out of file descriptors, or the peer is gone already. Not a reason to end.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, _permit: OwnedSemaphorePermit) {
    // An edit is a small frame that waits for nothing.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(16 << 10);
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(file) = page::file(path, request.headers()) {
        return if reads { file } else { reply(ApiError::method_not_allowed("GET, HEAD").into()) };
    }
    if path == "/metrics" && reads {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response();
    }
    let route = match routed(&app, &request) {
        Route::Reply(ready) => return reply(ready),
        socket @ (Route::Socket { .. } | Route::RefusedSocket(_)) => socket,
    };
    // One that is refused takes a place as well, for as long as it takes to say so.
    let Ok(place) = Arc::clone(&app.sockets).try_acquire_owned() else {
        return reply(ApiError::overloaded("the server has too many connections").into());
    };
    let (path, state) = (path.to_owned(), Arc::clone(&app));
    upgrade(&app, request, move |socket| async move {
        let _place = place;
        match route {
            Route::Socket { doc, grant } => {
                let conn = ConnId(state.next_conn.fetch_add(1, Ordering::Relaxed));
                state.metrics.connections.inc();
                socket::serve(socket, &state, &doc, conn, grant).await;
                state.metrics.connections.dec();
            }
            Route::RefusedSocket(error) => socket::refuse(socket, path, &error, &state.metrics).await,
            Route::Reply(_) => {}
        }
    })
}

fn routed(app: &App, request: &Request) -> Route {
    let header = |name: &'static str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let parts = CoreRequest {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        header: &header,
    };
    route(&app.access, &parts, wall_clock())
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
        .max_frame_size(Some(app.frame_bytes))
        .max_message_size(Some(app.frame_bytes));
    let upgraded = hyper::upgrade::on(&mut request);
    app.tasks.spawn(async move {
        // The peer left before it had our answer.
        let Ok(upgraded) = upgraded.await else { return };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => {
                let (stream, read) = (parts.io.into_inner(), parts.read_buf.into());
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

fn reply(reply: Reply) -> Response {
    let mut response = reply.body.into_response();
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
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
