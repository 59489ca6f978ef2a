//! The log in a store that counts, against a store in memory that fails in every way.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod basic;
mod crashes;
mod numbers;
mod presence;
mod random;
mod store;
