//! Storing updates under a number of their own.

use super::Work;
use super::known::Fact;
use super::look::Extent;
use super::numbers::NUMBER_MAX;
use super::seen::Seen;
use crate::effect::Millis;
use crate::kv::entry::{Entry, Value};
use crate::kv::{CountKv, Kv as _, KvError, Place as _, fetch, put};
use crate::log::{LogError, LogReply, Offset, Tail};
use bytes::Bytes;

/// Requests that are remembered until they are repeated.
const ATTEMPTS_MAX: usize = 64;
/// Numbers that one append takes at most.
const NUMBERS: usize = 8;
/// Numbers before its own that a creator looks at.
const BEFORE: u64 = 64;

/// An append that was perhaps done.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    generation: u64,
    number: u64,
    /// Before the number was given.
    taken: Millis,
    entry: Entry,
}

/// A number that was given to this operation, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) at: Millis,
}

impl<K: CountKv> Work<'_, K> {
    pub(super) async fn append(&self, updates: Vec<Bytes>) -> Result<Tail, LogError> {
        let generation = self.generation(self.trust()).await?;
        if generation > 0 && !self.is_live(generation).await? {
            return Err(LogError::Deleted);
        }
        self.index(generation).await?;
        self.store(generation, updates).await?;
        // As of a moment ago, or it is looked at again.
        if self.generation(self.trust()).await? != generation {
            return Err(LogError::Deleted);
        }
        Ok(self.tail())
    }

    pub(super) async fn create(&self, updates: Vec<Bytes>) -> Result<LogReply, LogError> {
        let generation = self.generation(0).await?;
        let is_retry = self.attempt(generation).is_some();
        if !is_retry && self.is_live(generation).await? {
            return Ok(LogReply::Created {
                existed: true,
                tail: self.load(Offset::END, self.trust()).await?.tail,
            });
        }
        let _ = self.finish_deletion(generation).await;
        self.index(generation).await?;
        let mut existed = false;
        if !is_retry {
            let taken = self.take(generation, self.has_parts(&updates)).await?;
            // Who created it meanwhile was first.
            let first = taken.number.saturating_sub(BEFORE).max(1);
            let numbers = Seen::new(generation, taken.number - 1, (first..taken.number).collect());
            let Some(view) = self.look(&numbers, Extent::News).await? else {
                return Err(LogError::Unavailable);
            };
            if view.found.range(..taken.number).next().is_some() {
                self.give_back(generation, taken).await;
                return Ok(LogReply::Created {
                    existed: true,
                    tail: self.load(Offset::END, self.trust()).await?.tail,
                });
            }
            // Who has a number before ours, and is not done, is first as well. With content nobody can do it for another.
            existed = updates.is_empty() && view.missing.range(view.settled..taken.number).next().is_some();
            self.attempted(generation, taken, updates.clone());
        }
        self.store(generation, updates).await?;
        Ok(LogReply::Created { existed, tail: self.tail() })
    }

    /// Makes sure that whoever lists keys finds the document.
    pub(super) async fn index(&self, generation: u64) -> Result<(), LogError> {
        if self.known_of(generation, |known| known.indexed) {
            return Ok(());
        }
        let key = self.keys().index(generation);
        if self.kv.get(&key).await?.is_none() {
            self.kv.set(&key, Bytes::from_static(b"i")).await?;
        }
        let mut known = self.known_mut();
        known.indexed |= known.generation == generation;
        Ok(())
    }

    /// Stores updates as one entry. Done once the store says so, soon enough after the number was given: later it may
    /// count as void. A repeated request goes on where it was.
    async fn store(&self, generation: u64, updates: Vec<Bytes>) -> Result<(), LogError> {
        for _ in 0..NUMBERS {
            let (attempt, is_known) = match self.attempt(generation) {
                Some(attempt) => (attempt, true),
                None => {
                    let taken = self.take(generation, self.has_parts(&updates)).await?;
                    (self.attempted(generation, taken, updates.clone()), false)
                }
            };
            let stored = self.write(&attempt, is_known).await;
            let is_late = self.kv.now().since(attempt.taken) >= self.config().ack_within;
            match stored {
                Ok(true) if !is_late && !self.is_passed(&attempt) => {
                    self.log.attempts.borrow_mut().remove(&self.op);
                    let bytes = attempt.entry.updates.iter().map(|update| update.len() as u64).sum();
                    let updates = attempt.entry.updates.len() as u64;
                    let fact = Fact { time: attempt.entry.time, updates, bytes, open: None };
                    self.known_mut().learn(generation, attempt.number, fact);
                    return Ok(());
                }
                // Nobody waits for it under this number any more, or another's bytes stand there; or it turned out
                // meanwhile that the counter had lost its place.
                Ok(_) => {
                    self.log.attempts.borrow_mut().remove(&self.op);
                }
                Err(error) => return Err(error),
            }
        }
        Err(LogError::Unavailable)
    }

    /// Writes an entry, unless it `may` stand there already and does; false if another stands in its place.
    async fn write(&self, attempt: &Attempt, may: bool) -> Result<bool, LogError> {
        let slot = self.keys().entry(attempt.generation, attempt.number);
        if may && let Some(value) = self.kv.get(&slot.key()).await? {
            let Ok(value) = Value::decode(&value) else { return Ok(false) };
            let is_same = value.time == attempt.entry.time && value.covers.is_none();
            return Ok(is_same && fetch(&self.kv, &slot, value).await? == attempt.entry.updates);
        }
        if self.kv.now().since(attempt.taken) >= self.config().ack_within {
            return Ok(false);
        }
        put(&self.kv, &slot, &attempt.entry, self.config()).await.map_err(|error| {
            if error == KvError::Refused {
                self.log.attempts.borrow_mut().remove(&self.op);
            }
            LogError::from(error)
        })?;
        Ok(true)
    }

    /// Takes a number from the counter under which nothing stands: no value, and if it is to have `parts` none of these.
    pub(super) async fn take(&self, generation: u64, parts: bool) -> Result<Taken, LogError> {
        let key = self.keys().counter(generation);
        for _ in 0..NUMBERS {
            // Whoever knows nothing makes sure once that the counter has its place.
            let (known, is_placed) = self.known_of(generation, |known| (known.top, known.placed));
            let at = self.kv.now();
            let mut number = self.kv.count(&key, 1).await?;
            let mut is_doubtful = !is_placed;
            if number <= known {
                // The counter has lost its place.
                number = self.kv.count(&key, known + 1 - number).await?;
                is_doubtful = true;
            }
            if number > NUMBER_MAX {
                return Err(LogError::Refused);
            }
            let slot = self.keys().entry(generation, number);
            let is_free = self.kv.get(&slot.key()).await?.is_none()
                && !(parts && self.kv.get(&slot.part(0)).await?.is_some());
            if (is_doubtful || !is_free) && self.is_misplaced(generation, number, at).await? {
                continue;
            }
            self.known_mut().raise(generation, number);
            if is_free {
                return Ok(Taken { number, at });
            }
        }
        Err(LogError::Unavailable)
    }

    /// Stores an entry without updates under a number that is of no use: else it is pending for long.
    pub(super) async fn give_back(&self, generation: u64, taken: Taken) {
        let entry = Entry { time: self.kv.now(), covers: None, updates: Vec::new() };
        if self.kv.now().since(taken.at) < self.config().ack_within {
            let slot = self.keys().entry(generation, taken.number);
            // If that fails it is pending all the same.
            let _ = put(&self.kv, &slot, &entry, self.config()).await;
        }
    }

    /// Whether it is known that readers may be past the number of an attempt.
    fn is_passed(&self, attempt: &Attempt) -> bool {
        let (number, taken, slack) = (attempt.number, attempt.taken, self.slack());
        self.known_of(attempt.generation, |known| known.is_passed(number, taken, slack))
    }

    /// Whether updates may be too large for one value.
    fn has_parts(&self, updates: &[Bytes]) -> bool {
        let bytes: usize = updates.iter().map(|update| update.len() + 16).sum();
        bytes + 128 > self.config().value_bytes
    }

    /// The attempt that this request made before, if its number still holds.
    fn attempt(&self, generation: u64) -> Option<Attempt> {
        let now = self.kv.now();
        let attempts = self.log.attempts.borrow();
        let holds = |attempt: &&Attempt| {
            attempt.generation == generation && now.since(attempt.taken) < self.config().ack_within
        };
        attempts.get(&self.op).filter(holds).cloned()
    }

    /// Remembers, before anything is written, what this request is about to store and where.
    fn attempted(&self, generation: u64, taken: Taken, updates: Vec<Bytes>) -> Attempt {
        let entry = Entry { time: self.kv.now(), covers: None, updates };
        let attempt = Attempt { generation, number: taken.number, taken: taken.at, entry };
        let mut attempts = self.log.attempts.borrow_mut();
        attempts.insert(self.op, attempt.clone());
        if attempts.len() > ATTEMPTS_MAX {
            attempts.pop_first();
        }
        attempt
    }
}
