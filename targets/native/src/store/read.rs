//! The reading threads: loads, lists, and the reading half of compactions.

use super::document::{self, Document};
use super::write::{Change, Write};
use super::{Answer, CatalogAnswer, log_error, version};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use yonder_core::log::{Loaded, LogError, LogReply, Offset};
use yonder_core::replica;

/// Updates and their places.
type Updates = Vec<(Offset, Bytes)>;

/// What a reader does, and where its answer goes.
pub(super) enum Read {
    /// Asks one document.
    Document { name: Arc<str>, question: Question, answer: Answer },
    /// Lists documents.
    List { prefix: String, after: String, limit: usize, answer: CatalogAnswer },
}

/// A question to one document.
pub(super) enum Question {
    Load { since: Offset },
    ListVersions,
    ReadVersion { id: String },
}

/// A document to compact, and where the answer goes.
pub(super) struct Compaction {
    pub(super) name: Arc<str>,
    pub(super) upto: Offset,
    pub(super) answer: Answer,
}

/// Reads until all senders are gone.
pub(super) fn run(db: &Connection, queue: &Mutex<Receiver<Read>>) {
    loop {
        let read = {
            let Ok(queue) = queue.lock() else { return };
            queue.recv()
        };
        match read {
            Ok(Read::Document { name, question, answer }) => answer(ask(db, &name, &question)),
            Ok(Read::List { prefix, after, limit, answer }) => {
                let list = document::list(db, &prefix, &after, limit);
                answer(list.map_err(|error| failed(&prefix, &error)));
            }
            Err(_) => return,
        }
    }
}

/// Compacts until all senders are gone.
pub(super) fn run_compactions(db: &Connection, queue: &Receiver<Compaction>, writer: &Sender<Write>) {
    while let Ok(Compaction { name, upto, answer }) = queue.recv() {
        match merge(db, &name, &upto) {
            Ok(change) => {
                if let Err(refused) = writer.send(Write::Document { name, change, answer }) {
                    refused.0.fail(LogError::Unavailable);
                }
            }
            Err(error) => {
                tracing::error!(doc = ?name, %error, "a compaction failed; the log stays as it is");
                answer(Err(error));
            }
        }
    }
}

/// The reading half of a compaction: what the writer is to do, if it is not too late by then.
pub(super) fn merge(db: &Connection, name: &str, upto: &Offset) -> Result<Change, LogError> {
    let (snapshot, updates) = covered(db, name, upto).map_err(|error| failed(name, &error))?;
    // The last that was read, and not the last that was asked for: that may lie beyond the end.
    let Some(upto) = updates.last().map(|(offset, _)| offset.clone()) else {
        return Ok(Change::Replace { upto: Offset::START, snapshot: Bytes::new() });
    };
    let parts = snapshot.into_iter().chain(updates.into_iter().map(|(_, update)| update)).collect();
    let snapshot = replica::compact(parts).map_err(|_| LogError::Corrupt)?;
    Ok(Change::Replace { upto, snapshot })
}

fn ask(db: &Connection, name: &str, question: &Question) -> Result<LogReply, LogError> {
    match question {
        Question::Load { since } => load(db, name, since).map(LogReply::Loaded),
        Question::ListVersions => version::list(db, name).map(LogReply::Versions),
        Question::ReadVersion { id } => version::read(db, name, id).map(LogReply::Version),
    }
    .map_err(|error| failed(name, &error))
}

/// A document behind an update, as of one moment.
fn load(db: &Connection, name: &str, since: &Offset) -> rusqlite::Result<Loaded> {
    // One read transaction: a compaction between two statements would hide what it moved.
    let txn = db.unchecked_transaction()?;
    let Some(document) = document::find(&txn, name)? else { return Ok(Loaded::default()) };
    let tail = &document.tail;
    if *since >= tail.end {
        return Ok(Loaded { tail: document.tail, ..Loaded::default() });
    }
    let snapshot = if *since < tail.snapshot { snapshot(&txn, &document)? } else { None };
    let updates = updates(&txn, &document, since.max(&tail.snapshot), &tail.end)?;
    Ok(Loaded { snapshot, updates, tail: document.tail })
}

/// What a snapshot up to an update is made of: the one before, and the updates between the two.
fn covered(db: &Connection, name: &str, upto: &Offset) -> rusqlite::Result<(Option<Bytes>, Updates)> {
    let txn = db.unchecked_transaction()?;
    let Some(document) = document::find(&txn, name)? else { return Ok((None, Vec::new())) };
    let tail = &document.tail;
    let updates = updates(&txn, &document, &tail.snapshot, upto.min(&tail.end))?;
    Ok((snapshot(&txn, &document)?, updates))
}

fn snapshot(db: &Connection, document: &Document) -> rusqlite::Result<Option<Bytes>> {
    db.prepare_cached("SELECT body FROM snapshot WHERE document = ?1")?
        .query_row([document.id], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
        .optional()
}

/// The updates behind `since` up to `upto`, in their order. Both are places that the document has or had: the largest
/// numbers of an [`Offset`] are beyond what SQLite takes.
fn updates(db: &Connection, document: &Document, since: &Offset, upto: &Offset) -> rusqlite::Result<Updates> {
    db.prepare_cached(
        "SELECT number, body FROM log_entry WHERE document = ?1 AND number > ?2 AND number <= ?3
         ORDER BY number",
    )?
    .query_map(params![document.id, since.number(), upto.number()], |row| {
        Ok((Offset::new(row.get(0)?), row.get::<_, Vec<u8>>(1)?.into()))
    })?
    .collect()
}

fn failed(name: &str, error: &rusqlite::Error) -> LogError {
    tracing::error!(doc = ?name, %error, "a read from the store failed");
    log_error(error)
}

impl Read {
    /// Answers that it could not be done.
    pub(super) fn fail(self, error: LogError) {
        match self {
            Self::Document { answer, .. } => answer(Err(error)),
            Self::List { answer, .. } => answer(Err(error)),
        }
    }
}

impl Compaction {
    /// Answers that it could not be done.
    pub(super) fn fail(self, error: LogError) {
        (self.answer)(Err(error));
    }
}
