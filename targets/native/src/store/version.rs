//! The table `version`: states that users keep under a name. They go when their document is deleted.

use super::document::{self, Document};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use yonder_core::Millis;
use yonder_core::log::{LogError, LogReply, Version};

/// Keeps a version, unless there are `most` already.
pub(super) fn put(
    txn: &Transaction<'_>,
    name: &str,
    version: &Version,
    body: &Bytes,
    most: usize,
) -> rusqlite::Result<Result<LogReply, LogError>> {
    let document = match document::find(txn, name)? {
        Some(document) if document.is_live() => document,
        Some(_) => return Ok(Err(LogError::Deleted)),
        None => return Ok(Err(LogError::Refused)),
    };
    // A retry after an ambiguous error finds what it wrote. Other bytes never take its place.
    let kept = txn
        .prepare_cached("SELECT body = ?3 FROM version WHERE document = ?1 AND id = ?2")?
        .query_row(params![document.id, version.id, body.as_ref()], |row| row.get(0))
        .optional()?;
    match kept {
        Some(true) => return Ok(Ok(LogReply::Done(true))),
        Some(false) => return Ok(Err(LogError::Refused)),
        None => {}
    }
    let before: usize = txn
        .prepare_cached("SELECT count(*) FROM version WHERE document = ?1")?
        .query_row([document.id], |row| row.get(0))?;
    if before >= most {
        return Ok(Ok(LogReply::Done(false)));
    }
    txn.prepare_cached(
        "INSERT INTO version (document, id, name, created, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![document.id, version.id, version.name, version.created.0, body.as_ref()])?;
    Ok(Ok(LogReply::Done(true)))
}

/// Deletes a version; whether it was there.
pub(super) fn delete(txn: &Transaction<'_>, name: &str, id: &str) -> rusqlite::Result<bool> {
    let deleted = txn
        .prepare_cached(
            "DELETE FROM version WHERE id = ?2 AND document = (SELECT id FROM document WHERE name = ?1)",
        )?
        .execute([name, id])?;
    Ok(deleted > 0)
}

/// Deletes all versions of a document.
pub(super) fn delete_all(txn: &Transaction<'_>, document: &Document) -> rusqlite::Result<()> {
    txn.prepare_cached("DELETE FROM version WHERE document = ?1")?.execute([document.id])?;
    Ok(())
}

/// All versions, newest first.
pub(super) fn list(db: &Connection, name: &str) -> rusqlite::Result<Vec<Version>> {
    // SQLite tells a body's length without reading the body.
    db.prepare_cached(
        "SELECT id, name, created, length(body) FROM version
         WHERE document = (SELECT id FROM document WHERE name = ?1) ORDER BY id DESC",
    )?
    .query_map([name], |row| {
        Ok(Version { id: row.get(0)?, name: row.get(1)?, created: Millis(row.get(2)?), bytes: row.get(3)? })
    })?
    .collect()
}

/// The update of a version; none if there is no such version.
pub(super) fn read(db: &Connection, name: &str, id: &str) -> rusqlite::Result<Option<Bytes>> {
    db.prepare_cached(
        "SELECT body FROM version WHERE document = (SELECT id FROM document WHERE name = ?1) AND id = ?2",
    )?
    .query_row([name, id], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
    .optional()
}
