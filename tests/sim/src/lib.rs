//! A deterministic simulator: clients, instances that crash, stores that are late, stale and lie, and what comes
//! between them; in one thread, on virtual time, from a seed.
//!
//! A run plays a number of steps. Each is one transition that the seed picks: an edit, a read, an operation that
//! reaches the store, an answer that reaches its instance, an instance that is cut off. After each, what was
//! acknowledged must be stored, what was deleted must not come back, and no reader's offset may claim what it was not
//! told. At the end the faults are over, everything has become visible, and all must agree with a reference.
//!
//! - [`log`] plays the lowerings of the log alone, with requests to the log.
//! - [`rooms`] plays rooms on them, with clients over HTTP and on sockets.
//! - [`plan`] is what a seed decides once, and what can be left out of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a simulator that is wrong is to stop"
)]

pub mod breaks;
pub mod costs;
pub mod edits;
pub mod log;
pub mod lowering;
pub mod model;
pub mod mutations;
pub mod outcome;
pub mod plan;
pub mod ranges;
pub mod rng;
pub mod rooms;
pub mod run;
pub mod shrink;
pub mod store;
