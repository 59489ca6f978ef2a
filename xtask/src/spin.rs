//! The test host for Spin components: built once for each state of its sources.

use crate::run::{Output, Result, answer, cargo, command, failed, root, target};
use crate::tools::{cache, finish, npm, redis, rust_targets};
use crate::up::quoted;
use crate::{test, wasm_opt};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The component's crate.
pub(crate) const PACKAGE: &str = "yonder-spin";

/// What it may have, gzipped, in bytes.
const BUDGET: usize = 435_000;

/// Builds the component, as `spin.toml` says, and makes it small.
pub(crate) fn build(output: &Output) -> Result {
    rust_targets(&[TARGET], output)?;
    let mut component = cargo();
    component.args(["build", "--quiet", "-p", PACKAGE, "--target", TARGET, "--profile", "wasm"]);
    output.run(&mut component)?;
    let built = target()?.join(TARGET).join("wasm/yonder_spin.wasm");
    wasm_opt::make(&built, &component_path()?, output)
}

/// What is deployed must not be too large: it is fetched where it has not run yet, and compiled.
pub(crate) fn size(output: &Output) -> Result {
    build(output)?;
    let size = wasm_opt::gzipped(&component_path()?)?;
    output.say(&format!("gzipped: {} KB of {} KB", size / 1000, BUDGET / 1000));
    if size < BUDGET { Ok(()) } else { Err("the component is too large".to_owned()) }
}

fn component_path() -> Result<PathBuf> {
    Ok(target()?.join("spin/yonder.wasm"))
}

/// The component that was built.
pub(crate) fn built() -> Result<PathBuf> {
    let component = component_path()?;
    if component.is_file() {
        Ok(component)
    } else {
        Err("the component is not built: leave out --prebuilt".to_owned())
    }
}

/// Where the host's sources are, in the clone.
const SOURCES: &str = "tests/spin";

/// The host.
const PROGRAM: &str = "yonder-spin-host";

/// The host's program: the one in the cache that was built from these sources, or one that is built now, which takes
/// minutes.
pub(crate) fn host(output: &Output) -> Result<PathBuf> {
    let folder = cache()?.join("spin-host");
    let done = folder.join(format!("{:016x}", sources()?));
    if !done.is_dir() {
        let making = folder.join(format!(".{}", std::process::id()));
        // `--debug` is the profile of the host's own tests: what they build is not built again.
        let mut install = host_cargo("install")?;
        install.args(["--debug", "--locked", "--no-track", "--path"]).arg(root().join(SOURCES));
        install.arg("--root").arg(&making);
        finish(output.run(&mut install), &making, &done)?;
    }
    Ok(done.join("bin").join(PROGRAM))
}

/// Tests the host itself, with a component that does each thing that it has a rule for.
pub(crate) fn test(output: &Output) -> Result {
    rust_targets(&[TARGET], output)?;
    let redis = redis(output)?;
    let mut test = host_cargo("test")?;
    test.args(["--locked", "--manifest-path"]).arg(root().join(SOURCES).join("Cargo.toml"));
    output.run(test.args(["--", "--include-ignored"]).env("REDIS_SERVER", redis))
}

/// What is true of the component in this host only: its instances, its stores, its bounds.
pub(crate) fn scenarios(output: &Output) -> Result {
    build(output)?;
    npm("tests/interop", output)?;
    let mut run = command("node");
    // Much of it waits for time to pass.
    run.args(["--test", "--test-concurrency=2", "--test-timeout=200000", "--test-force-exit"]);
    run.args(REPORTERS).arg(".").current_dir(root().join(SOURCES).join("scenarios"));
    let up = in_host(&built()?, output)?;
    output.run(run.env("YONDER_SPIN", up).env("REDIS_SERVER", redis(output)?))
}

/// The commands that run the component, and one that does nothing, as scripts take them in `YONDER_SPIN`: see
/// `tests/spin/scenarios/spin.mjs`.
pub(crate) fn commands(output: &Output) -> Result<(String, String)> {
    build(output)?;
    let mut empty = host_cargo("build")?;
    empty.args(["--release", "--locked", "-p", "yonder-spin-probe", "--target", TARGET, "--manifest-path"]);
    output.run(empty.arg(root().join(SOURCES).join("Cargo.toml")))?;
    let empty = host_target()?.join(TARGET).join("release/yonder_spin_probe.wasm");
    Ok((in_host(&built()?, output)?, in_host(&empty, output)?))
}

/// The command that runs a component in the host.
fn in_host(component: &Path, output: &Output) -> Result<String> {
    let (host, compiled) = (host(output)?, target()?.join("spin-compiled"));
    Ok(format!("{} {} --compiled {}", quoted(&host), quoted(component), quoted(&compiled)))
}

/// As they come, and what failed at the end. Paths are those of the tests' folder.
const REPORTERS: [&str; 4] = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=../../interop/failures.mjs",
    "--test-reporter-destination=stdout",
];

/// Every host's scenarios, as `tests/interop/run.mjs` runs them.
struct Run {
    /// What the host is started with.
    options: &'static str,
    /// What it openly lacks beside [`LACKS`]: see `tests/interop/host.mjs`.
    lacks: &'static str,
    /// All if there are none.
    files: &'static [&'static str],
}

/// What this host openly lacks, however it is started.
const LACKS: &str = "metrics,http2,slow-reader,slow-heads,page,flush,hang-up,leaving,document-limit,full-disk,damage,light,\
                     raw-paths,large-frames,long-streams,one-offset,one-owner,unread-bodies,expiry";

/// Whole behind a proxy, which holds the sockets. What is answered over HTTP again where there is no proxy; in a store
/// that cannot count, where the log is another; and with an instance for each request, where nothing outlives an answer.
const RUNS: [Run; 4] = [
    Run { options: "--grip", lacks: ",direct", files: &[] },
    Run { options: "", lacks: ",sockets,start-check", files: &HTTP },
    Run {
        options: "--host=--no-counter",
        lacks: ",sockets,one-creator,foreign-places",
        files: &[
            "durable-streams.test.mjs",
            "durable-streams-write.test.mjs",
            "durable-streams-delete.test.mjs",
        ],
    },
    Run {
        options: "--host=--max-instance-reuse-count=1",
        lacks: ",sockets",
        files: &[
            "durable-streams-write.test.mjs",
            "durable-streams-presence.test.mjs",
            "compaction.test.mjs",
        ],
    },
];

const HTTP: [&str; 5] = [
    "http.test.mjs",
    "errors.test.mjs",
    "durable-streams-live.test.mjs",
    "durable-streams-presence.test.mjs",
    "presence.test.mjs",
];

/// Every host's scenarios.
pub(crate) fn interop(output: &Output) -> Result {
    host(output)?;
    build(output)?;
    npm("tests/interop", output)?;
    let mut result = Ok(());
    for Run { options, lacks, files } in RUNS {
        // Each says what fails.
        result = result.and(test::scenarios("spin", options, &format!("{LACKS}{lacks}"), files, output));
    }
    result
}

/// Cargo, building into the cache: a changed host is not built with all that it depends on, which takes minutes.
fn host_cargo(subcommand: &str) -> Result<Command> {
    let mut cargo = cargo();
    cargo.arg(subcommand).env("CARGO_TARGET_DIR", host_target()?);
    Ok(cargo)
}

fn host_target() -> Result<PathBuf> {
    Ok(cache()?.join("spin-host/target"))
}

/// Tells what the host is built from.
fn sources() -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    answer(command("rustc").arg("--version")).hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    let sources = root().join(SOURCES);
    for name in ["Cargo.lock", "Cargo.toml", "src", "wit"] {
        hash(&sources.join(name), &mut hasher)?;
    }
    Ok(hasher.finish())
}

/// Hashes a file, or all files of a folder, with their names.
fn hash(path: &Path, hasher: &mut DefaultHasher) -> Result {
    path.file_name().hash(hasher);
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| failed("read", path, error))?;
        let entries =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
        let mut entries = entries.map_err(|error| failed("read", path, error))?;
        entries.sort();
        entries.len().hash(hasher);
        entries.iter().try_for_each(|entry| hash(entry, hasher))
    } else {
        fs::read(path).map_err(|error| failed("read", path, error))?.hash(hasher);
        Ok(())
    }
}
