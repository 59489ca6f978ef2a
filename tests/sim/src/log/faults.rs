//! What befalls instances: requests that are cut off, crashes, and time that passes.

use super::World;
use super::tasks::{Retry, Task};
use super::world::{REQUEST_MAX, TASKS};
use crate::lowering::Lowering;

/// Milliseconds for which a write may be on its way when nobody waits for it any more.
const LATE_MAX: u64 = 10_000;

impl<L: Lowering> World<L> {
    /// A request is cut off where it is.
    pub(super) fn cut(&mut self, index: usize) {
        if let Some(task) = self.tasks[index].take() {
            let late = self.plan.weights.late;
            self.shared.store.borrow_mut().orphan(index, late);
            let _ = self.give_up(task);
        }
    }

    /// An instance forgets everything.
    pub(super) fn crash(&mut self) {
        let instance = self.rng.index(self.plan.instances);
        self.crash_of(instance);
    }

    pub(super) fn crash_of(&mut self, instance: usize) {
        self.counts.crashes += 1;
        self.say(self.now(), &format!("instance {instance} crashes"));
        (instance * TASKS..(instance + 1) * TASKS).for_each(|task| self.cut(task));
        for index in (0..self.retries.len()).rev() {
            if self.retries[index].instance == instance {
                let Retry { doc, edits, .. } = self.retries.swap_remove(index);
                self.docs[doc].unsent.extend(edits);
            }
        }
        self.instances[instance].objects.iter_mut().for_each(|object| *object = None);
    }

    /// Time passes. What takes too long is cut off by its host.
    pub(super) fn jump(&mut self) {
        let by = match self.rng.below(10) {
            0..=5 => self.rng.below(3_000),
            6 | 7 => self.rng.below(30_000),
            8 => self.rng.below(200_000),
            _ => self.rng.below(2_000_000),
        };
        let now = {
            let mut store = self.shared.store.borrow_mut();
            store.now += by;
            let now = store.now;
            store
                .flights
                .retain(|flight| flight.task.is_some() || flight.sent + REQUEST_MAX + LATE_MAX > now);
            now
        };
        let over = |task: &Option<Task<L>>| task.as_ref().is_some_and(|task| task.began + REQUEST_MAX < now);
        let late: Vec<_> = (0..self.tasks.len()).filter(|index| over(&self.tasks[*index])).collect();
        for index in late {
            self.cut(index);
        }
        let mut store = self.shared.store.borrow_mut();
        store.flights.retain(|flight| flight.task.is_some() || flight.sent + REQUEST_MAX + LATE_MAX > now);
    }

    /// Nothing is under way any more.
    pub(super) fn give_up_all(&mut self) {
        for instance in 0..self.plan.instances {
            let crashes = self.plan.weights.crash > 0;
            (instance * TASKS..(instance + 1) * TASKS).for_each(|task| self.cut(task));
            if crashes && self.rng.chance(500) {
                self.instances[instance].objects.iter_mut().for_each(|object| *object = None);
            }
        }
        for Retry { doc, edits, .. } in std::mem::take(&mut self.retries) {
            self.docs[doc].unsent.extend(edits);
        }
    }
}
