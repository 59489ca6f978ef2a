//! Breaks one invariant after the other, on purpose, and looks whether the simulator finds that.
//!
//! A copy of the crates that it needs is built once, with all mutations of [`crate::mutations`] in it, each behind a
//! switch; and is played with one of them on at a time.

use crate::mutations::{MUTATIONS, Mutation};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What is copied of the clone.
const FOLDERS: [&str; 2] = ["core", "tests/sim"];
/// That of `cargo xtask sim`, whose dependencies are built already.
const PROFILE: &str = "sim";
/// What stands for a mutation's switch, and where the switches are.
const SWITCH: &str = "BROKEN";
const CORE: &str = "core/src/lib.rs";
/// The variable that says which one is on, by its place in the list.
const VARIABLE: &str = "YONDER_BROKEN";
const SWITCHES: &str = "
/// Whether this one is broken.
pub(crate) fn is_broken(mutation: usize) -> bool {
    static WHICH: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    *WHICH.get_or_init(|| std::env::var(\"YONDER_BROKEN\").ok()?.parse().ok()) == Some(mutation)
}
";
/// Steps that are played with none of them on.
const WHOLE: u64 = 20_000;

/// What became of a mutation.
enum Found {
    /// After so many steps, of this seed.
    After(u64, u64, String),
    /// Not within the steps that it had.
    Not,
}

/// Plays these mutations, all if `name` is "all"; each has `steps` steps. True if every one was found.
///
/// # Errors
/// If there is none of that name, or the copy cannot be made or built, or is wrong as it is.
pub fn run(name: &str, steps: u64) -> Result<bool, String> {
    let all = MUTATIONS.iter().enumerate();
    let mutations: Vec<_> = all.filter(|(_, mutation)| name == "all" || mutation.name == name).collect();
    if mutations.is_empty() {
        let known: Vec<_> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
        return Err(format!("there is no {name}; there are {}", known.join(", ")));
    }
    let began = Instant::now();
    let tree = Tree::make()?;
    tree.build()?;
    if let Found::After(_, seed, how) = tree.play(None, &[], WHOLE)? {
        return Err(format!("with nothing broken, seed {seed}: {how}"));
    }
    println!("built in {:.1} s", began.elapsed().as_secs_f64());
    println!("{:<9} {:<44} {:>9} {:>7} {:>6}  found as", "invariant", "broken by", "steps", "seed", "s");
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((index, mutation)) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let is_found = tree.tell(*index, mutation, steps);
                    found.fetch_add(usize::from(is_found), Ordering::Relaxed);
                }
            });
        }
    });
    let found = found.into_inner();
    println!("# pass {found}\n# fail {}", mutations.len() - found);
    Ok(found == mutations.len())
}

/// A copy of what is broken.
struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    fn make() -> Result<Self, String> {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let target = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        let target = target.ok_or("this program lies in no target folder")?.to_owned();
        let tree = Self { root: target.join("sim-broken-tree"), target };
        let broken = broken(&clone)?.into_iter().map(|(file, text)| (clone.join(file), text)).collect();
        for folder in FOLDERS {
            copy(&clone.join(folder), &tree.root.join(folder), &broken)
                .map_err(|error| format!("cannot copy {folder}: {error}"))?;
        }
        let manifest = read(&clone.join("Cargo.toml"))?;
        let members = format!("members = {FOLDERS:?}");
        let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
        // Of another version, so that cargo does not take one for the other in the folder that they share.
        let version = |line: &str| line.strip_suffix('"').map(|line| format!("{line}+broken\""));
        let lines = lines.map(|line| match line.split_once(" = ") {
            Some(("members", _)) => members.clone(),
            Some(("version", _)) => version(line).unwrap_or_default(),
            _ => line.to_owned(),
        });
        write(&tree.root.join("Cargo.toml"), &lines.collect::<Vec<_>>().join("\n"))?;
        write(&tree.root.join("rust-toolchain.toml"), &read(&clone.join("rust-toolchain.toml"))?)?;
        // The copy has fewer packages; cargo leaves out the others.
        write(&tree.root.join("Cargo.lock"), &read(&clone.join("Cargo.lock"))?)?;
        Ok(tree)
    }

    fn target(&self) -> PathBuf {
        self.target.join("sim-broken")
    }

    fn build(&self) -> Result<(), String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        build.args(["build", "--quiet", "--package", "yonder-sim", "--profile", PROFILE]);
        let built = build.output().map_err(|error| format!("cannot build: {error}"))?;
        if !built.status.success() {
            return Err(format!(
                "what is broken does not build:\n{}",
                String::from_utf8_lossy(&built.stderr)
            ));
        }
        // The program that is running has the same name, and stays what it was: its next build takes the place.
        fs::copy(self.target.join(PROFILE).join("yonder-sim"), self.target())
            .map(drop)
            .map_err(|e| e.to_string())
    }

    /// Plays a mutation and prints a line; whether it was found.
    fn tell(&self, index: usize, mutation: &Mutation, steps: u64) -> bool {
        let began = Instant::now();
        let outcome = self.play(Some(index), mutation.args, steps);
        let seconds = began.elapsed().as_secs_f64();
        let (invariant, name) = (mutation.invariant, mutation.name);
        let (is_found, line) = match outcome {
            Err(error) => (false, format!("CANNOT BE PLAYED: {error}")),
            Ok(Found::After(steps, seed, how)) => {
                let how: String = how.chars().take(70).collect();
                (true, format!("{steps:>9} {seed:>7} {seconds:>6.1}  {how}"))
            }
            Ok(Found::Not) => (false, format!("NOT FOUND in {steps} steps, {seconds:.1} s")),
        };
        println!("{invariant:<9} {name:<44} {line}");
        is_found
    }

    fn play(&self, broken: Option<usize>, args: &[&str], steps: u64) -> Result<Found, String> {
        let mut play = Command::new(self.target());
        play.env_remove(VARIABLE).envs(broken.map(|index| (VARIABLE, index.to_string())));
        play.args(["--no-shrink", "--steps", &steps.to_string()]).args(args).stdin(Stdio::null());
        let played = play.output().map_err(|error| format!("cannot play: {error}"))?;
        let text = String::from_utf8_lossy(&played.stdout);
        match played.status.code() {
            Some(0) => Ok(Found::Not),
            Some(1) => {
                let line = text.lines().find(|line| line.starts_with("VIOLATION")).unwrap_or_default();
                let (place, how) = line.split_once(": ").unwrap_or_default();
                let seed = place.rsplit(' ').next().and_then(|seed| seed.parse().ok()).unwrap_or_default();
                let total =
                    text.lines().find_map(|line| line.split_once(" steps of ")).map(|(total, _)| total);
                let total = total.and_then(|total| total.parse().ok()).unwrap_or_default();
                Ok(Found::After(total, seed, how.to_owned()))
            }
            Some(2) => Err(String::from_utf8_lossy(&played.stderr).into_owned()),
            // Memory or stack ran out, which is found as well.
            _ => Ok(Found::After(0, 0, format!("{}", played.status))),
        }
    }
}

/// The files that mutations change, with all of them in place.
fn broken(clone: &Path) -> Result<BTreeMap<&'static str, String>, String> {
    let mut files = BTreeMap::from([(CORE, read(&clone.join(CORE))? + SWITCHES)]);
    for (index, mutation) in MUTATIONS.iter().enumerate() {
        for (file, text, instead) in mutation.edits {
            let source = match files.remove(file) {
                Some(source) => source,
                None => read(&clone.join(file))?,
            };
            let (name, count) = (mutation.name, source.matches(text).count());
            if count != 1 {
                return Err(format!("{name}: {file} has this {count} times, and not once:\n{text}"));
            }
            let instead = instead.replace(SWITCH, &format!("crate::is_broken({index})"));
            files.insert(file, source.replace(text, &instead));
        }
    }
    Ok(files)
}

/// Copies a folder, but for files that are to be something else. What is the same stays as it is, so that it is not built
/// anew.
fn copy(from: &Path, to: &Path, instead: &BTreeMap<PathBuf, String>) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, kind) = (to.join(entry.file_name()), entry.file_type()?);
        names.push(entry.file_name());
        if kind.is_dir() && entry.file_name() != "target" {
            copy(&entry.path(), &path, instead)?;
        } else if kind.is_file() {
            let bytes = match instead.get(&entry.path()) {
                Some(text) => text.clone().into_bytes(),
                None => fs::read(entry.path())?,
            };
            if fs::read(&path).ok().as_ref() != Some(&bytes) {
                fs::write(&path, bytes)?;
            }
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).ok().as_deref() == Some(text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
