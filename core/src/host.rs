//! The one seam between the machine and a host.
//!
//! [`Host`] is what a host does for a room. Nothing in it waits: a host whose store or network is asynchronous
//! starts the work, or puts it into a list, and brings the reply as [`Input::Stored`]. So a multi-threaded
//! server and a single-threaded Wasm function use the same code, and edits that come while one append is on
//! its way go together in the next.

use crate::effect::{Close, ConnId, Effect, Effects, Input, Millis, OpId, To};
use crate::http::Reply;
use crate::log::LogOp;
use crate::name::DocName;
use crate::request::DocRequest;
use crate::room::Room;
use bytes::Bytes;

/// What a host does for a room.
pub trait Host {
    /// The time.
    fn now(&self) -> Millis;
    /// Starts a storage request; its reply is brought as [`Input::Stored`] with the same number.
    fn store(&mut self, op: OpId, request: LogOp);
    /// Sends a frame to those who are meant.
    fn send(&mut self, to: To, frame: Bytes);
    /// Keeps a session's parked form beside its connection. Only asked of hosts whose rooms park.
    fn park(&mut self, conn: ConnId, state: Bytes);
    /// Answers an HTTP request, see [`Effect::Reply`].
    fn reply(&mut self, conn: ConnId, reply: Reply);
    /// Hands an HTTP request over to another document's room.
    fn forward(&mut self, conn: ConnId, doc: DocName, request: DocRequest);
    /// Ends a connection, or a reply that streams.
    fn close(&mut self, conn: ConnId, reason: Close);
}

/// Gives one input to a room and does, in order, what follows from it.
pub fn drive<H: Host>(host: &mut H, room: &mut Room, effects: &mut Effects, input: Input<'_>) {
    room.handle(host.now(), input, effects);
    for effect in effects.drain() {
        match effect {
            Effect::Store { op, request } => host.store(op, request),
            Effect::Send { to, frame } => host.send(to, frame),
            Effect::Park { conn, state } => host.park(conn, state),
            Effect::Reply { conn, reply } => host.reply(conn, reply),
            Effect::Forward { conn, doc, request } => host.forward(conn, doc, *request),
            Effect::Close { conn, reason } => host.close(conn, reason),
        }
    }
}
