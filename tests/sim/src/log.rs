//! The lowerings of the log, played alone: instances that append, read, compact, make and delete a document on one
//! store, and are cut off between any two operations of it.

mod faults;
mod finish;
#[cfg(test)]
mod naive;
mod tasks;
mod world;

pub use world::World;

pub(crate) use tasks::{Running, poll, start};
