//! `yonder latency`: the command line of [`yonder_latency`].

use clap::Args;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use yonder_latency::compare::{compare, text as compared};
use yonder_latency::condition::Condition;
use yonder_latency::result::{Outcome, Transport};
use yonder_latency::{Plan, SCHEMA, Server, Show, report, rows, table};

/// A condition of --fail-if was met.
const MET: u8 = 1;
/// What was asked for makes no sense.
const USAGE: u8 = 2;
/// Nothing could be measured.
const NOTHING: u8 = 3;
/// Interrupted twice, as a shell has it.
const INTERRUPTED: i32 = 130;
/// What `cargo xtask up` runs, each where it does if not said otherwise.
const LOCAL: [(&str, &str); 4] = [
    ("native", "http://127.0.0.1:8080"),
    ("cloudflare", "http://127.0.0.1:8787"),
    ("spin", "http://127.0.0.1:3000"),
    ("fastly", "http://127.0.0.1:7676"),
];
/// How long a host of --local has to answer.
const LOCAL_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Latency {
    /// The servers, https:// or http://. Their documents are named latency/..., and deleted afterwards.
    #[arg(value_name = "URL", required_unless_present_any = ["local", "schema"])]
    urls: Vec<String>,

    /// Those of `cargo xtask up` on this machine: native at port 8080, cloudflare 8787, spin 3000, fastly 7676. What
    /// does not answer is left out.
    #[arg(long)]
    local: bool,

    /// A token: one for all servers, or one for each in their order.
    #[arg(
        long,
        env = "YONDER_LATENCY_TOKEN",
        value_name = "TOKEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    token: Vec<String>,

    /// How long edits are due, for each server and transport.
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Edits a second.
    #[arg(long, default_value_t = 20.0, value_name = "N", value_parser = rate)]
    rate: f64,

    /// Ways to measure: ws, sse, long-poll.
    #[arg(long, default_value = "ws,sse,long-poll", value_name = "WAYS", value_delimiter = ',')]
    transport: Vec<Transport>,

    /// How often each way connects anew: for connect, ttfb, converge, reconnect, cold and warm.
    #[arg(long, default_value_t = 10, value_name = "N")]
    fresh: u32,

    /// How long edits are made before that are not recorded.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    warm_up: Duration,

    /// When an operation has failed.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// The document to edit, for a token that opens only one. Each run leaves a few entries in its map `latency`,
    /// unless the run made it.
    #[arg(long, value_name = "NAME")]
    doc: Option<String>,

    /// All URLs lead to the same documents: also write through each, and read through each other.
    #[arg(long)]
    same_deployment: bool,

    /// Writes the result, histograms included, as JSON (see --schema); - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Writes a row for each server, way and metric; - is standard output.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Writes a page with charts; - is standard output.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Exits with 1 if this is so: 'p99 > 200ms' (of propagation), 'ws.ack.p90 > 1s', 'failed > 1%'. May be repeated.
    /// What is not known counts as so.
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Condition>,

    /// Tells what differs from an earlier run's --json, and whether that is noise.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// Prints the JSON Schema of --json.
    #[arg(long)]
    schema: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0.01 to 10000".to_owned()),
    }
}

/// Measures, and tells. The process ends with what this gives.
pub(crate) fn run(args: &Latency) -> ExitCode {
    if args.schema {
        return code(show(SCHEMA).map(|()| 0));
    }
    code(measured(args))
}

fn code(ended: Result<u8, String>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("yonder latency: {message}");
            ExitCode::from(USAGE)
        }
    }
}

fn measured(args: &Latency) -> Result<u8, String> {
    if outputs(args).filter(|path| is_stdout(path)).count() > 1 {
        return Err("only one of --json, --csv and --report can be standard output".to_owned());
    }
    let old = args.compare.as_deref().map(read).transpose()?;
    // Nobody wants to learn after ten minutes that there was no place for what they brought.
    outputs(args).try_for_each(writable)?;
    // One thread: what hands work from one to another is late by that.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let outcome = runtime.block_on(async {
        let plan = plan(args).await?;
        if plan.servers.is_empty() {
            return Ok(None);
        }
        let stop = CancellationToken::new();
        let interrupted = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
                // Whoever asks twice does not want to wait for what is on its way.
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        let mut show = Show::default();
        let outcome = yonder_latency::run(&plan, &stop, |progress| show.tell(progress)).await;
        show.end();
        Ok::<_, String>(Some(outcome))
    })?;
    match outcome {
        Some(outcome) => tell(args, &outcome, old.as_ref()),
        None => Ok(nothing()),
    }
}

async fn plan(args: &Latency) -> Result<Plan, String> {
    let mut urls = args.urls.clone();
    if args.local {
        for (host, url) in LOCAL {
            let server = Server { url: url.to_owned(), token: args.token.first().cloned() };
            match yonder_latency::look(&server, LOCAL_PATIENCE.min(args.timeout)).await {
                Ok(_) => urls.push(url.to_owned()),
                Err(why) => eprintln!("{url} ({host}) is left out: {why}"),
            }
        }
    }
    let token = |place: usize| match args.token.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        many if many.len() == urls.len() => Ok(many.get(place).cloned()),
        many => Err(format!(
            "{} tokens for {} servers: give one for all, or one for each",
            many.len(),
            urls.len()
        )),
    };
    let servers =
        urls.iter().enumerate().map(|(place, url)| Ok(Server { url: url.clone(), token: token(place)? }));
    let mut transports = args.transport.clone();
    transports.sort_unstable();
    transports.dedup();
    Ok(Plan {
        servers: servers.collect::<Result<_, String>>()?,
        duration: args.duration,
        rate: args.rate,
        warm_up: args.warm_up,
        timeout: args.timeout,
        transports,
        fresh: args.fresh,
        doc: args.doc.clone(),
        same_deployment: args.same_deployment,
    })
}

/// Writes what was asked for, and the table where that leaves room for it.
fn tell(args: &Latency, outcome: &Outcome, old: Option<&Outcome>) -> Result<u8, String> {
    let mut said = table::text(outcome);
    if let Some(old) = old {
        said.push_str(&format!("\n{}", compared(&compare(old, outcome))));
    }
    if outputs(args).any(is_stdout) {
        eprint!("{said}");
    } else {
        show(&said)?;
    }
    if let Some(path) = &args.json {
        let json =
            serde_json::to_string(outcome).map_err(|error| format!("the result is no JSON: {error}"))?;
        write(path, &(json + "\n"))?;
    }
    if let Some(path) = &args.csv {
        write(path, &rows::csv(outcome).map_err(|error| format!("the result is no CSV: {error}"))?)?;
    }
    if let Some(path) = &args.report {
        write(path, &report::html(outcome))?;
    }
    if outcome.hosts.iter().all(|host| host.transports.values().all(|measured| measured.ack.count == 0)) {
        return Ok(nothing());
    }
    let findings: Vec<_> = args.fail_if.iter().flat_map(|condition| condition.check(outcome)).collect();
    for finding in &findings {
        eprintln!("{}", finding.message);
    }
    Ok(if findings.iter().any(|finding| finding.fails) { MET } else { 0 })
}

/// Where the result goes, besides the table.
fn outputs(args: &Latency) -> impl Iterator<Item = &Path> {
    [&args.json, &args.csv, &args.report].into_iter().flatten().map(PathBuf::as_path)
}

fn nothing() -> u8 {
    eprintln!("yonder latency: nothing could be measured");
    NOTHING
}

fn read(path: &Path) -> Result<Outcome, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is no result of a run: {error}", path.display()))
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if is_stdout(path) {
        return show(text);
    }
    fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

/// Prints; who reads may have enough before the end.
fn show(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot print: {error}")),
        _ => Ok(()),
    }
}

/// Fails unless a file can be written, and leaves what is in it.
fn writable(path: &Path) -> Result<(), String> {
    if is_stdout(path) {
        return Ok(());
    }
    let opened = fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}
