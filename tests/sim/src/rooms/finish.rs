//! What is looked at in between, and the end of a run: everyone comes to have the same.

use super::World;
use super::client::Over;
use super::world::BELIEF;
use crate::log::{poll, start};
use crate::lowering::Lowering;
use crate::ranges::Has;
use crate::store::{ORACLE, View};
use std::rc::Rc;
use yonder_core::OpId;
use yonder_core::log::{Life, LogError, LogOp, LogReply, Offset};
use yonder_core::request::Live;

/// Rounds until everyone must have come to the end.
const ROUNDS: usize = 80;

impl<L: Lowering> World<L> {
    /// The document as it is stored.
    fn document(&self) -> Result<(Life, Has), String> {
        let view = View::new(&self.shared, ORACLE);
        let object = Rc::new(L::new(view, &self.name, self.plan.config.clone()));
        let mut running = start(&object, OpId(0), LogOp::Load { since: Offset::START });
        let reply = poll(&mut running).ok_or("a load of what is stored waits for nothing")?.0;
        let loaded = match reply {
            Ok(LogReply::Loaded(loaded)) => loaded,
            Err(LogError::Unavailable) if self.plan.profile.miscounts > 0 => {
                return Ok((Life::Live, Has::default()));
            }
            other => return Err(format!("I7: a load of what is stored is answered with {other:?}")),
        };
        let mut has = Has::default();
        for update in loaded.snapshot.iter().chain(loaded.updates.iter().map(|(_, update)| update)) {
            has.read(update).map_err(|error| format!("what is stored is no update: {error}"))?;
        }
        Ok((loaded.tail.life, has))
    }

    /// Looks at the store as it is: nothing that was acknowledged is lost.
    pub(super) fn look(&mut self) -> Result<(), String> {
        if self.deletions > 0 || self.plan.profile.miscounts > 0 {
            return Ok(());
        }
        let (_, has) = self.document()?;
        self.check_saved(&has)
    }

    fn check_saved(&self, has: &Has) -> Result<(), String> {
        let staleness = self.plan.profile.staleness().unwrap_or_default();
        let certain =
            if self.deletions == 0 { 0 } else { self.deleted_at.saturating_add(BELIEF + staleness) };
        for (number, made) in self.edits.iter().enumerate() {
            if made.saved
                && made.at >= certain
                && let Some(lost) = has.lacks(&made.edit.has)
            {
                return Err(format!(
                    "I1: edit {number} of {} ms was acknowledged, and {lost} is lost",
                    made.at
                ));
            }
        }
        Ok(())
    }

    /// The end of a run: no faults any more, everything is visible, and the instances are new, or go on.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if self.rng.chance(500) {
            (0..self.instances.len()).for_each(|instance| self.crash(instance));
        }
        {
            let mut store = self.shared.store.borrow_mut();
            store.calm_down();
            store.now += 3 * self.plan.config.void_after;
        }
        self.cut_tasks(|_| true)?;
        for round in 0..ROUNDS {
            for index in 0..self.clients.len() {
                let instance = self.rng.index(self.instances.len());
                self.act_as(index, instance, Live::No)?;
            }
            self.settle()?;
            self.shared.store.borrow_mut().now += 700;
            if round > 12 && self.is_quiet() {
                return self.agree();
            }
        }
        Err(format!("at rest, the clients do not come to an end: {:?}", self.clients))
    }

    /// Everything that is on its way arrives.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let mut any = self.answer_next()?;
            for index in 0..self.clients.len() {
                any |= self.hear_frame(index)?;
                any |= self.pass(index)?;
            }
            for instance in 0..self.instances.len() {
                any |= self.tick_instance(instance)?;
            }
            if !any {
                return Ok(());
            }
        }
        Err("at rest, it goes on and on".into())
    }

    fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| {
            client.unsaved.is_empty()
                && match &client.over {
                    Over::Http(http) => !http.make && http.post.is_none(),
                    Over::Socket(socket) => socket.synced && socket.asked.is_empty(),
                }
        })
    }

    /// Everyone has what is stored, and what everyone has is stored.
    fn agree(&mut self) -> Result<(), String> {
        let (life, has) = self.document()?;
        if life != Life::Live {
            return Err(format!("I9: at rest, the document that everyone has is {life:?}"));
        }
        self.check_saved(&has)?;
        for (index, client) in self.clients.iter().enumerate() {
            // What a replica deletes by itself, when another sets the same key, is no edit.
            let lacks = |one: &Has, other: &Has| {
                let structs = one.structs.lacks(&other.structs).map(|range| format!("{range:?}"));
                let has = |edit: &Has| other.lacks(edit).is_none() && one.lacks(edit).is_some();
                let edit = self.edits.iter().position(|made| has(&made.edit.has));
                structs.or_else(|| edit.map(|number| format!("edit {number}")))
            };
            if let Some(lacks) = lacks(&client.has, &has) {
                return Err(format!("I10: at rest, client {index} lacks {lacks}"));
            }
            if self.deletions == 0
                && let Some(more) = lacks(&has, &client.has)
            {
                return Err(format!("I3: at rest, client {index} has {more}, and the document has not"));
            }
        }
        Ok(())
    }
}
