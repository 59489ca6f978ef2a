//! The table `document`: one row for each document that ever was, with what is asked of it most.
//!
//! Only the writer changes it, one transaction at a time. It reads a row, reckons, and writes the row back.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use yonder_core::log::{Life, Listed, Offset, Tail};

/// [`list`]: one lower bound and one upper, so that it is one walk along the names' index however far the page lies
/// behind the beginning.
pub(super) const LIST: &str = "
    SELECT live, end_number, snapshot_upto, updates, bytes, snapshot_bytes, name FROM document
    WHERE name >= ?1 AND name < ?2 AND name <> ?3 AND live ORDER BY name LIMIT ?4
";

/// A document's row.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// What the other tables call it.
    pub(super) id: i64,
    /// How long its log is; `life` is never [`Life::Absent`].
    pub(super) tail: Tail,
}

/// The row of a document that is, or was.
pub(super) fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<Document>> {
    db.prepare_cached(
        "SELECT live, end_number, snapshot_upto, updates, bytes, snapshot_bytes, id
         FROM document WHERE name = ?1",
    )?
    .query_row([name], |row| Ok(Document { id: row.get(6)?, tail: tail(row)? }))
    .optional()
}

/// Makes the row of a document that never was: it is there, and empty.
pub(super) fn insert(txn: &Transaction<'_>, name: &str) -> rusqlite::Result<Document> {
    txn.prepare_cached(
        "INSERT INTO document (name, live, end_number, snapshot_upto, updates, bytes, snapshot_bytes)
         VALUES (?1, 1, 0, 0, 0, 0, 0)",
    )?
    .execute([name])?;
    Ok(Document { id: txn.last_insert_rowid(), tail: Tail { life: Life::Live, ..Tail::default() } })
}

impl Document {
    /// Whether the document is there.
    pub(super) fn is_live(&self) -> bool {
        self.tail.life == Life::Live
    }

    /// Writes the row back.
    pub(super) fn save(&self, txn: &Transaction<'_>) -> rusqlite::Result<()> {
        let Tail { end, snapshot, updates, bytes, snapshot_bytes, .. } = &self.tail;
        txn.prepare_cached(
            "UPDATE document SET live = ?2, end_number = ?3, snapshot_upto = ?4, updates = ?5, bytes = ?6,
                 snapshot_bytes = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            self.id,
            self.is_live(),
            end.number(),
            snapshot.number(),
            updates,
            bytes,
            snapshot_bytes
        ])?;
        Ok(())
    }
}

/// Documents that are there and whose names begin with `prefix` and sort behind `after`, in their order.
pub(super) fn list(
    db: &Connection,
    prefix: &str,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Listed>> {
    // Any text sorts before any blob, so the blob is no bound at all.
    let upper = behind(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(LIST)?
        .query_map(params![prefix.max(after), upper, after, limit], |row| {
            Ok(Listed { name: row.get(6)?, tail: tail(row)? })
        })?
        .collect()
}

/// The least text that sorts behind every text that begins with `prefix`; none if there is no such text. Bytes of
/// UTF-8 sort as the characters do.
fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The range of `char` steps over what is no character.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// A row that begins with `live, end_number, snapshot_upto, updates, bytes, snapshot_bytes`.
fn tail(row: &Row<'_>) -> rusqlite::Result<Tail> {
    Ok(Tail {
        life: if row.get(0)? { Life::Live } else { Life::Deleted },
        end: Offset::new(row.get(1)?),
        snapshot: Offset::new(row.get(2)?),
        updates: row.get(3)?,
        bytes: row.get(4)?,
        snapshot_bytes: row.get(5)?,
    })
}
