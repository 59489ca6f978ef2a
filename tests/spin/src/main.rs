//! A test host: runs a Spin component as Spin 4.0 does, and is stricter. See the README beside `Cargo.toml`.

mod chance;
mod guest;
mod keyvalue;
mod outbound;
mod redis;
mod report;
mod serve;
mod sqlite;
mod store;

use anyhow::{Context as _, Result, anyhow};
use chance::{Chance, Failing};
use clap::Parser;
use guest::{Instances, Reuse};
use outbound::{Origin, Outbound};
use report::Report;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Backend, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a component of Spin SDK 6 (wasi:http 0.3.0-rc-2026-03-15) as Spin 4.0 does, and fails what would hurt on some
/// host. Prints `ready http://ADDRESS` once it listens; ends at once on SIGINT and SIGTERM.
#[derive(Parser)]
struct Arguments {
    /// The component.
    component: PathBuf,
    /// Where to listen; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Where to serve `GET /.host/metrics`. Its address is printed before `ready`, as `admin http://ADDRESS`.
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// Keep the key-value store in this SQLite file; without it, and without --redis, it is in memory.
    #[arg(long, conflicts_with = "redis")]
    sqlite: Option<PathBuf>,
    /// Keep the key-value store in this Redis database.
    #[arg(long)]
    redis: Option<String>,
    /// A variable of the component, as NAME=VALUE.
    #[arg(long = "variable", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// Requests that an instance serves in its life.
    #[arg(long, default_value = "128", value_parser = at_least_one)]
    max_instance_reuse_count: usize,
    /// Requests that an instance serves at a time.
    #[arg(long, default_value = "16", value_parser = at_least_one)]
    max_instance_concurrent_reuse_count: usize,
    /// How long an instance lives without a request: seconds, or with a unit s, ms, us, ns.
    #[arg(long, default_value = "1s", value_parser = duration)]
    idle_instance_timeout: Duration,
    /// Bytes of memory that an instance may have.
    #[arg(long, default_value = "4294967296")]
    max_instance_memory: usize,
    /// An origin that the component may send requests to, as http://HOST:PORT.
    #[arg(long)]
    allow_outbound: Vec<Origin>,
    /// Be a store without counters: increments fail.
    #[arg(long)]
    no_counter: bool,
    /// The mean delay before an operation on the store, in microseconds. The longest is twice as long.
    #[arg(long, default_value = "100")]
    store_delay: u64,
    /// Let operations on the store fail, as OPERATION=PROBABILITY; the operation `all` is each of get, set, delete, exists,
    /// increment and list_keys. Half of those that fail were done.
    #[arg(long)]
    fail: Vec<Failing>,
    /// The seed of delays and failures.
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Keep what components are compiled to in this folder, for the next start.
    #[arg(long)]
    compiled: Option<PathBuf>,
    /// Append violations to this file.
    #[arg(long)]
    violations: Option<PathBuf>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "not a number from 1 on".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let count: u64 = digits.parse().map_err(|_| "not a number with a unit")?;
    match &text[digits.len()..] {
        "" | "s" => Ok(Duration::from_secs(count)),
        "ms" => Ok(Duration::from_millis(count)),
        "us" => Ok(Duration::from_micros(count)),
        "ns" => Ok(Duration::from_nanos(count)),
        _ => Err("the unit is none of s, ms, us, ns".to_owned()),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        served = run(arguments) => served,
        _ = tokio::signal::ctrl_c() => std::process::exit(0),
        _ = terminated.recv() => std::process::exit(0),
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let file = match &arguments.violations {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Some(file.with_context(|| format!("cannot open {}", path.display()))?)
        }
        None => None,
    };
    let report = Arc::new(Report::new(file));
    let backend = match &arguments.redis {
        Some(url) => redis::Redis::open(url).await.map(Backend::Redis),
        None => sqlite::Sqlite::open(arguments.sqlite.as_deref()).map(Backend::Sqlite),
    };
    let backend = backend.map_err(|error| anyhow!("cannot open the key-value store: {error}"))?;
    let delay = Duration::from_micros(arguments.store_delay);
    let chance = Chance::new(arguments.seed, arguments.fail, delay);
    let store = Store::new(backend, chance, !arguments.no_counter, report.clone());
    let reuse = Reuse {
        count: arguments.max_instance_reuse_count,
        concurrent: arguments.max_instance_concurrent_reuse_count,
        idle: arguments.idle_instance_timeout,
        memory: arguments.max_instance_memory,
    };
    let variables = arguments.variables.into_iter().collect();
    let outbound = Outbound::new(arguments.allow_outbound);
    let instances = Instances::new(reuse, store, variables, outbound, report.clone())?;
    let handler = instances.handler(&arguments.component, arguments.compiled.as_deref())?;

    let bind = async |address: SocketAddr| {
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    };
    if let Some(address) = arguments.admin {
        let listener = bind(address).await?;
        println!("admin http://{}", listener.local_addr()?);
        tokio::spawn(serve::serve_metrics(listener, report));
    }
    let listener = bind(arguments.listen).await?;
    println!("ready http://{}", listener.local_addr()?);
    serve::serve(listener, handler).await
}
