//! The page as a whole: what is on it, and what is not.

use super::*;
use crate::result::{Clock, Measured, Problem};
use std::collections::BTreeMap;

fn result(hosts: Vec<Host>) -> Outcome {
    Outcome {
        schema: 1,
        tool: "yonder 0.0.0".to_owned(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        duration_s: 5.0,
        rate: 20.0,
        warm_up_s: 2.0,
        timeout_ms: 10_000.0,
        clock: Clock { resolution_ns: 20, lag_p99_ms: Some(0.2) },
        hosts,
        pairs: Vec::new(),
        notes: vec!["One client at one place.".to_owned()],
    }
}

fn host(url: &str, transports: &[(Transport, Measured)]) -> Host {
    Host {
        url: url.to_owned(),
        server: Some("yonder 0.0.0".to_owned()),
        locations: BTreeMap::from([("cf-ray".to_owned(), BTreeMap::from([("FRA".to_owned(), 12)]))]),
        error: None,
        transports: transports.iter().cloned().collect(),
    }
}

fn measured(propagation: Summary) -> Measured {
    Measured { propagation, ..Measured::default() }
}

/// Of 100 and more, from 1 ms to 3 ms.
fn many() -> Summary {
    let histogram: Vec<_> = (0..=20_u32).map(|step| (1.0 + f64::from(step) / 10.0, 6)).collect();
    Summary {
        p50: Some(2.0),
        p90: Some(2.75),
        p99: Some(3.0),
        max: Some(3.0),
        min: Some(1.0),
        mean: Some(2.0),
        count: 126,
        histogram,
        ..Summary::default()
    }
}

fn problem(kind: &str, message: &str) -> Problem {
    Problem { kind: kind.to_owned(), message: message.to_owned() }
}

fn count(page: &str, what: &str) -> usize {
    page.matches(what).count()
}

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// A result in which this is in every place that a server, a URL or a file can put something.
fn full_of(text: &str) -> Outcome {
    let said = || text.to_owned();
    let failing = Summary { failed: 2, failures: BTreeMap::from([(said(), 2)]), ..many() };
    let mut broken = measured(failing.clone());
    broken.error = Some(problem(text, text));
    let mut one = host(text, &[(Transport::Ws, broken)]);
    one.server = Some(said());
    one.locations = BTreeMap::from([(said(), BTreeMap::from([(said(), 1)]))]);
    let mut other = host(&format!("{text}2"), &[]);
    other.error = Some(problem(text, text));
    let mut outcome = result(vec![one, other]);
    outcome.tool = said();
    outcome.started = said();
    outcome.notes = vec![said()];
    outcome.pairs = vec![Pair {
        from: said(),
        to: said(),
        transport: Transport::Sse,
        error: Some(problem(text, text)),
        propagation: failing.clone(),
        converge: failing,
    }];
    outcome
}

#[test]
fn nothing_that_came_from_elsewhere_becomes_part_of_the_page() {
    let harmless = html(&full_of("harmless"));
    assert!(count(&harmless, "harmless") > 30, "it is in every place");
    for hostile in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onload='alert(1)",
        "</style><x>",
        "</title><x>",
        "<!--",
        "&lt;",
        "{}\n--><x>",
    ] {
        let page = html(&full_of(hostile));
        for mark in ["<", ">", "\"", "'"] {
            assert_eq!(count(&page, mark), count(&harmless, mark), "{mark} of {hostile}");
        }
    }
    assert!(html(&full_of("a<b&c")).contains("<title>Latency, a&lt;b&amp;c</title>"));
}

#[test]
fn the_page_runs_nothing_and_asks_for_nothing() {
    let page = html(&full_of("https://example.org"));
    for word in ["<script", " src=", "@import", "url(http", "url(\"http", "<link", "<iframe", "<img", " on"] {
        let inside = if word == " on" {
            count(&page, " onload=") + count(&page, " onclick=")
        } else {
            count(&page, word)
        };
        assert_eq!(inside, 0, "{word}");
    }
    assert!(values(&page, "href").iter().all(|target| target.starts_with('#')));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn each_reference_leads_to_the_one_thing_of_that_name() {
    let three = Transport::ALL.map(|transport| (transport, measured(many())));
    let mut outcome = result(vec![host("https://a.example", &three), host("https://b.example", &three)]);
    outcome.pairs = full_of("x").pairs;
    let page = html(&outcome);
    let ids = values(&page, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let clips = values(&page, "clip-path").into_iter().map(|url| url.trim_matches(['u', 'r', 'l', '(', ')']));
    let labels = values(&page, "aria-labelledby");
    let mut targets: Vec<_> =
        values(&page, "href").into_iter().chain(clips).map(|target| &target[1..]).collect();
    targets.extend(labels);
    assert!(targets.len() > 40);
    for target in targets {
        assert!(ids.contains(&target), "{target}");
    }
}

#[test]
fn each_host_and_transport_is_one_line_in_words_and_as_a_shape() {
    let three = Transport::ALL.map(|transport| (transport, measured(many())));
    let page = html(&result(vec![host("https://a.example", &three), host("https://b.example", &three)]));
    assert_eq!((count(&page, "clip-path="), count(&page, "class=\"p99 point\"")), (6, 6));
    for transport in ["WebSocket", "Event stream", "Long-poll"] {
        for name in ["a.example", "b.example"] {
            let told = format!(
                "{name} by {transport}: median 2.00 ms, p90 2.75 ms, p99 3.00 ms, from 1.00 to 3.00 ms, 126 measured, 0 failed"
            );
            assert_eq!(count(&page, &format!("aria-label=\"{told}\"")), 1, "{told}");
        }
    }
    assert_eq!(count(&page, "<h2 id="), 1, "metrics of which nothing is known are left out");
    assert!(page.contains("<code>cf-ray</code>: FRA (12)"));
}

#[test]
fn hosts_are_shown_in_full_where_their_names_are_not_enough() {
    let ws = [(Transport::Ws, measured(many()))];
    let page = html(&result(vec![host("https://a.example", &ws), host("http://a.example", &ws)]));
    for url in ["https://a.example", "http://a.example"] {
        assert_eq!(count(&page, &format!("<span class=\"name\">{url}</span>")), 1, "{url}");
    }
}

#[test]
fn a_result_of_nothing_says_so() {
    let page = html(&result(Vec::new()));
    assert!(page.contains("Nothing was measured.") && page.ends_with("</html>\n"));
    assert_eq!((count(&page, "<figure"), count(&page, "class=\"problems\"")), (0, 0));
}

#[test]
fn a_host_that_could_not_be_measured_is_named_with_the_reason() {
    let mut dead = host("https://dead.example", &[]);
    dead.error = Some(problem("refused", "no connection"));
    let mut late = measured(many());
    late.error = Some(problem("timeout", "nothing arrived since 3.0 s"));
    let page = html(&result(vec![dead, host("https://late.example", &[(Transport::LongPoll, late)])]));
    assert!(
        page.contains(
            "<li><strong>https://dead.example</strong>: no connection <small>(refused)</small></li>"
        )
    );
    let part = "<li><strong>https://late.example by Long-poll</strong>: nothing arrived since 3.0 s";
    assert!(page.contains(part));
    assert_eq!(count(&page, "class=\"ridge\"><span class=\"name\">"), 1, "what was measured is drawn");
}

#[test]
fn few_samples_are_drawn_one_by_one_and_claim_no_percentile() {
    let one = Summary {
        max: Some(1.5),
        min: Some(1.5),
        mean: Some(1.5),
        count: 1,
        histogram: vec![(1.5, 1)],
        ..Summary::default()
    };
    let page = html(&result(vec![host("https://a.example", &[(Transport::Ws, measured(one))])]));
    assert_eq!((count(&page, "class=\"sample\""), count(&page, "clip-path=")), (1, 0));
    assert_eq!(count(&page, " point\""), 0);
    assert!(page.contains("<span>1.50 ms, 1 measured</span>"));
    assert!(page.contains(
        "<td>–</td><td>–</td><td>–</td><td>1.50</td><td>1.50</td><td>1.50</td><td>1</td><td>0</td>"
    ));
}

#[test]
fn transports_that_one_host_does_not_have_are_left_out_of_its_lines_only() {
    let ws = (Transport::Ws, measured(many()));
    let sse = (Transport::Sse, measured(many()));
    let page = html(&result(vec![host("https://a.example", &[ws]), host("https://b.example", &[sse])]));
    assert_eq!(count(&page, "class=\"ridge\"><span class=\"name\">"), 2);
    assert_eq!(
        (count(&page, "<div class=\"group\" data-by=\"ws\">"), count(&page, "data-by=\"long-poll\">")),
        (1, 0)
    );
}

#[test]
fn what_failed_is_counted_by_its_reason_and_marked() {
    let failures = BTreeMap::from([("closed".to_owned(), 1), ("timeout".to_owned(), 2)]);
    let lost = Summary { failed: 3, failures, ..Summary::default() };
    let some = Summary { p99: None, failed: 3, ..many() };
    let hosts = [("https://a.example", lost), ("https://b.example", some)]
        .map(|(url, summary)| host(url, &[(Transport::Ws, measured(summary))]));
    let page = html(&result(hosts.to_vec()));
    assert!(page.contains("<td>0</td><td>3 <small>1 closed, 2 timeout</small></td>"));
    assert_eq!((count(&page, "class=\"failed point\""), count(&page, "3 failed</span>")), (2, 2));
    assert_eq!(count(&page, "class=\"p99 point\""), 0, "a percentile that is not known is not drawn");
}

#[test]
fn what_only_failed_needs_no_axis() {
    let lost = Summary { failed: 1, ..Summary::default() };
    let page = html(&result(vec![host("https://a.example", &[(Transport::Ws, measured(lost))])]));
    assert!(page.contains("<p>Nothing was measured.</p>") && page.contains("<td>0</td><td>1</td>"));
}

#[test]
fn milliseconds_have_three_digits() {
    let cases = [
        (None, "–"),
        (Some(0.0), "0.00"),
        (Some(9.994), "9.99"),
        (Some(9.996), "10.0"),
        (Some(99.96), "100"),
    ];
    for (ms, expected) in cases.into_iter().chain([(Some(1234.5), "1,235"), (Some(1e6), "1,000,000")]) {
        assert_eq!(shown(ms), expected, "{ms:?}");
    }
}
