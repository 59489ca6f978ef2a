//! Running commands: where they run, where their output goes, and what is said when they fail.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a task gives, or a text for people that says what to do.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// Where the output of commands goes.
pub(crate) enum Output {
    /// To the terminal: standard error, where it does not mix with what this program prints.
    Shown,
    /// Into a file, which can be watched while they run.
    Kept { path: PathBuf, file: File },
}

impl Output {
    /// Into an empty file of this name.
    pub(crate) fn kept(name: &str) -> Result<Self> {
        let path = scratch()?.join(name).with_extension("log");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.and_then(|file| file.set_len(0).map(|()| file));
        Ok(Self::Kept { file: file.map_err(|error| failed("write", &path, error))?, path })
    }

    /// What was kept.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Shown => String::new(),
            Self::Kept { path, .. } => {
                fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
            }
        }
    }

    /// Adds a line.
    pub(crate) fn say(&self, line: &str) {
        match self {
            Self::Shown => eprintln!("{line}"),
            // A log that cannot be written is no reason to stop.
            Self::Kept { file, .. } => drop(writeln!(&*file, "{line}")),
        }
    }

    /// Runs a command to its end, without input. An error if it cannot be run, or ends with another code than 0.
    pub(crate) fn run(&self, command: &mut Command) -> Result {
        let line = shown(command);
        self.say(&format!("$ {line}"));
        command.stdin(Stdio::null());
        match self {
            Self::Shown => {
                command.stdout(std::io::stderr());
            }
            Self::Kept { file, path } => {
                let handle = || file.try_clone().map_err(|error| failed("write", path, error));
                command.stdout(handle()?).stderr(handle()?);
            }
        }
        let status = command.status().map_err(|error| format!("cannot run {line}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
    }
}

/// A command that runs in the clone.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this, in the clone.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told this program about itself is not true of what it builds.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// What a command prints, without the white space around it; none if it fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The clone.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target folder: this program lies in it, and cargo marks it for those who make backups.
pub(crate) fn target() -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let folder = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    folder.map(Path::to_owned).ok_or_else(|| format!("{} is not in a target folder", this.display()))
}

/// A folder for what is made on the way.
pub(crate) fn scratch() -> Result<PathBuf> {
    let path = target()?.join("xtask");
    fs::create_dir_all(&path).map_err(|error| failed("make", &path, error))?;
    Ok(path)
}

/// "cannot VERB PATH: why".
pub(crate) fn failed(verb: &str, path: &Path, error: impl std::fmt::Display) -> String {
    format!("cannot {verb} {}: {error}", path.display())
}

/// A command as it would be typed, in the clone.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_in_order_from_both_streams() {
        let output = Output::kept("test-of-run").unwrap();
        output.run(command("sh").args(["-c", "echo one; echo two >&2; echo three"])).unwrap();
        assert_eq!(output.text(), "$ sh -c echo one; echo two >&2; echo three\none\ntwo\nthree\n");
    }

    #[test]
    fn a_failure_names_the_command_and_its_code() {
        let output = Output::kept("test-of-failure").unwrap();
        let error = output.run(command("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error, "sh -c exit 3: exit status: 3");
        assert!(
            output
                .run(&mut command("no-such-program"))
                .unwrap_err()
                .starts_with("cannot run no-such-program")
        );
    }

    #[test]
    fn an_answer_is_what_was_printed_or_nothing() {
        assert_eq!(answer(command("echo").arg("x")), Some("x".to_owned()));
        assert_eq!(answer(&mut command("false")), None);
    }
}
