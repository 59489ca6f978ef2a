//! `cargo xtask test`: all tests, in steps whose output is kept apart.
//!
//! Two cores are enough to build with cargo and to install from npm at the same time. The scenarios with real clients
//! wait for time to pass, and so run alone, when nothing else takes the processor from them.

use crate::check::NATIVE;
use crate::run::{Output, Result, cargo, command, failed, root, scratch, target};
use crate::{cloudflare, fastly, pushpin, sim, spin, tools, up, wasm};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A step of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// The crates' own tests.
    Rust,
    /// The core as a Wasm module.
    Wasm,
    /// The simulator, and each invariant broken on purpose.
    Sim,
    /// The page is what its sources give.
    Page,
    /// yonder-provider, against a scripted server and the native one.
    Provider,
    /// Real clients and a browser against the native server.
    Interop,
    /// Generated requests to the native server, by the description of its API.
    OpenApi,
    /// Real clients and Pushpin before a host that holds no sockets.
    Grip,
    /// The host that runs Spin components, what is true of yonder's in it, and real clients against that.
    Spin,
    /// What is published to Fastly, and real clients against that in Viceroy.
    Fastly,
    /// What is uploaded to Cloudflare, and the scenarios that are Workers' own.
    Cloudflare,
    /// Real clients and a browser against workerd.
    Workerd,
    /// All hosts side by side, as they are compared.
    All,
}

impl Name {
    const ALL: [Self; 13] = [
        Self::Rust,
        Self::Wasm,
        Self::Sim,
        Self::Page,
        Self::Provider,
        Self::Interop,
        Self::OpenApi,
        Self::Grip,
        Self::Spin,
        Self::Fastly,
        Self::Cloudflare,
        Self::Workerd,
        Self::All,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Wasm => "wasm",
            Self::Sim => "sim",
            Self::Page => "page",
            Self::Provider => "provider",
            Self::Interop => "interop",
            Self::OpenApi => "openapi",
            Self::Grip => "grip",
            Self::Spin => "spin",
            Self::Fastly => "fastly",
            Self::Cloudflare => "cloudflare",
            Self::Workerd => "workerd",
            Self::All => "all",
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::text).join(", ");
        Self::ALL.into_iter().find(|name| name.text() == text).ok_or(format!("the steps are {names}"))
    }
}

/// Runs these steps, all if none is named. An error if anything fails.
pub(crate) fn run(only: &[Name]) -> Result {
    let began = Instant::now();
    let step = |name| (only.is_empty() || only.contains(&name)).then(|| Step::new(name)).transpose();
    let (rust, wasm, sim) = (step(Name::Rust)?, step(Name::Wasm)?, step(Name::Sim)?);
    let (page, mut interop) = (step(Name::Page)?, step(Name::Interop)?);
    let (mut provider, mut openapi) = (step(Name::Provider)?, step(Name::OpenApi)?);
    let grip = step(Name::Grip)?;
    let (mut cloudflare, mut workerd) = (step(Name::Cloudflare)?, step(Name::Workerd)?);
    let (mut spin, mut fastly) = (step(Name::Spin)?, step(Name::Fastly)?);
    let all = step(Name::All)?;
    let mut done: Vec<Done> = Vec::new();
    std::thread::scope(|scope| {
        let by_cargo = scope.spawn(|| {
            let rust = rust.map(|step| step.with(test_rust).end());
            let wasm = wasm.map(|step| step.with(wasm::build).with(wasm::test).end());
            let sim = sim.map(|step| step.with(sim::test).end());
            [rust, wasm, sim].into_iter().flatten().collect::<Vec<_>>()
        });
        let page = page.map(|step| step.with(test_page).end());
        interop = interop.take().map(|step| step.with(|output| set_up_interop(output).map(|_| ())));
        provider = provider.take().map(|step| step.with(|output| tools::npm(PROVIDER, output).map(|_| ())));
        openapi = openapi.take().map(|step| step.with(|output| set_up_openapi(output).map(|_| ())));
        // Built by the one that comes first.
        cloudflare = cloudflare.take().map(|step| step.with(cloudflare::build));
        workerd = workerd.take().map(|step| step.with(cloudflare::build));
        spin = spin.take().map(|step| step.with(|output| spin::host(output).map(|_| ())).with(spin::size));
        fastly = fastly.take().map(|step| step.with(fastly::test::set_up));
        done.extend(by_cargo.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.extend(page);
    });
    done.extend(provider.map(|step| step.with(test_provider).end()));
    done.extend(interop.map(|step| step.with(test_interop).end()));
    done.extend(openapi.map(|step| step.with(test_openapi).end()));
    done.extend(grip.map(|step| step.with(pushpin::test).end()));
    done.extend(spin.map(|step| step.with(spin::test).with(spin::scenarios).with(spin::interop).end()));
    let own = |step: Step| step.with(fastly::test::package).with(fastly::test::own);
    done.extend(fastly.map(|step| own(step).with(fastly::test::interop).end()));
    done.extend(cloudflare.map(|step| step.with(cloudflare::test::own).end()));
    done.extend(workerd.map(|step| step.with(cloudflare::test::interop).end()));
    done.extend(all.map(|step| step.with(test_all).end()));

    println!("\n== summary, {}", seconds(began.elapsed()));
    let mut sum = Counts::default();
    for step in &done {
        sum.add(&step.counts);
        let problem = step.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        println!("{:<10} {:>8}  {}{problem}", step.name.text(), seconds(step.spent), step.counts);
    }
    println!("{sum}");
    for step in done.iter().filter(|step| step.problem.is_some()) {
        println!("\n== {} failed; the end of its output:\n{}", step.name.text(), step.cause);
    }
    let failed: Vec<_> =
        done.iter().filter(|step| step.problem.is_some()).map(|step| step.name.text()).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// The probe makes a Wasm module, and has no tests of its own.
const UNTESTED: [&str; 2] = ["--exclude", wasm::PROBE];

fn test_rust(output: &Output) -> Result {
    output.run(cargo().args(["test", "--quiet", "--no-run"]).args(NATIVE).args(UNTESTED))?;
    output.run(cargo().args(["test", "--no-fail-fast"]).args(NATIVE).args(UNTESTED))
}

fn test_page(output: &Output) -> Result {
    let source = tools::npm("clients/js/page", output)?;
    let built = scratch()?.join("page");
    if built.exists() {
        fs::remove_dir_all(&built).map_err(|error| failed("remove", &built, error))?;
    }
    output.run(command("node").arg("build.mjs").arg(&built).current_dir(source))?;
    let (built, committed) = (files(&built)?, files(&root().join("targets/native/page"))?);
    let names = built.keys().chain(committed.keys());
    let mut differ: Vec<_> = names.filter(|name| built.get(*name) != committed.get(*name)).collect();
    differ.sort();
    differ.dedup();
    if differ.is_empty() {
        output.say(&format!("{} files are what their sources give", built.len()));
        return Ok(());
    }
    Err(format!(
        "{differ:?} in targets/native/page: not what the sources give; run node clients/js/page/build.mjs"
    ))
}

/// A folder's files by name.
fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
            })
            .collect::<std::io::Result<_>>()
    };
    read().map_err(|error| failed("read", folder, error))
}

/// Its sources, as a package.
const PROVIDER: &str = "clients/js/provider";

fn test_provider(output: &Output) -> Result {
    let source = tools::npm(PROVIDER, output)?;
    // It starts its servers as the scenarios do.
    tools::npm("tests/interop", output)?;
    let up = native_server(output)?;
    output.run(command("npm").arg("test").current_dir(source).env("YONDER_UP", up))
}

/// The packages in place; the browser, and nginx.
fn set_up_interop(output: &Output) -> Result<(PathBuf, PathBuf)> {
    tools::npm("tests/interop", output)?;
    Ok((tools::chromium(output)?, tools::nginx(output)?))
}

fn test_interop(output: &Output) -> Result {
    let (chromium, nginx) = set_up_interop(output)?;
    let server = native_server(output)?;
    let mut run = command("node");
    run.arg("tests/interop/run.mjs").env("YONDER_UP", server).env("CHROMIUM", chromium).env("NGINX", nginx);
    output.run(&mut run)
}

/// Every host's scenarios, or these files of them, against what is built for a host; `lacks`: what that openly lacks, see
/// `tests/interop/host.mjs`.
pub(crate) fn scenarios(host: &str, options: &str, lacks: &str, files: &[&str], output: &Output) -> Result {
    let (open, closed) = up::templates(host, options)?;
    let mut run = command("node");
    run.arg("tests/interop/run.mjs").args(files).env("NGINX", tools::nginx(output)?);
    run.env("YONDER_SKIP", lacks).env("YONDER_UP", open).env("YONDER_UP_AUTH", closed);
    output.run(&mut run)
}

/// For Node's test runner in a folder beside `tests/interop`: tests as they come, and what failed at the end.
pub(crate) const REPORTERS: [&str; 4] = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=../interop/failures.mjs",
    "--test-reporter-destination=stdout",
];

fn test_all(output: &Output) -> Result {
    tools::npm("tests/interop", output)?;
    let chromium = tools::chromium(output)?;
    up::all::build(true, output)?;
    let this = std::env::current_exe().map_err(|error| failed("find", Path::new("xtask"), error))?;
    let up = format!("{} up all --prebuilt --debug --port {{port}} --data {{data}}", up::quoted(&this));
    let mut run = command("node");
    run.args(["--test", "--test-timeout=400000"])
        .args(REPORTERS)
        .arg(".")
        .current_dir(root().join("tests/latency"));
    run.env("YONDER_UP_ALL", up).env("YONDER", target()?.join("debug/yonder")).env("CHROMIUM", chromium);
    output.run(&mut run)
}

/// Asks a server what its description says that it can be asked.
pub(crate) const OPENAPI: [&str; 3] = ["--test", "--test-reporter=spec", "tests/openapi/fuzz.mjs"];

/// The packages that it starts servers with, and those that it asks them with.
pub(crate) fn set_up_openapi(output: &Output) -> Result<PathBuf> {
    tools::npm("tests/interop", output)?;
    tools::python("tests/openapi/requirements.txt", output)
}

fn test_openapi(output: &Output) -> Result {
    let packages = set_up_openapi(output)?;
    let server = native_server(output)?;
    let mut run = command("node");
    output.run(run.args(OPENAPI).env("YONDER_UP", server).env("SCHEMATHESIS", packages))
}

/// Builds the server, and gives the command that starts it.
fn native_server(output: &Output) -> Result<String> {
    // As `test_rust` builds it, so that nothing is built twice.
    output.run(cargo().args(["build", "--quiet"]).args(NATIVE).args(UNTESTED).args(["--bin", "yonder"]))?;
    Ok(up::template(&target()?.join("debug/yonder")))
}

/// A step that has begun.
struct Step {
    name: Name,
    output: Output,
    spent: Duration,
    result: Result,
}

/// A step that has ended.
struct Done {
    name: Name,
    spent: Duration,
    counts: Counts,
    problem: Option<String>,
    /// The part of its output that tells why, if anything does.
    cause: String,
}

impl Step {
    fn new(name: Name) -> Result<Self> {
        let output = Output::kept(name.text())?;
        Ok(Self { name, output, spent: Duration::ZERO, result: Ok(()) })
    }

    /// Does a part of the step, unless an earlier part failed.
    fn with(mut self, part: impl FnOnce(&Output) -> Result) -> Self {
        if self.result.is_ok() {
            let began = Instant::now();
            self.result = part(&self.output);
            self.spent += began.elapsed();
        }
        self
    }

    /// Shows what the step printed.
    fn end(self) -> Done {
        let text = self.output.text();
        let mut counts = Counts::of(&text);
        match &self.result {
            Err(_) if counts.failed == 0 => counts.failed = 1,
            Ok(()) if counts == Counts::default() => counts.passed = 1,
            _ => {}
        }
        let (name, spent) = (self.name, self.spent);
        let mut block = format!("\n== {}, {}: {counts}\n{text}", name.text(), seconds(spent));
        if let Err(problem) = &self.result {
            block.push_str(&format!("FAILED: {problem}\n"));
        }
        print!("{block}");
        Done { name, spent, counts, problem: self.result.err(), cause: cause(&text) }
    }
}

/// What tests/interop/failures.mjs begins with.
const FAILED_TESTS: &str = "== failed tests";
/// Lines of output that are shown again, where nothing says which ones matter.
const LAST: usize = 40;
/// Lines that are shown again at most.
const MOST: usize = 200;

/// All that a step says of tests that failed, or its last lines.
fn cause(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let marked = lines.iter().position(|line| line.starts_with(FAILED_TESTS));
    let from = marked.unwrap_or(lines.len().saturating_sub(LAST));
    lines.into_iter().skip(from).take(MOST).collect::<Vec<_>>().join("\n")
}

/// How many tests there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Reads the closing lines of cargo's and Node's test runners.
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("test result: ") {
                let (_, numbers) = line.split_once(". ").unwrap_or_default();
                for part in numbers.split("; ") {
                    let (number, word) = part.split_once(' ').unwrap_or_default();
                    counts.count(word, number);
                }
            } else if let Some(line) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
                let (word, number) = line.split_once(' ').unwrap_or_default();
                counts.count(word, number);
            }
        }
        counts
    }

    fn count(&mut self, word: &str, number: &str) {
        let Ok(number) = number.parse::<u64>() else { return };
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "cancelled" => self.failed += number,
            "ignored" | "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 { write!(f, ", {} skipped", self.skipped) } else { Ok(()) }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_both_runners_are_summed() {
        let cargo =
            "test result: ok. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.05s";
        let spec = "ℹ tests 9\nℹ pass 5\nℹ fail 1\nℹ cancelled 1\nℹ skipped 2\nℹ duration_ms 4.5";
        let tap = "# tests 3\n# pass 3\n# fail 0";
        let counts = Counts::of(&[cargo, spec, tap].join("\n"));
        assert_eq!(counts, Counts { passed: 20, failed: 3, skipped: 4 });
        assert_eq!(counts.to_string(), "20 passed, 3 failed, 4 skipped");
    }

    #[test]
    fn the_cause_is_what_failed_or_the_end() {
        assert_eq!(cause("a\n== failed tests: 1\n\n✖ b\n"), "== failed tests: 1\n\n✖ b");
        let long: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(cause(&long.join("\n")), long[60..].join("\n"));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(Counts::of("# pass the salt\n5 passed\ntest a ... ok"), Counts::default());
        assert_eq!(Counts::default().to_string(), "0 passed, 0 failed");
    }
}
