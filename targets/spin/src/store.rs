//! The host's key-value store, and what may be asked of it: several calls that it offers wedge it or do not do what they
//! say (listing with `get_keys`, compare-and-swap, counting on a key that was set).

use crate::turns::Turns;
use bytes::Bytes;
use futures_util::future::try_join_all;
use spin_sdk::experimental::wasi::keyvalue::atomics::increment;
use spin_sdk::experimental::wasi::keyvalue::store as wasi;
use spin_sdk::key_value::{Error, Store};
use std::cell::Cell;
use std::rc::Rc;
use yonder_core::Millis;
use yonder_core::kv::{CountKv, Kv, KvError, ListKv, Page};

/// The only label that every platform takes.
const LABEL: &str = "default";
/// What every platform takes.
const KEY_BYTES: usize = 255;
const VALUE_BYTES: usize = 1 << 20;

/// The store, opened once for an instance.
#[derive(Clone)]
pub(crate) struct SpinKv(Rc<Opened>);

struct Opened {
    store: Store,
    /// The same store as another interface has it, whose calls hold up the instance.
    bucket: wasi::Bucket,
    turns: Turns,
}

impl SpinKv {
    pub(crate) async fn open() -> Result<Self, KvError> {
        let store = Store::open(LABEL).await.map_err(|error| failed("open", LABEL, &error))?;
        let bucket = wasi::open(LABEL).map_err(|error| failed_in_wasi("open", LABEL, &error))?;
        Ok(Self(Rc::new(Opened { store, bucket, turns: Turns::default() })))
    }
}

impl SpinKv {
    /// Whether it has a counter under this key.
    pub(crate) async fn can_count(&self, key: &str) -> bool {
        let _turn = self.0.turns.alone().await;
        increment(&self.0.bucket, key, 0).is_ok()
    }
}

impl Kv for SpinKv {
    fn now(&self) -> Millis {
        now()
    }

    fn random(&self) -> u64 {
        spin_sdk::wasip3::random::random::get_random_u64()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        let _turn = self.0.turns.beside().await;
        let value = self.0.store.get(key).await.map_err(|error| failed("read", key, &error))?;
        Ok(value.map(Bytes::from))
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        try_join_all(keys.iter().map(|key| self.get(key))).await
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        if key.len() > KEY_BYTES || value.len() > VALUE_BYTES {
            log!("{key}: {} bytes are too many for a value", value.len());
            return Err(KvError::Refused);
        }
        let _turn = self.0.turns.beside().await;
        self.0.store.set(key, &value).await.map_err(|error| failed("write", key, &error))
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        let _turn = self.0.turns.beside().await;
        self.0.store.delete(key).await.map_err(|error| failed("delete", key, &error))
    }
}

impl CountKv for SpinKv {
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError> {
        let delta = i64::try_from(delta).map_err(|_| KvError::Refused)?;
        let _turn = self.0.turns.alone().await;
        let counted = increment(&self.0.bucket, key, delta);
        let count = counted.map_err(|error| failed_in_wasi("count", key, &error))?;
        u64::try_from(count).map_err(|_| KvError::Refused)
    }
}

impl ListKv for SpinKv {
    /// The whole store is listed: there is no prefix.
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        let _turn = self.0.turns.alone().await;
        let listed = self.0.bucket.list_keys(cursor);
        let page = listed.map_err(|error| failed_in_wasi("list", prefix, &error))?;
        let keys = page.keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        Ok(Page { keys, next: page.cursor })
    }
}

/// The host's clock, as far as it does not go back.
pub(crate) fn now() -> Millis {
    thread_local! {
        static LATEST: Cell<u64> = const { Cell::new(0) };
    }
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX).max(LATEST.get());
    LATEST.set(now);
    Millis(now)
}

fn failed(what: &str, key: &str, error: &Error) -> KvError {
    log!("the store could not {what} {key}: {error}");
    match error {
        Error::AccessDenied | Error::NoSuchStore | Error::StoreTableFull => KvError::Refused,
        Error::Other(_) => KvError::Unavailable,
    }
}

fn failed_in_wasi(what: &str, key: &str, error: &wasi::Error) -> KvError {
    log!("the store could not {what} {key}: {error:?}");
    match error {
        wasi::Error::AccessDenied | wasi::Error::NoSuchStore => KvError::Refused,
        wasi::Error::Other(_) => KvError::Unavailable,
    }
}
