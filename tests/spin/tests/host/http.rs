//! A client of HTTP/1.1 that waits for its answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    /// The body of an answer that is good.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }
}

/// Sends a request on a connection of its own and reads the headers of the answer. `headers` end with CRLF each.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Reader) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {line:?}")).parse().unwrap();
    let mut chunked = false;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        chunked |= line.to_ascii_lowercase().starts_with("transfer-encoding: chunked");
    }
    (status, Reader { stream, chunked })
}

/// What follows the headers.
pub(crate) struct Reader {
    stream: BufReader<TcpStream>,
    chunked: bool,
}

impl Reader {
    /// The next piece of the body, or all of it where it is not sent in pieces; nothing at its end.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        if self.chunked {
            let mut size = String::new();
            self.stream.read_line(&mut size).unwrap();
            let size =
                usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("not a size: {size:?}"));
            bytes.resize(size + 2, 0);
            self.stream.read_exact(&mut bytes).unwrap();
            bytes.truncate(size);
        } else {
            self.stream.read_to_end(&mut bytes).unwrap();
        }
        (!bytes.is_empty()).then(|| String::from_utf8(bytes).unwrap())
    }
}

pub(crate) fn request(address: &str, method: &str, path: &str, body: &[u8]) -> Response {
    let (status, mut reader) = send(address, method, path, "", body);
    let body = std::iter::from_fn(|| reader.next()).collect();
    Response { status, body }
}
