//! The tables, how the file is opened, and how a file of an older yonder gets them.

use super::OpenError;
use rusqlite::{Connection, OpenFlags, Transaction, params};
use std::path::Path;
use std::time::Duration;
use yonder_core::DocName;

/// Version of the tables below, in the file's `user_version`.
pub(super) const VERSION: i64 = 2;

const DOCUMENT: &str = "
    CREATE TABLE document (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,         -- DocName::internal; by its bytes, as lists are sorted
        live INTEGER NOT NULL,             -- 1, or 0 once it is deleted: then the row is its tombstone
        end_number INTEGER NOT NULL,       -- the last update's number, counted from 1; it only grows
        snapshot_upto INTEGER NOT NULL,    -- the last update that the snapshot covers, 0 if there is none
        updates INTEGER NOT NULL,          -- updates behind the snapshot
        bytes INTEGER NOT NULL,            -- their bytes
        snapshot_bytes INTEGER NOT NULL
    ) STRICT;
";
const LOG: &str = "
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
/// What version 2 added. A version's body may be large, and so is kept beside its primary key, not in it.
const SINCE_2: &str = "
    CREATE TABLE version (
        document INTEGER NOT NULL,
        id TEXT NOT NULL,                  -- later ones sort behind earlier ones
        name TEXT NOT NULL,
        created INTEGER NOT NULL,          -- milliseconds since 1970
        body BLOB NOT NULL,                -- one Yjs update (V1)
        PRIMARY KEY (document, id)
    ) STRICT;
    CREATE TABLE probe (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        checks INTEGER NOT NULL            -- how often it was checked that the store can be written
    ) STRICT;
";

/// Statements that the writer keeps prepared: it has a few more than rusqlite keeps by itself.
const STATEMENTS: usize = 32;

/// Opens the file to write, makes it if need be, and brings its tables to [`VERSION`].
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let mut db = Connection::open(path)?;
    // FULL: a commit has reached the disk. WAL: readers and the writer do not wait for one another.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        // One transaction: a process that ends in between leaves the file as it was.
        let txn = db.transaction()?;
        match version {
            0 => txn.execute_batch(&[DOCUMENT, LOG, SINCE_2].concat())?,
            1 => from_1(&txn)?,
            other => return Err(OpenError::Version(other)),
        }
        txn.pragma_update(None, "user_version", VERSION)?;
        txn.commit()?;
    }
    Ok(db)
}

/// Opens the file to read, beside its writer.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.execute_batch("PRAGMA cache_size = -2048;")?;
    Ok(db)
}

/// Version 1 had a document's key in place of its name, which cannot be listed by a name's beginning. The table is
/// written anew, so that a file's tables are the same whichever yonder made them; logs and snapshots stay.
fn from_1(txn: &Transaction<'_>) -> Result<(), OpenError> {
    txn.execute_batch("ALTER TABLE document RENAME TO document_1")?;
    txn.execute_batch(&[DOCUMENT, SINCE_2].concat())?;
    {
        let mut old = txn.prepare(
            "SELECT d.id, d.key, d.end_number, coalesce(s.upto, 0), d.updates, d.bytes, d.snapshot_bytes
             FROM document_1 AS d LEFT JOIN snapshot AS s ON s.document = d.id",
        )?;
        let mut new = txn.prepare("INSERT INTO document VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7)")?;
        let mut rows = old.query([])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(1)?;
            // Left out, its document would be gone without a word.
            let Some(doc) = DocName::from_key(&key) else { return Err(OpenError::Key(key)) };
            let number = |column| row.get::<_, i64>(column);
            new.execute(params![
                number(0)?,
                &*super::name(&doc),
                number(2)?,
                number(3)?,
                number(4)?,
                number(5)?,
                number(6)?
            ])?;
        }
    }
    txn.execute_batch("DROP TABLE document_1")?;
    Ok(())
}
