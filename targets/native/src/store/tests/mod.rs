mod catalog;
mod compaction;
mod life;
mod log;
mod migration;
mod versions;

use super::*;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use yonder_core::log::{Life, Loaded, Offset, Tail};
use yonder_core::replica;

/// Inserts `text` at the start of the text "t", as client `client`: a whole document of its own.
fn insert(client: u8, text: &str) -> Bytes {
    let mut update = vec![1, 1, client, 0, 4, 1, 1, b't', text.len() as u8];
    update.extend_from_slice(text.as_bytes());
    update.push(0);
    update.into()
}

/// A directory of its own for each that is made, even under the same name.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("yonder-store-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.join("yonder.db")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store that is open, in a directory of its own.
struct Open {
    store: Store,
    running: Running,
    dir: Dir,
}

impl Open {
    fn new(name: &str) -> Self {
        Self::within(Dir::new(name))
    }

    fn within(dir: Dir) -> Self {
        let (store, running) = Store::open(&dir.0).unwrap();
        Self { store, running, dir }
    }

    fn restart(self) -> Self {
        drop(self.store);
        self.running.stop();
        Self::within(self.dir)
    }

    fn try_ask(&self, doc: &str, request: LogOp) -> Result<LogReply, LogError> {
        let (sender, receiver) = mpsc::channel();
        self.store.submit(&doc.into(), request, Box::new(move |reply| sender.send(reply).unwrap()));
        receiver.recv().unwrap()
    }

    fn ask(&self, doc: &str, request: LogOp) -> LogReply {
        self.try_ask(doc, request).unwrap()
    }

    fn append(&self, doc: &str, updates: &[Bytes]) -> Tail {
        let LogReply::Appended(tail) = self.ask(doc, LogOp::Append { updates: updates.to_vec() }) else {
            panic!()
        };
        tail
    }

    fn compact(&self, doc: &str, upto: u64) -> Tail {
        let LogReply::Compacted(tail) = self.ask(doc, LogOp::Compact { upto: Offset::new(upto) }) else {
            panic!()
        };
        tail
    }

    fn create(&self, doc: &str, updates: &[Bytes]) -> (bool, Tail) {
        let LogReply::Created { existed, tail } = self.ask(doc, LogOp::Create { updates: updates.to_vec() })
        else {
            panic!()
        };
        (existed, tail)
    }

    fn delete(&self, doc: &str) -> (bool, Tail) {
        let LogReply::Deleted { existed, tail } = self.ask(doc, LogOp::Delete) else { panic!() };
        (existed, tail)
    }

    fn load(&self, doc: &str, since: &Offset) -> Loaded {
        let LogReply::Loaded(loaded) = self.ask(doc, LogOp::Load { since: since.clone() }) else { panic!() };
        loaded
    }

    fn all(&self, doc: &str) -> Loaded {
        self.load(doc, &Offset::START)
    }

    fn catalog(&self, request: CatalogOp) -> Result<Vec<Listed>, LogError> {
        let (sender, receiver) = mpsc::channel();
        self.store.catalog(request, Box::new(move |reply| sender.send(reply).unwrap()));
        receiver.recv().unwrap()
    }
}

/// Updates with the places that they have from `first` on.
fn placed(first: u64, updates: &[Bytes]) -> Vec<(Offset, Bytes)> {
    (first..).map(Offset::new).zip(updates.iter().cloned()).collect()
}

/// The tail of a live document without a snapshot.
fn uncompacted(end: u64, updates: &[Bytes]) -> Tail {
    Tail {
        life: Life::Live,
        end: Offset::new(end),
        updates: updates.len() as u64,
        bytes: updates.iter().map(|update| update.len() as u64).sum(),
        ..Tail::default()
    }
}

/// The tail of a deleted document.
fn tombstone(end: u64) -> Tail {
    Tail { life: Life::Deleted, end: Offset::new(end), ..Tail::default() }
}

fn merged(updates: &[Bytes]) -> Bytes {
    replica::compact(updates.to_vec()).unwrap()
}
