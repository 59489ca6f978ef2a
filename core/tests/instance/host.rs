//! A host of instances: one thread, its own time, a store that counts, and a proxy that keeps what is published.

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use yonder_core::grip::Proxies;
use yonder_core::http::Reply;
use yonder_core::instance::{Answered, Instance, Runtime};
use yonder_core::kv::{CountKv, Kv, KvConfig, KvError};
use yonder_core::limits::Limits;
use yonder_core::request::DocRequest;
use yonder_core::sequenced::Sequenced;
use yonder_core::{DocName, Millis};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What all instances share.
#[derive(Default)]
pub(crate) struct World {
    now: Cell<u64>,
    random: Cell<u64>,
    values: RefCell<BTreeMap<String, Bytes>>,
    counters: RefCell<BTreeMap<String, u64>>,
    timers: RefCell<Vec<(u64, Waker)>>,
    tasks: RefCell<Vec<(Arc<Flag>, Task)>>,
    /// What was published.
    pub(crate) posts: RefCell<Vec<String>>,
    /// How long the proxy takes for it.
    pub(crate) proxy_takes: Cell<u64>,
}

/// A task is polled only when it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
pub(crate) struct Host(Rc<World>);

impl World {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(1_000_000_000), ..Self::default() })
    }

    pub(crate) fn instance(self: &Rc<Self>, proxies: Option<&str>) -> Instance<Host> {
        let proxies = proxies.map(|urls| Proxies::parse(urls).unwrap());
        Instance::new(Host(Rc::clone(self)), Arc::new(Limits::default()), proxies)
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Runs until this is done. Time passes only when nothing else can.
    pub(crate) fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let end = self.now.get() + 120_000;
        loop {
            let mut idle = true;
            if flag.0.swap(false, Ordering::Relaxed) {
                idle = false;
                if let Poll::Ready(done) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return done;
                }
            }
            for (flag, mut task) in self.tasks.take() {
                let ran = flag.0.swap(false, Ordering::Relaxed);
                idle &= !ran;
                let waker = Waker::from(Arc::clone(&flag));
                if !ran || task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    self.tasks.borrow_mut().push((flag, task));
                }
            }
            if idle {
                let next = self.timers.borrow().iter().map(|(at, _)| *at).min().expect("somebody wakes it");
                assert!(next < end, "nothing comes of it within 120 s");
                self.now.set(self.now.get().max(next));
                for (at, waker) in self.timers.take() {
                    if at <= next { waker.wake() } else { self.timers.borrow_mut().push((at, waker)) }
                }
            }
        }
    }

    async fn sleep(&self, milliseconds: u64) {
        let until = self.now.get() + milliseconds;
        std::future::poll_fn(|context| {
            if self.now.get() >= until {
                return Poll::Ready(());
            }
            self.timers.borrow_mut().push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Runtime for Host {
    type Log = Sequenced<Self>;

    fn now(&self) -> Millis {
        Millis(self.0.now.get())
    }

    fn log(&self, doc: &DocName) -> Sequenced<Self> {
        Sequenced::new(self.clone(), doc, KvConfig { trust: 0, ..KvConfig::default() })
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push((Arc::new(Flag(AtomicBool::new(true))), Box::pin(work)));
    }

    async fn sleep(&self, milliseconds: u64) {
        self.0.sleep(milliseconds).await;
    }

    async fn publish(&self, _: &str, _: Option<&str>, body: String) {
        self.0.sleep(self.0.proxy_takes.get()).await;
        self.0.posts.borrow_mut().push(body);
    }
}

impl Kv for Host {
    fn now(&self) -> Millis {
        Runtime::now(self)
    }

    fn random(&self) -> u64 {
        self.0.random.set(self.0.random.get() + 1);
        self.0.random.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        self.0.sleep(1).await;
        Ok(self.0.values.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        self.0.sleep(2).await;
        self.0.values.borrow_mut().insert(key.to_owned(), value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.0.sleep(2).await;
        self.0.values.borrow_mut().remove(key);
        Ok(())
    }
}

impl CountKv for Host {
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError> {
        self.0.sleep(1).await;
        let mut counters = self.0.counters.borrow_mut();
        let counter = counters.entry(key.to_owned()).or_default();
        *counter += delta;
        Ok(*counter)
    }
}

/// Asks, and expects a whole answer.
pub(crate) async fn ask(instance: &Instance<Host>, doc: &str, request: DocRequest) -> Reply {
    let doc = DocName::new(doc).unwrap();
    let asking = yonder_core::http::Asking { doc, request, expires: None, stale: false };
    match instance.ask(asking).await {
        Answered::Reply(reply) => reply,
        Answered::Events(reply, _) => panic!("it streams: {reply:?}"),
    }
}
