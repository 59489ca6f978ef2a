//! What the server counts, in Prometheus' text format at `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Mutex;
use std::sync::PoisonError;

/// The server's counts.
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) held: Gauge,
    pub(crate) requests: Counter,
    pub(crate) rooms: Gauge,
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) appends: Counter,
    pub(crate) append_seconds: Counter<f64, std::sync::atomic::AtomicU64>,
    pub(crate) store_errors: Counter,
    closed: Family<Code, Counter>,
    registry: Mutex<Registry>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u32,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("yonder");
        let metrics = Self {
            connections: Gauge::default(),
            held: Gauge::default(),
            requests: Counter::default(),
            rooms: Gauge::default(),
            frames_in: Counter::default(),
            frames_out: Counter::default(),
            appends: Counter::default(),
            append_seconds: Counter::default(),
            store_errors: Counter::default(),
            closed: Family::default(),
            registry: Mutex::default(),
        };
        registry.register("connections", "WebSocket connections that are open", metrics.connections.clone());
        registry.register("held", "HTTP requests that wait for a document", metrics.held.clone());
        registry.register("requests", "HTTP requests to documents", metrics.requests.clone());
        registry.register("rooms", "Documents that are awake", metrics.rooms.clone());
        registry.register("frames_in", "Frames from clients", metrics.frames_in.clone());
        registry.register("frames_out", "Frames to clients", metrics.frames_out.clone());
        registry.register("appends", "Appends that the store confirmed", metrics.appends.clone());
        registry.register_with_unit(
            "append",
            "Time from the request of an append to its confirmation, in all",
            Unit::Seconds,
            metrics.append_seconds.clone(),
        );
        registry.register("store_errors", "Requests that the store failed", metrics.store_errors.clone());
        registry.register(
            "closed",
            "Connections that the server ended, by close code",
            metrics.closed.clone(),
        );
        Self { registry: Mutex::new(registry), ..metrics }
    }

    /// The server ended a connection.
    pub(crate) fn closed(&self, code: u16) {
        self.closed.get_or_create(&Code { code: code.into() }).inc();
    }

    /// All counts as text.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
