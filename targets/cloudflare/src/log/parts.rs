//! Values of any size, in parts: the snapshot and versions.

use super::schema::VALUE_MAX;
use crate::sql::{Sql, blob, number};
use bytes::Bytes;
use yonder_core::log::LogError;

/// Whose parts they are: the snapshot's,
pub(super) const SNAPSHOT: u64 = 0;
/// or those of the version with this number, counted from 1.
const PART_BITS: u64 = 8;

/// Writes a value in place of the one before.
pub(super) fn put(sql: &Sql, owner: u64, value: &[u8]) -> Result<(), LogError> {
    delete(sql, owner)?;
    for (part, body) in value.chunks(VALUE_MAX).enumerate() {
        if part >> PART_BITS != 0 {
            return Err(LogError::Refused);
        }
        let place = number((owner << PART_BITS) + part as u64);
        sql.run("INSERT INTO part (place, body) VALUES (?, ?)", &[place, blob(body)])?;
    }
    Ok(())
}

/// Reads a value of so many bytes.
pub(super) fn read(sql: &Sql, owner: u64, bytes: u64) -> Result<Bytes, LogError> {
    let parts = sql.rows(
        "SELECT body FROM part WHERE place >= ? AND place < ? ORDER BY place",
        &[number(owner << PART_BITS), number((owner + 1) << PART_BITS)],
        |row| row.bytes(0),
    )?;
    let value = match <[Bytes; 1]>::try_from(parts) {
        Ok([value]) => value,
        Err(parts) => parts.concat().into(),
    };
    // A part that is missing must not pass for a shorter value.
    if value.len() as u64 == bytes { Ok(value) } else { Err(LogError::Corrupt) }
}

pub(super) fn delete(sql: &Sql, owner: u64) -> Result<(), LogError> {
    sql.run(
        "DELETE FROM part WHERE place >= ? AND place < ?",
        &[number(owner << PART_BITS), number((owner + 1) << PART_BITS)],
    )
}
