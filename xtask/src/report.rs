//! Steps one after another: each prints a line when it is over, keeps its full output in a file, and never stops the
//! next one. At the end stand a table and the closing line `N passed, N failed, N skipped`.
//!
//! A step is either one check (counts as one test) or a run of `cargo test` (counts its tests). This file does not know
//! what the steps check.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::libtest::{self, Tally};
use crate::place;

/// Lines of a failing command's output that are worth showing at once; all of it is in the file.
const EXCERPT: usize = 40;

/// The steps that have run so far.
pub(crate) struct Report {
    no_skips: bool,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    tally: Tally,
    took: Duration,
}

impl Report {
    /// An empty report; with `no_skips` whatever is skipped counts as failed.
    pub(crate) fn new(no_skips: bool) -> Report {
        Report { no_skips, rows: Vec::new() }
    }

    /// A step that is one command: it passes when the command succeeds.
    pub(crate) fn command(&mut self, name: &str, command: Command) {
        self.step(name, |log| match run(command, log) {
            Ok((true, _)) => passed(),
            Ok((false, output)) => failed(excerpt(&output)),
            Err(message) => failed(message),
        });
    }

    /// A step that runs tests: `command` is `cargo test …`, to which the harness's own arguments are added here.
    pub(crate) fn tests(&mut self, name: &str, mut command: Command) {
        command.args(["--no-fail-fast", "--", "--show-output"]);
        self.harness(name, command);
    }

    /// A step that runs tests with a harness of its own, which prints what Rust's prints.
    pub(crate) fn harness(&mut self, name: &str, command: Command) {
        self.step(name, |log| match run(command, log) {
            Ok((succeeded, output)) => {
                let mut tally = libtest::read(&output);
                // It did not compile, or a test binary was killed: nothing in the output says `failed`.
                if !succeeded && tally.failed == 0 {
                    tally.failed = 1;
                    tally.failures.push(excerpt(&output));
                }
                tally
            }
            Err(message) => failed(message),
        });
    }

    /// A step that is a function: it passes when it finds no problem.
    pub(crate) fn check(&mut self, name: &str, find: impl FnOnce() -> Result<Vec<String>, String>) {
        self.step(name, |_| match find() {
            Ok(problems) if problems.is_empty() => passed(),
            Ok(problems) => failed(problems.join("\n")),
            Err(message) => failed(message),
        });
    }

    /// A step that cannot run here.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.step(name, |log| {
            // What an earlier run has left there is not this one's.
            drop(fs::remove_file(folder().join(log)));
            Tally { skipped: vec![why.to_string()], ..Tally::default() }
        });
    }

    fn step(&mut self, name: &str, run: impl FnOnce(&str) -> Tally) {
        // The name first, so that one sees what is running; the rest of the line when it is over.
        print!("{name:<44} ");
        std::io::stdout().flush().ok();
        let start = Instant::now();
        let mut tally = run(&file_name(name));
        let took = start.elapsed();
        if self.no_skips && !tally.skipped.is_empty() {
            tally.failed += tally.skipped.len();
            tally.failures.push(format!("skipped, which is not allowed here:\n{}", tally.skipped.join("\n")));
            tally.skipped.clear();
        }
        println!("{} in {}", verdict(&tally), seconds(took));
        for failure in &tally.failures {
            println!("{}", indented(failure));
        }
        for reason in &tally.skipped {
            println!("    skipped: {reason}");
        }
        self.rows.push(Row { name: name.to_string(), tally, took });
    }

    /// Prints the table and the closing line; true when nothing failed.
    pub(crate) fn close(self) -> bool {
        let sum = |of: fn(&Tally) -> usize| self.rows.iter().map(|row| of(&row.tally)).sum::<usize>();
        let (passed, failed) = (sum(|tally| tally.passed), sum(|tally| tally.failed));
        let skipped = sum(|tally| tally.skipped.len());
        println!("\n{:<44} {:>7} {:>7} {:>8} {:>9}", "step", "passed", "failed", "skipped", "time");
        for Row { name, tally, took } in &self.rows {
            let (passed, failed, skipped) = (tally.passed, tally.failed, tally.skipped.len());
            println!("{name:<44} {passed:>7} {failed:>7} {skipped:>8} {:>9}", seconds(*took));
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0
    }
}

fn passed() -> Tally {
    Tally { passed: 1, ..Tally::default() }
}

fn failed(message: String) -> Tally {
    Tally { failed: 1, failures: vec![message], ..Tally::default() }
}

/// Where the full output of a step is kept.
pub(crate) fn saved(step: &str) -> PathBuf {
    folder().join(file_name(step))
}

fn folder() -> PathBuf {
    place::target().join("xtask")
}

/// Runs the command with both its streams into one file, in the order they were written; gives success and the text.
fn run(mut command: Command, log: &str) -> Result<(bool, String), String> {
    let path = folder().join(log);
    let file = fs::create_dir_all(folder()).and_then(|()| File::create(&path));
    let streams = file.and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = streams.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let status =
        command.stdout(out).stderr(err).status().map_err(|error| format!("cannot run {program}: {error}"))?;
    let output = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok((status.success(), String::from_utf8_lossy(&output).into_owned()))
}

/// The part of a failing command's output that says why: from the first error on, or else its end.
fn excerpt(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let error = lines.iter().position(|line| line.starts_with("error"));
    let start = error.unwrap_or(lines.len().saturating_sub(EXCERPT));
    lines[start..].iter().take(EXCERPT).copied().collect::<Vec<_>>().join("\n")
}

fn verdict(tally: &Tally) -> String {
    match (tally.passed, tally.failed, tally.skipped.len()) {
        (1, 0, 0) => "ok".to_string(),
        (passed, 0, 0) => format!("ok, {passed} passed"),
        (passed, 0, skipped) => format!("ok, {passed} passed, {skipped} skipped"),
        (passed, failed, _) => format!("FAILED, {passed} passed, {failed} failed"),
    }
}

/// `clippy, all features` becomes `clippy-all-features.log`.
fn file_name(name: &str) -> String {
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}.log", words.join("-"))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipping() -> Tally {
        Tally { passed: 2, skipped: vec!["no model".to_string()], ..Tally::default() }
    }

    #[test]
    fn a_skip_is_no_failure_on_a_developers_machine() {
        let mut report = Report::new(false);
        report.step("s", |_| skipping());
        assert!(report.close());
    }

    #[test]
    fn a_skip_is_a_failure_where_none_is_allowed() {
        let mut report = Report::new(true);
        report.step("s", |_| skipping());
        assert_eq!(report.rows[0].tally.failed, 1);
        assert!(!report.close());
    }

    #[test]
    fn a_failing_step_does_not_stop_the_next() {
        let mut report = Report::new(false);
        report.check("one", || Ok(vec!["a problem".to_string()]));
        report.check("two", || Ok(Vec::new()));
        assert_eq!(report.rows.len(), 2);
        assert!(!report.close());
    }

    #[test]
    fn a_command_that_is_not_there_is_a_failed_step() {
        let mut report = Report::new(false);
        report.command("absent", Command::new("inferry-no-such-program"));
        assert!(!report.close());
    }

    #[test]
    fn the_first_error_is_shown_and_not_what_came_before() {
        let output =
            format!("warning: w\nerror[E1]: first\n  --> here\nerror: second\n{}", "noise\n".repeat(90));
        assert!(excerpt(&output).starts_with("error[E1]: first\n  --> here\nerror: second\nnoise"));
        assert_eq!(excerpt(&output).lines().count(), EXCERPT);
        assert_eq!(excerpt("a\nb\n"), "a\nb");
    }

    #[test]
    fn a_step_names_its_file() {
        assert_eq!(file_name("purity: inferry-core, wasm32"), "purity-inferry-core-wasm32.log");
    }
}
