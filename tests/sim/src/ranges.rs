//! What a client of Yjs has: which structs of which clients, and which deletions, as ranges of clocks.

use std::collections::BTreeMap;
use yonder_core::wire::{Reader, WireError};

/// Clocks by client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clocks(BTreeMap<u64, Vec<(u64, u64)>>);

/// Structs and deletions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Has {
    /// Structs.
    pub structs: Clocks,
    /// Deletions.
    pub deletes: Clocks,
}

impl Clocks {
    /// Adds the clocks from `from` up to `end`.
    pub fn add(&mut self, client: u64, from: u64, end: u64) {
        if from >= end {
            return;
        }
        let ranges = self.0.entry(client).or_default();
        let first = ranges.partition_point(|range| range.1 < from);
        let last = first + ranges[first..].partition_point(|range| range.0 <= end);
        let (from, end) = match ranges[first..last] {
            [] => (from, end),
            [single] => (from.min(single.0), end.max(single.1)),
            [begin, .., over] => (from.min(begin.0), end.max(over.1)),
        };
        ranges.splice(first..last, [(from, end)]);
    }

    /// Whether all of these are there.
    pub fn contains(&self, client: u64, from: u64, end: u64) -> bool {
        let Some(ranges) = self.0.get(&client) else { return from >= end };
        let at = ranges.partition_point(|range| range.1 <= from);
        from >= end || ranges.get(at).is_some_and(|range| range.0 <= from && end <= range.1)
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (client, ranges) in &other.0 {
            ranges.iter().for_each(|(from, end)| self.add(*client, *from, *end));
        }
    }

    /// The first range of another that is not here.
    pub fn lacks(&self, other: &Self) -> Option<(u64, u64, u64)> {
        let ranges = other
            .0
            .iter()
            .flat_map(|(client, ranges)| ranges.iter().map(|range| (*client, range.0, range.1)));
        ranges.into_iter().find(|(client, from, end)| !self.contains(*client, *from, *end))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Has {
    /// Adds what an update has. Knows the kinds of structs that simulated clients make, and what becomes of them.
    ///
    /// # Errors
    /// If it is no such update.
    pub fn read(&mut self, update: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(update);
        for _ in 0..reader.var_uint()? {
            let structs = reader.var_uint()?;
            let (client, mut clock) = (reader.var_uint()?, reader.var_uint()?);
            for _ in 0..structs {
                let info = reader.byte()?;
                let length = read_struct(&mut reader, info)?;
                if info != SKIP {
                    self.structs.add(client, clock, clock + length);
                }
                clock += length;
            }
        }
        for _ in 0..reader.var_uint()? {
            let client = reader.var_uint()?;
            for _ in 0..reader.var_uint()? {
                let (clock, length) = (reader.var_uint()?, reader.var_uint()?);
                self.deletes.add(client, clock, clock + length);
            }
        }
        if reader.is_empty() { Ok(()) } else { Err(WireError::UnknownType(255)) }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.structs.merge(&other.structs);
        self.deletes.merge(&other.deletes);
    }

    /// Something of another that is not here.
    pub fn lacks(&self, other: &Self) -> Option<String> {
        let told = |what: &str, range| {
            let (client, from, end): (u64, u64, u64) = range;
            format!("{what} {from}..{end} of client {client}")
        };
        let structs = self.structs.lacks(&other.structs).map(|range| told("clocks", range));
        structs
            .or_else(|| self.deletes.lacks(&other.deletes).map(|range| told("the deletion of clocks", range)))
    }
}

const SKIP: u8 = 10;

fn read_struct(reader: &mut Reader<'_>, info: u8) -> Result<u64, WireError> {
    if matches!(info, 0 | SKIP) {
        return reader.var_uint();
    }
    if info & 0x80 != 0 {
        reader.var_uint()?;
        reader.var_uint()?;
    }
    if info & 0x40 != 0 {
        reader.var_uint()?;
        reader.var_uint()?;
    }
    if info & 0xc0 == 0 {
        if reader.var_uint()? == 1 {
            reader.var_bytes()?;
        } else {
            reader.var_uint()?;
            reader.var_uint()?;
        }
        if info & 0x20 != 0 {
            reader.var_bytes()?;
        }
    }
    match info & 0x1f {
        1 => reader.var_uint(),
        // Letters, which are one unit each.
        4 => Ok(reader.var_bytes()?.len() as u64),
        // Numbers below 64: a tag and a byte.
        8 => {
            let count = reader.var_uint()?;
            for _ in 0..2 * count {
                reader.byte()?;
            }
            Ok(count)
        }
        other => Err(WireError::UnknownType(u64::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut clocks = Clocks::default();
        for (from, end) in [(0, 2), (4, 6), (8, 9), (2, 4)] {
            clocks.add(1, from, end);
        }
        assert_eq!(clocks.0[&1], [(0, 6), (8, 9)]);
        assert!(clocks.contains(1, 0, 6) && clocks.contains(1, 8, 9) && clocks.contains(2, 3, 3));
        assert!(!clocks.contains(1, 5, 7) && !clocks.contains(2, 0, 1) && !clocks.contains(1, 6, 8));
        clocks.add(1, 5, 8);
        assert_eq!(clocks.0[&1], [(0, 9)]);
    }

    #[test]
    fn a_merge_has_what_was_merged() {
        let edits = [
            vec![1, 1, 5, 0, 4, 1, 1, b't', 2, b'a', b'b', 0],
            vec![1, 1, 5, 3, 0x84, 5, 1, 1, b'c', 0],
            vec![1, 1, 6, 0, 0x28, 1, 1, b'm', 1, b'k', 1, 125, 7, 1, 5, 1, 0, 1],
        ];
        let mut each = Has::default();
        edits.iter().for_each(|edit| each.read(edit).unwrap());
        let merged = yrs::merge_updates_v1(&edits).unwrap();
        let mut whole = Has::default();
        whole.read(&merged).unwrap();
        assert_eq!(whole, each);
        assert!(each.lacks(&whole).is_none());
        assert!(!each.structs.contains(5, 2, 3) && each.deletes.contains(5, 0, 1));
    }
}
