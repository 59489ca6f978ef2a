//! `cargo xtask fuzz`: gives the decoders inputs that nobody thought of, with cargo-fuzz.
//!
//! It begins with the inputs in `tests/fuzz/corpus`, and writes new ones beside its other files in the target folder. What
//! it finds is put into the corpus by hand, once it is fixed: `cargo xtask test` runs every input there.

use crate::run::{Output, Result, cargo, failed, root, scratch, target};
use crate::tools;
use std::fs;

const CARGO_FUZZ: &str = "0.13.2";

/// What to fuzz.
#[derive(Debug)]
pub(crate) struct Fuzz {
    /// All if none is named.
    pub(crate) targets: Vec<String>,
    /// For how long each.
    pub(crate) seconds: u32,
}

impl Default for Fuzz {
    fn default() -> Self {
        Self { targets: Vec::new(), seconds: 60 }
    }
}

/// Megabytes that one allocation and the process may take, seconds that one input may take, and bytes that it may have.
const LIMITS: [&str; 4] = ["-malloc_limit_mb=600", "-rss_limit_mb=2560", "-timeout=20", "-max_len=4096"];

/// Fuzzes each target on its own, also when another has failed.
pub(crate) fn run(fuzz: &Fuzz) -> Result {
    let tool = tools::cargo_install("cargo-fuzz", CARGO_FUZZ, &["--locked"], &Output::Shown)?;
    let (known, all) = (root().join("tests/fuzz/corpus"), targets()?);
    let named = if fuzz.targets.is_empty() { &all } else { &fuzz.targets };
    if let Some(other) = named.iter().find(|name| !all.contains(name)) {
        return Err(format!("there is no target {other}; there are {}", all.join(", ")));
    }
    let path = std::env::join_paths(
        std::iter::once(tool.join("bin"))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .map_err(|error| format!("cannot find cargo-fuzz: {error}"))?;
    let mut failures = Vec::new();
    for name in named {
        let (found, crashes) = (scratch()?.join("fuzz").join(name), scratch()?.join("fuzz").join("found"));
        for folder in [&found, &crashes] {
            fs::create_dir_all(folder).map_err(|error| failed("make", folder, error))?;
        }
        let mut run = cargo();
        run.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz/libfuzzer", "--target-dir"])
            .arg(target()?.join("fuzz"));
        run.arg(name).arg(&found).arg(known.join(name)).arg("--").args(LIMITS);
        run.arg(format!("-max_total_time={}", fuzz.seconds)).arg("-print_final_stats=1");
        run.arg(format!("-artifact_prefix={}/{name}-", crashes.display()));
        // The sanitizer is there, and an unstable option of the compiler.
        run.env("RUSTC_BOOTSTRAP", "1").env("ASAN_OPTIONS", "detect_leaks=0").env("PATH", &path);
        if Output::Shown.run(&mut run).is_err() {
            failures.push(name.as_str());
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("something was found by {}", failures.join(", "))) }
}

/// The programs that there are.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("tests/fuzz/libfuzzer/fuzz_targets");
    let read = || {
        fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<_>>>()
    };
    let mut names = read().map_err(|error| failed("read", &folder, error))?;
    names.sort();
    Ok(names)
}
