//! Writing by HTTP: lanes, each one connection and one client, strictly one POST at a time, so that a client's edits
//! arrive in order. An edit that finds no lane free waits, and its waiting counts.

use crate::edits::{Lane, framed};
use crate::failure::{Failure, Kind};
use crate::host::{Host, Http};
use crate::ledger::Ledger;
use crate::line::within;
use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

/// As many as keep up with the rate while a POST takes this many seconds.
const POST_SECONDS: f64 = 0.25;
const LANES: (usize, usize) = (4, 64);

/// The lanes to one document.
pub(crate) struct Lanes {
    edits: UnboundedSender<u64>,
    lanes: Vec<Arc<Mutex<Posting>>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

struct Posting {
    host: Arc<Host>,
    doc: String,
    key: String,
    /// How many lanes there were so far, over all.
    made: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
    http: Option<Http>,
    /// None once its clocks may have a gap.
    lane: Option<Lane>,
}

/// How many lanes there are for a rate.
pub(crate) fn lanes_for(rate: f64) -> usize {
    ((rate * POST_SECONDS).ceil() as usize).clamp(LANES.0, LANES.1)
}

impl Lanes {
    /// `key` begins the names of its lanes.
    pub(crate) fn new(host: &Arc<Host>, doc: &str, key: &str, rate: f64, ledger: &Arc<Ledger>) -> Self {
        let (edits, queue) = unbounded_channel();
        let (queue, made) = (Arc::new(Mutex::new(queue)), Arc::new(AtomicU64::new(0)));
        let lane = || Posting {
            host: Arc::clone(host),
            doc: doc.to_owned(),
            key: key.to_owned(),
            made: Arc::clone(&made),
            ledger: Arc::clone(ledger),
            http: None,
            lane: None,
        };
        let lanes: Vec<_> = (0..lanes_for(rate)).map(|_| Arc::new(Mutex::new(lane()))).collect();
        let tasks = lanes
            .iter()
            .map(|lane| AbortOnDropHandle::new(tokio::spawn(run(Arc::clone(lane), Arc::clone(&queue)))));
        Self { edits, _tasks: tasks.collect(), lanes }
    }

    pub(crate) fn edit(&self, number: u64) {
        // They end with this.
        let _ = self.edits.send(number);
    }

    /// Connects every lane that needs it.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        let all = self.lanes.iter().map(|lane| async {
            let mut lane = lane.lock().await;
            let deadline = lane.host.deadline();
            within(deadline, "a connection", lane.connect()).await
        });
        join_all(all).await.into_iter().collect()
    }
}

async fn run(lane: Arc<Mutex<Posting>>, queue: Arc<Mutex<UnboundedReceiver<u64>>>) {
    loop {
        // Whoever waits longest is next.
        let Some(number) = queue.lock().await.recv().await else { return };
        lane.lock().await.edit(number).await;
    }
}

impl Posting {
    async fn edit(&mut self, number: u64) {
        // It may have waited too long for a lane.
        let Some(deadline) = self.ledger.deadline(number) else { return };
        let ledger = Arc::clone(&self.ledger);
        match within(deadline, "a POST", self.post(number)).await {
            Ok(()) => ledger.acked(number),
            Err(failure) => {
                ledger.failed(number, &failure);
                (self.http, self.lane) = (None, None);
            }
        }
    }

    async fn post(&mut self, number: u64) -> Result<(), Failure> {
        if self.http.as_ref().is_none_or(|http| !http.is_open()) {
            self.connect().await?;
        }
        let lane = self.lane.get_or_insert_with(|| {
            Lane::new(format!("{}.{}", self.key, self.made.fetch_add(1, Ordering::Relaxed)))
        });
        let body = Bytes::from(framed(&lane.edit(number)));
        let http = self.http.as_mut().ok_or_else(|| Failure::new(Kind::Closed, "no connection"))?;
        self.ledger.sent(number, &lane.key);
        http.ask(Method::POST, &self.host.target.stream(&self.doc), body).await?.ok().map(drop)
    }

    /// Connects, unless there is a connection that was used lately.
    async fn connect(&mut self) -> Result<(), Failure> {
        if self.http.as_ref().is_none_or(|http| !http.is_fresh()) {
            self.http = None;
            self.http = Some(self.host.http().await?.0);
        }
        Ok(())
    }
}
