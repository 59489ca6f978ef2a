//! Runs futures, as the platform has no more than calls that block.
//!
//! Who waits for time or for the store says so here. Nothing is waited for as long as anything can go on: requests to the
//! store that do not need each other's answers are on their way at once.

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt as _;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static WAITING: Waiting = Waiting::default();
}

#[derive(Default)]
struct Waiting {
    spawner: RefCell<Option<LocalSpawner>>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_timer: Cell<u64>,
    /// Who would block, first come first.
    blocking: RefCell<VecDeque<Waker>>,
    /// Tasks that were spawned and are not done.
    tasks: Cell<usize>,
}

/// What runs the tasks.
pub(crate) struct Tasks(LocalPool);

impl Tasks {
    pub(crate) fn new() -> Self {
        let pool = LocalPool::new();
        WAITING.with(|waiting| waiting.spawner.replace(Some(pool.spawner())));
        Self(pool)
    }

    /// Runs everything until this is done, or `until`; none if it is not.
    pub(crate) fn run<T: 'static>(
        &mut self,
        work: impl Future<Output = T> + 'static,
        until: Option<Instant>,
    ) -> Option<T> {
        let done: Rc<RefCell<Option<T>>> = Rc::default();
        let put = Rc::clone(&done);
        let spawned = self.0.spawner().spawn_local(async move {
            let output = work.await;
            put.replace(Some(output));
        });
        spawned.ok()?;
        loop {
            self.0.run_until_stalled();
            if let Some(output) = done.take() {
                return Some(output);
            }
            if !wait(until) {
                return None;
            }
        }
    }

    /// Runs what was spawned and is not done, until `until`.
    pub(crate) fn finish(&mut self, until: Instant) {
        loop {
            self.0.run_until_stalled();
            if WAITING.with(|waiting| waiting.tasks.get()) == 0 || !wait(Some(until)) {
                return;
            }
        }
    }
}

/// Lets somebody go on; false if nobody can before `until`.
fn wait(until: Option<Instant>) -> bool {
    WAITING.with(|waiting| {
        let now = Instant::now();
        let is_late = until.is_some_and(|until| until <= now);
        if let Some(waker) = waiting.blocking.borrow_mut().pop_front() {
            waker.wake();
            return !is_late;
        }
        let Some(first) = waiting.timers.borrow_mut().pop_first() else { return false };
        let ((at, _), waker) = first;
        let at = until.map_or(at, |until| at.min(until));
        std::thread::sleep(at.saturating_duration_since(now));
        waker.wake();
        !is_late
    })
}

/// Runs something beside what is running.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    WAITING.with(|waiting| {
        waiting.tasks.set(waiting.tasks.get() + 1);
        let spawned = waiting.spawner.borrow().as_ref().map(|spawner| {
            spawner.spawn_local(async move {
                work.await;
                WAITING.with(|waiting| waiting.tasks.set(waiting.tasks.get() - 1));
            })
        });
        if !matches!(spawned, Some(Ok(()))) {
            log!("nothing runs tasks");
        }
    });
}

/// Waits.
pub(crate) async fn sleep(milliseconds: u64) {
    let id = WAITING.with(|waiting| waiting.next_timer.replace(waiting.next_timer.get() + 1));
    let timer = Timer((Instant::now() + Duration::from_millis(milliseconds), id));
    poll_fn(|context| {
        if timer.0.0 <= Instant::now() {
            return Poll::Ready(());
        }
        WAITING.with(|waiting| waiting.timers.borrow_mut().insert(timer.0, context.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// A timer that nobody waits for any more keeps nobody.
struct Timer((Instant, u64));

impl Drop for Timer {
    fn drop(&mut self) {
        WAITING.with(|waiting| waiting.timers.borrow_mut().remove(&self.0));
    }
}

/// Returns once nobody can go on without blocking: what is called then may block.
pub(crate) async fn may_block() {
    let mut asked = false;
    poll_fn(|context| {
        if core::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        WAITING.with(|waiting| waiting.blocking.borrow_mut().push_back(context.waker().clone()));
        Poll::Pending
    })
    .await;
}
