//! A lowering that is simple and wrong, to see what the simulator makes of it: it tells everything to everyone, and
//! knows neither compaction nor deletion.

use super::World;
use crate::lowering::Lowering;
use crate::outcome::Violation;
use crate::plan::{Choice, Level, Plan, Weights};
use crate::run;
use crate::store::View;
use bytes::Bytes;
use yonder_core::kv::{Cost, Kv as _, KvConfig, ListKv as _, entry::Body, entry::Entry, entry::Value};
use yonder_core::log::{Life, Loaded, LogError, LogOp, LogReply, Offset, Tail};
use yonder_core::{DocName, OpId};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It acknowledges whatever the store says.
    Acknowledges,
    /// Keys are counted by each instance.
    Counts,
}

/// `FAULT` is one of [`Fault`].
struct Naive<const FAULT: u8> {
    view: View,
    name: String,
}

impl<const FAULT: u8> Naive<FAULT> {
    const FAULT: Fault = match FAULT {
        0 => Fault::Acknowledges,
        _ => Fault::Counts,
    };

    async fn entries(&self) -> Result<Vec<Bytes>, LogError> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.view.list(&self.name, cursor.as_deref()).await?;
            for value in self.view.get_all(&page.keys).await? {
                let value =
                    Value::decode(&value.ok_or(LogError::Unavailable)?).map_err(|_| LogError::Corrupt)?;
                if let Body::Here(updates) = value.body {
                    entries.extend(updates);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(entries);
            }
        }
    }

    async fn answer(&self, op: OpId, request: LogOp) -> Result<LogReply, LogError> {
        let tail = |updates| {
            let life = if updates == 0 { Life::Absent } else { Life::Live };
            Tail { life, end: Offset::new(updates), ..Tail::default() }
        };
        Ok(match request {
            LogOp::Load { .. } | LogOp::Follow { .. } => {
                let updates = self.entries().await?;
                let tail = tail(updates.len() as u64);
                LogReply::Loaded(Loaded {
                    updates: updates.into_iter().map(|update| (Offset::START, update)).collect(),
                    tail,
                    snapshot: None,
                })
            }
            LogOp::Append { updates } => {
                let entry = Entry { time: self.view.now(), covers: None, updates };
                let number = if Self::FAULT == Fault::Counts { op.0 } else { self.view.random() };
                let put = self
                    .view
                    .set(&format!("{}{number:016x}", self.name), entry.encode(usize::MAX, 1).value)
                    .await;
                if Self::FAULT != Fault::Acknowledges {
                    put?;
                }
                LogReply::Appended(tail(1))
            }
            LogOp::Compact { .. } => LogReply::Compacted(tail(1)),
            LogOp::Create { .. } => LogReply::Created { existed: true, tail: tail(1) },
            _ => LogReply::Deleted { existed: false, tail: tail(0) },
        })
    }
}

impl<const FAULT: u8> Lowering for Naive<FAULT> {
    fn new(view: View, doc: &DocName, _: KvConfig) -> Self {
        Self { view, name: doc.to_key() + "__" }
    }

    async fn run(&self, op: OpId, request: LogOp) -> (Result<LogReply, LogError>, Cost) {
        (self.answer(op, request).await, Cost::default())
    }

    fn overwritten(_: &str) -> bool {
        false
    }
}

/// What is first found, within some seeds.
fn found<const FAULT: u8>(profile: &str) -> String {
    let choice =
        Choice { level: Some(Level::Listed), profile: Some(profile.to_owned()), ..Choice::default() };
    let plan = |seed| Plan {
        weights: Weights { delete: 0, large: false, ..choice.plan(seed, 400).unwrap().weights },
        ..choice.plan(seed, 400).unwrap()
    };
    let violation = |seed| World::<Naive<FAULT>>::new(&plan(seed), false).play().violation;
    // At rest it tells everything again and again, which is found as well, but only then.
    let early = |violation: &Violation| violation.step < 400;
    (1..200).filter_map(violation).find(early).unwrap().what
}

#[test]
fn who_acknowledges_what_was_not_stored_is_found() {
    let what = found::<0>("spin-sqlite");
    assert!(what.contains("was acknowledged at"), "{what}");
}

#[test]
fn who_writes_a_key_twice_is_found() {
    let what = found::<1>("immediate");
    assert!(what.starts_with("I2: "), "{what}");
}

#[test]
fn a_seed_is_one_run() {
    for seed in 1..20 {
        let plan = Choice::default().plan(seed, 300).unwrap();
        assert_eq!(run::play(&plan, false), run::play(&plan, false), "seed {seed}");
    }
}
