//! The key-value store on SQLite.

use crate::running::{Host, folder};
use std::thread;

#[test]
fn values_and_counters_are_kept_in_a_file() {
    let file = folder().join("store.sqlite");
    let arguments = ["--sqlite", file.to_str().unwrap()];
    let host = Host::start(&arguments);
    assert_eq!(host.get("/kv/a").status, 404);
    assert_eq!(host.send("POST", "/kv/a", b"").good(), "false");
    host.send("PUT", "/kv/a", b"one").good();
    host.send("PUT", "/kv/a", b"two").good();
    host.send("PUT", "/kv/b", b"").good();
    assert_eq!(host.get("/kv/a").good(), "two");
    assert_eq!(host.get("/kv/b").good(), "");
    assert_eq!(host.send("POST", "/kv/a", b"").good(), "true");
    assert_eq!(host.get("/increment/c?5").good(), "5");
    assert_eq!(host.get("/increment/c?-7").good(), "-2");
    assert_eq!(host.get("/keys").good(), "a\nb\nc");
    drop(host);

    let host = Host::start(&arguments);
    assert_eq!(host.get("/kv/a").good(), "two");
    assert_eq!(host.get("/increment/c?0").good(), "-2");
    host.send("DELETE", "/kv/a", b"").good();
    host.send("DELETE", "/kv/a", b"").good();
    assert_eq!(host.get("/kv/a").status, 404);
    assert_eq!(host.get("/keys").good(), "b\nc");
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn a_store_in_memory_is_shared_by_instances_and_ends_with_the_host() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    host.send("PUT", "/kv/a", b"one").good();
    assert_eq!(host.get("/kv/a").good(), "one");
    drop(host);
    assert_eq!(Host::start(&[]).get("/kv/a").status, 404);
}

#[test]
fn no_increment_is_lost() {
    let host = Host::start(&["--max-instance-reuse-count", "1"]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| drop(host.get("/increment/c?1").good())));
        }
    });
    assert_eq!(host.get("/increment/c?0").good(), "80");
}

#[test]
fn operations_and_bytes_are_counted() {
    let host = Host::start(&[]);
    host.send("PUT", "/kv/abc", b"12345").good();
    host.get("/kv/abc").good();
    host.get("/kv/none");
    host.send("POST", "/kv/abc", b"").good();
    host.get("/increment/count?1").good();
    host.get("/keys").good();
    host.send("DELETE", "/kv/abc", b"").good();
    let counted = [
        ("sets", 1),
        ("gets", 2),
        ("exists", 1),
        ("increments", 1),
        ("list_keys", 1),
        ("deletes", 1),
        ("bytes_in", 3 + 5),
        ("bytes_out", 5 + "abc".len() as u64 + "count".len() as u64),
        ("requests", 7),
        ("violations", 0),
    ];
    for (name, count) in counted {
        assert_eq!(host.metric(name), count, "{name}");
    }
}

#[test]
fn a_store_can_be_without_counters() {
    let host = Host::start(&["--no-counter"]);
    let answer = host.get("/increment/c?1");
    assert_eq!((answer.status, answer.body.contains("no counters")), (503, true));
    assert_eq!(host.violations(), Vec::<String>::new());
}

#[test]
fn operations_fail_as_often_as_they_are_told_to_done_or_not() {
    let host = Host::start(&["--fail", "set=0.5", "--seed", "7", "--store-delay", "0"]);
    let (mut failed, mut unanswered) = (0, 0);
    for key in 0..100 {
        let path = format!("/kv/{key}");
        if host.send("PUT", &path, b"value").status == 503 {
            failed += 1;
            unanswered += u32::from(host.get(&path).status == 200);
        }
    }
    assert!((30..70).contains(&failed), "{failed} of 100 failed");
    assert!((failed / 4..=failed * 3 / 4).contains(&unanswered), "{unanswered} of {failed} were done");
    assert_eq!(host.metric("violations"), 0);
    assert_eq!(Host::start(&["--fail", "all=1"]).get("/keys").status, 503);
}
