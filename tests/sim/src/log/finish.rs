//! What is looked at in between, and the end of a run: the faults are over, and everything has become visible.

use super::World;
use super::tasks::{poll, start};
use crate::lowering::Lowering;
use crate::model::Sight;
use crate::ranges::Has;
use crate::store::ORACLE;
use bytes::Bytes;
use std::rc::Rc;
use yonder_core::OpId;
use yonder_core::kv::Cost;
use yonder_core::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};

/// Rounds until what is repeated must have come to its end.
const ROUNDS: usize = 60;
/// Edits, each with compactions behind it, until what is kept must be in proportion.
const CYCLES: usize = 8;
/// Milliseconds between them: longer than anything is kept that somebody might be about to finish.
const PAUSE: u64 = 2 * 86_400_000;
/// Keys that are kept of the smallest document, beside a tombstone for each time that it was deleted.
const KEYS: usize = 8;

impl<L: Lowering> World<L> {
    /// Looks at the store as it is: nothing that was acknowledged is lost, whatever instances see of it.
    pub(super) fn look(&mut self, doc: usize) -> Result<(), String> {
        let now = self.shared.store.borrow().now;
        let object = self.fresh(doc, ORACLE);
        let reply = self.ask(&object, OpId(0), LogOp::Load { since: Offset::START })?.0;
        let loaded = match reply {
            Ok(LogReply::Loaded(loaded)) => loaded,
            Err(LogError::Unavailable) if self.plan.profile.miscounts > 0 => return Ok(()),
            other => return Err(format!("I7: a load of what is stored is answered with {other:?}")),
        };
        let sight = Sight { sees: Some(now).filter(|_| self.plan.profile.miscounts == 0), ..self.sight(now) };
        let document = &self.docs[doc];
        document.check(&Offset::START, &Has::default(), &loaded, sight).map(drop)
    }

    /// Does something at once: there is nothing to wait for.
    fn ask(
        &self,
        object: &Rc<L>,
        op: OpId,
        request: LogOp,
    ) -> Result<(Result<LogReply, LogError>, Cost), String> {
        let shown = format!("{request:?}");
        poll(&mut start(object, op, request)).ok_or_else(|| format!("{shown} waits for nothing"))
    }

    fn calmly(&mut self, doc: usize, request: LogOp) -> Result<(Result<LogReply, LogError>, Cost), String> {
        let instance = self.rng.index(self.plan.instances);
        let (object, op) = (self.object(instance, doc), self.op(instance));
        let answer = self.ask(&object, op, request.clone())?;
        self.say(
            self.shared.store.borrow().now,
            &format!("calm {instance} on {doc}: {request:?} -> {answer:?}"),
        );
        Ok(answer)
    }

    fn load(&mut self, doc: usize, since: Offset) -> Result<(Loaded, Cost), String> {
        match self.calmly(doc, LogOp::Load { since: since.clone() })? {
            (Ok(LogReply::Loaded(loaded)), cost) => Ok((loaded, cost)),
            (other, _) => Err(format!("I7: at rest, a load from {since} is answered with {other:?}")),
        }
    }

    /// What a document of which everything is visible must be.
    fn at_rest(&self) -> Sight {
        Sight { sees: Some(u64::MAX), ..self.sight(0) }
    }

    /// The end of a run.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        {
            let mut store = self.shared.store.borrow_mut();
            store.calm_down();
            store.now += 3 * self.plan.config.void_after;
        }
        for doc in 0..self.docs.len() {
            self.flush(doc)?;
            self.agree(doc)?;
            self.compact(doc)?;
            self.agree(doc)?;
            self.bounded(doc)?;
            self.agree(doc)?;
        }
        Ok(())
    }

    /// Everyone sends what it has not sent.
    fn flush(&mut self, doc: usize) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let now = self.shared.store.borrow().now;
            let edits = self.docs[doc].take(&mut self.rng, 1_000, now);
            if edits.is_empty() {
                return Ok(());
            }
            let updates: Vec<Bytes> =
                edits.iter().map(|edit| self.docs[doc].edits[*edit].edit.bytes.clone()).collect();
            let generation = match self.calmly(doc, LogOp::Append { updates: updates.clone() })?.0 {
                Ok(LogReply::Appended(tail)) => tail.end.generation(),
                Err(LogError::Deleted) if !self.docs[doc].deletions.is_empty() => {
                    if self.rng.chance(300) {
                        return Ok(());
                    }
                    match self.calmly(doc, LogOp::Create { updates })?.0 {
                        Ok(LogReply::Created { existed: false, tail }) => tail.end.generation(),
                        Ok(LogReply::Created { existed: true, .. }) => {
                            self.docs[doc].unsent.extend(edits);
                            continue;
                        }
                        other => {
                            return Err(format!(
                                "I9: at rest, making a deleted document is answered with {other:?}"
                            ));
                        }
                    }
                }
                other => return Err(format!("I1: at rest, an append is answered with {other:?}")),
            };
            self.docs[doc].acknowledge(&edits, now, generation, &mut self.counts);
        }
        Err("I9: at rest, a document is deleted and there at once".into())
    }

    /// Every reader, wherever it was, comes to have the same.
    fn agree(&mut self, doc: usize) -> Result<(), String> {
        let sight = self.at_rest();
        let (whole, _) = self.load(doc, Offset::START)?;
        let has = self.docs[doc].check(&Offset::START, &Has::default(), &whole, sight)?;
        self.docs[doc].is_reference(&whole, &has)?;
        for instance in 0..self.plan.instances {
            let object = self.fresh(doc, instance);
            match self.ask(&object, OpId(1), LogOp::Load { since: Offset::START })?.0 {
                Ok(LogReply::Loaded(loaded)) if loaded.tail.life == whole.tail.life => {
                    let fresh = self.docs[doc].check(&Offset::START, &Has::default(), &loaded, sight)?;
                    self.docs[doc].same(&fresh, &has, "a new instance")?;
                }
                other => {
                    return Err(format!("I7: at rest, a new instance's load is answered with {other:?}"));
                }
            }
        }
        for reader in 0..self.docs[doc].readers.len() {
            self.rest_reader(doc, reader, sight)?;
            self.docs[doc].same(&self.docs[doc].readers[reader].has, &has, "a reader")?;
        }
        for index in 0..self.docs[doc].places.len() {
            let (place, before) = self.docs[doc].places[index].clone();
            let (loaded, _) = self.load(doc, place.clone())?;
            let now = self.docs[doc].check(&place, &before, &loaded, sight)?;
            self.docs[doc].same(&now, &has, &format!("a reader from {place}"))?;
        }
        Ok(())
    }

    /// A reader reads until it is told nothing more, and then stays where it is.
    fn rest_reader(&mut self, doc: usize, reader: usize, sight: Sight) -> Result<(), String> {
        for _ in 0..4 {
            let since = self.docs[doc].readers[reader].place.clone();
            let (loaded, _) = self.load(doc, since.clone())?;
            self.docs[doc].told(reader, &since, &loaded, sight, &mut self.rng)?;
            if loaded.tail.end == since {
                let nothing = loaded.snapshot.is_none() && loaded.updates.is_empty();
                return if nothing {
                    Ok(())
                } else {
                    Err(format!("I10: at rest, a reader at {since} is told of something"))
                };
            }
        }
        Err("I10: at rest, a reader does not come to the end".into())
    }

    /// The log is compacted, and what is covered deleted.
    fn compact(&mut self, doc: usize) -> Result<(), String> {
        if self.plan.weights.compact == 0 {
            return Ok(());
        }
        let grace = self.plan.config.grace + 2 * self.plan.profile.skew + 1;
        let mut tail = self.load(doc, Offset::END)?.0.tail;
        if tail.life != Life::Live {
            return Ok(());
        }
        for _ in 0..3 {
            for _ in 0..ROUNDS {
                let next = self.compact_once(doc, &tail)?;
                // One that only deletes leaves as much.
                let done = self.plan.config.apart.is_none()
                    && (next.updates, next.bytes) == (tail.updates, tail.bytes);
                tail = next;
                if done {
                    break;
                }
            }
            self.shared.store.borrow_mut().now += grace;
        }
        if tail.updates > 1 {
            return Err(format!("I6: at rest, compaction leaves {tail:?}"));
        }
        Ok(())
    }

    /// What the store keeps of a document is in proportion to the document, whatever happened to it.
    fn bounded(&mut self, doc: usize) -> Result<(), String> {
        if self.plan.weights.compact == 0 || self.load(doc, Offset::END)?.0.tail.life != Life::Live {
            return Ok(());
        }
        let mut kept = String::new();
        // Each compaction deletes what the ones before have covered, and no more than a request may.
        for _ in 0..CYCLES {
            self.docs[doc].edit(&mut self.rng, false);
            self.flush(doc)?;
            let mut tail = self.load(doc, Offset::END)?.0.tail;
            for _ in 0..ROUNDS / 5 {
                tail = self.compact_once(doc, &tail)?;
            }
            let mut store = self.shared.store.borrow_mut();
            store.now += PAUSE;
            let mark = format!("{}__", self.docs[doc].name.to_key());
            let is_kept = |key: &&str| key.contains(&mark) && !key.starts_with('t');
            let keys: Vec<_> = store.keys_of("").filter(is_kept).collect();
            let parts = tail.snapshot_bytes as usize / self.plan.config.value_bytes + 2;
            // Two or three snapshots with their parts, marks of life, a head, and what is covered since.
            if keys.len() <= KEYS + 4 * parts {
                return Ok(());
            }
            kept = format!("{} keys are kept of a document of {tail:?}: {keys:?}", keys.len());
        }
        Err(format!("I8: at rest, {kept}"))
    }

    fn compact_once(&mut self, doc: usize, tail: &Tail) -> Result<Tail, String> {
        self.shared.store.borrow_mut().now += 1_000;
        match self.calmly(doc, LogOp::Compact { upto: tail.end.clone() })?.0 {
            Ok(LogReply::Compacted(tail)) => Ok(tail),
            other => Err(format!("I6: at rest, a compaction is answered with {other:?}")),
        }
    }
}
