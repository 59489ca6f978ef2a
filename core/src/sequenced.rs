//! The log of a document in a store that counts: each entry has a number, and is stored under it.
//!
//! For stores whose reads see every write at once, and that have an atomic counter, but cannot list the keys of one
//! document. A writer takes a number from the document's counter and writes its updates under it; a reader asks the
//! counter, and reads the numbers that it lacks.
//!
//! # Numbers under which nothing stands
//!
//! Nothing stands under a number whose writer is not done yet, or never will be: it is *pending*. Readers are given what
//! stands behind it meanwhile, and their offsets say that they lack it. A writer says that its updates are stored only
//! if that is so [`KvConfig::ack_within`] after it took the number; else it takes another one. So a number is *void* once
//! an entry behind it is older than [`KvConfig::void_after`].
//!
//! # Snapshots
//!
//! A snapshot takes a number as well. It covers all numbers below its own but those that it leaves open: pending ones, and
//! entries that were not merged into it. The newest snapshot is found by reading downwards from the counter; the head, a
//! key that is overwritten, says where to begin, and may be wrong. A snapshot lists what was merged into it. The next
//! compaction that merges it deletes these, if it is older than [`KvConfig::grace`]: so whatever is deleted is covered by a
//! snapshot that is there, and that stays until another covers all that it covers.
//!
//! # Lives
//!
//! A generation is dead once its tombstone is there. A document that is made again is the next generation, with a counter
//! of its own: what is appended to a dead one late never shows. What it took is freed by who deletes it, or by the next
//! who creates or compacts the document; and what was stored late, by a compaction `void_after` later.
//!
//! # Operations on the store
//!
//! An append takes 3: a number, a look that nothing stands there, and the write; and one more if the document's life was
//! not looked at for [`KvConfig::trust`]. Of an instance that knows nothing it takes 13: head and tombstone as well, and 8
//! looks whether anything stands behind its number. A poll of an instance that knows the document takes 1, or 1 and as
//! many as there are new and pending numbers, and with a pending one the tombstone. A load takes, of an instance that
//! knows nothing,
//!
//! ```text
//! head + tombstone + counter + snapshot + its parts + numbers behind it + numbers that it leaves open + 8
//! ```
//! and where one of these is pending, these once more, with the counter and the tombstone. Compaction bounds all of it,
//! whatever the document's history. A head that is behind costs up to 64 reads more.
//!
//! # What is asked of the store
//!
//! A write that is not done within `void_after` of being asked for is never done. Clocks may differ by `void_after` less
//! `ack_within`, in all.
//!
//! # Counters that lose their place
//!
//! A counter may lose its place, as after a failover. What was stored is not overwritten then: whoever is given a number
//! that is not behind those that it knows of (the head tells of all that compaction deleted), or under which something
//! stands, sets the counter behind the last number under which something stands; and so does whoever knows nothing yet,
//! and looks behind its number. A writer takes another number if something stands behind its own that is older than that,
//! or covers it; clocks may differ by half as much as above then.
//!
//! Two losses remain, as nothing under the keys tells them apart from what is right. A number that is given again while
//! its first writer is about to write is free for both, and no write of such a store fails where something stands: the
//! later one replaces the first. A void number that is given again looks as one that was never given, to an instance that
//! knows the document as it was before and looks at its own number only, and to one that knows nothing if 8 void ones
//! follow: what is stored there is not told to readers who are past it, and lost where a snapshot covers it.

mod append;
mod compact;
mod delete;
mod head;
mod keys;
mod known;
mod load;
mod look;
mod numbers;
mod presence;
mod seen;
mod versions;

use crate::collections::Map;
use crate::effect::OpId;
use crate::kv::{Cost, CountKv, FOLLOWED, KvConfig, Metered};
use crate::log::{LogError, LogOp, LogReply};
use crate::name::DocName;
use append::Attempt;
use core::cell::{Ref, RefCell, RefMut};
use keys::Keys;
use known::Known;
use presence::Turns;

/// The log of one document. Any number of instances may use the same store.
#[derive(Debug)]
pub struct Sequenced<K> {
    kv: K,
    keys: Keys,
    config: KvConfig,
    known: RefCell<Known>,
    /// Appends that may have been done, by their requests.
    attempts: RefCell<Map<OpId, Attempt>>,
    /// Deletions that were begun, and the generation of each.
    deletions: RefCell<Map<OpId, u64>>,
    /// Of the default stream's presence, and of the named ones'.
    turns: RefCell<(Turns, Turns)>,
}

impl<K: CountKv> Sequenced<K> {
    /// The log of the document with this name.
    pub fn new(kv: K, name: &DocName, config: KvConfig) -> Self {
        Self {
            kv,
            keys: Keys::new(name),
            config,
            known: RefCell::default(),
            attempts: RefCell::default(),
            deletions: RefCell::default(),
            turns: RefCell::default(),
        }
    }

    /// Does what a room asks of its store, and tells what that took. Several may be on their way at once, and each may be
    /// dropped before it is done.
    pub async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
        let work = Work { kv: Metered::new(&self.kv), log: self, op };
        let reply = work.run(request).await;
        (reply, work.kv.cost())
    }
}

/// One operation.
struct Work<'a, K> {
    kv: Metered<'a, K>,
    log: &'a Sequenced<K>,
    op: OpId,
}

impl<K: CountKv> Work<'_, K> {
    async fn run(&self, request: LogOp) -> Result<LogReply, LogError> {
        match request {
            LogOp::Load { since } => self.load(since, self.trust()).await.map(LogReply::Loaded),
            LogOp::Follow { since } => {
                self.load(since, self.trust().max(FOLLOWED)).await.map(LogReply::Loaded)
            }
            LogOp::Append { updates } => self.append(updates).await.map(LogReply::Appended),
            LogOp::Compact { upto } => self.compact(&upto).await.map(LogReply::Compacted),
            LogOp::Create { updates } => self.create(updates).await,
            LogOp::Delete => self.delete().await,
            LogOp::PutVersion { version, body, most } => {
                self.put_version(version, body, most).await.map(LogReply::Done)
            }
            LogOp::ListVersions => self.list_versions().await.map(LogReply::Versions),
            LogOp::ReadVersion { id } => self.read_version(&id).await.map(LogReply::Version),
            LogOp::DeleteVersion { id } => self.delete_version(&id).await.map(LogReply::Done),
            LogOp::ReadPresence(part) => self.read_presence(part).await.map(LogReply::Presence),
            LogOp::WritePresence { part, state } => {
                self.write_presence(part, state).await.map(LogReply::Done)
            }
        }
    }

    fn config(&self) -> &KvConfig {
        &self.log.config
    }

    /// Milliseconds for which what is known of the document's life is believed.
    fn trust(&self) -> u64 {
        self.config().trust
    }

    fn keys(&self) -> &Keys {
        &self.log.keys
    }

    fn known(&self) -> Ref<'_, Known> {
        self.log.known.borrow()
    }

    fn known_mut(&self) -> RefMut<'_, Known> {
        self.log.known.borrow_mut()
    }
}
