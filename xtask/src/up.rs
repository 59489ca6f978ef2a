//! `cargo xtask up`: one host, built and run.

use crate::cloudflare;
use crate::run::{Output, Result, cargo, failed, target};
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

/// How to run the Worker.
pub(crate) struct Cloudflare {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Where it keeps its documents.
    pub(crate) data: PathBuf,
    /// Variables, `NAME=VALUE`.
    pub(crate) vars: Vec<String>,
    /// Run what was built before.
    pub(crate) prebuilt: bool,
}

impl Default for Cloudflare {
    fn default() -> Self {
        Self { port: 8787, data: "data/cloudflare".into(), vars: Vec::new(), prebuilt: false }
    }
}

/// Becomes the server, so that signals reach it, in the folder where this was called. Returns only if it cannot.
pub(crate) fn native(native: &Native) -> Result {
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

/// The variable that an option stands for which the native server has by the same name.
pub(crate) fn variable(option: &str) -> Option<String> {
    let options = [
        "public-url",
        "max-connections-per-document",
        "max-held-per-document",
        "long-poll-seconds",
        "sse-seconds",
        "max-document-mb",
        "max-message-mb",
        "compact-updates",
        "compact-kb",
        "commit-interval-ms",
    ];
    options.contains(&option).then(|| format!("YONDER_{}", option.replace('-', "_").to_uppercase()))
}

/// Becomes the script that runs workerd, so that signals reach it. Returns only if it cannot.
pub(crate) fn cloudflare(worker: &Cloudflare) -> Result {
    if !worker.prebuilt {
        cloudflare::build(&Output::Shown)?;
    } else if !cloudflare::is_built() {
        return Err("the Worker is not built: run cargo xtask build cloudflare".to_owned());
    }
    let here = std::env::current_dir().map_err(|error| format!("cannot tell where this runs: {error}"))?;
    let mut script = cloudflare::script("up.mjs")?;
    script.arg("--port").arg(worker.port.to_string()).arg("--data").arg(here.join(&worker.data));
    // Like the native server: without a key, for this machine only.
    let is_set = |name: &str| worker.vars.iter().any(|var| var.split('=').next() == Some(name));
    if !is_set("YONDER_AUTH_KEY") && !is_set("YONDER_INSECURE_OPEN") {
        script.arg("--var=YONDER_INSECURE_OPEN=loopback");
    }
    for var in &worker.vars {
        script.arg(format!("--var={var}"));
    }
    Err(format!("the Worker does not start: {}", script.exec()))
}

/// The command that starts this server, as scripts take it in `YONDER_UP`: see `tests/interop/host.mjs`.
pub(crate) fn template(yonder: &Path) -> String {
    format!("{} serve --listen 127.0.0.1:{{port}} --data {{data}}", quoted(yonder))
}

/// The commands that start the Worker that is built, as scripts take them in `YONDER_UP` and `YONDER_UP_AUTH`.
pub(crate) fn cloudflare_templates() -> Result<(String, String)> {
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let open = format!("{} up cloudflare --prebuilt --port {{port}} --data {{data}}", quoted(&this));
    let closed = format!("{open} --var YONDER_AUTH_KEY={{keys}}");
    Ok((open, closed))
}

/// As one word of the shell's.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
