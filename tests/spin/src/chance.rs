//! Delays and failures, drawn from a seed.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// An operation on the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Get,
    Set,
    Delete,
    Exists,
    Increment,
    ListKeys,
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "get" => Self::Get,
            "set" => Self::Set,
            "delete" => Self::Delete,
            "exists" => Self::Exists,
            "increment" => Self::Increment,
            "list_keys" => Self::ListKeys,
            _ => {
                return Err(format!(
                    "no operation `{text}`: get, set, delete, exists, increment or list_keys"
                ));
            }
        })
    }
}

/// `OPERATION=PROBABILITY`, or `all=PROBABILITY`.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    operation: Option<Operation>,
    probability: f64,
}

impl FromStr for Failing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (operation, probability) = text.split_once('=').ok_or("not of the form OPERATION=PROBABILITY")?;
        let operation = if operation == "all" { None } else { Some(operation.parse()?) };
        match probability.parse() {
            Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(Self { operation, probability }),
            _ => Err(format!("`{probability}` is not a probability between 0 and 1")),
        }
    }
}

/// How an operation fails.
pub(crate) enum Failure {
    /// It is not done, and fails.
    Refused,
    /// It is done, and fails all the same: a time-out of the backend looks like that.
    Unanswered,
}

pub(crate) struct Chance {
    state: AtomicU64,
    failing: Vec<Failing>,
    delay: Duration,
}

impl Chance {
    pub(crate) fn new(seed: u64, failing: Vec<Failing>, delay: Duration) -> Self {
        Self { state: AtomicU64::new(seed), failing, delay }
    }

    /// Between 0 and 1: splitmix64.
    fn draw(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How this operation is to fail, if it is to.
    pub(crate) fn failure(&self, operation: Operation) -> Option<Failure> {
        let hit = self.failing.iter().any(|failing| {
            failing.operation.is_none_or(|of| of == operation) && self.draw() < failing.probability
        });
        hit.then(|| if self.draw() < 0.5 { Failure::Refused } else { Failure::Unanswered })
    }

    /// Waits for up to twice the delay.
    pub(crate) async fn delay(&self) {
        if self.delay.is_zero() {
            return;
        }
        let delay = self.delay.mul_f64(2.0 * self.draw());
        // A thread sleeps for microseconds, the runtime's timer for milliseconds.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(delay)).await;
    }
}
