//! A native server in a process of its own.

use crate::Done;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server, which ends with this.
pub(crate) struct Yonder {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    _data: TempDir,
}

impl Yonder {
    /// Starts one with these arguments, besides where it listens and keeps its documents.
    pub(crate) fn up(args: &[&str]) -> Done<Self> {
        let data = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_yonder"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(data.path())
            .args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("ready http://").ok_or_else(|| format!("not ready: {line}"));
        match address.and_then(|address| address.parse().map_err(|error| format!("{address}: {error}"))) {
            Ok(address) => Ok(Self { child, address, _data: data }),
            Err(why) => {
                child.kill()?;
                Err(why.into())
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Yonder {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
