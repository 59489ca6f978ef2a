//! Edits of simulated clients: each a Yjs update of a few bytes, written by hand so that millions of them cost little.
//! Clients insert into a text, behind letters of their own or of others, set keys of a map, and delete.

use crate::ranges::Has;
use crate::rng::Rng;
use bytes::Bytes;
use yonder_core::wire::{put_var_bytes, put_var_uint};

/// An edit, as its client made it.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The update.
    pub bytes: Bytes,
    /// What it has.
    pub has: Has,
    /// It sets a key, and is gone when another does.
    pub sets: bool,
}

/// Those who edit a document at the same time, and what each of them has written.
#[derive(Debug, Clone)]
pub struct Authors {
    /// The first client's id.
    first: u64,
    clocks: Vec<u64>,
    /// Letters that were inserted: client, clock and length.
    letters: Vec<(u64, u64, u64)>,
}

impl Authors {
    /// So many clients, from this id on.
    pub fn new(first: u64, count: usize) -> Self {
        Self { first, clocks: vec![0; count], letters: Vec::new() }
    }

    /// The next edit of one of them. `large`: it may be larger than a value.
    pub fn edit(&mut self, rng: &mut Rng, large: bool) -> Edit {
        let author = rng.index(self.clocks.len());
        let (client, clock) = (self.first + author as u64, self.clocks[author]);
        let kind = rng.below(10);
        let deletes = (kind < 3).then(|| self.pick(rng)).flatten();
        let mut out = Vec::with_capacity(32);
        let mut has = Has::default();
        if kind < 1 && deletes.is_some() {
            out.push(0);
        } else {
            out.extend_from_slice(&[1, 1]);
            put_var_uint(&mut out, client);
            put_var_uint(&mut out, clock);
            let length = if kind == 9 {
                self.set(rng, &mut out)
            } else {
                self.insert(rng, client, clock, large, &mut out)
            };
            has.structs.add(client, clock, clock + length);
            self.clocks[author] += length;
        }
        match deletes {
            None => out.push(0),
            Some((client, from, length)) => {
                out.push(1);
                put_var_uint(&mut out, client);
                out.push(1);
                put_var_uint(&mut out, from);
                put_var_uint(&mut out, length);
                has.deletes.add(client, from, from + length);
            }
        }
        Edit { bytes: out.into(), has, sets: kind == 9 }
    }

    /// Sets a key of the map.
    fn set(&self, rng: &mut Rng, out: &mut Vec<u8>) -> u64 {
        out.extend_from_slice(&[0x28, 1, 1, b'm', 1, b'a' + rng.below(4) as u8, 1, 125, rng.below(64) as u8]);
        1
    }

    fn insert(&mut self, rng: &mut Rng, client: u64, clock: u64, large: bool, out: &mut Vec<u8>) -> u64 {
        match self.pick(rng) {
            Some((client, clock, _)) if rng.chance(850) => {
                out.push(0x84);
                put_var_uint(out, client);
                put_var_uint(out, clock);
            }
            _ => out.extend_from_slice(&[4, 1, 1, b't']),
        }
        let length = match rng.below(1_000) {
            0 | 1 if large => rng.between(40_000, 110_000),
            2..=60 if large => rng.between(100, 1_500),
            _ => rng.between(1, 3),
        };
        let letter = b'a' + rng.below(26) as u8;
        put_var_bytes(out, &vec![letter; length as usize]);
        self.letters.push((client, clock, length));
        length
    }

    /// Some letters that are there.
    fn pick(&self, rng: &mut Rng) -> Option<(u64, u64, u64)> {
        let index = rng.below(self.letters.len() as u64) as usize;
        let (client, clock, length) = *self.letters.get(index)?;
        let skip = rng.below(length.min(4));
        Some((client, clock + skip, (length - skip).min(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yonder_core::update;

    #[test]
    fn edits_are_updates_and_have_what_they_say() {
        let (mut rng, mut authors) = (Rng::new(1), Authors::new(300, 3));
        let edits: Vec<_> = (0..500).map(|_| authors.edit(&mut rng, true)).collect();
        let mut all = Has::default();
        for edit in &edits {
            let summary = update::inspect(&edit.bytes).unwrap();
            assert!(!summary.is_empty());
            let mut read = Has::default();
            read.read(&edit.bytes).unwrap();
            assert_eq!(read, edit.has);
            all.merge(&read);
        }
        let snapshot =
            yonder_core::replica::compact(edits.into_iter().map(|edit| edit.bytes).collect()).unwrap();
        let mut compacted = Has::default();
        compacted.read(&snapshot).unwrap();
        assert_eq!(compacted.lacks(&all), None);
    }
}
