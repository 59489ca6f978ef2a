//! An instance: a room, its way to the store, and what it has in hand.

use crate::log::{Running, start};
use crate::lowering::Lowering;
use crate::store::View;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use yonder_core::limits::{Compaction, Limits, Reread};
use yonder_core::log::LogOp;
use yonder_core::{ConnId, Effect, Effects, Input, Millis, OpId, Residency, Room, RoomConfig};

/// An instance. It has a room for as long as someone needs it.
pub(super) struct Instance<L> {
    pub(super) view: View,
    pub(super) object: Option<Rc<L>>,
    pub(super) room: Option<Room>,
    /// What it keeps beside each socket.
    pub(super) parked: BTreeMap<ConnId, Bytes>,
    pub(super) next_conn: u64,
    /// Rooms that it had: what one asked, the next does not hear of.
    pub(super) rooms: u64,
}

/// A request to the log that an instance has under way.
pub(super) struct Task {
    pub(super) instance: usize,
    /// The room that asked.
    pub(super) room: u64,
    pub(super) op: OpId,
    pub(super) request: LogOp,
    pub(super) began: u64,
    pub(super) running: Running,
}

impl<L: Lowering> Instance<L> {
    pub(super) fn new(view: View) -> Self {
        Self { view, object: None, room: None, parked: BTreeMap::new(), next_conn: 0, rooms: 0 }
    }

    /// Gives its room an input, and what follows from that. A room is made if there is none.
    pub(super) fn give(&mut self, now: Millis, input: Input<'_>) -> Vec<Effect> {
        let room = self.room.get_or_insert_with(|| Room::new(config()));
        let mut effects = Effects::new();
        room.handle(now, input, &mut effects);
        let effects: Vec<_> = effects.drain().collect();
        for effect in &effects {
            match effect {
                Effect::Park { conn, state } => drop(self.parked.insert(*conn, state.clone())),
                Effect::Close { conn, .. } => drop(self.parked.remove(conn)),
                Effect::Store { .. }
                | Effect::Send { .. }
                | Effect::Reply { .. }
                | Effect::Forward { .. } => {}
            }
        }
        effects
    }

    pub(super) fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Begins a request to the log.
    pub(super) fn start(&self, object: &Rc<L>, op: OpId, request: &LogOp) -> Running {
        start(object, op, request.clone())
    }
}

fn config() -> RoomConfig {
    let limits = Limits {
        compaction: Compaction {
            updates: 12,
            bytes: 20_000,
            idle_updates: 4,
            idle_after: 2_000,
            ..Limits::default().compaction
        },
        reread: Reread { first: 100, steady: 300, most: 2_000, reads: 40, trust: 2_000 },
        ..Limits::default()
    };
    RoomConfig { limits: Arc::new(limits), parks: true, residency: Residency::Shared }
}
