//! The store as tests want it: it counts what it is asked, and fails once where a request says so. Only where this is built
//! with the feature `faulty`, which nothing that is published has.

use crate::web;
use bytes::Bytes;
use fastly::Request;
use futures_util::future::join_all;
use std::cell::RefCell;
use yonder_core::Millis;
use yonder_core::kv::{Cost, Kv, KvError, ListKv, Page, Revision};

/// Which of the operations of its request fails: `3`, the third, which is not done; `3+`, it is done all the same; `3*`, that
/// and all that follow, which are not done.
const FAILS: &str = "x-store-fails";
/// What the log calls it.
const NAME: &str = "x-name";
/// The instance ends with its request, so that the next one meets one that knows nothing.
const LAST: &str = "x-instance-ends";

thread_local! {
    static REQUEST: RefCell<Told> = RefCell::default();
}

/// What a request has asked of the store so far, and which of it fails.
#[derive(Default)]
struct Told {
    name: String,
    cost: Cost,
    failing: Option<(u64, How)>,
    is_last: bool,
}

/// How an operation fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Once,
    Done,
    Always,
}

const READ: Cost = Cost { reads: 1, ..NOTHING };
const WRITTEN: Cost = Cost { writes: 1, ..NOTHING };
const LISTED: Cost = Cost { lists: 1, ..NOTHING };
const DELETED: Cost = Cost { deletes: 1, ..NOTHING };
const NOTHING: Cost =
    Cost { reads: 0, writes: 0, deletes: 0, lists: 0, counts: 0, bytes_read: 0, bytes_written: 0 };

/// A request begins.
pub(crate) fn begin(request: &Request) {
    let header = web::header(request, FAILS).unwrap_or_default();
    let (which, how) = header.split_at(header.trim_end_matches(['+', '*']).len());
    let how = match how {
        "+" => How::Done,
        "*" => How::Always,
        _ => How::Once,
    };
    let failing = which.parse().ok().map(|which| (which, how));
    let name = web::header(request, NAME).unwrap_or_default().to_owned();
    REQUEST.set(Told { name, failing, cost: NOTHING, is_last: request.contains_header(LAST) });
}

/// It has ended, and what it left to be done as well.
pub(crate) fn end() {
    let Told { name, cost: Cost { reads, writes, lists, deletes, .. }, is_last, .. } = REQUEST.take();
    log!("store: reads {reads}, writes {writes}, lists {lists}, deletes {deletes}: {name}");
    if is_last {
        std::process::exit(0);
    }
}

/// Counts an operation; whether it fails once it is done, or now.
fn ask(asked: Cost) -> Result<bool, KvError> {
    REQUEST.with_borrow_mut(|told| {
        told.cost = told.cost + asked;
        let operation = told.cost.operations();
        let Some((which, how)) = told.failing else { return Ok(false) };
        if which == operation || how == How::Always && which < operation {
            log!("store: operation {operation} fails: {}", told.name);
            return if how == How::Done { Ok(true) } else { Err(KvError::Unavailable) };
        }
        Ok(false)
    })
}

/// Another store, which this one asks.
#[derive(Clone)]
pub(crate) struct Faulty<K>(pub(crate) K);

impl<K> Faulty<K> {
    async fn ask<T>(
        &self,
        asked: Cost,
        answer: impl Future<Output = Result<T, KvError>>,
    ) -> Result<T, KvError> {
        let fails = ask(asked)?;
        let answer = answer.await?;
        if fails { Err(KvError::Unavailable) } else { Ok(answer) }
    }
}

impl<K: Kv> Kv for Faulty<K> {
    fn now(&self) -> Millis {
        self.0.now()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        self.ask(READ, self.0.get(key)).await
    }

    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        join_all(keys.iter().map(|key| self.get(key))).await.into_iter().collect()
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        self.ask(WRITTEN, self.0.set(key, value)).await
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.ask(DELETED, self.0.delete(key)).await
    }
}

impl<K: ListKv> ListKv for Faulty<K> {
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        self.ask(LISTED, self.0.list(prefix, cursor)).await
    }

    async fn get_revision(&self, key: &str) -> Result<(Option<Bytes>, Revision), KvError> {
        self.ask(READ, self.0.get_revision(key)).await
    }

    async fn replace(&self, key: &str, value: Bytes, revision: Revision) -> Result<bool, KvError> {
        self.ask(WRITTEN, self.0.replace(key, value, revision)).await
    }
}
