//! The key-value store on a real Redis.

use crate::running::{Host, eventually, folder};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

struct Redis(Child);

impl Redis {
    /// A server without a file, on a free port: `$REDIS_SERVER`, or the one on the PATH.
    fn start() -> (Self, String) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut server = Command::new(program);
        server.args(["--port", &free.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let server = server.current_dir(folder()).stdout(Stdio::null()).spawn().unwrap();
        eventually("Redis answers", || TcpStream::connect(free).is_ok());
        (Self(server), format!("redis://{free}/0"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "wants a redis-server"]
fn the_store_works_on_redis() {
    let (_redis, url) = Redis::start();
    let arguments = ["--redis", url.as_str()];
    let host = Host::start(&arguments);
    assert_eq!(host.get("/kv/a").status, 404);
    host.send("PUT", "/kv/a", b"one").good();
    host.send("PUT", "/kv/b", b"").good();
    assert_eq!(host.get("/kv/a").good(), "one");
    assert_eq!(host.get("/kv/b").good(), "");
    assert_eq!(host.send("POST", "/kv/a", b"").good(), "true");
    assert_eq!(host.get("/increment/c?5").good(), "5");
    assert_eq!(host.get("/increment/c?-7").good(), "-2");
    assert_eq!(host.get("/keys").good(), "a\nb\nc");
    drop(host);

    let host = Host::start(&arguments);
    assert_eq!(host.get("/increment/c?0").good(), "-2");
    host.send("DELETE", "/kv/a", b"").good();
    assert_eq!(host.get("/kv/a").status, 404);
    assert_eq!(host.get("/keys").good(), "b\nc");
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
#[ignore = "wants a redis-server"]
fn a_redis_that_went_away_is_an_error() {
    let (redis, url) = Redis::start();
    let host = Host::start(&["--redis", &url]);
    host.send("PUT", "/kv/a", b"one").good();
    drop(redis);
    assert_eq!(host.get("/kv/a").status, 503);
    assert_eq!(host.violations(), Vec::<String>::new());
}
