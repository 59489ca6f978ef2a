//! The reading threads: loads, and the reading half of compactions.

use super::write::{Write, tail};
use super::{Job, log_error};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender};
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset};
use yonder_core::replica;

/// Loads until all senders are gone.
pub(super) fn run_loads(db: &Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = {
            let Ok(queue) = queue.lock() else { return };
            queue.recv()
        };
        let Ok(job) = job else { return };
        (job.answer)(
            load(db, &job.key, None).map(LogReply::Loaded).map_err(|error| failed(&job.key, &error)),
        );
    }
}

/// Compacts until all senders are gone.
pub(super) fn run_compactions(db: &Connection, queue: &Receiver<Job>, writer: &Sender<Write>) {
    while let Ok(Job { key, request, answer }) = queue.recv() {
        let LogOp::Compact { upto } = request else { continue };
        match snapshot(db, &key, upto) {
            Ok(snapshot) => {
                let refused = writer.send(Write::Replace { key, upto, snapshot, answer });
                if let Err(refused) = refused
                    && let Write::Replace { answer, .. } = refused.0
                {
                    answer(Err(LogError::Unavailable));
                }
            }
            Err(error) => {
                tracing::error!(doc = %key, %error, "a compaction failed; the log stays as it is");
                answer(Err(error));
            }
        }
    }
}

fn snapshot(db: &Connection, key: &str, upto: Offset) -> Result<Bytes, LogError> {
    let loaded = load(db, key, Some(upto)).map_err(|error| failed(key, &error))?;
    let updates = loaded.snapshot.into_iter().chain(loaded.updates).collect();
    replica::compact(updates).map_err(|_| LogError::Corrupt)
}

/// A document, or its part up to an update, as of one moment.
fn load(db: &Connection, key: &str, upto: Option<Offset>) -> rusqlite::Result<Loaded> {
    // One read transaction: a compaction between two statements would hide what it moved.
    let txn = db.unchecked_transaction()?;
    let document = txn
        .prepare_cached("SELECT id, end_number, updates, bytes, snapshot_bytes FROM document WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get::<_, i64>(0)?, tail(row)?)))
        .optional()?;
    let Some((id, tail)) = document else { return Ok(Loaded::default()) };
    let snapshot = txn
        .prepare_cached("SELECT body FROM snapshot WHERE document = ?1")?
        .query_row([id], |row| row.get::<_, Vec<u8>>(0))
        .optional()?
        .map(Bytes::from);
    let updates = txn
        .prepare_cached("SELECT body FROM log_entry WHERE document = ?1 AND number <= ?2 ORDER BY number")?
        .query_map(params![id, upto.unwrap_or(tail.end).number()], |row| {
            row.get::<_, Vec<u8>>(0).map(Bytes::from)
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Loaded { snapshot, updates, tail })
}

fn failed(key: &str, error: &rusqlite::Error) -> LogError {
    tracing::error!(doc = %key, %error, "a read from the store failed");
    log_error(error)
}
