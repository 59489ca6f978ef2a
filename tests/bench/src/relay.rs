//! Live delivery: one document with many readers, and many documents with a few.

use crate::load::{Load, Outcome, Probe};
use crate::native::Plan;
use crate::report::{Report, Unit};
use crate::typing::TYPIST;
use std::time::Duration;
use tokio::time::sleep;

/// One writer to 1, 10, 100 and 500 readers of one document.
pub(crate) async fn fan_out(plan: &Plan) -> Report {
    let mut report = plan.report("Relay: one writer, many readers of one document");
    let servers = plan.start_all("relay");
    for &readers in plan.pick(&[10, 500][..], &[1, 10, 100, 500]) {
        let rate = if readers > 100 { 20.0 } else { 50.0 };
        for round in 0..plan.pick(2, 4) {
            for (column, server) in servers.iter().enumerate() {
                let load = Load {
                    rooms: 1,
                    readers,
                    rate,
                    warm_up: Duration::from_secs(1),
                    measure: plan.pick(Duration::from_secs(2), Duration::from_secs(3)),
                    probe: Probe::Relay,
                    typist: TYPIST,
                };
                let outcome = load.run(server, &format!("relay-{readers}-{round}")).await;
                record(&mut report, &format!("{readers} readers, {rate}/s"), column, &outcome);
                sleep(Duration::from_millis(300)).await;
            }
        }
    }
    report
}

/// 200 documents with 5 connections each, one of which writes.
pub(crate) async fn rooms(plan: &Plan) -> Report {
    let mut report = plan.report("Rooms: 200 documents with 5 connections each, one of which writes");
    let servers = plan.start_all("rooms");
    for round in 0..plan.pick(2, 5) {
        for (column, server) in servers.iter().enumerate() {
            let load = Load {
                rooms: 200,
                readers: 4,
                rate: 5.0,
                warm_up: Duration::from_secs(1),
                measure: plan.pick(Duration::from_secs(3), Duration::from_secs(5)),
                probe: Probe::Relay,
                typist: TYPIST,
            };
            let outcome = load.run(server, &format!("rooms-{round}")).await;
            record(&mut report, "5/s in each", column, &outcome);
            sleep(Duration::from_millis(500)).await;
        }
    }
    report
}

/// Enters the figures of one round, and a note where the generator rather than the server was at its limit.
pub(crate) fn record(report: &mut Report, scenario: &str, column: usize, outcome: &Outcome) {
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let missing = outcome.expected.saturating_sub(outcome.delivered);
    report.add(scenario, "p50", Unit::Seconds, column, seconds(outcome.latency.value_at_quantile(0.5)));
    report.add(scenario, "p99", Unit::Seconds, column, seconds(outcome.latency.value_at_quantile(0.99)));
    let cpu = outcome.server_cpu.as_secs_f64() / outcome.delivered.max(1) as f64;
    report.add(scenario, "server CPU per delivery", Unit::Seconds, column, cpu);
    report.add(scenario, "delivered", Unit::Count, column, outcome.delivered as f64);
    report.add(scenario, "missing", Unit::Count, column, missing as f64);
    let lag = seconds(outcome.lag.value_at_quantile(0.99));
    report.add(scenario, "generator: sent late, p99", Unit::Neutral, column, lag);
    report.add(scenario, "generator: reading thread busy", Unit::Share, column, outcome.generator_busy);
    if outcome.generator_busy > 0.6 || lag > 0.002 {
        report.note(&format!(
            "{scenario}: in some rounds the generator was near its limit (reading thread over 60 % busy, or edits \
             sent over 2 ms late), so latencies are partly its own; CPU per delivery is not affected.",
        ));
    }
}
