//! The log in SQLite: one file, rows for updates, a snapshot and the deletion of what it covers in one
//! transaction.
//!
//! # Why SQLite
//!
//! `cargo xtask bench store` compares it with redb, fjall and LMDB, each with full durability. Medians of seven
//! interleaved rounds on 2 cores and a noisy disk, on which throughput did not decide:
//!
//! | | redb 4.5 | redb, quick repair | fjall 3.1 | SQLite (rusqlite 0.41) | LMDB (heed 0.22) |
//! |---|---|---|---|---|---|
//! | durable appends/s, 1 writer | 1,310 | 1,477 | 4,758 | 3,591 | 2,094 |
//! | durable appends/s, 64 writers | 26,700 | 16,200 | 39,400 | 30,500 | 29,300 |
//! | p99 of an ack with compactions beside it, ms | 9.2 | 8.8 | 8.5 | 7.2 | 9.8 |
//! | open 100,000 documents after kill -9, ms | 490 | 3.9 | 819 | 1.8 | 0.14 |
//! | size of these on disk, MiB | 111 | 111 | 103 | 59 | 124 |
//! | resident after opening them, MiB | 4.6 | 4.4 | 23 | 5.6 | 4.6 |
//! | acknowledged updates lost in 20 kills | 0 | 0 | 0 | 0 | 0 |
//!
//! SQLite opens at once after a crash, has the smallest file, is the most widely used, refuses a second write of
//! a row by itself, and is what Durable Objects and the JavaScript runtimes have, so that the tables in `schema`
//! can be theirs as well. Its price is a C compiler. A power cut was not tried.
//!
//! # How it is used
//!
//! One thread writes. It takes everything that is queued, from all documents, into one transaction and one
//! `fsync` (group commit), and answers only then. Loads, lists and the reading half of compaction run beside it on
//! connections of their own, as write-ahead logging allows; so a compaction never holds up an append.
//!
//! A document is its row in the table `document`, which is never removed: a deleted one keeps it as a tombstone,
//! with the number behind which it would begin anew. So a number is given once, whatever happens to the document.

mod document;
mod read;
mod schema;
mod version;
mod write;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use yonder_core::DocName;
use yonder_core::log::{CatalogOp, Listed, LogError, LogOp, LogReply};

use read::{Compaction, Question, Read};
use write::{Change, Write};

/// Called once with the store's answer, on a thread of the store: it must not block.
pub(crate) type Answer = Box<dyn FnOnce(Result<LogReply, LogError>) + Send>;
/// The same for a [`CatalogOp`].
pub(crate) type CatalogAnswer = Box<dyn FnOnce(Result<Vec<Listed>, LogError>) + Send>;

/// The store of one data directory. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Store {
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Read>,
    compactions: mpsc::Sender<Compaction>,
}

/// The store's threads and its lock. [`Running::stop`] after the last handle is gone.
pub(crate) struct Running {
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

/// Threads that load documents: one large document holds up the others by half at most.
const READERS: usize = 2;

impl Store {
    /// Opens the store in `dir`, which is made if need be. Only one process may have it open.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Running), OpenError> {
        fs::create_dir_all(dir).map_err(OpenError::Directory)?;
        let lock = File::create(dir.join("lock")).map_err(OpenError::Directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(OpenError::Directory(error)),
        }
        let path = dir.join("yonder.db");
        let writer = schema::writer(&path)?;
        let mut threads = Vec::new();
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map(|thread| threads.push(thread))
                .map_err(OpenError::Directory)
        };
        let (writes, queue) = mpsc::channel();
        spawn("store-writer", Box::new(move || write::run(writer, &queue)))?;
        let (reads, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..READERS {
            let (reader, queue) = (schema::reader(&path)?, Arc::clone(&queue));
            spawn("store-reader", Box::new(move || read::run(&reader, &queue)))?;
        }
        let (compactions, queue) = mpsc::channel();
        let (reader, to_writer) = (schema::reader(&path)?, writes.clone());
        spawn("store-compactor", Box::new(move || read::run_compactions(&reader, &queue, &to_writer)))?;
        Ok((Self { writes, reads, compactions }, Running { threads, _lock: lock }))
    }

    /// Puts a request into its queue; `doc` is from [`name`]. Requests of one document that are writes are done in
    /// their order, and a read sees every write that was answered before.
    pub(crate) fn submit(&self, doc: &Arc<str>, request: LogOp, answer: Answer) {
        let name = Arc::clone(doc);
        let read = |question, answer| self.read(Read::Document { name: Arc::clone(doc), question, answer });
        let change = match request {
            LogOp::Load { since } | LogOp::Follow { since } => return read(Question::Load { since }, answer),
            LogOp::ListVersions => return read(Question::ListVersions, answer),
            LogOp::ReadVersion { id } => return read(Question::ReadVersion { id }, answer),
            LogOp::Compact { upto } => {
                if let Err(refused) = self.compactions.send(Compaction { name, upto, answer }) {
                    refused.0.fail(LogError::Unavailable);
                }
                return;
            }
            LogOp::Append { updates } => Change::Append { updates },
            LogOp::Create { updates } => Change::Create { updates },
            LogOp::Delete => Change::Delete,
            LogOp::PutVersion { version, body, most } => Change::PutVersion { version, body, most },
            LogOp::DeleteVersion { id } => Change::DeleteVersion { id },
            // This process is the only one of its documents.
            LogOp::ReadPresence(_) | LogOp::WritePresence { .. } => return answer(Err(LogError::Refused)),
        };
        self.write(Write::Document { name, change, answer });
    }

    /// Puts a request to all documents into its queue.
    pub(crate) fn catalog(&self, request: CatalogOp, answer: CatalogAnswer) {
        match request {
            CatalogOp::List { prefix, after, limit } => {
                self.read(Read::List { prefix, after, limit, answer });
            }
            CatalogOp::Check => {
                let answer = Box::new(move |reply: Result<_, _>| answer(reply.map(|_| Vec::new())));
                self.write(Write::Check { answer });
            }
        }
    }

    // A queue refuses what it is given if its thread is gone: it panicked, and said so.

    fn read(&self, read: Read) {
        if let Err(refused) = self.reads.send(read) {
            refused.0.fail(LogError::Unavailable);
        }
    }

    fn write(&self, write: Write) {
        if let Err(refused) = self.writes.send(write) {
            refused.0.fail(LogError::Unavailable);
        }
    }
}

impl Running {
    /// Waits until everything that was submitted is done. Handles must be gone, or this waits for them.
    pub(crate) fn stop(self) {
        for thread in self.threads {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The name that a document has in the store, and in [`CatalogOp::List`].
pub(crate) fn name(doc: &DocName) -> Arc<str> {
    doc.internal().into()
}

fn log_error(error: &rusqlite::Error) -> LogError {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => LogError::Corrupt,
        Some(Code::DiskFull | Code::TooBig | Code::ReadOnly) => LogError::Refused,
        _ => LogError::Unavailable,
    }
}

/// Why a store could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The directory or its lock.
    Directory(std::io::Error),
    /// Another process has it open.
    InUse,
    /// The file is from another version of yonder.
    Version(i64),
    /// An older version's row has a key that no document has.
    Key(String),
    /// SQLite says.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::InUse => f.write_str("another process serves from it"),
            Self::Version(version) => {
                write!(
                    f,
                    "its tables are of version {version}, this yonder knows version {}",
                    schema::VERSION
                )
            }
            Self::Key(key) => write!(f, "its tables have a document {key:?}, which is no document's key"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests;
