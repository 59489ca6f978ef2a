//! `yonder-bench store`: the embedded stores that the native server could keep its log in, measured on its own model
//! (group commits of small updates, a snapshot for each document, cold loads, compaction, kills).
//!
//! `yonder-bench store [--full] [--rounds N] [--only ENGINE,…] [--tests TEST,…] [--dir DIR]` prints one table:
//! medians, with the smallest and the largest value of the rounds behind them. Each measurement is a process of its
//! own (`store child …`), and the candidates take turns, so a busy neighbour disturbs all of them alike.

mod engine;
mod fjall_engine;
mod group;
mod lmdb_engine;
mod measure;
mod redb_engine;
mod sqlite_engine;
mod storm;
mod sys;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::{ENGINES, Result};

/// The measurements, in the order of the table.
const TESTS: [&str; 9] =
    ["append-1", "append-64", "append-512", "mixed", "open", "size", "load", "big", "crash"];

/// What to run.
struct Options {
    full: bool,
    rounds: u64,
    engines: Vec<String>,
    tests: Vec<String>,
    dir: PathBuf,
}

/// The values of each (test and metric), for each engine, of all rounds.
type Table = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

/// Runs `yonder-bench store` with the arguments after that word.
///
/// # Errors
///
/// An unknown argument, a store that failed, or a store that lost an acknowledged update.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["child", test, engine, dir, number] = words.as_slice() {
        return child(test, engine, Path::new(dir), number.parse()?);
    }
    let options = options(&args)?;
    fs::create_dir_all(&options.dir)?;
    let mut table = Table::new();
    for round in 0..options.rounds {
        for test in &options.tests {
            for step in 0..options.engines.len() {
                // Another candidate starts each round.
                let turn = (step + round as usize) % options.engines.len();
                let engine = options.engines.get(turn).ok_or("no engine")?;
                eprintln!("round {round}: {test} {engine}");
                let dir = options.dir.join(format!("{test}-{engine}"));
                remove(&dir)?;
                for (metric, value) in measure(&options, test, engine, &dir)? {
                    let row = table.entry(format!("{test} {metric}")).or_default();
                    row.entry(engine.clone()).or_default().push(value);
                }
                remove(&dir)?;
            }
        }
    }
    print!("{}", render(&options, &table));
    Ok(())
}

fn options(args: &[String]) -> Result<Options> {
    let full = args.iter().any(|arg| arg == "--full");
    let mut options = Options {
        full,
        rounds: if full { 3 } else { 1 },
        engines: ENGINES.map(String::from).to_vec(),
        tests: TESTS.map(String::from).to_vec(),
        dir: std::env::temp_dir().join(format!("yonder-bench-store-{}", std::process::id())),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let list = |text: &str| text.split(',').map(String::from).collect();
        match arg.as_str() {
            "--full" => {}
            "--rounds" => options.rounds = value()?.parse()?,
            "--only" => options.engines = list(value()?),
            "--tests" => options.tests = list(value()?),
            "--dir" => options.dir = PathBuf::from(value()?),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(options)
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// One test of one engine: its metrics.
fn measure(options: &Options, test: &str, engine: &str, dir: &Path) -> Result<Vec<(String, f64)>> {
    let pick = |quick: u64, full: u64| if options.full { full } else { quick };
    let spawn = |test: &str, number: u64| spawn(test, engine, dir, number);
    match test {
        "append-1" | "append-64" | "append-512" => spawn(test, pick(700, 3000)),
        "mixed" => spawn(test, pick(1500, 5000)),
        "size" => spawn(test, pick(20_000, 1_000_000)),
        "load" => spawn(test, pick(20, 100)),
        "big" => spawn(test, 0),
        "open" => {
            let count = pick(5000, 100_000);
            let mut metrics = spawn("build", count)?;
            metrics.extend(spawn("reopen", count)?);
            for _ in 0..pick(1, 3) {
                storm::kill(engine, dir, Duration::from_millis(pick(300, 1500)))?;
                let killed = spawn("reopen", count)?.into_iter().find(|(metric, _)| metric == "open_ms");
                metrics.extend(killed.map(|(_, value)| ("open_killed_ms".to_owned(), value)));
            }
            storm::kill(engine, dir, Duration::from_millis(300))?;
            sys::drop_cached(dir)?;
            let killed = spawn("reopen", count)?.into_iter().find(|(metric, _)| metric == "open_ms");
            metrics.extend(killed.map(|(_, value)| ("open_killed_disk_ms".to_owned(), value)));
            Ok(metrics)
        }
        "crash" => storm::check(engine, dir, pick(3, 20)),
        other => Err(format!("no such test: {other}").into()),
    }
}

/// The command that runs a measurement in a process of its own.
fn command(test: &str, engine: &str, dir: &Path, number: u64) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["store", "child", test, engine]).arg(dir).arg(number.to_string());
    command.stdout(Stdio::piped());
    Ok(command)
}

fn spawn(test: &str, engine: &str, dir: &Path, number: u64) -> Result<Vec<(String, f64)>> {
    let output = command(test, engine, dir, number)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{test} of {engine} failed").into());
    }
    let parse = |line: &str| -> Result<(String, f64)> {
        let (metric, value) = line.split_once(' ').ok_or("odd line of a child")?;
        Ok((metric.to_owned(), value.parse()?))
    };
    String::from_utf8(output.stdout)?.lines().map(parse).collect()
}

/// The other side of `command`.
fn child(test: &str, engine: &str, dir: &Path, number: u64) -> Result<()> {
    let time = Duration::from_millis(number);
    match test {
        "append-1" => measure::append(engine, dir, 1, time),
        "append-64" => measure::append(engine, dir, 64, time),
        "append-512" => measure::append(engine, dir, 512, time),
        "mixed" => measure::mixed(engine, dir, time),
        "build" => measure::build(engine, dir, number),
        "reopen" => measure::reopen(engine, dir, number),
        "size" => measure::size(engine, dir, number),
        "load" => measure::load(engine, dir, number),
        "big" => measure::big(engine, dir),
        "storm" => measure::storm(engine, dir),
        other => Err(format!("no such child: {other}").into()),
    }
}

/// The table in Markdown: a row for each metric, a column for each engine.
fn render(options: &Options, table: &Table) -> String {
    let mut out =
        format!("| | {} |\n|---|{}\n", options.engines.join(" | "), "---|".repeat(options.engines.len()));
    for test in &options.tests {
        for (row, cells) in table.iter().filter(|(row, _)| row.split(' ').next() == Some(test)) {
            let cell = |engine| cells.get(engine).map_or_else(|| "-".to_owned(), |values| summary(values));
            let columns: Vec<String> = options.engines.iter().map(cell).collect();
            out.push_str(&format!("| {row} | {} |\n", columns.join(" | ")));
        }
    }
    out
}

/// The median, and the range when there is one.
fn summary(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).map_or_else(String::new, |value| number(*value));
    let last = sorted.len().saturating_sub(1);
    if last == 0 { at(0) } else { format!("{} ({}–{})", at(sorted.len() / 2), at(0), at(last)) }
}

/// A number with about three digits.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
