//! The result in tables: every figure, why operations failed, and where answers came from.

use super::chart::title;
use super::escape::Text;
use super::{Line, shown};
use crate::metric::Metric;
use crate::result::{Outcome, Summary};
use std::fmt::Write as _;

/// Columns behind those that say of what a line is.
const COLUMNS: &str = "<th scope=\"col\">median</th><th scope=\"col\">p90</th><th scope=\"col\">p99</th>\
                       <th scope=\"col\">min</th><th scope=\"col\">max</th><th scope=\"col\">mean</th>\
                       <th scope=\"col\">count</th><th scope=\"col\">failed</th></tr></thead>";

/// All figures of all hosts. `metrics`: each with its lines.
pub(super) fn all(metrics: &[(Metric, Vec<Line<'_>>)]) -> String {
    let rows = metrics.iter().flat_map(|(metric, lines)| lines.iter().map(|line| (metric.name(), line)));
    table("All figures, in milliseconds; a dash is what is not known", rows)
}

/// All figures of pairs.
pub(super) fn of_pairs(lines: &[(&str, Line<'_>)]) -> String {
    table("What was written at one and read at another", lines.iter().map(|(metric, line)| (*metric, line)))
}

fn table<'a>(caption: &str, rows: impl Iterator<Item = (&'a str, &'a Line<'a>)>) -> String {
    let mut body = String::new();
    let mut last = "";
    for (metric, line) in rows {
        let first = if metric == last { "" } else { " class=\"first\"" };
        last = metric;
        let _ = writeln!(
            body,
            "<tr{first}><td><code>{metric}</code></td><td>{}</td><th scope=\"row\">{}</th>{}</tr>",
            title(line.transport),
            Text(line.url.as_str()),
            cells(line.of)
        );
    }
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table class=\"figures\"><caption>{caption}</caption>\
         <thead><tr><th scope=\"col\">metric</th><th scope=\"col\">by</th><th scope=\"col\">host</th>{COLUMNS}\
         <tbody>\n{body}</tbody></table></div>\n"
    )
}

fn cells(of: &Summary) -> String {
    let mut cells = String::new();
    for ms in [of.p50, of.p90, of.p99, of.min, of.max, of.mean] {
        let _ = write!(cells, "<td>{}</td>", shown(ms));
    }
    let _ = write!(cells, "<td>{}</td><td>{}", of.count, of.failed);
    if !of.failures.is_empty() {
        let kinds: Vec<_> = of.failures.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ = write!(cells, " <small>{}</small>", Text(&kinds.join(", ")));
    }
    cells + "</td>"
}

/// The hosts: what each is, where its answers came from, and why nothing could be measured.
pub(super) fn hosts(outcome: &Outcome) -> String {
    let mut body = String::new();
    for host in &outcome.hosts {
        let mut places = String::new();
        for (header, values) in &host.locations {
            let values: Vec<_> = values.iter().map(|(value, count)| format!("{value} ({count})")).collect();
            let _ = write!(places, "<div><code>{}</code>: {}</div>", Text(header), Text(&values.join(", ")));
        }
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            Text(&host.url),
            Text(host.server.as_deref().unwrap_or("–")),
            if places.is_empty() { "it does not say".to_owned() } else { places }
        );
    }
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"Hosts\" tabindex=\"0\"><table class=\"hosts\"><caption>Hosts</caption><thead><tr><th scope=\"col\">host</th>\
         <th scope=\"col\">what it says that it is</th><th scope=\"col\">where its answers came from (and how many)</th></tr></thead>\
         <tbody>\n{body}</tbody></table></div>\n"
    )
}

/// What could not be measured, or not to the end; empty if all could.
pub(super) fn problems(outcome: &Outcome) -> String {
    let of_hosts = outcome.hosts.iter().flat_map(|host| {
        let whole = host.error.iter().map(|error| (host.url.clone(), error));
        let parts = host.transports.iter().filter_map(|(transport, measured)| {
            Some((format!("{} by {}", host.url, title(*transport)), measured.error.as_ref()?))
        });
        whole.chain(parts)
    });
    let of_pairs = outcome.pairs.iter().filter_map(|pair| {
        Some((format!("{} to {} by {}", pair.from, pair.to, title(pair.transport)), pair.error.as_ref()?))
    });
    let mut list = String::new();
    for (what, error) in of_hosts.chain(of_pairs) {
        let _ = writeln!(
            list,
            "<li><strong>{}</strong>: {} <small>({})</small></li>",
            Text(&what),
            Text(&error.message),
            Text(&error.kind)
        );
    }
    if list.is_empty() {
        list
    } else {
        format!(
            "<section class=\"problems\"><h2>What could not be measured</h2><ul>\n{list}</ul></section>\n"
        )
    }
}
