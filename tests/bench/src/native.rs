//! The comparison of whole servers: which of them there are, which cases run, and in what detail.

use crate::process;
use crate::report::{Report, Unit};
use crate::server::{Kind, Peer, Server};
use crate::{acked, join, memory, relay};
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Command line of `yonder-bench native`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The `yonder` binary, a release build
    #[arg(long)]
    yonder: Option<PathBuf>,
    /// The `y-sweet` binary (`cargo install y-sweet --version 0.9.1 --locked`)
    #[arg(long)]
    y_sweet: Option<PathBuf>,
    /// A directory whose `node_modules` holds `@y/websocket-server`, `yjs`, `y-protocols`, `ws` and `y-leveldb`
    #[arg(long)]
    y_websocket: Option<PathBuf>,
    /// `automerge-paper.json.gz`; without it the file is taken from the crate `loro-internal` by way of cargo
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Short rounds and a shortened document: about three minutes instead of twenty
    #[arg(long)]
    quick: bool,
    /// Run only these cases (may be repeated)
    #[arg(long, value_enum)]
    only: Vec<Case>,
}

/// One question that the benchmark answers about every server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Case {
    /// One writer, many readers of one document
    Relay,
    /// Many documents with a few connections each
    Rooms,
    /// Opening a large document, cold and warm
    Join,
    /// Memory of rooms and of connections
    Memory,
    /// Latency of message 102
    Acked,
}

/// What all cases need to know: the servers to compare and how much time there is.
pub(crate) struct Plan {
    /// Compared servers; the index is the server's column in every report.
    pub(crate) peers: Vec<Peer>,
    /// Short rounds are wanted.
    pub(crate) quick: bool,
    /// Where the servers keep their data and logs; gone at the end.
    pub(crate) scratch: TempDir,
}

impl Plan {
    /// `quick` or `full`, whichever this run is.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// An empty report with this plan's servers as columns.
    pub(crate) fn report(&self, title: &str) -> Report {
        Report::new(title, self.peers.iter().map(|peer| peer.kind).collect())
    }

    /// Starts `peer` on a data directory of its own, named after the case, which survives a restart.
    pub(crate) fn start(&self, peer: &Peer, case: &str) -> Server {
        peer.start(&self.scratch.path().join(format!("{case}-{}", peer.kind.name())))
    }

    /// Starts all servers at once, in the order of the columns.
    pub(crate) fn start_all(&self, case: &str) -> Vec<Server> {
        self.peers.iter().map(|peer| self.start(peer, case)).collect()
    }
}

/// Runs the cases that were asked for and prints one markdown table for each as soon as it is there.
pub(crate) fn run(args: &Args) {
    process::raise_open_files();
    let peers: Vec<Peer> =
        [(Kind::Yonder, &args.yonder), (Kind::YSweet, &args.y_sweet), (Kind::YWebsocket, &args.y_websocket)]
            .into_iter()
            .filter_map(|(kind, path)| path.clone().map(|path| Peer { kind, path }))
            .collect();
    assert!(!peers.is_empty(), "name at least one server: --yonder, --y-sweet, --y-websocket");
    let scratch = TempDir::with_prefix("yonder-bench-").expect("a temporary directory");
    let plan = Plan { peers, quick: args.quick, scratch };

    println!("{}", header(&plan));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for case in Case::value_variants() {
        if !args.only.is_empty() && !args.only.contains(case) {
            continue;
        }
        let began = Instant::now();
        let tasks = LocalSet::new();
        let report = tasks.block_on(&runtime, async {
            match case {
                Case::Relay => relay::fan_out(&plan).await,
                Case::Rooms => relay::rooms(&plan).await,
                Case::Join => join::run(&plan, args.trace.as_deref()).await,
                Case::Memory => memory::run(&plan).await,
                Case::Acked => acked::run(&plan).await,
            }
        });
        println!("{report}");
        eprintln!("({})", Unit::Seconds.show(began.elapsed().as_secs_f64()));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a reader must know before comparing: the machine, the servers and their promises.
fn header(plan: &Plan) -> String {
    let mut text = format!(
        "# yonder and its peers ({} run)\n\n{}. Median over the rounds [lowest to highest]; a ratio is the median of \
         the ratios of single rounds, and below 1 yonder is better.\n\n",
        plan.pick("quick", "full"),
        process::machine(),
    );
    for peer in &plan.peers {
        text.push_str(&format!("- {}: {}\n", peer.kind.name(), peer.kind.promise()));
    }
    text
}
