use super::*;
use bytes::Bytes;
use yonder_core::log::{Loaded, Offset, Tail};

/// Inserts `text` at the start of the text "t", as client `client`: a whole document of its own.
fn insert(client: u8, text: &str) -> Bytes {
    let mut update = vec![1, 1, client, 0, 4, 1, 1, b't', text.len() as u8];
    update.extend_from_slice(text.as_bytes());
    update.push(0);
    update.into()
}

struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("yonder-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ask(store: &Store, key: &str, request: LogOp) -> LogReply {
    let (sender, receiver) = mpsc::channel();
    store.submit(&key.into(), request, Box::new(move |reply| sender.send(reply).unwrap()));
    receiver.recv().unwrap().unwrap()
}

fn load(store: &Store, key: &str) -> Loaded {
    match ask(store, key, LogOp::Load) {
        LogReply::Loaded(loaded) => loaded,
        other @ (LogReply::Appended(_) | LogReply::Compacted(_)) => panic!("{other:?}"),
    }
}

#[test]
fn updates_come_back_in_order_and_survive_a_restart() {
    let dir = Dir::new("order");
    let updates = vec![insert(1, "a"), insert(2, "b")];
    let (store, running) = Store::open(&dir.0).unwrap();
    let reply = ask(&store, "doc", LogOp::Append { updates: updates.clone() });
    let tail = Tail { end: Offset::new(2), updates: 2, bytes: 22, snapshot_bytes: 0 };
    assert_eq!(reply, LogReply::Appended(tail));
    drop(store);
    running.stop();
    let (store, _running) = Store::open(&dir.0).unwrap();
    assert_eq!(load(&store, "doc"), Loaded { snapshot: None, updates, tail });
    assert_eq!(load(&store, "other"), Loaded::default());
}

#[test]
fn a_snapshot_takes_the_place_of_what_it_covers_and_of_nothing_else() {
    let dir = Dir::new("compact");
    let (store, _running) = Store::open(&dir.0).unwrap();
    ask(&store, "doc", LogOp::Append { updates: vec![insert(1, "a"), insert(2, "b"), insert(3, "c")] });
    ask(&store, "other", LogOp::Append { updates: vec![insert(1, "x")] });
    let LogReply::Compacted(tail) = ask(&store, "doc", LogOp::Compact { upto: Offset::new(2) }) else {
        panic!()
    };
    assert_eq!((tail.end, tail.updates, tail.bytes), (Offset::new(3), 1, 11));
    let loaded = load(&store, "doc");
    assert_eq!(loaded.updates, [insert(3, "c")]);
    assert_eq!(loaded.snapshot, Some(replica_of(&[insert(1, "a"), insert(2, "b")])));
    assert_eq!(loaded.tail, tail);
    assert_eq!(load(&store, "other").updates.len(), 1);
    // Numbers go on where they were.
    let LogReply::Appended(tail) = ask(&store, "doc", LogOp::Append { updates: vec![insert(4, "d")] }) else {
        panic!()
    };
    assert_eq!((tail.end, tail.updates), (Offset::new(4), 2));
}

fn replica_of(updates: &[Bytes]) -> Bytes {
    yonder_core::replica::compact(updates.to_vec()).unwrap()
}

#[test]
fn a_directory_has_one_process_at_a_time() {
    let dir = Dir::new("lock");
    let (_store, _running) = Store::open(&dir.0).unwrap();
    assert!(matches!(Store::open(&dir.0), Err(OpenError::InUse)));
}

#[test]
fn tables_of_another_version_are_not_touched() {
    let dir = Dir::new("version");
    drop(Store::open(&dir.0).unwrap());
    let db = Connection::open(dir.0.join("yonder.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Store::open(&dir.0), Err(OpenError::Version(99))));
}
