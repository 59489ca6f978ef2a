//! `cargo xtask check`: formatting, lints on every target, documentation.

use crate::run::{Output, Result, cargo};
use crate::{cloudflare, tools, wasm};
use std::process::Command;
use std::time::Instant;

/// Makes all checks, also when one fails.
pub(crate) fn run() -> Result {
    tools::rust_targets(&wasm::TARGETS, &Output::Shown)?;
    let checks: [(&str, Command); 6] = [
        ("fmt", fmt()),
        ("clippy", clippy()),
        ("clippy for Wasm", clippy_for_wasm()),
        ("clippy for Workers", clippy_for_workers()),
        ("doc", doc()),
        ("doc for Workers", doc_for_workers()),
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

fn fmt() -> Command {
    let mut cargo = cargo();
    cargo.args(["fmt", "--all", "--check"]);
    cargo
}

fn clippy() -> Command {
    let mut cargo = cargo();
    cargo.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--exclude",
        cloudflare::PACKAGE,
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]);
    cargo
}

fn clippy_for_wasm() -> Command {
    let mut cargo = cargo();
    cargo.args(["clippy", "--quiet", "-p", "yonder-core", "-p", wasm::PROBE]);
    for target in wasm::TARGETS {
        cargo.args(["--target", target]);
    }
    cargo.args(["--", "-D", "warnings"]);
    cargo
}

/// It is code for Workers only.
fn clippy_for_workers() -> Command {
    let mut cargo = cargo();
    cargo.args(["clippy", "--quiet", "-p", cloudflare::PACKAGE, "--target", cloudflare::TARGET]);
    cargo.args(["--", "-D", "warnings"]);
    cargo
}

fn doc() -> Command {
    let mut cargo = cargo();
    cargo.args(["doc", "--quiet", "--no-deps", "--workspace", "--exclude", cloudflare::PACKAGE]);
    cargo.arg("--all-features").env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

fn doc_for_workers() -> Command {
    let mut cargo = cargo();
    cargo.args(["doc", "--quiet", "--no-deps", "-p", cloudflare::PACKAGE, "--target", cloudflare::TARGET]);
    cargo.arg("--document-private-items").env("RUSTDOCFLAGS", "-D warnings");
    cargo
}
