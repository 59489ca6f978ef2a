//! What the kernel knows about this process and about files: memory, CPU time, sizes, the page cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::engine::Result;

/// The bytes in each kibibyte of `/proc` and in each mebibyte of the table.
const KIB: f64 = 1024.0;

/// A line of `/proc/self/status` (`VmRSS`, `RssAnon`, `VmHWM`) in MiB.
pub(crate) fn status_mib(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field in status")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number in status")?.parse()?;
    Ok(kib / KIB)
}

/// Starts the peak (`VmHWM`) anew at what is resident now.
pub(crate) fn reset_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// The CPU time of this process in microseconds: of all its threads, in steps of the kernel's 10 ms tick.
pub(crate) fn cpu_us() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("odd stat")?;
    let mut ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let user = ticks.next().ok_or("odd stat")??;
    let system = ticks.next().ok_or("odd stat")??;
    Ok((user + system) * 10_000.0)
}

/// The KiB that this process has caused to be written to the disk.
pub(crate) fn written_kib() -> Result<f64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line =
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes in io")?;
    Ok(line.parse::<f64>()? / KIB)
}

/// Every file below a directory.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// What a directory takes on the disk in MiB: allocated blocks, so a hole in a file costs nothing.
pub(crate) fn disk_mib(dir: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt;
    let mut blocks = 0;
    for file in files(dir)? {
        blocks += fs::metadata(file)?.blocks();
    }
    Ok(blocks as f64 * 512.0 / KIB / KIB)
}

/// Asks the kernel to drop the clean cached pages of a directory's files, so that the next read comes from the disk.
pub(crate) fn drop_cached(dir: &Path) -> Result<()> {
    for file in files(dir)? {
        let input = format!("if={}", file.display());
        let done = Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]).status()?;
        if !done.success() {
            return Err("dd could not drop the page cache".into());
        }
    }
    Ok(())
}
