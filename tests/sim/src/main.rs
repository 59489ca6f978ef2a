//! `yonder-sim`: plays the simulator; see `cargo xtask sim --help`.

#![allow(clippy::wildcard_enum_match_arm, reason = "what is not an option is an error")]

use lexopt::prelude::{Long, Short, ValueExt as _};
use std::collections::BTreeMap;
use std::process::ExitCode;
use yonder_sim::plan::{Choice, Level};
use yonder_sim::run::{self, Order, Report};
use yonder_sim::shrink::shrink;
use yonder_sim::{breaks, costs};

const USAGE: &str = "\
Plays clients, instances and stores from seeds, and checks what must hold.

cargo xtask sim [--steps N] [--seed S] [--steps-per-seed N]
                [--level listed|sequenced|rooms-listed|rooms-sequenced] [--profile STORE] [--without WHAT]...
                [--trace] [--no-shrink] [--survey]
                Plays N steps (300000), from seed S on, 1000 steps of each seed; ends with 1 at the first violation,
                with the command that plays it again. --trace shows every step of the first seed;
                --survey goes on after a violation, and tells how often each kind was met.
cargo xtask sim --break NAME|all [--steps N]
                Breaks an invariant on purpose, or one after the other, and ends with 0 only if the simulator finds it,
                within N steps each (4000000).
cargo xtask sim --costs
                Prints what appends, idle polls and loads cost, by the length of the tail and the document's size.";

struct Args {
    order: Order,
    trace: bool,
    shrinks: bool,
    survey: bool,
    breaks: Option<(String, Option<u64>)>,
    costs: bool,
}

fn main() -> ExitCode {
    match parse() {
        Ok(Some(args)) => go(&args),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sim: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> Result<Option<Args>, lexopt::Error> {
    let mut args = lexopt::Parser::from_env();
    let order = Order { steps: 300_000, each: 1_000, seed: 1, choice: Choice::default() };
    let mut parsed = Args { order, trace: false, shrinks: true, survey: false, breaks: None, costs: false };
    let mut steps = None;
    let order = &mut parsed.order;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("steps") => {
                order.steps = args.value()?.parse()?;
                steps = Some(order.steps);
            }
            Long("seed") => order.seed = args.value()?.parse()?,
            Long("steps-per-seed") => order.each = args.value()?.parse()?,
            Long("level") => {
                let name = args.value()?.string()?;
                let level = Level::ALL.into_iter().find(|level| level.name() == name);
                order.choice.level = Some(level.ok_or(format!("there is no level {name}"))?);
            }
            Long("profile") => order.choice.profile = Some(args.value()?.string()?),
            Long("without") => order.choice.without.add(&args.value()?.string()?)?,
            Long("break") => parsed.breaks = Some((args.value()?.string()?, None)),
            Long("costs") => parsed.costs = true,
            Long("trace") => parsed.trace = true,
            Long("survey") => parsed.survey = true,
            Long("no-shrink") => parsed.shrinks = false,
            other => return Err(other.unexpected()),
        }
    }
    if order.choice.plan(1, 1).is_none() {
        return Err("no such store at this level".into());
    }
    if let Some((_, of_each)) = &mut parsed.breaks {
        *of_each = steps;
    }
    Ok(Some(parsed))
}

fn go(args: &Args) -> ExitCode {
    if let Some((name, steps)) = &args.breaks {
        return match breaks::run(name, steps.unwrap_or(4_000_000)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("sim: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if args.costs {
        if let Err(error) = costs::print() {
            eprintln!("sim: {error}");
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    if args.trace {
        if let Some(plan) = args.order.choice.plan(args.order.seed, args.order.each.min(args.order.steps)) {
            println!("{plan:#?}");
            println!("{:#?}", run::play(&plan, true));
        }
        return ExitCode::SUCCESS;
    }
    // A panic is a violation, and is told as one.
    std::panic::set_hook(Box::new(|_| {}));
    if args.survey {
        return survey(&args.order);
    }
    let report = run::run(&args.order);
    print(&report);
    let Some((plan, violation)) = report.failure else { return ExitCode::SUCCESS };
    println!("\nVIOLATION at step {} of seed {}: {}", violation.step, plan.seed, violation.what);
    println!("again:  {}", run::command(&plan));
    if args.shrinks {
        let (plan, violation) = shrink(plan, violation);
        println!("\nshrunk to {} steps of seed {}: {}", plan.steps, plan.seed, violation.what);
        println!("again:  {}", run::command(&plan));
    }
    ExitCode::FAILURE
}

/// Violations by kind: their texts without numbers.
fn survey(order: &Order) -> ExitCode {
    let mut kinds: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut order = order.clone();
    let mut steps = 0;
    while steps < order.steps {
        let report = run::run(&Order { steps: order.steps - steps, ..order.clone() });
        steps += report.steps;
        order.seed += report.seeds;
        if let Some((plan, violation)) = report.failure {
            let kind: String = violation.what.chars().filter(|c| !c.is_ascii_digit()).take(90).collect();
            let kind = format!("{:<10} {kind}", plan.level.name());
            kinds.entry(kind).or_insert_with(|| (0, run::command(&plan))).0 += 1;
        }
    }
    for (kind, (count, command)) in &kinds {
        println!("{count:>6}  {kind}\n        {command}");
    }
    println!("{} seeds", order.seed);
    if kinds.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(report: &Report) {
    for ((level, store), steps) in &report.stores {
        println!("{level:<10} {store:<18} {steps:>10} steps");
    }
    let counts = &report.counts;
    println!(
        "{} edits acknowledged, {} loads, {} compactions, {} deletions, {} crashes, {} requests failed",
        counts.acknowledged,
        counts.loads,
        counts.compactions,
        counts.deletions,
        counts.crashes,
        counts.failures
    );
    let seconds = report.took.as_secs_f64();
    let rate = report.steps as f64 / seconds.max(1e-9);
    println!("{} steps of {} seeds in {seconds:.1} s: {rate:.0} steps/s", report.steps, report.seeds);
}
