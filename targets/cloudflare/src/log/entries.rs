//! The tail of the log. Updates that are stored together share a row, up to [`VALUE_MAX`]; a larger one takes several.

use super::schema::VALUE_MAX;
use crate::sql::{Sql, blob, number};
use bytes::Bytes;
use yonder_core::log::{LogError, Offset};
use yonder_core::wire::{Reader, put_var_bytes};

/// Bits of a place for the part.
const PART_BITS: u64 = 6;

/// Where the row of an update would be if it were the first of its row.
fn place(update: u64) -> u64 {
    update << PART_BITS
}

/// Puts updates behind the last one, which has the number `end`.
pub(super) fn push(sql: &Sql, end: &Offset, updates: &[Bytes]) -> Result<(), LogError> {
    let mut first = end.number() + 1;
    let mut rest = updates;
    while !rest.is_empty() {
        let mut body = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        for update in rest {
            if count > 0 && body.len() + update.len() > VALUE_MAX {
                break;
            }
            put_var_bytes(&mut body, update);
            count += 1;
            bytes += update.len();
        }
        for (part, value) in body.chunks(VALUE_MAX).enumerate() {
            if part >> PART_BITS != 0 {
                return Err(LogError::Refused);
            }
            let (updates, bytes) = if part == 0 { (count, bytes) } else { (0, 0) };
            sql.run(
                "INSERT INTO entry (place, updates, bytes, body) VALUES (?, ?, ?, ?)",
                &[
                    number(place(first) + part as u64),
                    number(updates as u64),
                    number(bytes as u64),
                    blob(value),
                ],
            )?;
        }
        first += count as u64;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// The updates behind `since`, in their order.
pub(super) fn read(sql: &Sql, since: &Offset) -> Result<Vec<(Offset, Bytes)>, LogError> {
    // The row in which the next one is may begin before it.
    let rows = sql.rows(
        "SELECT place, updates, body FROM entry WHERE place >= coalesce(
            (SELECT place FROM entry WHERE place <= ? AND updates > 0 ORDER BY place DESC LIMIT 1), 0)
         ORDER BY place",
        &[number(place(since.number() + 1))],
        |row| Some((row.number(0)? >> PART_BITS, row.number(1)?, row.bytes(2)?)),
    )?;
    let mut updates = Vec::new();
    let mut rows = rows.into_iter().peekable();
    let mut expected = None;
    while let Some((first, count, mut body)) = rows.next() {
        // A row that is missing must not pass for one that never was.
        if expected.replace(first + count).is_some_and(|expected| expected != first) {
            return Err(LogError::Corrupt);
        }
        if rows.peek().is_some_and(|(number, ..)| *number == first) {
            let mut whole = Vec::from(body);
            while let Some((_, _, part)) = rows.next_if(|(number, ..)| *number == first) {
                whole.extend_from_slice(&part);
            }
            body = whole.into();
        }
        let mut reader = Reader::new(&body);
        for number in first..first + count {
            let update = reader.var_bytes().map_err(|_| LogError::Corrupt)?;
            if number > since.number() {
                updates.push((Offset::new(number), body.slice_ref(update)));
            }
        }
        if !reader.is_empty() {
            return Err(LogError::Corrupt);
        }
    }
    Ok(updates)
}

/// Deletes the updates up to `upto`, the last one of its row.
pub(super) fn delete(sql: &Sql, upto: &Offset) -> Result<(), LogError> {
    sql.run("DELETE FROM entry WHERE place < ?", &[number(place(upto.number() + 1))])
}

/// Updates and bytes that are left.
pub(super) fn sums(sql: &Sql) -> Result<(u64, u64), LogError> {
    let query = "SELECT coalesce(sum(updates), 0), coalesce(sum(bytes), 0) FROM entry";
    let sums = sql.row(query, &[], |row| Some((row.number(0)?, row.number(1)?)))?;
    Ok(sums.unwrap_or_default())
}

/// The last update; none if there is none.
pub(super) fn end(sql: &Sql) -> Result<Option<Offset>, LogError> {
    let query = "SELECT place, updates FROM entry WHERE updates > 0 ORDER BY place DESC LIMIT 1";
    sql.row(query, &[], |row| Some(Offset::new((row.number(0)? >> PART_BITS) + row.number(1)? - 1)))
}
