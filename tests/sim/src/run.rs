//! Many runs, one seed after the other.

use crate::log::World;
use crate::lowering::{OnCounts, OnLists};
use crate::outcome::{Counts, Outcome, Violation};
use crate::plan::{Choice, Level, Plan};
use crate::rooms;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// Steps in all.
    pub steps: u64,
    /// Steps of a seed.
    pub each: u64,
    /// The first seed.
    pub seed: u64,
    /// What is played.
    pub choice: Choice,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Steps that were taken.
    pub steps: u64,
    /// Seeds that were played.
    pub seeds: u64,
    /// What happened.
    pub counts: Counts,
    /// Steps by level and store.
    pub stores: BTreeMap<(&'static str, &'static str), u64>,
    /// How long it took.
    pub took: Duration,
    /// The first violation, with its run.
    pub failure: Option<(Plan, Violation)>,
}

/// Plays a plan; a panic is a violation.
pub fn play(plan: &Plan, trace: bool) -> Outcome {
    let played = || match plan.level {
        Level::Listed => World::<OnLists>::new(plan, trace).play(),
        Level::Sequenced => World::<OnCounts>::new(plan, trace).play(),
        Level::RoomsListed => rooms::World::<OnLists>::new(plan, trace).play(),
        Level::RoomsSequenced => rooms::World::<OnCounts>::new(plan, trace).play(),
    };
    catch_unwind(AssertUnwindSafe(played)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("of unknown cause");
        let violation = Violation { step: plan.steps, what: format!("panic: {text}") };
        Outcome { violation: Some(violation), steps: plan.steps, counts: Counts::default() }
    })
}

/// Plays seeds until there were enough steps, or a violation.
pub fn run(order: &Order) -> Report {
    let began = Instant::now();
    let mut report = Report::default();
    for seed in order.seed.. {
        if report.steps >= order.steps || report.failure.is_some() {
            break;
        }
        let Some(plan) = order.choice.plan(seed, order.each.min(order.steps - report.steps)) else { break };
        let outcome = play(&plan, false);
        report.steps += outcome.steps;
        report.seeds += 1;
        report.counts += outcome.counts;
        *report.stores.entry((plan.level.name(), plan.profile.name)).or_default() += outcome.steps;
        report.failure = outcome.violation.map(|violation| (plan, violation));
    }
    report.took = began.elapsed();
    report
}

/// The command that plays a run again.
pub fn command(plan: &Plan) -> String {
    let mut command = format!(
        "cargo xtask sim --seed {} --steps {} --steps-per-seed {1} --level {} --profile {}",
        plan.seed,
        plan.steps,
        plan.level.name(),
        plan.profile.name
    );
    for name in plan.without.names() {
        command.push_str(" --without ");
        command.push_str(name);
    }
    command
}
