//! The room's side of the log: updates on their way to the store, the replica if there is one, compaction.
//!
//! An update counts as accepted when it was checked and may be relayed, and as stored when the store said so.
//! Both are counted from the room's start, so that an answer can wait for "everything accepted before it".

mod attempt;
mod tail;

use crate::Residency;
use crate::effect::{Effects, Millis, OpId};
use crate::limits::Limits;
use crate::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};
use crate::replica::Replica;
use attempt::{Attempt, Rounds};
use bytes::Bytes;

/// Updates that a loaded replica keeps unmerged before it is cheaper to load it again.
const UNMERGED_MAX: (usize, usize) = (2048, 2 << 20);
/// Bytes that are not held back.
const HELD_MAX: usize = 256 << 10;
/// Milliseconds of rest after a compaction that failed.
const COMPACTION_REST: u64 = 30_000;
/// The same after one that was done, where rooms share the document: each writes all of it anew.
const SHARED_REST: u64 = 500;

#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Others write to the log as well: what is known of it holds for the moment only.
    residency: Residency,
    /// Updates by which the tail may be longer before this room compacts it: not all of them are to begin at once.
    patience: u64,
    next_op: u64,
    state: State,
    in_flight: Option<InFlight>,
    queued: Vec<Bytes>,
    /// When what is queued goes to the store at the latest.
    held_until: Option<Millis>,
    /// When the last append went there.
    appended: Option<Millis>,
    unstored_bytes: usize,
    accepted: u64,
    stored: u64,
    tail: Option<Tail>,
    /// When that was learnt.
    tail_at: Millis,
    /// Loads of the replica.
    loads: Rounds,
    /// Questions for the tail.
    peeks: Rounds,
    /// No append may be asked of the store.
    paused: bool,
    /// A question for the tail alone.
    peek: Option<Attempt>,
    compaction: Option<OpId>,
    compaction_rests_until: Millis,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Cold,
    Loading {
        attempt: Attempt,
        /// Stored meanwhile; the load may have seen them or not.
        meanwhile: Vec<Bytes>,
    },
    Warm {
        replica: Box<Replica>,
        used: Millis,
        /// The place up to which it was loaded.
        place: Offset,
        /// A load of what others have written since.
        refresh: Option<Attempt>,
    },
}

#[derive(Debug)]
struct InFlight {
    attempt: Attempt,
    updates: Vec<Bytes>,
}

/// What a reply of the store means for the room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// More is known than before.
    Progress,
    /// These are stored now, and where.
    Stored(Vec<(Offset, Bytes)>),
    /// Nothing changed: a retry is due later, or the reply was for nobody.
    Nothing,
    /// The document cannot be loaded.
    LoadFailed(LogError),
    /// Accepted updates cannot be stored, and were given up.
    AppendFailed(LogError),
}

impl Document {
    /// A document that nothing is known of.
    pub(crate) fn new(residency: Residency) -> Self {
        Self { residency, ..Self::default() }
    }

    /// The round of loads that answers whoever asks now, see [`Document::replica`].
    pub(crate) fn next_load(&self) -> u64 {
        if self.residency.is_shared() { self.loads.begun + 1 } else { 0 }
    }

    /// How many updates were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How many of them are stored.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Bytes that were accepted and are not stored.
    pub(crate) fn unstored_bytes(&self) -> usize {
        self.unstored_bytes
    }

    /// The document's size as far as it is known: a cold room learns it with its first append.
    pub(crate) fn bytes(&self) -> u64 {
        self.tail.as_ref().map_or(0, Tail::document_bytes) + self.unstored_bytes as u64
    }

    /// The place that the replica has for certain; of the log, where nobody else writes to it.
    pub(crate) fn place(&self) -> Offset {
        match &self.state {
            State::Warm { place, .. } if self.residency.is_shared() => place.clone(),
            State::Warm { .. } | State::Cold | State::Loading { .. } => {
                self.tail.as_ref().map(|tail| tail.end.clone()).unwrap_or_default()
            }
        }
    }

    /// The document was made or deleted: what was known of it before, or was about to be stored, is void.
    pub(crate) fn begin_anew(&mut self, tail: Tail) {
        let deleted = tail.life == Life::Deleted;
        self.tail = Some(tail);
        (self.state, self.peek, self.compaction) = (State::Cold, None, None);
        if deleted {
            // What is on its way as well: tried again, it would land in a document that was made anew.
            self.in_flight = None;
            self.give_up();
        }
    }

    /// Appends nothing, or goes on with that. While the document is being deleted nothing may follow that could land
    /// in one that is made anew.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether an append is on its way.
    pub(crate) fn is_appending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_none()
            && self.queued.is_empty()
            && self.compaction.is_none()
            && self.peek.is_none()
            && !matches!(self.state, State::Loading { .. } | State::Warm { refresh: Some(_), .. })
    }

    /// Takes an update that was checked; [`Document::flush`] sends it to the store.
    pub(crate) fn accept(&mut self, update: Bytes) {
        self.accepted += 1;
        self.unstored_bytes += update.len();
        self.queued.push(update);
    }

    /// Starts an append of all that is queued, unless one is on its way: what comes meanwhile goes together.
    ///
    /// Unless it is `urgent`, because someone waits for it, it is held until the next multiple of
    /// [`Limits::commit_interval`]. All rooms of a host have the same multiples, so that one commit of the store
    /// serves them all. Even if it is, it is held for as long as [`Limits::commit_pause`] says.
    pub(crate) fn flush(&mut self, now: Millis, urgent: bool, limits: &Limits, effects: &mut Effects) {
        if self.paused || self.in_flight.is_some() || self.queued.is_empty() {
            return;
        }
        if self.unstored_bytes < HELD_MAX {
            let next = match limits.commit_interval {
                _ if urgent => self.appended.map_or(now, |last| last.after(limits.commit_pause)),
                0 => now,
                interval => now.after(interval - now.0 % interval),
            };
            let held = self.held_until.map_or(next, |held| held.min(next));
            self.held_until = Some(held);
            if now < held {
                return;
            }
        }
        (self.held_until, self.appended) = (None, Some(now));
        let updates = core::mem::take(&mut self.queued);
        let attempt = self.attempt(now);
        effects.store(attempt.op, LogOp::Append { updates: updates.clone() });
        self.in_flight = Some(InFlight { attempt, updates });
    }

    /// The replica, loaded if need be: none until this round of loads, or a later one, was answered.
    pub(crate) fn replica(&mut self, now: Millis, round: u64, effects: &mut Effects) -> Option<&mut Replica> {
        let is_old = self.loads.ended < round;
        let since = match &self.state {
            State::Cold => Some(Offset::START),
            State::Warm { place, refresh: None, .. } if is_old => Some(place.clone()),
            State::Warm { .. } | State::Loading { .. } => None,
        };
        if let Some(since) = since {
            let attempt = self.attempt(now);
            self.loads.begun += 1;
            effects.store(attempt.op, LogOp::Load { since });
            match &mut self.state {
                State::Warm { refresh, .. } => *refresh = Some(attempt),
                state @ (State::Cold | State::Loading { .. }) => {
                    *state = State::Loading { attempt, meanwhile: Vec::new() }
                }
            }
        }
        match &mut self.state {
            State::Warm { replica, used, .. } if !is_old => {
                *used = now;
                Some(replica)
            }
            State::Warm { .. } | State::Cold | State::Loading { .. } => None,
        }
    }

    /// Takes a reply of the store.
    pub(crate) fn on_reply(
        &mut self,
        now: Millis,
        op: OpId,
        reply: Result<LogReply, LogError>,
        limits: &Limits,
    ) -> Outcome {
        if self.compaction == Some(op) {
            self.compaction = None;
            match reply {
                Ok(LogReply::Compacted(tail)) if tail.life == Life::Live => {
                    (self.tail, self.tail_at) = (Some(tail), now);
                    if self.residency.is_shared() {
                        self.compaction_rests_until = now.after(SHARED_REST);
                    }
                    // The snapshot lacks what was deleted, which a replica that only merges drags along: loading
                    // it again costs less than every further merge.
                    if matches!(self.state, State::Warm { .. }) {
                        self.state = State::Cold;
                    }
                }
                Ok(_) | Err(_) => {
                    self.compaction_rests_until = now.after(COMPACTION_REST);
                }
            }
            return Outcome::Nothing;
        }
        if self.in_flight.as_ref().is_some_and(|append| append.attempt.op == op) {
            return self.on_append(now, reply, limits);
        }
        if let Some(mut peek) = self.peek.take_if(|peek| peek.op == op) {
            return match reply {
                Ok(LogReply::Loaded(loaded)) => {
                    self.peeks.ended = self.peeks.begun;
                    self.learn(now, loaded.tail);
                    Outcome::Progress
                }
                Ok(_) => Outcome::LoadFailed(LogError::Corrupt),
                Err(error) if peek.put_off(now, error, limits) => {
                    self.peek = Some(peek);
                    Outcome::Nothing
                }
                Err(error) => {
                    // What was known is in doubt still.
                    self.tail = None;
                    Outcome::LoadFailed(error)
                }
            };
        }
        match &mut self.state {
            State::Loading { attempt, .. } if attempt.op == op => match reply {
                Ok(LogReply::Loaded(loaded)) => self.on_loaded(now, loaded),
                Ok(_) => self.load_failed(LogError::Corrupt),
                Err(error) if attempt.put_off(now, error, limits) => Outcome::Nothing,
                Err(error) => self.load_failed(error),
            },
            State::Warm { refresh: Some(attempt), .. } if attempt.op == op => match reply {
                Ok(LogReply::Loaded(loaded)) => self.on_refreshed(now, loaded),
                Ok(_) => self.load_failed(LogError::Corrupt),
                Err(error) if attempt.put_off(now, error, limits) => Outcome::Nothing,
                Err(error) => self.load_failed(error),
            },
            State::Loading { .. } | State::Cold | State::Warm { .. } => Outcome::Nothing,
        }
    }

    /// Repeats what is due, and lets go of a replica that nobody asked for.
    pub(crate) fn tick(&mut self, now: Millis, limits: &Limits, effects: &mut Effects) {
        if let Some(append) = self.in_flight.as_mut().filter(|_| !self.paused)
            && append.attempt.is_due(now)
        {
            effects.store(append.attempt.op, LogOp::Append { updates: append.updates.clone() });
        }
        if let Some(peek) = &mut self.peek
            && peek.is_due(now)
        {
            effects.store(peek.op, LogOp::Load { since: Offset::END });
        }
        match &mut self.state {
            State::Loading { attempt, .. } => {
                if attempt.is_due(now) {
                    effects.store(attempt.op, LogOp::Load { since: Offset::START });
                }
            }
            State::Warm { refresh: Some(attempt), place, .. } => {
                if attempt.is_due(now) {
                    effects.store(attempt.op, LogOp::Load { since: place.clone() });
                }
            }
            State::Warm { used, .. } if now.since(*used) >= limits.replica_idle => self.state = State::Cold,
            State::Warm { .. } | State::Cold => {}
        }
    }

    /// When [`Document::tick`] has something to do, and what.
    pub(crate) fn next_tick(&self, limits: &Limits) -> Option<(Millis, &'static str)> {
        let append = self.in_flight.as_ref().filter(|_| !self.paused);
        let append = append.and_then(|append| append.attempt.retry_at);
        let (load, release) = match &self.state {
            State::Loading { attempt, .. } => (attempt.retry_at, None),
            State::Warm { refresh: Some(attempt), .. } => (attempt.retry_at, None),
            State::Warm { used, .. } => (None, Some(used.after(limits.replica_idle))),
            State::Cold => (None, None),
        };
        let peek = self.peek.as_ref().and_then(|peek| peek.retry_at);
        let held = if self.in_flight.is_none() && !self.paused { self.held_until } else { None };
        [
            (held, "commit"),
            (append, "retry an append"),
            (load, "retry a load"),
            (peek, "retry a load"),
            (release, "release the replica"),
        ]
        .into_iter()
        .filter_map(|(at, why)| at.map(|at| (at, why)))
        .min()
    }

    fn on_append(&mut self, now: Millis, reply: Result<LogReply, LogError>, limits: &Limits) -> Outcome {
        let Some(mut append) = self.in_flight.take() else { return Outcome::Nothing };
        let error = match reply {
            Ok(LogReply::Appended(tail)) => {
                let end = tail.end.clone();
                self.learn(now, tail);
                self.stored += append.updates.len() as u64;
                self.unstored_bytes -= append.updates.iter().map(Bytes::len).sum::<usize>();
                self.absorb(append.updates.clone());
                let count = append.updates.len() as u64;
                let number = |index: u64| Offset::new((end.number() + 1 + index).saturating_sub(count));
                let place = |(index, update)| {
                    (if self.residency.is_shared() { end.clone() } else { number(index) }, update)
                };
                return Outcome::Stored((0..).zip(append.updates).map(place).collect());
            }
            Ok(_) => LogError::Corrupt,
            Err(error) if append.attempt.put_off(now, error, limits) => {
                self.in_flight = Some(append);
                return Outcome::Nothing;
            }
            Err(error) => error,
        };
        // They may be stored all the same: who comes next must not be shown a document from before.
        self.state = State::Cold;
        // Whoever sent these is sent away and offers them again; they must not count as accepted here.
        self.give_up();
        Outcome::AppendFailed(error)
    }

    /// Lets go of what was accepted and is not stored.
    fn give_up(&mut self) {
        self.queued.clear();
        self.held_until = None;
        self.unstored_bytes = 0;
        self.accepted = self.stored;
    }

    fn on_loaded(&mut self, now: Millis, loaded: Loaded) -> Outcome {
        let updates = loaded.updates.into_iter().map(|(_, update)| update).collect();
        let mut replica = Box::new(Replica::new(loaded.snapshot, updates));
        if let State::Loading { meanwhile, .. } = core::mem::take(&mut self.state) {
            meanwhile.into_iter().for_each(|update| replica.append(update));
        }
        self.loads.ended = self.loads.begun;
        self.state = State::Warm { replica, used: now, place: loaded.tail.end.clone(), refresh: None };
        self.learn(now, loaded.tail);
        Outcome::Progress
    }

    /// Takes what others have written since the replica was loaded.
    fn on_refreshed(&mut self, now: Millis, loaded: Loaded) -> Outcome {
        if let State::Warm { place, refresh, .. } = &mut self.state {
            (*place, *refresh) = (loaded.tail.end.clone(), None);
        }
        self.loads.ended = self.loads.begun;
        let updates = loaded.updates.into_iter().map(|(_, update)| update);
        self.absorb(loaded.snapshot.into_iter().chain(updates).collect());
        self.learn(now, loaded.tail);
        Outcome::Progress
    }

    fn load_failed(&mut self, error: LogError) -> Outcome {
        self.state = State::Cold;
        Outcome::LoadFailed(error)
    }

    fn absorb(&mut self, stored: Vec<Bytes>) {
        match &mut self.state {
            State::Cold => {}
            State::Loading { meanwhile, .. } => meanwhile.extend(stored),
            State::Warm { replica, .. } => {
                stored.into_iter().for_each(|update| replica.append(update));
                let (updates, bytes) = replica.unmerged();
                if updates > UNMERGED_MAX.0 || bytes > UNMERGED_MAX.1 {
                    self.state = State::Cold;
                }
            }
        }
    }

    fn attempt(&mut self, now: Millis) -> Attempt {
        Attempt::new(self.op(), now)
    }

    /// The next number of a request to the store.
    pub(crate) fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }
}
