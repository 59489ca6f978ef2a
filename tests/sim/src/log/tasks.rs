//! Tasks: requests to the log that are under way. There is no runtime: a task is polled when something that it waits
//! for has come.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yonder_core::OpId;
use yonder_core::kv::Cost;
use yonder_core::log::{LogError, LogOp, LogReply, Offset};

/// A request under way, or its outcome.
pub(crate) type Running = Pin<Box<dyn Future<Output = (Result<LogReply, LogError>, Cost)>>>;

/// What a request is for.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// These edits are appended.
    Append { edits: Vec<usize>, op: OpId, tries: u32 },
    /// The document is made, with these edits.
    Create { edits: Vec<usize> },
    /// A reader goes on.
    Load { reader: usize, since: Offset },
    /// Somebody asks how long the log is.
    Peek,
    /// The log is compacted.
    Compact,
    /// The document is deleted: the number of the attempt.
    Delete { attempt: usize },
}

/// A request to an instance.
pub(super) struct Task<L> {
    pub(super) instance: usize,
    pub(super) doc: usize,
    pub(super) job: Job,
    pub(super) began: u64,
    pub(super) object: Rc<L>,
    pub(super) running: Running,
}

/// An append that failed and is to be tried again by the same instance.
pub(super) struct Retry<L> {
    pub(super) instance: usize,
    pub(super) doc: usize,
    pub(super) object: Rc<L>,
    pub(super) op: OpId,
    pub(super) edits: Vec<usize>,
    pub(super) tries: u32,
}

/// Polls once.
pub(crate) fn poll(running: &mut Running) -> Option<(Result<LogReply, LogError>, Cost)> {
    match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// Starts a request.
pub(crate) fn start<L: crate::lowering::Lowering>(object: &Rc<L>, op: OpId, request: LogOp) -> Running {
    let object = Rc::clone(object);
    Box::pin(async move { object.run(op, request).await })
}
