//! `cargo xtask check`: formatting, lints on every target, documentation.

use crate::run::{Output, Result, cargo};
use crate::{cloudflare, fastly, spin, tools, wasm};
use std::process::Command;
use std::time::Instant;

/// Makes all checks, also when one fails.
pub(crate) fn run() -> Result {
    tools::rust_targets(&wasm::TARGETS, &Output::Shown)?;
    tools::rust_targets(&[fastly::TARGET, spin::TARGET], &Output::Shown)?;
    let checks: [(&str, Command); 10] = [
        ("fmt", fmt()),
        ("clippy", clippy()),
        ("clippy for Workers", clippy_for(cloudflare::PACKAGE, cloudflare::TARGET)),
        ("clippy for Fastly", clippy_for(fastly::PACKAGE, fastly::TARGET)),
        (
            "clippy for Fastly, its store faulty",
            clippy_with(&["--all-features", "--examples", "--bins"], fastly::PACKAGE, fastly::TARGET),
        ),
        ("clippy for Spin", clippy_for(spin::PACKAGE, spin::TARGET)),
        ("doc", doc()),
        ("doc for Workers", doc_for(cloudflare::PACKAGE, cloudflare::TARGET)),
        ("doc for Fastly", doc_for(fastly::PACKAGE, fastly::TARGET)),
        ("doc for Spin", doc_for(spin::PACKAGE, spin::TARGET)),
    ];
    let mut failed = Vec::new();
    for (name, mut command) in checks {
        let began = Instant::now();
        let done = Output::Shown.run(&mut command);
        let word = if done.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{name}: {word}, {:.1} s\n", began.elapsed().as_secs_f64());
        if done.is_err() {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// The crates that are built for this machine: all but those of hosts that run Wasm modules.
pub(crate) const NATIVE: [&str; 7] = [
    "--workspace",
    "--exclude",
    cloudflare::PACKAGE,
    "--exclude",
    fastly::PACKAGE,
    "--exclude",
    spin::PACKAGE,
];

fn fmt() -> Command {
    let mut cargo = cargo();
    cargo.args(["fmt", "--all", "--check"]);
    cargo
}

fn clippy() -> Command {
    let mut cargo = cargo();
    cargo.args(["clippy", "--quiet"]).args(NATIVE);
    cargo.args(["--all-targets", "--all-features", "--", "-D", "warnings"]);
    cargo
}

/// It is code for one kind of host only. The core is checked with it, as this host has it.
fn clippy_for(package: &str, target: &str) -> Command {
    clippy_with(&[], package, target)
}

fn clippy_with(features: &[&str], package: &str, target: &str) -> Command {
    let mut cargo = cargo();
    cargo.args(["clippy", "--quiet", "-p", package, "--target", target]).args(features);
    cargo.args(["--", "-D", "warnings"]);
    cargo
}

fn doc() -> Command {
    let mut cargo = cargo();
    cargo.args(["doc", "--quiet", "--no-deps"]).args(NATIVE).arg("--all-features");
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

fn doc_for(package: &str, target: &str) -> Command {
    let mut cargo = cargo();
    cargo.args(["doc", "--quiet", "--no-deps", "-p", package, "--target", target]);
    cargo.arg("--document-private-items").env("RUSTDOCFLAGS", "-D warnings");
    cargo
}
