//! What a client that comes feels: one that was never here, one that was, and one that asks for what nobody asked for
//! before.

use crate::failure::Failure;
use crate::follow::{Copy, Event, follow};
use crate::host::Host;
use crate::line::within;
use crate::metric::Metric;
use crate::result::Transport;
use crate::session::{Session, delete, make};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use yonder_core::wire::{self, Message, Messages};

/// Fresh connections of a session: all of these are made once each time.
pub(crate) struct Fresh {
    /// How often.
    pub(crate) wanted: u32,
    /// How often it was done.
    pub(crate) done: u32,
    /// How often it failed lately, without anything between.
    failed: u32,
    /// Whether documents that nobody has may be made, and deleted again.
    pub(crate) may_make: bool,
    /// Documents that could not be deleted.
    pub(crate) left: u32,
}

/// Failures one after the other, behind which a session is left alone: each may take as long as an operation may.
const ENOUGH: u32 = 3;

impl Fresh {
    pub(crate) fn new(wanted: u32, may_make: bool) -> Self {
        Self { wanted, done: 0, failed: 0, may_make, left: 0 }
    }

    /// Does its share, once this part of the session is done. `name` gives names that no document has.
    pub(crate) async fn catch_up(&mut self, session: &mut Session, name: impl Fn() -> String) {
        let share = (f64::from(self.wanted) * session.progress()).ceil() as u32;
        while self.done < share.min(self.wanted) && self.failed < ENOUGH {
            let ended = self.once(session, &name).await;
            self.failed = if ended.is_ok() { 0 } else { self.failed + 1 };
            self.done += 1;
        }
    }

    /// Whether it was given up.
    pub(crate) fn gave_up(&self) -> bool {
        self.failed >= ENOUGH && self.done < self.wanted
    }

    async fn once(&mut self, session: &mut Session, name: impl Fn() -> String) -> Result<(), Failure> {
        if session.is_own() {
            come_back(session).await?;
            if self.may_make {
                self.ask_anew(session, &name()).await?;
            }
        }
        converge(session).await
    }

    /// The first request for a document, and the same again.
    async fn ask_anew(&mut self, session: &mut Session, doc: &str) -> Result<(), Failure> {
        let (host, transport) = (Arc::clone(&session.route.to), session.route.transport);
        for metric in [Metric::Cold, Metric::Warm] {
            let began = Instant::now();
            let asked = within(host.deadline(), "a first answer", first_answer(&host, transport, doc)).await;
            session.measuring.ended(metric, began, &asked);
            asked?;
        }
        let deleted = async {
            let (mut http, _) = host.http().await?;
            delete(&mut http, &host.target.stream(doc)).await
        };
        if within(host.deadline(), "deleting", deleted).await.is_err() {
            self.left += 1;
            self.may_make = false;
        }
        Ok(())
    }
}

/// A client that has everything dials. Its connection is a fresh one.
async fn come_back(session: &mut Session) -> Result<(), Failure> {
    let (host, transport) = (Arc::clone(&session.route.to), session.route.transport);
    let copy = session.reader.copy.twin()?;
    let began = Instant::now();
    let (mut opened, mut synced) = (None, None);
    let mut watch = |event: Event, _: &crate::edits::Replica| match event {
        Event::Opened { phases, first_byte } => {
            opened = Some((phases, first_byte));
            ControlFlow::Continue(())
        }
        Event::Changed => ControlFlow::Continue(()),
        Event::Live => {
            synced = Some(began.elapsed());
            ControlFlow::Break(())
        }
    };
    let followed = follow(&host, transport, &session.route.doc, &copy, &mut watch);
    let ended = within(host.deadline(), "coming back", followed).await;
    let synced = ended.and_then(|()| synced.ok_or_else(|| Failure::closed("the answer ended early")));
    match opened {
        Some((phases, first_byte)) => session.measuring.opened(began, &phases, first_byte),
        None => {
            let kind = synced.as_ref().err().map_or(crate::failure::Kind::Closed, |failure| failure.kind);
            session.measuring.failed(Metric::Connect, kind);
            session.measuring.failed(Metric::Ttfb, kind);
        }
    }
    session.measuring.ended(Metric::Reconnect, began, &synced);
    synced.map(drop)
}

/// An edit is acknowledged, and at once a client comes that knows nothing.
async fn converge(session: &mut Session) -> Result<(), Failure> {
    let (host, transport) = (Arc::clone(&session.route.to), session.route.transport);
    // An edit that is not acknowledged says nothing of how soon it is seen.
    let (number, acked) = session.edit_aside().await?;
    let copy = Copy::new();
    let has_it =
        |replica: &crate::edits::Replica| replica.newest(&acked.lane).is_some_and(|newest| newest >= number);
    let reading = async {
        let mut found = None;
        while found.is_none() {
            let mut watch = |_: Event, replica: &crate::edits::Replica| {
                if !has_it(replica) {
                    return ControlFlow::Continue(());
                }
                found = Some(acked.at.elapsed());
                ControlFlow::Break(())
            };
            follow(&host, transport, &session.route.doc, &copy, &mut watch).await?;
        }
        found.ok_or_else(|| Failure::closed("the answer ended early"))
    };
    let taken = within(acked.at + host.timeout, "a new reader", reading).await;
    session.measuring.ended(Metric::Converge, acked.at, &taken);
    taken.map(drop)
}

/// From a request's first byte on a connection that stands until a document of this name is there.
async fn first_answer(host: &Arc<Host>, transport: Transport, doc: &str) -> Result<Duration, Failure> {
    if transport == Transport::Ws {
        let (line, _) = host.dial().await?;
        let began = Instant::now();
        let (mut socket, ..) = host.socket(line, doc).await?;
        socket.send([wire::step_1(&[0])]).await?;
        loop {
            let frame = socket.next().await?;
            if Messages::new(&frame).flatten().any(|message| matches!(message, Message::SyncStep2(_))) {
                return Ok(began.elapsed());
            }
        }
    }
    let (mut http, _) = host.http().await?;
    let began = Instant::now();
    make(&mut http, &host.target.stream(doc)).await?;
    Ok(began.elapsed())
}
