//! What is fuzzed, and what must hold for any input.
//!
//! Each target is a function that takes any bytes and panics if something does not hold. `libfuzzer` has a program for
//! each; `tests/replay.rs` gives each the inputs in `corpus` as an ordinary test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a target tells what it found"
)]

mod awareness;
mod entry;
mod frames;
mod grammar;
mod grip;
mod http;
mod input;
#[path = "../../../core/tests/world/log.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "it is other tests' as well")]
mod log;
mod memory;
mod name;
mod offset;
mod parked;
mod room;
mod settings;
mod signature;
mod snapshot;
mod state_vector;
mod token;
mod update;

pub use grammar::updates;
pub use memory::peak;

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("awareness", awareness::run),
    ("entry", entry::run),
    ("frames", frames::run),
    ("grammar", grammar::run),
    ("grip", grip::run),
    ("http", http::run),
    ("name", name::run),
    ("offset", offset::run),
    ("parked", parked::run),
    ("settings", settings::run),
    ("snapshot", snapshot::run),
    ("state_vector", state_vector::run),
    ("token", token::run),
    ("update", update::run),
];

/// Runs the target of this name.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("there is such a target");
    target(input);
}
