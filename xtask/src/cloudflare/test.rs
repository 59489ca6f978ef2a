//! Tests of the Worker: what is uploaded, its scenarios of its own, and those of every host.

use crate::cloudflare::{built, folder, node, program};
use crate::run::{Output, Result, command, failed, root, scratch};
use crate::test::{OPENAPI, REPORTERS, set_up_openapi};
use crate::{tools, up};
use std::fs;
use std::process::Command;

/// What may be uploaded, gzipped, in bytes.
const BUDGET: f64 = 400_000.0;

/// What this host openly lacks: see `tests/interop/host.mjs`.
const LACKS: &str =
    "metrics,http2,slow-reader,page,flush,hang-up,leaving,listing,document-limit,full-disk,damage,light";

/// What is uploaded by `wrangler deploy`, and the tests that are this host's own.
pub(crate) fn own(output: &Output) -> Result {
    deploy_dry(output)?;
    let packages = folder().join("node_modules");
    tools::npm("tests/interop", output)?;
    let mut run = node()?;
    // Most of it waits for time to pass.
    run.args(["--test", "--test-concurrency=2", "--test-timeout=180000", "--test-force-exit"]);
    run.args(REPORTERS).arg(".").current_dir(root().join("tests/cloudflare"));
    run.env("WRANGLER", packages).env("YONDER_WORKER", built());
    output.run(hosted(&mut run)?)
}

/// Every host's scenarios, and generated requests by the description of the API.
pub(crate) fn interop(output: &Output) -> Result {
    let packages = set_up_openapi(output)?;
    let mut run = command("node");
    run.arg("tests/interop/run.mjs");
    run.env("CHROMIUM", tools::chromium(output)?).env("NGINX", tools::nginx(output)?);
    let scenarios = output.run(hosted(&mut run)?);
    let mut run = command("node");
    run.args(OPENAPI).env("SCHEMATHESIS", packages);
    scenarios.and(output.run(hosted(&mut run)?))
}

/// With the commands that start it.
fn hosted(run: &mut Command) -> Result<&mut Command> {
    let (open, closed) = up::templates("cloudflare", "")?;
    Ok(run.env("YONDER_UP", open).env("YONDER_UP_AUTH", closed).env("YONDER_SKIP", LACKS))
}

/// What `wrangler deploy` would upload, to nobody; it may not be too much.
fn deploy_dry(output: &Output) -> Result {
    let uploaded = scratch()?.join("cloudflare-upload");
    if uploaded.exists() {
        fs::remove_dir_all(&uploaded).map_err(|error| failed("remove", &uploaded, error))?;
    }
    let mut deploy = node()?;
    deploy.arg(program("wrangler")).args(["deploy", "--dry-run", "--outdir"]).arg(&uploaded);
    output.run(&mut deploy)?;
    let size = gzipped(&output.text()).ok_or("wrangler does not tell what it uploads")?;
    output.say(&format!("gzipped: {:.0} KB of {:.0} KB", size / 1000.0, BUDGET / 1000.0));
    if size < BUDGET { Ok(()) } else { Err("what is uploaded is too large".to_owned()) }
}

/// Reads `Total Upload: 700.12 KiB / gzip: 280.34 KiB`, all modules together. In bytes.
fn gzipped(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.starts_with("Total Upload: "))?;
    let (_, size) = line.split_once(" / gzip: ")?;
    let (number, unit) = size.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    (unit == "KiB").then_some(number * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_what_wrangler_says() {
        let said = "--dry-run: exiting\nTotal Upload: 701.25 KiB / gzip: 284.50 KiB\nYour Worker";
        assert_eq!(gzipped(said), Some(291_328.0));
        assert_eq!(gzipped("Total Upload: 1.2 MiB / gzip: 1.1 MiB"), None);
        assert_eq!(gzipped("gzip: 3 KiB"), None);
    }
}
