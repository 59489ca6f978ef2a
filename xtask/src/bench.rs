//! `cargo xtask bench`: builds what is measured, sets up the peers, and hands over to `yonder-bench`, or to Node.js.

use crate::run::{Output, Result, cargo, command, root, target};
use crate::{cloudflare, fastly, spin, tools, up};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::str::FromStr;

/// The npm packages of the servers that are compared.
const PEERS: &str = "tests/bench/peers";

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Whole servers: yonder, y-sweet, y-websocket.
    Native,
    /// Embedded stores.
    Store,
    /// WebSockets, event streams and long-polls of yonder, side by side.
    Transports,
    /// The Worker and its peers on the same workerd.
    Cloudflare,
    /// The Spin component beside an empty one in the same host.
    Spin,
    /// The module for Fastly in Viceroy, with Pushpin: beside one that only relays, and as [`Name::Transports`].
    Fastly,
    /// What `yonder latency` itself takes, and whether it finds what was injected.
    Latency,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "native" => Ok(Self::Native),
            "store" => Ok(Self::Store),
            "transports" => Ok(Self::Transports),
            "cloudflare" => Ok(Self::Cloudflare),
            "spin" => Ok(Self::Spin),
            "fastly" => Ok(Self::Fastly),
            "latency" => Ok(Self::Latency),
            _ => Err(
                "there are the benchmarks native, store, transports, cloudflare, spin, fastly and latency"
                    .to_owned(),
            ),
        }
    }
}

/// Becomes the benchmark. Returns only if it cannot.
pub(crate) fn run(name: Name, args: &[OsString]) -> Result {
    let mut build = cargo();
    build.args(["build", "--release", "--quiet"]);
    let binaries = target()?.join("release");
    let mut bench = Command::new(binaries.join("yonder-bench"));
    match name {
        Name::Native => {
            Output::Shown.run(build.args(["-p", "yonder-bench", "-p", "yonder"]))?;
            bench.arg("native").arg("--yonder").arg(binaries.join("yonder"));
            bench.arg("--y-sweet").arg(tools::y_sweet(&Output::Shown)?);
            bench.arg("--y-websocket").arg(tools::npm(PEERS, &Output::Shown)?);
        }
        Name::Store => {
            Output::Shown.run(build.args(["-p", "yonder-bench", "--features", "stores"]))?;
            bench.arg("store");
        }
        Name::Cloudflare => {
            cloudflare::build(&Output::Shown)?;
            let scripts = tools::npm("tests/bench/cloudflare", &Output::Shown)?;
            bench = cloudflare::node()?;
            bench.current_dir(&scripts).arg("bench.mjs").arg("--tools").arg(cloudflare::folder());
            bench.arg("--yonder").arg(root().join("wrangler.toml"));
        }
        Name::Spin => {
            let (component, empty) = spin::commands(&Output::Shown)?;
            tools::npm("tests/interop", &Output::Shown)?;
            bench = command("node");
            bench.arg("tests/bench/spin/bench.mjs").env("YONDER_SPIN", component).env("EMPTY", empty);
            bench.env("REDIS_SERVER", tools::redis(&Output::Shown)?);
        }
        Name::Fastly => {
            fastly::test::set_up(&Output::Shown)?;
            fastly::Module::Echo.build(&Output::Shown)?;
            tools::npm("tests/interop", &Output::Shown)?;
            bench = command("node");
            bench.arg("tests/bench/fastly.mjs").env("YONDER_UP", up::templates("fastly", "")?.0);
            bench.env("ECHO_UP", up::templates("fastly", "--echo")?.0).env("YONDER_SKIP", "metrics,direct");
        }
        Name::Latency => {
            Output::Shown.run(build.args(["-p", "yonder-latency", "--example", "truth"]))?;
            bench = Command::new(binaries.join("examples/truth"));
        }
        Name::Transports => {
            Output::Shown.run(build.args(["-p", "yonder"]))?;
            let scripts = tools::npm("tests/interop", &Output::Shown)?;
            bench = command("node");
            bench.arg(scripts.join("latency.mjs")).env("YONDER_UP", up::template(&binaries.join("yonder")));
        }
    }
    Err(format!("the benchmark does not start: {}", bench.args(args).exec()))
}
