//! `yonder latency` against a real server, behind a network that is as slow as it is told to be.

mod broken;
mod command;
mod injected;
mod network;
mod server;
mod tls;

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use yonder_latency::result::{Measured, Outcome, Summary, Transport};
use yonder_latency::{Plan, Server};

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// What measures has the machine to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A short run of WebSockets without anything beside edits.
fn plan(url: &str) -> Plan {
    Plan {
        servers: vec![Server { url: url.to_owned(), token: None }],
        duration: Duration::from_secs(2),
        rate: 50.0,
        warm_up: Duration::ZERO,
        timeout: Duration::from_secs(5),
        transports: vec![Transport::Ws],
        fresh: 0,
        doc: None,
        same_deployment: false,
    }
}

fn run(plan: &Plan) -> Done<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(yonder_latency::run(plan, &CancellationToken::new(), |_| {})))
}

/// What was found of a transport of the first host.
fn found(outcome: &Outcome, transport: Transport) -> Done<&Measured> {
    let host = outcome.hosts.first().ok_or("no host")?;
    host.transports.get(&transport).ok_or_else(|| format!("no {transport}: {:?}", host.error).into())
}

/// All that were due, however they ended.
fn due(summary: &Summary) -> u64 {
    summary.count + summary.failed
}

fn known(value: Option<f64>) -> Done<f64> {
    value.ok_or_else(|| "a figure is not known".into())
}
