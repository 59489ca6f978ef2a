//! The queue between a room and one connection: bounded, so that a reader who does not read costs no more.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use yonder_core::Close;

/// What a queued frame costs beside its bytes, which it may share with other connections.
const FRAME_COST: usize = 64;

/// The room's end.
pub(crate) struct Outbound {
    frames: mpsc::UnboundedSender<Bytes>,
    held: Arc<AtomicUsize>,
    limit: usize,
    end: oneshot::Sender<Close>,
}

/// The connection's end.
pub(crate) struct Pending {
    frames: mpsc::UnboundedReceiver<Bytes>,
    held: Arc<AtomicUsize>,
}

/// A queue that holds about `limit` bytes, and what tells why the room ended the connection; an error if the room
/// itself is gone.
pub(crate) fn queue(limit: usize) -> (Outbound, Pending, oneshot::Receiver<Close>) {
    let (frames, queued) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel();
    let held = Arc::new(AtomicUsize::new(0));
    let outbound = Outbound { frames, held: Arc::clone(&held), limit, end };
    (outbound, Pending { frames: queued, held }, ended)
}

impl Outbound {
    /// Queues a frame; false if more than the limit waits already. A single frame may exceed it: a document's
    /// first answer has to come through.
    pub(crate) fn push(&self, frame: Bytes) -> bool {
        let cost = frame.len() + FRAME_COST;
        if self.held.load(Ordering::Relaxed) > self.limit {
            return false;
        }
        self.held.fetch_add(cost, Ordering::Relaxed);
        // A connection that is gone reports so itself.
        let _ = self.frames.send(frame);
        true
    }

    /// Ends the connection once what is queued was sent.
    pub(crate) fn close(self, reason: Close) {
        let _ = self.end.send(reason);
    }
}

impl Pending {
    /// The next frame; none once the room let go of the connection.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.recv().await?;
        self.taken(&frame);
        Some(frame)
    }

    /// The next frame, as a poll.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.frames.poll_recv(context).map(|frame| frame.inspect(|frame| self.taken(frame)))
    }

    /// The next frame if there is one already.
    pub(crate) fn next_now(&mut self) -> Option<Bytes> {
        let frame = self.frames.try_recv().ok()?;
        self.taken(&frame);
        Some(frame)
    }

    fn taken(&self, frame: &Bytes) {
        self.held.fetch_sub(frame.len() + FRAME_COST, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_until_something_is_taken() {
        let (outbound, mut pending, _end) = queue(100);
        assert!(outbound.push(Bytes::from_static(&[0; 1000])));
        assert!(!outbound.push(Bytes::from_static(&[0])));
        assert_eq!(pending.next_now().map(|frame| frame.len()), Some(1000));
        assert!(outbound.push(Bytes::from_static(&[0])));
    }
}
