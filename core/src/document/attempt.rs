//! Requests to the store: when they are repeated, and whom they answer.

use crate::effect::{Millis, OpId};
use crate::limits::Limits;
use crate::log::LogError;

/// Milliseconds until a request that failed is tried again: the first time, and at most.
const RETRY: (u64, u64) = (50, 2_000);

/// A request to the store, and when to repeat it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) op: OpId,
    since: Millis,
    failures: u32,
    pub(super) retry_at: Option<Millis>,
}

/// Requests to the store that answer everyone who waited when they began. Who came later waits for the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounds {
    pub(super) begun: u64,
    pub(super) ended: u64,
}

impl Attempt {
    pub(super) fn new(op: OpId, since: Millis) -> Self {
        Self { op, since, failures: 0, retry_at: None }
    }

    /// Plans a retry; false if the error is final or patience has run out.
    pub(super) fn put_off(&mut self, now: Millis, error: LogError, limits: &Limits) -> bool {
        if error != LogError::Unavailable || now.since(self.since) >= limits.store_patience {
            return false;
        }
        let (first, most) = RETRY;
        self.retry_at = Some(now.after((first << self.failures.min(10)).min(most)));
        self.failures += 1;
        true
    }

    /// Whether to repeat it now; then it is on its way again.
    pub(super) fn is_due(&mut self, now: Millis) -> bool {
        let due = self.retry_at.is_some_and(|at| at <= now);
        if due {
            self.retry_at = None;
        }
        due
    }
}
