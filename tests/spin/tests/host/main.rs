//! The host with the probe: what Spin does, and what this host refuses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails says so like this"
)]

mod http;
mod life;
mod redis;
mod rules;
mod running;
mod spin;
mod store;
