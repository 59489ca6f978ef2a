//! Maps beside those of the standard library.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Insert(u8),
    Add(u8),
    Remove(u8),
    PopFirst,
    PopLast,
    Retain(u8),
    Extract(u8),
    Range(Bound<u8>, Bound<u8>),
}

fn steps() -> impl Strategy<Value = Step> {
    let bound = || {
        prop_oneof![
            any::<u8>().prop_map(Bound::Included),
            any::<u8>().prop_map(Bound::Excluded),
            Just(Bound::Unbounded)
        ]
    };
    prop_oneof![
        12 => any::<u8>().prop_map(Step::Insert),
        4 => any::<u8>().prop_map(Step::Add),
        8 => any::<u8>().prop_map(Step::Remove),
        2 => Just(Step::PopFirst),
        2 => Just(Step::PopLast),
        1 => (2..8_u8).prop_map(Step::Retain),
        1 => (2..8_u8).prop_map(Step::Extract),
        4 => (bound(), bound()).prop_map(|(from, to)| Step::Range(from, to)),
    ]
}

/// Nine of them fill a list.
type Large = [u64; 120];

/// Whether the standard library takes the range: it panics at one that is upside down.
fn is_range(from: Bound<u8>, to: Bound<u8>) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from < to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from <= to
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn it_does_what_the_standard_map_does(steps in prop::collection::vec(steps(), 0..400)) {
        let (mut map, mut model) = (Map::<u8, Large>::new(), BTreeMap::new());
        for (index, step) in steps.into_iter().enumerate() {
            let value = [index as u64; 120];
            match step {
                Step::Insert(key) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                Step::Add(key) => {
                    let made = map.get_or_insert_with(key, || value);
                    prop_assert_eq!(&*made, model.entry(key).or_insert(value));
                }
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                Step::PopFirst => prop_assert_eq!(map.pop_first(), model.pop_first()),
                Step::PopLast => prop_assert_eq!(map.pop_last(), model.pop_last()),
                Step::Retain(by) => {
                    map.retain(|key, _| key % by == 0);
                    model.retain(|key, _| key % by == 0);
                }
                Step::Extract(by) => {
                    let gone: Vec<_> = model.extract_if(.., |key, _| key % by == 0).collect();
                    prop_assert_eq!(map.extract_if(|key, _| key % by == 0), gone);
                }
                Step::Range(from, to) if is_range(from, to) => {
                    prop_assert!(map.range((from, to)).eq(model.range((from, to))));
                    prop_assert!(map.range((from, to)).rev().eq(model.range((from, to)).rev()));
                }
                Step::Range(from, to) => prop_assert_eq!(map.range((from, to)).count(), 0),
            }
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.iter().rev().eq(model.iter().rev()));
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.first_key_value(), model.first_key_value());
            prop_assert_eq!(map.last_key_value(), model.last_key_value());
            prop_assert!((0..=255).all(|key| map.get(&key) == model.get(&key)));
            let full = |chunk: &Vec<_>| chunk.len() > Map::<u8, Large>::CHUNK;
            prop_assert!(!map.chunks.iter().any(full));
            prop_assert!(map.chunks.len() <= 1 || !map.chunks.iter().any(Vec::is_empty));
        }
    }
}

#[test]
fn keys_that_grow_fill_the_lists_and_those_that_go_leave_few() {
    let mut set: Set<u64> = (0..100_000).collect();
    assert_eq!(set.0.chunks.len(), 100_000_usize.div_ceil(Map::<u64, ()>::CHUNK));
    for number in (0..100_000).filter(|number| number % 100 > 0) {
        assert!(set.remove(&number));
    }
    assert_eq!((set.len(), set.iter().count()), (1_000, 1_000));
    assert!(set.0.chunks.len() < 5, "{}", set.0.chunks.len());
}
