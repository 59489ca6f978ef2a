use super::*;
use crate::result::{Host, Measured, Problem};
use std::collections::BTreeMap;

fn condition(text: &str) -> Condition {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn measured(propagation: Summary) -> Measured {
    Measured {
        ack: Summary { p90: Some(500.0), count: 99, failed: 1, ..Summary::default() },
        propagation,
        ..Measured::default()
    }
}

fn host(url: &str, transports: BTreeMap<Transport, Measured>, error: Option<Problem>) -> Host {
    Host { url: url.into(), server: None, locations: BTreeMap::new(), error, transports }
}

/// A host whose propagation takes 150 ms at p99, by WebSocket; its other ways know no p99.
fn outcome() -> Outcome {
    let known =
        Summary { p50: Some(20.0), p99: Some(150.0), max: Some(151.0), count: 100, ..Summary::default() };
    let unknown = Summary { p50: Some(20.0), count: 9, failed: 1, ..Summary::default() };
    let transports = [(Transport::Ws, measured(known)), (Transport::Sse, measured(unknown))].into();
    Outcome {
        schema: 1,
        tool: String::new(),
        started: String::new(),
        duration_s: 5.0,
        rate: 20.0,
        warm_up_s: 2.0,
        timeout_ms: 1.0,
        clock: crate::result::Clock { resolution_ns: 1, lag_p99_ms: None },
        hosts: vec![host("http://a", transports, None)],
        pairs: Vec::new(),
        notes: Vec::new(),
    }
}

fn fails(text: &str) -> Vec<bool> {
    condition(text).check(&outcome()).iter().map(|finding| finding.fails).collect()
}

#[test]
fn the_short_form_is_about_propagation_by_every_way() {
    assert_eq!(condition("p99>200ms").bound, 200.0);
    assert_eq!(condition(" p99  >=  0.2s ").bound, 200.0);
    assert_eq!(condition("ws.ack.median < 3").metric, Some(Metric::Ack));
    assert_eq!(condition("long-poll.p50 <= 1ms").transport, Some(Transport::LongPoll));
    assert_eq!(fails("p50 > 19.9ms"), [true, true]);
    assert_eq!(fails("p50 > 20ms"), [false, false]);
    assert_eq!(fails("p50 >= 20ms"), [true, true]);
}

#[test]
fn what_is_not_known_fails_and_says_so() {
    assert_eq!(fails("ws.p99 > 200ms"), [false]);
    assert_eq!(fails("ws.p99 > 100ms"), [true]);
    // In the order of ways: ws, sse.
    assert_eq!(fails("p99 > 200ms"), [false, true]);
    assert_eq!(fails("ws.tls.p50 > 1s"), [true], "it has no TLS");
    assert_eq!(fails("long-poll.p50 > 1s"), [true], "it was not measured");
    let findings = condition("p99 > 200ms").check(&outcome());
    assert!(
        findings[1].message.contains("not known") && findings[1].message.contains("9 recorded, 1 failed")
    );
    let problem = Problem { kind: "refused".into(), message: "no connection".into() };
    let unreachable = Outcome { hosts: vec![host("http://b", BTreeMap::new(), Some(problem))], ..outcome() };
    let findings = condition("failed > 0").check(&unreachable);
    assert!(findings[0].fails && findings[0].message.contains("no connection"), "{findings:?}");
}

#[test]
fn failures_are_counted_or_their_share() {
    assert_eq!(fails("failed > 0"), [true, true]);
    assert_eq!(fails("ws.failed > 1"), [false]);
    assert_eq!(fails("ws.ack.failed > 0.9%"), [true]);
    assert_eq!(fails("ws.ack.failed > 1%"), [false]);
    assert_eq!(fails("ws.failed >= 0.5%"), [true], "1 of 200");
    assert_eq!(fails("sse.propagation.failed > 9%"), [true]);
}

#[test]
fn what_means_nothing_is_refused() {
    for wrong in [
        "",
        "p99",
        "p99 = 3",
        "p98 > 3",
        "p99 > fast",
        "p99 > 3m",
        "p99 > 3%",
        "failed > 3ms",
        "pigeon.p99 > 3",
        "ws.sse.p99 > 3",
        "ws.ack.extra.p99 > 3",
        "p99 > NaN",
        "p99 > inf",
    ] {
        assert!(wrong.parse::<Condition>().is_err(), "{wrong:?}");
    }
}
