//! A document's log in memory: what [`yonder_core::log`] asks of a store, in its smallest form.

use bytes::Bytes;
use std::collections::BTreeMap;
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset, Tail};
use yonder_core::replica;

/// The log of one document.
#[derive(Debug, Default)]
pub(crate) struct Log {
    snapshot: Option<Bytes>,
    /// Behind the snapshot, by their numbers.
    updates: BTreeMap<u64, Bytes>,
    end: u64,
}

impl Log {
    /// Does what is asked, at once.
    pub(crate) fn answer(&mut self, request: LogOp) -> Result<LogReply, LogError> {
        Ok(match request {
            LogOp::Load => LogReply::Loaded(Loaded {
                snapshot: self.snapshot.clone(),
                updates: self.updates.values().cloned().collect(),
                tail: self.tail(),
            }),
            LogOp::Append { updates } => {
                for update in updates {
                    self.end += 1;
                    self.updates.insert(self.end, update);
                }
                LogReply::Appended(self.tail())
            }
            LogOp::Compact { upto } => {
                let rest = self.updates.split_off(&(upto.number() + 1));
                let covered = core::mem::replace(&mut self.updates, rest);
                let parts = self.snapshot.take().into_iter().chain(covered.into_values()).collect();
                self.snapshot = Some(replica::compact(parts).map_err(|_| LogError::Corrupt)?);
                LogReply::Compacted(self.tail())
            }
        })
    }

    /// The snapshot, if there is one, and the updates behind it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.snapshot.iter().chain(self.updates.values()).map(AsRef::as_ref)
    }

    fn tail(&self) -> Tail {
        Tail {
            end: Offset::new(self.end),
            updates: self.updates.len() as u64,
            bytes: self.updates.values().map(|update| update.len() as u64).sum(),
            snapshot_bytes: self.snapshot.as_ref().map_or(0, |snapshot| snapshot.len() as u64),
        }
    }
}
