//! What is to be measured.

use crate::result::Transport;
use std::time::Duration;

/// What is to be measured, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers, each with the token for it.
    pub servers: Vec<Server>,
    /// How long edits are due, for each server and transport.
    pub duration: Duration,
    /// Edits a second.
    pub rate: f64,
    /// How long before that edits are made that nobody records.
    pub warm_up: Duration,
    /// After which time an operation has failed.
    pub timeout: Duration,
    /// By which ways.
    pub transports: Vec<Transport>,
    /// How many fresh connections are made by each.
    pub fresh: u32,
    /// The document to use; else some that are deleted afterwards.
    pub doc: Option<String>,
    /// Whether all URLs lead to the same documents, so that edits are also written through one and read through
    /// another.
    pub same_deployment: bool,
}

/// A server to be measured.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is: `https://`, `http://`, `wss://` or `ws://`; `?token=` may be in it.
    pub url: String,
    /// What opens its documents.
    pub token: Option<String>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Which line of the run this is of; each goes on by itself.
    pub line: usize,
    /// How many lines there are.
    pub lines: usize,
    /// Whose line it is: a URL and a transport.
    pub name: String,
    /// From 0 to 1.
    pub share: f64,
    /// Milliseconds, as far as they are known: median of acknowledgements; median and p99 of propagation.
    pub known: [Option<f64>; 3],
    /// Acknowledgements and arrivals that failed.
    pub failed: u64,
    /// Why there is nothing more to come.
    pub error: Option<String>,
}
