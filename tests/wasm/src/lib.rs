//! The core as a Wasm module: proof that it runs where there is no clock, no thread and no file, and the module
//! whose imports `imports.txt` lists.
//!
//! One room, its host and an in-memory log behind a C interface that a test drives from outside. The host does
//! nothing by itself: storage requests wait until [`settle`], so that a test sees what must not leave before.
//!
//! Bytes go in by way of [`input`] and whichever function takes them, and come out by way of [`next_output`] and
//! [`output`]. Each output is a kind, a connection as a little-endian `u32`, and a body:
//!
//! | kind | connection | body |
//! |---|---|---|
//! | 1: a frame to one | its receiver | the frame |
//! | 2: a frame to all but one | who is left out, `u32::MAX` for nobody | the frame |
//! | 3: an end | whose | the close code as a little-endian `u16`, and the reason |
//! | 4: an HTTP answer | the status | the body |
//!
//! `no_mangle` is what Rust calls unsafe here: each name below is the module's only function of that name. No
//! pointer from outside is ever followed.

#![allow(clippy::expect_used, reason = "this runs in tests only")]

#[path = "../../../core/tests/world/log.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is other tests' as well")]
mod log;
mod probe;

use probe::Probe;
use std::cell::RefCell;
use yonder_core::{ConnId, Input, Millis};

thread_local! {
    static PROBE: RefCell<Probe> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut Probe) -> T) -> T {
    PROBE.with_borrow_mut(act)
}

/// Makes place for `length` bytes of input, and tells where to write them. Good until it is called again or the
/// input is taken.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    with(|probe| {
        probe.input = vec![0; length];
        probe.input.as_mut_ptr()
    })
}

/// Sets the clock, in milliseconds since 1970.
#[unsafe(no_mangle)]
pub extern "C" fn set_now(millis: f64) {
    with(|probe| probe.host.now = Millis(millis as u64));
}

/// Opens a connection that may write.
#[unsafe(no_mangle)]
pub extern "C" fn open(conn: u32) {
    with(|probe| probe.open(id(conn)));
}

/// Takes the input as a frame from a connection.
#[unsafe(no_mangle)]
pub extern "C" fn frame(conn: u32) {
    with(|probe| {
        let bytes = core::mem::take(&mut probe.input).into();
        probe.drive(Input::Frame { conn: id(conn), bytes });
    });
}

/// Tells that a connection is gone.
#[unsafe(no_mangle)]
pub extern "C" fn closed(conn: u32) {
    with(|probe| probe.drive(Input::Closed { conn: id(conn) }));
}

/// Lets the room know that its time has come.
#[unsafe(no_mangle)]
pub extern "C" fn tick() {
    with(|probe| probe.drive(Input::Tick));
}

/// When the room wants a [`tick`], in milliseconds since 1970; negative for never.
#[unsafe(no_mangle)]
pub extern "C" fn next_tick() -> f64 {
    with(|probe| probe.room.poll_timeout().map_or(-1.0, |(at, _)| at.0 as f64))
}

/// Lets the store answer, until it is asked nothing more. Returns how many requests it answered.
#[unsafe(no_mangle)]
pub extern "C" fn settle() -> u32 {
    with(Probe::settle)
}

/// Drops the room, and makes it anew from the log and from what was parked.
#[unsafe(no_mangle)]
pub extern "C" fn rebuild() {
    with(Probe::rebuild);
}

/// Takes the input as the path and query of a GET that wants a WebSocket, at a server whose key is `key`.
#[unsafe(no_mangle)]
pub extern "C" fn request() {
    with(Probe::request);
}

/// Takes the input as a document's name, and gives a token for it, good for a minute.
#[unsafe(no_mangle)]
pub extern "C" fn mint() {
    with(Probe::mint);
}

/// How many updates and snapshots the log holds.
#[unsafe(no_mangle)]
pub extern "C" fn stored() -> u32 {
    with(|probe| probe.log.entries().count() as u32)
}

/// Makes an entry of the log, the snapshot first if there is one, what [`output`] points to. Returns its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn read_stored(index: u32) -> usize {
    with(|probe| {
        probe.output = probe.log.entries().nth(index as usize).map(Vec::from).unwrap_or_default();
        probe.output.len()
    })
}

/// Makes the next output what [`output`] points to. Returns how many bytes it has, 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn next_output() -> usize {
    with(|probe| {
        probe.output = probe.host.outputs.pop_front().unwrap_or_default();
        probe.output.len()
    })
}

/// Where the output is that was asked for last. Good until the next is asked for.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    with(|probe| probe.output.as_ptr())
}

fn id(conn: u32) -> ConnId {
    ConnId(conn.into())
}
