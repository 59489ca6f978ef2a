//! What an instance remembers of a document: entries never change, so what was read once stays true.

use super::head::Head;
use super::numbers::Numbers;
use super::seen::Seen;
use crate::collections::{Map, Set};
use crate::effect::Millis;
use crate::kv::entry::{Body, Value};
use crate::log::{Life, LogError, Offset, Tail};

/// Entries that are remembered; of more, the last ones.
const FACTS_MAX: usize = 4_096;

/// Of one generation.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) generation: u64,
    /// The head was read since this generation is known of.
    pub(super) asked: bool,
    /// When its tombstone was not there.
    pub(super) checked: Option<Millis>,
    /// Of this generation.
    pub(super) head: Option<Head>,
    /// The index key is there.
    pub(super) indexed: bool,
    /// An entry was there.
    pub(super) live: bool,
    /// The counter was looked behind, and had its place or was set right.
    pub(super) placed: bool,
    /// The largest number that was given to anyone.
    pub(super) top: u64,
    pub(super) facts: Map<u64, Fact>,
    /// Numbers that were looked for, and not there.
    pub(super) absent: Set<u64>,
}

/// What there is to know of an entry without its updates.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) time: Millis,
    pub(super) updates: u64,
    pub(super) bytes: u64,
    /// Of a snapshot, what below its number it does not cover.
    pub(super) open: Option<Numbers>,
}

impl Fact {
    pub(super) fn of(value: &Value) -> Result<Self, LogError> {
        let (updates, bytes) = match &value.body {
            Body::Here(updates) => {
                (updates.len() as u64, updates.iter().map(|update| update.len() as u64).sum())
            }
            // Most often a snapshot, or one large update: how many it are stands in the parts.
            Body::Parts(parts) => (1, parts.bytes),
        };
        let open = value.covers.as_ref();
        let open = open.map(|covers| Numbers::decode(&covers.names).ok_or(LogError::Corrupt)).transpose()?;
        Ok(Self { time: value.time, updates, bytes, open })
    }

    /// Whether it is a snapshot, under a number, that covers another one.
    pub(super) fn covers(&self, own: u64, number: u64) -> bool {
        number < own && self.open.as_ref().is_some_and(|open| !open.contains(number))
    }

    /// Whether it stood behind a number long before that was given: readers are past that number, or soon will be.
    pub(super) fn voids(&self, own: u64, number: u64, taken: Millis, slack: u64) -> bool {
        self.covers(own, number) || number < own && self.time.after(slack) < taken
    }
}

impl Known {
    /// Turns to a generation.
    pub(super) fn turn(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    /// Learns that the generation was not dead at a time.
    pub(super) fn check(&mut self, generation: u64, at: Millis) {
        self.turn(generation);
        self.checked = self.checked.max(Some(at));
    }

    /// Takes what a head says, if it is of this generation.
    pub(super) fn learn_head(&mut self, head: Option<Head>) {
        let Some(head) = head else { return };
        if head.seen.generation != self.generation {
            return;
        }
        self.live |= head.seen.number > 0;
        // Whoever wrote a snapshot made sure of that before.
        self.indexed |= head.seen.number > 0;
        self.top = self.top.max(head.seen.number);
        if self.head.as_ref().is_none_or(|known| known.seen.number <= head.seen.number) {
            self.head = Some(head);
        }
    }

    /// Takes what a counter said, or the number of an entry.
    pub(super) fn raise(&mut self, generation: u64, number: u64) {
        if self.generation == generation {
            self.top = self.top.max(number);
        }
    }

    pub(super) fn learn(&mut self, generation: u64, number: u64, fact: Fact) {
        if self.generation != generation {
            return;
        }
        self.live = true;
        self.top = self.top.max(number);
        self.absent.remove(&number);
        let is_snapshot = fact.open.is_some();
        self.facts.insert(number, fact);
        if is_snapshot {
            let snapshots: Vec<_> = self.snapshots().map(|(own, fact)| (own, fact.clone())).collect();
            let covered = |number| snapshots.iter().any(|(own, fact)| fact.covers(*own, number));
            self.facts.retain(|number, _| !covered(*number));
            self.absent.retain(|number| !covered(*number));
        }
        if self.facts.len() > FACTS_MAX {
            self.facts.pop_first();
        }
    }

    /// Learns that nothing is under a number, or nothing any more.
    pub(super) fn miss(&mut self, generation: u64, number: u64) {
        if self.generation == generation {
            self.facts.remove(&number);
            self.absent.insert(number);
            if self.absent.len() > FACTS_MAX {
                self.absent.pop_first();
            }
        }
    }

    fn snapshots(&self) -> impl DoubleEndedIterator<Item = (u64, &Fact)> {
        self.facts.iter().filter(|(_, fact)| fact.open.is_some()).map(|(number, fact)| (*number, fact))
    }

    /// Whether a number given at a time is void, or soon will be: see [`Fact::voids`].
    pub(super) fn is_passed(&self, number: u64, taken: Millis, slack: u64) -> bool {
        self.facts.range(number + 1..).any(|(own, fact)| fact.voids(*own, number, taken, slack))
    }

    pub(super) fn is_covered(&self, number: u64) -> bool {
        self.snapshots().any(|(own, fact)| fact.covers(own, number))
    }

    /// The newest snapshot that is known of, and what it leaves open.
    pub(super) fn newest(&self) -> Seen {
        let read = self
            .snapshots()
            .next_back()
            .map(|(number, fact)| Seen::new(self.generation, number, fact.open.clone().unwrap_or_default()));
        let told = self.head.as_ref().map(|head| head.seen.clone());
        let nothing = Seen::nothing(self.generation);
        [read, told].into_iter().flatten().fold(
            nothing,
            |best, seen| {
                if seen.number > best.number { seen } else { best }
            },
        )
    }

    /// Numbers below this are not pending any more: an entry behind them is older than any request.
    pub(super) fn settled(&self, now: Millis, void_after: u64) -> u64 {
        let is_old = |fact: &Fact| fact.time.after(void_after) <= now;
        self.facts.iter().rev().find(|(_, fact)| is_old(fact)).map_or(0, |(number, _)| *number)
    }

    /// Numbers, up to the last one, of which nothing is known although something may be under them, now or later.
    pub(super) fn unsettled(&self, settled: u64) -> Numbers {
        let newest = self.newest();
        let mut open = newest.holes;
        open.push_run(newest.number + 1, self.top);
        let unknown = |number: &u64| !self.facts.contains_key(number) && !self.is_covered(*number);
        open.iter().filter(|number| *number >= settled).filter(unknown).collect()
    }

    /// Where the log ends: a place that skips nothing which may yet come.
    pub(super) fn end(&self, now: Millis, void_after: u64) -> Seen {
        let settled = self.settled(now, void_after);
        Seen::new(self.generation, self.top, self.unsettled(settled))
    }

    /// How long the log is, as far as this instance knows: what it has not read counts as one update without bytes.
    pub(super) fn tail(&self, end: Offset) -> Tail {
        if !self.live {
            let life = if self.generation == 0 { Life::Absent } else { Life::Deleted };
            return Tail { life, end, ..Tail::default() };
        }
        let newest = self.newest();
        let snapshot_bytes = match (self.facts.get(&newest.number), &self.head) {
            (Some(fact), _) => fact.bytes,
            (None, Some(head)) => head.bytes,
            (None, None) => 0,
        };
        let snapshot = if newest.number == 0 { Offset::START } else { newest.offset() };
        let mut open = newest.holes;
        open.push_run(newest.number + 1, self.top);
        let (mut updates, mut bytes) = (0, 0);
        for number in open.iter().filter(|number| !self.absent.contains(number)) {
            let fact = self.facts.get(&number);
            updates += fact.map_or(1, |fact| fact.updates);
            bytes += fact.map_or(0, |fact| fact.bytes);
        }
        Tail { life: Life::Live, end, snapshot, updates, bytes, snapshot_bytes }
    }
}
