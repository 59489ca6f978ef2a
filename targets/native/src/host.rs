//! What a room's task does for its room: frames and answers go out, requests go to the store.

use crate::body::Space;
use crate::held::Answer;
use crate::metrics::Metrics;
use crate::outbound::{Outbound, queue};
use crate::rooms::now;
use crate::store::{self, Store};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use yonder_core::auth::Grant;
use yonder_core::http::Reply;
use yonder_core::log::{LogError, LogOp, LogReply};
use yonder_core::request::DocRequest;
use yonder_core::{Close, ConnId, DocName, Effects, Host, Input, Millis, OpId, Room, To, drive};

/// What comes to a room from its connections and requests.
pub(crate) enum Event {
    /// Boxed: it is rare, and the queue is as wide as its largest event.
    Open(Box<(ConnId, Grant, Outbound)>),
    Frame {
        conn: ConnId,
        bytes: Bytes,
        /// What a large frame takes of what may wait for the room.
        space: Option<OwnedSemaphorePermit>,
    },
    Request(Box<Request>),
    Closed {
        conn: ConnId,
    },
}

/// An HTTP request, and where its answer goes.
pub(crate) struct Request {
    pub(crate) conn: ConnId,
    pub(crate) request: DocRequest,
    pub(crate) expires: Option<Millis>,
    pub(crate) answer: oneshot::Sender<Answer>,
    /// What its body takes until the room has it.
    pub(crate) space: Space,
}

/// An answer of the store. They have a queue of their own, so that the store's threads never wait for a room;
/// a room has no more than three requests out at a time.
pub(crate) type Stored = Box<(OpId, Result<LogReply, LogError>)>;

/// What a room's task does for its room.
pub(crate) struct NativeHost {
    doc: DocName,
    name: Arc<str>,
    /// Sockets.
    conns: HashMap<ConnId, Outbound>,
    /// HTTP requests that are not answered, and whether they only read.
    requests: HashMap<ConnId, (oneshot::Sender<Answer>, bool)>,
    /// Event streams.
    streams: HashMap<ConnId, Outbound>,
    queue_bytes: usize,
    /// Connections whose queue is full.
    slow: Vec<ConnId>,
    replies: mpsc::UnboundedSender<Stored>,
    store: Store,
    metrics: Arc<Metrics>,
}

impl NativeHost {
    pub(crate) fn new(
        doc: DocName,
        store: Store,
        queue_bytes: usize,
        metrics: Arc<Metrics>,
        replies: mpsc::UnboundedSender<Stored>,
    ) -> Self {
        Self {
            name: store::name(&doc),
            doc,
            conns: HashMap::new(),
            requests: HashMap::new(),
            streams: HashMap::new(),
            queue_bytes,
            slow: Vec::new(),
            replies,
            store,
            metrics,
        }
    }

    pub(crate) fn doc(&self) -> &DocName {
        &self.doc
    }

    /// Open WebSockets.
    pub(crate) fn sockets(&self) -> Vec<ConnId> {
        self.conns.keys().copied().collect()
    }

    /// Requests that wait for something to happen, and event streams.
    pub(crate) fn readers(&self) -> Vec<ConnId> {
        let reads = self.requests.iter().filter(|(_, (_, reads))| *reads).map(|(conn, _)| *conn);
        reads.chain(self.streams.keys().copied()).collect()
    }

    /// Gives the room what came for it.
    pub(crate) fn take(&mut self, room: &mut Room, effects: &mut Effects, event: Event) {
        let input = match event {
            Event::Open(open) => {
                let (conn, grant, outbound) = *open;
                self.conns.insert(conn, outbound);
                Input::Open { conn, grant }
            }
            Event::Frame { conn, bytes, space } => {
                // It waits no longer.
                drop(space);
                self.metrics.frames_in.inc();
                Input::Frame { conn, bytes }
            }
            Event::Request(asked) => {
                let Request { conn, request, expires, answer, space } = *asked;
                drop(space);
                self.requests.insert(conn, (answer, matches!(request, DocRequest::Read(_))));
                Input::Request { conn, request, expires }
            }
            Event::Closed { conn } => {
                self.conns.remove(&conn);
                self.requests.remove(&conn);
                self.streams.remove(&conn);
                Input::Closed { conn }
            }
        };
        self.give(room, effects, input);
    }

    /// Gives the room an input, and does what follows from it.
    pub(crate) fn give(&mut self, room: &mut Room, effects: &mut Effects, input: Input<'_>) {
        drive(self, room, effects, input);
        // Closing one tells the others, and may find the next.
        while let Some(conn) = self.slow.pop() {
            self.close(conn, Close::new(Close::TRY_AGAIN, "this connection reads too slowly"));
            drive(self, room, effects, Input::Closed { conn });
        }
    }

    fn answer(&mut self, conn: ConnId, answer: Answer) {
        // A client that left wants no answer.
        if let Some((sender, _)) = self.requests.remove(&conn) {
            let _ = sender.send(answer);
        }
    }
}

impl Host for NativeHost {
    fn now(&self) -> Millis {
        now()
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        let (replies, metrics) = (self.replies.clone(), Arc::clone(&self.metrics));
        let appends = matches!(request, LogOp::Append { .. });
        let asked = Instant::now();
        let answer = move |reply: Result<LogReply, LogError>| {
            match &reply {
                Ok(_) if appends => {
                    metrics.appends.inc();
                    metrics.append_seconds.inc_by(asked.elapsed().as_secs_f64());
                }
                // A document that was deleted is an answer.
                Ok(_) | Err(LogError::Deleted) => {}
                Err(LogError::Unavailable | LogError::Refused | LogError::Corrupt) => {
                    metrics.store_errors.inc();
                }
            }
            // A room that is gone wants no answer.
            let _ = replies.send(Box::new((op, reply)));
        };
        self.store.submit(&self.name, request, Box::new(answer));
    }

    fn send(&mut self, to: To, frame: Bytes) {
        match to {
            To::Conn(conn) => {
                if let Some(outbound) = self.conns.get(&conn).or_else(|| self.streams.get(&conn)) {
                    self.metrics.frames_out.inc();
                    if !outbound.push(frame) {
                        self.slow.push(conn);
                    }
                }
            }
            To::Sockets { except } => {
                for (conn, outbound) in self.conns.iter().filter(|(conn, _)| Some(**conn) != except) {
                    self.metrics.frames_out.inc();
                    if !outbound.push(frame.clone()) {
                        self.slow.push(*conn);
                    }
                }
            }
        }
    }

    fn park(&mut self, _: ConnId, _: Bytes) {}

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        if reply.streams && self.requests.contains_key(&conn) {
            let (outbound, rest, _) = queue(self.queue_bytes);
            self.streams.insert(conn, outbound);
            self.answer(conn, Answer::Stream(reply, rest));
        } else {
            self.answer(conn, Answer::Reply(reply));
        }
    }

    fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest) {
        self.answer(conn, Answer::Forward(doc, Box::new(request)));
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        // A stream that has had its time is the rule, and its end is its body's.
        if let Some(outbound) = self.streams.remove(&conn) {
            if reason.code != Close::NORMAL {
                self.metrics.closed(reason.code);
                tracing::info!(doc = %self.doc, conn = conn.0, code = reason.code, reason = reason.reason, "ended");
            }
            drop(outbound);
        }
        if let Some(outbound) = self.conns.remove(&conn) {
            self.metrics.closed(reason.code);
            tracing::info!(doc = %self.doc, conn = conn.0, code = reason.code, reason = reason.reason, "closed");
            outbound.close(reason);
        }
    }
}
