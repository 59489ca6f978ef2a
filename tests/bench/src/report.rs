//! Results as markdown: absolute values of every server and the ratios between them.

use crate::server::Kind;
use std::fmt::{self, Display, Formatter};

/// What a figure is measured in, which decides how it is written and whether a ratio means anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds; less is better.
    Seconds,
    /// Bytes; less is better.
    Bytes,
    /// Things, without a ratio.
    Count,
    /// A part of one, as a percentage, without a ratio.
    Share,
    /// Seconds that do not compare servers.
    Neutral,
}

impl Unit {
    /// The value with three digits and a suitable prefix.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Seconds | Self::Neutral => scaled(value, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
            Self::Bytes => scaled(value, &[(1024.0 * 1024.0, "MiB"), (1024.0, "KiB"), (1.0, "B")]),
            Self::Count => format!("{value:.0}"),
            Self::Share => format!("{:.0} %", value * 100.0),
        }
    }

    fn compares(self) -> bool {
        matches!(self, Self::Seconds | Self::Bytes)
    }
}

/// One table under construction.
pub(crate) struct Report {
    title: String,
    servers: Vec<Kind>,
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    scenario: String,
    figure: String,
    unit: Unit,
    /// By server, then by round.
    values: Vec<Vec<f64>>,
}

impl Report {
    /// An empty table with one column for each server.
    pub(crate) fn new(title: &str, servers: Vec<Kind>) -> Self {
        Self { title: title.to_owned(), servers, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds the value of one more round. The order of rows is the order of their first values.
    pub(crate) fn add(&mut self, scenario: &str, figure: &str, unit: Unit, column: usize, value: f64) {
        let known = self.rows.iter().position(|row| row.scenario == scenario && row.figure == figure);
        let at = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.servers.len()];
            self.rows.push(Row { scenario: scenario.to_owned(), figure: figure.to_owned(), unit, values });
            self.rows.len() - 1
        });
        self.rows[at].values[column].push(value);
    }

    /// Adds a sentence below the table, once.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// The columns of ratios: yonder's column and each other's, if yonder takes part.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let Some(ours) = self.servers.iter().position(|&kind| kind == Kind::Yonder) else {
            return Vec::new();
        };
        (0..self.servers.len()).filter(|&theirs| theirs != ours).map(|theirs| (ours, theirs)).collect()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        let pairs = self.pairs();
        let mut head = vec!["load".to_owned(), "figure".to_owned()];
        head.extend(self.servers.iter().map(|kind| kind.name().to_owned()));
        head.extend(pairs.iter().map(|&(_, theirs)| format!("yonder / {}", self.servers[theirs].name())));
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(head.len()))?;
        for row in &self.rows {
            let mut cells = vec![row.scenario.clone(), row.figure.clone()];
            cells.extend(row.values.iter().map(|values| spread(values, |value| row.unit.show(value))));
            cells.extend(pairs.iter().map(|&(ours, theirs)| row.ratio(ours, theirs)));
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Row {
    /// Ratio of each round, both halves of which were measured close together.
    fn ratio(&self, ours: usize, theirs: usize) -> String {
        if !self.unit.compares() {
            return String::new();
        }
        let rounds = self.values[ours].iter().zip(&self.values[theirs]);
        let ratios: Vec<f64> =
            rounds.filter(|(_, theirs)| **theirs > 0.0).map(|(ours, theirs)| ours / theirs).collect();
        spread(&ratios, |ratio| format!("{ratio:.2}"))
    }
}

/// `median [lowest to highest]`, or only the value where all are written alike.
fn spread(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(&lowest), Some(&highest)) = (sorted.first(), sorted.last()) else { return "-".to_owned() };
    let half = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
    if show(lowest) == show(highest) {
        return show(median);
    }
    format!("**{}** [{} to {}]", show(median), show(lowest), show(highest))
}

/// The value in the largest unit of which it is at least one, or in the smallest.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().find(|(size, _)| value.abs() >= *size).or(units.last());
    let &(size, name) = fits.expect("there are units");
    let value = value / size;
    let digits = match value.abs() {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut report = Report::new("Test", vec![Kind::YSweet, Kind::Yonder]);
        for (theirs, ours) in [(0.002, 0.001), (0.200, 0.020), (0.002, 0.001)] {
            report.add("load", "p50", Unit::Seconds, 0, theirs);
            report.add("load", "p50", Unit::Seconds, 1, ours);
        }
        report.add("load", "missing", Unit::Count, 1, 0.0);
        let text = report.to_string();
        assert!(text.contains(
            "| load | p50 | **2.00 ms** [2.00 ms to 200 ms] | **1.00 ms** [1.00 ms to 20.0 ms] | **0.50** [0.10 to 0.50] |"
        ));
        assert!(text.contains("| load | missing | - | 0 |  |"));
    }

    #[test]
    fn values_have_three_digits_and_a_fitting_unit() {
        assert_eq!(Unit::Seconds.show(0.000_033_2), "33.2 µs");
        assert_eq!(Unit::Seconds.show(0.0), "0.00 µs");
        assert_eq!(Unit::Bytes.show(8_500.0), "8.30 KiB");
        assert_eq!(Unit::Share.show(0.07), "7 %");
    }
}
