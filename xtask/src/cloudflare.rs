//! The Worker: the tools that build it, its build for Cloudflare, and what runs it on this machine.

pub(crate) mod test;

use crate::run::{Output, Result, cargo, command, failed, root, scratch, target};
use crate::{tools, wasm_opt};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Worker's crate.
pub(crate) const PACKAGE: &str = "yonder-cloudflare";

/// The target that it is built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Cargo's profile that it is built with: for size.
const PROFILE: &str = "wasm";

const WORKER_BUILD: &str = "0.8.7";

/// The folder of the crate, of its npm packages, and of its build.
pub(crate) fn folder() -> PathBuf {
    root().join("targets/cloudflare")
}

/// Where what is built lies: [`FILES`].
pub(crate) fn built() -> PathBuf {
    folder().join("build")
}

/// Builds the Worker into [`built`], unless that is what its sources give already.
pub(crate) fn build(output: &Output) -> Result {
    let tools = Tools::new(output)?;
    let target = target()?;
    let mut module = cargo();
    // What cargo is told here is what worker-build tells it, so that nothing is built twice.
    module.args(["build", "--quiet", "--lib", "-p", PACKAGE, "--target", TARGET, "--profile", PROFILE]);
    module.arg("--target-dir").arg(&target).env(MACROS.0, MACROS.1);
    output.run(&mut module)?;
    let stamp = scratch()?.join("cloudflare.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|was| tools.stamp().is_ok_and(|is| was == is)) {
        return Ok(());
    }
    let making = scratch()?.join(format!("cloudflare.{}", std::process::id()));
    let mut bind = command(&tools.worker_build);
    // Its own way to call wasm-opt keeps all names: a sixth of the size.
    bind.current_dir(folder()).args(["--profile", PROFILE, "--no-opt", "--out-dir"]).arg(&making);
    bind.arg("--target-dir").arg(&target).env("PATH", path()?).env(MACROS.0, MACROS.1);
    bind.env("WASM_BINDGEN_BIN", &tools.wasm_bindgen).env("ESBUILD_BIN", program("esbuild"));
    let made = output
        .run(&mut bind)
        .and_then(|()| optimize(&making, output))
        .and_then(|()| describe(&making, output))
        .and_then(|()| place(&making));
    let _ = fs::remove_dir_all(&making);
    made?;
    fs::write(&stamp, tools.stamp()?).map_err(|error| failed("write", &stamp, error))
}

/// Makes the module small.
fn optimize(making: &Path, output: &Output) -> Result {
    let mut optimize = wasm_opt::program(output)?;
    output.run(optimize.current_dir(making).args([MODULE, "--output", MODULE]))
}

/// What `wrangler.toml` says, for `up.mjs`.
fn describe(making: &Path, output: &Output) -> Result {
    output.run(script("describe.mjs")?.arg(making.join(DESCRIPTION)))
}

/// Puts the files in place: each is the old one or the new one, at any time.
fn place(making: &Path) -> Result {
    let built = built();
    fs::create_dir_all(&built).map_err(|error| failed("make", &built, error))?;
    for name in FILES {
        let new = built.join(format!(".{name}.{}", std::process::id()));
        fs::copy(making.join(name), &new)
            .and_then(|_| fs::rename(&new, built.join(name)))
            .map_err(|error| failed("make", &built.join(name), error))?;
    }
    Ok(())
}

/// The script, the module that it loads, and how to run both on this machine.
const FILES: [&str; 3] = ["index.js", MODULE, DESCRIPTION];
const MODULE: &str = "index_bg.wasm";
const DESCRIPTION: &str = "miniflare.json";

/// What worker-build sets for wasm-bindgen's macros.
const MACROS: (&str, &str) = ("WASM_BINDGEN_USE_JS_SYS", "1");

/// Programs in the cache; those that npm brought are in the folder's `node_modules`.
struct Tools {
    worker_build: PathBuf,
    wasm_bindgen: PathBuf,
}

impl Tools {
    fn new(output: &Output) -> Result<Self> {
        tools::rust_targets(&[TARGET], output)?;
        tools::npm("targets/cloudflare", output)?;
        if !program("node").is_file() {
            return Err("npm has no Node.js for this machine: see targets/cloudflare/package.json".to_owned());
        }
        let worker_build = tools::cargo_install("worker-build", WORKER_BUILD, &["--locked"], output)?;
        // Its own lock file no longer builds.
        let options = ["--no-default-features", "--bin", "wasm-bindgen"];
        let wasm_bindgen =
            tools::cargo_install("wasm-bindgen-cli", &wasm_bindgen_version()?, &options, output)?;
        Ok(Self {
            worker_build: worker_build.join("bin/worker-build"),
            wasm_bindgen: wasm_bindgen.join("bin/wasm-bindgen"),
        })
    }

    /// A digest of what the build is made from, and of what was made.
    fn stamp(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        // Their paths tell their versions; npm's packages are in a folder named after the lock file.
        (&self.worker_build, &self.wasm_bindgen).hash(&mut hasher);
        wasm_opt::hash(&mut hasher);
        let packages = folder().join("node_modules");
        fs::read_link(&packages).map_err(|error| failed("read", &packages, error))?.hash(&mut hasher);
        let module = target()?.join(TARGET).join(PROFILE).join("yonder_cloudflare.wasm");
        let made_from = [module, root().join("wrangler.toml"), folder().join("describe.mjs")];
        for path in made_from.into_iter().chain(FILES.map(|name| built().join(name))) {
            fs::read(&path).map_err(|error| failed("read", &path, error))?.hash(&mut hasher);
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}

/// The version of the crate `wasm-bindgen` that is locked: its command line must be of the very same.
fn wasm_bindgen_version() -> Result<String> {
    let path = root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(|error| failed("read", &path, error))?;
    locked(&lock, "wasm-bindgen").map(str::to_owned).ok_or("Cargo.lock has no wasm-bindgen".to_owned())
}

fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// A program of an npm package.
fn program(name: &str) -> PathBuf {
    folder().join("node_modules/.bin").join(name)
}

/// `PATH` with npm's programs first: scripts among them run in npm's Node.js.
fn path() -> Result<OsString> {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder().join("node_modules/.bin")).chain(std::env::split_paths(&rest));
    std::env::join_paths(folders).map_err(|error| format!("cannot extend PATH: {error}"))
}

/// npm's Node.js, which wrangler needs, and with which wrangler asks nobody and writes nowhere.
pub(crate) fn node() -> Result<Command> {
    let node = program("node");
    if !node.is_file() {
        return Err("the Worker's tools are not set up: run cargo xtask build cloudflare".to_owned());
    }
    let cache = tools::cache()?;
    let mut command = command(node);
    command.env("PATH", path()?);
    command.env("NODE_COMPILE_CACHE", cache.join("node-compile"));
    command.env("XDG_CONFIG_HOME", cache.join("wrangler"));
    command.env("CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV", "false");
    for name in ["WRANGLER_SEND_METRICS", "WRANGLER_SEND_ERROR_REPORTS", "WRANGLER_WRITE_LOGS"] {
        command.env(name, "false");
    }
    command.env("WRANGLER_HIDE_BANNER", "true");
    Ok(command)
}

/// Its script of this name: a file of the crate's folder.
pub(crate) fn script(name: &str) -> Result<Command> {
    let mut node = node()?;
    node.arg(folder().join(name));
    Ok(node)
}

/// Is there a build to run?
pub(crate) fn is_built() -> bool {
    FILES.iter().all(|name| built().join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_that_of_the_very_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.1\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked(lock, "wasm"), None);
    }
}
