//! Pushpin, the GRIP proxy of the tests: Debian's packages, unpacked into the cache, and run with our own configuration.
//!
//! Nothing is installed on the machine, and several may run side by side: what one has is in a folder of its own.

use crate::run::{Output, Result, answer, cargo, command, failed, target};
use crate::tools::{cache, finish, npm};
use crate::up::quoted;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version whose behaviour the core follows. Its first digits: what Debian changes is told behind them.
const VERSION: &str = "1.36.0";

/// Packages and versions, as `apt-get` takes them.
const PACKAGES: &[&str] = &["pushpin=1.36.0*", "condure=1.9.1*", "zurl=1.11.1*"];

/// How to run it.
pub(crate) struct Pushpin {
    /// Where clients connect, on 127.0.0.1.
    pub(crate) port: u16,
    /// Where to publish, `POST /publish/`, on 127.0.0.1.
    pub(crate) control: u16,
    /// The host behind it, on 127.0.0.1.
    pub(crate) backend: u16,
    /// What `Grip-Sig` is signed with, and the issuer that it names.
    pub(crate) key: String,
    pub(crate) issuer: String,
    /// The name by which the host hands requests over, where clients connect to the host.
    pub(crate) route: Option<String>,
}

impl Default for Pushpin {
    fn default() -> Self {
        Self {
            port: 7999,
            control: 5561,
            backend: 3000,
            key: String::new(),
            issuer: "pushpin".to_owned(),
            route: None,
        }
    }
}

/// Becomes Pushpin, so that signals reach it, and with it all its processes. Returns only if it cannot.
pub(crate) fn run(pushpin: &Pushpin, output: &Output) -> Result {
    let mut pushpin = prepare(pushpin, &install(output)?)?;
    Err(format!("Pushpin does not start: {}", pushpin.exec()))
}

/// Tests the core's GRIP behind it, with real clients.
pub(crate) fn test(output: &Output) -> Result {
    install(output)?;
    npm("tests/interop", output)?;
    output.run(cargo().args(["build", "--quiet", "-p", "yonder-grip"]))?;
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let mut node = command("node");
    node.args(["--test", "--test-reporter=spec", "tests/grip/grip.test.mjs"]);
    node.env("YONDER_PUSHPIN", format!("{} up pushpin", quoted(&this)));
    output.run(node.env("YONDER_GRIP_HOST", quoted(&target()?.join("debug/yonder-grip"))))
}

/// The command, and the files that it reads.
fn prepare(pushpin: &Pushpin, installed: &Path) -> Result<Command> {
    let texts = [Some(&pushpin.key), Some(&pushpin.issuer), pushpin.route.as_ref()];
    if pushpin.key.is_empty() || texts.into_iter().flatten().any(|text| text.contains(['\n', '\r'])) {
        return Err("Pushpin needs a key, of one line".to_owned());
    }
    // Not in the target folder: the path of a socket has 107 bytes at most.
    let folder = std::env::temp_dir().join(format!("yonder-pushpin-{}", pushpin.port));
    let _ = fs::remove_dir_all(&folder);
    end_leftovers(&folder);
    fs::create_dir_all(folder.join("run")).map_err(|error| failed("make", &folder, error))?;
    let (libraries, programs) = (installed.join("usr/lib"), installed.join("usr/bin"));
    let internal = libraries.join("pushpin/internal.conf");
    let internal = fs::read_to_string(&internal).map_err(|error| failed("read", &internal, error))?;
    // Debian has a service zurl of its own there.
    let internal = internal.replace("ipc:///var/run/zurl/zurl-", "ipc://{rundir}/{ipc_prefix}zurl-");
    let configuration = configuration(pushpin, &folder, &libraries.join("pushpin"));
    let id = pushpin.route.as_ref().map(|name| format!(",id={name}")).unwrap_or_default();
    let routes = format!("*{id} 127.0.0.1:{},over_http\n", pushpin.backend);
    let files = [("internal.conf", internal), ("pushpin.conf", configuration), ("routes", routes)];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed("write", &path, error))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs.clone()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).map_err(|error| failed("use", &programs, error))?;
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(programs.join("pushpin"));
    command.arg(format!("--config={}", folder.join("pushpin.conf").display())).arg("-m");
    command.env("PATH", path).env("LD_LIBRARY_PATH", libraries.join(machine));
    Ok(command)
}

/// Ends what is left of a Pushpin of this folder which was killed: its processes do not end with it.
fn end_leftovers(folder: &Path) {
    let folder = format!("{}/", folder.display());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(&folder) {
            // It may have ended by itself.
            let _ = command("kill").arg("-9").arg(process.file_name()).status();
        }
    }
}

/// Without a rate, which adds 25 ms; with a buffer into which a large message fits: with the default of 8 KB a frame
/// above 16 KB stalls, and what is published to a client whose window is full is dropped.
fn configuration(pushpin: &Pushpin, folder: &Path, libraries: &Path) -> String {
    let Pushpin { port, control, key, issuer, .. } = pushpin;
    let accepts_route = pushpin.route.is_some();
    let (folder, libraries) = (folder.display(), libraries.display());
    format!(
        "\
[global]
include={folder}/internal.conf
libdir={libraries}
rundir={folder}/run
ipc_prefix=p-

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}
log_level=1
client_buffer_size=1048576
client_maxconn=2000

[proxy]
routesfile={folder}/routes
sig_iss={issuer}
sig_key={key}
accept_pushpin_route={accepts_route}
updates_check=off

[handler]
push_in_http_addr=127.0.0.1
push_in_http_port={control}
push_in_http_max_body_size=1000000
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
command_spec=ipc://{{rundir}}/{{ipc_prefix}}command
message_rate=0
message_hwm=25000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
"
    )
}

/// The folder with the unpacked packages, and those libraries which this machine lacks.
pub(crate) fn install(output: &Output) -> Result<PathBuf> {
    let cache = cache()?;
    let name = format!("pushpin-{VERSION}");
    let done = cache.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    let making = cache.join(format!(".{name}.{}", std::process::id()));
    fs::create_dir_all(&making).map_err(|error| failed("make", &making, error))?;
    finish(unpack(&making, output), &making, &done)?;
    Ok(done)
}

fn unpack(folder: &Path, output: &Output) -> Result {
    let missing = match missing() {
        Some(missing) => missing,
        None => {
            // Without lists of packages, or with old ones.
            output.run(command("apt-get").args(["update", "-qq"]))?;
            missing().ok_or("apt-get has no pushpin 1.36, condure 1.9 and zurl 1.11: Debian 12 has")?
        }
    };
    let mut download = command("apt-get");
    download.args(["download", "-qq"]).args(PACKAGES).args(missing).current_dir(folder);
    output.run(&mut download)?;
    let files = fs::read_dir(folder).map_err(|error| failed("read", folder, error))?;
    let mut packages: Vec<_> = files.filter_map(|file| file.ok().map(|file| file.path())).collect();
    packages.sort();
    for package in packages {
        output.run(command("dpkg").arg("-x").arg(&package).arg(folder))?;
        fs::remove_file(&package).map_err(|error| failed("remove", &package, error))?;
    }
    Ok(())
}

/// The libraries that an installation would bring along; none if there is nothing to install from.
fn missing() -> Option<Vec<String>> {
    let mut simulation = command("apt-get");
    simulation.args(["install", "--simulate", "-y", "--no-install-recommends"]).args(PACKAGES);
    Some(libraries(&answer(simulation.env("LC_ALL", "C"))?))
}

/// `Inst NAME (VERSION ...)`; of what would only be brought up to date, `Inst NAME [VERSION] (VERSION ...)`.
fn libraries(simulation: &str) -> Vec<String> {
    let installed = simulation.lines().filter_map(|line| line.strip_prefix("Inst "));
    let new = installed.filter_map(|line| line.split_once(" (").filter(|(name, _)| !name.contains(' ')));
    let names = new.map(|(name, _)| name.to_owned());
    names.filter(|name| !["pushpin", "condure", "zurl"].contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_that_are_not_there_are_fetched() {
        let simulation = "Reading package lists...\nInst libpcre2-8-0 [10.42-1] (10.42-2 Debian:12 [amd64])\n\
                          Inst libzmq5 (4.3.4-6 Debian:12.15/oldstable [amd64])\nInst condure (1.9.1-1 Debian)\n\
                          Conf libzmq5 (4.3.4-6 Debian)";
        assert_eq!(libraries(simulation), ["libzmq5"]);
    }

    #[test]
    fn a_configuration_is_of_one_folder_and_has_no_line_from_outside() {
        let pushpin = Pushpin { port: 7001, control: 7002, key: "k".to_owned(), ..Pushpin::default() };
        let text = configuration(&pushpin, Path::new("/tmp/one"), Path::new("/lib/pushpin"));
        for line in ["rundir=/tmp/one/run", "http_port=127.0.0.1:7001", "push_in_http_port=7002", "sig_key=k"]
        {
            assert!(text.lines().any(|known| known == line), "{line}");
        }
        assert!(!text.contains("tcp://"), "no port but those that were given");
        let hostile = Pushpin { key: "k\nroutesfile=/x".to_owned(), ..pushpin };
        assert!(prepare(&hostile, Path::new("/nowhere")).is_err());
    }
}
