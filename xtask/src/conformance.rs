//! `cargo xtask conformance`: builds the runner of conformance suites and starts it. What it does, and which options it takes,
//! is said in `tests/src/conformance/mod.rs`.
//!
//! It is built like the tests, not for speed: all suites take seconds either way, nothing has to be built twice, and sums that
//! overflow are crashes.

use std::process::Command;

use crate::report::Report;
use crate::{npm, place, test};

/// Where `cargo xtask models` puts the suites.
const SUITES: &str = ".models/onnx-1.17.0";

/// Runs the suites; true when nothing failed but what is known to.
pub(crate) fn run(options: &[&str]) -> Result<bool, String> {
    let status = runner()?.args(options).status();
    status.map(|status| status.success()).map_err(|error| format!("cannot run it: {error}"))
}

/// All suites as a step of `cargo xtask test`: what fails is known to, what is known to fails, and the page of operators says so.
pub(crate) fn step(report: &mut Report) {
    const NAME: &str = "the standard's conformance suites";
    if !place::root().join(SUITES).is_dir() {
        return report.skip(NAME, "the suites are not here; cargo xtask models fetches them");
    }
    match runner() {
        Ok(mut runner) => {
            runner.arg("--check-docs");
            report.command(NAME, runner);
        }
        Err(message) => report.check(NAME, || Err(message)),
    }
}

/// The runner, built with the features of `cargo xtask test`: for the package alone everything below it would have others, and be
/// built once more.
fn runner() -> Result<Command, String> {
    let build = ["build", "--quiet", "--workspace", "--features", test::FEATURES, "--bin", "conformance"];
    npm::tools::run(&mut place::cargo(&build), "the runner does not build")?;
    // Where this command was typed: folders are relative to that.
    Ok(Command::new(place::target().join("debug/conformance")))
}
