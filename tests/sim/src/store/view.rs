//! A store as one instance sees it: with its own clock, from its own place, and with time between what it asks and
//! what it hears.

use super::data::{REPLICAS, Store};
use super::flight::{Answer, Ask, Flight};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use yonder_core::Millis;
use yonder_core::kv::{CountKv, Kv, KvError, ListKv, Page};

/// When runs begin, in milliseconds since the epoch.
const EPOCH: u64 = 1_800_000_000_000;

/// What all views share.
#[derive(Debug)]
pub struct Shared {
    /// The store.
    pub store: RefCell<Store>,
    /// The task that is being polled.
    pub polled: Cell<usize>,
    /// By how many milliseconds each instance's clock is wrong, and 1 hour.
    pub skews: RefCell<Vec<u64>>,
}

/// The middle of [`Shared::skews`].
pub const NO_SKEW: u64 = 3_600_000;
/// An instance that sees the store as it is.
pub const ORACLE: usize = usize::MAX;

/// A store as one instance sees it.
#[derive(Debug, Clone)]
pub struct View {
    shared: Rc<Shared>,
    instance: usize,
}

impl View {
    /// As this instance sees it.
    pub fn new(shared: &Rc<Shared>, instance: usize) -> Self {
        Self { shared: Rc::clone(shared), instance }
    }

    /// Sends an operation; it is on its way whether or not the answer is awaited.
    fn ask(&self, ask: Ask) -> Asked {
        let mut store = self.shared.store.borrow_mut();
        let id = store.next_flight;
        store.next_flight += 1;
        if store.calm || self.instance == ORACLE {
            let answer = store.truly(&ask);
            store.answers.insert(id, answer);
        } else {
            let task = Some(self.shared.polled.get());
            let sent = store.now;
            store.flights.push(Flight { id, task, instance: self.instance, ask, sent, answer: None });
        }
        drop(store);
        Asked { shared: Rc::clone(&self.shared), id }
    }
}

/// An answer to come.
struct Asked {
    shared: Rc<Shared>,
    id: u64,
}

impl Future for Asked {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let mut store = self.shared.store.borrow_mut();
        store.answers.remove(&self.id).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Store {
    /// The operation reaches the store.
    pub fn arrive(&mut self, index: usize) {
        let (ask, home) = (self.flights[index].ask.clone(), self.flights[index].instance % REPLICAS);
        let answer = self.perform(&ask, home);
        self.flights[index].answer = Some(answer);
    }

    /// The answer reaches who asked; the task that is to be polled.
    pub fn deliver(&mut self, index: usize) -> Option<usize> {
        let flight = self.flights.swap_remove(index);
        let task = flight.task?;
        self.answers.insert(flight.id, flight.answer?);
        Some(task)
    }

    /// A task is no more. What it asked may still arrive, or is lost.
    pub fn orphan(&mut self, task: usize, late: u32) {
        for index in (0..self.flights.len()).rev() {
            let flight = &mut self.flights[index];
            if flight.task == Some(task) {
                flight.task = None;
                let arrived = flight.answer.is_some() || !flight.ask.writes();
                if arrived || !self.rng.chance(late) {
                    self.flights.swap_remove(index);
                }
            }
        }
    }
}

impl Kv for View {
    fn now(&self) -> Millis {
        let skew = self.shared.skews.borrow().get(self.instance).copied().unwrap_or(NO_SKEW);
        Millis(EPOCH + self.shared.store.borrow().now + skew - NO_SKEW)
    }

    fn random(&self) -> u64 {
        self.shared.store.borrow_mut().rng.bits()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        match self.ask(Ask::Get(key.to_owned())).await {
            Answer::Value(value) => value,
            _ => Err(KvError::Refused),
        }
    }

    /// All are on their way at once, and arrive in any order.
    async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, KvError> {
        let asked: Vec<_> = keys.iter().map(|key| self.ask(Ask::Get(key.clone()))).collect();
        let mut values = Vec::with_capacity(keys.len());
        for asked in asked {
            match asked.await {
                Answer::Value(value) => values.push(value?),
                _ => return Err(KvError::Refused),
            }
        }
        Ok(values)
    }

    async fn set(&self, key: &str, value: Bytes) -> Result<(), KvError> {
        match self.ask(Ask::Set(key.to_owned(), value)).await {
            Answer::Done(done) => done,
            _ => Err(KvError::Refused),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        match self.ask(Ask::Delete(key.to_owned())).await {
            Answer::Done(done) => done,
            _ => Err(KvError::Refused),
        }
    }
}

impl ListKv for View {
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, KvError> {
        match self.ask(Ask::List(prefix.to_owned(), cursor.map(str::to_owned))).await {
            Answer::Page(page) => page,
            _ => Err(KvError::Refused),
        }
    }
}

impl CountKv for View {
    async fn count(&self, key: &str, delta: u64) -> Result<u64, KvError> {
        match self.ask(Ask::Count(key.to_owned(), delta)).await {
            Answer::Count(count) => count,
            _ => Err(KvError::Refused),
        }
    }
}
