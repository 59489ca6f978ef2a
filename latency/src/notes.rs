//! What a reader of the result has to know, and what was not to be known.

use crate::metric::Metric;
use crate::plan::Plan;
use crate::result::{Outcome, Summary, Transport};

/// What only the run knows.
pub(crate) struct Seen {
    /// Documents that could not be deleted.
    pub(crate) left: u32,
    /// Where fresh connections failed one after the other.
    pub(crate) gave_up: Vec<String>,
    pub(crate) interrupted: bool,
}

/// How late the tool may be, as a share of what it reports.
const SMALL: f64 = 0.1;

/// Sentences, those that are true of every run first.
pub(crate) fn all(plan: &Plan, outcome: &Outcome, seen: &Seen) -> Vec<String> {
    let mut notes = vec![
        "One client at one place: people elsewhere are nearer to other parts of a host, or farther away."
            .to_owned(),
        "HTTP/1.1 and TLS without resumption; browsers may use HTTP/2 or HTTP/3, and come back with less."
            .to_owned(),
        "A session at work: each turn begins with an edit that is not recorded. The first edit after a pause takes \
         longer where a host reads its store less often while nothing comes."
            .to_owned(),
    ];
    if plan.doc.is_some() {
        notes.push("cold and warm need documents that nobody has; with --doc there are none.".to_owned());
    } else if plan.fresh > 0 {
        notes.push(
            "cold is the first request for a document that nobody had, by HTTP the one that makes it; a host that \
             evicted a document with contents has more to do. No client can make a host evict one."
                .to_owned(),
        );
    }
    notes.extend(lateness(outcome));
    notes.extend(too_few(plan, outcome));
    notes.extend(failures(outcome));
    for name in &seen.gave_up {
        notes.push(format!("{name}: fresh connections failed one after the other, and no more were made."));
    }
    if seen.left > 0 {
        notes.push(format!(
            "{} documents latency/... could not be deleted: that needs a token with the permission 'admin'.",
            seen.left
        ));
    }
    if seen.interrupted {
        notes.push("The run was interrupted: this is what there was by then.".to_owned());
    }
    notes
}

/// Whether the tool was late, beside what it reports.
fn lateness(outcome: &Outcome) -> Option<String> {
    let lag = outcome.clock.lag_p99_ms?;
    let medians =
        summaries(outcome, &[Metric::Ack, Metric::Propagation]).filter_map(|(_, _, _, summary)| summary.p50);
    let least = medians.fold(f64::INFINITY, f64::min);
    (least.is_finite() && lag > least * SMALL).then(|| {
        format!(
            "The tool itself came {lag:.2} ms late to edits at p99, which is in ack and propagation, and is not small \
             beside the least median of {least:.2} ms: this machine is busy, or the host is nearly as fast as it."
        )
    })
}

/// Which percentiles are not known because of too few edits.
fn too_few(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let edits = plan.duration.as_secs_f64() * plan.rate;
    let needed = 100.0;
    let any = outcome.hosts.iter().any(|host| !host.transports.is_empty());
    (any && edits < needed).then(|| {
        format!(
            "p99 is of {needed} edits or more, and these were {edits:.0}: --duration {:.0}s would do.",
            (needed / plan.rate).ceil()
        )
    })
}

/// Where operations failed.
fn failures(outcome: &Outcome) -> Vec<String> {
    summaries(outcome, &Metric::ALL)
        .filter(|(.., summary)| summary.failed > 0)
        .map(|(url, transport, metric, summary)| {
            let kinds: Vec<_> =
                summary.failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            format!(
                "{url} {transport}: {} of {} failed ({}): percentiles count them as longer than all others.",
                metric.name(),
                summary.failed + summary.count,
                kinds.join(", ")
            )
        })
        .collect()
}

fn summaries<'a>(
    outcome: &'a Outcome,
    metrics: &'a [Metric],
) -> impl Iterator<Item = (&'a str, Transport, Metric, &'a Summary)> {
    outcome.hosts.iter().flat_map(move |host| {
        host.transports.iter().flat_map(move |(transport, measured)| {
            metrics.iter().filter_map(move |metric| {
                Some((host.url.as_str(), *transport, *metric, metric.of(measured)?))
            })
        })
    })
}
