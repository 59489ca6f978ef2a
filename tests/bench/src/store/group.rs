//! The group commit that the server would run: many clients with one append in flight each, one writer that drains
//! whatever queued into one durable commit and then acknowledges.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::{Batch, Engine, Meta, Result, Update};

/// The name of a document of the benchmark.
pub(crate) fn name(index: u64) -> String {
    format!("team-{:04}/board-{index:08}-of-the-benchmark", index % 100)
}

/// Bytes that do not compress and that a reader can compute again from where they were stored.
pub(crate) fn bytes(id: u64, seq: u64, len: usize) -> Vec<u8> {
    let mut state = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seq.wrapping_add(0xD1B5_4A32_D192_ED03);
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    out.truncate(len);
    out
}

/// The writer's memory: the name and the meta of each document that it writes.
pub(crate) struct Docs(pub(crate) Vec<(String, Meta)>);

impl Docs {
    /// Takes the first documents of a store, new or existing.
    pub(crate) fn open(engine: &dyn Engine, count: u64) -> Result<Self> {
        let meta = |index| -> Result<_> {
            let name = name(index);
            let meta = engine.meta(&name)?.unwrap_or(Meta { id: index, ..Meta::default() });
            Ok((name, meta))
        };
        (0..count).map(meta).collect::<Result<_>>().map(Self)
    }

    /// Puts one update of each listed document into a batch (the same document may be listed more than once).
    pub(crate) fn batch(&mut self, docs: impl Iterator<Item = u64>, len: usize) -> Batch {
        let mut batch = Batch::default();
        let mut touched = Vec::new();
        for doc in docs {
            if let Some((_, meta)) = self.0.get_mut(doc as usize) {
                let (id, seq) = (meta.id, meta.next);
                batch.updates.push(Update { id, seq, bytes: bytes(id, seq, len) });
                meta.next += 1;
                meta.tail_count += 1;
                meta.tail_bytes += len as u64;
                touched.push(doc);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        batch.metas.extend(touched.iter().filter_map(|doc| self.0.get(*doc as usize).cloned()));
        batch
    }

    /// Puts everything of a document into a snapshot.
    pub(crate) fn compact(&mut self, engine: &dyn Engine, doc: u64, snapshot: &[u8]) -> Result<()> {
        let (name, meta) = self.0.get_mut(doc as usize).ok_or("no such document")?;
        (meta.tail_count, meta.tail_bytes) = (0, 0);
        engine.compact(name, meta, meta.next.saturating_sub(1), snapshot)
    }
}

/// How a run goes on.
pub(crate) struct Plan {
    /// The clients, each with one append in flight.
    pub(crate) clients: u64,
    /// The documents that they write, in turn.
    pub(crate) docs: u64,
    /// How long.
    pub(crate) time: Duration,
    /// Compact a document when its tail is this long, into a snapshot of `snapshot` bytes.
    pub(crate) compact_at: Option<u64>,
    /// See `compact_at`.
    pub(crate) snapshot: usize,
    /// Print `ack ID SEQ` for each acknowledged update.
    pub(crate) print: bool,
}

/// What a run gave.
pub(crate) struct Outcome {
    /// From the hand-over to the acknowledgement of each append, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// The commits that they took.
    pub(crate) commits: u64,
    /// The time of the run.
    pub(crate) elapsed: Duration,
}

/// Runs the clients against the writer, which is this thread.
pub(crate) fn run(engine: &dyn Engine, plan: &Plan) -> Result<Outcome> {
    let mut docs = Docs::open(engine, plan.docs)?;
    let stop = AtomicBool::new(false);
    let (queue, jobs) = channel();
    let mut acks: Vec<SyncSender<()>> = Vec::new();
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for client in 0..plan.clients {
            let (ack, acked) = sync_channel(1);
            acks.push(ack);
            let (queue, stop, plan) = (queue.clone(), &stop, &plan);
            let body = move || {
                let mut latencies = Vec::new();
                let mut doc = client;
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    if queue.send((client, doc % plan.docs)).is_err() || acked.recv().is_err() {
                        break;
                    }
                    latencies.push(start.elapsed());
                    doc += plan.clients;
                }
                latencies
            };
            clients.push(thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, body)?);
        }
        drop(queue);
        let start = Instant::now();
        let written = write(engine, plan, &mut docs, &jobs, &acks, &stop);
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        acks.clear();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().map_err(|_| "a client panicked")?);
        }
        latencies.sort_unstable();
        Ok(Outcome { latencies, commits: written?, elapsed })
    })
}

/// The writer: it drains, commits, acknowledges, and compacts what got long.
fn write(
    engine: &dyn Engine,
    plan: &Plan,
    docs: &mut Docs,
    jobs: &Receiver<(u64, u64)>,
    acks: &[SyncSender<()>],
    stop: &AtomicBool,
) -> Result<u64> {
    let start = Instant::now();
    let mut commits = 0;
    let mut out = std::io::stdout();
    while let Ok(first) = jobs.recv() {
        let mut drained = vec![first];
        drained.extend(jobs.try_iter());
        let batch = docs.batch(drained.iter().map(|(_, doc)| *doc), 40);
        engine.append(&batch)?;
        commits += 1;
        if plan.print {
            let lines: String = batch.updates.iter().map(|u| format!("ack {} {}\n", u.id, u.seq)).collect();
            out.write_all(lines.as_bytes())?;
            out.flush()?;
        }
        for (client, _) in &drained {
            if let Some(ack) = acks.get(*client as usize) {
                // A client that has stopped needs no acknowledgement.
                let _ = ack.send(());
            }
        }
        if let Some(limit) = plan.compact_at {
            let long = docs.0.iter().position(|(_, meta)| meta.tail_count >= limit);
            if let Some(doc) = long {
                docs.compact(engine, doc as u64, &bytes(doc as u64, commits, plan.snapshot))?;
            }
        }
        if start.elapsed() > plan.time {
            stop.store(true, Ordering::Relaxed);
        }
    }
    Ok(commits)
}
