//! Makes a failing run smaller: fewer steps, and without whatever it does not need.

use crate::outcome::Violation;
use crate::plan::{Choice, EVENTS, Plan};
use crate::run::play;
use crate::store::Profile;

/// Seeds that are tried when something was left out: the same seed is another run then.
const SEEDS: u64 = 60;

/// A smaller run that fails, and how.
pub fn shrink(plan: Plan, violation: Violation) -> (Plan, Violation) {
    let mut best = fewer_steps(plan, violation);
    for name in EVENTS.into_iter().chain(Profile::FAULTS) {
        let mut without = best.0.without.clone();
        if !best.0.has(name) || without.add(name).is_err() {
            continue;
        }
        let choice =
            Choice { level: Some(best.0.level), profile: Some(best.0.profile.name.to_owned()), without };
        let steps = best.0.steps + best.0.steps / 4 + 10;
        let fails = (best.0.seed..best.0.seed + SEEDS).find_map(|seed| {
            let plan = choice.plan(seed, steps)?;
            let violation = play(&plan, false).violation?;
            Some((plan, violation))
        });
        if let Some((plan, violation)) = fails {
            best = fewer_steps(plan, violation);
        }
    }
    best
}

/// The smallest number of steps that fails, as far as halving finds it.
fn fewer_steps(plan: Plan, violation: Violation) -> (Plan, Violation) {
    let mut fails = (Plan { steps: violation.step, ..plan }, violation);
    if let Some(again) = play(&fails.0, false).violation {
        fails.1 = again;
    } else {
        fails.0.steps += 1;
    }
    let mut holds = 0;
    while holds + 1 < fails.0.steps {
        let middle = Plan { steps: holds + (fails.0.steps - holds) / 2, ..fails.0.clone() };
        match play(&middle, false).violation {
            Some(violation) => fails = (middle, violation),
            None => holds = middle.steps,
        }
    }
    fails
}
