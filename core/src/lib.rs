//! yonder-core: the sans-IO core of yonder, a Yjs sync server for every edge.
//!
//! It takes bytes, time and storage replies in, and gives bytes and storage requests out. It has no sockets,
//! no clock, no ambient randomness, no threads and no async runtime, and so runs wherever Rust compiles to.
//!
//! # Three ideas that everything follows from
//!
//! 1. **The log is the document.** A document is a set of immutable Yjs updates and snapshots that cover some
//!    of them ([`log`]). Appending is storing the client's bytes as they came, once they were checked
//!    ([`update`]); broadcasting is sending these same bytes. The CRDT ([`replica`]) is needed only to answer
//!    a state vector, to compact, to show a document and to go back to an earlier state of it.
//! 2. **A room is a function of the log and the parked sessions.** A [`Room`] can be dropped between any two
//!    inputs and rebuilt, and no client can tell.
//! 3. **Acknowledged means stored.** No byte that tells a client "I have it" leaves before the host's store
//!    has confirmed the append.
//!
//! # How a request flows
//!
//! A target turns its host's request into an [`http::Request`]; [`http::route`] says what it is: an answer that is
//! ready, a WebSocket, or something that is asked of a document ([`request`]). For the latter two the target finds or
//! makes the document's room and gives it frames and requests with [`drive`], which calls the target's [`Host`] with
//! what is to be sent, answered, stored, kept and closed. It arms one timer from [`Room::poll_timeout`].
//! A host that holds no sockets has them held by a GRIP proxy, whose requests are the same frames ([`grip`]).
//!
//! A host with transactions does the [`log::LogOp`]s itself. For one that has only a key-value store, [`listed`] or
//! [`sequenced`] do them with what such a store can ([`kv`]). Where any number of instances have a room of one document
//! at a time the room is told so ([`Residency::Shared`]), and reads the log again. What such hosts do with their requests
//! beside that stands in [`instance`]; where they hold no sockets a proxy does, and speaks [`grip`].
//!
//! ```text
//!  frames, requests, time, replies ┌──────────────────────────── Room ───────────────────────────┐
//!  ───────── Input ───────────────▶│ session   one WebSocket, and its parked form                 │
//!                                  │ readers   long-polls and event streams, by what they have    │
//!                                  │ presence  awareness states, by injected time                 │
//!  ◀──────── Effect ───────────────│ document  appends on their way, replica if loaded, compaction │
//!  frames, answers, LogOps, state  └──────────────────────────────────────────────────────────────┘
//! ```

#![forbid(unsafe_code)]

pub mod auth;
pub mod collections;
mod document;
mod effect;
pub mod grip;
mod host;
pub mod http;
#[cfg(feature = "shared")]
pub mod instance;
pub mod kv;
pub mod limits;
pub mod listed;
pub mod log;
mod name;
mod presence;
pub mod replica;
pub mod request;
mod room;
pub mod sequenced;
pub mod session;
pub mod settings;
pub mod update;
pub mod wire;

pub use effect::{Close, ConnId, Effect, Effects, Input, Millis, OpId, To};
pub use host::{Host, drive};
pub use name::{DocName, KEY_MAX, NAME_MAX, NameError};
pub use room::{Residency, Room, RoomConfig};
