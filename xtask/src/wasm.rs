//! The core as a Wasm module: built for both kinds of host, its imports compared with `tests/wasm/imports.txt`, and run.

use crate::run::{Output, Result, cargo, command, root, target};
use crate::tools;

/// What the core must run on: JavaScript hosts without any system, and hosts with WASI.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip1"];

/// The crate that makes a module of the core.
pub(crate) const PROBE: &str = "yonder-wasm-probe";

/// Builds the modules.
pub(crate) fn build(output: &Output) -> Result {
    tools::rust_targets(&TARGETS, output)?;
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "-p", PROBE, "--profile", "wasm"]);
    for target in TARGETS {
        cargo.args(["--target", target]);
    }
    output.run(&mut cargo)
}

/// Tests what [`build`] built.
pub(crate) fn test(output: &Output) -> Result {
    tools::node()?;
    let mut node = command("node");
    node.args(["--test", "--test-reporter=spec", "."]).current_dir(root().join("tests/wasm"));
    // node:wasi is called experimental on every run.
    node.env("PROBES", target()?).env("NODE_NO_WARNINGS", "1");
    output.run(&mut node)
}
