//! What was measured of one thing: all of it as a histogram, and in blocks over time.

use crate::failure::Kind;
use crate::result::Summary;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;
/// The percentiles, and how many operations each needs: fewer than 1 in 1 - p say nothing of it, and the median of a
/// handful is luck.
const NEEDED: [(f64, u64); 3] = [(0.5, 5), (0.9, 10), (0.99, 100)];

/// Records durations.
pub(crate) struct Recorder {
    /// In microseconds.
    histogram: Histogram<u64>,
    min: Duration,
    max: Duration,
    sum: Duration,
    failures: BTreeMap<String, u64>,
    /// By number: when it began, since the run did, and what is in it.
    blocks: BTreeMap<u64, (Duration, Vec<Duration>)>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            // Three digits are allowed; two would be, too.
            histogram: Histogram::new(DIGITS).unwrap_or_else(|_| Histogram::new_from(&empty())),
            min: Duration::MAX,
            max: Duration::ZERO,
            sum: Duration::ZERO,
            failures: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// Records what took `taken`, and was due or began `since` the run did.
    pub(crate) fn record(&mut self, block: u64, since: Duration, taken: Duration) {
        // It grows with what it is given.
        let _ = self.histogram.record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX));
        self.min = self.min.min(taken);
        self.max = self.max.max(taken);
        self.sum += taken;
        self.blocks.entry(block).or_insert((since, Vec::new())).1.push(taken);
    }

    /// Records what took `taken` in a block of its own.
    pub(crate) fn record_alone(&mut self, since: Duration, taken: Duration) {
        let block = self.blocks.last_key_value().map_or(0, |(block, _)| block + 1);
        self.record(block, since, taken);
    }

    pub(crate) fn fail(&mut self, kind: Kind) {
        *self.failures.entry(kind.name()).or_default() += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// A percentile in milliseconds, if it is known.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let (count, all) = (self.count(), self.count() + self.failed());
        let needed = NEEDED.iter().find(|(known, _)| *known >= share).map_or(u64::MAX, |(_, needed)| *needed);
        let rank = (share * all as f64).ceil();
        // What failed took longer than all that did not.
        let known = all >= needed && rank <= count as f64;
        known.then(|| micros(self.histogram.value_at_quantile(rank / count as f64)).min(ms(self.max)))
    }

    pub(crate) fn summary(&self) -> Summary {
        let any = self.count() > 0;
        let series = self.blocks.values().filter_map(|(since, taken)| {
            Some((seconds(*since), round(ms(median(taken)?)), taken.len() as u64))
        });
        let [p50, p90, p99] = NEEDED.map(|(share, _)| self.percentile(share).map(round));
        Summary {
            p50,
            p90,
            p99,
            max: any.then(|| round(ms(self.max))),
            min: any.then(|| round(ms(self.min))),
            mean: any.then(|| round(ms(self.sum) / self.count() as f64)),
            count: self.count(),
            failed: self.failed(),
            failures: self.failures.clone(),
            histogram: self
                .histogram
                .iter_recorded()
                .map(|step| (micros(step.value_iterated_to()), step.count_at_value()))
                .collect(),
            series: series.collect(),
        }
    }
}

/// A histogram that needs no digits to be checked.
fn empty() -> Histogram<u64> {
    Histogram::new(0).unwrap_or_else(|_| std::process::abort())
}

fn median(taken: &[Duration]) -> Option<Duration> {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) / 2)
}

/// Milliseconds.
pub(crate) fn ms(taken: Duration) -> f64 {
    taken.as_secs_f64() * 1000.0
}

fn micros(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// To the microsecond: more is not known.
fn round(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

/// To the millisecond.
pub(crate) fn seconds(since: Duration) -> f64 {
    round(since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(values: impl IntoIterator<Item = u64>) -> Recorder {
        let mut recorder = Recorder::new();
        for value in values {
            recorder.record(value / 100, Duration::from_secs(value / 100), Duration::from_millis(value));
        }
        recorder
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded_to_three_digits() {
        let summary = recorded(1..=1000).summary();
        for (found, expected) in [(summary.p50, 500.0), (summary.p90, 900.0), (summary.p99, 990.0)] {
            let found = found.unwrap();
            assert!((found - expected).abs() <= expected / 1000.0, "{found} {expected}");
        }
        assert_eq!((summary.min, summary.max, summary.mean), (Some(1.0), Some(1000.0), Some(500.5)));
        assert_eq!(summary.histogram.iter().map(|(_, count)| count).sum::<u64>(), 1000);
        assert_eq!(summary.series.len(), 11);
        assert_eq!(summary.series[1], (1.0, 149.5, 100));
    }

    #[test]
    fn what_failed_counts_as_longer_than_everything() {
        let mut recorder = recorded(1..=99);
        recorder.fail(Kind::Timeout);
        let summary = recorder.summary();
        assert_eq!((summary.count, summary.failed, summary.failures["timeout"]), (99, 1, 1));
        assert_eq!(summary.p99, Some(99.0), "the 99th of 100");
        recorder.fail(Kind::Timeout);
        assert_eq!(recorder.summary().p99, None, "the 100th of 101");
        let median = recorder.summary().p50.unwrap();
        assert!((51.0..51.1).contains(&median), "the 51st of 101: {median}");
    }

    #[test]
    fn a_percentile_of_too_few_is_not_known() {
        for (count, known) in
            [(0, [false; 3]), (4, [false; 3]), (5, [true, false, false]), (10, [true, true, false])]
        {
            let summary = recorded(1..=count).summary();
            assert_eq!(
                [summary.p50, summary.p90, summary.p99].map(|value| value.is_some()),
                known,
                "{count}"
            );
        }
        assert!(recorded(1..=99).summary().p99.is_none() && recorded(1..=100).summary().p99.is_some());
        assert_eq!(recorded([]).summary(), Summary::default());
    }
}
