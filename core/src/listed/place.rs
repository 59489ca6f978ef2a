//! A reader's place in a document that any number of instances write: which of its entries it has.
//!
//! [`Offset::number`] is the generation (20 bits) and the time of the newest live entry (44 bits). The marks are a text
//! of bits: a head (how many entries are told by their sum, 24 bits, and how many singly, 12), the sum of the former
//! (64 bits), and of the latter as many low bits of each id as there is space for: all 64 for up to 21 entries, and
//! never less than 48, so that an entry that a reader lacks is not taken for one that it has. The sum is of the oldest entries:
//! these change least.

use super::keys::{EntryKey, TIME_MAX};
use super::names::Names;
use crate::collections::{Map, Set};
use crate::log::Offset;

/// Entries that are told singly: the largest number that leaves 48 bits for each.
const SINGLY: usize = 28;
/// The same beside a sum.
const SINGLY_BESIDE: usize = 27;
/// Marks that the sum takes.
const SUM_MARKS: usize = 2;
/// How often a snapshot is looked into to find what a sum was of.
const EXPANSIONS: usize = 8;

/// The first place of a generation.
pub(super) fn first(generation: u32) -> Offset {
    Offset::new(u64::from(generation) << 44)
}

/// The place of a reader that has these entries and nothing else: a function of what is live alone.
pub(super) fn place(generation: u32, live: &[EntryKey]) -> Offset {
    let time = live.iter().map(|entry| entry.time.0).max().unwrap_or_default().min(TIME_MAX);
    let number = u64::from(generation) << 44 | time;
    if live.is_empty() {
        return Offset::new(number);
    }
    let singly = if live.len() <= SINGLY { live.len() } else { SINGLY_BESIDE };
    let (summed, single) = live.split_at_checked(live.len() - singly).unwrap_or((&[], live));
    let mut marks = Bits::default();
    marks.push(summed.len() as u64, 24);
    marks.push(single.len() as u64, 12);
    if !summed.is_empty() {
        marks.push(sum(summed.iter().map(|entry| entry.id)), 64);
        marks.fill();
    }
    let width = width(single.len(), !summed.is_empty());
    single.iter().for_each(|entry| marks.push(entry.id & low(width), width));
    marks.fill();
    Offset::with_marks(number, marks.whole)
}

/// The entries that a reader at a place has, as far as that can be told: by their ids.
pub(super) fn known(since: &Offset, live: &[EntryKey], all: &[EntryKey], names: &Names) -> Set<u64> {
    read(since, live, all, names).map(|known| names.with_covered(known)).unwrap_or_default()
}

fn read(since: &Offset, live: &[EntryKey], all: &[EntryKey], names: &Names) -> Option<Set<u64>> {
    let (head, mut marks) = since.marks().split_first()?;
    let (summed, single) = ((head >> 12) as usize, (head & 0xfff) as usize);
    let mut known = Set::new();
    if summed > 0 {
        let (total, rest) = marks.split_at_checked(SUM_MARKS)?;
        let total = Bits::read(total, 64, 1)?.pop()?;
        known = summed_ids(summed, total, live, names).unwrap_or_default();
        marks = rest;
    }
    let width = width(single, summed > 0);
    let single: Set<_> = Bits::read(marks, width, single)?.into_iter().collect();
    let universe: Set<_> = all.iter().map(|entry| entry.id).chain(names.ids()).collect();
    let mut by_mark: Map<_, Option<u64>> = Map::new();
    for id in universe {
        // Two with the same mark: which of them the reader has cannot be told, and so it is given both.
        if by_mark.insert(id & low(width), Some(id)).is_some() {
            by_mark.insert(id & low(width), None);
        }
    }
    known.extend(single.iter().filter_map(|mark| by_mark.get(mark).copied().flatten()));
    Some(known)
}

/// The oldest `count` entries of a time, if they have this sum: of what is live now, or was before it was merged.
fn summed_ids(count: usize, total: u64, live: &[EntryKey], names: &Names) -> Option<Set<u64>> {
    let mut order: Vec<_> = live.iter().map(|entry| entry.id).collect();
    for _ in 0..=EXPANSIONS {
        if let Some(oldest) = order.get(..count)
            && sum(oldest.iter().copied()) == total
        {
            return Some(oldest.iter().copied().collect());
        }
        // What was merged was older than what was not.
        let index = order.iter().position(|id| names.of(*id).is_some())?;
        let snapshot = order.remove(index);
        let merged = names.of(snapshot).unwrap_or_default();
        order.retain(|id| !merged.contains(id));
        order.splice(0..0, merged.iter().copied());
    }
    None
}

/// A sum in no order. The ids are random; they are mixed so that no two sets of them have the same sum by a pattern.
fn sum(ids: impl Iterator<Item = u64>) -> u64 {
    ids.fold(0, |sum, id| sum.wrapping_add(mix(id)))
}

/// The finalizer of SplitMix64.
fn mix(id: u64) -> u64 {
    let id = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    id ^ (id >> 31)
}

/// Bits of each id, of so many that are told singly.
fn width(single: usize, beside: bool) -> u32 {
    let marks = Offset::MARKS_MAX - 1 - if beside { SUM_MARKS } else { 0 };
    let bits = marks * Offset::MARK_BITS as usize;
    bits.checked_div(single).map_or(0, |width| width.min(64) as u32)
}

fn low(width: u32) -> u64 {
    u64::MAX.checked_shr(64 - width.min(64)).unwrap_or_default()
}

/// Numbers of any width in marks.
#[derive(Default)]
struct Bits {
    whole: Vec<u64>,
    rest: u128,
    bits: u32,
}

impl Bits {
    fn push(&mut self, value: u64, width: u32) {
        self.rest = self.rest << width | u128::from(value);
        self.bits += width;
        while self.bits >= Offset::MARK_BITS {
            self.bits -= Offset::MARK_BITS;
            self.whole.push((self.rest >> self.bits) as u64 & low(Offset::MARK_BITS));
            self.rest &= (1 << self.bits) - 1;
        }
    }

    /// Ends the last mark.
    fn fill(&mut self) {
        if self.bits > 0 {
            self.push(0, Offset::MARK_BITS - self.bits);
        }
    }

    /// Reads `count` numbers; none if the marks are not just as many as these take.
    fn read(marks: &[u64], width: u32, count: usize) -> Option<Vec<u64>> {
        if marks.len() != (count * width as usize).div_ceil(Offset::MARK_BITS as usize) {
            return None;
        }
        let (mut rest, mut bits, mut numbers) = (0_u128, 0, Vec::with_capacity(count));
        for mark in marks {
            rest = rest << Offset::MARK_BITS | u128::from(*mark);
            bits += Offset::MARK_BITS;
            while bits >= width && numbers.len() < count {
                bits -= width;
                numbers.push((rest >> bits) as u64 & low(width));
                rest &= (1 << bits) - 1;
            }
        }
        (numbers.len() == count).then_some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Millis;
    use crate::kv::entry::Covers;

    fn entries(count: u64) -> Vec<EntryKey> {
        let entry = |n| EntryKey { time: Millis(1_000 + n), id: mix(n), is_snapshot: false, bytes: 10 };
        (0..count).map(entry).collect()
    }

    #[test]
    fn a_place_of_any_length_knows_just_what_was_live() {
        for count in 0..120 {
            let all = entries(130);
            let live = all.get(..count as usize).unwrap();
            let place = place(7, live);
            let text = place.to_string();
            assert!(text.len() <= 250, "{count}: {}", text.len());
            assert_eq!(Offset::parse(&text).as_ref(), Some(&place));
            assert_eq!(place.generation(), 7);
            // Newer ones came since.
            let known = known(&place, &all, &all, &Names::default());
            assert_eq!(known, live.iter().map(|entry| entry.id).collect(), "{count}");
        }
    }

    #[test]
    fn marks_are_as_long_as_there_is_space_for() {
        assert_eq!((width(1, false), width(21, false), width(25, false)), (64, 64, 54));
        assert_eq!((width(SINGLY, false), width(SINGLY_BESIDE, true)), (48, 48));
        let bits = (0..=SINGLY).map(|single| width(single, false) as usize * single).max();
        assert!(bits.unwrap() <= 38 * 36);
    }

    #[test]
    fn entries_with_the_same_mark_are_both_taken_for_unknown() {
        let mut all = entries(SINGLY as u64 + 1);
        all.last_mut().unwrap().id = all.first().unwrap().id ^ 1 << 63;
        let live = all.get(..SINGLY).unwrap();
        let known = known(&place(0, live), &all, &all, &Names::default());
        assert_eq!(known.len(), SINGLY - 1);
        assert!(!known.contains(&all.last().unwrap().id));
    }

    #[test]
    fn a_sum_is_found_again_in_what_was_merged_since() {
        let all = entries(100);
        let before = place(0, &all);
        let ids: Vec<_> = all.iter().map(|entry| entry.id).collect();
        let (first, rest) = ids.split_at(64);
        let snapshot = |id| EntryKey { time: Millis(9_000 + id), id, is_snapshot: true, bytes: 10 };
        let mut names = Names::default();
        names.add(1, &Covers { names: first.to_vec(), layers: Vec::new() });
        let mut live = all.get(64..).unwrap().to_vec();
        live.push(snapshot(1));
        {
            let known = known(&before, &live, &live, &names);
            assert!(ids.iter().all(|id| known.contains(id)));
        }
        names.add(2, &Covers { names: rest.iter().copied().chain([1]).collect(), layers: Vec::new() });
        let live = [snapshot(2)];
        {
            let known = known(&before, &live, &live, &names);
            assert!(ids.iter().all(|id| known.contains(id)));
        }
        // One that came from a clock that is behind is not among them.
        let mut late = vec![EntryKey { time: Millis(5), id: 77, is_snapshot: false, bytes: 1 }];
        late.extend(&all);
        let known = known(&before, &late, &late, &Names::default());
        assert!(!known.contains(&77));
    }

    #[test]
    fn marks_of_others_and_broken_ones_know_nothing() {
        let all = entries(3);
        for marks in
            [vec![0], vec![1], vec![3; 3], vec![1 << 12; 5], vec![u64::MAX; 39], vec![3, 0, 0, 0, 0, 0, 0]]
        {
            let since = Offset::with_marks(1 << 44, marks);
            assert_eq!(known(&since, &all, &all, &Names::default()), Set::new(), "{since}");
        }
    }
}
