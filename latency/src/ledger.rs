//! The edits of one session that are due, and what became of each: `due = recorded + failed`, for acknowledgements and for
//! arrivals alike.

use crate::failure::{Failure, Kind};
use crate::recorder::Recorder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Edits, from when they are due until they are acknowledged and have arrived, or failed to.
pub(crate) struct Ledger {
    /// When the run began.
    epoch: Instant,
    timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    open: BTreeMap<u64, Open>,
    ack: Recorder,
    arrival: Recorder,
}

struct Open {
    due: Instant,
    /// None if it is not recorded.
    block: Option<u64>,
    /// Once it was sent.
    lane: Option<Arc<str>>,
    acked: bool,
    arrived: bool,
    /// Who wants to know of its acknowledgement.
    tell: Option<oneshot::Sender<Result<Acked, Failure>>>,
}

/// An edit that is stored.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    pub(crate) lane: Arc<str>,
    pub(crate) at: Instant,
}

impl Ledger {
    pub(crate) fn new(epoch: Instant, timeout: Duration) -> Self {
        let state = State { open: BTreeMap::new(), ack: Recorder::new(), arrival: Recorder::new() };
        Self { epoch, timeout, state: Mutex::new(state), changed: Notify::new() }
    }

    /// An edit is due; it is recorded in this block, if in any.
    pub(crate) fn due(&self, number: u64, due: Instant, block: Option<u64>) {
        let open = Open { due, block, lane: None, acked: false, arrived: false, tell: None };
        self.state().open.insert(number, open);
    }

    /// An edit that is not recorded is due now; tells when it is stored.
    pub(crate) fn due_aside(&self, number: u64) -> oneshot::Receiver<Result<Acked, Failure>> {
        let (tell, told) = oneshot::channel();
        let open = Open {
            due: Instant::now(),
            block: None,
            lane: None,
            acked: false,
            arrived: false,
            tell: Some(tell),
        };
        self.state().open.insert(number, open);
        told
    }

    /// By when an edit has to be acknowledged; none if that is over.
    pub(crate) fn deadline(&self, number: u64) -> Option<Instant> {
        self.state().open.get(&number).filter(|edit| !edit.acked).map(|edit| edit.due + self.timeout)
    }

    /// An edit is about to be sent.
    pub(crate) fn sent(&self, number: u64, lane: &Arc<str>) {
        if let Some(edit) = self.state().open.get_mut(&number) {
            edit.lane = Some(Arc::clone(lane));
        }
    }

    /// An edit is stored.
    pub(crate) fn acked(&self, number: u64) {
        let at = Instant::now();
        self.change(|state| state.close_ack(self.epoch, number, &Ok(at)));
    }

    /// An edit will not be acknowledged.
    pub(crate) fn failed(&self, number: u64, failure: &Failure) {
        self.change(|state| {
            state.close_ack(self.epoch, number, &Err(failure.clone()));
            if failure.kind.before_sending() {
                state.close_arrival(self.epoch, number, Err(failure.kind));
            }
        });
    }

    /// What was sent on a lane and is not acknowledged will not be.
    pub(crate) fn broken(&self, lane: &str, failure: &Failure) {
        self.change(|state| {
            let of_lane = |edit: &Open| !edit.acked && edit.lane.as_deref() == Some(lane);
            let numbers: Vec<_> =
                state.open.iter().filter(|(_, edit)| of_lane(edit)).map(|(number, _)| *number).collect();
            for number in numbers {
                state.close_ack(self.epoch, number, &Err(failure.clone()));
            }
        });
    }

    /// The reader has what `newest` tells of each lane.
    pub(crate) fn arrived(&self, newest: impl Fn(&str) -> Option<u64>) {
        let at = Instant::now();
        self.change(|state| {
            let open = state.open.values().filter(|edit| !edit.arrived);
            let lanes: BTreeSet<_> = open.filter_map(|edit| edit.lane.clone()).collect();
            for lane in lanes {
                let Some(newest) = newest(&lane) else { continue };
                let here = state.open.range(..=newest).filter(|(_, edit)| edit.lane.as_ref() == Some(&lane));
                let numbers: Vec<_> = here.map(|(number, _)| *number).collect();
                for number in numbers {
                    state.close_arrival(self.epoch, number, Ok(at));
                }
            }
        });
    }

    /// What is open for too long has failed.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        self.change(|state| {
            let late = state.open.iter().filter(|(_, edit)| edit.due + self.timeout <= now);
            let numbers: Vec<_> = late.map(|(number, _)| *number).collect();
            for number in numbers {
                state.close_ack(self.epoch, number, &Err(Failure::timeout("an acknowledgement")));
                state.close_arrival(self.epoch, number, Err(Kind::Timeout));
            }
        });
    }

    /// Whether all that was due before is settled.
    pub(crate) fn is_settled_before(&self, time: Instant) -> bool {
        self.state().open.values().next().is_none_or(|edit| edit.due >= time)
    }

    /// Resolves once everything is settled, one way or the other.
    pub(crate) async fn settled(&self) {
        loop {
            self.expire();
            let changed = self.changed.notified();
            let Some(oldest) = self.state().open.values().map(|edit| edit.due).min() else { return };
            let _ = tokio::time::timeout_at((oldest + self.timeout).into(), changed).await;
        }
    }

    /// Gives what was recorded of acknowledgements and arrivals.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Recorder, &Recorder) -> T) -> T {
        let state = self.state();
        look(&state.ack, &state.arrival)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close_ack(&mut self, epoch: Instant, number: u64, ended: &Result<Instant, Failure>) {
        let Some(edit) = self.open.get_mut(&number).filter(|edit| !edit.acked) else { return };
        edit.acked = true;
        if let Some(block) = edit.block {
            let since = edit.due.saturating_duration_since(epoch);
            match ended {
                Ok(at) => self.ack.record(block, since, at.saturating_duration_since(edit.due)),
                Err(failure) => self.ack.fail(failure.kind),
            }
        }
        if let Some(tell) = edit.tell.take() {
            let lane = edit.lane.clone().unwrap_or_default();
            // Who asked may have gone.
            let _ = tell.send(ended.clone().map(|at| Acked { lane, at }));
        }
        self.forget(number);
    }

    fn close_arrival(&mut self, epoch: Instant, number: u64, ended: Result<Instant, Kind>) {
        let Some(edit) = self.open.get_mut(&number).filter(|edit| !edit.arrived) else { return };
        edit.arrived = true;
        if let Some(block) = edit.block {
            let since = edit.due.saturating_duration_since(epoch);
            match ended {
                Ok(at) => self.arrival.record(block, since, at.saturating_duration_since(edit.due)),
                Err(kind) => self.arrival.fail(kind),
            }
        }
        self.forget(number);
    }

    fn forget(&mut self, number: u64) {
        if self.open.get(&number).is_some_and(|edit| edit.acked && edit.arrived) {
            self.open.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(80);

    #[tokio::test]
    async fn every_edit_that_was_due_is_recorded_or_failed() {
        let ledger = Ledger::new(Instant::now(), TIMEOUT);
        let lane: Arc<str> = "a".into();
        for number in 1..=6 {
            ledger.due(number, Instant::now(), Some(0));
        }
        for number in 1..=4 {
            ledger.sent(number, &lane);
        }
        ledger.acked(1);
        ledger.arrived(|_| Some(2));
        ledger.failed(5, &Failure::new(Kind::Refused, ""));
        ledger.broken(&lane, &Failure::new(Kind::Closed, ""));
        ledger.settled().await;
        let (ack, arrival) = ledger.with(|ack, arrival| (ack.summary(), arrival.summary()));
        let counts = |kinds: &[(&str, u64)]| kinds.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
        assert_eq!((ack.count, ack.failures), (1, counts(&[("closed", 3), ("refused", 1), ("timeout", 1)])));
        assert_eq!((arrival.count, arrival.failures), (2, counts(&[("refused", 1), ("timeout", 3)])));
    }

    #[tokio::test]
    async fn latency_counts_from_when_an_edit_was_due() {
        let ledger = Ledger::new(Instant::now(), Duration::from_secs(60));
        let due = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        ledger.due(1, due, Some(0));
        ledger.sent(1, &"a".into());
        assert!(!ledger.is_settled_before(Instant::now()) && ledger.is_settled_before(due));
        ledger.acked(1);
        ledger.arrived(|_| Some(1));
        ledger.with(|ack, arrival| {
            assert!(ack.summary().min.unwrap() >= 2000.0 && arrival.summary().min.unwrap() >= 2000.0);
        });
        let aside = ledger.due_aside(2);
        ledger.sent(2, &"a".into());
        ledger.acked(2);
        assert_eq!(&*aside.await.unwrap().unwrap().lane, "a");
        assert_eq!(ledger.with(|ack, _| ack.count()), 1);
    }
}
