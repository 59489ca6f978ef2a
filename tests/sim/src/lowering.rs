//! What the two lowerings have in common.

use crate::store::View;
use yonder_core::kv::{Cost, KvConfig};
use yonder_core::log::{LogError, LogOp, LogReply};
use yonder_core::{DocName, OpId};
use yonder_core::{listed::Listed, sequenced::Sequenced};

/// A lowering of one document's log.
#[allow(async_fn_in_trait)]
pub trait Lowering: 'static {
    /// For a document.
    fn new(view: View, doc: &DocName, config: KvConfig) -> Self;
    /// Does what is asked.
    async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost);
    /// Whether a key may be written with other bytes than before.
    fn overwritten(key: &str) -> bool;
}

/// See [`yonder_core::listed`].
pub struct OnLists(Listed<View>);

/// See [`yonder_core::sequenced`].
pub struct OnCounts(Sequenced<View>);

impl Lowering for OnLists {
    fn new(view: View, doc: &DocName, config: KvConfig) -> Self {
        Self(Listed::new(view, doc, config))
    }

    async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
        self.0.run(op, request).await
    }

    fn overwritten(_: &str) -> bool {
        false
    }
}

impl Lowering for OnCounts {
    fn new(view: View, doc: &DocName, config: KvConfig) -> Self {
        Self(Sequenced::new(view, doc, config))
    }

    async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
        self.0.run(op, request).await
    }

    /// The head, and which versions there may be, are hints; of a tombstone it is enough that it is there.
    fn overwritten(key: &str) -> bool {
        key.starts_with(['h', 'l', 't'])
    }
}
