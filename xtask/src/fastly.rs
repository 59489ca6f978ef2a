//! The module for Fastly Compute: its build, and what runs it on this machine.

use crate::run::{Output, Result, cargo};
use crate::tools::rust_targets;

/// The module's crate.
pub(crate) const PACKAGE: &str = "yonder-fastly";

/// What it is built for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Builds the module.
pub(crate) fn build(output: &Output) -> Result {
    rust_targets(&[TARGET], output)?;
    let mut module = cargo();
    module.args(["build", "--quiet", "--bin", PACKAGE, "-p", PACKAGE, "--target", TARGET, "--profile", "wasm"]);
    output.run(&mut module)
}
