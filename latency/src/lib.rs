//! yonder-latency: measures what a collaborator feels, and compares hosts side by side.
//!
//! It knows servers only by what they say: no part of it runs in one.

#![forbid(unsafe_code)]

pub mod report;
pub mod result;

/// The JSON Schema of an [`result::Outcome`] (draft 2020-12).
pub const SCHEMA: &str = include_str!("../schema.json");
