//! The room's side of the log: updates on their way to the store, the replica if there is one, compaction.
//!
//! An update counts as accepted when it was checked and may be relayed, and as stored when the store said so.
//! Both are counted from the room's start, so that an answer can wait for "everything accepted before it".

use crate::effect::{Effects, Millis, OpId};
use crate::limits::Limits;
use crate::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};
use crate::replica::Replica;
use crate::update::Summary;
use bytes::Bytes;

/// Updates that a loaded replica keeps unmerged before it is cheaper to load it again.
const UNMERGED_MAX: (usize, usize) = (2048, 2 << 20);
/// Milliseconds until a request that failed is tried again: the first time, and at most.
const RETRY: (u64, u64) = (50, 2_000);
/// Bytes that are not held back.
const HELD_MAX: usize = 256 << 10;
/// Milliseconds of rest after a compaction that failed.
const COMPACTION_REST: u64 = 30_000;

#[derive(Debug, Default)]
pub(crate) struct Document {
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
    },
}

#[derive(Debug)]
struct InFlight {
    attempt: Attempt,
    updates: Vec<Bytes>,
}

/// A request to the store, and when to repeat it.
#[derive(Debug)]
struct Attempt {
    op: OpId,
    since: Millis,
    failures: u32,
    retry_at: Option<Millis>,
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
        self.tail.map_or(0, |tail| tail.document_bytes()) + self.unstored_bytes as u64
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

    /// Whether the tail is asked for: what is known of it may be wrong.
    pub(crate) fn is_peeking(&self) -> bool {
        self.peek.is_some()
    }

    /// Asks for the tail although one is known, or was asked for: it is in doubt, and an earlier question may be
    /// answered from before the doubt.
    pub(crate) fn peek_again(&mut self, now: Millis, effects: &mut Effects) {
        let attempt = self.attempt(now);
        effects.store(attempt.op, LogOp::Load { since: Offset::END });
        self.peek = Some(attempt);
    }

    /// The document was made or deleted: what was known of it before, or was about to be stored, is void.
    pub(crate) fn begin_anew(&mut self, tail: Tail) {
        self.tail = Some(tail);
        (self.state, self.peek, self.compaction) = (State::Cold, None, None);
        if tail.life == Life::Deleted {
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

    /// Whether a loaded replica is known to have every struct of an update.
    pub(crate) fn has(&self, update: &Summary) -> bool {
        match &self.state {
            State::Warm { replica, .. } => replica.has(update),
            State::Cold | State::Loading { .. } => false,
        }
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_none()
            && self.queued.is_empty()
            && self.compaction.is_none()
            && self.peek.is_none()
            && !matches!(self.state, State::Loading { .. })
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

    /// The replica, loaded if need be: none until the load was answered.
    pub(crate) fn replica(&mut self, now: Millis, effects: &mut Effects) -> Option<&mut Replica> {
        if matches!(self.state, State::Cold) {
            let attempt = self.attempt(now);
            effects.store(attempt.op, LogOp::Load { since: Offset::START });
            self.state = State::Loading { attempt, meanwhile: Vec::new() };
        }
        match &mut self.state {
            State::Warm { replica, used } => {
                *used = now;
                Some(replica)
            }
            State::Cold | State::Loading { .. } => None,
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
                    self.tail = Some(tail);
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
                    self.learn(loaded.tail);
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
            State::Loading { .. } | State::Cold | State::Warm { .. } => Outcome::Nothing,
        }
    }

    /// Starts a compaction if the tail is long enough; `idle` tells that nobody has been here for a while.
    pub(crate) fn compact_if_due(&mut self, now: Millis, idle: bool, limits: &Limits, effects: &mut Effects) {
        let Some(tail) = self.tail else { return };
        let rests = now < self.compaction_rests_until || tail.life != Life::Live;
        if self.compaction.is_none() && !rests && limits.compaction.is_due(&tail, idle) {
            let op = self.op();
            self.compaction = Some(op);
            effects.store(op, LogOp::Compact { upto: tail.end });
        }
    }

    /// When what nobody uses is compacted, if it was left alone at `since`; none if there is nothing to compact.
    pub(crate) fn compacts_at(&self, since: Millis, limits: &Limits) -> Option<Millis> {
        let due =
            self.tail.is_some_and(|tail| tail.life == Life::Live && limits.compaction.is_due(&tail, true));
        let at = since.after(limits.compaction.idle_after).max(self.compaction_rests_until);
        (due && self.compaction.is_none()).then_some(at)
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
                self.learn(tail);
                self.stored += append.updates.len() as u64;
                self.unstored_bytes -= append.updates.iter().map(Bytes::len).sum::<usize>();
                self.absorb(append.updates.clone());
                let first = tail.end.number() + 1 - append.updates.len() as u64;
                return Outcome::Stored((first..).map(Offset::new).zip(append.updates).collect());
            }
            Ok(_) => LogError::Corrupt,
            Err(error) if append.attempt.put_off(now, error, limits) => {
                self.in_flight = Some(append);
                return Outcome::Nothing;
            }
            Err(error) => error,
        };
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
        self.learn(loaded.tail);
        self.state = State::Warm { replica, used: now };
        Outcome::Progress
    }

    /// Takes a tail, unless it was overtaken by an append or a compaction.
    pub(crate) fn learn(&mut self, tail: Tail) {
        let is_news = |known: Tail| {
            let later = (known.end, known.snapshot) <= (tail.end, tail.snapshot);
            later || (known.end == tail.end && known.life != tail.life)
        };
        if self.tail.is_none_or(is_news) {
            self.tail = Some(tail);
        }
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
        Attempt { op: self.op(), since: now, failures: 0, retry_at: None }
    }

    /// The next number of a request to the store.
    pub(crate) fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }
}

impl Attempt {
    /// Plans a retry; false if the error is final or patience has run out.
    fn put_off(&mut self, now: Millis, error: LogError, limits: &Limits) -> bool {
        if error != LogError::Unavailable || now.since(self.since) >= limits.store_patience {
            return false;
        }
        let (first, most) = RETRY;
        self.retry_at = Some(now.after((first << self.failures.min(10)).min(most)));
        self.failures += 1;
        true
    }

    /// Whether to repeat it now; then it is on its way again.
    fn is_due(&mut self, now: Millis) -> bool {
        let due = self.retry_at.is_some_and(|at| at <= now);
        if due {
            self.retry_at = None;
        }
        due
    }
}
