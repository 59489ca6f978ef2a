//! The distributions of a metric, one under the other on one axis: by transport, and of each the hosts. What is told by
//! colour is told by pattern and by words as well, and by shape.

use super::axis::Axis;
use super::escape::Text;
use super::{Line, shown};
use crate::result::{Summary, Transport};
use std::fmt::Write as _;

/// Below this many, each is drawn by itself: a shape would claim more than is known.
const FEW: u64 = 20;
/// Pixels from the top of a drawing to where shapes begin.
const TOP: u32 = 4;
/// Pixels from there to where shapes stand, and single samples where there are no shapes.
const GROUND: u32 = 44;
const LOW_GROUND: u32 = 22;
/// Pixels that are drawn for each of few.
const SAMPLE: u64 = 9;

/// What is drawn of a percentile: its symbol's name and path in a box of 12 pixels, and what it is called.
const POINTS: [(&str, &str, &str); 3] = [
    ("p50", "M6 .5 11 6 6 11.5 1 6z", "median"),
    ("p90", "M6 1 11.5 11H.5z", "p90"),
    ("p99", "M1.5 1.5h9v9h-9z", "p99"),
];

/// Patterns and symbols that the drawings refer to.
pub(super) fn definitions() -> String {
    let mut symbols = String::new();
    for (name, path, _) in POINTS {
        let _ = write!(symbols, r#"<symbol id="{name}" viewBox="0 0 12 12"><path d="{path}"/></symbol>"#);
    }
    format!(
        "<svg class=\"unseen\" aria-hidden=\"true\"><defs>\
         <pattern id=\"of-sse\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"ground\" width=\"6\" height=\"6\"/><rect width=\"2.5\" height=\"6\"/></pattern>\
         <pattern id=\"of-long-poll\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <rect class=\"ground\" width=\"6\" height=\"6\"/><circle cx=\"3\" cy=\"3\" r=\"1.6\"/></pattern>\
         <symbol id=\"failed\" viewBox=\"0 0 12 12\"><path d=\"m2 2 8 8M10 2l-8 8\"/></symbol>{symbols}</defs></svg>\n"
    )
}

/// What the signs of a drawing mean.
pub(super) fn key() -> String {
    let mut key = String::from("<p class=\"key\">");
    for (symbol, _, name) in POINTS {
        let _ = write!(key, "<span>{}{name}</span>", sign(symbol, None));
    }
    key + "<span>line: shortest to longest</span><span>each shape has a height of its own</span></p>\n"
}

/// Draws lines of one metric. `name`: unlike that of any other drawing on the page.
pub(super) fn chart(name: &str, lines: &[Line<'_>]) -> String {
    let Some(axis) = Axis::over(lines.iter().map(|line| line.of)) else {
        return "<p>Nothing was measured.</p>\n".to_owned();
    };
    let is_low = lines.iter().all(|line| line.of.count < FEW);
    let ground = if is_low { LOW_GROUND } else { GROUND };
    let labels = labels(&axis);
    let mut drawn = format!("<div class=\"chart{}\">\n{labels}", if is_low { " low" } else { "" });
    for transport in Transport::ALL {
        let own: Vec<_> = lines.iter().filter(|line| line.transport == transport).collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(
            drawn,
            "<div class=\"group\" data-by=\"{transport}\"><h3><svg class=\"swatch\" aria-hidden=\"true\">\
             <rect class=\"fill\" width=\"100%\" height=\"100%\"/></svg>{}</h3>",
            title(transport)
        );
        for (number, line) in own.iter().enumerate() {
            drawn += &ridge(&format!("{name}-{transport}-{number}"), line, &axis, ground);
        }
        drawn += "</div>\n";
    }
    drawn + &labels + "</div>\n"
}

/// A transport as people call it.
pub(super) fn title(transport: Transport) -> &'static str {
    match transport {
        Transport::Ws => "WebSocket",
        Transport::Sse => "Event stream",
        Transport::LongPoll => "Long-poll",
    }
}

fn ridge(id: &str, line: &Line<'_>, axis: &Axis, ground: u32) -> String {
    let of = line.of;
    let mut drawn = String::new();
    for tick in &axis.ticks {
        let x = percent(axis.place(tick.at));
        let _ = write!(drawn, r#"<line class="tick" x1="{x}" x2="{x}" y1="0" y2="{ground}"/>"#);
    }
    if let (Some(min), Some(max)) = (of.min, of.max) {
        let (from, to) = (percent(axis.place(min)), percent(axis.place(max)));
        let _ = write!(drawn, r#"<line class="range" x1="{from}" x2="{to}" y1="{ground}" y2="{ground}"/>"#);
    }
    drawn += &if of.count < FEW { samples(of, axis, ground) } else { density(id, of, axis) };
    for ((symbol, ..), ms) in POINTS.into_iter().zip([of.p50, of.p90, of.p99]) {
        if let Some(ms) = ms {
            drawn += &placed(symbol, axis.place(ms), ground);
        }
    }
    if of.failed > 0 {
        drawn += &placed("failed", 1.0, ground);
    }
    format!(
        "<div class=\"ridge\"><span class=\"name\">{}</span><svg role=\"img\" aria-label=\"{}\">{drawn}</svg>{}</div>\n",
        Text(&line.name),
        Text(&told(line)),
        values(of)
    )
}

fn samples(of: &Summary, axis: &Axis, ground: u32) -> String {
    let mut drawn = String::new();
    for (ms, count) in &of.histogram {
        let (x, top) =
            (percent(axis.place(*ms)), u64::from(ground).saturating_sub(SAMPLE.saturating_mul(*count)));
        let top = top.max(TOP.into());
        let _ = write!(drawn, r#"<line class="sample" x1="{x}" x2="{x}" y1="{ground}" y2="{top}"/>"#);
    }
    drawn
}

/// A pattern that was stretched would look like another one: it is cut out, and only the line around it is stretched.
fn density(id: &str, of: &Summary, axis: &Axis) -> String {
    let (path, height) = (axis.shape(&of.histogram), GROUND - TOP);
    format!(
        "<defs><path class=\"outline\" id=\"{id}\" d=\"{path}\"/>\
         <clipPath id=\"{id}-clip\" clipPathUnits=\"objectBoundingBox\"><use href=\"#{id}\"/></clipPath></defs>\
         <rect class=\"fill\" y=\"{TOP}\" width=\"100%\" height=\"{height}\" clip-path=\"url(#{id}-clip)\"/>\
         <svg y=\"{TOP}\" width=\"100%\" height=\"{height}\" viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\">\
         <use href=\"#{id}\"/></svg>"
    )
}

fn placed(symbol: &str, place: f64, ground: u32) -> String {
    format!(
        r##"<use class="{symbol} point" href="#{symbol}" x="{}" y="{}" width="12" height="12" transform="translate(-6)"/>"##,
        percent(place),
        ground - 6
    )
}

fn sign(symbol: &str, name: Option<&str>) -> String {
    let said = name.map_or_else(
        || "aria-hidden=\"true\"".to_owned(),
        |name| format!("role=\"img\" aria-label=\"{name}\""),
    );
    format!("<svg class=\"sign\" {said}><use href=\"#{symbol}\"/></svg>")
}

/// What a drawing says, in words.
fn told(line: &Line<'_>) -> String {
    let of = line.of;
    let mut told = format!("{} by {}: ", line.name, title(line.transport));
    for ((.., name), ms) in POINTS.into_iter().zip([of.p50, of.p90, of.p99]) {
        if let Some(ms) = ms {
            let _ = write!(told, "{name} {} ms, ", shown(Some(ms)));
        }
    }
    if let (Some(min), Some(max)) = (of.min, of.max) {
        let _ = write!(told, "from {} to {} ms, ", shown(Some(min)), shown(Some(max)));
    }
    let _ = write!(told, "{} measured, {} failed", of.count, of.failed);
    told
}

fn values(of: &Summary) -> String {
    let mut words = String::from("<span class=\"values\">");
    for ((symbol, _, name), ms) in POINTS.into_iter().zip([of.p50, of.p90, of.p99]) {
        if ms.is_some() {
            let _ = write!(words, "<span>{}<b>{}</b></span>", sign(symbol, Some(name)), shown(ms));
        }
    }
    let _ = match (of.p50, of.count) {
        (_, 0) => write!(words, "<span>nothing measured</span>"),
        (None, count) => {
            let (min, max) = (shown(of.min), shown(of.max));
            let span = if min == max { min } else { format!("{min} to {max}") };
            write!(words, "<span>{span} ms, {count} measured</span>")
        }
        (Some(_), count) => write!(words, "<span>ms, {count} measured</span>"),
    };
    if of.failed > 0 {
        let _ = write!(words, "<span class=\"bad\">{}{} failed</span>", sign("failed", None), of.failed);
    }
    words + "</span>"
}

fn labels(axis: &Axis) -> String {
    let mut drawn = String::new();
    for tick in axis.ticks.iter().filter(|tick| tick.labelled) {
        let place = axis.place(tick.at);
        let anchor = match place {
            place if place < 0.05 => "start",
            place if place > 0.95 => "end",
            _ => "middle",
        };
        // Marks have one digit.
        let _ = write!(
            drawn,
            r#"<text x="{}" y="14" text-anchor="{anchor}">{}</text>"#,
            percent(place),
            number(tick.at)
        );
    }
    format!(
        "<div class=\"ridge\"><span></span><svg class=\"axis\" aria-hidden=\"true\">{drawn}</svg><span>ms, logarithmic</span></div>\n"
    )
}

fn number(ms: f64) -> String {
    if ms >= 1.0 {
        shown(Some(ms.round())).trim_end_matches(".00").trim_end_matches(".0").to_owned()
    } else {
        format!("{}", (ms * 1000.0).round() / 1000.0)
    }
}

fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}
