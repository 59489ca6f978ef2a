//! Breaks one invariant after the other, on purpose, and looks whether the simulator finds that.
//!
//! A copy of the crates that it needs is built with one mutation of [`crate::mutations`] at a time, and played.

use crate::mutations::{MUTATIONS, Mutation};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is copied of the clone.
const FOLDERS: [&str; 2] = ["core", "tests/sim"];
const PROFILE: &str = "sim-broken";

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
/// If there is none of that name, or the copy cannot be made or built.
pub fn run(name: &str, steps: u64) -> Result<bool, String> {
    let mutations: Vec<_> =
        MUTATIONS.iter().filter(|mutation| name == "all" || mutation.name == name).collect();
    if mutations.is_empty() {
        let known: Vec<_> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
        return Err(format!("there is no {name}; there are {}", known.join(", ")));
    }
    let tree = Tree::make()?;
    println!("{:<12} {:<44} {:>9} {:>7} {:>7}  found as", "invariant", "broken by", "steps", "seed", "s");
    let mut found = 0;
    for mutation in &mutations {
        let began = Instant::now();
        let sources = tree.sources(mutation)?;
        let outcome = tree.apply(mutation).and_then(|()| tree.play(mutation, steps));
        // As they were copied: the clone may have changed meanwhile.
        sources.iter().try_for_each(|(path, source)| write(path, source))?;
        let seconds = began.elapsed().as_secs_f64();
        let (invariant, name) = (mutation.invariant, mutation.name);
        match outcome {
            Err(error) => println!("{invariant:<12} {name:<44} CANNOT BE MADE: {error}"),
            Ok(Found::After(steps, seed, how)) => {
                found += 1;
                let how: String = how.chars().take(70).collect();
                println!("{invariant:<12} {name:<44} {steps:>9} {seed:>7} {seconds:>7.1}  {how}");
            }
            Ok(Found::Not) => {
                println!("{invariant:<12} {name:<44} NOT FOUND in {steps} steps, {seconds:.1} s")
            }
        }
    }
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
        for folder in FOLDERS {
            copy(&clone.join(folder), &tree.root.join(folder))
                .map_err(|error| format!("cannot copy {folder}: {error}"))?;
        }
        let manifest = read(&clone.join("Cargo.toml"))?;
        let members = format!("members = {FOLDERS:?}");
        let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
        let lines = lines.map(|line| if line.starts_with("members = ") { &members } else { line });
        write(&tree.root.join("Cargo.toml"), &lines.collect::<Vec<_>>().join("\n"))?;
        write(&tree.root.join("rust-toolchain.toml"), &read(&clone.join("rust-toolchain.toml"))?)?;
        // The copy has fewer packages; cargo leaves out the others.
        write(&tree.root.join("Cargo.lock"), &read(&clone.join("Cargo.lock"))?)?;
        Ok(tree)
    }

    /// The files that a mutation changes.
    fn sources(&self, mutation: &Mutation) -> Result<Vec<(PathBuf, String)>, String> {
        let path = |file: &str| self.root.join(file);
        mutation.edits.iter().map(|(file, ..)| Ok((path(file), read(&path(file))?))).collect()
    }

    fn apply(&self, mutation: &Mutation) -> Result<(), String> {
        for (file, text, instead) in mutation.edits {
            let path = self.root.join(file);
            let source = read(&path)?;
            let count = source.matches(text).count();
            if count != 1 {
                return Err(format!(
                    "{}: {file} has this {count} times, and not once:\n{text}",
                    mutation.name
                ));
            }
            write(&path, &source.replace(text, instead))?;
        }
        Ok(())
    }

    fn play(&self, mutation: &Mutation, steps: u64) -> Result<Found, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        build.args(["build", "--quiet", "--package", "yonder-sim", "--profile", PROFILE]);
        let built = build.output().map_err(|error| format!("cannot build: {error}"))?;
        if !built.status.success() {
            return Err(format!(
                "{} does not build:\n{}",
                mutation.name,
                String::from_utf8_lossy(&built.stderr)
            ));
        }
        let mut play = Command::new(self.target.join(PROFILE).join("yonder-sim"));
        play.args(["--no-shrink", "--steps", &steps.to_string()]).args(mutation.args).stdin(Stdio::null());
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
            // Memory or stack ran out, which is found as well.
            _ => Ok(Found::After(0, 0, format!("{}", played.status))),
        }
    }
}

/// Copies a folder. What is the same stays as it is, so that it is not built anew.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, kind) = (to.join(entry.file_name()), entry.file_type()?);
        names.push(entry.file_name());
        if kind.is_dir() && entry.file_name() != "target" {
            copy(&entry.path(), &path)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path())?;
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
