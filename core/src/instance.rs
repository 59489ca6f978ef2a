//! An instance: the rooms of a host that runs any number of instances at once, each for one request or for some.
//!
//! What such hosts have in common stands here: requests wait beside each other for the rooms of their documents, time
//! passes for a room only while somebody waits for it, and the log is read and written by futures that the host runs
//! ([`Runtime`]). Nothing here does I/O; a host hands over a [`Route`](crate::http::Route) that it was told, and writes
//! out the answer.
//!
//! An instance may end between any two steps. What was answered is stored by then: so is all that an answer says is stored.
//! What nobody waits for any more (a compaction, most often) is lost with it, and done again by another.

mod held;
mod home;
mod sockets;
mod waiting;

pub use waiting::Events;

use crate::collections::Map;
use crate::effect::{ConnId, Input, Millis, OpId};
use crate::grip::Proxies;
use crate::http::{ApiError, Asking, Reply};
use crate::kv::{self, CountKv, ListKv};
use crate::limits::Limits;
use crate::listed::{Listed, list_documents};
use crate::log::{CatalogOp, Life, Listed as Listing, LogError, LogOp, LogReply, Offset};
use crate::name::DocName;
use crate::room::{Residency, RoomConfig};
use crate::sequenced::Sequenced;
use core::cell::{Cell, RefCell};
use home::{Answer, Home};
use std::rc::Rc;
use std::sync::Arc;
use waiting::Seat;

/// Documents whose log is kept for whoever comes next, with what it has learnt, although nobody is there.
const RESTING: usize = 8;
/// Milliseconds that a request waits at most for the compaction that it has shown to be due: nothing says that the
/// instance goes on once everyone has an answer.
const COMPACTION_PATIENCE: u64 = 5_000;

/// Milliseconds that an answer waits at most until sockets elsewhere have what it is about: the same holds for that.
const PUBLISH_PATIENCE: u64 = 2_000;

/// The log of one document, on whatever the host stores it.
#[allow(async_fn_in_trait)]
pub trait DocumentLog {
    /// Does what a room asks. Several may be on their way at once.
    async fn run(&self, op: OpId, request: LogOp) -> Result<LogReply, LogError>;
}

impl<K: CountKv> DocumentLog for Sequenced<K> {
    async fn run(&self, op: OpId, request: LogOp) -> Result<LogReply, LogError> {
        Self::run(self, op, request).await.0
    }
}

impl<K: ListKv> DocumentLog for Listed<K> {
    async fn run(&self, op: OpId, request: LogOp) -> Result<LogReply, LogError> {
        Self::run(self, op, request).await.0
    }
}

/// What an instance's host does for it.
#[allow(async_fn_in_trait)]
pub trait Runtime: 'static {
    /// The log of a document.
    type Log: DocumentLog + 'static;
    /// The time. It never goes back.
    fn now(&self) -> Millis;
    /// The log of this document.
    fn log(&self, doc: &DocName) -> Self::Log;
    /// Runs something beside what is running, from its first step on, for as long as the instance lives. It is not to be
    /// run before this returns.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);
    /// Waits.
    async fn sleep(&self, milliseconds: u64);
    /// Posts JSON to a GRIP proxy, with this as `Authorization`, whether or not it is taken: what is lost is found by a
    /// keep-alive.
    async fn publish(&self, url: &str, authorization: Option<&str>, body: String);
}

/// The rooms of an instance.
pub struct Instance<R: Runtime> {
    runtime: Rc<R>,
    config: RoomConfig,
    proxies: Option<Rc<Proxies>>,
    homes: RefCell<Map<DocName, Rc<Home<R>>>>,
    next_conn: Cell<u64>,
    /// How often a room was asked for.
    turn: Cell<u64>,
}

/// What an HTTP request to a document is answered with.
pub enum Answered<R: Runtime> {
    /// All of it.
    Reply(Reply),
    /// Its beginning, and what follows.
    Events(Reply, Events<R>),
}

impl<R: Runtime> Instance<R> {
    /// An instance without rooms; `proxies` hold its sockets, if any do.
    pub fn new(runtime: R, limits: Arc<Limits>, proxies: Option<Proxies>) -> Self {
        let config = RoomConfig { limits, parks: proxies.is_some(), residency: Residency::Shared };
        let (homes, next_conn, turn) = (RefCell::default(), Cell::new(1), Cell::new(0));
        let proxies = proxies.map(Rc::new);
        Self { runtime: Rc::new(runtime), config, proxies, homes, next_conn, turn }
    }

    /// The host.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Asks a document's room, and waits for as long as it takes: a long-poll is held here. Dropped before, because the
    /// client left, it tells the room.
    pub async fn ask(&self, asking: Asking) -> Answered<R> {
        let Asking { mut doc, mut request, expires, stale } = asking;
        loop {
            let seat = Seat::new(self.home(&doc), self.conn());
            seat.give(Input::Request { conn: seat.conn, request, expires });
            match seat.answer().await {
                Answer::Reply(reply) if reply.streams => {
                    return Answered::Events(reply, Events::new(seat));
                }
                Answer::Reply(reply) => {
                    seat.published(PUBLISH_PATIENCE).await;
                    seat.compacted(COMPACTION_PATIENCE).await;
                    // There is no copy here that could be older.
                    return Answered::Reply(if stale { reply.with_age(0) } else { reply });
                }
                Answer::Forward(other, asked) => (doc, request) = (other, *asked),
                Answer::Closed(reason) => {
                    return Answered::Reply(ApiError::internal(reason.reason).into());
                }
            }
        }
    }

    /// Answers a question about all documents.
    ///
    /// # Errors
    /// If the store does not do its part.
    pub async fn catalog(&self, kv: &impl ListKv, op: CatalogOp) -> Result<Vec<Listing>, LogError> {
        let CatalogOp::List { prefix, mut after, limit } = op else {
            return kv::check(kv).await.map(|()| Vec::new());
        };
        let mut listed = Vec::new();
        while listed.len() < limit {
            // Some of these names are of documents that are no more.
            let wanted = limit - listed.len();
            let names = list_documents(kv, &prefix, &after, wanted).await?;
            let is_last = names.len() < wanted;
            for doc in names {
                let reply = self.runtime.log(&doc).run(OpId(0), LogOp::Load { since: Offset::END }).await;
                after = doc.internal().to_owned();
                if let LogReply::Loaded(loaded) = reply?
                    && loaded.tail.life == Life::Live
                {
                    listed.push(Listing { name: after.clone(), tail: loaded.tail });
                }
            }
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    /// The room of a document, which is made if there is none.
    fn home(&self, doc: &DocName) -> Rc<Home<R>> {
        self.turn.set(self.turn.get() + 1);
        let mut homes = self.homes.borrow_mut();
        let new = || Rc::new(Home::new(&self.runtime, doc, self.proxies.clone(), self.config.clone()));
        let home = homes.get_or_insert_with(doc.clone(), new);
        home.used.set(self.turn.get());
        let home = Rc::clone(home);
        if homes.len() > RESTING {
            // Nobody waits for it, and nothing of it is under way.
            let rests = |home: &Rc<Home<R>>| Rc::strong_count(home) == 1;
            let mut resting: Vec<u64> =
                homes.values().filter(|home| rests(home)).map(|home| home.used.get()).collect();
            resting.sort_unstable();
            if let Some(last) = resting.into_iter().take(homes.len() - RESTING).next_back() {
                homes.retain(|_, home| home.used.get() > last || !rests(home));
            }
        }
        home
    }

    fn conn(&self) -> ConnId {
        let conn = self.next_conn.get();
        self.next_conn.set(conn + 1);
        ConnId(conn)
    }
}
