//! What `cargo xtask test` checks of the package: that it builds and is small, and that it works where people put it.
//!
//! The tests themselves are JavaScript in `host-wasm/npm/test`; what they print is counted as that of Rust's harness is.
//! Without Node nothing of this can run, without Chromium only what does not need it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stamp::Stamp;
use super::{folder, output, package, sources, tools};
use crate::place;
use crate::report::Report;
use crate::size;

/// The modes of the browser; Node is the fourth.
const MODES: [&str; 3] = ["isolated", "shared", "inline"];

/// Folders of tests for Node's own test runner.
const NODE_TESTS: [&str; 3] = ["harness", "engine", "unit"];

/// Adds the steps to a report; a line says so where a tool is missing.
pub(crate) fn steps(report: &mut Report) {
    const BUILD: &str = "npm package";
    if let Err(missing) = tools::node() {
        return report.skip(BUILD, &missing);
    }
    let mut works = false;
    report.check(BUILD, || {
        super::build()?;
        works = true;
        Ok(Vec::new())
    });
    if !works {
        return;
    }
    report.check("size of the first load", size::problems);
    let chromium = tools::chromium();
    for tests in NODE_TESTS {
        let files = test_files(&sources().join("test").join(tests));
        report.harness(&format!("npm package: {tests}"), node_tests(&files));
    }
    report.harness("npm package: behaviours in Node", behaviours("node"));
    match chromium {
        Ok(chromium) => {
            for mode in MODES {
                let mut behaviours = behaviours(mode);
                behaviours.env("CHROME", &chromium);
                report.harness(&format!("npm package: behaviours in Chromium, {mode}"), behaviours);
            }
            consumers(report, &chromium);
        }
        Err(missing) => report.skip("npm package: in Chromium", &missing),
    }
}

/// The behaviours of `test/cases` in one mode.
fn behaviours(mode: &str) -> Command {
    let mut run = place::command("node");
    run.arg("host-wasm/npm/test/harness/run.mjs").arg("--package").arg(folder()).args(["--mode", mode]);
    run
}

fn node_tests(files: &[PathBuf]) -> Command {
    let mut run = place::command("node");
    let reporter = sources().join("test/harness/reporter.mjs");
    run.args(["--test", "--test-reporter"]).arg(reporter).args(files);
    run.env("INFERRY_PACKAGE", folder()).env("CARGO_TARGET_DIR", place::target());
    run
}

/// The package installed from its tarball, in every kind of project.
fn consumers(report: &mut Report, chromium: &Path) {
    const STEP: &str = "npm package: where people put it";
    let work = output().join("consumers");
    if let Err(problem) = prepare(&work) {
        return report.check(STEP, || Err(problem));
    }
    let mut run = place::command("node");
    run.arg("host-wasm/npm/test/consumers/run.mjs").arg(&work).arg(package::packed()).env("CHROME", chromium);
    report.harness(STEP, run);
}

/// A copy of the projects, with the tools that they use and the package.
fn prepare(work: &Path) -> Result<(), String> {
    let from = sources().join("test/consumers");
    let modules = work.join("node_modules");
    // What a bundler has left there could hide what it does today.
    for entry in fs::read_dir(work).into_iter().flatten().flatten() {
        if entry.path() != modules {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    copy(&from, work)
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), work.display()))?;
    tools::install(work)?;
    let stamp = Stamp::new(modules.join(".inferry-package")).path(&package::packed());
    stamp.make(&[modules.join("inferry")], || {
        // Of the same name and version, it could pass for the one that is there.
        drop(fs::remove_dir_all(modules.join("inferry")));
        let mut install = tools::npm();
        install.args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        install.arg("--loglevel=error").arg(package::packed()).current_dir(work);
        tools::run(&mut install, "npm could not install the tarball")
    })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = (
            entry.as_ref().map(|entry| entry.path()),
            entry.as_ref().map(|entry| to.join(entry.file_name())),
        );
        let (Ok(from), Ok(to)) = (from, to) else { continue };
        match from.is_dir() {
            true if from.ends_with("node_modules") => {}
            true => copy(&from, &to)?,
            false => drop(fs::copy(&from, &to)?),
        }
    }
    Ok(())
}

/// The files of a folder that are tests.
fn test_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    files
}
