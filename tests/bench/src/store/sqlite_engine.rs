//! SQLite through rusqlite (bundled C): `journal_mode=WAL`, `synchronous=FULL` (the log is synced by each commit),
//! prepared statements, one connection for the writer and one for readers.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::{Batch, Engine, Loaded, Meta, Result};

/// An open SQLite database.
pub(crate) struct Sqlite {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS metas (name TEXT PRIMARY KEY, id INTEGER, next INTEGER, tail_count INTEGER,
    tail_bytes INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS updates (id INTEGER, seq INTEGER, bytes BLOB, PRIMARY KEY (id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (id INTEGER PRIMARY KEY, through INTEGER, bytes BLOB);
";
const PUT_UPDATE: &str = "INSERT INTO updates VALUES (?1, ?2, ?3)";
const PUT_META: &str = "INSERT OR REPLACE INTO metas VALUES (?1, ?2, ?3, ?4, ?5)";

fn locked(connection: &Mutex<Connection>) -> Result<MutexGuard<'_, Connection>> {
    connection.lock().map_err(|_| "a thread panicked in SQLite".into())
}

fn put_meta(connection: &Connection, name: &str, meta: &Meta) -> Result<()> {
    let row = params![name, meta.id as i64, meta.next as i64, meta.tail_count as i64, meta.tail_bytes as i64];
    connection.prepare_cached(PUT_META)?.execute(row)?;
    Ok(())
}

fn get_meta(connection: &Connection, name: &str) -> Result<Option<Meta>> {
    let mut statement =
        connection.prepare_cached("SELECT id, next, tail_count, tail_bytes FROM metas WHERE name = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        let column = |index| row.get::<_, i64>(index).map(|number| number as u64);
        Ok(Meta { id: column(0)?, next: column(1)?, tail_count: column(2)?, tail_bytes: column(3)? })
    };
    Ok(statement.query_row([name], read).optional()?)
}

impl Sqlite {
    /// Opens or creates the database and its tables.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let connect = |cache_kib: i64| -> Result<Connection> {
            let connection = Connection::open(dir.join("store.sqlite"))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "cache_size", -cache_kib)?;
            connection.pragma_update(None, "journal_size_limit", 32 << 20)?;
            Ok(connection)
        };
        let writer = connect(12 << 10)?;
        writer.execute_batch(SCHEMA)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(connect(4 << 10)?) })
    }
}

impl Engine for Sqlite {
    fn append(&self, batch: &Batch) -> Result<()> {
        let mut writer = locked(&self.writer)?;
        let txn = writer.transaction()?;
        {
            let mut put = txn.prepare_cached(PUT_UPDATE)?;
            for update in &batch.updates {
                put.execute(params![update.id as i64, update.seq as i64, update.bytes])?;
            }
            for (name, meta) in &batch.metas {
                put_meta(&txn, name, meta)?;
            }
        }
        Ok(txn.commit()?)
    }

    fn meta(&self, name: &str) -> Result<Option<Meta>> {
        get_meta(&*locked(&self.reader)?, name)
    }

    fn load(&self, name: &str) -> Result<Loaded> {
        let mut reader = locked(&self.reader)?;
        let view = reader.transaction()?;
        let Some(meta) = get_meta(&view, name)? else { return Ok(Loaded::default()) };
        let id = meta.id as i64;
        let snapshot = view
            .prepare_cached("SELECT through, bytes FROM snapshots WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
            .optional()?;
        let after = snapshot.as_ref().map_or(-1, |(through, _): &(u64, Vec<u8>)| *through as i64);
        let updates = view
            .prepare_cached("SELECT seq, bytes FROM updates WHERE id = ?1 AND seq > ?2 ORDER BY seq")?
            .query_map([id, after], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Loaded { snapshot, updates })
    }

    fn compact(&self, name: &str, meta: &Meta, through: u64, snapshot: &[u8]) -> Result<()> {
        let mut writer = locked(&self.writer)?;
        let txn = writer.transaction()?;
        txn.prepare_cached("INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3)")?.execute(params![
            meta.id as i64,
            through as i64,
            snapshot
        ])?;
        txn.prepare_cached("DELETE FROM updates WHERE id = ?1 AND seq <= ?2")?
            .execute(params![meta.id as i64, through as i64])?;
        put_meta(&txn, name, meta)?;
        Ok(txn.commit()?)
    }

    fn reclaim(&mut self) -> Result<()> {
        let writer = locked(&self.writer)?;
        writer.execute_batch("VACUUM")?;
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}
