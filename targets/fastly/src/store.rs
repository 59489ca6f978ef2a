//! The KV Store.

use crate::tasks::may_block;
use bytes::Bytes;
use fastly::kv_store::{InsertMode, KVStore, KVStoreError};
use futures_util::future::join_all;
use std::cell::Cell;
use std::rc::Rc;
use yonder_core::Millis;
use yonder_core::kv::{Kv, KvError, ListKv, Page, Revision};

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
            log!("there is no KV Store {NAME}");
            KvError::Refused
        })
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
        self.get_revision(key).await.map(|(value, _)| value)
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        join_all(keys.iter().map(|key| self.get(key))).await.into_iter().collect()
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        self.replace(key, value, Revision::Unknown).await.map(|_| ())
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

    async fn get_revision(&self, key: &str) -> Result<(Option<Bytes>, Revision), KvError> {
        let pending =
            self.0.build_lookup().execute_async(key).map_err(|error| failed("read", key, &error))?;
        may_block().await;
        match self.0.pending_lookup_wait(pending) {
            Ok(mut found) => {
                let revision = Revision::Number(found.current_generation());
                Ok((Some(found.take_body_bytes().into()), revision))
            }
            Err(KVStoreError::ItemNotFound) => Ok((None, Revision::Missing)),
            Err(error) => Err(failed("read", key, &error)),
        }
    }

    async fn replace(&self, key: &str, value: Bytes, revision: Revision) -> Result<bool, KvError> {
        let insert = self.0.build_insert();
        let insert = match revision {
            Revision::Unknown => insert.mode(InsertMode::Overwrite),
            // The number of a key that is not there matches any.
            Revision::Missing => insert.mode(InsertMode::Add),
            Revision::Number(number) => insert.mode(InsertMode::Overwrite).if_generation_match(number),
        };
        let pending =
            insert.execute_async(key, Vec::from(value)).map_err(|error| failed("write", key, &error))?;
        may_block().await;
        match self.0.pending_insert_wait(pending) {
            Ok(()) => Ok(true),
            Err(KVStoreError::ItemPreconditionFailed) => Ok(false),
            Err(error) => Err(failed("write", key, &error)),
        }
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
        log!("the host has no random bits: {error}");
        std::process::abort()
    })
}

#[allow(clippy::wildcard_enum_match_arm)]
fn failed(what: &str, key: &str, error: &KVStoreError) -> KvError {
    log!("the store could not {what} {key}: {error}");
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
