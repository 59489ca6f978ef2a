//! A y-protocols client over a WebSocket, reduced to the handshake and the frames.

use crate::protocol::{self, EMPTY_UPDATE, Message, NOTHING};
use crate::server::Server;
use futures_util::{SinkExt, StreamExt};
use std::future::Future;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

/// Time that a server may take to answer anything at all.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that are being opened at once.
const OPENING: usize = 32;

/// One connection to one document.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Connects without a word of the sync protocol. `buffer` is the size of the read buffer in bytes: large documents
    /// want a large one, thousands of clients small ones.
    pub(crate) async fn connect(server: &Server, doc: &str, buffer: usize) -> Self {
        let stream = TcpStream::connect(server.addr).await.expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let config = WebSocketConfig::default()
            .read_buffer_size(buffer)
            .write_buffer_size(0)
            .max_message_size(None)
            .max_frame_size(None);
        let opening = client_async_with_config(server.url(doc), stream, Some(config));
        let (socket, _) = timeout(PATIENCE, opening).await.expect("an answer").expect("a WebSocket");
        Self { socket }
    }

    /// Connects and syncs an empty replica, as any reader does first.
    pub(crate) async fn join(server: &Server, doc: &str) -> Self {
        let mut client = Self::connect(server, doc, 4096).await;
        client.send(protocol::step1(NOTHING)).await;
        client.step2(|_| ()).await;
        client
    }

    /// Sends one frame.
    pub(crate) async fn send(&mut self, frame: Vec<u8>) {
        self.socket.send(tungstenite::Message::Binary(frame.into())).await.expect("a frame is sent");
    }

    /// The next binary frame, or nothing once the server has closed; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.socket.next().await? {
                Ok(tungstenite::Message::Binary(frame)) => return Some(frame),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Reads up to the next step 2, hands its update to `seen`, and answers a step 1 of the server on the way.
    pub(crate) async fn step2<T>(&mut self, seen: impl Fn(&[u8]) -> T) -> T {
        let reading = async {
            loop {
                let frame = self.next().await.expect("the server stays connected");
                let mut answer = None;
                let mut asked = false;
                for message in protocol::messages(&frame) {
                    match message {
                        Message::Step2(update) => answer = Some(seen(update)),
                        Message::Step1 => asked = true,
                        Message::Update(_) | Message::Acknowledged(_) | Message::Other => {}
                    }
                }
                if asked {
                    self.send(protocol::step2(EMPTY_UPDATE)).await;
                }
                if let Some(answer) = answer {
                    return answer;
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("a step 2 in time")
    }

    /// Sends message 102 and waits until it comes back.
    pub(crate) async fn acknowledged(&mut self) {
        self.send(protocol::acknowledge(b"sent")).await;
        let reading = async {
            loop {
                let frame = self.next().await.expect("the server stays connected");
                if protocol::messages(&frame).any(|message| matches!(message, Message::Acknowledged(_))) {
                    return;
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("an acknowledgement in time");
    }

    /// Closes the connection and waits for the server's close.
    pub(crate) async fn close(mut self) {
        let _ = self.socket.close(None).await;
        let _ = timeout(Duration::from_secs(2), async { while self.next().await.is_some() {} }).await;
    }

    /// A second handle on the socket, for a thread that writes finished frames.
    pub(crate) fn writer(&self) -> std::net::TcpStream {
        let socket = self.socket.get_ref().as_fd().try_clone_to_owned().expect("a second handle");
        std::net::TcpStream::from(socket)
    }

    /// Reads and forgets everything, so that the connection stays alive, until the task is aborted.
    pub(crate) fn idle(mut self) -> JoinHandle<()> {
        spawn_local(async move { while self.next().await.is_some() {} })
    }
}

/// Runs `count` jobs, a limited number of them at once, and returns their results in order.
pub(crate) async fn all<T, F>(count: usize, job: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures_util::stream::iter((0..count).map(job)).buffered(OPENING).collect().await
}

/// Tasks that end with the value instead of living on.
pub(crate) struct Background(Vec<JoinHandle<()>>);

impl Background {
    pub(crate) fn new(tasks: Vec<JoinHandle<()>>) -> Self {
        Self(tasks)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
