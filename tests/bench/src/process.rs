//! What the operating system says about a process: CPU time, memory, files. Linux only.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::fs::{read_dir, read_to_string};
use std::path::Path;
use std::time::Duration;

/// Memory of a process and its children, in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident, pages shared with other processes counted in full.
    pub(crate) resident: u64,
    /// Resident, shared pages counted in proportion: what the machine would get back.
    pub(crate) proportional: u64,
}

/// CPU time of `pid`, its ended threads and its living children, to the nanosecond.
pub(crate) fn cpu(pid: u32) -> Duration {
    family(pid)
        .into_iter()
        .filter_map(|pid| {
            let clock = clock_getcpuclockid(Pid::from_raw(pid as i32)).ok()?;
            Some(Duration::from(clock_gettime(clock).ok()?))
        })
        .sum()
}

/// CPU time of the calling thread.
pub(crate) fn own_thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock").into()
}

/// Memory of `pid` and its children, from `smaps_rollup`.
pub(crate) fn memory(pid: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in family(pid) {
        let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kib = |field: &str| -> u64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        sum.resident += kib("Rss:") * 1024;
        sum.proportional += kib("Pss:") * 1024;
    }
    sum
}

/// Bytes of all files under `path`.
pub(crate) fn directory_bytes(path: &Path) -> u64 {
    let Ok(entries) = read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => directory_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Sends a signal to one process; that it is gone already is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid as i32), signal);
}

/// Lets this process and the servers that it starts open as many files as the system allows: thousands of sockets.
pub(crate) fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// One line about the machine, with what else was running on it.
pub(crate) fn machine() -> String {
    let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!("{cores} cores of {model}, Linux {}, load average {load} at the start", kernel.trim())
}

/// `pid` and all its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        next += 1;
        let Ok(threads) = read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = read_to_string(thread.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    pids
}
