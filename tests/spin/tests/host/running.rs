//! The host as a process of its own, with the probe in it.

use crate::http::{Response, request};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The component, built once.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "-p", "yonder-spin-probe", "--target", "wasm32-wasip2"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", &target);
        assert!(build.status().unwrap().success(), "the probe was not built");
        target.join("wasm32-wasip2/debug/yonder_spin_probe.wasm")
    })
}

/// A folder for one test.
pub(crate) fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) struct Host {
    pub(crate) address: String,
    admin: String,
    folder: PathBuf,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    /// The host with these arguments, once it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = folder();
        let stderr = fs::File::create(folder.join("stderr")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_yonder-spin-host"));
        command.arg(probe()).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command
            .arg("--compiled")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))
            .arg("--violations");
        command.arg(folder.join("violations")).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = |word: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let address = line.trim_end().strip_prefix(word);
            let said = || fs::read_to_string(folder.join("stderr")).unwrap();
            address.unwrap_or_else(|| panic!("{line:?} without {word:?}; {}", said())).to_owned()
        };
        let admin = line("admin http://");
        let address = line("ready http://");
        Self { address, admin, folder, child, stdout }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, b"")
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Response {
        request(&self.address, method, path, body)
    }

    /// One of the host's counters.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let json = request(&self.admin, "GET", "/.host/metrics", b"").good();
        let (_, value) =
            json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
        value.split([',', '}']).next().unwrap().parse().unwrap()
    }

    /// What the file of violations holds.
    pub(crate) fn violations(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("violations")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// What it printed beside its addresses, and its code, after a SIGTERM; and how long it took to end.
    pub(crate) fn terminate(mut self) -> (String, Option<i32>, Duration) {
        let start = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        let code = self.child.wait().unwrap().code();
        (printed, code, start.elapsed())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until it is so, for 5 seconds at most.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
