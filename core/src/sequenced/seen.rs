//! What a reader has of a document, and its text.

use super::numbers::{NUMBER_BITS, NUMBER_MAX, Numbers};
use crate::log::Offset;

/// Generations that there can be.
pub(super) const GENERATION_MAX: u64 = (1 << 20) - 1;
/// Bits of an offset's number that count holes, so that it grows when they become fewer.
const HOLE_BITS: u32 = 8;
const HOLES_MAX: u64 = (1 << HOLE_BITS) - 1;

/// Everything up to a number, but for the holes.
///
/// ```text
/// offset  generation (20 bits), number (36), 255 - holes (8); marks
/// marks   number - hole, of each hole, the last one first
///         2^36 - 1 - holes, number - first hole         for more than 39 holes: all behind the first is told again
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) generation: u64,
    pub(super) number: u64,
    /// Numbers up to `number` that it lacks, or may lack.
    pub(super) holes: Numbers,
    /// How many of `holes` it really lacks, if these are not known one by one.
    pub(super) vague: Option<u64>,
}

impl Seen {
    /// Nothing of a generation.
    pub(super) fn nothing(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(super) fn new(generation: u64, number: u64, holes: Numbers) -> Self {
        Self { generation, number, holes, vague: None }
    }

    pub(super) fn lacks(&self, number: u64) -> bool {
        number > self.number || self.holes.contains(number)
    }

    /// Everything up to this number is there.
    pub(super) fn solid(&self) -> u64 {
        self.holes.first().map_or(self.number, |first| first.saturating_sub(1))
    }

    /// How many numbers are lacking that are not behind the last.
    pub(super) fn lacking(&self) -> u64 {
        self.vague.unwrap_or_else(|| self.holes.count())
    }

    pub(super) fn offset(&self) -> Offset {
        let holes = self.lacking();
        if (self.generation, self.number, holes) == (0, 0, 0) {
            return Offset::START;
        }
        let number = self.generation << (NUMBER_BITS + HOLE_BITS)
            | self.number << HOLE_BITS
            | (HOLES_MAX - holes.min(HOLES_MAX));
        let distance = |hole: u64| self.number - hole;
        if holes > Offset::MARKS_MAX as u64 {
            let first = self.holes.first().map(distance);
            return Offset::with_marks(number, [NUMBER_MAX.saturating_sub(holes)].into_iter().chain(first));
        }
        Offset::with_marks(number, self.holes.iter().rev().map(distance))
    }

    /// Reads an offset. Of one that [`Seen::offset`] does not make it is nothing of its generation.
    pub(super) fn parse(offset: &Offset) -> Self {
        let generation = offset.number() >> (NUMBER_BITS + HOLE_BITS);
        let number = offset.number() >> HOLE_BITS & NUMBER_MAX;
        let counted = HOLES_MAX - (offset.number() & HOLES_MAX);
        Self::read(generation, number, counted, offset.marks()).unwrap_or(Self::nothing(generation))
    }

    fn read(generation: u64, number: u64, counted: u64, marks: &[u64]) -> Option<Self> {
        let hole = |mark: &u64| number.checked_sub(*mark).filter(|hole| *hole > 0);
        if counted <= Offset::MARKS_MAX as u64 {
            let holes = marks.iter().rev().map(hole).collect::<Option<Vec<_>>>()?;
            let fits = holes.len() as u64 == counted && holes.is_sorted_by(|a, b| a < b);
            return fits.then(|| Self::new(generation, number, holes.into_iter().collect()));
        }
        let [holes, first] = marks else { return None };
        let mut range = Numbers::default();
        range.push_run(hole(first)?, number);
        Some(Self { generation, number, holes: range, vague: Some(NUMBER_MAX - holes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_and_read_again() {
        for (generation, number, holes) in [
            (0, 0, vec![]),
            (0, 1, vec![1]),
            (1, 0, vec![]),
            (3, 90, vec![4, 5, 90]),
            (GENERATION_MAX, NUMBER_MAX - 1, (1..=39).collect()),
        ] {
            let seen = Seen::new(generation, number, holes.into_iter().collect());
            assert_eq!(Seen::parse(&seen.offset()), seen);
            assert!(seen.offset().to_string().len() <= 250);
        }
        assert_eq!(Seen::parse(&Offset::START), Seen::nothing(0));
        let many = Seen::new(2, 100, (30..80).collect());
        let read = Seen::parse(&many.offset());
        assert_eq!((read.solid(), read.number, read.lacking()), (29, 100, 50));
        assert!(read.lacks(99) && read.lacks(30) && !read.lacks(29));
    }

    #[test]
    fn offsets_grow_with_what_is_known() {
        let of = |generation, number, holes: core::ops::Range<u64>| {
            Seen::new(generation, number, holes.collect()).offset().to_string()
        };
        let growing = [
            Offset::START.to_string(),
            of(0, 500, 1..400),
            of(0, 500, 1..399),
            of(0, 500, 1..200),
            of(0, 500, 1..30),
            of(0, 500, 2..30),
            of(0, 500, 0..0),
            of(0, 501, 1..400),
            of(1, 0, 0..0),
            of(1, 1, 1..2),
            of(1, 1, 0..0),
        ];
        assert!(growing.is_sorted_by(|a, b| a < b), "{growing:?}");
    }
}
