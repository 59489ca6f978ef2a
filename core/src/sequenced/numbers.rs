//! Sets of numbers, most of which stand beside each other.

/// Numbers in ascending order, as runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// First and last of each; between two there is at least one that is not here.
    runs: Vec<(u64, u64)>,
}

/// Bits of a number.
pub(super) const NUMBER_BITS: u32 = 36;
/// The largest number.
pub(super) const NUMBER_MAX: u64 = (1 << NUMBER_BITS) - 1;
/// The longest run that is written as one.
const RUN_MAX: u64 = 1 << (64 - NUMBER_BITS);

impl Numbers {
    /// Adds `first..=last`; nothing if that is empty. They lie behind all that are here, or are the last of these.
    pub(super) fn push_run(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        match self.runs.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            Some(_) | None => self.runs.push((first, last)),
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let behind = self.runs.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|index| self.runs.get(index)).is_some_and(|(_, last)| number <= *last)
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.runs.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn runs(&self) -> &[(u64, u64)] {
        &self.runs
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first().map(|(first, _)| *first)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.runs.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Of each run the first number, and above that how many follow it.
    pub(super) fn encode(&self) -> Vec<u64> {
        let mut names = Vec::with_capacity(self.runs.len());
        for (first, last) in &self.runs {
            for start in (*first..=*last).step_by(RUN_MAX as usize) {
                names.push(start | (last - start).min(RUN_MAX - 1) << NUMBER_BITS);
            }
        }
        names
    }

    /// Reads what [`Numbers::encode`] wrote; none if it is not ascending.
    pub(super) fn decode(names: &[u64]) -> Option<Self> {
        let mut numbers = Self::default();
        for name in names {
            let first = name & NUMBER_MAX;
            if numbers.runs.last().is_some_and(|(_, last)| *last >= first) {
                return None;
            }
            numbers.push_run(first, first + (name >> NUMBER_BITS));
        }
        Some(numbers)
    }
}

/// From numbers in ascending order.
impl FromIterator<u64> for Numbers {
    fn from_iter<I: IntoIterator<Item = u64>>(ascending: I) -> Self {
        let mut numbers = Self::default();
        ascending.into_iter().for_each(|number| numbers.push_run(number, number));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_runs_and_read_again() {
        let numbers: Numbers = [1, 2, 3, 7, 9, 10, NUMBER_MAX].into_iter().collect();
        assert_eq!(numbers.runs(), [(1, 3), (7, 7), (9, 10), (NUMBER_MAX, NUMBER_MAX)]);
        assert_eq!(Numbers::decode(&numbers.encode()), Some(numbers.clone()));
        assert_eq!((numbers.count(), numbers.first()), (7, Some(1)));
        assert!(numbers.contains(2) && numbers.contains(7) && !numbers.contains(8) && !numbers.contains(0));
        let mut long = Numbers::default();
        long.push_run(5, 5 + 3 * RUN_MAX);
        assert_eq!((long.encode().len(), Numbers::decode(&long.encode())), (4, Some(long)));
        assert_eq!(Numbers::decode(&[7, 7]), None);
    }
}
