//! Writing by WebSocket: one socket, edits one behind the other without waiting, each followed by message 102.

use crate::edits::{EMPTY, Lane};
use crate::failure::{Failure, Kind};
use crate::host::{Host, Socket};
use crate::ledger::Ledger;
use crate::line::within;
use bytes::Bytes;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use yonder_core::wire::{self, Message, Messages, Reader, put_var_uint};

/// The payload of a message 102 that follows no edit. Edits have numbers.
const QUESTION: &[u8] = b"rtt";

/// A writer, which has a task of its own.
pub(crate) struct SocketWriter {
    orders: UnboundedSender<Order>,
    _task: AbortOnDropHandle<()>,
}

enum Order {
    /// Make this edit.
    Edit(u64),
    /// Be connected.
    Ready(oneshot::Sender<Result<(), Failure>>),
    /// Tell how long a question and its answer take.
    Ask(oneshot::Sender<Result<Duration, Failure>>),
}

impl SocketWriter {
    /// `key` begins the names of its lanes.
    pub(crate) fn new(host: Arc<Host>, doc: &str, key: &str, ledger: Arc<Ledger>) -> Self {
        let (orders, received) = unbounded_channel();
        let writing = Writing {
            host,
            doc: doc.to_owned(),
            key: key.to_owned(),
            ledger,
            lanes: 0,
            conn: None,
            asked: None,
        };
        Self { orders, _task: AbortOnDropHandle::new(tokio::spawn(writing.run(received))) }
    }

    pub(crate) fn edit(&self, number: u64) {
        // It ends with this.
        let _ = self.orders.send(Order::Edit(number));
    }

    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.order(Order::Ready).await
    }

    pub(crate) async fn ask(&self) -> Result<Duration, Failure> {
        self.order(Order::Ask).await
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Order,
    ) -> Result<T, Failure> {
        let (tell, told) = oneshot::channel();
        let _ = self.orders.send(order(tell));
        told.await.unwrap_or_else(|_| Err(Failure::closed("the writer is gone")))
    }
}

struct Writing {
    host: Arc<Host>,
    doc: String,
    key: String,
    ledger: Arc<Ledger>,
    lanes: u64,
    conn: Option<(Socket, Lane)>,
    /// A question that waits for its answer.
    asked: Option<(Instant, oneshot::Sender<Result<Duration, Failure>>)>,
}

impl Writing {
    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            let patience = self.asked.as_ref().map(|(began, _)| *began + self.host.timeout);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Edit(number)) => self.edit(number).await,
                    Some(Order::Ready(tell)) => {
                        let deadline = self.host.deadline();
                        let _ = tell.send(self.connected(deadline).await.map(drop));
                    }
                    Some(Order::Ask(tell)) => self.ask(tell).await,
                    None => return,
                },
                frame = next(&mut self.conn) => self.came(frame).await,
                () = until(patience) => self.answered(|_| Err(Failure::timeout("an answer"))),
            }
        }
    }

    async fn edit(&mut self, number: u64) {
        // It may have waited too long for the connection.
        let Some(deadline) = self.ledger.deadline(number) else { return };
        let ledger = Arc::clone(&self.ledger);
        let sent = match self.connected(deadline).await {
            Ok((socket, lane)) => {
                ledger.sent(number, &lane.key);
                let mut payload = Vec::new();
                put_var_uint(&mut payload, number);
                let frames = [wire::update(&lane.edit(number)), wire::echo(&payload)];
                within(deadline, "sending an edit", socket.send(frames)).await
            }
            Err(failure) => return ledger.failed(number, &failure),
        };
        if let Err(failure) = sent {
            self.lost(&failure);
        }
    }

    async fn ask(&mut self, tell: oneshot::Sender<Result<Duration, Failure>>) {
        let deadline = self.host.deadline();
        let sent = match self.connected(deadline).await {
            Ok((socket, _)) => {
                let began = Instant::now();
                within(deadline, "a question", socket.send([wire::echo(QUESTION)])).await.map(|()| began)
            }
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(began) => self.asked = Some((began, tell)),
            Err(failure) => {
                self.lost(&failure);
                let _ = tell.send(Err(failure));
            }
        }
    }

    /// The connection, made if there is none, with a lane of its own.
    async fn connected(&mut self, deadline: Instant) -> Result<&mut (Socket, Lane), Failure> {
        if self.conn.is_none() {
            let joined = within(deadline, "a WebSocket", join(&self.host, &self.doc)).await?;
            self.lanes += 1;
            self.conn = Some((joined, Lane::new(format!("{}.{}", self.key, self.lanes))));
        }
        self.conn.as_mut().ok_or_else(|| Failure::closed("no connection"))
    }

    async fn came(&mut self, frame: Result<Bytes, Failure>) {
        let taken = match frame {
            Ok(frame) => self.take(&frame),
            Err(failure) => Err(failure),
        };
        let sent = match (taken, &mut self.conn) {
            (Ok(true), Some((socket, _))) => socket.send([wire::step_2(EMPTY)]).await,
            (taken, _) => taken.map(drop),
        };
        if let Err(failure) = sent {
            self.lost(&failure);
        }
    }

    /// Takes a frame; whether it asks for what this client has.
    fn take(&mut self, frame: &[u8]) -> Result<bool, Failure> {
        let mut asks = false;
        for message in Messages::new(frame) {
            match message.map_err(|error| Failure::new(Kind::Protocol, error.to_string()))? {
                Message::Echo(QUESTION) => self.answered(|began| Ok(began.elapsed())),
                Message::Echo(payload) => {
                    if let Ok(number) = Reader::new(payload).var_uint() {
                        self.ledger.acked(number);
                    }
                }
                Message::SyncStep1(_) => asks = true,
                Message::Auth(reason) => return Err(Failure::new(Kind::Forbidden, reason)),
                Message::SyncStep2(_)
                | Message::Update(_)
                | Message::Awareness(_)
                | Message::QueryAwareness => {}
            }
        }
        Ok(asks)
    }

    fn answered(&mut self, answer: impl FnOnce(Instant) -> Result<Duration, Failure>) {
        if let Some((began, tell)) = self.asked.take() {
            // Who asked may have gone.
            let _ = tell.send(answer(began));
        }
    }

    /// The connection has ended.
    fn lost(&mut self, failure: &Failure) {
        if let Some((_, lane)) = self.conn.take() {
            self.ledger.broken(&lane.key, failure);
        }
        self.answered(|_| Err(failure.clone()));
    }
}

/// A socket that is synced, as a client's is before it edits.
async fn join(host: &Arc<Host>, doc: &str) -> Result<Socket, Failure> {
    let (line, _) = host.dial().await?;
    let (mut socket, ..) = host.socket(line, doc).await?;
    socket.send([wire::step_1(&[0])]).await?;
    loop {
        let frame = socket.next().await?;
        let (mut asks, mut synced) = (false, false);
        for message in Messages::new(&frame).flatten() {
            asks |= matches!(message, Message::SyncStep1(_));
            synced |= matches!(message, Message::SyncStep2(_));
        }
        if asks {
            socket.send([wire::step_2(EMPTY)]).await?;
        }
        if synced {
            return Ok(socket);
        }
    }
}

async fn next(conn: &mut Option<(Socket, Lane)>) -> Result<Bytes, Failure> {
    match conn {
        Some((socket, _)) => socket.next().await,
        None => pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => pending().await,
    }
}
