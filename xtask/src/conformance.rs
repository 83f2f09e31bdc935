//! `cargo xtask conformance`: builds the runner of conformance suites and starts it. What it does, and which options it takes,
//! is said in `tests/src/conformance/mod.rs`.
//!
//! It is built like the tests, not for speed: all suites take seconds either way, nothing has to be built twice, and sums that
//! overflow are crashes.

use std::process::Command;

use crate::place;

/// Runs the suites; true when nothing failed but what is known to.
pub(crate) fn run(options: &[&str]) -> Result<bool, String> {
    let status = runner(options)?.status();
    status.map(|status| status.success()).map_err(|error| format!("cannot run cargo: {error}"))
}

fn runner(options: &[&str]) -> Result<Command, String> {
    let manifest = place::root().join("Cargo.toml");
    let mut command = place::cargo(&["run", "--quiet", "--package", "inferry-behaviour"]);
    command.args(["--bin", "conformance", "--manifest-path"]).arg(manifest).arg("--").args(options);
    // Folders are relative to where the command was typed.
    let here = std::env::current_dir().map_err(|error| format!("in which folder is this? {error}"))?;
    command.current_dir(here);
    Ok(command)
}
