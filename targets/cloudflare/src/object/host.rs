//! What the object does for its room.

use super::sockets::Sockets;
use crate::log::{Body, Log};
use crate::web;
use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use worker::{console_debug, console_log};
use yonder_core::http::Reply;
use yonder_core::log::{LogError, LogOp, LogReply, Offset, Version};
use yonder_core::request::DocRequest;
use yonder_core::{Close, ConnId, DocName, Host, Millis, OpId, To};

/// Bytes that may wait for one event stream.
const QUEUE_MAX: usize = 8 << 20;

/// What the room answers an HTTP request.
pub(super) enum Answer {
    /// All of it.
    Reply(Reply),
    /// Its beginning, and what follows.
    Stream(Reply, Tail),
    /// Ask another document.
    Forward(DocName, Box<DocRequest>),
}

/// The rest of an event stream, and how many bytes wait in it.
pub(super) type Tail = (mpsc::UnboundedReceiver<Bytes>, Rc<Cell<usize>>);

/// What takes time, and is done when the object has nothing else in hand.
pub(super) enum Job {
    /// A load whose snapshot is in R2.
    Load { op: OpId, since: Offset },
    /// A version that goes to R2.
    PutVersion { op: OpId, version: Version, body: Bytes, most: usize },
    /// A version that is in R2.
    ReadVersion { op: OpId, key: String, bytes: u64 },
}

pub(super) struct ObjectHost {
    pub(super) log: Log,
    pub(super) sockets: Sockets,
    /// HTTP requests that are not answered.
    pub(super) requests: HashMap<ConnId, oneshot::Sender<Answer>>,
    streams: HashMap<ConnId, (mpsc::UnboundedSender<Bytes>, Rc<Cell<usize>>)>,
    /// Answers of the log that the room has not had.
    pub(super) stored: VecDeque<(OpId, Result<LogReply, LogError>)>,
    pub(super) jobs: Vec<Job>,
    /// A compaction that the room asked for: the alarm's.
    pub(super) compaction: Option<OpId>,
    /// Connections that cannot be sent anything any more.
    pub(super) gone: Vec<(ConnId, Option<Close>)>,
    pub(super) has_bucket: bool,
    /// What was told last: the platform's clock may be set back.
    last: Cell<Millis>,
}

impl ObjectHost {
    pub(super) fn new(log: Log, sockets: Sockets, has_bucket: bool) -> Self {
        Self {
            log,
            sockets,
            requests: HashMap::new(),
            streams: HashMap::new(),
            stored: VecDeque::new(),
            jobs: Vec::new(),
            compaction: None,
            gone: Vec::new(),
            has_bucket,
            last: Cell::default(),
        }
    }

    /// Whether requests wait, upon which the object does not sleep anyway.
    pub(super) fn holds_requests(&self) -> bool {
        !self.requests.is_empty() || !self.streams.is_empty()
    }

    /// An answer, or none if a job will give it.
    fn ask(&mut self, op: OpId, request: LogOp) -> Result<Option<LogReply>, LogError> {
        Ok(Some(match request {
            LogOp::Load { since } | LogOp::Follow { since } => {
                let found = self.log.load(&since)?;
                if since == Offset::START {
                    // What a cold document costs.
                    console_debug!(
                        "loaded: {} updates, {} bytes",
                        found.updates.len(),
                        found.tail.document_bytes()
                    );
                }
                match found.snapshot.clone() {
                    None => LogReply::Loaded(found.with(None)),
                    Some(Body::Bytes(snapshot)) => LogReply::Loaded(found.with(Some(snapshot))),
                    Some(Body::Key { .. }) => {
                        self.jobs.push(Job::Load { op, since });
                        return Ok(None);
                    }
                }
            }
            LogOp::Append { updates } => LogReply::Appended(self.log.append(&updates)?),
            LogOp::Compact { .. } => {
                self.compaction = Some(op);
                return Ok(None);
            }
            LogOp::Create { updates } => {
                let (existed, tail) = self.log.create(&updates)?;
                LogReply::Created { existed, tail }
            }
            LogOp::Delete => {
                let (existed, tail) = self.log.delete()?;
                LogReply::Deleted { existed, tail }
            }
            LogOp::PutVersion { version, body, most } if self.has_bucket => {
                self.jobs.push(Job::PutVersion { op, version, body, most });
                return Ok(None);
            }
            LogOp::PutVersion { version, body, most } => {
                LogReply::Done(self.log.put_version(&version, &Body::Bytes(body), most)?)
            }
            LogOp::ListVersions => LogReply::Versions(self.log.versions()?),
            LogOp::ReadVersion { id } => match self.log.version(&id)? {
                None => LogReply::Version(None),
                Some(Body::Bytes(body)) => LogReply::Version(Some(body)),
                Some(Body::Key { key, bytes }) => {
                    self.jobs.push(Job::ReadVersion { op, key, bytes });
                    return Ok(None);
                }
            },
            LogOp::DeleteVersion { id } => LogReply::Done(self.log.delete_version(&id)?),
            // An object is the only one of its document.
            LogOp::ReadPresence(_) | LogOp::WritePresence { .. } => return Err(LogError::Refused),
        }))
    }
}

impl Host for ObjectHost {
    fn now(&self) -> Millis {
        let now = web::now().max(self.last.get());
        self.last.set(now);
        now
    }

    fn store(&mut self, op: OpId, request: LogOp) {
        match self.ask(op, request) {
            Ok(Some(reply)) => self.stored.push_back((op, Ok(reply))),
            Ok(None) => {}
            Err(error) => self.stored.push_back((op, Err(error))),
        }
    }

    fn send(&mut self, to: To, frame: Bytes) {
        let To::Conn(conn) = to else {
            return self.sockets.send(to, &frame);
        };
        let Some((stream, waiting)) = self.streams.get(&conn) else {
            return self.sockets.send(to, &frame);
        };
        waiting.set(waiting.get() + frame.len());
        let slow = waiting.get() > QUEUE_MAX;
        if slow {
            self.gone.push((conn, Some(Close::new(Close::TRY_AGAIN, "this connection reads too slowly"))));
        } else if stream.unbounded_send(frame).is_err() {
            self.gone.push((conn, None));
        }
    }

    fn park(&mut self, conn: ConnId, state: Bytes) {
        self.sockets.park(conn, state);
    }

    fn reply(&mut self, conn: ConnId, reply: Reply) {
        let Some(sender) = self.requests.remove(&conn) else { return };
        let answer = if reply.streams {
            let (stream, rest) = mpsc::unbounded();
            let waiting = Rc::new(Cell::new(0));
            self.streams.insert(conn, (stream, Rc::clone(&waiting)));
            Answer::Stream(reply, (rest, waiting))
        } else {
            Answer::Reply(reply)
        };
        // Who left wants no answer.
        let _ = sender.send(answer);
    }

    fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest) {
        if let Some(sender) = self.requests.remove(&conn) {
            let _ = sender.send(Answer::Forward(doc, Box::new(request)));
        }
    }

    fn close(&mut self, conn: ConnId, reason: Close) {
        // A stream that has had its time is the rule.
        let told = match self.streams.remove(&conn) {
            Some(_) => reason.code != Close::NORMAL,
            None => self.sockets.close(conn, &reason),
        };
        if told {
            console_log!("closed {} of {}: {} {}", conn.0, self.log.name(), reason.code, reason.reason);
        }
    }
}

impl ObjectHost {
    /// Lets go of what belonged to a connection that is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.sockets.forget(conn);
        self.requests.remove(&conn);
        self.streams.remove(&conn);
    }
}
