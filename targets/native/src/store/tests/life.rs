//! Documents that are made, deleted, and made again.

use super::*;

#[test]
fn creating_makes_a_document_once() {
    let open = Open::new("create");
    let updates = [insert(1, "a")];
    let tail = uncompacted(1, &updates);
    assert_eq!(open.create("doc", &updates), (false, tail.clone()));
    assert_eq!(open.create("doc", &[insert(2, "b")]), (true, tail.clone()));
    assert_eq!(open.create("empty", &[]), (false, uncompacted(0, &[])));
    let open = open.restart();
    let loaded = Loaded { snapshot: None, updates: placed(1, &updates), tail: tail.clone() };
    assert_eq!(open.all("doc"), loaded);
    assert_eq!(open.create("empty", &[]), (true, uncompacted(0, &[])));
    // An append makes one as well.
    open.append("appended", &updates);
    assert_eq!(open.create("appended", &[]), (true, tail));
}

#[test]
fn a_deleted_document_is_gone_but_not_forgotten() {
    let open = Open::new("delete");
    open.append("doc", &[insert(1, "a"), insert(2, "b"), insert(3, "c")]);
    open.append("other", &[insert(4, "d")]);
    open.compact("doc", 2);
    assert_eq!(open.delete("doc"), (true, tombstone(3)));
    let open = open.restart();
    for since in [Offset::START, Offset::new(1), Offset::END] {
        assert_eq!(open.load("doc", &since), Loaded { tail: tombstone(3), ..Loaded::default() });
    }
    assert_eq!(open.delete("doc"), (false, tombstone(3)));
    assert_eq!(open.delete("never"), (false, Tail::default()));
    assert_eq!(open.all("never").tail.life, Life::Absent);
    assert_eq!(open.all("other").updates.len(), 1);
    // Nothing of it is left in the file.
    let db = schema::reader(&open.dir.file()).unwrap();
    let rows = "SELECT (SELECT count(*) FROM log_entry), (SELECT count(*) FROM snapshot)";
    assert_eq!(db.query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?))), Ok((1, 0)));
}

#[test]
fn late_updates_do_not_bring_a_deleted_document_back() {
    let open = Open::new("late");
    open.append("doc", &[insert(1, "a")]);
    open.delete("doc");
    let late = LogOp::Append { updates: vec![insert(2, "b")] };
    assert_eq!(open.try_ask("doc", late.clone()), Err(LogError::Deleted));
    let open = open.restart();
    assert_eq!(open.try_ask("doc", late), Err(LogError::Deleted));
    assert_eq!(open.all("doc"), Loaded { tail: tombstone(1), ..Loaded::default() });
}

#[test]
fn a_document_that_is_made_again_begins_behind_its_old_end() {
    let open = Open::new("anew");
    open.append("doc", &[insert(1, "a"), insert(2, "b"), insert(3, "c")]);
    open.compact("doc", 2);
    open.delete("doc");
    let (first, second) = (insert(4, "d"), insert(5, "e"));
    assert_eq!(
        open.create("doc", std::slice::from_ref(&first)),
        (false, uncompacted(4, std::slice::from_ref(&first)))
    );
    let open = open.restart();
    let updates = [first, second];
    assert_eq!(open.append("doc", &updates[1..]), uncompacted(5, &updates));
    // Whatever place of the old document a reader had, it gets all of the new one.
    for since in 0..=3 {
        let loaded = open.load("doc", &Offset::new(since));
        assert_eq!((loaded.snapshot, loaded.updates), (None, placed(4, &updates)), "{since}");
    }
    // And the same once it is compacted, and once more deleted.
    let tail = open.compact("doc", 5);
    assert_eq!((tail.snapshot, tail.updates, tail.end), (Offset::new(5), 0, Offset::new(5)));
    assert_eq!(open.load("doc", &Offset::new(3)).snapshot, Some(merged(&updates)));
    assert_eq!(open.delete("doc"), (true, tombstone(5)));
    assert_eq!(open.create("doc", &[]), (false, uncompacted(5, &[])));
    let open = open.restart();
    assert_eq!(open.append("doc", &[insert(6, "f")]).end, Offset::new(6));
}
