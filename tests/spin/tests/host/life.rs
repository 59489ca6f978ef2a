//! How long an instance lives, and what runs in it.

use crate::http::{request, send};
use crate::running::{Host, eventually};
use std::thread;
use std::time::{Duration, Instant};

/// How many requests the instance was given. An instance that has just answered is not yet free for another request.
fn served(host: &Host) -> u64 {
    thread::sleep(Duration::from_millis(100));
    host.get("/served").good().parse().unwrap()
}

#[test]
fn an_instance_serves_128_requests() {
    let host = Host::start(&[]);
    let counts: Vec<u64> = (0..300).map(|_| host.get("/served").good().parse().unwrap()).collect();
    assert!(counts.iter().all(|count| *count <= 128));
    let instances = counts.iter().filter(|count| **count == 1).count() as u64;
    assert!((3..30).contains(&instances), "{instances} instances for 300 requests");
    assert_eq!((host.metric("instances"), host.metric("requests")), (instances, 300));
}

#[test]
fn an_instance_can_be_limited_to_one_request() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    for _ in 0..3 {
        assert_eq!(served(&host), 1);
    }
    assert_eq!(host.metric("instances"), 3);
}

#[test]
fn an_instance_that_is_idle_ends() {
    let host = Host::start(&[]);
    assert_eq!(served(&host), 1);
    assert_eq!(served(&host), 2);
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(served(&host), 1);
}

/// How many instances these many requests at a time get.
fn instances(host: &Host, requests: usize) -> u64 {
    thread::scope(|scope| {
        for _ in 0..requests {
            scope.spawn(|| host.get("/sleep?500").good());
        }
    });
    host.metric("instances")
}

#[test]
fn an_instance_serves_16_requests_at_a_time() {
    let host = Host::start(&[]);
    // A new instance is made while the first one is still busy with the beginning of a request.
    let few = instances(&host, 16);
    assert!((1..16).contains(&few), "{few}");
    let host = Host::start(&["--max-instance-concurrent-reuse-count", "2"]);
    assert!(instances(&host, 8) >= 4);
}

/// What a request that waits for some milliseconds is told while others wake whom they can.
fn waited(host: &Host, milliseconds: u64) -> String {
    let address = host.address.clone();
    let waiting =
        thread::spawn(move || request(&address, "GET", &format!("/wait?{milliseconds}"), b"").good());
    while !waiting.is_finished() {
        host.get("/wake").good();
        thread::sleep(Duration::from_millis(50));
    }
    waiting.join().unwrap()
}

#[test]
fn a_request_wakes_another_of_its_instance() {
    let host = Host::start(&[]);
    let start = Instant::now();
    assert_eq!(waited(&host, 5000), "woken");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_request_of_another_instance_is_not_woken() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    assert_eq!(waited(&host, 500), "timeout");
}

#[test]
fn waking_a_request_that_has_ended_does_nothing() {
    let host = Host::start(&[]);
    for _ in 0..3 {
        assert_eq!(host.get("/wait?10").good(), "timeout");
    }
    thread::sleep(Duration::from_millis(100));
    host.get("/wake").good();
    assert!(served(&host) > 2, "in the same instance");
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn work_after_the_response_is_done_while_the_instance_lives() {
    let host = Host::start(&[]);
    host.get("/after/key?100").good();
    eventually("the key was set", || host.get("/kv/key").status == 200);
}

#[test]
fn work_after_the_response_is_dropped_with_the_instance() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    host.get("/after/key?300").good();
    thread::sleep(Duration::from_millis(900));
    assert_eq!(host.get("/kv/key").status, 404);
    let host = Host::start(&["--idle-instance-timeout", "100ms"]);
    host.get("/after/key?300").good();
    thread::sleep(Duration::from_millis(900));
    assert_eq!(host.get("/kv/key").status, 404);
}

#[test]
fn a_response_is_sent_as_it_comes_whatever_the_reuse() {
    for reuse in ["128", "1"] {
        let host = Host::start(&["--max-instance-reuse-count", reuse]);
        let start = Instant::now();
        let (status, mut events) = send(&host.address, "GET", "/events?400", "", b"");
        assert_eq!(status, 200);
        assert!(start.elapsed() < Duration::from_millis(400), "the headers are sent before the first event");
        for event in 1..=3 {
            assert_eq!(events.next(), Some(format!("data: {event}\n\n")));
            let (sent, next) = (Duration::from_millis(400 * event), Duration::from_millis(400 * (event + 1)));
            assert!((sent..next).contains(&start.elapsed()), "event {event} after {:?}", start.elapsed());
        }
        assert_eq!(events.next(), None);
    }
}

#[test]
fn a_reader_that_left_is_told_by_a_failing_send() {
    let host = Host::start(&[]);
    drop(send(&host.address, "GET", "/events?200", "", b""));
    eventually("the sender was told", || host.stderr().contains("the reader of the events is gone"));
}

#[test]
fn a_client_that_leaves_does_not_stop_its_request() {
    let host = Host::start(&["--idle-instance-timeout", "10s"]);
    let mut stream = std::net::TcpStream::connect(&host.address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /wait?300 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually("it waits", || host.metric("running") == 1);
    drop(stream);
    eventually("it is over", || host.metric("running") == 0);
    assert_eq!(served(&host), 2, "in the same instance");
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn an_instance_that_is_gone_is_not_counted() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    host.get("/hello").good();
    eventually("it is gone", || host.metric("alive") == 0);
    assert_eq!((host.metric("instances"), host.metric("running")), (1, 0));
}

#[test]
fn an_instance_gets_the_memory_that_it_may_have() {
    let body = vec![0; 8 << 20];
    let host = Host::start(&[]);
    assert_eq!(host.send("POST", "/body", &body).good(), body.len().to_string());
    let most = host.metric("memory");
    assert!(most > 8 << 20, "{most}");
    let host = Host::start(&["--max-instance-memory", &(most / 2).to_string()]);
    assert_eq!(host.send("POST", "/body", &body).status, 500);
    assert!((1..=most / 2).contains(&host.metric("memory")));
    assert_eq!(host.metric("violations"), 1);
}
