//! Places: a reader is told everything once, or twice, and never too little.

use crate::store::*;
use std::collections::BTreeSet;
use yonder_core::kv::KvConfig;
use yonder_core::log::{Loaded, LogOp, Offset};

/// A reader, and what it was told so far.
#[derive(Default)]
struct Reader {
    place: Offset,
    has: BTreeSet<u64>,
    updates: usize,
}

impl Reader {
    /// Reads on; whether there was something.
    fn read(&mut self, store: &Store) -> bool {
        let loaded = load(&store.log(), self.place.clone());
        let news = told(&loaded);
        let end = loaded.tail.end;
        let (before, after) = (self.place.to_string(), end.to_string());
        assert!(after.len() <= 250 && Offset::parse(&after) == Some(end.clone()));
        assert!(
            after >= before
                && (news.is_empty() || after > before || !before.is_empty() && self.has.is_superset(&news))
        );
        (self.place, self.updates) =
            (end, self.updates + loaded.updates.len() + usize::from(loaded.snapshot.is_some()));
        self.has.extend(&news);
        !news.is_empty()
    }
}

#[test]
fn readers_who_come_at_any_time_are_told_what_they_lack_and_no_more() {
    for grace in [0, KvConfig::default().grace] {
        let store = Store::new();
        let config = KvConfig { grace, ..KvConfig::default() };
        let (mut readers, mut all) = (Vec::<Reader>::new(), BTreeSet::new());
        for n in 1..=120 {
            readers.push(Reader::default());
            // Clocks of instances differ, so what comes later may lie before.
            store.data.now.set(START.0 + n * 1_000 - (n % 3) * 200_000 / (1 + n % 2));
            append(&store.log(), n, &[edit(n)]).unwrap();
            all.insert(n);
            if n % 12 == 0 {
                compact(&store.log_with(config.clone()));
            }
            for (index, reader) in readers.iter_mut().enumerate() {
                // Some often, some seldom.
                if (n as usize).is_multiple_of(1 + index % 17) {
                    reader.read(&store);
                    assert_eq!(reader.has, all, "reader {index} after {n}");
                    assert!(!reader.read(&store), "told twice without need");
                }
            }
        }
        for reader in &mut readers {
            reader.read(&store);
            assert_eq!(reader.has, all);
        }
        let often = readers[0].updates;
        if grace > 0 {
            assert_eq!(often, 120, "one by one, whatever was compacted meanwhile");
        }
    }
}

#[test]
fn a_tail_that_is_longer_than_a_place_has_marks_is_told_once_too() {
    let store = Store::new();
    let mut reader = Reader::default();
    for n in 1..=100 {
        store.wait(10);
        append(&store.log(), n, &[edit(n)]).unwrap();
        assert!(reader.read(&store));
        assert!(!reader.read(&store));
    }
    assert_eq!((reader.has.len(), reader.updates), (100, 100));
    // Two compactions, since each reads 64 entries at most.
    for updates in [36, 0] {
        assert_eq!(compact(&store.log()).updates, updates);
    }
    append(&store.log(), 101, &[edit(101)]).unwrap();
    reader.read(&store);
    assert_eq!(reader.has.len(), 101);
}

#[test]
fn entries_that_share_a_mark_are_told_again_and_none_is_missed() {
    let store = Store { random_mask: 1, ..Store::new() };
    let mut reader = Reader::default();
    for n in 1..=10 {
        append(&store.log(), n, &[edit(n)]).unwrap();
        reader.read(&store);
        assert_eq!(reader.has.len() as u64, n);
    }
}

#[test]
fn a_place_of_a_generation_that_was_deleted_knows_nothing_of_the_next() {
    let store = Store::new();
    let log = store.log();
    append(&log, 1, &[edit(1)]).unwrap();
    let mut reader = Reader::default();
    reader.read(&store);
    run(&log, 1, LogOp::Delete).0.unwrap();
    run(&log, 2, LogOp::Create { updates: vec![edit(2)] }).0.unwrap();
    reader.read(&store);
    assert_eq!(reader.has, BTreeSet::from([1, 2]));
    assert_eq!(reader.place.generation(), 1);
}

#[test]
fn readers_with_different_places_that_lack_nothing_end_up_at_one() {
    let store = Store::new();
    for n in 1..=5 {
        store.wait(10);
        append(&store.log(), n, &[edit(n)]).unwrap();
    }
    let mut early = Reader::default();
    early.read(&store);
    store.wait(10);
    compact(&store.log());
    let mut late = Reader::default();
    late.read(&store);
    early.read(&store);
    assert_eq!(early.place, late.place);
}

/// Compactions in between that tell nothing new do not make a place forget what it has.
#[test]
fn a_reader_that_comes_back_after_many_compactions_is_told_only_what_it_lacks() {
    let store = Store::new();
    let log = store.log();
    append(&log, 1, &[large(1, 100_000)]).unwrap();
    compact(&log);
    let mut reader = Reader::default();
    reader.read(&store);
    for n in 2..=9 {
        store.wait(1_000);
        append(&log, n, &[edit(n)]).unwrap();
        compact(&log);
    }
    let loaded = load(&store.log(), reader.place.clone());
    assert_eq!((told(&loaded), loaded.snapshot), ((2..=9).collect(), None));
    // Once what was covered is deleted there is only the snapshot.
    for _ in 0..2 {
        store.wait(KvConfig::default().grace + 1);
        compact(&log);
    }
    let loaded = load(&store.log(), reader.place.clone());
    assert_eq!((told(&loaded), loaded.snapshot.is_some()), ((1..=9).collect(), true));
}

#[test]
fn the_place_of_an_append_has_only_what_was_told_before_and_the_append_itself() {
    let store = Store::new();
    let (one, two) = (store.log(), store.log());
    append(&one, 1, &[edit(1)]).unwrap();
    load(&one, Offset::START);
    append(&two, 1, &[edit(2)]).unwrap();
    // It lists, and so hears of the other's, but nobody was told of that.
    store.wait(KvConfig::default().trust);
    let tail = append(&one, 2, &[edit(3)]).unwrap();
    assert_eq!(tail.updates, 3);
    assert_eq!(told(&load(&one, tail.end)), BTreeSet::from([2]));
    // Nothing was told by this one at all.
    let end = append(&store.log(), 1, &[edit(4)]).unwrap().end;
    assert_eq!(told(&load(&one, end)), BTreeSet::from([1, 2, 3]));
    let end = load(&one, Offset::END).tail.end;
    assert_eq!(told(&load(&two, end)), BTreeSet::new());
}

#[test]
fn an_object_goes_on_to_tell_what_it_wrote_or_listed_where_a_list_is_late() {
    let store = Store::new();
    let log = store.log();
    append(&log, 1, &[edit(1)]).unwrap();
    let before = load(&log, Offset::START).tail.end;
    append(&store.log(), 1, &[edit(2)]).unwrap();
    append(&log, 2, &[edit(3)]).unwrap();
    let end = load(&log, Offset::START).tail.end;
    store.unlisted.borrow_mut().extend(store.keys());
    assert_eq!(document(&log), BTreeSet::from([1, 2, 3]));
    let loaded = load(&log, before);
    assert_eq!((told(&loaded), &loaded.tail.end), (BTreeSet::from([2, 3]), &end));
    assert_eq!(load(&log, end.clone()).tail.end, end);
    // Unless it is gone by now.
    store.data.values.borrow_mut().clear();
    assert_eq!(document(&log), BTreeSet::new());
    assert_eq!(document(&store.log()), BTreeSet::new());
}

#[test]
fn who_is_behind_a_deletion_is_told_nothing_of_before_by_a_list_that_is_late() {
    let store = Store::new();
    let log = store.log();
    append(&log, 1, &[edit(1)]).unwrap();
    let before = store.data.values.borrow().clone();
    run(&log, 1, LogOp::Delete).0.unwrap();
    let since = load(&log, Offset::START).tail.end;
    let late = Store::new();
    *late.data.values.borrow_mut() = before;
    let loaded = load(&late.log(), since.clone());
    assert_eq!((told(&loaded), loaded.tail.end), (BTreeSet::new(), since));
}

#[test]
fn of_two_snapshots_the_one_that_readers_are_sent_to_is_given_and_the_rest_behind_it() {
    let store = Store::new();
    let one = store.log();
    append(&one, 1, &[edit(1)]).unwrap();
    append(&one, 2, &[edit(2)]).unwrap();
    compact(&one);
    // Another instance does not see these yet, and makes a snapshot beside.
    store.unlisted.borrow_mut().extend(store.keys());
    store.wait(1_000);
    let two = store.log();
    append(&two, 3, &[edit(3)]).unwrap();
    append(&two, 4, &[edit(4)]).unwrap();
    compact(&two);
    store.unlisted.borrow_mut().clear();
    let all = load(&store.log(), Offset::START);
    assert_eq!(told(&all), [1, 2, 3, 4].into());
    // Who reads the snapshot goes on from its place.
    let snapshot = Loaded { updates: Vec::new(), ..all.clone() };
    let rest = load(&store.log(), all.tail.snapshot);
    assert_eq!(&told(&snapshot) | &told(&rest), [1, 2, 3, 4].into());
}
