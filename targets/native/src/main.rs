//! `yonder`: the native server and the command line.
//!
//! What is true of this host only: a task per room ([`rooms`]), a bounded queue per connection ([`outbound`]),
//! the log in SQLite ([`store`]), the page. What a message means, what a request is and who may do what is the
//! core's.

#![forbid(unsafe_code)]

mod body;
mod held;
mod host;
mod latency;
mod metrics;
mod outbound;
mod page;
mod patient;
mod rooms;
mod server;
mod settings;
mod socket;
mod store;

use clap::Parser as _;
use metrics::Metrics;
use rooms::Rooms;
use server::App;
use settings::{Cli, Command, LogFormat, Perm, Serve, Token};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;
use yonder_core::auth::{Claims, Keys, Permission, Scope};
use yonder_core::http::{Access, Config};
use yonder_core::limits::{Compaction, Limits};

/// Bytes of a key below which a token can be guessed offline (RFC 7518, 3.2).
const KEY_BYTES: usize = 32;
/// How long peers have to hear that the server stops.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(3);
/// How long a stop may take before what still waits is given up.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run(cli.serve),
        Some(Command::Serve(serve)) => run(serve),
        Some(Command::Token(token)) => mint(&token),
        Some(Command::Key(key)) => random_key(key.kid.as_deref()),
        Some(Command::Latency(args)) => return latency::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("yonder: {message}");
            ExitCode::FAILURE
        }
    }
}

fn mint(token: &Token) -> Result<(), String> {
    let keys = parse_keys(&token.auth_key)?;
    let scope = match (&token.doc, &token.prefix) {
        (Some(doc), _) => Scope::Doc(doc.clone()),
        (None, Some(prefix)) => Scope::Prefix(prefix.clone()),
        (None, None) => return Err("give --doc or --prefix".to_owned()),
    };
    let perm = match token.permission {
        Perm::Read => Permission::Read,
        Perm::Write => Permission::Write,
        Perm::Admin => Permission::Admin,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let exp = now.saturating_add(token.valid_for).as_secs();
    let (service, sub) = (token.service.clone(), token.user.clone());
    println!("{}", keys.mint(&Claims { scope, service, perm, exp, nbf: None, sub }));
    Ok(())
}

fn random_key(kid: Option<&str>) -> Result<(), String> {
    use base64::Engine as _;
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random bytes: {error}"))?;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    match kid {
        Some(kid) => println!("{kid}:{secret}"),
        None => println!("{secret}"),
    }
    Ok(())
}

fn parse_keys(keys: &[String]) -> Result<Keys, String> {
    Keys::parse(keys.iter().map(String::as_str)).map_err(str::to_owned)
}

fn access(serve: &Serve) -> Result<Access, String> {
    if !serve.auth_key.is_empty() {
        return Ok(Access::Keys(parse_keys(&serve.auth_key)?));
    }
    if serve.insecure_open {
        return Ok(Access::Open);
    }
    if serve.listen.ip().is_loopback() {
        return Ok(Access::OpenOnLoopback);
    }
    Err(format!(
        "{} can be reached from other machines, and there is no key: everyone could read and change every document.\n\
         Give a key:             yonder serve --auth-key \"$(yonder key)\"\n\
         or mean it:             yonder serve --insecure-open",
        serve.listen
    ))
}

fn run(serve: Serve) -> Result<(), String> {
    let filter = EnvFilter::try_new(&serve.log).map_err(|error| format!("--log: {error}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match serve.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    let access = access(&serve)?;
    match &access {
        Access::Keys(_) => {
            let bytes = |key: &String| key.split_once(':').map_or(key.len(), |(_, secret)| secret.len());
            if serve.auth_key.iter().any(|key| bytes(key) < KEY_BYTES) {
                tracing::warn!(
                    "a key has under {KEY_BYTES} bytes and may be guessed; 'yonder key' makes a good one"
                );
            }
        }
        Access::OpenOnLoopback => {
            tracing::warn!(listen = %serve.listen, "no key: open to everyone on this machine, and to no one else");
        }
        Access::Open => tracing::warn!(listen = %serve.listen, "no key: open to everyone who can reach it"),
        // A server that nobody could use need not run.
        Access::Closed(why) => return Err(why.clone()),
    }
    match server::raise_file_limit() {
        Ok(files) => tracing::debug!(files, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
    let (store, running) = Store::open(&serve.data)
        .map_err(|error| format!("cannot open the documents in {}: {error}", serve.data.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(listen(&serve, access, store))?;
    // Connections that are still open end here; then nothing holds the store any more.
    runtime.shutdown_timeout(STOP_PATIENCE);
    running.stop();
    tracing::info!("stopped; everything accepted is stored");
    Ok(())
}

async fn listen(serve: &Serve, access: Access, store: Store) -> Result<(), String> {
    let limits = Arc::new(limits(serve));
    let config = Config { access, public_url: serve.public_url.clone(), limits: Arc::clone(&limits) };
    let metrics = Arc::new(Metrics::new());
    let linger = Duration::from_secs(serve.limits.linger_seconds);
    let documents = serve.limits.max_documents;
    let rooms = Rooms::new(
        store.clone(),
        limits,
        documents,
        linger,
        serve.limits.max_queue_kb << 10,
        Arc::clone(&metrics),
    );
    let app = Arc::new(App {
        config: Arc::new(config),
        store,
        rooms: rooms.clone(),
        metrics,
        queue_bytes: serve.limits.max_queue_kb << 10,
        bodies: Arc::new(Semaphore::new(body::BODIES_KIB)),
        sockets: Arc::new(Semaphore::new(serve.limits.max_connections.min(Semaphore::MAX_PERMITS))),
        next_conn: AtomicU64::new(1),
        tasks: TaskTracker::new(),
    });
    let listener = TcpListener::bind(serve.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", serve.listen))?;
    let address = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    // The contract with scripts: one line, when the server answers. Whoever started us may have stopped reading.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "ready http://{address}").and_then(|()| out.flush());
    tracing::info!(data = %serve.data.display(), "serving http://{address}");

    let stop = CancellationToken::new();
    let server = server::serve(listener, Arc::clone(&app), serve.limits.max_connections, stop.clone());
    tokio::select! {
        () = server => {}
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        _ = terminate.recv() => tracing::info!("terminated: stopping"),
    }
    stop.cancel();
    app.tasks.close();
    let rest = async {
        rooms.close().await;
        // Everything is stored; what is left is to say goodbye.
        let _ = tokio::time::timeout(GOODBYE_PATIENCE, app.tasks.wait()).await;
    };
    tokio::select! {
        () = rest => {}
        () = tokio::time::sleep(STOP_PATIENCE) => tracing::error!("some documents did not come to rest in time"),
        _ = interrupt.recv() => tracing::warn!("interrupted again: not waiting"),
    }
    Ok(())
}

fn limits(serve: &Serve) -> Limits {
    let args = &serve.limits;
    let frame_bytes = args.max_message_mb << 20;
    Limits {
        frame_bytes,
        update_bytes: frame_bytes,
        document_bytes: args.max_document_mb << 20,
        connections: args.max_connections_per_document,
        held: args.max_held_per_document,
        long_poll: args.long_poll_seconds * 1000,
        event_stream: args.sse_seconds * 1000,
        commit_interval: args.commit_interval_ms,
        // A cold load here is one range of rows, so the tail may be longer than where each update is a read.
        compaction: Compaction {
            updates: args.compact_updates,
            bytes: args.compact_kb << 10,
            ..Limits::default().compaction
        },
        ..Limits::default()
    }
}
