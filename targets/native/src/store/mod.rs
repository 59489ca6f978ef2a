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
//! a row by itself, and is what Durable Objects and the JavaScript runtimes have, so that the tables below can be
//! theirs as well. Its price is a C compiler. A power cut was not tried.
//!
//! # How it is used
//!
//! One thread writes. It takes everything that is queued, from all documents, into one transaction and one
//! `fsync` (group commit), and answers only then. Loads and the reading half of compaction run beside it on
//! connections of their own, as write-ahead logging allows; so a compaction never holds up an append.

mod read;
mod write;

use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use yonder_core::DocName;
use yonder_core::log::{LogError, LogOp, LogReply};

/// Called once with the store's answer, on a thread of the store: it must not block.
pub(crate) type Answer = Box<dyn FnOnce(Result<LogReply, LogError>) + Send>;

/// A request for one document, and where its answer goes.
struct Job {
    key: Arc<str>,
    request: LogOp,
    answer: Answer,
}

/// The store of one data directory. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Store {
    writes: mpsc::Sender<write::Write>,
    reads: mpsc::Sender<Job>,
    compactions: mpsc::Sender<Job>,
}

/// The store's threads and its lock. [`Running::stop`] after the last handle is gone.
pub(crate) struct Running {
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

/// Threads that load documents: one large document holds up the others by half at most.
const READERS: usize = 2;
/// Version of the tables below, in the file's `user_version`.
const SCHEMA: i64 = 1;

const TABLES: &str = "
    CREATE TABLE document (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,          -- DocName::to_key
        end_number INTEGER NOT NULL,       -- the last update's number, counted from 1
        updates INTEGER NOT NULL,          -- updates behind the snapshot
        bytes INTEGER NOT NULL,            -- their bytes
        snapshot_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE log_entry (
        document INTEGER NOT NULL,
        number INTEGER NOT NULL,
        body BLOB NOT NULL,                -- a Yjs update (V1) as its client sent it
        PRIMARY KEY (document, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshot (
        document INTEGER PRIMARY KEY,
        upto INTEGER NOT NULL,             -- the last update that it covers
        body BLOB NOT NULL                 -- one Yjs update (V1)
    ) STRICT;
";

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
        let writer = prepare(&path)?;
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
            let (reader, queue) = (reader(&path)?, Arc::clone(&queue));
            spawn("store-reader", Box::new(move || read::run_loads(&reader, &queue)))?;
        }
        let (compactions, queue) = mpsc::channel();
        let (reader, to_writer) = (reader(&path)?, writes.clone());
        spawn("store-compactor", Box::new(move || read::run_compactions(&reader, &queue, &to_writer)))?;
        Ok((Self { writes, reads, compactions }, Running { threads, _lock: lock }))
    }

    /// Puts a request into its queue. Requests of one document that are writes are done in their order.
    pub(crate) fn submit(&self, key: &Arc<str>, request: LogOp, answer: Answer) {
        let job = Job { key: Arc::clone(key), request, answer };
        let refused = match &job.request {
            LogOp::Append { .. } => {
                self.writes.send(write::Write::Append(job)).err().map(|refused| match refused.0 {
                    write::Write::Append(job) => job.answer,
                    write::Write::Replace { answer, .. } => answer,
                })
            }
            LogOp::Load => self.reads.send(job).err().map(|refused| refused.0.answer),
            LogOp::Compact { .. } => self.compactions.send(job).err().map(|refused| refused.0.answer),
        };
        // Its thread is gone: it panicked, and said so.
        if let Some(answer) = refused {
            answer(Err(LogError::Unavailable));
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

/// The key of a document in the store.
pub(crate) fn key(doc: &DocName) -> Arc<str> {
    doc.to_key().into()
}

fn prepare(path: &Path) -> Result<Connection, OpenError> {
    let mut db = Connection::open(path)?;
    // FULL: a commit has reached the disk. WAL: readers and the writer do not wait for one another.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        SCHEMA => {}
        0 => {
            let txn = db.transaction()?;
            txn.execute_batch(TABLES)?;
            txn.pragma_update(None, "user_version", SCHEMA)?;
            txn.commit()?;
        }
        other => return Err(OpenError::Version(other)),
    }
    Ok(db)
}

fn reader(path: &Path) -> Result<Connection, OpenError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.execute_batch("PRAGMA cache_size = -2048;")?;
    Ok(db)
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
                write!(f, "its tables are of version {version}, this yonder knows version {SCHEMA}")
            }
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests;
