//! Kills: a child writes and prints what it acknowledged, dies by SIGKILL in the middle of it, and the store must
//! hold every acknowledged update.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::engine::{Result, open};
use super::group::{bytes, name};

/// Runs a storm for some time after its store is open, kills it, and gives the last acknowledged sequence of each
/// document.
pub(crate) fn kill(engine: &str, dir: &Path, after: Duration) -> Result<HashMap<u64, u64>> {
    let mut child = super::command("storm", engine, dir, 0)?.stderr(Stdio::inherit()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    if line != "ready\n" {
        return Err(format!("{engine} did not open its store").into());
    }
    // The clock starts at the first acknowledgement: a first commit may have to wait for a busy disk.
    line.clear();
    lines.read_line(&mut line)?;
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        // `Child::kill` sends SIGKILL: no destructor and no exit handler of the store runs.
        child.kill().and_then(|()| child.wait())
    });
    let mut acked = HashMap::new();
    // The last line may be cut, and an empty one is the end.
    while let Some(whole) = line.strip_suffix('\n') {
        let mut words = whole.split(' ').skip(1).map(str::parse::<u64>);
        if let (Some(Ok(id)), Some(Ok(seq))) = (words.next(), words.next()) {
            acked.insert(id, seq);
        }
        line.clear();
        lines.read_line(&mut line)?;
    }
    killer.join().map_err(|_| "the killer panicked")??;
    if acked.is_empty() {
        return Err(format!("{engine} acknowledged nothing before it was killed").into());
    }
    Ok(acked)
}

/// Kills a writer at random moments and looks for every acknowledged update, again and again on the same store.
pub(crate) fn check(engine: &str, dir: &Path, times: u64) -> Result<Vec<(String, f64)>> {
    let mut lost = 0.0;
    let mut checked = 0.0;
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
        let acked = kill(engine, dir, Duration::from_millis(100 + u64::from(nanos) % 700))?;
        let start = std::time::Instant::now();
        let store = open(engine, dir)?;
        slowest = slowest.max(start.elapsed());
        for (id, last) in acked {
            let loaded = store.load(&name(id))?;
            let mut next = loaded.snapshot.map_or(0, |(through, _)| through + 1);
            for (seq, update) in loaded.updates {
                if seq != next || update != bytes(id, seq, 40) {
                    return Err(format!("{engine}: a gap or wrong bytes at {id}/{seq}").into());
                }
                next += 1;
            }
            checked += 1.0;
            if next <= last {
                lost += (last + 1 - next) as f64;
            }
        }
    }
    let row = |metric: &str, value| (metric.to_owned(), value);
    Ok(vec![
        row("kills", times as f64),
        row("documents_checked", checked),
        row("acknowledged_updates_lost", lost),
        row("slowest_open_ms", slowest.as_secs_f64() * 1e3),
    ])
}
