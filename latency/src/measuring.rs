//! What is measured of one host by one transport, beside acknowledgements and arrivals: a recorder for each.

use crate::failure::{Failure, Kind};
use crate::ledger::Ledger;
use crate::line::Phases;
use crate::metric::Metric;
use crate::recorder::Recorder;
use crate::result::{Measured, Problem, Summary};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Recorders by what they are of.
pub(crate) struct Measuring {
    epoch: Instant,
    recorders: BTreeMap<Metric, Recorder>,
}

impl Measuring {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, recorders: BTreeMap::new() }
    }

    /// Records what took `taken` and began at `began`, in a block of its own.
    pub(crate) fn took(&mut self, metric: Metric, began: Instant, taken: Duration) {
        let since = began.saturating_duration_since(self.epoch);
        self.of(metric).record_alone(since, taken);
    }

    /// The same in a block that several have.
    pub(crate) fn took_in(&mut self, metric: Metric, block: u64, began: Instant, taken: Duration) {
        let since = began.saturating_duration_since(self.epoch);
        self.of(metric).record(block, since, taken);
    }

    pub(crate) fn failed(&mut self, metric: Metric, kind: Kind) {
        self.of(metric).fail(kind);
    }

    pub(crate) fn ended(&mut self, metric: Metric, began: Instant, ended: &Result<Duration, Failure>) {
        match ended {
            Ok(taken) => self.took(metric, began, *taken),
            Err(failure) => self.failed(metric, failure.kind),
        }
    }

    /// The phases of a fresh connection.
    pub(crate) fn opened(&mut self, began: Instant, phases: &Phases, first_byte: Duration) {
        if let Some(lookup) = phases.lookup {
            self.took(Metric::Lookup, began, lookup);
        }
        self.took(Metric::Tcp, began, phases.tcp);
        if let Some(tls) = phases.tls {
            self.took(Metric::Tls, began, tls);
        }
        self.took(Metric::Connect, began, phases.connect());
        self.took(Metric::Ttfb, began, first_byte);
    }

    fn of(&mut self, metric: Metric) -> &mut Recorder {
        self.recorders.entry(metric).or_insert_with(Recorder::new)
    }

    pub(crate) fn summary(&self, metric: Metric) -> Summary {
        self.recorders.get(&metric).map(Recorder::summary).unwrap_or_default()
    }

    /// All of it. A phase that the URL does not have is left out.
    pub(crate) fn measured(
        &self,
        ledger: &Ledger,
        named: bool,
        secure: bool,
        error: Option<Problem>,
    ) -> Measured {
        let (ack, propagation) = ledger.with(|ack, arrival| (ack.summary(), arrival.summary()));
        Measured {
            error,
            lookup: named.then(|| self.summary(Metric::Lookup)),
            tcp: self.summary(Metric::Tcp),
            tls: secure.then(|| self.summary(Metric::Tls)),
            connect: self.summary(Metric::Connect),
            ttfb: self.summary(Metric::Ttfb),
            rtt: self.summary(Metric::Rtt),
            ack,
            propagation,
            converge: self.summary(Metric::Converge),
            reconnect: self.summary(Metric::Reconnect),
            cold: self.summary(Metric::Cold),
            warm: self.summary(Metric::Warm),
        }
    }
}
