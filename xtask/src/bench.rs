//! `cargo xtask bench`: builds what is measured, sets up the peers, and hands over to `yonder-bench`.

use crate::run::{Output, Result, cargo, target};
use crate::tools;
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
}

impl FromStr for Name {
    type Err = String;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "native" => Ok(Self::Native),
            "store" => Ok(Self::Store),
            _ => Err("there are the benchmarks native and store".to_owned()),
        }
    }
}

/// Becomes `yonder-bench`. Returns only if it cannot.
pub(crate) fn run(name: Name, args: &[OsString]) -> Result {
    let mut build = cargo();
    build.args(["build", "--release", "--quiet", "-p", "yonder-bench"]);
    let binaries = target()?.join("release");
    let mut bench = Command::new(binaries.join("yonder-bench"));
    match name {
        Name::Native => {
            Output::Shown.run(build.args(["-p", "yonder"]))?;
            bench.arg("native").arg("--yonder").arg(binaries.join("yonder"));
            bench.arg("--y-sweet").arg(tools::y_sweet(&Output::Shown)?);
            bench.arg("--y-websocket").arg(tools::npm(PEERS, &Output::Shown)?);
        }
        Name::Store => {
            Output::Shown.run(build.args(["--features", "stores"]))?;
            bench.arg("store");
        }
    }
    Err(format!("the benchmark does not start: {}", bench.args(args).exec()))
}
