use super::*;
use crate::result::{Clock, Host, Measured};
use std::collections::BTreeMap;

/// A run of one host by WebSocket, in which propagation has blocks with these medians, and nothing else has any.
fn run(medians: &[f64]) -> Outcome {
    let series = medians.iter().enumerate().map(|(second, median)| (second as f64, *median, 20)).collect();
    let propagation = Summary { series, ..Summary::default() };
    let measured = Measured { propagation, ..Measured::default() };
    let host = Host {
        url: "http://a".into(),
        server: None,
        locations: BTreeMap::new(),
        error: None,
        transports: [(Transport::Ws, measured)].into(),
    };
    Outcome {
        schema: 1,
        tool: String::new(),
        started: String::new(),
        duration_s: 5.0,
        rate: 20.0,
        warm_up_s: 2.0,
        timeout_ms: 1.0,
        clock: Clock { resolution_ns: 1, lag_p99_ms: None },
        hosts: vec![host],
        pairs: Vec::new(),
        notes: Vec::new(),
    }
}

/// Medians around a level, as noise has them.
fn around(level: f64, seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    (0..count).map(|_| level * (0.9 + 0.2 * next())).collect()
}

fn verdict(old: &[f64], new: &[f64]) -> Verdict {
    let found = compare(&run(old), &run(new));
    assert_eq!(found.len(), 1, "only what both have: {found:?}");
    found[0].verdict
}

#[test]
fn the_same_distribution_is_noise_and_a_shifted_one_is_not() {
    let wrong = (0..100)
        .filter(|seed| verdict(&around(20.0, *seed, 10), &around(20.0, seed + 1000, 10)) != Verdict::Noise);
    let wrong = wrong.count();
    assert!(wrong <= 15, "5 of 100 by chance, and these were {wrong}");
    assert_eq!(verdict(&around(20.0, 1, 10), &around(26.0, 2, 10)), Verdict::Slower);
    assert_eq!(verdict(&around(20.0, 1, 10), &around(15.0, 2, 10)), Verdict::Faster);
    let same = around(20.0, 1, 10);
    assert_eq!(verdict(&same, &same), Verdict::Noise);
    assert_eq!(verdict(&[5.0; 10], &[5.0; 10]), Verdict::Noise, "all alike");
}

#[test]
fn with_three_blocks_nothing_can_be_told() {
    assert_eq!(verdict(&[1.0, 1.1, 1.2], &[9.0, 9.1, 9.2]), Verdict::TooFew);
    assert_eq!(verdict(&[1.0, 1.1, 1.2, 1.3, 1.4], &[9.0, 9.1, 9.2, 9.3, 9.4]), Verdict::Slower);
    // What scipy.stats.mannwhitneyu(range(5), range(5, 10), method='asymptotic') gives.
    assert!((least(5, 5) - 0.012_185_780_355).abs() < 1e-9, "{}", least(5, 5));
}

#[test]
fn of_many_comparisons_one_needs_more() {
    let mut found: Vec<_> = [0.04, 0.01, 0.001, 0.5]
        .into_iter()
        .map(|p| {
            let mut one = compare(&run(&[1.0]), &run(&[2.0])).remove(0);
            (one.p, one.verdict) = (p, Verdict::Noise);
            (one, 0.0)
        })
        .collect();
    correct(&mut found);
    let mut corrected: Vec<_> = found.iter().map(|(one, _)| (one.p, one.verdict)).collect();
    corrected.sort_by(|one, other| one.0.total_cmp(&other.0));
    let expected =
        [(0.004, Verdict::Slower), (0.03, Verdict::Slower), (0.08, Verdict::Noise), (0.5, Verdict::Noise)];
    for ((p, verdict), (expected, expected_verdict)) in corrected.into_iter().zip(expected) {
        assert!((p - expected).abs() < 1e-12 && verdict == expected_verdict, "{p} {verdict:?}");
    }
}

#[test]
fn what_only_one_run_has_is_not_compared() {
    assert!(compare(&run(&[]), &run(&[1.0])).is_empty());
    let mut elsewhere = run(&[1.0]);
    elsewhere.hosts[0].url = "http://b".into();
    assert!(compare(&run(&[1.0]), &elsewhere).is_empty());
    assert!(text(&[]).contains("nothing in common"));
    assert!(text(&compare(&run(&[1.0]), &run(&[2.0]))).contains("+100%"));
}
