//! The module for Fastly Compute: its build, and what runs it on this machine.

pub(crate) mod test;

use crate::run::{Output, Result, cargo, command, failed, root, target};
use crate::tools::{cargo_install, rust_targets};
use crate::up::free_port;
use crate::{pushpin, wasm_opt};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The module's crate.
pub(crate) const PACKAGE: &str = "yonder-fastly";

/// What it is built for.
pub(crate) const TARGET: &str = "wasm32-wasip1";

/// Fastly's own runtime for this machine. It takes 10 minutes to build on two cores.
const VICEROY: &str = "0.22.0";

/// The name by which the service hands requests to Fanout: that of its own backend.
const SELF: &str = "self";

/// How to run it.
pub(crate) struct Service {
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Where its configuration is written. Documents are kept in memory.
    pub(crate) data: PathBuf,
    /// Settings, `NAME=VALUE`.
    pub(crate) vars: Vec<String>,
    /// Run what was built before.
    pub(crate) prebuilt: bool,
    /// Which module.
    pub(crate) module: Module,
    /// Whether Fanout is enabled.
    pub(crate) fanout: bool,
    /// Where Fanout takes what is published, on 127.0.0.1, if that matters.
    pub(crate) control: Option<u16>,
    /// Where it is published instead.
    pub(crate) publisher: Option<String>,
}

/// What is built of the package.
#[derive(Clone, Copy)]
pub(crate) enum Module {
    /// What is published.
    Published,
    /// The same, but its store counts, and fails when a request says so.
    Faulty,
    /// It only relays: what the other is measured against.
    Echo,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            port: 7676,
            data: "data/fastly".into(),
            vars: Vec::new(),
            prebuilt: false,
            module: Module::Published,
            fanout: true,
            control: None,
            publisher: None,
        }
    }
}

/// Builds the module, and puts it where Fastly's command line looks for it: where cargo puts what it releases.
pub(crate) fn build(output: &Output) -> Result {
    Module::Published.build(output)
}

impl Module {
    pub(crate) fn build(self, output: &Output) -> Result {
        rust_targets(&[TARGET], output)?;
        let mut module = cargo();
        module.args(["build", "--quiet", "-p", PACKAGE, "--target", TARGET, "--profile", "wasm"]);
        let built = match self {
            Self::Published | Self::Faulty => "yonder-fastly.wasm",
            Self::Echo => "examples/echo.wasm",
        };
        match self {
            Self::Published => module.args(["--bin", PACKAGE]),
            Self::Faulty => module.args(["--bin", PACKAGE, "--features", "faulty"]),
            Self::Echo => module.args(["--example", "echo"]),
        };
        output.run(&mut module)?;
        wasm_opt::make(&target()?.join(TARGET).join("wasm").join(built), &self.path()?, output)
    }

    fn path(self) -> Result<PathBuf> {
        let path = match self {
            Self::Published => "release/yonder-fastly.wasm",
            Self::Faulty => "faulty/yonder-fastly.wasm",
            Self::Echo => "echo/echo.wasm",
        };
        Ok(target()?.join(TARGET).join(path))
    }

    /// The module that was built.
    fn built(self) -> Result<PathBuf> {
        let module = self.path()?;
        if module.is_file() {
            Ok(module)
        } else {
            Err("the module is not built: leave out --prebuilt".to_owned())
        }
    }
}

/// Fastly's runtime.
fn viceroy(output: &Output) -> Result<PathBuf> {
    Ok(cargo_install("viceroy", VICEROY, &["--locked"], output)?.join("bin/viceroy"))
}

/// Becomes Viceroy, so that signals reach it, or the script that runs it beside Pushpin. Returns only if it cannot.
pub(crate) fn up(service: &Service) -> Result {
    let viceroy = viceroy(&Output::Shown)?;
    if !service.prebuilt {
        service.module.build(&Output::Shown)?;
    }
    let module = service.module.built()?;
    let (key, issuer) = ("for this machine only", "yonder-up");
    let control = service.control.map_or_else(free_port, Ok)?;
    let publisher = service.publisher.clone().unwrap_or_else(|| format!("http://127.0.0.1:{control}"));
    let mut vars = service.vars.clone();
    // Like the native server: without a key, for this machine only.
    let is_set = |name: &str| service.vars.iter().any(|var| var.split('=').next() == Some(name));
    if !is_set("YONDER_AUTH_KEY") && !is_set("YONDER_INSECURE_OPEN") {
        vars.push("YONDER_INSECURE_OPEN=loopback".to_owned());
    }
    if service.fanout {
        let key = key.replace(' ', "%20");
        vars.push(format!("YONDER_GRIP_URL={publisher}/?verify-iss={issuer}&verify-key={key}"));
    }
    let data = std::path::absolute(&service.data).map_err(|error| failed("find", &service.data, error))?;
    fs::create_dir_all(&data).map_err(|error| failed("make", &data, error))?;
    let manifest = data.join("viceroy.toml");
    let text = configuration(service.port, &publisher, &vars)?;
    fs::write(&manifest, text).map_err(|error| failed("write", &manifest, error))?;
    let mut args = vec!["-C".into(), manifest.into_os_string()];
    args.extend(["--addr".into(), format!("127.0.0.1:{}", service.port).into()]);
    let (front, handoff) = (free_port()?, free_port()?);
    if service.fanout {
        args.extend(["--local-pushpin-proxy-port".into(), handoff.to_string().into()]);
        pushpin::install(&Output::Shown)?;
    }
    args.push(module.into_os_string());
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let mut script = runtime(Path::new("node"));
    script.arg(root().join("tests/grip/up.mjs")).arg("--xtask").arg(this);
    let of_fanout = [("--handoff", handoff), ("--control", control)];
    let ports = [("--port", front), ("--backend", service.port)];
    for (name, port) in ports.into_iter().chain(of_fanout.into_iter().filter(|_| service.fanout)) {
        script.args([name, &port.to_string()]);
    }
    script.args(["--key", key, "--issuer", issuer, "--route", SELF, "--"]).arg(viceroy).args(args);
    Err(format!("the module does not start: {}", script.exec()))
}

/// A program with an environment in which Viceroy does each operation of its store by itself, one after the other.
fn runtime(program: &Path) -> Command {
    let mut runtime = command(program);
    runtime.env("TOKIO_WORKER_THREADS", "1");
    runtime
}

/// What `fastly.toml` says of a service, for Viceroy.
fn configuration(port: u16, publisher: &str, vars: &[String]) -> Result<String> {
    let quoted =
        |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut text = format!(
        "[local_server.backends.{SELF}]\nurl = \"http://127.0.0.1:{port}\"\n\
         [local_server.backends.publisher]\nurl = {}\n\
         [local_server.kv_stores]\nyonder_documents = []\n",
        quoted(publisher)
    );
    let (mut settings, mut secrets) = (String::new(), String::new());
    for var in vars {
        let (name, value) = var.split_once('=').ok_or(format!("{var} is no NAME=VALUE"))?;
        let (name, value) = (quoted(&name.to_lowercase()), quoted(value));
        if ["\"yonder_auth_key\"", "\"yonder_grip_url\""].contains(&name.as_str()) {
            secrets +=
                &format!("[[local_server.secret_stores.yonder_secrets]]\nkey = {name}\ndata = {value}\n");
        } else {
            settings += &format!("{name} = {value}\n");
        }
    }
    text += &secrets;
    text += "[local_server.config_stores.yonder_config]\nformat = \"inline-toml\"\n";
    text += &format!("[local_server.config_stores.yonder_config.contents]\n{settings}");
    Ok(text)
}
