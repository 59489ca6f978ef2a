//! `cargo xtask up all`: every host at once, each on a port of its own, to be looked at side by side.

use super::quoted;
use crate::run::{Output, Result, cargo, command, failed, root, target};
use crate::{cloudflare, fastly, spin};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

/// How to run them.
pub(crate) struct All {
    /// The port of each on 127.0.0.1, in the order of [`NAMES`].
    pub(crate) ports: [u16; NAMES.len()],
    /// Where they keep their documents, each in a folder of its own.
    pub(crate) data: PathBuf,
    /// Variables, `NAME=VALUE`, for each of them.
    pub(crate) vars: Vec<String>,
    /// Run what was built before.
    pub(crate) prebuilt: bool,
    /// Have the native server as tests have it. Its figures say nothing then: the others are built to be fast.
    pub(crate) debug: bool,
}

/// The hosts, in the order in which they are built and named.
pub(crate) const NAMES: [&str; 4] = ["native", "cloudflare", "spin", "fastly"];

impl Default for All {
    fn default() -> Self {
        let ports = [8080, 8787, 3000, 7676];
        Self { ports, data: "data".into(), vars: Vec::new(), prebuilt: false, debug: false }
    }
}

impl All {
    /// Ports that follow each other, from this one on.
    pub(crate) fn set_ports(&mut self, first: u16) -> Result {
        for (port, number) in self.ports.iter_mut().zip(0..) {
            *port = first
                .checked_add(number)
                .ok_or_else(|| format!("there are no four ports from {first} on"))?;
        }
        Ok(())
    }

    /// The port of a host.
    pub(crate) fn set_port(&mut self, host: &str, to: u16) {
        for (port, _) in self.ports.iter_mut().zip(NAMES).filter(|(_, name)| *name == host) {
            *port = to;
        }
    }
}

/// The host that an option such as `native-port` is about.
pub(crate) fn of_port(option: &str) -> Option<&'static str> {
    let host = option.strip_suffix("-port")?;
    NAMES.into_iter().find(|name| *name == host)
}

/// Builds one after the other, and becomes the script that starts them all and ends them, so that signals reach it.
/// Returns only if it cannot.
pub(crate) fn up(all: &All) -> Result {
    let data = std::path::absolute(&all.data).map_err(|error| failed("find", &all.data, error))?;
    let mut script = command("node");
    script.arg(root().join("tests/latency/up-all.mjs"));
    for (name, port) in NAMES.into_iter().zip(all.ports) {
        script.arg(name).arg(port.to_string());
        let built = if all.prebuilt { Ok(()) } else { build(name, all.debug) };
        match built.and_then(|()| start(name, port, &data.join(name), all)) {
            Ok(words) => {
                script.args(words);
            }
            // The others are worth something without it. The script says so again.
            Err(error) => eprintln!("xtask: {name} is not built: {error}"),
        }
        script.arg("--");
    }
    Err(format!("the hosts do not start: {}", script.exec()))
}

fn build(name: &str, debug: bool) -> Result {
    eprintln!("building {name}");
    match name {
        "cloudflare" => cloudflare::build(&Output::Shown),
        "spin" => spin::host(&Output::Shown).and_then(|_| spin::build(&Output::Shown)),
        "fastly" => fastly::build(&Output::Shown),
        _ => {
            let mut build = cargo();
            build.args(["build", "--quiet", "-p", "yonder"]);
            Output::Shown.run(build.args((!debug).then_some("--release")))
        }
    }
}

/// The command that starts what is built.
fn start(name: &str, port: u16, data: &Path, all: &All) -> Result<Vec<OsString>> {
    let address = [OsString::from("--port"), port.to_string().into(), "--data".into(), data.into()];
    let vars = all.vars.iter().map(OsString::from);
    if name == NAMES[0] {
        let folder = if all.debug { "debug" } else { "release" };
        let server = target()?.join(folder).join("yonder");
        if !server.is_file() {
            return Err(format!("there is no {}", quoted(&server)));
        }
        // Its variables have the same names.
        let words = std::iter::once("env".into()).chain(vars).chain([server.into(), "serve".into()]);
        let listen = ["--listen".into(), format!("127.0.0.1:{port}").into(), "--data".into(), data.into()];
        return Ok(words.chain(listen).collect());
    }
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let words = [this.into(), "up".into(), name.into(), "--prebuilt".into()].into_iter().chain(address);
    let words = words.chain(vars.flat_map(|var| ["--var".into(), var]));
    Ok(words.chain((name == "spin").then(|| "--grip".into())).collect())
}
