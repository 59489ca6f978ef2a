//! When edits are due: at fixed times, whatever happened to earlier ones. And how exact that is.

use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Times that are due, as they come.
///
/// They are kept by a thread that does nothing else: the timers of an asynchronous runtime are exact to a millisecond,
/// and on many hosts an edit takes less.
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
    due: UnboundedReceiver<u32>,
}

impl Schedule {
    /// The first is due at `start`, and `rate` follow each second.
    pub(crate) fn new(start: Instant, rate: f64) -> Self {
        let (sender, due) = unbounded_channel();
        thread::spawn(move || {
            for number in 0.. {
                thread::sleep(at(start, rate, number).saturating_duration_since(Instant::now()));
                if sender.send(number).is_err() {
                    break;
                }
            }
        });
        Self { start, rate, due }
    }

    /// When the next is due, once it is.
    pub(crate) async fn next(&mut self) -> Option<Instant> {
        self.due.recv().await.map(|number| at(self.start, self.rate, number))
    }
}

fn at(start: Instant, rate: f64, number: u32) -> Instant {
    start + Duration::from_secs_f64(f64::from(number) / rate)
}

/// The smallest step of the clock that is to be seen.
pub(crate) fn resolution() -> Duration {
    const STEPS: usize = 1000;
    let mut smallest = Duration::MAX;
    for _ in 0..STEPS {
        let began = Instant::now();
        let mut step = began.elapsed();
        while step.is_zero() {
            step = began.elapsed();
        }
        smallest = smallest.min(step);
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn times_are_due_whatever_their_receiver_does() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 200.0);
        for number in 0..40 {
            if number == 10 {
                thread::sleep(Duration::from_millis(50));
            }
            let due = schedule.next().await.unwrap();
            assert_eq!(due, start + Duration::from_millis(5) * number);
            assert!(Instant::now() >= due, "{number} came early");
        }
    }

    #[test]
    fn the_clock_has_a_resolution() {
        assert!((1..1_000_000).contains(&resolution().as_nanos()));
    }
}
