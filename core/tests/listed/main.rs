//! The log in a store that lists its keys: what is kept whatever is cut off, and what each request costs.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod costs;
mod kept;
mod offsets;
mod presence;
mod store;
mod together;
