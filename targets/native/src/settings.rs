//! The command line and the environment.

use crate::latency::Latency;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A sync server for Yjs documents: your clients keep y-websocket, yonder keeps every edit.
///
/// Without a command it serves, at http://127.0.0.1:8787 and with its data in ./data.
#[derive(Debug, Parser)]
#[command(name = "yonder", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve documents (the default).
    Serve(Serve),
    /// Make a token that opens documents, signed with the server's key.
    Token(Token),
    /// Make a random key for --auth-key.
    Key(Key),
    /// Measure what a collaborator feels, at one server or several, side by side.
    ///
    /// Edits are due at fixed times, whatever happened to earlier ones, and latency counts from then: a server that
    /// stalls shows it. Exits with 1 if a condition of --fail-if is met, 2 if it was called wrongly, 3 if nothing could be
    /// measured.
    Latency(Latency),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on. Without a key only a loopback address will do.
    #[arg(long, env = "YONDER_LISTEN", default_value = "127.0.0.1:8787", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,

    /// Directory for the documents; made if it is not there. One server at a time.
    #[arg(long, env = "YONDER_DATA", default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,

    /// Key that tokens are signed with: SECRET or KID:SECRET (see 'yonder key'). Repeat it to rotate (in the
    /// environment: one a line): the first signs, all are accepted.
    #[arg(long, env = "YONDER_AUTH_KEY", value_name = "KEY", value_delimiter = '\n', hide_env_values = true)]
    pub(crate) auth_key: Vec<String>,

    /// Where clients reach the server, scheme and host: what y-sweet's API tells them. Without it, the
    /// address that each request was sent to.
    #[arg(long, env = "YONDER_PUBLIC_URL", value_name = "URL", value_parser = yonder_core::settings::public_url)]
    pub(crate) public_url: Option<String>,

    /// Serve everyone who can reach the address, without a token.
    #[arg(long, env = "YONDER_INSECURE_OPEN")]
    pub(crate) insecure_open: bool,

    /// How logs are written, to standard error.
    #[arg(long, env = "YONDER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// What is logged: error, warn, info, debug, or a filter such as yonder=debug.
    #[arg(long, env = "YONDER_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,

    #[command(flatten, next_help_heading = "Limits")]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Connections at once, over all documents.
    #[arg(long, env = "YONDER_MAX_CONNECTIONS", default_value_t = 50_000, value_name = "N")]
    pub(crate) max_connections: usize,

    /// Connections at once to one document.
    #[arg(long, env = "YONDER_MAX_CONNECTIONS_PER_DOCUMENT", default_value_t = 10_000, value_name = "N")]
    pub(crate) max_connections_per_document: usize,

    /// Requests to one document that are held at once: long-polls and event streams.
    #[arg(long, env = "YONDER_MAX_HELD_PER_DOCUMENT", default_value_t = 10_000, value_name = "N")]
    pub(crate) max_held_per_document: usize,

    /// Seconds that a long-poll is held at most.
    #[arg(long, env = "YONDER_LONG_POLL_SECONDS", default_value_t = 25, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) long_poll_seconds: u64,

    /// Seconds after which an event stream ends at the latest, and its client comes back.
    #[arg(long, env = "YONDER_SSE_SECONDS", default_value_t = 60, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) sse_seconds: u64,

    /// Documents open at once.
    #[arg(long, env = "YONDER_MAX_DOCUMENTS", default_value_t = 100_000, value_name = "N")]
    pub(crate) max_documents: usize,

    /// Megabytes of one document.
    #[arg(long, env = "YONDER_MAX_DOCUMENT_MB", default_value_t = 256, value_name = "MB")]
    pub(crate) max_document_mb: u64,

    /// Megabytes of one message, an offline client's whole document included.
    #[arg(long, env = "YONDER_MAX_MESSAGE_MB", default_value_t = 32, value_name = "MB")]
    pub(crate) max_message_mb: usize,

    /// Kilobytes that may wait for one connection before it is closed as too slow.
    #[arg(long, env = "YONDER_MAX_QUEUE_KB", default_value_t = 8192, value_name = "KB")]
    pub(crate) max_queue_kb: usize,

    /// Updates in a document's log before they are compacted into a snapshot.
    #[arg(long, env = "YONDER_COMPACT_UPDATES", default_value_t = 1000, value_name = "N")]
    pub(crate) compact_updates: u64,

    /// Kilobytes in a document's log before they are compacted; half the snapshot's size if that is more.
    #[arg(long, env = "YONDER_COMPACT_KB", default_value_t = 256, value_name = "KB")]
    pub(crate) compact_kb: u64,

    /// Milliseconds within which an edit is stored while its client waits for no acknowledgement (y-websocket's
    /// never do); one commit then serves all documents. 0 stores each at once.
    #[arg(long, env = "YONDER_COMMIT_INTERVAL_MS", default_value_t = 100, value_name = "MS")]
    pub(crate) commit_interval_ms: u64,

    /// Seconds that a document without connections stays in memory.
    #[arg(long, env = "YONDER_LINGER_SECONDS", default_value_t = 10, value_name = "SECONDS")]
    pub(crate) linger_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct Token {
    /// The server's key, as for 'yonder serve'. Of several, the first signs.
    #[arg(
        long,
        env = "YONDER_AUTH_KEY",
        value_name = "KEY",
        value_delimiter = '\n',
        hide_env_values = true,
        required = true
    )]
    pub(crate) auth_key: Vec<String>,

    /// The one document that the token opens.
    #[arg(long, value_name = "NAME", group = "scope")]
    pub(crate) doc: Option<String>,

    /// Opens every document whose name begins with this; '' for all.
    #[arg(long, group = "scope")]
    pub(crate) prefix: Option<String>,

    /// The service (a namespace of /v1/yjs) that these documents are in.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,

    /// What its bearer may do.
    #[arg(long, value_enum, default_value_t = Perm::Write)]
    pub(crate) permission: Perm,

    /// How long it is valid: 30m, 8h, 7days.
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) valid_for: Duration,

    /// Whose token it is.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Perm {
    /// See the document and who is there.
    Read,
    /// Also edit it.
    Write,
    /// Also list, copy and delete documents, and make tokens: y-sweet's server token.
    Admin,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// A name for the key, so that it can be rotated later.
    #[arg(long, value_name = "KID")]
    pub(crate) kid: Option<String>,
}
