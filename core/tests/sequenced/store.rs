//! A store in memory, each operation of which is one poll, and that can fail in every way in which a store may.

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yonder_core::kv::{CountKv, Kv, KvConfig, KvError};
use yonder_core::log::{Loaded, LogError, LogOp, LogReply, Offset, Tail, Version};
use yonder_core::sequenced::Sequenced;
use yonder_core::{DocName, Millis, OpId, replica, update};

/// What goes wrong with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is not done.
    Failed,
    /// It is done, and the answer is lost.
    Lost,
    /// It is done twice, and the answer is the second one's.
    Twice,
    /// The answer is lost, and it is done when [`Store::land`] is called.
    Late,
}

/// A write on its way.
type Late = (String, Option<Bytes>);
type Plan = Box<dyn FnMut(&str) -> Fault>;

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) values: RefCell<BTreeMap<String, Bytes>>,
    pub(crate) counters: RefCell<BTreeMap<String, u64>>,
    /// All keys of entries that ever were, with what stood there: none is ever overwritten with something else.
    written: RefCell<BTreeMap<String, Bytes>>,
    pub(crate) now: Cell<u64>,
    random: Cell<u64>,
    pub(crate) log: RefCell<Vec<String>>,
    plan: RefCell<Option<Plan>>,
    late: RefCell<Vec<Late>>,
}

impl Store {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(1_000_000_000), ..Self::default() })
    }

    pub(crate) fn instance(self: &Rc<Self>) -> Instance {
        self.instance_with(0, config())
    }

    pub(crate) fn instance_with(self: &Rc<Self>, skew: i64, config: KvConfig) -> Instance {
        let kv = Handle { store: Rc::clone(self), skew };
        Instance {
            log: Rc::new(Sequenced::new(kv, &DocName::new("Team/doc").unwrap(), config)),
            ops: Rc::default(),
        }
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
    }

    pub(crate) fn plan(&self, plan: impl FnMut(&str) -> Fault + 'static) {
        *self.plan.borrow_mut() = Some(Box::new(plan));
    }

    pub(crate) fn heal(&self) {
        *self.plan.borrow_mut() = None;
    }

    /// Does the writes that are late; how many.
    pub(crate) fn land(&self) -> usize {
        let late = std::mem::take(&mut *self.late.borrow_mut());
        let count = late.len();
        for (key, value) in late {
            self.write(&key, value);
        }
        count
    }

    pub(crate) fn keys(&self, kind: char) -> BTreeSet<String> {
        self.values.borrow().keys().filter(|key| key.starts_with(kind)).cloned().collect()
    }

    pub(crate) fn value(&self, kind: char) -> Option<Bytes> {
        let values = self.values.borrow();
        values.iter().find(|(key, _)| key.starts_with(kind)).map(|(_, value)| value.clone())
    }

    fn write(&self, key: &str, value: Option<Bytes>) {
        let Some(value) = value else {
            assert!(
                !key.starts_with('t') && !key.starts_with('c') && !key.starts_with('n'),
                "{key} is deleted"
            );
            self.values.borrow_mut().remove(key);
            return;
        };
        assert!(
            key.len() <= 255
                && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
        );
        if key.starts_with(['e', 'p', 'v', 'b']) {
            let mut written = self.written.borrow_mut();
            let before = written.entry(key.to_owned()).or_insert_with(|| value.clone());
            assert_eq!(*before, value, "{key} is overwritten");
        }
        self.values.borrow_mut().insert(key.to_owned(), value);
    }

    async fn operation(&self, name: String) -> Fault {
        let mut first = true;
        std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) })
            .await;
        let fault = self.plan.borrow_mut().as_mut().map_or(Fault::None, |plan| plan(&name));
        self.log.borrow_mut().push(name);
        fault
    }
}

pub(crate) struct Handle {
    store: Rc<Store>,
    skew: i64,
}

impl Kv for Handle {
    fn now(&self) -> Millis {
        Millis(self.store.now.get().saturating_add_signed(self.skew))
    }

    fn random(&self) -> u64 {
        self.store.random.set(self.store.random.get() + 1);
        self.store.random.get()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        match self.store.operation(format!("get {key}")).await {
            Fault::None | Fault::Twice => Ok(self.store.values.borrow().get(key).cloned()),
            Fault::Failed | Fault::Lost | Fault::Late => Err(KvError::Unavailable),
        }
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        let fault = self.store.operation(format!("set {key}")).await;
        change(&self.store, fault, key, Some(value))
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        let fault = self.store.operation(format!("delete {key}")).await;
        change(&self.store, fault, key, None)
    }
}

fn change(store: &Store, fault: Fault, key: &str, value: Option<Bytes>) -> Result<(), KvError> {
    match fault {
        Fault::None | Fault::Twice => {
            store.write(key, value);
            return Ok(());
        }
        Fault::Failed => {}
        Fault::Lost => store.write(key, value),
        Fault::Late => store.late.borrow_mut().push((key.to_owned(), value)),
    }
    Err(KvError::Unavailable)
}

impl CountKv for Handle {
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError> {
        let fault = self.store.operation(format!("count {key} {delta}")).await;
        assert!(!self.store.values.borrow().contains_key(key), "{key} is a counter");
        let mut counters = self.store.counters.borrow_mut();
        let counter = counters.entry(key.to_owned()).or_default();
        match fault {
            Fault::None => *counter += delta,
            Fault::Twice => *counter += 2 * delta,
            Fault::Failed | Fault::Late => return Err(KvError::Unavailable),
            Fault::Lost => {
                *counter += delta;
                return Err(KvError::Unavailable);
            }
        }
        Ok(*counter)
    }
}

/// Much smaller than the defaults where that makes more happen.
pub(crate) fn config() -> KvConfig {
    KvConfig { value_bytes: 400, inline_bytes: 64, ..KvConfig::default() }
}

/// One instance of the server.
#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) log: Rc<Sequenced<Handle>>,
    ops: Rc<Cell<u64>>,
}

pub(crate) type Answer = Result<LogReply, LogError>;
pub(crate) type Task = Pin<Box<dyn Future<Output = (Answer, yonder_core::kv::Cost)>>>;

impl Instance {
    pub(crate) fn op(&self) -> OpId {
        self.ops.set(self.ops.get() + 1);
        OpId(self.ops.get())
    }

    pub(crate) fn start(&self, op: OpId, request: LogOp) -> Task {
        let log = Rc::clone(&self.log);
        Box::pin(async move { log.run(op, request).await })
    }

    pub(crate) fn ask(&self, request: LogOp) -> Answer {
        self.ask_as(self.op(), request)
    }

    pub(crate) fn ask_as(&self, op: OpId, request: LogOp) -> Answer {
        finish(self.start(op, request)).0
    }

    pub(crate) fn cost(&self, request: LogOp) -> yonder_core::kv::Cost {
        let (answer, cost) = finish(self.start(self.op(), request));
        answer.unwrap();
        cost
    }

    pub(crate) fn append(&self, updates: &[Bytes]) -> Tail {
        match self.ask(append(updates)) {
            Ok(LogReply::Appended(tail)) => tail,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn load(&self, since: &Offset) -> Loaded {
        match self.ask(LogOp::Load { since: since.clone() }) {
            Ok(LogReply::Loaded(loaded)) => loaded,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn all(&self) -> Loaded {
        self.load(&Offset::START)
    }

    /// The clients whose edits a full load has.
    pub(crate) fn clients(&self) -> BTreeSet<u64> {
        clients(&self.all())
    }

    pub(crate) fn compact(&self) -> Tail {
        let upto = self.load(&Offset::END).tail.end;
        match self.ask(LogOp::Compact { upto }) {
            Ok(LogReply::Compacted(tail)) => tail,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create(&self, updates: &[Bytes]) -> (bool, Tail) {
        match self.ask(LogOp::Create { updates: updates.to_vec() }) {
            Ok(LogReply::Created { existed, tail }) => (existed, tail),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delete(&self) -> (bool, Tail) {
        match self.ask(LogOp::Delete) {
            Ok(LogReply::Deleted { existed, tail }) => (existed, tail),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn put_version(&self, id: &str, body: &Bytes, most: usize) -> Answer {
        let version = Version { id: id.into(), name: format!("named {id}"), created: Millis(7), bytes: 3 };
        self.ask(LogOp::PutVersion { version, body: body.clone(), most })
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        match self.ask(LogOp::ListVersions) {
            Ok(LogReply::Versions(versions)) => versions.into_iter().map(|version| version.id).collect(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn append(updates: &[Bytes]) -> LogOp {
    LogOp::Append { updates: updates.to_vec() }
}

pub(crate) fn finish(mut task: Task) -> (Answer, yonder_core::kv::Cost) {
    loop {
        if let Poll::Ready(done) = poll(&mut task) {
            return done;
        }
    }
}

pub(crate) fn poll(task: &mut Task) -> Poll<(Answer, yonder_core::kv::Cost)> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The first edit of a client: a letter in a text of its own.
pub(crate) fn edit(client: u64) -> Bytes {
    large_edit(client, 1)
}

pub(crate) fn large_edit(client: u64, letters: usize) -> Bytes {
    use yrs::{Text as _, Transact as _};
    let doc = yrs::Doc::with_client_id(client);
    let text = doc.get_or_insert_text("t");
    let mut txn = doc.transact_mut();
    text.insert(&mut txn, 0, &"x".repeat(letters));
    txn.encode_update_v1().into()
}

pub(crate) fn clients(loaded: &Loaded) -> BTreeSet<u64> {
    let updates = loaded.updates.iter().map(|(_, update)| update);
    clients_of(loaded.snapshot.iter().chain(updates))
}

pub(crate) fn clients_of<'a>(updates: impl Iterator<Item = &'a Bytes>) -> BTreeSet<u64> {
    let merged = replica::compact(updates.cloned().collect()).unwrap();
    update::inspect(&merged).unwrap().clients.iter().map(|section| section.client).collect()
}

/// Numbers that look random.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    pub(crate) fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
