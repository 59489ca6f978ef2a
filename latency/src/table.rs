//! The result as text: a table, and what is to be said about it.

use crate::metric::Metric;
use crate::result::{Measured, Outcome, Summary};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// The result for people. Nothing is wrapped: the reader's terminal, or what comes behind a pipe, knows better.
pub fn text(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if outcome.hosts.iter().any(|host| !host.transports.is_empty()) {
        parts.push(of_hosts(outcome).to_string());
    }
    if !outcome.pairs.is_empty() {
        parts.push(of_pairs(outcome).to_string());
    }
    parts.extend(problems(outcome));
    parts.push(format!(
        "Milliseconds; medians where nothing else is said. {} edits a second, {} s for each; clock {} ns, lateness p99 {} ms.",
        outcome.rate,
        outcome.duration_s,
        outcome.clock.resolution_ns,
        shown(outcome.clock.lag_p99_ms)
    ));
    parts.extend(outcome.notes.iter().map(|note| format!("- {note}")));
    parts.join("\n") + "\n"
}

fn of_hosts(outcome: &Outcome) -> Table {
    let mut table = blank([
        "host",
        "by",
        "connect",
        "ttfb",
        "rtt",
        "ack",
        "p99",
        "propagation",
        "p99",
        "max",
        "converge",
        "reconnect",
        "cold",
        "warm",
        "failed",
    ]);
    for host in &outcome.hosts {
        let mut url = host.url.as_str();
        for (transport, measured) in &host.transports {
            let of = |metric: Metric| metric.of(measured).and_then(|summary| summary.p50);
            table.add_row([
                std::mem::take(&mut url).to_owned(),
                transport.to_string(),
                shown(of(Metric::Connect)),
                shown(of(Metric::Ttfb)),
                shown(of(Metric::Rtt)),
                shown(measured.ack.p50),
                shown(measured.ack.p99),
                shown(measured.propagation.p50),
                shown(measured.propagation.p99),
                shown(measured.propagation.max),
                shown(of(Metric::Converge)),
                shown(of(Metric::Reconnect)),
                shown(of(Metric::Cold)),
                shown(of(Metric::Warm)),
                failed(measured),
            ]);
        }
    }
    right(table, 2)
}

fn of_pairs(outcome: &Outcome) -> Table {
    let mut table = blank(["written at", "read at", "by", "propagation", "p99", "max", "converge", "failed"]);
    for pair in &outcome.pairs {
        table.add_row([
            pair.from.clone(),
            pair.to.clone(),
            pair.transport.to_string(),
            shown(pair.propagation.p50),
            shown(pair.propagation.p99),
            shown(pair.propagation.max),
            shown(pair.converge.p50),
            (pair.propagation.failed + pair.converge.failed).to_string(),
        ]);
    }
    right(table, 3)
}

pub(crate) fn blank<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// Numbers stand on the right, from this column on.
pub(crate) fn right(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn failed(measured: &Measured) -> String {
    let summaries = Metric::ALL.iter().filter_map(|metric| metric.of(measured));
    summaries.map(|summary: &Summary| summary.failed).sum::<u64>().to_string()
}

fn problems(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    for host in &outcome.hosts {
        if let Some(problem) = &host.error {
            lines.push(format!("{}: {} ({})", host.url, problem.message, problem.kind));
        }
        for (transport, measured) in &host.transports {
            if let Some(problem) = &measured.error {
                lines.push(format!("{} {transport}: {} ({})", host.url, problem.message, problem.kind));
            }
        }
    }
    for pair in &outcome.pairs {
        if let Some(problem) = &pair.error {
            let (from, to, transport) = (&pair.from, &pair.to, pair.transport);
            lines.push(format!("{from} -> {to} {transport}: {} ({})", problem.message, problem.kind));
        }
    }
    lines
}

/// Milliseconds to three digits.
pub(crate) fn shown(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.2}"),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}
