//! Two runs, and whether they differ by more than noise.
//!
//! Latencies that follow each other depend on each other; the medians of blocks of a second hardly do. So it is these that are
//! compared, by the Mann-Whitney U test, which asks nothing of how they are distributed. Of many comparisons some look like
//! a difference by chance: Holm's correction accounts for that.

use crate::metric::Metric;
use crate::result::{Outcome, Summary, Transport};
use crate::table::{blank, right, shown};
use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// What is accepted as a chance of being wrong, over all comparisons.
const ALPHA: f64 = 0.05;

/// One metric in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Where.
    pub url: String,
    /// By which way.
    pub transport: Transport,
    /// What.
    pub metric: Metric,
    /// Median in milliseconds, of all blocks.
    pub old: f64,
    /// The same now.
    pub new: f64,
    /// The chance of such a difference between runs that do not differ, after correction.
    pub p: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// Whether a metric differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is less now.
    Faster,
    /// It is more now.
    Slower,
    /// It may as well be chance.
    Noise,
    /// With so few blocks no difference could be told from chance.
    TooFew,
}

impl Verdict {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Noise => "noise",
            Self::TooFew => "too few blocks to tell",
        }
    }
}

/// Compares what both runs have. A URL that was given twice is found twice, in its order.
pub fn compare(old: &Outcome, new: &Outcome) -> Vec<Comparison> {
    let mut found: Vec<(Comparison, f64)> = Vec::new();
    for (place, host) in new.hosts.iter().enumerate() {
        let nth = new.hosts.iter().take(place).filter(|other| other.url == host.url).count();
        let Some(before) = old.hosts.iter().filter(|other| other.url == host.url).nth(nth) else { continue };
        for (transport, measured) in &host.transports {
            let Some(known) = before.transports.get(transport) else { continue };
            for metric in Metric::ALL {
                let (Some(old), Some(new)) = (metric.of(known), metric.of(measured)) else { continue };
                let (Some((old, xs)), Some((new, ys))) = (blocks(old), blocks(new)) else { continue };
                let p = chance(&xs, &ys);
                let comparison = Comparison {
                    url: host.url.clone(),
                    transport: *transport,
                    metric,
                    old,
                    new,
                    p,
                    verdict: Verdict::Noise,
                };
                found.push((comparison, least(xs.len(), ys.len())));
            }
        }
    }
    correct(&mut found);
    found.into_iter().map(|(comparison, _)| comparison).collect()
}

/// The medians of blocks, and the median of these.
fn blocks(summary: &Summary) -> Option<(f64, Vec<f64>)> {
    let medians: Vec<f64> = summary.series.iter().map(|(_, median, _)| *median).collect();
    let mut sorted = medians.clone();
    sorted.sort_by(f64::total_cmp);
    let (lower, upper) = (sorted.get(sorted.len().saturating_sub(1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(((lower + upper) / 2.0, medians))
}

/// The chance of such a difference, or a larger one, where there is none: by the normal approximation, for few blocks a
/// little too high.
fn chance(xs: &[f64], ys: &[f64]) -> f64 {
    // The exact method of statrs 0.19.1 gives the complement where both are of one size.
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    let tested = mannwhitneyu(xs, ys, method, Alternative::TwoSided);
    // All values alike: no difference at all.
    tested.map_or(1.0, |(_, p)| if p.is_nan() { 1.0 } else { p.min(1.0) })
}

/// The least chance that so many blocks can show: two runs of which one is above the other everywhere.
fn least(xs: usize, ys: usize) -> f64 {
    let all: Vec<f64> = (0..xs + ys).map(|rank| rank as f64).collect();
    let (lower, upper) = all.split_at(xs);
    chance(lower, upper)
}

/// Holm's correction, and what follows from it.
fn correct(found: &mut [(Comparison, f64)]) {
    let all = found.len();
    found.sort_by(|(one, _), (other, _)| one.p.total_cmp(&other.p));
    let mut at_least: f64 = 0.0;
    for (place, (comparison, least)) in found.iter_mut().enumerate() {
        at_least = at_least.max(comparison.p * (all - place) as f64).min(1.0);
        comparison.p = at_least;
        comparison.verdict = match (at_least < ALPHA, *least * all as f64 > ALPHA) {
            (true, _) if comparison.new < comparison.old => Verdict::Faster,
            (true, _) => Verdict::Slower,
            (false, true) => Verdict::TooFew,
            (false, false) => Verdict::Noise,
        };
    }
    found.sort_by(|(one, _), (other, _)| {
        (&one.url, one.transport, one.metric).cmp(&(&other.url, other.transport, other.metric))
    });
}

/// The comparison for people.
pub fn text(comparisons: &[Comparison]) -> String {
    if comparisons.is_empty() {
        return "The runs have nothing in common to compare.\n".to_owned();
    }
    let mut table = blank(["host", "by", "metric", "old", "new", "change", "p", "verdict"]);
    for found in comparisons {
        let change = if found.old > 0.0 { (found.new / found.old - 1.0) * 100.0 } else { 0.0 };
        table.add_row([
            found.url.clone(),
            found.transport.to_string(),
            found.metric.name().to_owned(),
            shown(Some(found.old)),
            shown(Some(found.new)),
            format!("{change:+.0}%"),
            if found.p < 0.001 { "<0.001".to_owned() } else { format!("{:.3}", found.p) },
            found.verdict.text().to_owned(),
        ]);
    }
    format!(
        "{}\nMedians of blocks of a second, in milliseconds, by the Mann-Whitney U test; p after Holm's correction for {} \
         comparisons, a difference below {ALPHA}. Where blocks are too few, a longer --duration or a higher --fresh has \
         more.\nTwo runs at two times also differ for other reasons than the servers: \
         the network, the machine, the hour. To be sure, run them in turns, several times.\n",
        right(table, 3),
        comparisons.len()
    )
}

#[cfg(test)]
mod tests;
