//! What a run did: counters, and the rules that the component broke.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// A counter that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }
}

/// A figure that grows and shrinks.
#[derive(Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// One more, until what comes back is dropped. `gauge` says where it is counted.
    pub(crate) fn one(report: &Arc<Report>, gauge: fn(&Report) -> &Gauge) -> One {
        gauge(report).0.fetch_add(1, Relaxed);
        One { report: report.clone(), gauge }
    }
}

/// What a gauge counts.
pub(crate) struct One {
    report: Arc<Report>,
    gauge: fn(&Report) -> &Gauge,
}

impl Drop for One {
    fn drop(&mut self) {
        (self.gauge)(&self.report).0.fetch_sub(1, Relaxed);
    }
}

/// The figures that `GET /.host/metrics` answers, in operations, bytes, instances and requests.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) gets: Counter,
    pub(crate) sets: Counter,
    pub(crate) deletes: Counter,
    pub(crate) exists: Counter,
    pub(crate) increments: Counter,
    pub(crate) list_keys: Counter,
    /// Bytes of keys and values that the component wrote.
    pub(crate) bytes_in: Counter,
    /// Bytes of keys and values that the component read.
    pub(crate) bytes_out: Counter,
    pub(crate) instances: Counter,
    pub(crate) requests: Counter,
    /// Instances that live.
    pub(crate) alive: Gauge,
    /// Requests that are not over.
    pub(crate) running: Gauge,
    /// Bytes of memory that the largest instance has had.
    pub(crate) memory: AtomicU64,
    violations: Counter,
    file: Option<Mutex<File>>,
}

impl Report {
    /// With a file to which violations are appended, one a line.
    pub(crate) fn new(file: Option<File>) -> Self {
        Self { file: file.map(Mutex::new), ..Self::default() }
    }

    /// Tells that the component did what fails, or hurts, on some real host. The text that comes back answers the call.
    pub(crate) fn violation(&self, what: String) -> String {
        self.violations.add(1);
        let line = format!("violation: {}", what.replace('\n', " | "));
        eprintln!("{line}");
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(|broken| broken.into_inner());
            if let Err(error) = writeln!(file, "{line}") {
                eprintln!("cannot write the violation to its file: {error}");
            }
        }
        what
    }

    /// The figures as one JSON object.
    pub(crate) fn json(&self) -> String {
        let figures = [
            ("gets", &self.gets.0),
            ("sets", &self.sets.0),
            ("deletes", &self.deletes.0),
            ("exists", &self.exists.0),
            ("increments", &self.increments.0),
            ("list_keys", &self.list_keys.0),
            ("bytes_in", &self.bytes_in.0),
            ("bytes_out", &self.bytes_out.0),
            ("instances", &self.instances.0),
            ("alive", &self.alive.0),
            ("requests", &self.requests.0),
            ("running", &self.running.0),
            ("memory", &self.memory),
            ("violations", &self.violations.0),
        ];
        let mut text = String::from("{");
        for (name, figure) in figures {
            let comma = if text.len() > 1 { "," } else { "" };
            let _ = write!(text, "{comma}\"{name}\":{}", figure.load(Relaxed));
        }
        text.push_str("}\n");
        text
    }
}
