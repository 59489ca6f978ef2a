//! The servers under test: how each is started, addressed and stopped. Each is a process of its own with its own data.

use crate::process;
use nix::sys::signal::Signal;
use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time that a server may take to listen, or to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// A product under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This project.
    Yonder,
    /// y-sweet 0.9.1.
    YSweet,
    /// npm `@y/websocket-server` with `y-leveldb`.
    YWebsocket,
}

impl Kind {
    /// Column heading.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Yonder => "yonder",
            Self::YSweet => "y-sweet",
            Self::YWebsocket => "y-websocket",
        }
    }

    /// What the server does about storing, which explains a part of its figures.
    pub(crate) fn promise(self) -> &'static str {
        match self {
            Self::Yonder => "stores every update in its log and acknowledges (102) only what is stored",
            Self::YSweet => {
                "stores a document in its directory every 10 s, whole; echoes 102 at once, before anything is stored"
            }
            Self::YWebsocket => {
                "with `YPERSISTENCE` (y-leveldb): every update is handed to LevelDB, nothing waits for it; no 102"
            }
        }
    }

    /// Whether the server answers message 102.
    pub(crate) fn acknowledges(self) -> bool {
        self != Self::YWebsocket
    }

    /// How long the data directory must not change until everything counts as stored: longer than the server's own
    /// interval between writes.
    pub(crate) fn settles_in(self) -> Duration {
        match self {
            Self::Yonder | Self::YWebsocket => Duration::from_secs(3),
            Self::YSweet => Duration::from_secs(12),
        }
    }

    fn command(self, path: &Path, addr: SocketAddr, data: &Path) -> Command {
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        match self {
            Self::Yonder => {
                let mut command = Command::new(path);
                command.args(["serve", "--listen", &addr.to_string(), "--data"]).arg(data);
                command
            }
            Self::YSweet => {
                let mut command = Command::new(path);
                command.args(["serve", "--host", &host, "--port", &port]).arg(data);
                command
            }
            Self::YWebsocket => {
                let mut command = Command::new("node");
                command.current_dir(path).arg("node_modules/@y/websocket-server/dist/server.cjs");
                command.env("HOST", host).env("PORT", port).env("YPERSISTENCE", data);
                command
            }
        }
    }
}

/// A product and where it is installed.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    /// The binary, or for y-websocket the directory with `node_modules`.
    pub(crate) path: PathBuf,
}

impl Peer {
    /// Starts the server on `data` (made if it does not exist) and a free port; returns once it listens.
    ///
    /// # Panics
    /// If it does not, with the place of its log.
    pub(crate) fn start(&self, data: &Path) -> Server {
        create_dir_all(data).expect("a data directory");
        let log_path = data.with_extension("log");
        let log = File::options().create(true).append(true).open(&log_path).expect("a log file");
        let addr = free_address();
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let child = self
            .kind
            .command(&path, addr, data)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle on the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.kind.name()));
        let mut server = Server { kind: self.kind, addr, data: data.to_path_buf(), child };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(addr).is_err() {
            let ended = server.child.try_wait().expect("the state of a child");
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log_path).unwrap_or_default();
                panic!("{} does not listen ({ended:?}):\n{said}", self.kind.name());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    pub(crate) data: PathBuf,
    child: Child,
}

impl Server {
    /// Address of a document's WebSocket.
    pub(crate) fn url(&self, doc: &str) -> String {
        match self.kind {
            Kind::Yonder => format!("ws://{}/ws/{doc}", self.addr),
            Kind::YSweet => format!("ws://{}/d/{doc}/ws/{doc}", self.addr),
            Kind::YWebsocket => format!("ws://{}/{doc}", self.addr),
        }
    }

    /// CPU time used so far by all threads and child processes.
    pub(crate) fn cpu(&self) -> Duration {
        process::cpu(self.child.id())
    }

    /// Memory now, child processes included.
    pub(crate) fn memory(&self) -> process::Memory {
        process::memory(self.child.id())
    }

    /// Bytes in the data directory.
    pub(crate) fn stored_bytes(&self) -> u64 {
        process::directory_bytes(&self.data)
    }

    /// Asks the server to end and waits for it, so that it may store what it still holds.
    pub(crate) fn stop(mut self) {
        process::signal(self.child.id(), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("the state of a child").is_none() {
            if Instant::now() > deadline {
                eprintln!("{} does not end by itself", self.kind.name());
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}
