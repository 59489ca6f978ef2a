//! The KV Store.

use crate::tasks::may_block;
use bytes::Bytes;
use fastly::kv_store::{InsertMode, KVStore, KVStoreError, PendingLookupHandle};
use futures_util::future::join_all;
use std::cell::Cell;
use std::rc::Rc;
use yonder_core::Millis;
use yonder_core::kv::{Kv, KvError, ListKv, Page};

/// The store's name, as `fastly.toml` has it.
pub(crate) const NAME: &str = "yonder_documents";
/// Keys of a page. None at all would end Viceroy's store.
const PAGE: u32 = 1_000;

/// The store, opened once for an instance.
#[derive(Clone)]
pub(crate) struct FastlyKv(Rc<KVStore>);

impl FastlyKv {
    pub(crate) fn open() -> Result<Self, KvError> {
        let store = KVStore::open(NAME).map_err(|error| failed("open", NAME, &error))?;
        store.map(|store| Self(Rc::new(store))).ok_or_else(|| {
            eprintln!("there is no KV Store {NAME}");
            KvError::Refused
        })
    }

    fn look_up(&self, key: &str) -> Result<PendingLookupHandle, KvError> {
        self.0.build_lookup().execute_async(key).map_err(|error| failed("read", key, &error))
    }
}

impl Kv for FastlyKv {
    fn now(&self) -> Millis {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        let pending = self.look_up(key)?;
        may_block().await;
        match self.0.pending_lookup_wait(pending) {
            Ok(mut found) => Ok(Some(found.take_body_bytes().into())),
            Err(KVStoreError::ItemNotFound) => Ok(None),
            Err(error) => Err(failed("read", key, &error)),
        }
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        join_all(keys.iter().map(|key| self.get(key))).await.into_iter().collect()
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        let insert = self.0.build_insert().mode(InsertMode::Overwrite);
        let pending =
            insert.execute_async(key, Vec::from(value)).map_err(|error| failed("write", key, &error))?;
        may_block().await;
        self.0.pending_insert_wait(pending).map_err(|error| failed("write", key, &error))
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        let pending =
            self.0.build_delete().execute_async(key).map_err(|error| failed("delete", key, &error))?;
        may_block().await;
        match self.0.pending_delete_wait(pending) {
            Ok(()) | Err(KVStoreError::ItemNotFound) => Ok(()),
            Err(error) => Err(failed("delete", key, &error)),
        }
    }
}

impl ListKv for FastlyKv {
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        let list = self.0.build_list().prefix(prefix).limit(PAGE);
        let list = match cursor {
            Some(cursor) => list.cursor(cursor),
            None => list,
        };
        let pending = list.execute_async().map_err(|error| failed("list", prefix, &error))?;
        may_block().await;
        let page = self.0.pending_list_wait(pending).map_err(|error| failed("list", prefix, &error))?;
        let next = page.next_cursor();
        Ok(Page { keys: page.into_keys(), next })
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

/// 64 random bits.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|error| {
        // Two instances that give the same would take each other's edits for their own.
        eprintln!("the host has no random bits: {error}");
        std::process::abort()
    })
}

#[allow(clippy::wildcard_enum_match_arm)]
fn failed(what: &str, key: &str, error: &KVStoreError) -> KvError {
    eprintln!("the store could not {what} {key}: {error}");
    match error {
        KVStoreError::InvalidKey
        | KVStoreError::InvalidStoreHandle
        | KVStoreError::InvalidStoreOptions
        | KVStoreError::ItemBadRequest
        | KVStoreError::ItemPayloadTooLarge
        | KVStoreError::StoreNotFound(_) => KvError::Refused,
        // Also what a later version of the crate may add: whoever asks tries again.
        _ => KvError::Unavailable,
    }
}
