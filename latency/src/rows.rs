//! The result as CSV: a row for each URL or pair, transport and metric.

use crate::metric::Metric;
use crate::result::{Outcome, Summary, Transport};
use serde::Serialize;

#[derive(Serialize)]
struct Row<'a> {
    from: &'a str,
    to: &'a str,
    transport: Transport,
    metric: &'static str,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    min_ms: Option<f64>,
    mean_ms: Option<f64>,
    max_ms: Option<f64>,
    count: u64,
    failed: u64,
}

/// The rows under their names. A URL that could not be measured has none.
///
/// # Errors
///
/// None that is known of: rows are written into memory.
pub fn csv(outcome: &Outcome) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for host in &outcome.hosts {
        for (transport, measured) in &host.transports {
            for metric in Metric::ALL {
                if let Some(summary) = metric.of(measured) {
                    writer.serialize(row(&host.url, &host.url, *transport, metric, summary))?;
                }
            }
        }
    }
    for pair in &outcome.pairs {
        for (metric, summary) in
            [(Metric::Propagation, &pair.propagation), (Metric::Converge, &pair.converge)]
        {
            writer.serialize(row(&pair.from, &pair.to, pair.transport, metric, summary))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row<'a>(from: &'a str, to: &'a str, transport: Transport, metric: Metric, summary: &Summary) -> Row<'a> {
    Row {
        from,
        to,
        transport,
        metric: metric.name(),
        p50_ms: summary.p50,
        p90_ms: summary.p90,
        p99_ms: summary.p99,
        min_ms: summary.min,
        mean_ms: summary.mean,
        max_ms: summary.max,
        count: summary.count,
        failed: summary.failed,
    }
}
