//! The result of a run, as it is written: `schema.json` describes the same for others.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The number of this form; another form has another number.
pub const SCHEMA: u32 = 1;

/// All that a run found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Who measured: `yonder 0.1.0`.
    pub tool: String,
    /// When it began (RFC 3339, UTC).
    pub started: String,
    /// Seconds for which edits were due, for each host and transport, warm-up apart.
    pub duration_s: f64,
    /// Edits a second.
    pub rate: f64,
    /// Seconds before that which were not recorded.
    pub warm_up_s: f64,
    /// Milliseconds after which an operation has failed.
    pub timeout_ms: f64,
    /// How exact the measuring itself was.
    pub clock: Clock,
    /// One for each URL, in the order in which they were given.
    pub hosts: Vec<Host>,
    /// Each ordered pair of URLs of one deployment, and transport; empty unless that was asked for.
    pub pairs: Vec<Pair>,
    /// What a reader has to know, and what was not to be known: sentences.
    pub notes: Vec<String>,
}

/// How exact the measuring itself was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The smallest step of the clock that was seen, in nanoseconds.
    pub resolution_ns: u64,
    /// How late the tool itself came to edits that were due, in milliseconds; none if there were too few.
    pub lag_p99_ms: Option<f64>,
}

/// What was found at one URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Without credentials.
    pub url: String,
    /// What it told of itself.
    pub server: Option<String>,
    /// Headers that tell where an answer came from, each with its values and how often they came.
    pub locations: BTreeMap<String, BTreeMap<String, u64>>,
    /// Why nothing could be measured.
    pub error: Option<Problem>,
    /// By transport; empty if there is an error.
    pub transports: BTreeMap<Transport, Measured>,
}

/// How edits travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// y-protocols over a WebSocket.
    Ws,
    /// POST, and Server-Sent Events.
    Sse,
    /// POST, and long-polls.
    LongPoll,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ws, Self::Sse, Self::LongPoll];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Sse => "sse",
            Self::LongPoll => "long-poll",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == text)
            .ok_or_else(|| format!("{text:?} is no transport; there are {}", names()))
    }
}

/// Why something could not be measured, or went on no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// A word for programs, as in [`Summary::failures`].
    pub kind: String,
    /// A sentence for people.
    pub message: String,
}

/// What was found of one transport of one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Why this is not all that there should be.
    pub error: Option<Problem>,
    /// The name's lookup; none where the URL has an address.
    pub lookup: Option<Summary>,
    /// The TCP handshake.
    pub tcp: Summary,
    /// The TLS handshake; none without TLS.
    pub tls: Option<Summary>,
    /// A fresh connection: all of these, for a WebSocket also its upgrade.
    pub connect: Summary,
    /// On a fresh connection: from the request's last byte until the answer's first.
    pub ttfb: Summary,
    /// A question and its answer on a connection that stands.
    pub rtt: Summary,
    /// From when an edit was due until the server said that it is stored.
    pub ack: Summary,
    /// From when an edit was due until another client had applied it.
    pub propagation: Summary,
    /// From an edit's acknowledgement until a reader that was started then has it.
    pub converge: Summary,
    /// From the dial of a client that has everything until it is told so.
    pub reconnect: Summary,
    /// The first request for a document.
    pub cold: Summary,
    /// The same request again.
    pub warm: Summary,
}

/// What is written through one URL and read through another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The URL that was written to.
    pub from: String,
    /// The URL that was read from.
    pub to: String,
    /// By which transport, on both sides.
    pub transport: Transport,
    /// Why this is not all that there should be.
    pub error: Option<Problem>,
    /// From when an edit was due until the reader had applied it.
    pub propagation: Summary,
    /// From an edit's acknowledgement until a reader that was started then has it.
    pub converge: Summary,
}

/// A distribution, in milliseconds.
///
/// An operation that failed took longer than any that did not: a percentile that falls among the failed ones is not
/// known, and neither is one of too few operations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The median, of 5 operations or more.
    pub p50: Option<f64>,
    /// Of 10 or more.
    pub p90: Option<f64>,
    /// Of 100 or more.
    pub p99: Option<f64>,
    /// The longest that did not fail.
    pub max: Option<f64>,
    /// The shortest.
    pub min: Option<f64>,
    /// Of those that did not fail.
    pub mean: Option<f64>,
    /// How many did not fail.
    pub count: u64,
    /// How many did.
    pub failed: u64,
    /// And why, each reason with its count.
    pub failures: BTreeMap<String, u64>,
    /// What was recorded: upper edge in milliseconds, and count; only where there are any.
    pub histogram: Vec<(f64, u64)>,
    /// Blocks in the order of time: seconds since the run began, median in milliseconds, and count.
    pub series: Vec<(f64, f64, u64)>,
}
