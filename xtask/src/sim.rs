//! `cargo xtask sim`: the simulator, built to be fast.

use crate::run::{Output, Result, cargo, target};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Cargo's profile, and the folder of what it builds.
const PROFILE: &str = "sim";
/// Steps that the tests take.
const STEPS: &str = "300000";

/// Becomes the simulator. Returns only if it cannot.
pub(crate) fn run(args: &[OsString]) -> Result {
    let program = build(&Output::Shown)?;
    Err(format!("the simulator does not start: {}", Command::new(program).args(args).exec()))
}

/// Plays some seeds, and then with each invariant broken on purpose.
pub(crate) fn test(output: &Output) -> Result {
    let program = build(output)?;
    output.run(Command::new(&program).args(["--steps", STEPS]))?;
    output.run(Command::new(&program).args(["--break", "all"]))
}

fn build(output: &Output) -> Result<PathBuf> {
    output.run(cargo().args(["build", "--quiet", "--profile", PROFILE, "-p", "yonder-sim"]))?;
    Ok(target()?.join(PROFILE).join("yonder-sim"))
}
