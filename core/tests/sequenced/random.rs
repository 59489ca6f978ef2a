//! Writers, readers, compactors and creators at once, interleaved operation by operation, that fail and die.

use crate::store::*;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::task::Poll;
use yonder_core::OpId;
use yonder_core::log::{LogError, LogOp, LogReply, Offset};

/// Somebody who reads again and again from the place that the last answer told.
struct Follower {
    instance: Instance,
    since: Offset,
    told: Vec<Bytes>,
    polling: Option<Task>,
}

impl Follower {
    fn take(&mut self, answer: Result<LogReply, LogError>) {
        let loaded = match answer {
            Ok(LogReply::Loaded(loaded)) => loaded,
            Err(LogError::Unavailable) => return,
            other => panic!("{other:?}"),
        };
        let is_news = loaded.snapshot.is_some() || !loaded.updates.is_empty();
        let (before, end) = (self.since.to_string(), loaded.tail.end.to_string());
        assert!(if is_news { before < end } else { before <= end }, "{before} {end} {is_news}");
        let places: Vec<_> = loaded.updates.iter().map(|(offset, _)| offset.to_string()).collect();
        assert!(
            places.is_sorted() && places.iter().all(|place| *place >= before && *place <= end),
            "{before} {places:?} {end}"
        );
        self.told.extend(loaded.snapshot);
        self.told.extend(loaded.updates.into_iter().map(|(_, update)| update));
        self.since = loaded.tail.end;
    }
}

/// Who asked for an append, as what, and which edit of which client it is.
type Asked = (Instance, OpId, Bytes, u64);

#[derive(Clone, Copy, Default)]
struct World {
    faults: u64,
    deaths: u64,
    lost_counter: bool,
    slow: bool,
}

fn run(seed: u64, world: World) {
    let store = Store::new();
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        dice.below(2);
    }
    let mut faults = Dice(dice.below(u64::MAX) | 1);
    if world.faults > 0 {
        store.plan(move |op| {
            if !faults.hits(world.faults) {
                return Fault::None;
            }
            match faults.below(4) {
                0 => Fault::Failed,
                1 => Fault::Lost,
                2 if op.starts_with("set") => Fault::Late,
                _ => Fault::Twice,
            }
        });
    }
    let small = yonder_core::kv::KvConfig { compaction_reads: 3 + dice.below(8) as usize, ..config() };
    let fresh = |dice: &mut Dice| {
        let skew = dice.below(240_000) as i64 - 120_000;
        store.instance_with(skew, small.clone())
    };
    let mut instances: Vec<_> = (0..3).map(|_| fresh(&mut dice)).collect();
    let mut followers: Vec<_> = (0..3)
        .map(|_| Follower {
            instance: fresh(&mut dice),
            since: Offset::START,
            told: Vec::new(),
            polling: None,
        })
        .collect();
    let mut next = 1;
    let mut acknowledged = BTreeSet::new();
    let mut tasks: Vec<(Task, Option<Asked>)> = Vec::new();
    for _ in 0..400 {
        let who = instances[dice.below(3) as usize].clone();
        match dice.below(30) {
            0..6 if tasks.len() < 6 => {
                let update = if dice.hits(10) { large_edit(next, 900) } else { edit(next) };
                let op = who.op();
                let task = who.start(op, append(std::slice::from_ref(&update)));
                tasks.push((task, Some((who, op, update, next))));
                next += 1;
            }
            6 if tasks.len() < 8 => {
                let mut upto = followers[0].since.clone();
                if dice.hits(50) {
                    upto = Offset::new((1 << 44) - 1);
                }
                tasks.push((who.start(who.op(), LogOp::Compact { upto }), None));
            }
            7 => store.pass([10, 1_000, 70_000][dice.below(3) as usize]),
            8 if world.slow && dice.hits(20) => store.pass(1_100_000),
            9 => _ = store.land(),
            10 if dice.hits(world.deaths) && !tasks.is_empty() => {
                drop(tasks.swap_remove(dice.below(tasks.len() as u64) as usize));
            }
            11 if dice.hits(world.deaths) => instances[dice.below(3) as usize] = fresh(&mut dice),
            12 if world.lost_counter && dice.hits(15) => {
                // Nobody is about to write under a number that is given again.
                tasks.clear();
                followers.iter_mut().for_each(|follower| follower.polling = None);
                let (back, forth, all) = (dice.below(6), dice.below(6), dice.hits(20));
                store.counters.borrow_mut().values_mut().for_each(|counter| {
                    *counter = if all { 0 } else { (*counter + forth).saturating_sub(back) };
                });
            }
            13..18 => {
                let follower = &mut followers[dice.below(3) as usize];
                if dice.hits(10) {
                    (follower.instance, follower.polling) = (fresh(&mut dice), None);
                }
                let instance = follower.instance.clone();
                let since = follower.since.clone();
                let task = follower
                    .polling
                    .get_or_insert_with(|| instance.start(instance.op(), LogOp::Load { since }));
                for _ in 0..1 + dice.below(12) {
                    if let Poll::Ready((answer, _)) = poll(task) {
                        follower.polling = None;
                        follower.take(answer);
                        break;
                    }
                }
            }
            _ if !tasks.is_empty() => {
                let index = dice.below(tasks.len() as u64) as usize;
                let Poll::Ready((answer, _)) = poll(&mut tasks[index].0) else { continue };
                let (_, what) = tasks.swap_remove(index);
                let Some((instance, op, update, client)) = what else {
                    assert!(
                        matches!(answer, Ok(LogReply::Compacted(_)) | Err(LogError::Unavailable)),
                        "{answer:?}"
                    );
                    continue;
                };
                match answer {
                    Ok(LogReply::Appended(_)) => _ = acknowledged.insert(client),
                    Err(LogError::Unavailable) => {
                        let task = instance.start(op, append(std::slice::from_ref(&update)));
                        tasks.push((task, Some((instance, op, update, client))));
                    }
                    other => panic!("{other:?}"),
                }
            }
            _ => {}
        }
    }
    store.heal();
    store.land();
    if world.lost_counter {
        // Someone who remembers sets it right.
        instances.iter().for_each(|instance| _ = instance.ask(LogOp::Load { since: Offset::END }));
    }
    for round in 0..2 {
        if std::env::var("SEED").is_ok() {
            eprintln!("{}", store.log.borrow().join("\n"));
        }
        let all = store.instance().clients();
        assert!(
            acknowledged.is_subset(&all),
            "lost: {:?}",
            acknowledged.difference(&all).collect::<Vec<_>>()
        );
        for (index, follower) in followers.iter_mut().enumerate() {
            follower.polling = None;
            let (instance, since) = (follower.instance.clone(), follower.since.clone());
            follower.take(instance.ask(LogOp::Load { since }));
            let told = clients_of(follower.told.iter());
            let missed: Vec<_> = acknowledged.difference(&told).collect();
            assert!(missed.is_empty(), "follower {index} missed {missed:?} at {:?}", follower.since);
            if round == 0 && !world.slow {
                assert_eq!(told, all, "follower {index}");
            }
            let idle = instance.load(&follower.since);
            assert_eq!((idle.updates.len(), idle.snapshot, &idle.tail.end), (0, None, &follower.since));
        }
        // Once all is old it is one snapshot, and nothing is left over.
        store.pass(2_000_000);
        instances[0].append(&[edit(next)]);
        acknowledged.insert(next);
        next += 1;
        store.pass(2_000_000);
        for _ in 0..40 {
            instances[0].append(&[edit(next)]);
            acknowledged.insert(next);
            next += 1;
            instances[0].compact();
            store.pass(1_000_000);
        }
        let cost = store.instance().cost(LogOp::Load { since: Offset::START });
        // But for the snapshot's parts.
        assert!(cost.operations() < 15 + cost.bytes_read / 400, "{cost:?}");
    }
    assert!(store.keys('e').len() <= 12, "{:?}", store.keys('e'));
}

fn many(from: u64, world: World) {
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40);
    for seed in from..from + rounds {
        let result = std::panic::catch_unwind(|| run(seed, world));
        if let Err(panic) = result {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn nothing_is_lost_when_nothing_fails() {
    many(0, World::default());
}

#[test]
fn nothing_is_lost_when_instances_die() {
    many(1_000_000, World { deaths: 50, ..World::default() });
}

#[test]
fn nothing_is_lost_when_the_store_fails() {
    many(2_000_000, World { faults: 8, deaths: 20, ..World::default() });
}

#[test]
fn nothing_is_lost_when_much_time_passes_in_between() {
    many(3_000_000, World { faults: 4, deaths: 30, slow: true, ..World::default() });
}

#[test]
fn nothing_is_lost_when_the_counter_loses_its_place() {
    many(4_000_000, World { lost_counter: true, ..World::default() });
}

/// One of them again: `SEED=1000060 cargo test -p yonder-core --test sequenced again -- --ignored`.
#[test]
#[ignore = "for one seed"]
fn again() {
    let seed: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let world = [
        World::default(),
        World { deaths: 50, ..World::default() },
        World { faults: 8, deaths: 20, ..World::default() },
        World { faults: 4, deaths: 30, slow: true, ..World::default() },
        World { lost_counter: true, ..World::default() },
    ];
    run(seed, world[(seed / 1_000_000) as usize]);
}
