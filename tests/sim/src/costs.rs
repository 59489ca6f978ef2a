//! What a log costs on a store: operations for each append, idle poll and load, by how long the tail is and how large the
//! document.

use crate::edits::Authors;
use crate::log::{poll, start};
use crate::lowering::{Lowering, OnCounts, OnLists};
use crate::rng::Rng;
use crate::store::{NO_SKEW, Profile, Shared, Store, View};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use yonder_core::kv::{Cost, KvConfig};
use yonder_core::log::{LogOp, LogReply, Offset, Tail};
use yonder_core::wire::{put_var_bytes, put_var_uint};
use yonder_core::{DocName, OpId};

/// Updates that no snapshot covers.
const TAILS: [usize; 5] = [0, 1, 8, 24, 200];
/// Bytes of the snapshot.
const SIZES: [usize; 4] = [0, 10_000, 1_000_000, 10_000_000];
/// Bytes of an update with which a document is made.
const PIECE: usize = 100_000;

/// Prints the tables of both lowerings.
///
/// # Errors
/// If one does not do what it is asked.
pub fn print() -> Result<(), String> {
    println!(
        "Operations (reads + writes + deletes + lists + counts) on a store without faults, lists in one page.\n"
    );
    table::<OnLists>("listed")?;
    table::<OnCounts>("sequenced")
}

fn table<L: Lowering>(name: &str) -> Result<(), String> {
    println!("{name}\n");
    println!(
        "| document | tail | append | cold append | idle poll | cold idle poll | cold load | compaction |"
    );
    println!("|---:|---:|---|---|---|---|---|---|");
    for size in SIZES {
        for tail in TAILS {
            let mut bench = Bench::<L>::new();
            bench.fill(size)?;
            bench.append_all(tail)?;
            let place = bench.load(&Offset::START)?.0.end;
            let warm_append = bench.append()?;
            let place = bench.load(&place)?.0.end;
            let (_, idle) = bench.load(&place)?;
            bench.forget();
            let (_, cold_idle) = bench.load(&place)?;
            bench.forget();
            let (_, load) = bench.load(&Offset::START)?;
            bench.forget();
            let append = bench.append()?;
            let (_, compaction) = bench.compact()?;
            let [a, b, c, d, e, f] = [warm_append, append, idle, cold_idle, load, compaction].map(shown);
            println!("| {} kB | {tail} | {a} | {b} | {c} | {d} | {e} | {f} |", size / 1_000);
        }
    }
    println!();
    Ok(())
}

fn shown(cost: Cost) -> String {
    let kinds =
        [(cost.reads, "r"), (cost.writes, "w"), (cost.deletes, "d"), (cost.lists, "l"), (cost.counts, "c")];
    let kinds: Vec<_> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count}{kind}")).collect();
    format!("{} ({})", cost.operations(), kinds.join(" "))
}

struct Bench<L> {
    shared: Rc<Shared>,
    object: Rc<L>,
    authors: Authors,
    rng: Rng,
    ops: u64,
}

impl<L: Lowering> Bench<L> {
    fn new() -> Self {
        let profile = Profile { value_bytes: 1_100_000, ..Profile::all().swap_remove(0) };
        let mut store = Store::new(profile, Rng::new(1), L::overwritten);
        store.calm_down();
        let skews = RefCell::new(vec![NO_SKEW]);
        let shared = Rc::new(Shared { store: RefCell::new(store), polled: Cell::new(0), skews });
        let object = Self::object(&shared);
        Self { shared, object, authors: Authors::new(1, 3), rng: Rng::new(1), ops: 0 }
    }

    fn object(shared: &Rc<Shared>) -> Rc<L> {
        let name = DocName::new("notes").unwrap();
        Rc::new(L::new(View::new(shared, 0), &name, KvConfig::default()))
    }

    /// An instance that knows nothing, a while later.
    fn forget(&mut self) {
        self.shared.store.borrow_mut().now += 10_000;
        self.object = Self::object(&self.shared);
    }

    fn ask(&mut self, request: LogOp) -> Result<(LogReply, Cost), String> {
        self.ops += 1;
        self.shared.store.borrow_mut().now += 100;
        let (reply, cost) =
            poll(&mut start(&self.object, OpId(self.ops), request)).ok_or("it waits for nothing")?;
        Ok((reply.map_err(|error| error.to_string())?, cost))
    }

    /// A document of so many bytes, in a snapshot, with nothing left of what it was made of.
    fn fill(&mut self, size: usize) -> Result<(), String> {
        let mut clock = 0;
        for _ in 0..size.div_ceil(PIECE) {
            let length = PIECE.min(size);
            let mut update = vec![1, 1, 99];
            put_var_uint(&mut update, clock);
            update.extend_from_slice(&[4, 1, 1, b't']);
            put_var_bytes(&mut update, &vec![b'x'; length]);
            update.push(0);
            clock += length as u64;
            self.ask(LogOp::Append { updates: vec![update.into()] })?;
        }
        if size > 0 {
            while self.compact()?.0.updates > 0 {}
            self.shared.store.borrow_mut().now += 2 * KvConfig::default().grace;
            self.append()?;
            while self.compact()?.0.updates > 0 {}
        }
        Ok(())
    }

    fn append_all(&mut self, count: usize) -> Result<(), String> {
        (0..count).try_for_each(|_| self.append().map(drop))
    }

    fn append(&mut self) -> Result<Cost, String> {
        let edit: Bytes = self.authors.edit(&mut self.rng, false).bytes;
        Ok(self.ask(LogOp::Append { updates: vec![edit] })?.1)
    }

    fn load(&mut self, since: &Offset) -> Result<(Tail, Cost), String> {
        match self.ask(LogOp::Load { since: since.clone() })? {
            (LogReply::Loaded(loaded), cost) => Ok((loaded.tail, cost)),
            (other, _) => Err(format!("a load is answered with {other:?}")),
        }
    }

    fn compact(&mut self) -> Result<(Tail, Cost), String> {
        let upto = self.load(&Offset::END)?.0.end;
        match self.ask(LogOp::Compact { upto })? {
            (LogReply::Compacted(tail), cost) => Ok((tail, cost)),
            (other, _) => Err(format!("a compaction is answered with {other:?}")),
        }
    }
}
