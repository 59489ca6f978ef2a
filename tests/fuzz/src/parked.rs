//! Parked sessions: whatever a host gives back, the room goes on or closes the connection.

use crate::input::Input;
use crate::room::World;
use yonder_core::auth::Permission;

pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut world = World::new();
    world.open(Permission::Write, None);
    let conn = world.resume(input.part());
    // What the room parks itself, it reads.
    if let Some(parked) = world.parked(conn) {
        let again = World::new().resume_alone(&parked);
        assert!(again.is_some(), "{parked:?}");
    }
    world.play(&mut input);
    world.rest();
}
