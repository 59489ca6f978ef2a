//! Many requests at once, of several objects, their operations in random order: readers never miss what was acknowledged
//! before they asked.

use crate::store::*;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yonder_core::OpId;
use yonder_core::kv::{Cost, KvConfig};
use yonder_core::listed::Listed;
use yonder_core::log::{LogError, LogOp, LogReply, Offset};

type Running = Pin<Box<dyn Future<Output = (Result<LogReply, LogError>, Cost)>>>;

struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

enum Job {
    Append(u64),
    Compact,
    /// By whom, and what had been acknowledged by then.
    Load(usize, BTreeSet<u64>),
}

#[derive(Default, Clone)]
struct Reader {
    place: Offset,
    has: BTreeSet<u64>,
    busy: bool,
}

fn play(seed: u64) {
    let mut random = Random(seed * 0x9e37_79b9 + 1);
    let store = Store { page: 4 + random.below(9) as usize, ..Store::new() };
    let config = KvConfig {
        // Longer than any request takes here: else a load may be behind.
        grace: 10_000,
        trust: random.below(500),
        inline_bytes: random.below(200) as usize,
        compaction_reads: 2 + random.below(12) as usize,
        apart: Some(random.below(9) as usize).filter(|most| most % 2 == 0),
        ..KvConfig::default()
    };
    let mut objects: Vec<_> = (0..3).map(|_| Rc::new(store.log_with(config.clone()))).collect();
    let (mut readers, mut acknowledged) = (vec![Reader::default(); 4], BTreeSet::new());
    let (mut running, mut next) = (Vec::<(Job, Running)>::new(), 0);
    for _ in 0..3_000 {
        let object = random.below(3) as usize;
        if running.len() < 6 && random.below(3) == 0 {
            next += 1;
            let reader = random.below(4) as usize;
            let (job, request) = match random.below(10) {
                0 => (Job::Compact, LogOp::Compact { upto: Offset::END }),
                1..=4 if !readers[reader].busy => {
                    readers[reader].busy = true;
                    let since = readers[reader].place.clone();
                    (Job::Load(reader, acknowledged.clone()), LogOp::Load { since })
                }
                _ => (Job::Append(next), LogOp::Append { updates: vec![edit(next)] }),
            };
            let log: Rc<Listed<Store>> = Rc::clone(&objects[object]);
            running.push((job, Box::pin(async move { log.run(OpId(next), request).await })));
        }
        match random.below(60) {
            // An instance is gone, and what it was doing; it is not known what of that.
            0 => objects[object] = Rc::new(store.log_with(config.clone())),
            1 if !running.is_empty() => {
                if let (Job::Load(reader, _), _) = running.swap_remove(0) {
                    readers[reader].busy = false;
                }
            }
            n => store.wait(n),
        }
        if running.is_empty() {
            continue;
        }
        let index = random.below(running.len() as u64) as usize;
        let Poll::Ready((reply, _)) = running[index].1.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            continue;
        };
        let (job, _) = running.swap_remove(index);
        match (job, reply) {
            (Job::Append(n), Ok(LogReply::Appended(_))) => drop(acknowledged.insert(n)),
            (Job::Load(reader, before), Ok(LogReply::Loaded(loaded))) => {
                let reader = &mut readers[reader];
                let news = told(&loaded);
                let end = loaded.tail.end;
                assert!(end >= reader.place && (end > reader.place || news.is_empty()), "seed {seed}");
                assert!(end.to_string().len() <= 250);
                reader.has.extend(news);
                (reader.place, reader.busy) = (end, false);
                assert!(reader.has.is_superset(&before), "seed {seed}: {:?}", &before - &reader.has);
            }
            (Job::Compact, Ok(LogReply::Compacted(_))) => {}
            (Job::Append(_) | Job::Compact | Job::Load(..), other) => panic!("seed {seed}: {other:?}"),
        }
    }
    drop(running);
    for _ in 0..8 {
        let there = document(&store.log());
        assert!(there.is_superset(&acknowledged), "seed {seed}");
        for reader in &mut readers {
            let loaded = load(&store.log(), reader.place.clone());
            reader.has.extend(told(&loaded));
            reader.place = loaded.tail.end;
            assert_eq!(reader.has, there, "seed {seed}");
        }
        store.wait(10_000);
        for _ in 0..if config.apart.is_some() { 100 } else { 20 } {
            compact(&store.log_with(config.clone()));
        }
    }
    assert!(store.keys().iter().filter(|key| key.starts_with('d')).count() <= 1, "seed {seed}");
}

#[test]
fn requests_at_once_in_random_order_lose_nothing_and_readers_miss_nothing() {
    (1..=10).for_each(play);
}
