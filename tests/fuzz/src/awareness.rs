//! Awareness updates, of sockets and of requests: what is taken is told to all, as JSON that they can read.

use crate::input::Input;
use crate::room::World;
use bytes::Bytes;
use yonder_core::auth::Permission;
use yonder_core::request::{DocRequest, PresenceOp};
use yonder_core::wire;

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut world = World::new();
    let conns = [world.open(Permission::Write, None), world.open(Permission::Read, None)];
    world.store(true);
    while !input.is_empty() {
        match input.byte() {
            0 => world.advance(u64::from(input.byte()) * 200),
            1 => world.evict(),
            2 => conns.iter().for_each(|conn| world.frame(*conn, wire::query_awareness())),
            3 => {
                let states: Vec<Bytes> = vec![input.bytes()];
                let what = PresenceOp::Append(states);
                world.request(DocRequest::Presence { stream: "default".into(), what }, None);
                world.store(true);
            }
            which => world.frame(conns[usize::from(which) % 2], wire::awareness(input.part())),
        }
    }
    world.rest();
}
