//! A log in memory.

use bytes::Bytes;
use yonder_core::limits::{Compaction, Limits};
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset, Tail};
use yonder_core::replica::{self, Replica};

/// A document's log.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    snapshot: Option<Bytes>,
    updates: Vec<(u64, Bytes)>,
    end: u64,
}

impl MemoryLog {
    /// Does what was asked.
    pub fn answer(&mut self, request: LogOp) -> Result<LogReply, LogError> {
        Ok(match request {
            LogOp::Load => LogReply::Loaded(Loaded {
                snapshot: self.snapshot.clone(),
                updates: self.updates.iter().map(|(_, update)| update.clone()).collect(),
                tail: self.tail(),
            }),
            LogOp::Append { updates } => {
                for update in updates {
                    self.end += 1;
                    self.updates.push((self.end, update));
                }
                LogReply::Appended(self.tail())
            }
            LogOp::Compact { upto } => {
                let covered = |(number, _): &&(u64, Bytes)| *number <= upto.number();
                let parts = self.updates.iter().filter(covered).map(|(_, update)| update.clone());
                let parts = self.snapshot.clone().into_iter().chain(parts).collect();
                self.snapshot = Some(replica::compact(parts).map_err(|_| LogError::Corrupt)?);
                self.updates.retain(|(number, _)| *number > upto.number());
                LogReply::Compacted(self.tail())
            }
        })
    }

    /// The document as it is stored.
    pub fn replica(&self) -> Replica {
        Replica::new(self.snapshot.clone(), self.updates.iter().map(|(_, update)| update.clone()).collect())
    }

    /// What the rooms on this log may take.
    pub fn limits(&self) -> Limits {
        Limits {
            compaction: Compaction { updates: 12, bytes: 4096, idle_updates: 4 },
            commit_interval: 50,
            ..Limits::default()
        }
    }

    fn tail(&self) -> Tail {
        Tail {
            end: Offset::new(self.end),
            updates: self.updates.len() as u64,
            bytes: self.updates.iter().map(|(_, update)| update.len() as u64).sum(),
            snapshot_bytes: self.snapshot.as_ref().map_or(0, |snapshot| snapshot.len() as u64),
        }
    }
}
