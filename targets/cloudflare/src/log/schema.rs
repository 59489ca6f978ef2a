//! The tables of one document's object, and the row that says what is in the others.
//!
//! Written rows are what the platform bills: an append is one row, and the document's own row is written only when it
//! begins, ends, or is compacted.

use super::entries;
use crate::sql::{Row, Sql, number};
use wasm_bindgen::JsValue;
use yonder_core::Millis;
use yonder_core::log::{Life, LogError, Offset, Tail};

/// Bytes of one value: rows have 2 MB at most, which local workerd does not enforce.
pub(super) const VALUE_MAX: usize = 1 << 20;

/// The number of the tables below.
const VERSION: u64 = 1;

const TABLES: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS document (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        tables INTEGER NOT NULL,           -- VERSION
        name TEXT NOT NULL,                -- DocName::internal
        live INTEGER NOT NULL,             -- 1, or 0 once it is deleted: then the row is its tombstone
        life INTEGER NOT NULL,             -- how often it began or ended
        end_number INTEGER NOT NULL,       -- the last update's number, if the log has no entry behind it
        snapshot_upto INTEGER NOT NULL,    -- the last update that the snapshot covers, 0 if there is none
        snapshot_bytes INTEGER NOT NULL,
        snapshot_key TEXT,                 -- its name in R2, if it is there and not in `part`
        snapshot_at INTEGER NOT NULL,      -- milliseconds since 1970
        published INTEGER NOT NULL,        -- snapshot_upto of what is published in Workers KV, 0 if nothing is
        listed_life INTEGER NOT NULL,      -- what the catalog was told last
        listed_updates INTEGER NOT NULL,
        listed_bytes INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS entry (
        place INTEGER PRIMARY KEY,         -- number of its first update * 64 + part
        updates INTEGER NOT NULL,          -- how many; 0 in further parts
        bytes INTEGER NOT NULL,            -- of these updates; likewise
        body BLOB NOT NULL                 -- Yjs updates (V1) as their clients sent them, each behind its length
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS part (
        place INTEGER PRIMARY KEY,         -- 0 for the snapshot or version.number, * 256 + part
        body BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS version (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,           -- later ones sort behind earlier ones
        name TEXT NOT NULL,
        created INTEGER NOT NULL,          -- milliseconds since 1970
        bytes INTEGER NOT NULL,
        key TEXT                           -- its name in R2, if it is there and not in `part`
    ) STRICT",
    // Written before something goes to R2, and deleted in the transaction that refers to it: what is here is garbage.
    "CREATE TABLE IF NOT EXISTS orphan (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
];

const COLUMNS: &str =
    "tables, name, live, life, end_number, snapshot_upto, snapshot_bytes, snapshot_key, snapshot_at,
    published, listed_life, listed_updates, listed_bytes";

/// The document's row, and how long its log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: String,
    /// How often the document began or ended.
    pub(crate) life: u64,
    pub(crate) tail: Tail,
    pub(crate) snapshot_key: Option<String>,
    pub(crate) snapshot_at: Millis,
    /// What is published in Workers KV ends there.
    pub(crate) published: Offset,
    pub(crate) listed: Listing,
}

/// What the catalog is told of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    pub(crate) life: u64,
    pub(crate) updates: u64,
    pub(crate) bytes: u64,
}

impl Head {
    /// What the catalog should know.
    pub(crate) fn listing(&self) -> Listing {
        Listing { life: self.life, updates: self.tail.updates, bytes: self.tail.document_bytes() }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.tail.life == Life::Live
    }
}

/// Makes the tables. An object that was only asked has none, and so takes no storage.
pub(super) fn make(sql: &Sql) -> Result<(), LogError> {
    TABLES.iter().try_for_each(|table| sql.run(table, &[]))
}

/// Reads the row; none if there never was a document.
pub(super) fn read(sql: &Sql) -> Result<Option<Head>, LogError> {
    let made = sql.row("SELECT 1 FROM sqlite_master WHERE name = 'document'", &[], |_| Some(()))?;
    if made.is_none() {
        return Ok(None);
    }
    let query = format!("SELECT {COLUMNS} FROM document");
    let Some((version, mut head)) = sql.row(&query, &[], |row| Some((row.number(0)?, head(row)?)))? else {
        return Ok(None);
    };
    if version != VERSION {
        worker::console_error!("the document's tables are of version {version}; this yonder knows {VERSION}");
        return Err(LogError::Corrupt);
    }
    let tail = &mut head.tail;
    (tail.updates, tail.bytes) = entries::sums(sql)?;
    if let Some(end) = entries::end(sql)? {
        tail.end = end;
    }
    Ok(Some(head))
}

fn head(row: &Row) -> Option<Head> {
    let life = if row.number(2)? == 1 { Life::Live } else { Life::Deleted };
    let place = |column| row.number(column).map(Offset::new);
    Some(Head {
        name: row.text(1)?,
        life: row.number(3)?,
        tail: Tail {
            life,
            end: place(4)?,
            snapshot: place(5)?,
            snapshot_bytes: row.number(6)?,
            ..Tail::default()
        },
        snapshot_key: row.text(7),
        snapshot_at: Millis(row.number(8)?),
        published: place(9)?,
        listed: Listing { life: row.number(10)?, updates: row.number(11)?, bytes: row.number(12)? },
    })
}

/// Writes the row.
pub(super) fn write(sql: &Sql, head: &Head) -> Result<(), LogError> {
    let Head { name, life, tail, snapshot_key, snapshot_at, published, listed } = head;
    sql.run(
        &format!("INSERT OR REPLACE INTO document (id, {COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
        &[
            number(VERSION),
            JsValue::from_str(name),
            number(u64::from(head.is_live())),
            number(*life),
            number(tail.end.number()),
            number(tail.snapshot.number()),
            number(tail.snapshot_bytes),
            snapshot_key.as_deref().map_or(JsValue::NULL, JsValue::from_str),
            number(snapshot_at.0),
            number(published.number()),
            number(listed.life),
            number(listed.updates),
            number(listed.bytes),
        ],
    )
}
