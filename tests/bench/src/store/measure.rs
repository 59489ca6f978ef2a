//! The measurements. Each runs in a process of its own (see the parent module), so memory and CPU time are the
//! store's alone, and prints `metric value` lines.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::engine::{Engine, Result, open};
use super::group::{Docs, Plan, bytes, name, run};
use super::sys::{cpu_us, disk_mib, drop_cached, reset_peak, status_mib, written_kib};

/// The documents that the append runs write.
const DOCS: u64 = 200;

fn show(metric: &str, value: f64) {
    println!("{metric} {value}");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A value of a sorted list at a fraction of its length, in milliseconds.
fn quantile(sorted: &[Duration], fraction: f64) -> f64 {
    let index = (sorted.len() as f64 * fraction) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |time| ms(*time))
}

/// Durable appends with a number of clients that wait for their acknowledgement.
pub(crate) fn append(engine: &str, dir: &Path, clients: u64, time: Duration) -> Result<()> {
    let store = open(engine, dir)?;
    let plan = |time| Plan { clients, docs: DOCS, time, compact_at: None, snapshot: 0, print: false };
    run(&*store, &plan(time / 5))?;
    let (cpu, written) = (cpu_us()?, written_kib()?);
    let outcome = run(&*store, &plan(time))?;
    let (cpu, written) = (cpu_us()? - cpu, written_kib()? - written);
    let count = outcome.latencies.len() as f64;
    show("per_s", count / outcome.elapsed.as_secs_f64());
    show("p50_ms", quantile(&outcome.latencies, 0.5));
    show("p99_ms", quantile(&outcome.latencies, 0.99));
    show("max_ms", quantile(&outcome.latencies, 1.0));
    show("cpu_us", cpu / count);
    show("written_kib_per_commit", written / outcome.commits as f64);
    show("batch", count / outcome.commits as f64);
    Ok(())
}

/// The server's day: 64 clients, compaction of every tail of 24 into a 20 KB snapshot, a reader that never rests.
pub(crate) fn mixed(engine: &str, dir: &Path, time: Duration) -> Result<()> {
    let store = open(engine, dir)?;
    let stop = AtomicBool::new(false);
    let plan = Plan { clients: 64, docs: DOCS, time, compact_at: Some(24), snapshot: 20_000, print: false };
    let (outcome, mut loads) = thread::scope(|scope| -> Result<_> {
        let reader = scope.spawn(|| -> Result<_> {
            let mut loads = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                store.load(&name(loads.len() as u64 % DOCS))?;
                loads.push(start.elapsed());
                thread::sleep(Duration::from_millis(2));
            }
            Ok(loads)
        });
        let outcome = run(&*store, &plan);
        stop.store(true, Ordering::Relaxed);
        Ok((outcome?, reader.join().map_err(|_| "the reader panicked")??))
    })?;
    loads.sort_unstable();
    show("per_s", outcome.latencies.len() as f64 / outcome.elapsed.as_secs_f64());
    show("p99_ms", quantile(&outcome.latencies, 0.99));
    show("max_ms", quantile(&outcome.latencies, 1.0));
    show("load_p50_ms", quantile(&loads, 0.5));
    show("load_p99_ms", quantile(&loads, 0.99));
    show("disk_mib", disk_mib(dir)?);
    show("anon_mib", status_mib("RssAnon")?);
    Ok(())
}

/// Fills a store with documents of ten updates, in commits of a thousand.
pub(crate) fn build(engine: &str, dir: &Path, count: u64) -> Result<()> {
    let store = open(engine, dir)?;
    show("empty_mib", disk_mib(dir)?);
    let mut docs = Docs::open(&*store, count)?;
    let start = Instant::now();
    for _ in 0..10 {
        for first in (0..count).step_by(1000) {
            store.append(&docs.batch(first..(first + 1000).min(count), 40))?;
        }
    }
    show("fill_s", start.elapsed().as_secs_f64());
    drop(store);
    show("disk_mib", disk_mib(dir)?);
    Ok(())
}

/// Opens a store and reads one document, then a thousand.
pub(crate) fn reopen(engine: &str, dir: &Path, count: u64) -> Result<()> {
    let start = Instant::now();
    let store = open(engine, dir)?;
    store.load(&name(count / 2))?;
    show("open_ms", ms(start.elapsed()));
    show("rss_mib", status_mib("VmRSS")?);
    show("anon_mib", status_mib("RssAnon")?);
    for step in 0..1000 {
        store.load(&name(step * 7919 % count))?;
    }
    show("rss_1000_mib", status_mib("VmRSS")?);
    show("anon_1000_mib", status_mib("RssAnon")?);
    Ok(())
}

/// Appends (and compactions) until somebody kills this process; prints what is acknowledged.
pub(crate) fn storm(engine: &str, dir: &Path) -> Result<()> {
    let store = open(engine, dir)?;
    println!("ready");
    let time = Duration::from_secs(60);
    run(
        &*store,
        &Plan { clients: 64, docs: DOCS, time, compact_at: Some(100), snapshot: 5000, print: true },
    )?;
    Ok(())
}

/// The disk that many small appends take, and what compaction gives back or lets reuse.
pub(crate) fn size(engine: &str, dir: &Path, count: u64) -> Result<()> {
    let mut store = open(engine, dir)?;
    let mut docs = Docs::open(&*store, DOCS)?;
    let fill = |store: &dyn Engine, docs: &mut Docs| -> Result<()> {
        for first in (0..count).step_by(200) {
            store.append(&docs.batch((first..first + 200).map(|at| at * 7 % DOCS), 40))?;
        }
        Ok(())
    };
    let squeeze = |store: &dyn Engine, docs: &mut Docs| -> Result<()> {
        for doc in 0..DOCS {
            docs.compact(store, doc, &bytes(doc, count, (count / DOCS * 10) as usize))?;
        }
        Ok(())
    };
    fill(&*store, &mut docs)?;
    show("appended_mib", disk_mib(dir)?);
    let start = Instant::now();
    squeeze(&*store, &mut docs)?;
    show("compact_ms", ms(start.elapsed()) / DOCS as f64);
    show("compacted_mib", disk_mib(dir)?);
    for _ in 0..2 {
        fill(&*store, &mut docs)?;
        squeeze(&*store, &mut docs)?;
    }
    show("thrice_mib", disk_mib(dir)?);
    let start = Instant::now();
    store.reclaim()?;
    show("reclaim_ms", ms(start.elapsed()));
    drop(store);
    show("reclaimed_mib", disk_mib(dir)?);
    Ok(())
}

/// A load of a 300 KB snapshot with 24 updates from a store just opened, from the page cache and from the disk.
pub(crate) fn load(engine: &str, dir: &Path, count: u64) -> Result<()> {
    {
        let store = open(engine, dir)?;
        let mut docs = Docs::open(&*store, count)?;
        store.append(&docs.batch(0..count, 40))?;
        for doc in 0..count {
            docs.compact(&*store, doc, &bytes(doc, 0, 300_000))?;
        }
        for _ in 0..24 {
            store.append(&docs.batch(0..count, 40))?;
        }
    }
    for (metric, cold) in [("cached_ms", false), ("disk_ms", true)] {
        if cold {
            drop_cached(dir)?;
        }
        let store = open(engine, dir)?;
        let mut times = Vec::new();
        for doc in 0..count {
            let start = Instant::now();
            let loaded = store.load(&name(doc))?;
            times.push(start.elapsed());
            let whole = loaded.snapshot.is_some_and(|(_, bytes)| bytes.len() == 300_000);
            if !whole || loaded.updates.len() != 24 {
                return Err("a load is not what was stored".into());
            }
        }
        times.sort_unstable();
        show(metric, quantile(&times, 0.5));
    }
    Ok(())
}

/// One update of 20 MB: write, read, and the memory at the peak beside the value's own copies.
pub(crate) fn big(engine: &str, dir: &Path) -> Result<()> {
    let store = open(engine, dir)?;
    let mut docs = Docs::open(&*store, 1)?;
    store.append(&docs.batch(0..1, 40))?;
    let batch = docs.batch(0..1, 20 << 20);
    reset_peak()?;
    let before = status_mib("VmHWM")?;
    let start = Instant::now();
    store.append(&batch)?;
    show("write_ms", ms(start.elapsed()));
    show("write_peak_mib", status_mib("VmHWM")? - before);
    drop(batch);
    drop(store);
    let store = open(engine, dir)?;
    reset_peak()?;
    let before = status_mib("VmHWM")?;
    let start = Instant::now();
    let loaded = store.load(&name(0))?;
    show("read_ms", ms(start.elapsed()));
    show("read_peak_mib", status_mib("VmHWM")? - before);
    if loaded.updates.last().is_none_or(|(seq, value)| *value != bytes(0, *seq, 20 << 20)) {
        return Err("the large value is not what was stored".into());
    }
    Ok(())
}
