//! The other client: it follows a document all the time, and comes back when its connection ends.

use crate::failure::Failure;
use crate::follow::{Copy, Event, follow};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::result::Transport;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long it waits before it comes back after a failure: the first time, and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A reader, which has a task of its own.
pub(crate) struct Reader {
    pub(crate) copy: Copy,
    live: watch::Receiver<bool>,
    failure: Arc<Mutex<Option<Failure>>>,
    _task: AbortOnDropHandle<()>,
}

impl Reader {
    /// Follows with this copy, and tells the ledger what arrives.
    pub(crate) fn new(
        host: Arc<Host>,
        transport: Transport,
        doc: &str,
        copy: Copy,
        ledger: Arc<Ledger>,
    ) -> Self {
        let (says_live, live) = watch::channel(false);
        let failure = Arc::new(Mutex::new(None));
        let following = Following {
            host,
            transport,
            doc: doc.to_owned(),
            copy: copy.clone(),
            ledger,
            live: says_live,
            failure: Arc::clone(&failure),
        };
        Self { copy, live, failure, _task: AbortOnDropHandle::new(tokio::spawn(following.run())) }
    }

    /// Resolves once it follows; with its last failure if that is too late.
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Failure> {
        let mut live = self.live.clone();
        if matches!(tokio::time::timeout(timeout, live.wait_for(|live| *live)).await, Ok(Ok(_))) {
            return Ok(());
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(failure.unwrap_or_else(|| Failure::timeout("a reader's connection")))
    }
}

struct Following {
    host: Arc<Host>,
    transport: Transport,
    doc: String,
    copy: Copy,
    ledger: Arc<Ledger>,
    live: watch::Sender<bool>,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Following {
    async fn run(self) {
        let mut wait = WAITS.0;
        loop {
            let ended = tokio::select! {
                ended = self.once() => ended,
                () = self.too_late() => Err(Failure::timeout("a reader's connection")),
            };
            // One that was live and ended, as event streams do, comes back at once.
            let was_live = self.live.send_replace(false);
            if was_live {
                wait = WAITS.0;
            }
            if let Err(failure) = ended {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAITS.1);
            }
        }
    }

    async fn once(&self) -> Result<(), Failure> {
        let mut watch = |event: Event, replica: &crate::edits::Replica| {
            match event {
                Event::Opened { .. } => {}
                Event::Changed => self.ledger.arrived(|lane| replica.newest(lane)),
                Event::Live => drop(self.live.send_replace(true)),
            }
            ControlFlow::Continue(())
        };
        follow(&self.host, self.transport, &self.doc, &self.copy, &mut watch).await
    }

    /// Resolves if it is not live in time.
    async fn too_late(&self) {
        let mut live = self.live.subscribe();
        if tokio::time::timeout(self.host.timeout, live.wait_for(|live| *live)).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}
