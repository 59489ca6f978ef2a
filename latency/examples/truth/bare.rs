//! A server that speaks the protocols as far as a run needs it, keeps everything in memory and checks nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use yonder_core::wire::{self, Message as Said, Messages, put_var_bytes};

type Body = UnsyncBoxBody<Bytes, Infallible>;
/// Documents by path.
type Docs = Arc<Mutex<HashMap<String, Arc<Doc>>>>;

/// Frames of updates in their order, and how many there are.
struct Doc {
    log: Mutex<Vec<Bytes>>,
    length: watch::Sender<usize>,
}

impl Doc {
    fn log(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, frame: Bytes) {
        let mut log = self.log();
        log.push(frame);
        self.length.send_replace(log.len());
    }

    /// All behind a place, and where that ends.
    fn since(&self, place: usize) -> (Vec<u8>, usize) {
        let log = self.log();
        (log.get(place..).unwrap_or_default().concat(), log.len())
    }
}

/// Serves in a thread of its own, until the process ends.
pub(crate) fn serve() -> Result<SocketAddr, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(listener), docs) = (TcpListener::from_std(listener), Docs::default()) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&docs)));
            }
        });
    });
    Ok(address)
}

async fn connection(stream: TcpStream, docs: Docs) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| {
        let docs = Arc::clone(&docs);
        async move { Ok::<_, Infallible>(answer(request, &docs).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client may leave.
    let _ = served.with_upgrades().await;
}

async fn answer(request: Request<Incoming>, docs: &Docs) -> Response<Body> {
    if request.uri().path() == "/openapi.json" {
        return full(200, r#"{"info":{"title":"yonder","version":"that does nothing"}}"#, 0);
    }
    let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let (doc, is_new) = {
        let mut docs = docs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !docs.contains_key(&name);
        let empty = || Arc::new(Doc { log: Mutex::default(), length: watch::Sender::new(0) });
        (Arc::clone(docs.entry(name.clone()).or_insert_with(empty)), is_new)
    };
    if request.uri().path().starts_with("/ws/") {
        return upgrade(request, doc);
    }
    if request.method() == Method::PUT {
        return full(if is_new { 201 } else { 200 }, "", 0);
    }
    if request.method() == Method::DELETE {
        docs.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        return full(204, "", 0);
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method() == Method::POST {
        let Ok(body) = request.into_body().collect().await else { return full(400, "", 0) };
        doc.append(body.to_bytes());
        return full(204, "", 0);
    }
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let place = match of("offset") {
        Some("now") => doc.since(usize::MAX).1,
        offset => offset.and_then(|offset| offset.parse().ok()).unwrap_or(0),
    };
    match of("live") {
        Some("sse") => events(doc, place),
        Some(_) => {
            let mut length = doc.length.subscribe();
            // The document may be gone.
            let _ = length.wait_for(|length| *length > place).await;
            let (body, end) = doc.since(place);
            full(200, body, end)
        }
        None => {
            let (body, end) = doc.since(place);
            full(200, body, end)
        }
    }
}

fn full(status: u16, body: impl Into<Bytes>, end: usize) -> Response<Body> {
    let response = Response::builder().status(status).header("stream-next-offset", end);
    let body = Full::new(body.into()).boxed_unsync();
    response.header("stream-up-to-date", "true").body(body).unwrap_or_default()
}

fn events(doc: Arc<Doc>, place: usize) -> Response<Body> {
    let length = doc.length.subscribe();
    let events = futures_util::stream::unfold(
        (doc, length, place, true),
        |(doc, mut length, place, is_first)| async move {
            if !is_first {
                length.wait_for(|length| *length > place).await.ok()?;
            }
            let (data, end) = doc.since(place);
            let data = if data.is_empty() {
                String::new()
            } else {
                format!("event: data\ndata: {}\n\n", STANDARD.encode(data))
            };
            let text = format!(
                "{data}event: control\ndata: {{\"streamNextOffset\":\"{end}\",\"upToDate\":true}}\n\n"
            );
            Some((Ok(Frame::data(Bytes::from(text))), (doc, length, end, false)))
        },
    );
    Response::new(StreamBody::new(events).boxed_unsync())
}

fn upgrade(mut request: Request<Incoming>, doc: Arc<Doc>) -> Response<Body> {
    let key = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        follow(socket, &doc).await;
    });
    let response =
        Response::builder().status(101).header("upgrade", "websocket").header("connection", "upgrade");
    response
        .header("sec-websocket-accept", key.unwrap_or_default())
        .body(Full::default().boxed_unsync())
        .unwrap_or_default()
}

async fn follow(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, doc: &Doc) {
    let mut length = doc.length.subscribe();
    let mut place = *length.borrow_and_update();
    loop {
        let mut frames = Vec::new();
        tokio::select! {
            came = socket.next() => {
                let Some(Ok(came)) = came else { return };
                for message in Messages::new(&came.into_data()).flatten() {
                    match message {
                        Said::SyncStep1(_) => {
                            let (all, end) = doc.since(0);
                            place = end;
                            frames.push(wire::step_2(&[0, 0]));
                            frames.extend(updates(&all));
                        }
                        Said::Update(update) => {
                            let mut frame = Vec::new();
                            put_var_bytes(&mut frame, update);
                            doc.append(frame.into());
                        }
                        Said::Echo(payload) => frames.push(wire::echo(payload)),
                        Said::SyncStep2(_) | Said::Awareness(_) | Said::Auth(_) | Said::QueryAwareness => {}
                    }
                }
            }
            changed = length.changed() => {
                if changed.is_err() {
                    return;
                }
                let (new, end) = doc.since(place);
                place = end;
                frames.extend(updates(&new));
            }
        }
        for frame in frames {
            if socket.feed(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// Frames of a log as those of a socket.
fn updates(log: &[u8]) -> Vec<Bytes> {
    let mut reader = wire::Reader::new(log);
    std::iter::from_fn(|| reader.var_bytes().ok().map(wire::update)).collect()
}
