//! The key-value store, with the rules that a component has to keep so that it works on every backend of Spin.

use crate::chance::{Chance, Failure, Operation};
use crate::redis::Redis;
use crate::report::Report;
use crate::sqlite::Sqlite;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What an operation gave, or why it failed.
pub(crate) type Answer<T> = Result<T, String>;

/// The longest key, in bytes.
const MAX_KEY: usize = 255;

/// The longest value, in bytes.
const MAX_VALUE: usize = 1_000_000;

#[derive(Clone)]
pub(crate) enum Backend {
    Sqlite(Sqlite),
    Redis(Redis),
}

/// How a key was last written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    Counter,
}

pub(crate) struct Store {
    backend: Backend,
    chance: Chance,
    has_counter: bool,
    kinds: Mutex<HashMap<String, Kind>>,
    report: Arc<Report>,
}

/// Calls the operation of either backend.
macro_rules! backend {
    ($store:ident.$operation:ident($($argument:expr),*)) => {
        match &$store.backend {
            Backend::Sqlite(sqlite) => sqlite.$operation($($argument),*).await,
            Backend::Redis(redis) => redis.$operation($($argument),*).await,
        }
    };
}

impl Store {
    pub(crate) fn new(backend: Backend, chance: Chance, has_counter: bool, report: Arc<Report>) -> Self {
        Self { backend, chance, has_counter, kinds: Mutex::default(), report }
    }

    pub(crate) async fn get(&self, key: String) -> Answer<Option<Vec<u8>>> {
        self.report.gets.add(1);
        self.check(&key, Some(Kind::Value), "get")?;
        let lost = self.begin(Operation::Get).await?;
        let value: Option<Vec<u8>> = backend!(self.get(key))?;
        self.report.bytes_out.add(value.as_ref().map_or(0, Vec::len));
        end(lost, value)
    }

    pub(crate) async fn set(&self, key: String, value: Vec<u8>) -> Answer<()> {
        self.report.sets.add(1);
        self.report.bytes_in.add(key.len() + value.len());
        self.check(&key, Some(Kind::Value), "set")?;
        if value.len() > MAX_VALUE {
            let what = format!("set of {key:?}: a value of {} bytes, {MAX_VALUE} are allowed", value.len());
            return Err(self.report.violation(what));
        }
        let lost = self.begin(Operation::Set).await?;
        backend!(self.set(key.clone(), value))?;
        self.kinds().insert(key, Kind::Value);
        end(lost, ())
    }

    pub(crate) async fn delete(&self, key: String) -> Answer<()> {
        self.report.deletes.add(1);
        self.check(&key, None, "delete")?;
        let lost = self.begin(Operation::Delete).await?;
        backend!(self.delete(key.clone()))?;
        self.kinds().remove(&key);
        end(lost, ())
    }

    pub(crate) async fn exists(&self, key: String) -> Answer<bool> {
        self.report.exists.add(1);
        self.check(&key, None, "exists")?;
        let lost = self.begin(Operation::Exists).await?;
        let exists = backend!(self.exists(key))?;
        end(lost, exists)
    }

    pub(crate) async fn increment(&self, key: String, delta: i64) -> Answer<i64> {
        self.report.increments.add(1);
        self.check(&key, Some(Kind::Counter), "increment")?;
        if !self.has_counter {
            return Err("this store has no counters".to_owned());
        }
        let lost = self.begin(Operation::Increment).await?;
        let Some(count) = backend!(self.increment(key.clone(), delta))? else {
            return Err(self.report.violation(format!("increment of {key:?}, which holds no counter")));
        };
        self.kinds().insert(key, Kind::Counter);
        end(lost, count)
    }

    /// All keys, in no order.
    pub(crate) async fn list_keys(&self) -> Answer<Vec<String>> {
        self.report.list_keys.add(1);
        let lost = self.begin(Operation::ListKeys).await?;
        let keys: Vec<String> = backend!(self.list_keys())?;
        self.report.bytes_out.add(keys.iter().map(String::len).sum());
        end(lost, keys)
    }

    /// What a component must never call: it fails or harms on one backend or another.
    pub(crate) fn forbidden(&self, what: &str) -> String {
        self.report.violation(format!("{what} was called"))
    }

    fn check(&self, key: &str, kind: Option<Kind>, operation: &str) -> Answer<()> {
        let what = if key.len() > MAX_KEY {
            format!("{operation} of {key:?}: a key of {} bytes, {MAX_KEY} are allowed", key.len())
        } else {
            match (self.kinds().get(key), kind) {
                (Some(Kind::Value), Some(Kind::Counter)) => {
                    format!("{operation} of {key:?}, which `set` wrote")
                }
                (Some(Kind::Counter), Some(Kind::Value)) => {
                    format!("{operation} of {key:?}, which is a counter")
                }
                _ => return Ok(()),
            }
        };
        Err(self.report.violation(what))
    }

    /// Waits for the operation's turn. Tells whether its answer is to be lost.
    async fn begin(&self, operation: Operation) -> Answer<bool> {
        self.chance.delay().await;
        match self.chance.failure(operation) {
            None => Ok(false),
            Some(Failure::Unanswered) => Ok(true),
            Some(Failure::Refused) => Err(format!("injected failure: {operation:?} was not done")),
        }
    }

    fn kinds(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kind>> {
        self.kinds.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

fn end<T>(lost: bool, value: T) -> Answer<T> {
    if lost { Err("injected failure: the answer was lost".to_owned()) } else { Ok(value) }
}
