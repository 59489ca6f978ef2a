//! Appends, loads, and what one writer has to do with another.

use super::*;

#[test]
fn updates_come_back_in_order_and_survive_a_restart() {
    let open = Open::new("order");
    let updates = [insert(1, "a"), insert(2, "b")];
    let tail = uncompacted(2, &updates);
    assert_eq!(open.append("doc", &updates), tail);
    let open = open.restart();
    let all = Loaded { snapshot: None, updates: placed(1, &updates), tail };
    assert_eq!(open.all("doc"), all);
    assert_eq!(open.all("other"), Loaded::default());
    assert_eq!(open.append("doc", &[insert(3, "c")]).end, Offset::new(3));
}

#[test]
fn a_load_brings_what_is_behind_a_place() {
    let open = Open::new("since");
    let updates = [insert(1, "a"), insert(2, "b"), insert(3, "c"), insert(4, "d")];
    open.append("doc", &updates);
    let tail = open.compact("doc", 2);
    let snapshot = Some(merged(&updates[..2]));
    let open = open.restart();
    for (since, snapshot, updates) in [
        (Offset::START, snapshot.clone(), placed(3, &updates[2..])),
        // Of the two updates that the snapshot covers, the first is known already. That does no harm.
        (Offset::new(1), snapshot, placed(3, &updates[2..])),
        (Offset::new(2), None, placed(3, &updates[2..])),
        (Offset::new(3), None, placed(4, &updates[3..])),
        (Offset::new(4), None, vec![]),
        (Offset::new(5), None, vec![]),
        (Offset::new(u64::MAX - 1), None, vec![]),
        (Offset::END, None, vec![]),
    ] {
        let expected = Loaded { snapshot, updates, tail: tail.clone() };
        assert_eq!(open.load("doc", &since), expected, "{since}");
    }
    for since in [Offset::new(7), Offset::END] {
        assert_eq!(open.load("other", &since), Loaded::default(), "{since}");
    }
}

#[test]
fn an_append_of_nothing_makes_a_document() {
    let open = Open::new("nothing");
    assert_eq!(open.append("doc", &[]), uncompacted(0, &[]));
    let open = open.restart();
    assert_eq!(open.all("doc").tail.life, Life::Live);
}

/// A batch for the writer, and the queue that its answers come into.
fn batch(changes: Vec<(&str, Change)>) -> (Vec<Write>, mpsc::Receiver<Result<LogReply, LogError>>) {
    let (sender, receiver) = mpsc::channel();
    let writes = changes.into_iter().map(|(name, change)| {
        let sender = sender.clone();
        let answer: Answer = Box::new(move |reply| sender.send(reply).unwrap());
        Write::Document { name: name.into(), change, answer }
    });
    (writes.collect(), receiver)
}

fn appending(update: &Bytes) -> Change {
    Change::Append { updates: vec![update.clone()] }
}

#[test]
fn a_deleted_document_does_not_fail_the_others_of_its_batch() {
    let dir = Dir::new("batch");
    let mut db = schema::writer(&dir.file()).unwrap();
    let update = insert(1, "a");
    let (before, _) = batch(vec![("gone", appending(&update)), ("gone", Change::Delete)]);
    write::transact(&mut db, &before).unwrap();
    let (writes, _) = batch(vec![
        ("first", appending(&update)),
        ("gone", appending(&update)),
        ("second", appending(&update)),
        ("first", Change::Delete),
        ("first", appending(&update)),
    ]);
    let appended = Ok(LogReply::Appended(uncompacted(1, std::slice::from_ref(&update))));
    let deleted = Ok(LogReply::Deleted { existed: true, tail: tombstone(1) });
    let refused = Err(LogError::Deleted);
    // All in one transaction.
    assert_eq!(
        write::transact(&mut db, &writes),
        Ok(vec![appended.clone(), refused.clone(), appended, deleted, refused])
    );
    drop(db);
    let open = Open::within(dir);
    assert_eq!(open.all("gone"), Loaded { tail: tombstone(1), ..Loaded::default() });
    assert_eq!(open.all("first"), Loaded { tail: tombstone(1), ..Loaded::default() });
    assert_eq!(open.all("second").updates, placed(1, &[update]));
}

#[test]
fn a_write_that_sqlite_refuses_does_not_fail_the_others_of_its_batch() {
    let dir = Dir::new("refused");
    let mut db = schema::writer(&dir.file()).unwrap();
    db.execute_batch(
        "CREATE TEMP TRIGGER refusal BEFORE INSERT ON log_entry WHEN length(NEW.body) > 11
         BEGIN SELECT RAISE(ABORT, 'too long for this test'); END",
    )
    .unwrap();
    let (short, long) = (insert(1, "a"), insert(2, "longer"));
    let (writes, replies) = batch(vec![
        ("first", appending(&short)),
        ("second", Change::Append { updates: vec![short.clone(), long] }),
        ("second", appending(&short)),
    ]);
    write::commit(&mut db, writes);
    let appended = Ok(LogReply::Appended(uncompacted(1, std::slice::from_ref(&short))));
    let expected = [appended.clone(), Err(LogError::Unavailable), appended];
    assert_eq!(replies.iter().collect::<Vec<_>>(), expected);
    drop(db);
    let open = Open::within(dir);
    for doc in ["first", "second"] {
        assert_eq!(open.all(doc).updates, placed(1, std::slice::from_ref(&short)));
    }
}

#[test]
fn a_directory_has_one_process_at_a_time() {
    let open = Open::new("lock");
    assert!(matches!(Store::open(&open.dir.0), Err(OpenError::InUse)));
}
