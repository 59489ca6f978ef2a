//! Tests of the module for Fastly Compute: what is published, its scenarios of its own, and those of every host.

use super::{Module, viceroy};
use crate::run::{Output, Result, command, failed, root, scratch};
use crate::test::{REPORTERS, scenarios};
use crate::tools::npm;
use crate::{pushpin, up, wasm_opt};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may be published, gzipped, in bytes.
const BUDGET: usize = 470_000;

/// Fastly's command line, an npm package.
const CLI: &str = "node_modules/.bin/cli-linux-x64";

/// What this host openly lacks, however it is started: see `tests/interop/host.mjs`.
const LACKS: &str = "metrics,http2,slow-reader,slow-heads,page,flush,hang-up,leaving,document-limit,full-disk,damage,light,\
                     raw-paths,large-frames,long-streams,one-offset,one-owner,unread-bodies,expiry,kill,restart,start-check,\
                     one-creator,foreign-places,dot-segments,held-limit,each-update,direct";

/// What takes long and waits for nothing else: the runtime, the proxy, and the module, which may not be too large.
pub(crate) fn set_up(output: &Output) -> Result {
    viceroy(output)?;
    pushpin::install(output)?;
    Module::Published.build(output)?;
    let size = wasm_opt::gzipped(&Module::Published.path()?)?;
    output.say(&format!("gzipped: {} KB of {} KB", size / 1000, BUDGET / 1000));
    if size < BUDGET { Ok(()) } else { Err("the module is too large".to_owned()) }
}

/// Builds what `fastly compute publish` would publish, as that does, and has it looked at.
pub(crate) fn package(output: &Output) -> Result {
    if std::env::consts::ARCH != "x86_64" {
        output.say("Fastly's command line is not there for this machine: no package is built");
        return Ok(());
    }
    let cli = npm("tests/fastly", output)?.join(CLI);
    output.run(&mut fastly(&cli, &["build", "--non-interactive"])?)?;
    output.run(&mut fastly(&cli, &["validate", "--package", "pkg/yonder.tar.gz"])?)
}

/// The command line, which writes settings of its own into a home that is not this user's.
fn fastly(cli: &Path, words: &[&str]) -> Result<Command> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let own = scratch()?.join("fastly-home");
    fs::create_dir_all(&own).map_err(|error| failed("make", &own, error))?;
    let mut fastly = command(cli);
    fastly.arg("compute").args(words).env("HOME", own);
    // It runs cargo, whose home is the user's.
    for (name, folder) in
        [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"), ("YONDER_CACHE", ".cache/yonder")]
    {
        if std::env::var_os(name).is_none() {
            fastly.env(name, home.join(folder));
        }
    }
    Ok(fastly)
}

/// What is true of the module in this host only: what Fanout loses, who says that it is Fanout, a store
/// that fails, and many at once.
pub(crate) fn own(output: &Output) -> Result {
    set_up(output)?;
    Module::Faulty.build(output)?;
    npm("tests/interop", output)?;
    let mut run = command("node");
    // Two of Pushpin are enough for two cores.
    run.args(["--test", "--test-concurrency=2", "--test-timeout=200000", "--test-force-exit"]);
    run.args(REPORTERS).arg(".").current_dir(root().join("tests/fastly"));
    let (up, _) = up::templates("fastly", "")?;
    run.env("YONDER_FASTLY", up).env("YONDER_SKIP", LACKS);
    output.run(&mut run)
}

/// Every host's scenarios: whole with Fanout; and without it what is answered over HTTP, where reads wait in the function.
pub(crate) fn interop(output: &Output) -> Result {
    set_up(output)?;
    npm("tests/interop", output)?;
    let mut result = Ok(());
    for (options, lacks, files) in [("", "", &[] as &[&str]), ("--no-fanout", ",sockets", &HTTP)] {
        // Each says what fails.
        result = result.and(scenarios("fastly", options, &format!("{LACKS}{lacks}"), files, output));
    }
    result
}

/// What is answered over HTTP.
const HTTP: [&str; 5] = [
    "http.test.mjs",
    "durable-streams.test.mjs",
    "durable-streams-write.test.mjs",
    "durable-streams-live.test.mjs",
    "durable-streams-presence.test.mjs",
];
