//! Calls of the store that hold up the whole instance, one at a time and with no other beside them.
//!
//! On Redis all calls of all instances stand in one queue of some places. A place is given to a call that waits, which
//! takes it when it is run again: not while its instance is held up. An instance that was held up by a call that waits
//! for a place would keep those that its other calls were given, and a few such instances all there are.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who calls the store.
#[derive(Default)]
pub(crate) struct Turns(RefCell<State>);

#[derive(Default)]
struct State {
    /// Calls that are under way.
    beside: usize,
    /// Those that want to be alone, or are: nobody else begins.
    alone: usize,
    waiting: Vec<Waker>,
}

/// A call's turn, until it is dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    count: fn(&mut State) -> &mut usize,
}

impl Turns {
    /// For a call that lets the instance go on.
    pub(crate) async fn beside(&self) -> Turn<'_> {
        self.when(|state| state.alone == 0).await;
        self.turn(|state| &mut state.beside)
    }

    /// For a call that does not.
    pub(crate) async fn alone(&self) -> Turn<'_> {
        let turn = self.turn(|state| &mut state.alone);
        self.when(|state| state.beside == 0).await;
        turn
    }

    fn turn(&self, count: fn(&mut State) -> &mut usize) -> Turn<'_> {
        *count(&mut self.0.borrow_mut()) += 1;
        Turn { turns: self, count }
    }

    async fn when(&self, is_so: fn(&State) -> bool) {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if is_so(&state) {
                return Poll::Ready(());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.turns.0.borrow_mut();
            *(self.count)(&mut state) -= 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
