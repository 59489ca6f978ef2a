//! A run: every URL and transport in turns of about a second, round and round, until each had its time.
//!
//! One at a time: what runs beside something else on one machine and one network slows it down. In turns: what drifts in
//! the meantime touches all of them alike, and does not look like a difference between them.

use crate::failure::Failure;
use crate::fresh::Fresh;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::line::{self, within};
use crate::measuring::Measuring;
use crate::metric::Metric;
use crate::notes;
use crate::plan::{Plan, Progress, Server};
use crate::result::{Clock, Host as Found, Measured, Outcome, Pair, SCHEMA, Transport};
use crate::schedule::resolution;
use crate::session::{Pace, Route, Session, delete};
use crate::target::{Target, redacted};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// Measures. `stop` ends it early, with what there is by then; `tell` hears how far it is.
pub async fn run(plan: &Plan, stop: &CancellationToken, mut tell: impl FnMut(&Progress)) -> Outcome {
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let epoch = Instant::now();
    let names = Names::new();
    let mut hosts = Vec::new();
    for server in &plan.servers {
        hosts.push(find(server, plan.timeout).await);
    }
    let mut tracks = tracks(plan, &hosts, &names, epoch).await;
    let mut lag = Histogram::new(3).unwrap_or_else(|_| std::process::abort());
    let lines = tracks.len();
    for (line, track) in tracks.iter_mut().enumerate() {
        tell(&track.progress(line, lines));
        if let Ok((session, _)) = &mut track.running {
            session.warm_up(plan.warm_up, &mut lag, stop).await;
        }
    }
    while !stop.is_cancelled() && tracks.iter().any(Track::goes_on) {
        for (line, track) in tracks.iter_mut().enumerate() {
            let Ok((session, fresh)) = &mut track.running else { continue };
            if session.is_done() || stop.is_cancelled() {
                continue;
            }
            session.turn(&mut lag, stop).await;
            if !stop.is_cancelled() {
                fresh.catch_up(session, || names.next()).await;
            }
            tell(&track.progress(line, lines));
        }
    }
    let mut left = 0;
    for track in &mut tracks {
        left += track.tidy().await;
    }
    let lag_p99_ms = (lag.len() >= 100).then(|| lag.value_at_quantile(0.99) as f64 / 1000.0);
    let mut outcome = Outcome {
        schema: SCHEMA,
        tool: concat!("yonder ", env!("CARGO_PKG_VERSION")).to_owned(),
        started,
        duration_s: plan.duration.as_secs_f64(),
        rate: plan.rate,
        warm_up_s: plan.warm_up.as_secs_f64(),
        timeout_ms: plan.timeout.as_secs_f64() * 1000.0,
        clock: Clock {
            resolution_ns: u64::try_from(resolution().as_nanos()).unwrap_or(u64::MAX),
            lag_p99_ms,
        },
        hosts: hosts.iter().enumerate().map(|(index, found)| of_host(index, found, &tracks, epoch)).collect(),
        pairs: tracks
            .iter()
            .filter(|track| track.from != track.to)
            .map(|track| of_pair(track, &hosts))
            .collect(),
        notes: Vec::new(),
    };
    let gave_up = tracks.iter().filter(|track| track.gave_up()).map(|track| track.name.clone()).collect();
    let seen = notes::Seen { left, gave_up, interrupted: stop.is_cancelled() };
    outcome.notes = notes::all(plan, &outcome, &seen);
    outcome
}

/// Asks a server what it is.
///
/// # Errors
///
/// Why there is no server of yonder, as a sentence.
pub async fn look(server: &Server, timeout: Duration) -> Result<String, String> {
    let looked = find(server, timeout).await;
    looked.host.map(|(_, server)| server).map_err(|failure| failure.message)
}

/// A server that was looked for: how it is shown, and what it is.
struct Looked {
    shown: String,
    host: Result<(Arc<Host>, String), Failure>,
}

async fn find(server: &Server, timeout: Duration) -> Looked {
    let target = match Target::parse(&server.url, server.token.as_deref()) {
        Ok(target) => target,
        Err(failure) => return Looked { shown: redacted(&server.url), host: Err(failure) },
    };
    let shown = target.shown.clone();
    let introduced = async {
        let host = Arc::new(Host::new(target, line::tls()?, timeout));
        let server = host.introduce().await?;
        Ok((host, server))
    };
    Looked { shown, host: introduced.await }
}

/// One URL, or an ordered pair of them, and one transport.
struct Track {
    /// Places of its URLs.
    from: usize,
    to: usize,
    transport: Transport,
    name: String,
    running: Result<(Session, Fresh), Failure>,
}

/// One for each URL and transport that can be measured, and for each pair.
async fn tracks(plan: &Plan, hosts: &[Looked], names: &Names, epoch: Instant) -> Vec<Track> {
    let mut tracks = Vec::new();
    let places = || 0..hosts.len();
    let own = places().map(|place| (place, place));
    let pairs = places().flat_map(|from| places().map(move |to| (from, to))).filter(|(from, to)| from != to);
    for (from, to) in own.chain(pairs.filter(|_| plan.same_deployment)) {
        let (Some(writes), Some(reads)) = (hosts.get(from), hosts.get(to)) else { continue };
        let (Ok((from_host, _)), Ok((to_host, _))) = (&writes.host, &reads.host) else { continue };
        for &transport in &plan.transports {
            let name = if from == to {
                format!("{} {transport}", writes.shown)
            } else {
                format!("{} -> {} {transport}", writes.shown, reads.shown)
            };
            let doc = plan.doc.clone().unwrap_or_else(|| names.next());
            let route = Route { from: Arc::clone(from_host), to: Arc::clone(to_host), transport, doc };
            let edits = (plan.duration.as_secs_f64() * plan.rate).round() as u64;
            let key = format!("{}.{}", names.run, tracks.len());
            let opened = Session::open(route, Pace { rate: plan.rate, edits }, &key, epoch).await;
            let running = opened.map(|session| (session, Fresh::new(plan.fresh, plan.doc.is_none())));
            tracks.push(Track { from, to, transport, name, running });
        }
    }
    tracks
}

impl Track {
    fn goes_on(&self) -> bool {
        self.running.as_ref().is_ok_and(|(session, _)| !session.is_done())
    }

    fn gave_up(&self) -> bool {
        self.running.as_ref().is_ok_and(|(_, fresh)| fresh.gave_up())
    }

    fn progress(&self, line: usize, lines: usize) -> Progress {
        let mut progress = Progress {
            line,
            lines,
            name: self.name.clone(),
            share: 1.0,
            known: [None; 3],
            failed: 0,
            error: None,
        };
        match &self.running {
            Ok((session, _)) => {
                progress.share = session.progress();
                session.ledger.with(|ack, arrival| {
                    progress.known = [ack.percentile(0.5), arrival.percentile(0.5), arrival.percentile(0.99)];
                    progress.failed = ack.failed() + arrival.failed();
                });
                progress.error = session.problem().map(|problem| problem.message);
            }
            Err(failure) => progress.error = Some(failure.message.clone()),
        }
        progress
    }

    /// Deletes what it made; how many documents are left behind.
    async fn tidy(&mut self) -> u32 {
        let Ok((session, fresh)) = &self.running else { return 0 };
        if !session.made {
            return fresh.left;
        }
        let Route { from, doc, .. } = &session.route;
        let deleted = async {
            let (mut http, _) = from.http().await?;
            delete(&mut http, &from.target.stream(doc)).await
        };
        let deleted = within(from.deadline(), "deleting", deleted).await;
        fresh.left + u32::from(deleted.is_err())
    }
}

fn of_host(index: usize, looked: &Looked, tracks: &[Track], epoch: Instant) -> Found {
    let mut found = Found {
        url: looked.shown.clone(),
        server: None,
        locations: BTreeMap::new(),
        error: None,
        transports: BTreeMap::new(),
    };
    let (host, server) = match &looked.host {
        Ok(found) => found,
        Err(failure) => {
            found.error = Some(failure.problem());
            return found;
        }
    };
    found.locations = host.locations();
    let software = found.locations.get("server").and_then(|values| values.keys().next());
    found.server = Some(software.map_or_else(|| server.clone(), |software| format!("{server} ({software})")));
    for track in tracks.iter().filter(|track| (track.from, track.to) == (index, index)) {
        found.transports.insert(track.transport, measured(track, host, epoch));
    }
    found
}

fn measured(track: &Track, host: &Host, epoch: Instant) -> Measured {
    let (named, secure) = (host.target.address().is_none(), host.target.secure);
    match &track.running {
        Ok((session, _)) => session.measuring.measured(&session.ledger, named, secure, session.problem()),
        Err(failure) => {
            let (nothing, ledger) = (Measuring::new(epoch), Ledger::new(epoch, host.timeout));
            nothing.measured(&ledger, named, secure, Some(failure.problem()))
        }
    }
}

fn of_pair(track: &Track, hosts: &[Looked]) -> Pair {
    let shown = |place: usize| hosts.get(place).map(|host| host.shown.clone()).unwrap_or_default();
    let mut pair = Pair {
        from: shown(track.from),
        to: shown(track.to),
        transport: track.transport,
        error: None,
        propagation: Default::default(),
        converge: Default::default(),
    };
    match &track.running {
        Ok((session, _)) => {
            pair.propagation = session.ledger.with(|_, arrival| arrival.summary());
            pair.converge = session.measuring.summary(Metric::Converge);
            pair.error = session.problem();
        }
        Err(failure) => pair.error = Some(failure.problem()),
    }
    if let Some(problem) = pair.error.as_mut().filter(|_| pair.propagation.count == 0) {
        problem.message.push_str("; are these of one deployment?");
    }
    pair
}

/// Names that nothing has.
struct Names {
    run: String,
    last: AtomicU64,
}

impl Names {
    fn new() -> Self {
        // Without randomness, the time will do.
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let random = getrandom::u64().unwrap_or(time.as_nanos() as u64);
        Self { run: format!("{random:016x}"), last: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("latency/{}-{}", self.run, self.last.fetch_add(1, Ordering::Relaxed))
    }
}
