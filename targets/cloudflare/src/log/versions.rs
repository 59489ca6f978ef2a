//! Named versions, each in R2 where there is a bucket, else in parts.

use super::{Body, Log, parts};
use crate::sql::number;
use wasm_bindgen::JsValue;
use yonder_core::Millis;
use yonder_core::log::{LogError, Version};

impl Log {
    /// Keeps a version, unless there are `most` already.
    pub(crate) fn put_version(
        &mut self,
        version: &Version,
        body: &Body,
        most: usize,
    ) -> Result<bool, LogError> {
        match self.head()?.map(super::Head::is_live) {
            Some(true) => {}
            Some(false) => return Err(LogError::Deleted),
            None => return Err(LogError::Refused),
        }
        let sql = &self.sql;
        sql.transaction(|| {
            let count =
                sql.row("SELECT count(*) FROM version", &[], |row| row.number(0))?.unwrap_or_default();
            if count >= most as u64 {
                return Ok(false);
            }
            let key = match body {
                Body::Bytes(_) => JsValue::NULL,
                Body::Key { key, .. } => JsValue::from_str(key),
            };
            sql.run(
                "INSERT INTO version (id, name, created, bytes, key) VALUES (?, ?, ?, ?, ?)",
                &[
                    JsValue::from_str(&version.id),
                    JsValue::from_str(&version.name),
                    number(version.created.0),
                    number(version.bytes),
                    key,
                ],
            )?;
            match body {
                Body::Bytes(body) => {
                    let made = sql.row("SELECT last_insert_rowid()", &[], |row| row.number(0))?;
                    parts::put(sql, made.ok_or(LogError::Corrupt)?, body)?;
                }
                Body::Key { key, .. } => super::adopt(sql, key)?,
            }
            Ok(true)
        })
    }

    /// All versions, newest first.
    pub(crate) fn versions(&mut self) -> Result<Vec<Version>, LogError> {
        if self.head()?.is_none() {
            return Ok(Vec::new());
        }
        self.sql.rows("SELECT id, name, created, bytes FROM version ORDER BY id DESC", &[], |row| {
            let created = Millis(row.number(2)?);
            Some(Version { id: row.text(0)?, name: row.text(1)?, created, bytes: row.number(3)? })
        })
    }

    /// Where a version is; none if there is no such version.
    pub(crate) fn version(&mut self, id: &str) -> Result<Option<Body>, LogError> {
        Ok(match self.find(id)? {
            None => None,
            Some(Row { key: Some(key), bytes, .. }) => Some(Body::Key { key, bytes }),
            Some(Row { number, bytes, .. }) => Some(Body::Bytes(parts::read(&self.sql, number, bytes)?)),
        })
    }

    /// Deletes a version; whether it was there.
    pub(crate) fn delete_version(&mut self, id: &str) -> Result<bool, LogError> {
        let Some(row) = self.find(id)? else { return Ok(false) };
        self.has_litter |= row.key.is_some();
        let sql = &self.sql;
        sql.transaction(|| {
            if let Some(key) = &row.key {
                super::orphan(sql, key)?;
            }
            parts::delete(sql, row.number)?;
            sql.run("DELETE FROM version WHERE number = ?", &[number(row.number)])?;
            Ok(true)
        })
    }

    fn find(&mut self, id: &str) -> Result<Option<Row>, LogError> {
        if self.head()?.is_none() {
            return Ok(None);
        }
        let query = "SELECT number, bytes, key FROM version WHERE id = ?";
        self.sql.row(query, &[JsValue::from_str(id)], |row| {
            Some(Row { number: row.number(0)?, bytes: row.number(1)?, key: row.text(2) })
        })
    }
}

struct Row {
    number: u64,
    bytes: u64,
    key: Option<String>,
}
