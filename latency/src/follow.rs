//! Reading a document live, by each transport: what a reader, one that comes back and one that is new have in common.

use crate::edits::{EMPTY, Replica};
use crate::failure::{Failure, Kind};
use crate::host::{Answer, Host};
use crate::line::Phases;
use crate::result::Transport;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::Method;
use sse_stream::SseStream;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use yonder_core::wire::{self, Message, Messages};

/// Bytes of a refusal that are read.
const REFUSAL_MAX: usize = 64 << 10;

/// What happens to a reader.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// Its connection stands, and its first question has its first byte of answer.
    Opened { phases: Phases, first_byte: Duration },
    /// It has something new.
    Changed,
    /// It has all that there is, and follows from here.
    Live,
}

/// Who is told, and says whether to go on.
pub(crate) type Watch<'a> = &'a mut (dyn FnMut(Event, &Replica) -> ControlFlow<()> + Send);

/// A reader's copy, which outlives its connections.
#[derive(Clone)]
pub(crate) struct Copy(Arc<Mutex<Replica>>);

impl Copy {
    /// One that knows nothing.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Replica::new())))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Replica> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that has the same, for another reader.
    pub(crate) fn twin(&self) -> Result<Self, Failure> {
        let own = self.lock();
        let mut twin = Replica::new();
        twin.apply(&own.state())?;
        twin.offset.clone_from(&own.offset);
        Ok(Self(Arc::new(Mutex::new(twin))))
    }

    fn tell(&self, watch: Watch<'_>, event: Event) -> ControlFlow<()> {
        watch(event, &self.lock())
    }
}

/// Connects and follows a document, until it is told to stop or the connection ends.
pub(crate) async fn follow(
    host: &Arc<Host>,
    transport: Transport,
    doc: &str,
    copy: &Copy,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    match transport {
        Transport::Ws => by_socket(host, doc, copy, watch).await,
        Transport::Sse => by_events(host, doc, copy, watch).await,
        Transport::LongPoll => by_polls(host, doc, copy, watch).await,
    }
}

async fn by_socket(host: &Arc<Host>, doc: &str, copy: &Copy, watch: Watch<'_>) -> Result<(), Failure> {
    let (line, mut phases) = host.dial().await?;
    let (mut socket, upgrade, first_byte) = host.socket(line, doc).await?;
    phases.upgrade = upgrade;
    if copy.tell(watch, Event::Opened { phases, first_byte }).is_break() {
        return Ok(());
    }
    let known = copy.lock().state_vector();
    socket.send([wire::step_1(&known)]).await?;
    loop {
        let frame = socket.next().await?;
        let mut answer = None;
        for message in Messages::new(&frame) {
            let events: &[Event] = match message.map_err(unreadable)? {
                // What this reader has it was given.
                Message::SyncStep1(_) => {
                    answer = Some(wire::step_2(EMPTY));
                    &[]
                }
                Message::SyncStep2(update) => {
                    copy.lock().apply(update)?;
                    &[Event::Changed, Event::Live]
                }
                Message::Update(update) => {
                    copy.lock().apply(update)?;
                    &[Event::Changed]
                }
                // Where it was refused, the close says more.
                Message::Auth(_) | Message::Awareness(_) | Message::QueryAwareness | Message::Echo(_) => &[],
            };
            for event in events {
                if copy.tell(watch, *event).is_break() {
                    return Ok(());
                }
            }
        }
        if let Some(answer) = answer {
            socket.send([answer]).await?;
        }
    }
}

async fn by_events(host: &Arc<Host>, doc: &str, copy: &Copy, watch: Watch<'_>) -> Result<(), Failure> {
    let (mut http, phases) = host.http().await?;
    let path = format!("{}?offset={}&live=sse", host.target.stream(doc), place(copy));
    let (head, body) = http.open(Method::GET, &path, Bytes::new()).await?.into_parts();
    if head.status != 200 {
        let body = Limited::new(body, REFUSAL_MAX).collect().await.map_err(Failure::closed)?;
        return Err(Failure::status(head.status.as_u16(), &body.to_bytes()));
    }
    let first_byte = http.first_byte();
    if copy.tell(watch, Event::Opened { phases, first_byte }).is_break() {
        return Ok(());
    }
    let mut events = SseStream::new(body);
    while let Some(event) = events.next().await {
        let event = event.map_err(Failure::closed)?;
        let data = event.data.unwrap_or_default();
        match event.event.as_deref() {
            Some("data") => {
                let frames = STANDARD.decode(data).map_err(unreadable)?;
                copy.lock().apply_frames(&frames)?;
                if copy.tell(watch, Event::Changed).is_break() {
                    return Ok(());
                }
            }
            Some("control") => {
                let control: serde_json::Value = serde_json::from_str(&data).map_err(unreadable)?;
                let next = control.get("streamNextOffset").and_then(|next| next.as_str());
                copy.lock().offset = next.map(str::to_owned);
                let is_live = control.get("upToDate").is_some_and(|value| value == true);
                if is_live && copy.tell(watch, Event::Live).is_break() {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

async fn by_polls(host: &Arc<Host>, doc: &str, copy: &Copy, watch: Watch<'_>) -> Result<(), Failure> {
    let (mut http, phases) = host.http().await?;
    let stream = host.target.stream(doc);
    let mut is_opened = false;
    loop {
        let path = format!("{stream}?offset={}", place(copy));
        let answer = http.ask(Method::GET, &path, Bytes::new()).await?.ok()?;
        let first_byte = http.first_byte();
        if !is_opened && copy.tell(watch, Event::Opened { phases, first_byte }).is_break() {
            return Ok(());
        }
        is_opened = true;
        if take(&answer, copy, watch)?.is_break() {
            return Ok(());
        }
        if answer.header("stream-up-to-date").is_some() || answer.body.is_empty() {
            break;
        }
    }
    if copy.tell(watch, Event::Live).is_break() {
        return Ok(());
    }
    let mut cursor = String::new();
    loop {
        let path = format!("{stream}?offset={}&live=long-poll{cursor}", place(copy));
        let answer = http.ask(Method::GET, &path, Bytes::new()).await?.ok()?;
        cursor = answer.header("stream-cursor").map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        if take(&answer, copy, watch)?.is_break() {
            return Ok(());
        }
    }
}

/// Takes what an answer brings, and where it ends.
fn take(answer: &Answer, copy: &Copy, watch: Watch<'_>) -> Result<ControlFlow<()>, Failure> {
    let Some(next) = answer.header("stream-next-offset") else {
        return Err(Failure::new(Kind::Protocol, "an answer has no Stream-Next-Offset"));
    };
    let mut replica = copy.lock();
    replica.apply_frames(&answer.body)?;
    replica.offset = Some(next.to_owned());
    if answer.body.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    Ok(watch(Event::Changed, &replica))
}

/// Where the next read goes on.
fn place(copy: &Copy) -> String {
    copy.lock().offset.clone().unwrap_or_else(|| "-1".to_owned())
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Protocol, format!("not what the protocol has: {error}"))
}
