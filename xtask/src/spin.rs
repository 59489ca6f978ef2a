//! The test host for Spin components: built once for each state of its sources.

use crate::run::{Output, Result, answer, cargo, command, failed, root, target};
use crate::tools::{cache, finish, nginx, npm, redis, rust_targets};
use crate::up;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The component's crate.
pub(crate) const PACKAGE: &str = "yonder-spin";

/// Builds the component, as `spin.toml` says.
pub(crate) fn build(output: &Output) -> Result {
    rust_targets(&[TARGET], output)?;
    let mut component = cargo();
    component.args(["build", "--quiet", "-p", PACKAGE, "--target", TARGET, "--profile", "wasm"]);
    output.run(&mut component)
}

/// The component that was built.
pub(crate) fn built() -> Result<PathBuf> {
    let component = target()?.join(TARGET).join("wasm/yonder_spin.wasm");
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

/// What this host openly lacks: see `tests/interop/host.mjs`.
const LACKS: &str = "metrics,http2,slow-reader,page,flush,hang-up,leaving,document-limit,full-disk,damage,light,raw-paths,\
                     large-frames,long-streams,one-offset,unread-bodies,expiry";

/// Every host's scenarios.
pub(crate) fn interop(output: &Output) -> Result {
    host(output)?;
    build(output)?;
    npm("tests/interop", output)?;
    let (open, closed) = up::spin_templates()?;
    let mut run = command("node");
    run.arg("tests/interop/run.mjs").env("NGINX", nginx(output)?).env("YONDER_SKIP", LACKS);
    output.run(run.env("YONDER_UP", open).env("YONDER_UP_AUTH", closed))
}

/// Cargo, building into a folder that is kept: a changed host is not built with all that it depends on.
fn host_cargo(subcommand: &str) -> Result<Command> {
    let mut cargo = cargo();
    cargo.arg(subcommand).env("CARGO_TARGET_DIR", target()?.join("spin-host"));
    Ok(cargo)
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
