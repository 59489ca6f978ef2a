//! Keys with their histories.

use super::flight::{Answer, Ask, Flight};
use super::profile::{Lag, Profile};
use crate::rng::Rng;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use yonder_core::kv::{KvError, Page};

/// Places from which an instance may read.
pub(super) const REPLICAS: usize = 3;
/// Never.
const NEVER: u64 = u64::MAX;

/// A store.
#[derive(Debug)]
pub struct Store {
    /// The true time, in milliseconds.
    pub now: u64,
    /// How it behaves.
    pub profile: Profile,
    /// Its chance.
    pub rng: Rng,
    /// All faults are over: whatever is asked is done at once.
    pub calm: bool,
    /// What was done that may never be.
    pub wrong: Option<String>,
    /// Operations that are on their way, or whose answers are.
    pub flights: Vec<Flight>,
    pub(super) answers: BTreeMap<u64, Answer>,
    pub(super) next_flight: u64,
    keys: BTreeMap<String, Key>,
    counters: BTreeMap<String, u64>,
    written: VecDeque<u64>,
    /// Whether a key may be written with other bytes than before.
    overwritten: fn(&str) -> bool,
}

#[derive(Debug, Default)]
struct Key {
    history: Vec<Write>,
    /// Until when each replica remembers that it was not there.
    missed: [u64; REPLICAS],
    /// What was first written under it.
    first: Option<Bytes>,
    last_write: Option<u64>,
}

#[derive(Debug)]
struct Write {
    value: Option<Bytes>,
    /// From when on each replica has it, for reads and for lists.
    read: [u64; REPLICAS],
    listed: [u64; REPLICAS],
}

impl Store {
    /// An empty one.
    pub fn new(profile: Profile, rng: Rng, overwritten: fn(&str) -> bool) -> Self {
        Self {
            now: 0,
            profile,
            rng,
            calm: false,
            wrong: None,
            flights: Vec::new(),
            answers: BTreeMap::new(),
            next_flight: 0,
            keys: BTreeMap::new(),
            counters: BTreeMap::new(),
            written: VecDeque::new(),
            overwritten,
        }
    }

    /// Ends all faults: every write is visible, nothing is on its way any more.
    pub fn calm_down(&mut self) {
        self.calm = true;
        self.flights.clear();
        for key in self.keys.values_mut() {
            key.missed = [0; REPLICAS];
            let last = key.history.pop();
            key.history.clear();
            key.history.extend(last.map(|last| Write { read: [0; REPLICAS], listed: [0; REPLICAS], ..last }));
        }
    }

    /// Does what is asked, as seen from this replica.
    pub(super) fn perform(&mut self, ask: &Ask, home: usize) -> Answer {
        if self.calm {
            return self.truly(ask);
        }
        let replica =
            if self.profile.wanders && self.rng.chance(300) { self.rng.index(REPLICAS) } else { home };
        if self.rng.chance(self.profile.fails) {
            return Answer::failed(ask);
        }
        let answer = match ask {
            Ask::Get(key) => Answer::Value(Ok(self.get(key, replica))),
            Ask::List(prefix, cursor) => Answer::Page(Ok(self.list(prefix, cursor.as_deref(), replica))),
            Ask::Set(key, value) => Answer::Done(self.set(key, Some(value), home)),
            Ask::Delete(key) => Answer::Done(self.set(key, None, home)),
            Ask::Count(key, delta) => Answer::Count(Ok(self.count(key, *delta))),
        };
        let writes = !matches!(ask, Ask::Get(_) | Ask::List(..) | Ask::Count(_, 0));
        if writes && self.rng.chance(self.profile.ambiguous) { Answer::failed(ask) } else { answer }
    }

    /// The same on a store that has no faults.
    pub(super) fn truly(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Get(key) => Answer::Value(Ok(self.latest(key).cloned())),
            Ask::List(prefix, _) => {
                let keys = self.keys_of(prefix).map(str::to_owned).collect();
                Answer::Page(Ok(Page { keys, next: None }))
            }
            Ask::Set(key, value) => Answer::Done(self.write(key, Some(value), 0)),
            Ask::Delete(key) => Answer::Done(self.write(key, None, 0)),
            Ask::Count(key, delta) => {
                let counter = self.counters.entry(key.clone()).or_default();
                *counter += delta;
                Answer::Count(Ok(*counter))
            }
        }
    }

    /// Keys that are there, in truth.
    pub fn keys_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.keys.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(prefix))
            .filter(|(_, key)| key.history.last().is_some_and(|write| write.value.is_some()))
            .map(|(name, _)| name.as_str())
    }

    /// A key's value, in truth.
    pub fn latest(&self, key: &str) -> Option<&Bytes> {
        self.keys.get(key)?.history.last()?.value.as_ref()
    }

    fn get(&mut self, name: &str, replica: usize) -> Option<Bytes> {
        let (now, negative) = (self.now, self.profile.negative);
        if negative > 0 && !self.keys.contains_key(name) {
            self.keys.insert(name.to_owned(), Key::default());
        }
        let key = self.keys.get_mut(name)?;
        if now < key.missed[replica] {
            return None;
        }
        let seen = key.history.iter().rev().find(|write| write.read[replica] <= now);
        let value = seen.and_then(|write| write.value.clone());
        if value.is_none() && negative > 0 {
            key.missed[replica] = now + negative;
        }
        value
    }

    fn list(&mut self, prefix: &str, cursor: Option<&str>, replica: usize) -> Page {
        let now = self.now;
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        let seen = |key: &Key| {
            key.history
                .iter()
                .rev()
                .find(|write| write.listed[replica] <= now)
                .is_some_and(|write| write.value.is_some())
        };
        let shuffled = self.profile.shuffled;
        let place = |name: &str| if shuffled { scramble(name) } else { 0 };
        let mut keys: Vec<(u64, &str)> = self
            .keys
            .range::<str, _>(from)
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(_, key)| seen(key))
            .map(|(name, _)| (place(name), name.as_str()))
            .filter(|at| cursor.is_none_or(|cursor| *at > (place(cursor), cursor)))
            .collect();
        keys.sort_unstable();
        let mut next = None;
        if self.profile.page > 0 && keys.len() > self.profile.page {
            keys.truncate(self.profile.page);
            next = keys.last().map(|(_, name)| (*name).to_owned());
        }
        Page { keys: keys.into_iter().map(|(_, name)| name.to_owned()).collect(), next }
    }

    fn set(&mut self, key: &str, value: Option<&Bytes>, home: usize) -> Result<(), KvError> {
        let now = self.now;
        if self.profile.all_rate {
            while self.written.front().is_some_and(|at| at + 1_000 <= now) {
                self.written.pop_front();
            }
            if self.written.len() >= 50 {
                return Err(KvError::Unavailable);
            }
        }
        let last = self.keys.get(key).and_then(|key| key.last_write);
        if self.profile.key_rate && last.is_some_and(|last| now < last + 1_000) {
            return Err(KvError::Unavailable);
        }
        if self.profile.all_rate {
            self.written.push_back(now);
        }
        self.write(key, value, home)
    }

    fn write(&mut self, name: &str, value: Option<&Bytes>, home: usize) -> Result<(), KvError> {
        let letters =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if name.len() > self.profile.key_bytes || !letters {
            self.complain(format!("limits: the key {name} cannot be"));
            return Err(KvError::Refused);
        }
        if value.is_some_and(|value| value.len() > self.profile.value_bytes) {
            self.complain(format!("limits: the value of {name} has {} bytes", value.map_or(0, Bytes::len)));
            return Err(KvError::Refused);
        }
        let read = [(); REPLICAS].map(|()| self.lag(self.profile.lag));
        let listed = [(); REPLICAS].map(|()| self.lag(self.profile.list_lag));
        let now = self.now;
        let key = self.keys.entry(name.to_owned()).or_default();
        key.last_write = Some(now);
        if let Some(value) = value {
            let first = key.first.get_or_insert_with(|| value.clone());
            if first != value && !(self.overwritten)(name) {
                self.wrong
                    .get_or_insert_with(|| format!("I2: {name} is written with other bytes than before"));
            }
        }
        let mut write = Write { value: value.cloned(), read, listed };
        // One's own replica has it first, as most have it; from another place it may be missed all the same.
        write.read[home] = write.read[home].min(now + self.rng.below(2) * (write.read[home] - now));
        // What every replica has overtaken is not seen again.
        let settled = |write: &Write| write.read.iter().chain(&write.listed).all(|at| *at <= now);
        if let Some(last) = key.history.iter().rposition(settled) {
            key.history.drain(..last);
        }
        key.history.push(write);
        Ok(())
    }

    fn lag(&mut self, lag: Lag) -> u64 {
        match lag {
            Lag::None => self.now,
            _ if self.calm || self.rng.chance(300) => self.now,
            Lag::Upto(bound) => self.now + self.rng.below(bound + 1),
            Lag::Unbounded => match self.rng.below(4) {
                0 => NEVER,
                1 => self.now + self.rng.below(3_600_000),
                _ => self.now + self.rng.below(5_000),
            },
        }
    }

    fn count(&mut self, key: &str, delta: u64) -> u64 {
        let counter = self.counters.entry(key.to_owned()).or_default();
        *counter += delta;
        *counter
    }

    /// Counters go back a little, to nothing, or forward.
    pub fn miscount(&mut self) {
        for counter in self.counters.values_mut() {
            let by = self.rng.below(6);
            match self.rng.below(6) {
                0 => *counter = 0,
                1..=3 => *counter = counter.saturating_sub(by),
                _ => *counter += by,
            }
        }
    }

    /// Notes the first thing that is wrong.
    pub fn complain(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }
}

/// A place in an order that is none.
fn scramble(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        .rotate_left(29)
}
