//! What a component must not do: each is told, counted and fails.

use crate::http::request;
use crate::running::{Host, eventually};
use std::thread;
use std::time::Duration;

/// Expects the request to be told as one violation.
#[track_caller]
fn broken(host: &Host, method: &str, path: &str, body: &[u8], told: &str) {
    let before = host.violations().len();
    let answer = host.send(method, path, body);
    assert_eq!(answer.status, 503, "{method} {path}: {}", answer.body);
    let violations = host.violations();
    assert_eq!(violations.len(), before + 1, "{violations:?}");
    let last = &violations[before];
    assert!(last.starts_with("violation: ") && last.contains(told), "{last}");
    assert!(host.stderr().contains(last.as_str()));
    assert_eq!(host.metric("violations"), violations.len() as u64);
}

#[test]
fn what_harms_a_host_is_refused() {
    let host = Host::start(&[]);
    broken(&host, "GET", "/get-keys", b"", "Store::get_keys was called");
    broken(&host, "GET", "/cas/key", b"", "Cas::new was called");
    broken(&host, "GET", "/batch/key", b"", "batch::get_many was called");
    broken(&host, "GET", "/open/other", b"", "\"other\", which is not in the manifest");
    assert_eq!(host.get("/open/default").good(), "open");
}

#[test]
fn counters_and_values_are_kept_apart() {
    let host = Host::start(&[]);
    host.send("PUT", "/kv/value", b"12345678").good();
    broken(&host, "GET", "/increment/value?1", b"", "\"value\", which `set` wrote");
    host.get("/increment/counter?1").good();
    broken(&host, "GET", "/kv/counter", b"", "\"counter\", which is a counter");
    broken(&host, "PUT", "/kv/counter", b"x", "\"counter\", which is a counter");
    assert_eq!(host.get("/increment/counter?0").good(), "1");
    // Once it is deleted, a key may become the other.
    host.send("DELETE", "/kv/value", b"").good();
    assert_eq!(host.get("/increment/value?1").good(), "1");
}

#[test]
fn a_counter_in_a_value_of_an_earlier_run_is_refused() {
    let file = crate::running::folder().join("store.sqlite");
    let arguments = ["--sqlite", file.to_str().unwrap()];
    Host::start(&arguments).send("PUT", "/kv/value", b"text").good();
    let host = Host::start(&arguments);
    broken(&host, "GET", "/increment/value?1", b"", "\"value\", which holds no counter");
    assert_eq!(host.get("/kv/value").good(), "text");
}

#[test]
fn keys_and_values_are_limited() {
    let host = Host::start(&[]);
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    host.send("PUT", &format!("/kv/{longest}"), &vec![1; 1_000_000]).good();
    assert_eq!(host.get(&format!("/kv/{longest}")).good().len(), 1_000_000);
    broken(&host, "PUT", "/kv/key", &vec![1; 1_000_001], "a value of 1000001 bytes");
    assert_eq!(host.get("/kv/key").status, 404);
    for method in ["PUT", "GET", "DELETE", "POST"] {
        broken(&host, method, &format!("/kv/{too_long}"), b"", "a key of 256 bytes");
    }
    broken(&host, "GET", &format!("/increment/{too_long}?1"), b"", "a key of 256 bytes");
}

#[test]
fn a_panic_ends_the_requests_of_its_instance_and_is_told() {
    let host = Host::start(&[]);
    let address = host.address.clone();
    let beside = thread::spawn(move || request(&address, "GET", "/sleep?3000", b"").status);
    eventually("it sleeps", || host.metric("requests") == 1);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(host.get("/panic").status, 500);
    assert_eq!(beside.join().unwrap(), 500);
    eventually("it is told", || host.violations().len() == 1);
    assert!(host.violations()[0].contains("an instance failed"));
    assert_eq!(host.get("/served").good(), "1", "a new instance");
}

#[test]
fn an_error_is_answered_and_no_violation() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/error").status, 500);
    assert_eq!(host.violations(), Vec::<String>::new());
}
