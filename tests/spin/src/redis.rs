//! The store on Redis: keys as they are, counters as decimal text.

use crate::store::Answer;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, cmd};

#[derive(Clone)]
pub(crate) struct Redis(ConnectionManager);

impl Redis {
    /// A connection to `redis://HOST:PORT/DATABASE` that is made again when it is lost.
    pub(crate) async fn open(url: &str) -> Answer<Self> {
        let client = Client::open(url).map_err(text)?;
        // As the version that Spin is built on: whoever asks waits.
        let config = ConnectionManagerConfig::new().set_response_timeout(None);
        Ok(Self(client.get_connection_manager_with_config(config).await.map_err(text)?))
    }

    async fn run<T: FromRedisValue>(&self, command: &mut Cmd) -> Answer<T> {
        command.query_async(&mut self.0.clone()).await.map_err(text)
    }

    pub(crate) async fn get(&self, key: String) -> Answer<Option<Vec<u8>>> {
        self.run(cmd("GET").arg(key)).await
    }

    pub(crate) async fn set(&self, key: String, value: Vec<u8>) -> Answer<()> {
        self.run(cmd("SET").arg(key).arg(value)).await
    }

    pub(crate) async fn delete(&self, key: String) -> Answer<()> {
        self.run::<i64>(cmd("DEL").arg(key)).await.map(drop)
    }

    pub(crate) async fn exists(&self, key: String) -> Answer<bool> {
        self.run(cmd("EXISTS").arg(key)).await
    }

    /// The counter's new value. Where something else is stored, Redis answers an error.
    pub(crate) async fn increment(&self, key: String, delta: i64) -> Answer<Option<i64>> {
        self.run(cmd("INCRBY").arg(key).arg(delta)).await.map(Some)
    }

    pub(crate) async fn list_keys(&self) -> Answer<Vec<String>> {
        self.run(cmd("KEYS").arg("*")).await
    }
}

fn text(error: redis::RedisError) -> String {
    error.to_string()
}
