//! As much of HTTP/1.1 as a proxy needs of a host, a thread for each connection.

use bytes::Bytes;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use yonder_core::http::Reply;

/// Bytes of a body that are read.
const BODY_MAX: usize = 8 << 20;

/// A request.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// What answers.
pub(crate) trait Server: Sync {
    fn answer(&self, asked: &Asked) -> Reply;
}

impl Asked {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Serves on a port of 127.0.0.1, until the process ends; says `ready` once it does.
pub(crate) fn serve(port: u16, server: &impl Server) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("ready");
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            scope.spawn(move || {
                if let Err(error) = converse(&stream, server) {
                    println!("a connection ended: {error}");
                }
            });
        }
        Ok(())
    })
}

fn converse(stream: &TcpStream, server: &impl Server) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader, stream)? {
        let reply = server.answer(&asked);
        let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        (&*stream).write_all(&[head.as_bytes(), &reply.body].concat())?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<&TcpStream>, stream: &TcpStream) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked =
        Asked { path: path.to_owned(), query: query.to_owned(), headers: Vec::new(), body: Bytes::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > BODY_MAX {
        return Err(io::Error::other("the body is too long"));
    }
    if asked.header("expect").is_some() {
        (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = body.into();
    Ok(Some(asked))
}

/// Posts JSON, and gives the status.
pub(crate) fn post(url: &str, authorization: Option<&str>, body: &str) -> io::Result<u16> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("only http:// is published to"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{authorization}\
         connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("the proxy's answer is not HTTP"))
}
