//! A log in memory.

use bytes::Bytes;
use std::collections::BTreeMap;
use yonder_core::limits::{Compaction, Limits};
use yonder_core::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, PresencePart, Tail, Version};
use yonder_core::replica::{self, Replica};

/// A document's log.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    life: Life,
    snapshot: Option<(Offset, Bytes)>,
    updates: Vec<(Offset, Bytes)>,
    versions: Vec<(Version, Bytes)>,
    end: u64,
    /// What is kept of who is there. It outlives the document, as its rooms must know.
    pub presence: BTreeMap<PresencePart, Bytes>,
    /// Numbers tell how often the document was deleted, as those of a log that several write to do.
    pub counts_generations: bool,
}

impl MemoryLog {
    /// Does what was asked.
    pub fn answer(&mut self, request: LogOp) -> Result<LogReply, LogError> {
        Ok(match request {
            LogOp::Load { since } | LogOp::Follow { since } => {
                let covered = self.snapshot.as_ref().filter(|(upto, _)| since < *upto);
                LogReply::Loaded(Loaded {
                    snapshot: covered.map(|(_, body)| body.clone()),
                    updates: self.updates.iter().filter(|(offset, _)| *offset > since).cloned().collect(),
                    tail: self.tail(),
                })
            }
            LogOp::Append { .. } if self.life == Life::Deleted => return Err(LogError::Deleted),
            LogOp::Append { updates } => {
                self.append(updates);
                LogReply::Appended(self.tail())
            }
            // Of a document that was deleted since, or compacted further.
            LogOp::Compact { upto } if self.updates.iter().all(|(offset, _)| *offset != upto) => {
                LogReply::Compacted(self.tail())
            }
            LogOp::Compact { upto } => {
                let covered = self.updates.iter().filter(|(offset, _)| *offset <= upto);
                let parts = covered.map(|(_, update)| update.clone());
                let parts = self.snapshot.iter().map(|(_, body)| body.clone()).chain(parts).collect();
                let snapshot = replica::compact(parts).map_err(|_| LogError::Corrupt)?;
                self.updates.retain(|(offset, _)| *offset > upto);
                self.snapshot = Some((upto, snapshot));
                LogReply::Compacted(self.tail())
            }
            LogOp::Create { .. } if self.life == Life::Live => {
                LogReply::Created { existed: true, tail: self.tail() }
            }
            LogOp::Create { updates } => {
                self.append(updates);
                LogReply::Created { existed: false, tail: self.tail() }
            }
            LogOp::Delete => {
                let existed = self.life == Life::Live;
                let life = if existed { Life::Deleted } else { self.life };
                let next = ((self.end >> Offset::GENERATION_SHIFT) + 1) << Offset::GENERATION_SHIFT;
                let end = if existed && self.counts_generations { next } else { self.end };
                let presence = core::mem::take(&mut self.presence);
                let counts_generations = self.counts_generations;
                *self = Self { end, life, counts_generations, presence, ..Self::default() };
                LogReply::Deleted { existed, tail: self.tail() }
            }
            LogOp::PutVersion { version, body, most } => {
                let fits = self.versions.len() < most;
                self.versions.extend(fits.then_some((version, body)));
                LogReply::Done(fits)
            }
            LogOp::ListVersions => {
                LogReply::Versions(self.versions.iter().rev().map(|(version, _)| version.clone()).collect())
            }
            LogOp::ReadVersion { id } => {
                let found = self.versions.iter().find(|(version, _)| version.id == id);
                LogReply::Version(found.map(|(_, body)| body.clone()))
            }
            LogOp::DeleteVersion { id } => {
                let before = self.versions.len();
                self.versions.retain(|(version, _)| version.id != id);
                LogReply::Done(self.versions.len() < before)
            }
            LogOp::ReadPresence(part) => LogReply::Presence(self.presence.get(&part).cloned()),
            LogOp::WritePresence { part, state } => {
                self.presence.remove(&part);
                self.presence.extend((!state.is_empty()).then_some((part, state)));
                LogReply::Done(true)
            }
        })
    }

    fn append(&mut self, updates: Vec<Bytes>) {
        self.life = Life::Live;
        for update in updates {
            self.end += 1;
            self.updates.push((Offset::new(self.end), update));
        }
    }

    /// The document as it is stored.
    pub fn replica(&self) -> Replica {
        let snapshot = self.snapshot.as_ref().map(|(_, body)| body.clone());
        Replica::new(snapshot, self.updates.iter().map(|(_, update)| update.clone()).collect())
    }

    /// The snapshot, if there is one, and the updates behind it.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let snapshot = self.snapshot.iter().map(|(_, body)| body);
        snapshot.chain(self.updates.iter().map(|(_, update)| update)).map(AsRef::as_ref)
    }

    /// Whether the document is there.
    pub fn life(&self) -> Life {
        self.life
    }

    /// What the rooms on this log may take.
    pub fn limits(&self) -> Limits {
        Limits {
            compaction: Compaction {
                updates: 12,
                bytes: 4096,
                idle_updates: 4,
                idle_after: 100,
                ..Limits::default().compaction
            },
            commit_interval: 50,
            ..Limits::default()
        }
    }

    fn tail(&self) -> Tail {
        Tail {
            life: self.life,
            end: Offset::new(self.end),
            snapshot: self.snapshot.as_ref().map_or(Offset::START, |(upto, _)| upto.clone()),
            updates: self.updates.len() as u64,
            bytes: self.updates.iter().map(|(_, update)| update.len() as u64).sum(),
            snapshot_bytes: self.snapshot.as_ref().map_or(0, |(_, body)| body.len() as u64),
        }
    }
}
