//! Set-up: what tests and benchmarks need, by version, in a folder outside the clone.
//!
//! Two runs at once do not disturb each other: everything is made under a name of its own and then renamed.

use crate::run::{Output, Result, answer, cargo, command, failed, root};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The oldest Node.js that will do.
const NODE: u32 = 20;

/// The y-sweet to compare with.
const Y_SWEET: &str = "0.9.1";

/// Where downloads are kept: `$YONDER_CACHE`, or `yonder` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let path = set("YONDER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("yonder")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/yonder")))
        .ok_or("there is no place for downloads: set YONDER_CACHE or HOME")?;
    fs::create_dir_all(&path).map_err(|error| failed("make", &path, error))?;
    path.canonicalize().map_err(|error| failed("find", &path, error))
}

/// Sees that there is a Node.js that will do.
pub(crate) fn node() -> Result {
    let version = answer(command("node").arg("--version"))
        .ok_or(format!("Node.js is missing: install {NODE} or later, and npm"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE => Ok(()),
        _ => Err(format!("Node.js is {version}: install {NODE} or later")),
    }
}

/// Installs the locked npm packages of a folder of the clone, and links them there as `node_modules`.
pub(crate) fn npm(folder: &str, output: &Output) -> Result<PathBuf> {
    node()?;
    let folder = root().join(folder);
    let installed = npm_install(&folder, output)?;
    link(&installed.join("node_modules"), &folder.join("node_modules"), output)?;
    Ok(folder)
}

/// The folder in the cache in which these packages are. Its name says which: from other files comes another.
fn npm_install(folder: &Path, output: &Output) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    let mut files = Vec::new();
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                (name, &bytes).hash(&mut hasher);
                files.push((name, bytes));
            }
            Err(_) if name == ".npmrc" => {}
            Err(error) => return Err(failed("read", &path, error)),
        }
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{name}-{:016x}", hasher.finish());
    let npm = cache()?.join("npm");
    let done = npm.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    let making = npm.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(&making).map_err(|error| failed("make", &making, error))?;
    for (name, bytes) in files {
        let path = making.join(name);
        fs::write(&path, bytes).map_err(|error| failed("write", &path, error))?;
    }
    if answer(command("npm").arg("--version")).is_none() {
        return Err("npm is missing: install it beside Node.js".to_owned());
    }
    finish(output.run(command("npm").args(["ci", "--no-progress"]).current_dir(&making)), &making, &done)?;
    Ok(done)
}

/// Makes `place` a link to `packages`.
fn link(packages: &Path, place: &Path, output: &Output) -> Result {
    if fs::read_link(place).is_ok_and(|to| to == packages) {
        return Ok(());
    }
    if place.is_dir() && !place.is_symlink() {
        output.say(&format!("removing {}: it was installed by hand", place.display()));
        fs::remove_dir_all(place).map_err(|error| failed("remove", place, error))?;
    }
    let making = place.with_extension(std::process::id().to_string());
    symlink(packages, &making)
        .and_then(|()| fs::rename(&making, place))
        .map_err(|error| failed("make", place, error))
}

/// A Chromium: `$CHROMIUM`, or the one that is installed, or one that is installed now.
pub(crate) fn chromium(output: &Output) -> Result<PathBuf> {
    program("chromium", "CHROMIUM", output)
}

/// An nginx: `$NGINX`, or the one that is installed, or one that is installed now, with the OpenSSL that its tests make
/// a certificate with.
pub(crate) fn nginx(output: &Output) -> Result<PathBuf> {
    if on_path("openssl").is_none() {
        apt_install("openssl", output)?;
    }
    program("nginx", "NGINX", output)
}

/// A Redis: `$REDIS_SERVER`, or the one that is installed, or one that is installed now.
pub(crate) fn redis(output: &Output) -> Result<PathBuf> {
    program("redis-server", "REDIS_SERVER", output)
}

/// A program: the one that a variable names, or the one that is installed, or Debian's, installed now.
fn program(name: &str, variable: &str, output: &Output) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(failed("find", &path, format!("named by {variable}")))
        };
    }
    if on_path(name).is_none() {
        apt_install(name, output).map_err(|error| format!("{error}, or name one with {variable}"))?;
    }
    on_path(name).ok_or(format!("apt-get installed no {name}: name one with {variable}"))
}

fn apt_install(package: &str, output: &Output) -> Result {
    let is_root = answer(command("id").arg("-u")).as_deref() == Some("0");
    if !is_root || on_path("apt-get").is_none() {
        return Err(format!("{package} is missing: install it"));
    }
    output.run(command("apt-get").args(["update", "-qq"]))?;
    let mut install = command("apt-get");
    install.args(["install", "-y", "-qq", package]);
    // No service is to be started: nginx would take port 80.
    install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    output.run(&mut install)
}

/// A folder of the Python packages that a requirements file of the clone pins, for `PYTHONPATH`. Its name says which: from
/// another file, or for another Python, comes another.
pub(crate) fn python(requirements: &str, output: &Output) -> Result<PathBuf> {
    let version = answer(command("python3").arg("--version"))
        .ok_or("Python is missing: install 3.10 or later, with pip")?;
    let path = root().join(requirements);
    let pinned = fs::read(&path).map_err(|error| failed("read", &path, error))?;
    let mut hasher = DefaultHasher::new();
    (&version, std::env::consts::ARCH, &pinned).hash(&mut hasher);
    let name = format!("packages-{:016x}", hasher.finish());
    let python = cache()?.join("python");
    let done = python.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    if answer(command("python3").args(["-m", "pip", "--version"])).is_none() {
        return Err("pip is missing: install it beside Python".to_owned());
    }
    let making = python.join(format!(".{name}.{}", std::process::id()));
    let mut install = command("python3");
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
    ]);
    install.args(["--root-user-action", "ignore", "--target"]).arg(&making).arg("--requirement").arg(&path);
    finish(output.run(&mut install), &making, &done)?;
    Ok(done)
}

/// Renames what was made to what it is to be, unless making it failed.
pub(crate) fn finish(made: Result, making: &Path, done: &Path) -> Result {
    let renamed = made.and_then(|()| {
        match fs::rename(making, done) {
            // Another run was faster.
            Err(_) if done.is_dir() => fs::remove_dir_all(making),
            renamed => renamed,
        }
        .map_err(|error| failed("make", done, error))
    });
    if renamed.is_err() {
        let _ = fs::remove_dir_all(making);
    }
    renamed
}

/// Sees that Rust's standard library is there for these targets.
pub(crate) fn rust_targets(targets: &[&str], output: &Output) -> Result {
    let list = answer(command("rustup").args(["target", "list", "--installed"]));
    // Without rustup, whoever installed Rust knows better.
    let Some(list) = list else { return Ok(()) };
    let missing = targets.iter().filter(|target| !list.lines().any(|line| line == **target));
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    output.run(command("rustup").args(["target", "add"]).args(missing))
}

/// The `y-sweet` binary, built from its published source.
pub(crate) fn y_sweet(output: &Output) -> Result<PathBuf> {
    Ok(cargo_install("y-sweet", Y_SWEET, &["--locked"], output)?.join("bin/y-sweet"))
}

/// A folder with the programs of a crate in `bin`, built from its published source.
pub(crate) fn cargo_install(
    package: &str,
    version: &str,
    options: &[&str],
    output: &Output,
) -> Result<PathBuf> {
    let cache = cache()?;
    let name = format!("{package}-{version}");
    let done = cache.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    let making = cache.join(format!(".{name}.{}", std::process::id()));
    let target = making.join("target");
    let mut install = cargo();
    install.args(["install", package, "--version", version, "--no-track"]).args(options);
    install.arg("--root").arg(&making).env("CARGO_TARGET_DIR", &target);
    let made = output
        .run(&mut install)
        .and_then(|()| fs::remove_dir_all(&target).map_err(|error| failed("remove", &target, error)));
    finish(made, &making, &done)?;
    Ok(done)
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Where Debian has servers; not everyone's PATH does.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_replaces_whatever_was_there() {
        let folder = crate::run::scratch().unwrap().join("test-of-link");
        let _ = fs::remove_dir_all(&folder);
        let (packages, place) = (folder.join("packages"), folder.join("node_modules"));
        fs::create_dir_all(&packages).unwrap();
        fs::create_dir_all(place.join("by-hand")).unwrap();
        let output = Output::kept("test-of-link").unwrap();
        link(&packages, &place, &output).unwrap();
        assert!(output.text().contains("installed by hand"), "it says that it removes a folder");
        assert_eq!(fs::read_link(&place).unwrap(), packages);
        let other = folder.join("other");
        link(&other, &place, &output).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), other);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left over");
    }
}
