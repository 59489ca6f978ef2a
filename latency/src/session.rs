//! One writer and one reader of one document, by one transport: through one URL, or through two of one deployment.

use crate::failure::{Failure, Kind};
use crate::follow::Copy;
use crate::host::{Host, Http};
use crate::lanes::Lanes;
use crate::ledger::{Acked, Ledger};
use crate::line::within;
use crate::measuring::Measuring;
use crate::metric::Metric;
use crate::reader::Reader;
use crate::recorder::seconds;
use crate::result::{Problem, Transport};
use crate::schedule::Schedule;
use crate::socket_writer::SocketWriter;
use bytes::Bytes;
use hdrhistogram::Histogram;
use hyper::Method;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a turn of one session is, before it is another's.
pub(crate) const TURN: Duration = Duration::from_secs(1);
/// Questions on a connection that stands, in one turn: as many as fit into this time, at most this many.
const QUESTIONS: (u32, Duration) = (10, Duration::from_millis(500));
/// How long it takes until a schedule begins that was made.
const LEAD: Duration = Duration::from_millis(3);

/// Between whom edits travel, and how.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) from: Arc<Host>,
    pub(crate) to: Arc<Host>,
    pub(crate) transport: Transport,
    pub(crate) doc: String,
}

/// How a session edits.
pub(crate) struct Pace {
    /// Edits a second.
    pub(crate) rate: f64,
    /// Edits that are recorded.
    pub(crate) edits: u64,
}

/// A session that stands.
pub(crate) struct Session {
    pub(crate) route: Route,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) measuring: Measuring,
    /// Whether its document was not there before.
    pub(crate) made: bool,
    /// Recorded edits that were due.
    pub(crate) due: u64,
    /// What went wrong last, and since when nothing went right.
    pub(crate) trouble: Option<(Instant, Failure)>,
    pub(crate) reader: Reader,
    pace: Pace,
    writer: Writer,
    http: Option<Http>,
    epoch: Instant,
    /// The number of the last edit.
    number: u64,
    turns: u64,
}

enum Writer {
    Socket(SocketWriter),
    Lanes(Lanes),
}

impl Writer {
    fn edit(&self, number: u64) {
        match self {
            Self::Socket(writer) => writer.edit(number),
            Self::Lanes(lanes) => lanes.edit(number),
        }
    }

    async fn ready(&self) -> Result<(), Failure> {
        match self {
            Self::Socket(writer) => writer.ready().await,
            Self::Lanes(lanes) => lanes.ready().await,
        }
    }
}

impl Session {
    /// Makes the document, and connects both sides. `key` begins the names of its writer's lanes.
    pub(crate) async fn open(route: Route, pace: Pace, key: &str, epoch: Instant) -> Result<Self, Failure> {
        let Route { from, doc, .. } = &route;
        let (mut http, _) = within(from.deadline(), "a connection", from.http()).await?;
        let path = from.target.stream(doc);
        let made = within(from.deadline(), "making a document", make(&mut http, &path)).await?;
        let ledger = Arc::new(Ledger::new(epoch, from.timeout));
        let (reader, writer) = match connect(&route, &pace, key, &ledger).await {
            Ok(both) => both,
            Err(failure) => {
                if made {
                    // Why nothing can be measured matters more than that something stays.
                    let _ = within(from.deadline(), "deleting", delete(&mut http, &path)).await;
                }
                return Err(failure);
            }
        };
        Ok(Self {
            route,
            ledger,
            measuring: Measuring::new(epoch),
            made,
            due: 0,
            trouble: None,
            reader,
            pace,
            writer,
            http: Some(http),
            epoch,
            number: 0,
            turns: 0,
        })
    }

    /// Whether all edits were due.
    pub(crate) fn is_done(&self) -> bool {
        self.due >= self.pace.edits
    }

    /// The share of its edits that were due.
    pub(crate) fn progress(&self) -> f64 {
        if self.pace.edits == 0 { 1.0 } else { self.due as f64 / self.pace.edits as f64 }
    }

    /// Edits that nobody records, so that whatever is slow only the first time has been.
    pub(crate) async fn warm_up(
        &mut self,
        length: Duration,
        lag: &mut Histogram<u64>,
        stop: &CancellationToken,
    ) {
        let edits = (length.as_secs_f64() * self.pace.rate).round() as u64;
        if edits > 0 {
            self.edits(length, edits, None, lag, stop).await;
        }
    }

    /// One turn: edits at their times, then questions on a connection that stands.
    pub(crate) async fn turn(&mut self, lag: &mut Histogram<u64>, stop: &CancellationToken) {
        let left = self.pace.edits.saturating_sub(self.due);
        if left == 0 {
            return;
        }
        let before = self.arrivals();
        let began = Instant::now();
        let ready = self.ready().await;
        if self.trouble.is_none() {
            self.wake().await;
        }
        self.edits(TURN, left, Some(self.due), lag, stop).await;
        let (arrived, failed) = self.arrivals();
        match ready {
            // All that was due was lost: the reader may be one that nobody tells anything any more.
            _ if arrived == before.0 && failed > before.1 => {
                let failure = self.silence(ready.err());
                self.trouble.get_or_insert((began, failure));
                self.restart_reader();
            }
            _ => self.trouble = None,
        }
        self.questions().await;
        self.turns += 1;
    }

    /// An edit that nobody records. A host that reads its store again and again does so ever less often while nothing
    /// comes, and between turns nothing came: what is measured is a session at work.
    async fn wake(&mut self) {
        if self.edit_aside().await.is_ok() {
            self.ledger.settled().await;
        }
    }

    /// How many edits arrived, and how many did not.
    fn arrivals(&self) -> (u64, u64) {
        self.ledger.with(|_, arrival| (arrival.count(), arrival.failed()))
    }

    /// Why nothing arrives.
    fn silence(&self, known: Option<Failure>) -> Failure {
        let acks = self.ledger.with(|ack, _| ack.failed());
        known.unwrap_or_else(|| match acks {
            0 => Failure::new(Kind::Timeout, "edits are acknowledged, and do not arrive"),
            _ => Failure::new(Kind::Timeout, "edits are not acknowledged, and do not arrive"),
        })
    }

    /// Both sides are connected.
    async fn ready(&self) -> Result<(), Failure> {
        let (writer, reader) = tokio::join!(self.writer.ready(), self.reader.ready(self.route.to.timeout));
        writer.and(reader)
    }

    fn restart_reader(&mut self) {
        let Route { to, transport, doc, .. } = &self.route;
        let copy = self.reader.copy.clone();
        self.reader = Reader::new(Arc::clone(to), *transport, doc, copy, Arc::clone(&self.ledger));
    }

    /// Edits at their times for this long, and for as long as something of it is open: while a server stalls, edits go
    /// on being due. At most `most`; recorded if they are counted from `first`.
    async fn edits(
        &mut self,
        length: Duration,
        most: u64,
        first: Option<u64>,
        lag: &mut Histogram<u64>,
        stop: &CancellationToken,
    ) {
        let start = Instant::now() + LEAD;
        let mut schedule = Schedule::new(start, self.pace.rate);
        let a_block = (self.pace.rate * TURN.as_secs_f64()).round().max(1.0) as u64;
        for count in 0..most {
            let due = tokio::select! {
                due = schedule.next() => due,
                () = stop.cancelled() => None,
            };
            let Some(due) = due else { break };
            self.ledger.expire();
            let end = start + length;
            if due >= end && self.ledger.is_settled_before(end) {
                break;
            }
            if first.is_some() {
                // It grows with what it is given.
                let _ = lag.record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
                self.due += 1;
            }
            self.number += 1;
            self.ledger.due(self.number, due, first.map(|first| (first + count) / a_block));
            self.writer.edit(self.number);
        }
        drop(schedule);
        self.ledger.settled().await;
    }

    /// Round trips on a connection that stands, one after the other.
    async fn questions(&mut self) {
        if !self.is_own() {
            return;
        }
        let began = Instant::now();
        for _ in 0..QUESTIONS.0 {
            let asked = Instant::now();
            match self.question().await {
                Ok(taken) => self.measuring.took_in(Metric::Rtt, self.turns, asked, taken),
                Err(failure) => return self.measuring.failed(Metric::Rtt, failure.kind),
            }
            if began.elapsed() > QUESTIONS.1 {
                return;
            }
        }
    }

    async fn question(&mut self) -> Result<Duration, Failure> {
        if let Writer::Socket(writer) = &self.writer {
            return writer.ask().await;
        }
        let deadline = self.route.from.deadline();
        let path = format!("{}?offset=now", self.route.from.target.stream(&self.route.doc));
        let asked = async {
            let http = self.http().await?;
            let began = Instant::now();
            http.ask(Method::GET, &path, Bytes::new()).await?.ok()?;
            Ok(began.elapsed())
        };
        let asked = within(deadline, "an answer", asked).await;
        if asked.is_err() {
            self.http = None;
        }
        asked
    }

    /// A connection for questions, made anew if it was idle.
    async fn http(&mut self) -> Result<&mut Http, Failure> {
        if self.http.as_ref().is_none_or(|http| !http.is_fresh()) {
            self.http = Some(self.route.from.http().await?.0);
        }
        self.http.as_mut().ok_or_else(|| Failure::closed("no connection"))
    }

    /// Makes an edit beside the schedule; resolves once it is stored.
    pub(crate) async fn edit_aside(&mut self) -> Result<(u64, Acked), Failure> {
        self.writer.ready().await?;
        self.number += 1;
        let told = self.ledger.due_aside(self.number);
        self.writer.edit(self.number);
        let acked = within(self.route.from.deadline(), "an acknowledgement", async {
            told.await.unwrap_or_else(|_| Err(Failure::closed("the writer is gone")))
        });
        let acked = acked.await;
        self.ledger.expire();
        Ok((self.number, acked?))
    }

    /// Whether it writes and reads through the same URL.
    pub(crate) fn is_own(&self) -> bool {
        Arc::ptr_eq(&self.route.from, &self.route.to)
    }

    /// What is wrong with it still.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let (since, failure) = self.trouble.as_ref()?;
        let at = seconds(since.saturating_duration_since(self.epoch));
        Some(Problem {
            kind: failure.kind.name(),
            message: format!("nothing arrived since {at:.1} s: {}", failure.message),
        })
    }
}

/// A reader that follows, and a writer that is connected.
async fn connect(
    route: &Route,
    pace: &Pace,
    key: &str,
    ledger: &Arc<Ledger>,
) -> Result<(Reader, Writer), Failure> {
    let Route { from, to, transport, doc } = route;
    let reader = Reader::new(Arc::clone(to), *transport, doc, Copy::new(), Arc::clone(ledger));
    reader.ready(to.timeout).await?;
    let writer = match transport {
        Transport::Ws => Writer::Socket(SocketWriter::new(Arc::clone(from), doc, key, Arc::clone(ledger))),
        Transport::Sse | Transport::LongPoll => Writer::Lanes(Lanes::new(from, doc, key, pace.rate, ledger)),
    };
    writer.ready().await?;
    Ok((reader, writer))
}

/// Makes a document; whether it was not there before.
pub(crate) async fn make(http: &mut Http, path: &str) -> Result<bool, Failure> {
    Ok(http.ask(Method::PUT, path, Bytes::new()).await?.ok()?.status == 201)
}

/// Deletes a document.
pub(crate) async fn delete(http: &mut Http, path: &str) -> Result<(), Failure> {
    let answer = http.ask(Method::DELETE, path, Bytes::new()).await?;
    if answer.status == 404 { Ok(()) } else { answer.ok().map(drop) }
}
