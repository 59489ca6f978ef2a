//! What a request looks like to the component, and what Spin does around it.

use crate::http::send;
use crate::running::{Host, eventually};
use std::time::Duration;

#[test]
fn a_request_has_an_absolute_uri_and_the_headers_of_spin() {
    let host = Host::start(&[]);
    let address = &host.address;
    let (status, mut body) = send(address, "GET", "/echo/a?b=c", "X-Two: 1\r\nX-Two: 2\r\n", b"");
    assert_eq!(status, 200);
    let body = body.next().unwrap();
    let mut lines = body.lines();
    assert_eq!(lines.next(), Some(&*format!("GET http://{address}/echo/a?b=c")));
    let lines: Vec<_> = lines.collect();
    let full_url = format!("spin-full-url: http://{address}/echo/a?b=c");
    let expected = [
        "x-two: 1",
        "x-two: 2",
        "spin-path-info: /echo/a",
        &full_url,
        "spin-matched-route: /...",
        "spin-raw-component-route: /...",
        "spin-component-route: ",
        "spin-base-path: /",
    ];
    for line in expected {
        assert!(lines.contains(&line), "no {line:?} in {lines:?}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("spin-client-addr: 127.0.0.1:")).count(), 1);
}

#[test]
fn a_client_can_send_headers_of_spin_before_those_of_spin() {
    let host = Host::start(&[]);
    let (_, mut body) = send(&host.address, "GET", "/echo", "Spin-Client-Addr: 1.2.3.4:5\r\n", b"");
    let body = body.next().unwrap();
    let values: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("spin-client-addr: ")).collect();
    assert_eq!(values.len(), 2, "{body}");
    assert_eq!(values[0], "1.2.3.4:5");
    assert!(values[1].starts_with("127.0.0.1:"));
}

#[test]
fn a_header_that_is_not_text_does_not_reach_the_component() {
    let host = Host::start(&[]);
    let (status, _) = send(&host.address, "GET", "/hello", "X-Ok: \u{e9}\r\n", b"");
    assert_eq!(status, 200, "UTF-8 does");
    let mut stream = std::net::TcpStream::connect(&host.address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Bad: \xe9\r\n\r\n").unwrap();
    let mut status = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 500");
}

#[test]
fn the_well_known_paths_are_answered_by_the_host() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/.well-known/spin/health").good(), "OK");
    assert_eq!(host.get("/.well-known/spin/other").status, 404);
    assert_eq!(host.metric("requests"), 0);
}

#[test]
fn variables_are_those_that_were_given() {
    let host = Host::start(&["--variable", "key=a=b"]);
    assert_eq!(host.get("/variable/key").good(), "a=b");
    let missing = host.get("/variable/other");
    assert_eq!(missing.status, 503);
    assert!(missing.body.contains("Undefined"), "{}", missing.body);
    assert!(host.get("/variable/UPPER").body.contains("InvalidName"));
}

#[test]
fn a_body_of_megabytes_arrives() {
    let host = Host::start(&[]);
    assert_eq!(host.send("POST", "/body", &vec![7; 3_000_000]).good(), "3000000");
}

#[test]
fn requests_are_sent_to_allowed_origins_only() {
    let other = Host::start(&[]);
    let allowed = format!("http://{}", other.address);
    let host = Host::start(&["--allow-outbound", &allowed]);
    assert_eq!(host.send("POST", "/fetch", format!("{allowed}/hello").as_bytes()).good(), "hello");
    let itself = format!("http://{}/hello", host.address);
    for target in [itself.as_str(), "http://127.0.0.1/", "https://127.0.0.1:1/"] {
        let denied = host.send("POST", "/fetch", target.as_bytes());
        assert_eq!((denied.status, denied.body.contains("HttpRequestDenied")), (503, true), "{target}");
    }
    assert_eq!(other.metric("requests"), 1);
    let (gone, code, _) = other.terminate();
    assert_eq!((gone.as_str(), code), ("", Some(0)));
    assert!(
        host.send("POST", "/fetch", format!("{allowed}/hello").as_bytes()).body.contains("ConnectionRefused")
    );
}

#[test]
fn what_the_component_prints_goes_to_standard_error() {
    let host = Host::start(&[]);
    host.get("/print/something").good();
    eventually("it was printed", || host.stderr().contains("printed something"));
    let (printed, ..) = host.terminate();
    assert_eq!(printed, "");
}

#[test]
fn a_signal_ends_the_host_with_requests_under_way() {
    let host = Host::start(&[]);
    let address = host.address.clone();
    let waiting = std::thread::spawn(move || {
        std::panic::catch_unwind(|| send(&address, "GET", "/sleep?20000", "", b"")).is_err()
    });
    eventually("the request arrived", || host.metric("requests") == 1);
    let (_, code, took) = host.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(waiting.join().unwrap(), "the request was dropped without an answer");
}
