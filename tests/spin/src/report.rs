//! What a run did: counters, and the rules that the component broke.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters that `GET /.host/metrics` answers, in operations, bytes, instances and requests.
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

    /// The counters as one JSON object.
    pub(crate) fn json(&self) -> String {
        let counters = [
            ("gets", &self.gets),
            ("sets", &self.sets),
            ("deletes", &self.deletes),
            ("exists", &self.exists),
            ("increments", &self.increments),
            ("list_keys", &self.list_keys),
            ("bytes_in", &self.bytes_in),
            ("bytes_out", &self.bytes_out),
            ("instances", &self.instances),
            ("requests", &self.requests),
            ("violations", &self.violations),
        ];
        let mut text = String::from("{");
        for (name, counter) in counters {
            let comma = if text.len() > 1 { "," } else { "" };
            let _ = write!(text, "{comma}\"{name}\":{}", counter.get());
        }
        text.push_str("}\n");
        text
    }
}
