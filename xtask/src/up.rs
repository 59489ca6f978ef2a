//! `cargo xtask up`: one host, built and run; or all of them.

pub(crate) mod all;

use crate::run::{Output, Result, cargo, command, failed, root, target};
use crate::{cloudflare, pushpin, spin, tools};
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
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

/// How to run the Spin component.
pub(crate) struct Spin {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Where it keeps its documents.
    pub(crate) data: PathBuf,
    /// Variables, `NAME=VALUE`.
    pub(crate) vars: Vec<String>,
    /// Run what was built before.
    pub(crate) prebuilt: bool,
    /// Words for the host that runs it.
    pub(crate) host: Vec<String>,
    /// Whether a GRIP proxy stands in front of it, which holds WebSockets.
    pub(crate) grip: bool,
}

impl Default for Spin {
    fn default() -> Self {
        Self {
            port: 3000,
            data: "data/spin".into(),
            vars: Vec::new(),
            prebuilt: false,
            host: Vec::new(),
            grip: false,
        }
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

/// Becomes the host that runs the component, so that signals reach it, or the script that runs it behind a GRIP proxy.
/// Returns only if it cannot.
///
/// Where the real `spin` is on the PATH it is the host, unless there are words for that of the tests.
pub(crate) fn spin(app: &Spin) -> Result {
    let real = tools::on_path("spin").filter(|_| app.host.is_empty());
    let host = real.clone().map_or_else(|| spin::host(&Output::Shown), Ok)?;
    if !app.prebuilt {
        spin::build(&Output::Shown)?;
    }
    let data = std::path::absolute(&app.data).map_err(|error| failed("find", &app.data, error))?;
    fs::create_dir_all(&data).map_err(|error| failed("make", &data, error))?;
    let backend = if app.grip { free_port()? } else { app.port };
    let (control, key, issuer) = (free_port()?, "for this machine only", "yonder-up");
    let publisher = app.grip.then(|| format!("http://127.0.0.1:{control}"));
    let mut args: Vec<OsString> = match real {
        Some(_) => vec!["up".into(), "--from".into(), manifest(&data, publisher.as_deref())?.into()],
        None => vec![spin::built()?.into()],
    };
    args.extend(["--listen".into(), format!("127.0.0.1:{backend}").into()]);
    if real.is_some() {
        args.extend(["--state-dir".into(), data.into(), "--quiet".into()]);
    } else {
        args.extend(["--sqlite".into(), data.join("sqlite_key_value.db").into()]);
        // A start takes milliseconds then.
        args.extend(["--compiled".into(), target()?.join("spin-compiled").into()]);
        args.extend(publisher.iter().map(|url| format!("--allow-outbound={url}").into()));
        args.extend(app.host.iter().map(Into::into));
    }
    // Like the native server: without a key, for this machine only.
    let is_set = |name: &str| app.vars.iter().any(|var| var.split('=').next() == Some(name));
    if !is_set("YONDER_AUTH_KEY") && !is_set("YONDER_INSECURE_OPEN") {
        args.push("--variable=yonder_insecure_open=loopback".into());
    }
    for var in &app.vars {
        let (name, value) = var.split_once('=').ok_or(format!("{var} is no NAME=VALUE"))?;
        args.push(format!("--variable={}={value}", name.to_lowercase()).into());
    }
    if let Some(url) = &publisher {
        let grip = format!("{url}/?verify-iss={issuer}&verify-key={}", key.replace(' ', "%20"));
        args.push(format!("--variable=yonder_grip_url={grip}").into());
        pushpin::install(&Output::Shown)?;
    } else if real.is_none() {
        return Err(format!("the component does not start: {}", Command::new(host).args(args).exec()));
    }
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let mut script = command("node");
    script.arg(root().join("tests/grip/up.mjs")).arg("--xtask").arg(this);
    let control = publisher.map(|_| ("--control", control));
    for (name, port) in [("--port", app.port), ("--backend", backend)].into_iter().chain(control) {
        script.args([name, &port.to_string()]);
    }
    script.args(["--key", key, "--issuer", issuer, "--"]).arg(host).args(args);
    Err(format!("the component does not start: {}", script.exec()))
}

/// `spin.toml` for the component that is built, which may publish there.
fn manifest(folder: &Path, publisher: Option<&str>) -> Result<PathBuf> {
    let manifest = root().join("spin.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| failed("read", &manifest, error))?;
    let hosts = publisher.map(|url| format!("{url:?}")).unwrap_or_default();
    let lines = text.lines().map(|line| match line.split(" = ").next() {
        Some("source") => format!("source = {:?}", spin::built().unwrap_or_default()),
        Some("allowed_outbound_hosts") => format!("allowed_outbound_hosts = [{hosts}]"),
        _ => line.to_owned(),
    });
    let (text, made) = (lines.collect::<Vec<_>>().join("\n"), folder.join("spin.toml"));
    fs::write(&made, text).map_err(|error| failed("write", &made, error))?;
    Ok(made)
}

/// A port of 127.0.0.1 that nobody has.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("there is no free port: {error}"))
}

/// The commands that start what is built for a host, as scripts take them in `YONDER_UP` and `YONDER_UP_AUTH`; with these
/// options.
pub(crate) fn templates(host: &str, options: &str) -> Result<(String, String)> {
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let open = format!("{} up {host} {options} --prebuilt --port {{port}} --data {{data}}", quoted(&this));
    let closed = format!("{open} --var YONDER_AUTH_KEY={{keys}}");
    Ok((open, closed))
}

/// The command that starts this server, as scripts take it in `YONDER_UP`: see `tests/interop/host.mjs`.
pub(crate) fn template(yonder: &Path) -> String {
    format!("{} serve --listen 127.0.0.1:{{port}} --data {{data}}", quoted(yonder))
}

/// As one word of the shell's.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
