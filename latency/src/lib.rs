//! yonder-latency: measures what a collaborator feels, and compares hosts side by side.
//!
//! It knows servers only by what they say: no part of it runs in one. Edits are due at fixed times, whatever happened to
//! earlier ones, and each latency counts from then ([`Plan`], [`run`]), so that a server that stalls cannot hide it.

#![forbid(unsafe_code)]

pub mod compare;
pub mod condition;
mod edits;
mod failure;
mod follow;
mod fresh;
mod host;
mod lanes;
mod ledger;
mod legible;
mod line;
mod measuring;
mod metric;
mod notes;
mod plan;
mod reader;
mod recorder;
pub mod report;
pub mod result;
mod rounds;
pub mod rows;
mod schedule;
mod session;
mod show;
mod socket_writer;
pub mod table;
mod target;

pub use metric::Metric;
pub use plan::{Plan, Progress, Server};
pub use rounds::{look, run};
pub use show::Show;

/// The JSON Schema of an [`result::Outcome`] (draft 2020-12).
pub const SCHEMA: &str = include_str!("../schema.json");
