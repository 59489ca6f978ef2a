//! A store in memory that fails and cuts off on demand, and a document in it.

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yonder_core::kv::{Cost, Kv, KvConfig, KvError, ListKv, Page, Revision};
use yonder_core::listed::Listed;
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset, Tail};
use yonder_core::replica::Replica;
use yonder_core::{DocName, Millis, OpId, update};

pub const START: Millis = Millis(1_800_000_000_000);

/// What all instances share.
#[derive(Debug, Default)]
pub struct Data {
    pub values: RefCell<BTreeMap<String, Bytes>>,
    pub now: Cell<u64>,
    random: Cell<u64>,
}

/// The store as an instance sees it.
#[derive(Debug, Clone)]
pub struct Store {
    pub data: Rc<Data>,
    /// Operations after which it does nothing any more.
    pub left: Rc<Cell<usize>>,
    /// The last operation is done, and not answered.
    pub done_unheard: bool,
    /// Writes fail: not done, or done.
    pub fails: Rc<Cell<Option<bool>>>,
    pub page: usize,
    /// Keys that lists do not show.
    pub unlisted: Rc<RefCell<BTreeSet<String>>>,
    /// Keys that reads do not find.
    pub unreadable: Rc<RefCell<BTreeSet<String>>>,
    /// Bits of the ids that differ: few make marks that are the same.
    pub random_mask: u64,
    /// It knows revisions.
    pub revises: bool,
}

impl Store {
    pub fn new() -> Self {
        let data = Rc::new(Data::default());
        data.now.set(START.0);
        Self::of(data)
    }

    pub fn of(data: Rc<Data>) -> Self {
        let (left, fails) = (Rc::new(Cell::new(usize::MAX)), Rc::default());
        Self {
            data,
            left,
            done_unheard: false,
            fails,
            page: 1_000,
            unlisted: Rc::default(),
            unreadable: Rc::default(),
            random_mask: u64::MAX,
            revises: true,
        }
    }

    pub fn log(&self) -> Listed<Self> {
        self.log_with(KvConfig::default())
    }

    pub fn log_with(&self, config: KvConfig) -> Listed<Self> {
        Listed::new(self.clone(), &DocName::new("a/doc").unwrap(), config)
    }

    pub fn keys(&self) -> Vec<String> {
        self.data.values.borrow().keys().cloned().collect()
    }

    pub fn wait(&self, millis: u64) {
        self.data.now.set(self.data.now.get() + millis);
    }

    /// Values that are the same have the same.
    fn revision(&self, value: Option<&Bytes>) -> Revision {
        let number = |value: &Bytes| value.iter().fold(0, |sum, byte| sum * 257 + u64::from(*byte));
        match value.map(number) {
            _ if !self.revises => Revision::Unknown,
            Some(number) => Revision::Number(number),
            None => Revision::Missing,
        }
    }

    /// Each operation takes one turn of the executor, so that those of several objects can be interleaved.
    async fn turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut turns = 0;
        poll_fn(|_| {
            turns += 1;
            if turns == 1 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        if self.left.get() == 0 {
            core::future::pending::<()>().await;
        }
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 && !self.done_unheard {
            core::future::pending::<()>().await;
        }
        let value = work();
        if self.left.get() == 0 {
            core::future::pending::<()>().await;
        }
        value
    }
}

impl Kv for Store {
    fn now(&self) -> Millis {
        Millis(self.data.now.get())
    }

    fn random(&self) -> u64 {
        let next = self.data.random.get() + 1;
        self.data.random.set(next);
        // High bits always differ: the marks are the low ones.
        next << 48 | next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16 & self.random_mask
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        let is_shown = |_: &Bytes| !self.unreadable.borrow().contains(key);
        Ok(self.turn(|| self.data.values.borrow().get(key).cloned().filter(is_shown)).await)
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        assert!(
            key.len() <= 255 && key.bytes().all(|b| b"abcdefghijklmnopqrstuvwxyz0123456789_-".contains(&b))
        );
        assert!(value.len() <= 1_000_000, "{}", value.len());
        self.turn(|| {
            let fails = self.fails.get();
            if fails != Some(false) {
                let before = self.data.values.borrow_mut().insert(key.to_owned(), value.clone());
                assert!(before.is_none_or(|before| before == value), "{key} is overwritten");
            }
            if fails.is_some() { Err(KvError::Unavailable) } else { Ok(()) }
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.turn(|| drop(self.data.values.borrow_mut().remove(key))).await;
        Ok(())
    }
}

impl ListKv for Store {
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        Ok(self
            .turn(|| {
                let values = self.data.values.borrow();
                let unlisted = self.unlisted.borrow();
                let is_shown = |key: &&String| key.starts_with(prefix) && !unlisted.contains(*key);
                let is_behind = |key: &&String| cursor.is_none_or(|cursor| key.as_str() > cursor);
                let mut all = values.keys().filter(is_shown).filter(is_behind).cloned();
                let mut keys: Vec<_> = all.by_ref().take(self.page).collect();
                let next = keys.last().filter(|_| all.next().is_some()).cloned();
                keys.reverse();
                Page { keys, next }
            })
            .await)
    }

    async fn get_revision(&self, key: &str) -> Result<(Option<Bytes>, Revision), KvError> {
        let value = self.get(key).await?;
        let revision = self.revision(value.as_ref());
        Ok((value, revision))
    }

    async fn replace(&self, key: &str, value: Bytes, revision: Revision) -> Result<bool, KvError> {
        self.turn(|| {
            let mut values = self.data.values.borrow_mut();
            let is_same = revision == self.revision(values.get(key));
            if is_same {
                values.insert(key.to_owned(), value);
            }
            Ok(is_same)
        })
        .await
    }
}

/// Polls until it is done, or has not got on for long.
pub fn drive<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

pub fn run(log: &Listed<Store>, op: u64, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
    drive(log.run(OpId(op), request)).unwrap()
}

pub fn append(log: &Listed<Store>, op: u64, updates: &[Bytes]) -> Result<Tail, LogError> {
    match run(log, op, LogOp::Append { updates: updates.to_vec() }).0? {
        LogReply::Appended(tail) => Ok(tail),
        other @ (LogReply::Loaded(_)
        | LogReply::Compacted(_)
        | LogReply::Created { .. }
        | LogReply::Deleted { .. }
        | LogReply::Done(_)
        | LogReply::Versions(_)
        | LogReply::Version(_)
        | LogReply::Presence(_)) => panic!("{other:?}"),
    }
}

pub fn load(log: &Listed<Store>, since: Offset) -> Loaded {
    match run(log, 0, LogOp::Load { since }).0 {
        Ok(LogReply::Loaded(loaded)) => loaded,
        other => panic!("{other:?}"),
    }
}

pub fn compact(log: &Listed<Store>) -> Tail {
    match run(log, 0, LogOp::Compact { upto: Offset::END }).0 {
        Ok(LogReply::Compacted(tail)) => tail,
        other => panic!("{other:?}"),
    }
}

/// An update: client `n` inserts a letter into an empty text "t".
pub fn edit(n: u64) -> Bytes {
    let mut out = vec![1, 1];
    yonder_core::wire::put_var_uint(&mut out, n);
    out.extend_from_slice(&[0, 4, 1, 1, b't', 1, b'a' + (n % 26) as u8, 0]);
    out.into()
}

/// A large update that does not compress.
pub fn large(n: u64, bytes: usize) -> Bytes {
    let mut out = vec![1, 1];
    yonder_core::wire::put_var_uint(&mut out, n);
    out.extend_from_slice(&[0, 4, 1, 1, b't']);
    yonder_core::wire::put_var_bytes(&mut out, "abcdefgh".repeat(bytes / 8).as_bytes());
    out.push(0);
    out.into()
}

/// The clients whose edits were told.
pub fn told(loaded: &Loaded) -> BTreeSet<u64> {
    let updates = loaded.snapshot.iter().chain(loaded.updates.iter().map(|(_, update)| update));
    updates
        .flat_map(|update| update::inspect(update).unwrap().clients)
        .map(|section| section.client)
        .collect()
}

/// The clients whose edits the whole document has.
pub fn document(log: &Listed<Store>) -> BTreeSet<u64> {
    let loaded = load(log, Offset::START);
    let updates = loaded.updates.into_iter().map(|(_, update)| update).collect();
    let all = Replica::new(loaded.snapshot, updates).diff(&[0]).unwrap();
    update::inspect(&all).unwrap().clients.iter().map(|section| section.client).collect()
}
