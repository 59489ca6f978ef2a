//! Compaction, and what may come between its two halves.

use super::*;

#[test]
fn a_snapshot_takes_the_place_of_what_it_covers_and_of_nothing_else() {
    let open = Open::new("compact");
    let updates = [insert(1, "a"), insert(2, "b"), insert(3, "c")];
    open.append("doc", &updates);
    open.append("other", &[insert(1, "x")]);
    let snapshot = merged(&updates[..2]);
    let tail = Tail {
        snapshot: Offset::new(2),
        snapshot_bytes: snapshot.len() as u64,
        ..uncompacted(3, &updates[2..])
    };
    assert_eq!(open.compact("doc", 2), tail);
    let open = open.restart();
    let all = Loaded { snapshot: Some(snapshot), updates: placed(3, &updates[2..]), tail };
    assert_eq!(open.all("doc"), all);
    assert_eq!(open.all("other").updates.len(), 1);
    // Numbers go on where they were.
    let tail = open.append("doc", &[insert(4, "d")]);
    assert_eq!((tail.end, tail.updates), (Offset::new(4), 2));
    // The next snapshot covers this one.
    let tail = open.compact("doc", 4);
    assert_eq!((tail.snapshot, tail.updates, tail.bytes), (Offset::new(4), 0, 0));
    let all = [&updates[..], &[insert(4, "d")]].concat();
    assert_eq!(open.all("doc").snapshot, Some(merged(&all)));
}

#[test]
fn a_compaction_beyond_the_end_covers_what_there_is() {
    let open = Open::new("beyond");
    let updates = [insert(1, "a"), insert(2, "b")];
    open.append("doc", &updates);
    let tail = open.compact("doc", Offset::END.number());
    assert_eq!((tail.snapshot, tail.end, tail.updates), (Offset::new(2), Offset::new(2), 0));
    assert_eq!(open.append("doc", &[insert(3, "c")]).end, Offset::new(3));
    let open = open.restart();
    assert_eq!(open.all("doc").updates, placed(3, &[insert(3, "c")]));
}

#[test]
fn a_compaction_of_nothing_writes_nothing() {
    let open = Open::new("idle");
    assert_eq!(open.compact("never", 5), Tail::default());
    assert_eq!(open.all("never").tail.life, Life::Absent);
    open.create("empty", &[]);
    assert_eq!(open.compact("empty", 5), uncompacted(0, &[]));
    open.append("doc", &[insert(1, "a"), insert(2, "b")]);
    let tail = open.compact("doc", 1);
    assert_eq!(open.compact("doc", 1), tail);
    open.delete("doc");
    assert_eq!(open.compact("doc", 2), tombstone(2));
    let open = open.restart();
    assert_eq!(open.all("doc"), Loaded { tail: tombstone(2), ..Loaded::default() });
}

/// The reading half of a compaction, whose writing half comes when it is called.
fn begin(open: &Open, doc: &str, upto: u64) -> impl FnOnce() -> LogReply {
    let reader = schema::reader(&open.dir.file()).unwrap();
    let change = read::merge(&reader, doc, &Offset::new(upto)).unwrap();
    let (store, name) = (open.store.clone(), doc.into());
    move || {
        let (sender, receiver) = mpsc::channel();
        let answer: Answer = Box::new(move |reply| sender.send(reply).unwrap());
        store.write(Write::Document { name, change, answer });
        receiver.recv().unwrap().unwrap()
    }
}

#[test]
fn what_comes_between_the_halves_of_a_compaction_stays() {
    let new = || vec![insert(7, "new"), insert(8, "newer"), insert(9, "newest")];
    let append = || LogOp::Append { updates: new() };
    let create = || LogOp::Create { updates: new() };
    let empty = || LogOp::Create { updates: vec![] };
    let compact = |upto| LogOp::Compact { upto: Offset::new(upto) };
    let cases = [
        vec![LogOp::Delete],
        vec![LogOp::Delete, empty()],
        vec![LogOp::Delete, create()],
        vec![LogOp::Delete, empty(), append()],
        vec![LogOp::Delete, create(), compact(100)],
        vec![LogOp::Delete, create(), LogOp::Delete],
        vec![LogOp::Delete, create(), LogOp::Delete, create(), append()],
        // Another compaction that covers as much, or more.
        vec![compact(3)],
        vec![append(), compact(5)],
    ];
    for compacted_before in [false, true] {
        for (index, between) in cases.iter().enumerate() {
            let open = Open::new("between");
            open.append("doc", &[insert(1, "a"), insert(2, "b"), insert(3, "c")]);
            if compacted_before {
                open.compact("doc", 1);
            }
            let finish = begin(&open, "doc", 3);
            for request in between {
                open.ask("doc", request.clone());
            }
            let before = open.all("doc");
            assert_eq!(finish(), LogReply::Compacted(before.tail.clone()), "case {index}");
            assert_eq!(open.all("doc"), before, "case {index}");
            let open = open.restart();
            assert_eq!(open.all("doc"), before, "case {index}");
        }
    }
}

#[test]
fn a_compaction_that_covers_less_is_covered_by_the_one_that_comes_late() {
    let open = Open::new("overlap");
    let updates = [insert(1, "a"), insert(2, "b"), insert(3, "c"), insert(4, "d")];
    open.append("doc", &updates[..3]);
    let finish = begin(&open, "doc", 3);
    open.compact("doc", 2);
    open.append("doc", &updates[3..]);
    finish();
    let loaded = open.all("doc");
    assert_eq!(loaded.snapshot, Some(merged(&updates[..3])));
    assert_eq!(loaded.updates, placed(4, &updates[3..]));
    assert_eq!(loaded.tail.snapshot, Offset::new(3));
}

#[test]
fn compactions_beside_deletes_neither_bring_back_nor_take_away() {
    let open = Open::new("beside");
    let stop = Arc::new(AtomicBool::new(false));
    let compactor = std::thread::spawn({
        let (store, stop) = (open.store.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let (sender, receiver) = mpsc::channel();
                let answer: Answer = Box::new(move |reply| sender.send(reply).unwrap());
                store.submit(&"doc".into(), LogOp::Compact { upto: Offset::END }, answer);
                receiver.recv().unwrap().unwrap();
            }
        }
    });
    let mut end = 0;
    for generation in 1..=40 {
        let mut updates = vec![insert(generation, "created")];
        assert_eq!(open.create("doc", &updates).1.end, Offset::new(end + 1));
        for client in 100..103 {
            updates.push(insert(client, &format!("of {generation}")));
            open.append("doc", &updates[updates.len() - 1..]);
        }
        end += updates.len() as u64;
        let loaded = open.all("doc");
        let parts: Vec<_> =
            loaded.snapshot.into_iter().chain(loaded.updates.into_iter().map(|(_, update)| update)).collect();
        assert_eq!(merged(&parts), merged(&updates), "generation {generation}");
        assert_eq!(open.delete("doc"), (true, tombstone(end)));
        assert_eq!(open.all("doc"), Loaded { tail: tombstone(end), ..Loaded::default() });
    }
    stop.store(true, Ordering::Relaxed);
    compactor.join().unwrap();
    let open = open.restart();
    assert_eq!(open.all("doc"), Loaded { tail: tombstone(end), ..Loaded::default() });
}
