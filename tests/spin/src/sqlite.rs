//! The store that Spin has by default: one SQLite connection, its table and its statements.

use crate::store::Answer;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::spawn_blocking;

/// The label under which the rows of the default store are.
const LABEL: &str = "default";

/// A counter is an i64, little-endian.
pub(crate) const COUNTER: usize = 8;

#[derive(Clone)]
pub(crate) struct Sqlite {
    /// Locked on a thread of its own, never across an `await`: a call that holds up its instance would else wait for one that
    /// the instance holds up.
    connection: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// A store in a file, or in memory.
    pub(crate) fn open(file: Option<&Path>) -> Answer<Self> {
        let connection = match file {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let connection = connection.map_err(text)?;
        connection
            .execute(
                "CREATE TABLE IF NOT EXISTS spin_key_value (
                   store TEXT NOT NULL,
                   key   TEXT NOT NULL,
                   value BLOB NOT NULL,
                   PRIMARY KEY (store, key)
                 )",
                [],
            )
            .map_err(text)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let connection = Arc::clone(&self.connection);
        let run = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        spawn_blocking(run).await.map_err(text)?.map_err(text)
    }

    pub(crate) async fn get(&self, key: String) -> Answer<Option<Vec<u8>>> {
        self.run(move |connection| read(connection, &key)).await
    }

    pub(crate) async fn set(&self, key: String, value: Vec<u8>) -> Answer<()> {
        self.run(move |connection| write(connection, &key, &value)).await
    }

    pub(crate) async fn delete(&self, key: String) -> Answer<()> {
        self.run(move |connection| {
            connection
                .prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .execute([LABEL, &key])
                .map(drop)
        })
        .await
    }

    pub(crate) async fn exists(&self, key: String) -> Answer<bool> {
        self.run(move |connection| {
            connection
                .prepare_cached("SELECT 1 FROM spin_key_value WHERE store = ?1 AND key = ?2 LIMIT 1")?
                .exists([LABEL, &key])
        })
        .await
    }

    /// The counter's new value, or `None` where something else than a counter is stored: Spin's host panics there.
    pub(crate) async fn increment(&self, key: String, delta: i64) -> Answer<Option<i64>> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let now = match read(&transaction, &key)?.map(<[u8; COUNTER]>::try_from) {
                None => 0,
                Some(Ok(bytes)) => i64::from_le_bytes(bytes),
                Some(Err(_)) => return Ok(None),
            };
            let Some(next) = now.checked_add(delta) else { return Ok(None) };
            write(&transaction, &key, &next.to_le_bytes())?;
            transaction.commit()?;
            Ok(Some(next))
        })
        .await
    }

    pub(crate) async fn list_keys(&self) -> Answer<Vec<String>> {
        self.run(|connection| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1")?
                .query_map([LABEL], |row| row.get(0))?
                .collect()
        })
        .await
    }
}

fn read(connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
        .query_row([LABEL, key], |row| row.get(0))
        .optional()
}

fn write(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (store, key) DO UPDATE SET value = ?3",
        )?
        .execute(params![LABEL, key, value])
        .map(drop)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
