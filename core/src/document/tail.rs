//! What is known of a log without loading it: how long it is, whether the document is there, and whether to compact it.

use super::{Document, State};
use crate::effect::{Effects, Millis};
use crate::limits::Limits;
use crate::log::{Life, LogOp, Offset, Tail};

impl Document {
    /// Takes a number by which this room differs from others.
    pub(crate) fn scatter(&mut self, number: u64, limits: &Limits) {
        self.patience =
            if self.residency.is_shared() { number % (limits.compaction.updates / 2 + 1) } else { 0 };
    }

    /// The same for the tail, see [`Document::peek_for`].
    pub(crate) fn next_peek(&self) -> u64 {
        self.peeks.begun + 1
    }

    /// How long the log is and whether the document is there, as far as that is known: [`Document::peek`].
    pub(crate) fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Asks for the tail, unless it is known or asked for.
    pub(crate) fn peek(&mut self, now: Millis, effects: &mut Effects) {
        if self.tail.is_none() && self.peek.is_none() && !matches!(self.state, State::Loading { .. }) {
            self.peek_again(now, effects);
        }
    }

    /// Whether the tail is known to whoever asked before this round of questions for it. If it is not, it is asked for.
    pub(crate) fn peek_for(&mut self, now: Millis, round: u64, effects: &mut Effects) -> bool {
        if !self.residency.is_shared() {
            return self.tail.is_some() && self.peek.is_none();
        }
        if self.peeks.ended < round && self.peek.is_none() {
            self.peek_again(now, effects);
        }
        self.peeks.ended >= round
    }

    /// Whether the document was there a moment ago: enough for who writes to it.
    pub(crate) fn trusts(&self, now: Millis, limits: &Limits) -> bool {
        let live = self.tail.as_ref().is_some_and(|tail| tail.life == Life::Live);
        self.residency.is_shared()
            && live
            && self.peek.is_none()
            && now.since(self.tail_at) < limits.reread.trust
    }

    /// Asks for the tail although one is known, or was asked for: it is in doubt, and an earlier question may be
    /// answered from before the doubt.
    pub(crate) fn peek_again(&mut self, now: Millis, effects: &mut Effects) {
        let attempt = self.attempt(now);
        self.peeks.begun += 1;
        effects.store(attempt.op, LogOp::Load { since: Offset::END });
        self.peek = Some(attempt);
    }

    /// Takes a tail, unless it was overtaken by an append or a compaction. Of a log to which others write no two tails
    /// can be compared: there a later answer counts, but for one that does not know yet that the document was deleted.
    pub(crate) fn learn(&mut self, now: Millis, tail: Tail) {
        let is_news = |known: &Tail| {
            if self.residency.is_shared() {
                // One that was deleted tells the generation that it would begin anew.
                let age = |tail: &Tail| (tail.end.generation(), tail.life == Life::Live);
                return age(known) <= age(&tail);
            }
            let later = (&known.end, &known.snapshot) <= (&tail.end, &tail.snapshot);
            later || (known.end == tail.end && known.life != tail.life)
        };
        if self.tail.as_ref().is_none_or(is_news) {
            (self.tail, self.tail_at) = (Some(tail), now);
        }
    }

    fn is_long(&self, tail: &Tail, idle: bool, limits: &Limits) -> bool {
        let updates = tail.updates.saturating_sub(self.patience);
        limits.compaction.is_due(&Tail { updates, ..tail.clone() }, idle)
    }

    /// Starts a compaction if the tail is long enough; `idle` tells that nobody has been here for a while, `is_read` that
    /// somebody reads. Where the document is shared [`Compaction`] says which of the two waits for the other, and a host that
    /// has the time when nobody is here need not.
    ///
    /// [`Compaction`]: crate::limits::Compaction
    pub(crate) fn compact_if_due(
        &mut self,
        now: Millis,
        idle: bool,
        is_read: bool,
        limits: &Limits,
        effects: &mut Effects,
    ) {
        let Some(tail) = &self.tail else { return };
        let rests = now < self.compaction_rests_until || tail.life != Life::Live;
        let times = match self.residency.is_shared() && !idle {
            false => 1,
            true if is_read => limits.compaction.read.max(1),
            true => limits.compaction.written.max(1),
        };
        let part = Tail { updates: tail.updates / times, bytes: tail.bytes / times, ..tail.clone() };
        if self.compaction.is_none() && !rests && self.is_long(&part, idle, limits) {
            let upto = tail.end.clone();
            let op = self.op();
            self.compaction = Some(op);
            effects.store(op, LogOp::Compact { upto });
        }
    }

    /// When what nobody uses is compacted, if it was left alone at `since`; none if there is nothing to compact.
    pub(crate) fn compacts_at(&self, since: Millis, limits: &Limits) -> Option<Millis> {
        let due = self
            .tail
            .as_ref()
            .is_some_and(|tail| tail.life == Life::Live && self.is_long(tail, true, limits));
        let at = since.after(limits.compaction.idle_after).max(self.compaction_rests_until);
        (due && self.compaction.is_none()).then_some(at)
    }
}
