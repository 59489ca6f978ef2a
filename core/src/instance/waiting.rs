//! Waiting for a room. Time passes for it while somebody does.

use super::Runtime;
use super::home::{Answer, Home, Waiter};
use crate::effect::{Close, ConnId, Input, Millis};
use crate::grip::Exchange;
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::rc::Rc;

/// A request's place in a room, until it is dropped.
pub(super) struct Seat<R: Runtime> {
    home: Rc<Home<R>>,
    pub(super) conn: ConnId,
}

/// What follows the beginning of an event stream. If it is dropped before its end, because the client left, the room is
/// told.
pub struct Events<R: Runtime>(Seat<R>);

impl<R: Runtime> Events<R> {
    pub(super) fn new(seat: Seat<R>) -> Self {
        Self(seat)
    }

    /// The next bytes of the body, or none at its end.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.wait(Waiter::next).await
    }
}

impl<R: Runtime> Seat<R> {
    pub(super) fn new(home: Rc<Home<R>>, conn: ConnId) -> Self {
        home.expect(conn);
        Self { home, conn }
    }

    pub(super) fn give(&self, input: Input<'_>) {
        self.home.give(input);
    }

    pub(super) async fn answer(&self) -> Answer {
        self.wait(|waiter| waiter.answer.take()).await
    }

    /// Waits for the compaction that is under way, unless somebody does already; at most `patience` milliseconds.
    pub(super) async fn compacted(&self, patience: u64) {
        if !self.home.is_compacting() || self.home.is_awaited.replace(true) {
            return;
        }
        let until = self.home.runtime().now().after(patience);
        let done = || !self.home.is_compacting() || self.home.runtime().now() >= until;
        self.wait_until(Some(until), |_| done().then_some(())).await;
        self.home.is_awaited.set(false);
    }

    /// Waits until what the room has said so far is published; at most `patience` milliseconds.
    pub(super) async fn published(&self, patience: u64) {
        let (put, out) = self.home.published();
        if out < put {
            let until = self.home.runtime().now().after(patience);
            let done = || self.home.published().1 >= put || self.home.runtime().now() >= until;
            self.wait_until(Some(until), |_| done().then_some(())).await;
        }
    }

    /// Waits until the room owes this connection nothing; false if it still does after `patience` milliseconds.
    pub(super) async fn settled(&self, patience: u64) -> bool {
        let until = self.home.runtime().now().after(patience);
        let done = || {
            let settled = !self.home.owes(self.conn);
            (settled || self.home.runtime().now() >= until).then_some(settled)
        };
        self.wait_until(Some(until), |_| done()).await
    }

    /// Has the room finish what it put off, beside everything else.
    pub(super) fn finish(&self) {
        self.home.finish();
    }

    pub(super) fn begin(&self, exchange: Exchange) {
        self.home.with(self.conn, |waiter| waiter.exchange = Some(exchange));
    }

    /// Whether the connection of the exchange ends with its answer.
    pub(super) fn is_over(&self) -> bool {
        let mut is_over = false;
        self.home.with(self.conn, |waiter| {
            is_over = waiter.exchange.as_ref().is_some_and(Exchange::is_over);
        });
        is_over
    }

    /// Takes the exchange, whose connection is no longer this room's.
    pub(super) fn end(&self) -> Option<Exchange> {
        let mut exchange = None;
        self.home.with(self.conn, |waiter| {
            exchange = waiter.exchange.take();
            waiter.over.get_or_insert_with(|| Close::new(Close::NORMAL, ""));
        });
        exchange
    }

    async fn wait<T>(&self, take: impl FnMut(&mut Waiter) -> Option<T>) -> T {
        self.wait_until(None, take).await
    }

    /// Waits until there is something to take, and gives the room its ticks meanwhile. `by` is an instant at which to
    /// look as well.
    async fn wait_until<T>(&self, by: Option<Millis>, mut take: impl FnMut(&mut Waiter) -> Option<T>) -> T {
        let runtime = self.home.runtime();
        loop {
            let tick = self.home.tick_at();
            let at = [tick, by].into_iter().flatten().min();
            // A room that wants its next tick at once gets it a moment later: others have their turn.
            let sleep = at.map(|at| at.since(runtime.now()).max(1));
            let mut timer = pin!(async {
                match sleep {
                    Some(milliseconds) => runtime.sleep(milliseconds).await,
                    None => core::future::pending().await,
                }
            });
            let taken = poll_fn(|context| {
                let taken = self.home.look(self.conn, context.waker(), &mut take);
                if taken.is_some() {
                    return Poll::Ready(taken);
                }
                // Something has brought the next tick forward: the timer is set anew.
                let is_early = self.home.tick_at().is_some_and(|next| tick.is_none_or(|tick| next < tick));
                if is_early { Poll::Ready(None) } else { timer.as_mut().poll(context).map(|()| None) }
            });
            if let Some(taken) = taken.await {
                return taken;
            }
            if self.home.tick_at().is_some_and(|at| at <= runtime.now()) {
                self.home.give(Input::Tick);
            }
        }
    }
}

impl<R: Runtime> Drop for Seat<R> {
    fn drop(&mut self) {
        if self.home.forget(self.conn) {
            self.home.give(Input::Closed { conn: self.conn });
        }
    }
}
