//! `cargo xtask purity`: the layers that promise to run without an operating system are built where there is none.
//!
//! A microcontroller (no std, no 64-bit atomics) and bare WebAssembly (no threads, no clock) refuse what a desktop lets
//! slip through. Each package is built on its own, so that no other package's features help it, and once without its
//! default features where it has any. Nothing is run.

use std::fs;
use std::path::Path;

use crate::{place, report::Report};

const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "wasm32-unknown-unknown"];

/// Package and folder.
const PURE: [(&str, &str); 3] =
    [("inferry-core", "core"), ("inferry-engine", "engine"), ("inferry-cpu", "devices/cpu")];

/// Builds them all; true when everything built.
pub(crate) fn run() -> Result<bool, String> {
    let mut report = Report::new(false);
    steps(&mut report);
    Ok(report.close())
}

/// Adds one build a package, target and set of features to a report.
pub(crate) fn steps(report: &mut Report) {
    for target in TARGETS {
        if let Err(problem) = install(target) {
            report.check(&format!("rustup target {target}"), || Err(problem));
            continue;
        }
        for (package, folder) in PURE {
            let build = ["build", "--quiet", "--lib", "--package", package, "--target", target];
            report.command(&format!("{package} for {target}"), place::cargo(&build));
            if has_features(&place::root().join(folder)) {
                let mut bare = place::cargo(&build);
                bare.arg("--no-default-features");
                report.command(&format!("{package} for {target}, bare"), bare);
            }
        }
    }
}

/// Whether a step can run WebAssembly: there is a Node, and `target` can be built for. If not, the report says why.
pub(crate) fn can_run_wasm(report: &mut Report, step: &str, target: &str) -> bool {
    if place::output(place::command("node").arg("--version")).is_none() {
        report.skip(step, "node is not here");
        return false;
    }
    match install(target) {
        Ok(()) => true,
        Err(problem) => {
            report.check(step, || Err(problem));
            false
        }
    }
}

/// Makes sure that the standard parts for `target` are there, with rustup if they are not.
pub(crate) fn install(target: &str) -> Result<(), String> {
    let mut rustc = place::command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder =
        place::output(rustc.args(["--print", "target-libdir", "--target", target])).unwrap_or_default();
    if Path::new(String::from_utf8_lossy(&folder).trim()).is_dir() {
        return Ok(());
    }
    let added = place::command("rustup").args(["target", "add", target]).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("rustup could not add the target {target}")),
        Err(error) => Err(format!("the target {target} is missing and rustup cannot be run: {error}")),
    }
}

fn has_features(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line == "[features]"))
}
