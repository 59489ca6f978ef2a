//! Data directories of older yonders.

use super::*;
use rusqlite::{Connection, params};

/// The tables as yonder 0.1.0 makes them, word for word.
const TABLES_1: &str = "
    CREATE TABLE document (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,          -- DocName::to_key
        end_number INTEGER NOT NULL,       -- the last update's number, counted from 1
        updates INTEGER NOT NULL,          -- updates behind the snapshot
        bytes INTEGER NOT NULL,            -- their bytes
        snapshot_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE log_entry (
        document INTEGER NOT NULL,
        number INTEGER NOT NULL,
        body BLOB NOT NULL,                -- a Yjs update (V1) as its client sent it
        PRIMARY KEY (document, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshot (
        document INTEGER PRIMARY KEY,
        upto INTEGER NOT NULL,             -- the last update that it covers
        body BLOB NOT NULL                 -- one Yjs update (V1)
    ) STRICT;
";

/// A file as yonder 0.1.0 leaves it. Its documents are keys, the updates that a snapshot covers, and those that none
/// does.
fn version_1(dir: &Dir, documents: &[(&str, &[Bytes], &[Bytes])]) -> Connection {
    let db = Connection::open(dir.file()).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    db.execute_batch(TABLES_1).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    for (id, (key, covered, updates)) in (1_usize..).zip(documents) {
        let mut snapshot_bytes = 0;
        if !covered.is_empty() {
            let snapshot = merged(covered);
            snapshot_bytes = snapshot.len();
            db.execute("INSERT INTO snapshot VALUES (?1, ?2, ?3)", params![id, covered.len(), &*snapshot])
                .unwrap();
        }
        for (number, update) in (covered.len() + 1..).zip(*updates) {
            db.execute("INSERT INTO log_entry VALUES (?1, ?2, ?3)", params![id, number, &**update]).unwrap();
        }
        let bytes: usize = updates.iter().map(Bytes::len).sum();
        let end = covered.len() + updates.len();
        db.execute(
            "INSERT INTO document VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, key, end, updates.len(), bytes, snapshot_bytes],
        )
        .unwrap();
    }
    db
}

#[test]
fn a_file_of_the_first_version_keeps_everything() {
    let dir = Dir::new("migration");
    let updates = [insert(1, "a"), insert(2, "b"), insert(3, "c")];
    let names = ["notes", "team/plan", "Über/Grün"].map(|name| DocName::new(name).unwrap());
    let [plain, compacted, both] = names.each_ref().map(DocName::to_key);
    drop(version_1(
        &dir,
        &[(&plain, &[], &updates), (&compacted, &updates, &[]), (&both, &updates[..2], &updates[2..])],
    ));
    let expected = [
        (None, placed(1, &updates), 0),
        (Some(merged(&updates)), vec![], 3),
        (Some(merged(&updates[..2])), placed(3, &updates[2..]), 2),
    ];
    let mut open = Open::within(dir);
    for _ in 0..2 {
        for (doc, (snapshot, updates, upto)) in names.iter().zip(expected.clone()) {
            let tail = Tail {
                life: Life::Live,
                end: Offset::new(3),
                snapshot: Offset::new(upto),
                updates: updates.len() as u64,
                bytes: updates.iter().map(|(_, update)| update.len() as u64).sum(),
                snapshot_bytes: snapshot.as_ref().map_or(0, |snapshot| snapshot.len() as u64),
            };
            assert_eq!(open.all(&name(doc)), Loaded { snapshot, updates, tail }, "{doc}");
        }
        open = open.restart();
    }
    let request = CatalogOp::List { prefix: String::new(), after: String::new(), limit: 10 };
    let listed: Vec<_> = open.catalog(request).unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(listed, ["notes", "team/plan", "Über/Grün"]);
    // And they are documents like any other.
    for doc in &names {
        let doc = name(doc);
        assert_eq!(open.append(&doc, &[insert(4, "d")]).end, Offset::new(4));
        assert_eq!(open.load(&doc, &Offset::new(3)).updates, placed(4, &[insert(4, "d")]));
        assert_eq!(open.compact(&doc, 4).updates, 0);
        let all = [&updates[..], &[insert(4, "d")]].concat();
        assert_eq!(open.all(&doc).snapshot, Some(merged(&all)));
        assert_eq!(open.delete(&doc), (true, tombstone(4)));
    }
    assert_eq!(open.append("new", &updates), uncompacted(3, &updates));
}

#[test]
fn tables_are_the_same_whichever_version_made_the_file() {
    let tables = |dir: &Dir| -> Vec<(String, Option<String>)> {
        schema::writer(&dir.file())
            .unwrap()
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    };
    let (old, new) = (Dir::new("tables-old"), Dir::new("tables-new"));
    drop(version_1(&old, &[("doc", &[], &[insert(1, "a")])]));
    assert_eq!(tables(&old), tables(&new));
}

#[test]
fn a_file_that_cannot_be_brought_up_to_date_stays_as_it_was() {
    let dir = Dir::new("unreadable");
    drop(version_1(&dir, &[("doc", &[], &[insert(1, "a")]), ("No Key", &[], &[])]));
    assert!(matches!(Store::open(&dir.0), Err(OpenError::Key(key)) if key == "No Key"));
    let db = Connection::open(dir.file()).unwrap();
    assert_eq!(db.query_row("PRAGMA user_version", [], |row| row.get(0)), Ok(1));
    assert_eq!(db.query_row("SELECT count(key) FROM document", [], |row| row.get(0)), Ok(2));
    assert_eq!(db.query_row("SELECT count(*) FROM log_entry", [], |row| row.get(0)), Ok(1));
}

#[test]
fn tables_of_a_later_version_are_not_touched() {
    let dir = Dir::new("version");
    let db = schema::writer(&dir.file()).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Store::open(&dir.0), Err(OpenError::Version(99))));
}
