//! The result as one HTML page, which needs nothing from elsewhere and runs nothing.

mod axis;
mod chart;
mod escape;
mod figures;
#[cfg(test)]
mod tests;

use crate::metric::Metric;
use crate::result::{Host, Outcome, Pair, Summary, Transport};
use escape::Text;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// In the order of what people feel.
const METRICS: [(Metric, &str, &str); 12] = [
    (Metric::Propagation, "Propagation", "From when an edit was due until another client had applied it."),
    (Metric::Ack, "Stored", "From when an edit was due until the server said that it is stored."),
    (
        Metric::Converge,
        "Convergence",
        "From an edit’s acknowledgement until a reader that was started then has it.",
    ),
    (Metric::Reconnect, "Reconnection", "From the dial of a client that has everything until it is told so."),
    (Metric::Rtt, "Round trip", "A question and its answer on a connection that stands."),
    (Metric::Connect, "Connection", "A fresh one: lookup, TCP and TLS, and for a WebSocket its upgrade."),
    (
        Metric::Ttfb,
        "First byte",
        "On a fresh connection: from the request’s last byte until the answer’s first.",
    ),
    (Metric::Cold, "Cold", "The first request for a document."),
    (Metric::Warm, "Warm", "The same request again."),
    (Metric::Lookup, "Lookup", "Of the name, for a fresh connection."),
    (Metric::Tcp, "TCP", "Its handshake, for a fresh connection."),
    (Metric::Tls, "TLS", "Its handshake, for a fresh connection."),
];

/// What is shown in one line.
struct Line<'a> {
    transport: Transport,
    /// As short as can be told apart.
    name: String,
    /// In full.
    url: String,
    of: &'a Summary,
}

/// A page of its own: it needs nothing from elsewhere.
pub fn html(result: &Outcome) -> String {
    let metrics: Vec<_> = METRICS
        .iter()
        .map(|(metric, ..)| (*metric, lines(result, *metric)))
        .filter(|(_, lines)| any(lines))
        .collect();
    let mut charts = String::new();
    for (metric, title, meaning) in METRICS {
        if let Some((_, lines)) = metrics.iter().find(|(known, _)| *known == metric) {
            charts += &section(metric.name(), title, meaning, lines);
        }
    }
    if charts.is_empty() {
        charts = "<section><p>Nothing was measured.</p></section>\n".to_owned();
    }
    let title = format!("Latency, {}", result.started);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         {definitions}<header><h1>Latency</h1>\n{method}</header>\n<main>\n{problems}{key}{charts}{pairs}\
         <section><h2>Figures</h2>\n{figures}</section>\n<section><h2>Hosts</h2>\n{hosts}</section>\n{notes}</main>\n</body>\n</html>\n",
        title = Text(&title),
        style = include_str!("report/style.css"),
        definitions = chart::definitions(),
        method = method(result),
        problems = figures::problems(result),
        key = if metrics.is_empty() { String::new() } else { chart::key() },
        pairs = pairs(&result.pairs),
        figures = figures::all(&metrics),
        hosts = figures::hosts(result),
        notes = notes(result),
    )
}

fn lines(result: &Outcome, metric: Metric) -> Vec<Line<'_>> {
    let short = shortest(&result.hosts);
    let of = |transport: Transport| {
        let short = &short;
        result.hosts.iter().filter_map(move |host| {
            let of = metric.of(host.transports.get(&transport)?)?;
            Some(Line { transport, name: short(&host.url), url: host.url.clone(), of })
        })
    };
    Transport::ALL.into_iter().flat_map(of).collect()
}

/// URLs without their schemes, where they can be told apart by the rest.
fn shortest(hosts: &[Host]) -> impl Fn(&str) -> String + use<> {
    let is_short = hosts.iter().map(|host| bare(&host.url)).collect::<BTreeSet<_>>().len() == hosts.len();
    move |url| if is_short { bare(url).to_owned() } else { url.to_owned() }
}

fn bare(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn any(lines: &[Line<'_>]) -> bool {
    lines.iter().any(|line| line.of.count + line.of.failed > 0)
}

fn section(name: &str, title: &str, meaning: &str, lines: &[Line<'_>]) -> String {
    let known_as = if title.to_lowercase() == name { String::new() } else { format!(" <code>{name}</code>") };
    format!(
        "<section><h2 id=\"{name}\">{title}{known_as}</h2>\n<p>{meaning}</p>\n\
         <figure role=\"group\" aria-labelledby=\"{name}\">\n{}</figure></section>\n",
        chart::chart(name, lines)
    )
}

fn pairs(pairs: &[Pair]) -> String {
    let of = |which| pairs.iter().map(|pair| of_pair(pair, which)).collect::<Vec<_>>();
    let (propagation, converge) = (of(|pair| &pair.propagation), of(|pair| &pair.converge));
    if !any(&propagation) && !any(&converge) {
        return String::new();
    }
    let charts = section(
        "pairs-propagation",
        "From one to another",
        "From when an edit was due at the first until a client of the second had applied it.",
        &propagation,
    ) + &section(
        "pairs-converge",
        "From one to another, afresh",
        "From an edit’s acknowledgement at the first until a reader that was started then at the second has it.",
        &converge,
    );
    let named = |name, lines: Vec<_>| lines.into_iter().map(move |line| (name, line));
    let rows: Vec<_> = named("propagation", propagation).chain(named("converge", converge)).collect();
    charts + &figures::of_pairs(&rows)
}

fn of_pair(pair: &Pair, which: fn(&Pair) -> &Summary) -> Line<'_> {
    let Pair { from, to, transport, .. } = pair;
    let name = format!("{} → {}", bare(from), bare(to));
    Line { transport: *transport, name, url: format!("{from} → {to}"), of: which(pair) }
}

fn method(result: &Outcome) -> String {
    let Outcome { tool, started, duration_s, rate, warm_up_s, timeout_ms, clock, .. } = result;
    let lag = clock.lag_p99_ms.map_or_else(
        || "how late the tool came to edits is not known of so few".to_owned(),
        |lag| format!("the tool came to edits {} ms late at p99", shown(Some(lag))),
    );
    format!(
        "<p>{}, {}. {rate} edits a second, for {duration_s} s by each way at each host, one of them at a time, in turns, \
         after {warm_up_s} s that were not recorded. Edits were due at fixed times, and each figure counts from then: a server \
         that stalls is seen in all edits that were due meanwhile. What took longer than {timeout_ms} ms has failed, and counts \
         as longer than all others. The clock goes in steps of {} ns; {lag}.</p>\n",
        Text(tool),
        Text(started),
        clock.resolution_ns
    )
}

fn notes(result: &Outcome) -> String {
    let mut list = String::new();
    for note in &result.notes {
        let _ = writeln!(list, "<li>{}</li>", Text(note));
    }
    if list.is_empty() { list } else { format!("<section><h2>Notes</h2><ul>\n{list}</ul></section>\n") }
}

/// Milliseconds as people read them; a dash where they are not known.
fn shown(ms: Option<f64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms < 9.995 => format!("{ms:.2}"),
        Some(ms) if ms < 99.95 => format!("{ms:.1}"),
        Some(ms) => grouped(ms.round() as u64),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
