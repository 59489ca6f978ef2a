//! The writing thread: everything that is queued goes into one transaction, answered after its `fsync`.

use super::document::{self, Document};
use super::{Answer, log_error, version};
use bytes::Bytes;
use rusqlite::{Connection, Transaction, params};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use yonder_core::log::{Life, LogError, LogReply, Offset, Tail, Version};

/// What the writer does, and where its answer goes.
pub(super) enum Write {
    /// Changes one document.
    Document { name: Arc<str>, change: Change, answer: Answer },
    /// Writes a row and reads it back, to show that it can be done.
    Check { answer: Answer },
}

/// A change of one document.
pub(super) enum Change {
    Append {
        updates: Vec<Bytes>,
    },
    Create {
        updates: Vec<Bytes>,
    },
    Delete,
    PutVersion {
        version: Version,
        body: Bytes,
        most: usize,
    },
    DeleteVersion {
        id: String,
    },
    /// The writing half of a compaction: a snapshot in place of what it was made of.
    Replace {
        /// The last update that went into it; [`Offset::START`] if none did: then there is nothing to replace.
        upto: Offset,
        snapshot: Bytes,
    },
}

/// What became of a write within its transaction. An error here is an answer, and no reason to undo the others.
type Reply = Result<LogReply, LogError>;

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

/// Stores a batch and answers it.
pub(super) fn commit(db: &mut Connection, batch: Vec<Write>) {
    match transact(db, &batch) {
        Ok(replies) => {
            for (write, reply) in batch.into_iter().zip(replies) {
                (write.into_answer())(reply);
            }
        }
        // Nothing was stored. One by one, so that what is wrong with one write does not fail the others.
        Err(_) if batch.len() > 1 => batch.into_iter().for_each(|write| commit(db, vec![write])),
        // If the commit itself failed, it may be there all the same. The room's retry then stores a second copy,
        // which merging and compaction make one again.
        Err(error) => {
            tracing::error!(%error, "a write to the store failed");
            for write in batch {
                write.fail(log_error(&error));
            }
        }
    }
}

/// Stores a batch, all of it or, with an error, nothing.
pub(super) fn transact(db: &mut Connection, batch: &[Write]) -> rusqlite::Result<Vec<Reply>> {
    let txn = db.transaction()?;
    let replies = batch.iter().map(|write| apply(&txn, write)).collect::<rusqlite::Result<_>>()?;
    txn.commit()?;
    Ok(replies)
}

fn apply(txn: &Transaction<'_>, write: &Write) -> rusqlite::Result<Reply> {
    let (name, change) = match write {
        Write::Document { name, change, .. } => (name, change),
        Write::Check { .. } => return check(txn),
    };
    match change {
        Change::Append { updates } => append(txn, name, updates),
        Change::Create { updates } => create(txn, name, updates).map(Ok),
        Change::Delete => delete(txn, name).map(Ok),
        Change::PutVersion { version, body, most } => version::put(txn, name, version, body, *most),
        Change::DeleteVersion { id } => Ok(Ok(LogReply::Done(version::delete(txn, name, id)?))),
        Change::Replace { upto, snapshot } => {
            Ok(Ok(LogReply::Compacted(replace(txn, name, upto, snapshot)?)))
        }
    }
}

fn append(txn: &Transaction<'_>, name: &str, updates: &[Bytes]) -> rusqlite::Result<Reply> {
    let document = match document::find(txn, name)? {
        Some(document) if document.is_live() => document,
        Some(_) => return Ok(Err(LogError::Deleted)),
        None => document::insert(txn, name)?,
    };
    Ok(Ok(LogReply::Appended(push(txn, document, updates)?)))
}

fn create(txn: &Transaction<'_>, name: &str, updates: &[Bytes]) -> rusqlite::Result<LogReply> {
    let document = match document::find(txn, name)? {
        Some(document) if document.is_live() => {
            return Ok(LogReply::Created { existed: true, tail: document.tail });
        }
        // Its numbers go on where they were: a place of before is never one of now.
        Some(Document { id, tail }) => Document { id, tail: Tail { life: Life::Live, ..tail } },
        None => document::insert(txn, name)?,
    };
    Ok(LogReply::Created { existed: false, tail: push(txn, document, updates)? })
}

/// Puts updates behind the last one.
fn push(txn: &Transaction<'_>, mut document: Document, updates: &[Bytes]) -> rusqlite::Result<Tail> {
    let mut insert =
        txn.prepare_cached("INSERT INTO log_entry (document, number, body) VALUES (?1, ?2, ?3)")?;
    let tail = &mut document.tail;
    for update in updates {
        tail.end = Offset::new(tail.end.number() + 1);
        tail.updates += 1;
        tail.bytes += update.len() as u64;
        insert.execute(params![document.id, tail.end.number(), update.as_ref()])?;
    }
    document.save(txn)?;
    Ok(document.tail)
}

fn delete(txn: &Transaction<'_>, name: &str) -> rusqlite::Result<LogReply> {
    let (existed, tail) = match document::find(txn, name)? {
        None => (false, Tail::default()),
        Some(document) if !document.is_live() => (false, document.tail),
        Some(mut document) => {
            txn.prepare_cached("DELETE FROM log_entry WHERE document = ?1")?.execute([document.id])?;
            txn.prepare_cached("DELETE FROM snapshot WHERE document = ?1")?.execute([document.id])?;
            version::delete_all(txn, &document)?;
            document.tail = Tail { life: Life::Deleted, end: document.tail.end, ..Tail::default() };
            document.save(txn)?;
            (true, document.tail)
        }
    };
    Ok(LogReply::Deleted { existed, tail })
}

fn replace(txn: &Transaction<'_>, name: &str, upto: &Offset, snapshot: &Bytes) -> rusqlite::Result<Tail> {
    let Some(mut document) = document::find(txn, name)? else { return Ok(Tail::default()) };
    // Between the reading half and this one the document may have been deleted, and made anew. A number is given
    // once: if the last update that was read is still in the log, the document was not deleted since, and no other
    // compaction went as far. If it is not, what is there now is newer than this snapshot, and stays.
    let last: bool = txn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM log_entry WHERE document = ?1 AND number = ?2)")?
        .query_row(params![document.id, upto.number()], |row| row.get(0))?;
    if !last {
        return Ok(document.tail);
    }
    txn.prepare_cached("INSERT OR REPLACE INTO snapshot (document, upto, body) VALUES (?1, ?2, ?3)")?
        .execute(params![document.id, upto.number(), snapshot.as_ref()])?;
    txn.prepare_cached("DELETE FROM log_entry WHERE document = ?1 AND number <= ?2")?
        .execute(params![document.id, upto.number()])?;
    let (updates, bytes) = txn
        .prepare_cached("SELECT count(*), coalesce(sum(length(body)), 0) FROM log_entry WHERE document = ?1")?
        .query_row([document.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let snapshot_bytes = snapshot.len() as u64;
    document.tail = Tail { snapshot: upto.clone(), updates, bytes, snapshot_bytes, ..document.tail };
    document.save(txn)?;
    Ok(document.tail)
}

fn check(txn: &Transaction<'_>) -> rusqlite::Result<Reply> {
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    // Always another value, so that a page is really written.
    let written = txn
        .prepare_cached(
            "INSERT INTO probe (id, checks) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET checks = checks + 1
             RETURNING checks",
        )?
        .query_row([], number)?;
    let read = txn.prepare_cached("SELECT checks FROM probe WHERE id = 1")?.query_row([], number)?;
    Ok(if read == written { Ok(LogReply::Done(true)) } else { Err(LogError::Corrupt) })
}

impl Write {
    /// Answers that it could not be done.
    pub(super) fn fail(self, error: LogError) {
        (self.into_answer())(Err(error));
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Document { change: Change::Append { updates } | Change::Create { updates }, .. } => {
                updates.iter().map(Bytes::len).sum()
            }
            Self::Document { change: Change::PutVersion { body, .. }, .. } => body.len(),
            Self::Document { change: Change::Replace { snapshot, .. }, .. } => snapshot.len(),
            Self::Document { change: Change::Delete | Change::DeleteVersion { .. }, .. }
            | Self::Check { .. } => 0,
        }
    }

    fn into_answer(self) -> Answer {
        match self {
            Self::Document { answer, .. } | Self::Check { answer } => answer,
        }
    }
}
