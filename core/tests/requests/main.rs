//! What a room does with HTTP requests, input by input.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod deletion;
mod documents;
mod events;
mod hall;
#[path = "../world/log.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod log;
mod posts;
mod presence;
mod reads;
mod shared;
mod shared_owners;
mod shared_presence;
mod shared_streams;
mod stale;
#[path = "../world/stream.rs"]
mod stream;
mod table;
