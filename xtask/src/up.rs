//! `cargo xtask up`: one host, built and run.

use crate::run::{Result, cargo, target};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How to run the native server; what is not given is as `yonder serve` has it.
#[derive(Default)]
pub(crate) struct Native {
    /// Its port on 127.0.0.1.
    pub(crate) port: Option<u16>,
    /// Where it keeps its documents.
    pub(crate) data: Option<PathBuf>,
}

/// Becomes the server, so that signals reach it, in the folder where this was called. Returns only if it cannot.
pub(crate) fn run(native: &Native) -> Result {
    let built = cargo().args(["build", "--quiet", "-p", "yonder"]).stdin(Stdio::null()).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("the server was not built".to_owned());
    }
    let mut server = Command::new(target()?.join("debug/yonder"));
    server.arg("serve");
    if let Some(port) = native.port {
        server.args(["--listen", &format!("127.0.0.1:{port}")]);
    }
    if let Some(data) = &native.data {
        server.arg("--data").arg(data);
    }
    Err(format!("the server does not start: {}", server.exec()))
}

/// The command that starts this server, as scripts take it in `YONDER_UP`: see `tests/interop/host.mjs`.
pub(crate) fn template(yonder: &Path) -> String {
    let yonder = yonder.display().to_string().replace('\'', r"'\''");
    format!("'{yonder}' serve --listen 127.0.0.1:{{port}} --data {{data}}")
}
