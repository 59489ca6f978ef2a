//! The writing thread: everything that is queued goes into one transaction, answered after its `fsync`.

use super::{Answer, Job, log_error};
use bytes::Bytes;
use rusqlite::{Connection, Transaction, params};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use yonder_core::log::{LogOp, LogReply, Offset, Tail};

/// What the writer does.
pub(super) enum Write {
    /// An append.
    Append(Job),
    /// The writing half of a compaction: a snapshot in place of the updates that it covers.
    Replace { key: Arc<str>, upto: Offset, snapshot: Bytes, answer: Answer },
}

/// Jobs and bytes of one transaction: bounds how long the first of them waits for the last.
const BATCH_JOBS: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;

/// Works until all senders are gone.
pub(super) fn run(mut db: Connection, queue: &Receiver<Write>) {
    while let Ok(first) = queue.recv() {
        let mut bytes = first.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_JOBS && bytes < BATCH_BYTES {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes();
            batch.push(next);
        }
        commit(&mut db, batch);
    }
}

fn commit(db: &mut Connection, batch: Vec<Write>) {
    match transact(db, &batch) {
        Ok(replies) => {
            for (write, reply) in batch.into_iter().zip(replies) {
                (write.into_answer())(Ok(reply));
            }
        }
        // Nothing was stored. One by one, so that what is wrong with one write does not fail the others.
        Err(_) if batch.len() > 1 => batch.into_iter().for_each(|write| commit(db, vec![write])),
        // If the commit itself failed, it may be there all the same. The room's retry then stores a second copy,
        // which merging and compaction make one again.
        Err(error) => {
            tracing::error!(%error, "a write to the store failed");
            for write in batch {
                (write.into_answer())(Err(log_error(&error)));
            }
        }
    }
}

fn transact(db: &mut Connection, batch: &[Write]) -> rusqlite::Result<Vec<LogReply>> {
    let txn = db.transaction()?;
    let replies = batch
        .iter()
        .map(|write| match write {
            Write::Append(Job { key, request: LogOp::Append { updates }, .. }) => append(&txn, key, updates),
            Write::Replace { key, upto, snapshot, .. } => replace(&txn, key, *upto, snapshot),
            Write::Append(_) => Err(rusqlite::Error::InvalidQuery),
        })
        .collect::<rusqlite::Result<_>>()?;
    txn.commit()?;
    Ok(replies)
}

fn append(txn: &Transaction<'_>, key: &str, updates: &[Bytes]) -> rusqlite::Result<LogReply> {
    let bytes: usize = updates.iter().map(Bytes::len).sum();
    let (document, tail) = txn
        .prepare_cached(
            "INSERT INTO document (key, end_number, updates, bytes, snapshot_bytes) VALUES (?1, ?2, ?2, ?3, 0)
             ON CONFLICT (key) DO UPDATE
             SET end_number = end_number + ?2, updates = updates + ?2, bytes = bytes + ?3
             RETURNING id, end_number, updates, bytes, snapshot_bytes",
        )?
        .query_row(params![key, updates.len(), bytes], |row| Ok((row.get::<_, i64>(0)?, tail(row)?)))?;
    let mut insert =
        txn.prepare_cached("INSERT INTO log_entry (document, number, body) VALUES (?1, ?2, ?3)")?;
    let first = tail.end.number() + 1 - updates.len() as u64;
    for (number, update) in (first..).zip(updates) {
        insert.execute(params![document, number, update.as_ref()])?;
    }
    Ok(LogReply::Appended(tail))
}

fn replace(txn: &Transaction<'_>, key: &str, upto: Offset, snapshot: &Bytes) -> rusqlite::Result<LogReply> {
    let upto = upto.number();
    let document: i64 =
        txn.prepare_cached("SELECT id FROM document WHERE key = ?1")?.query_row([key], |row| row.get(0))?;
    txn.prepare_cached("INSERT OR REPLACE INTO snapshot (document, upto, body) VALUES (?1, ?2, ?3)")?
        .execute(params![document, upto, snapshot.as_ref()])?;
    txn.prepare_cached("DELETE FROM log_entry WHERE document = ?1 AND number <= ?2")?
        .execute(params![document, upto])?;
    let tail = txn
        .prepare_cached(
            "UPDATE document SET snapshot_bytes = ?2, (updates, bytes) =
                 (SELECT count(*), coalesce(sum(length(body)), 0) FROM log_entry WHERE document = ?1)
             WHERE id = ?1 RETURNING id, end_number, updates, bytes, snapshot_bytes",
        )?
        .query_row(params![document, snapshot.len()], tail)?;
    Ok(LogReply::Compacted(tail))
}

/// A row of `id, end_number, updates, bytes, snapshot_bytes`.
pub(super) fn tail(row: &rusqlite::Row<'_>) -> rusqlite::Result<Tail> {
    Ok(Tail {
        end: Offset::new(row.get(1)?),
        updates: row.get(2)?,
        bytes: row.get(3)?,
        snapshot_bytes: row.get(4)?,
    })
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(Job { request: LogOp::Append { updates }, .. }) => {
                updates.iter().map(Bytes::len).sum()
            }
            Self::Append(_) => 0,
            Self::Replace { snapshot, .. } => snapshot.len(),
        }
    }

    fn into_answer(self) -> Answer {
        match self {
            Self::Append(job) => job.answer,
            Self::Replace { answer, .. } => answer,
        }
    }
}
