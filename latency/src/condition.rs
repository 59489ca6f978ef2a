//! Conditions under which a run has failed: `p99 > 200ms`, `ws.ack.p90 >= 1s`, `failed > 1%`.

use crate::metric::Metric;
use crate::result::{Outcome, Summary, Transport};
use crate::table::shown;
use std::str::FromStr;

/// A condition, as it was written and as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    transport: Option<Transport>,
    /// None is all of them together, for failures; else propagation.
    metric: Option<Metric>,
    figure: Figure,
    op: Op,
    /// Milliseconds, a count, or a share.
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    P50,
    P90,
    P99,
    Max,
    Min,
    Mean,
    Failed,
    /// Failed, as a share of all.
    FailedShare,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What a condition found at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the run has failed by this.
    pub fails: bool,
    /// A sentence.
    pub message: String,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "{why}; a condition is [TRANSPORT.][METRIC.]FIGURE OP BOUND, as 'p99 > 200ms', 'ws.ack.p90 >= 1s', 'failed > 1%'"
            )
        };
        let at = text.find(['<', '>']).ok_or_else(|| wrong("there is no < or >".to_owned()))?;
        let (name, rest) = text.split_at(at);
        let ops = [(">=", Op::AtLeast), ("<=", Op::AtMost), (">", Op::Above), ("<", Op::Below)];
        let found = ops.into_iter().find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)));
        let (op, bound) = found.ok_or_else(|| wrong("there is no < or >".to_owned()))?;
        let mut parts: Vec<&str> = name.trim().split('.').collect();
        let figure = figure(parts.pop().unwrap_or_default()).map_err(wrong)?;
        let mut transport = None;
        if let Some(known) = parts.first().and_then(|first| first.parse().ok()) {
            transport = Some(known);
            parts.remove(0);
        }
        let metric = match parts.as_slice() {
            [] => None,
            [metric] => Some(metric.parse().map_err(wrong)?),
            [..] => return Err(wrong(format!("{:?} has too many parts", name.trim()))),
        };
        let (figure, bound) = bounded(figure, bound.trim()).map_err(wrong)?;
        Ok(Self { text: text.trim().to_owned(), transport, metric, figure, op, bound })
    }
}

fn figure(name: &str) -> Result<Figure, String> {
    Ok(match name {
        "p50" | "median" => Figure::P50,
        "p90" => Figure::P90,
        "p99" => Figure::P99,
        "max" => Figure::Max,
        "min" => Figure::Min,
        "mean" => Figure::Mean,
        "failed" => Figure::Failed,
        other => {
            return Err(format!(
                "{other:?} is no figure; there are p50, p90, p99, max, min, mean and failed"
            ));
        }
    })
}

/// The bound in its unit, and what that makes of the figure.
fn bounded(figure: Figure, text: &str) -> Result<(Figure, f64), String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(text.len()));
    let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is no bound"))?;
    if !number.is_finite() {
        return Err(format!("{text:?} is no bound"));
    }
    let counts = matches!(figure, Figure::Failed | Figure::FailedShare);
    match (counts, unit.trim()) {
        (false, "" | "ms") => Ok((figure, number)),
        (false, "s") => Ok((figure, number * 1000.0)),
        (true, "") => Ok((Figure::Failed, number)),
        (true, "%") => Ok((Figure::FailedShare, number / 100.0)),
        (_, unit) => Err(format!("{unit:?} is no unit of that")),
    }
}

impl Condition {
    /// Looks at each URL, pair and transport that the condition is about. What is not known fails.
    pub fn check(&self, outcome: &Outcome) -> Vec<Finding> {
        let mut findings = Vec::new();
        for host in &outcome.hosts {
            let of_this = host.transports.iter().filter(|(transport, _)| self.is_about(**transport));
            let mut any = false;
            for (transport, measured) in of_this {
                any = true;
                let of = |metric: Metric| metric.of(measured);
                findings.push(self.find(&format!("{} {transport}", host.url), &of));
            }
            if !any {
                let why =
                    host.error.as_ref().map_or("it was not measured", |problem| problem.message.as_str());
                findings.push(self.unknown(&host.url, why));
            }
        }
        for pair in outcome.pairs.iter().filter(|pair| self.is_about(pair.transport)) {
            let of = |metric: Metric| match metric {
                Metric::Propagation => Some(&pair.propagation),
                Metric::Converge => Some(&pair.converge),
                Metric::Lookup | Metric::Tcp | Metric::Tls | Metric::Connect | Metric::Ttfb => None,
                Metric::Rtt | Metric::Ack | Metric::Reconnect | Metric::Cold | Metric::Warm => None,
            };
            // What a pair does not have is no finding.
            if self.metric.is_none_or(|metric| of(metric).is_some()) {
                let place = format!("{} -> {} {}", pair.from, pair.to, pair.transport);
                findings.push(self.find(&place, &of));
            }
        }
        findings
    }

    fn is_about(&self, transport: Transport) -> bool {
        self.transport.is_none_or(|only| only == transport)
    }

    fn find<'a>(&self, place: &str, of: &dyn Fn(Metric) -> Option<&'a Summary>) -> Finding {
        let (value, shown) = match self.figure {
            Figure::Failed | Figure::FailedShare => {
                let metrics = self.metric.map_or(Metric::ALL.to_vec(), |metric| vec![metric]);
                let summaries: Vec<_> = metrics.into_iter().filter_map(of).collect();
                let failed: u64 = summaries.iter().map(|summary| summary.failed).sum();
                let all = failed + summaries.iter().map(|summary| summary.count).sum::<u64>();
                if all == 0 {
                    return self.unknown(place, "nothing was measured");
                }
                let share = failed as f64 / all as f64;
                let value = if self.figure == Figure::Failed { failed as f64 } else { share };
                (value, format!("{failed} of {all} failed"))
            }
            Figure::P50 | Figure::P90 | Figure::P99 | Figure::Max | Figure::Min | Figure::Mean => {
                let metric = self.metric.unwrap_or(Metric::Propagation);
                let Some(summary) = of(metric) else {
                    return self.unknown(place, "this URL has no such phase");
                };
                let Some(value) = self.figure.of(summary) else {
                    let why = format!("{} recorded, {} failed: too few", summary.count, summary.failed);
                    return self.unknown(place, &why);
                };
                (value, format!("{} ms", shown(Some(value))))
            }
        };
        let fails = self.op.holds(value, self.bound);
        let word = if fails { "yes" } else { "no" };
        Finding { fails, message: format!("{}: {place}: {word}, {shown}", self.text) }
    }

    fn unknown(&self, place: &str, why: &str) -> Finding {
        Finding {
            fails: true,
            message: format!("{}: {place}: not known, which counts as yes: {why}", self.text),
        }
    }
}

impl Figure {
    fn of(self, summary: &Summary) -> Option<f64> {
        match self {
            Self::P50 => summary.p50,
            Self::P90 => summary.p90,
            Self::P99 => summary.p99,
            Self::Max => summary.max,
            Self::Min => summary.min,
            Self::Mean => summary.mean,
            Self::Failed | Self::FailedShare => None,
        }
    }
}

impl Op {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
        }
    }
}

#[cfg(test)]
mod tests;
