//! Models of stores. One store in memory keeps each key's history; what an operation does with it, and what a read
//! sees of it, is up to the [`Profile`] and to chance. It also watches what is asked of it: a key that is written
//! once is never written again with other bytes, and no key or value is larger than it takes.

mod data;
mod flight;
mod profile;
mod view;

pub use data::Store;
pub use flight::{Answer, Ask, Flight};
pub use profile::{Lag, Profile};
pub use view::{NO_SKEW, ORACLE, Shared, View};
