//! Frames of WebSocket clients: read, written again, and given to a room between whatever else happens to it.

use crate::input::Input;
use crate::memory;
use crate::room::World;
use bytes::Bytes;
use yonder_core::auth::Permission;
use yonder_core::wire::{self, Message, Messages};

/// Memory that a frame may take: a part that is always there, and for each byte.
const MEMORY: (usize, usize) = (1 << 20, 2_000);

pub(crate) fn run(input: &[u8]) {
    read(input);
    let ((), peak) = memory::peak(|| {
        let mut world = World::new();
        let conn = world.open(Permission::Write, None);
        world.open(Permission::Read, None);
        world.frame(conn, Bytes::copy_from_slice(input));
        world.rest();
    });
    assert!(peak <= MEMORY.0 + MEMORY.1 * input.len(), "a frame of {} bytes took {peak}", input.len());

    let mut world = World::new();
    world.open(Permission::Write, None);
    world.play(&mut Input::new(input));
    world.rest();
}

/// What is read is read again when it is written.
fn read(frame: &[u8]) {
    for message in Messages::new(frame) {
        let Ok(message) = message else { return };
        let written = match message {
            Message::SyncStep1(vector) => wire::step_1(vector),
            Message::SyncStep2(update) => wire::step_2(update),
            Message::Update(update) => wire::update(update),
            Message::Awareness(states) => wire::awareness(states),
            Message::Auth(reason) => wire::refusal(reason),
            Message::QueryAwareness => wire::query_awareness(),
            Message::Echo(payload) => wire::echo(payload),
        };
        assert_eq!(Messages::new(&written).collect::<Vec<_>>(), [Ok(message)]);
    }
}
