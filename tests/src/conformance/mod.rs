//! The runner of conformance suites: folders of ONNX models with inputs and the outputs that they should give.
//!
//! ```text
//!  parent:  suite (finds cases) ─▶ pool (hands them to children) ─▶ report (table, JSON, closing line)
//!  child:   worker (a case a line) ─▶ case (compile, run) ─▶ compare, random (is it right?)
//! ```
//!
//! Cases run in child processes, one case after the other in each and as many children as cores, so that a case that
//! overflows the stack or never ends takes nothing down but its own child. A case goes through the public API alone: compile
//! on the CPU device, a request, a start, a wait with a limit. What is expected of a case is the suite's own tolerance;
//! [`known`] lists the cases that fail with reasons, and the run fails for those that heal, too.
//!
//! What this does *not* do: it fetches no suite (`cargo xtask models` does), and it measures no speed.

mod case;
mod child;
mod compare;
mod declared;
pub mod known;
mod page;
mod pool;
mod probe;
mod random;
mod report;
mod suite;
mod value;
mod wire;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

pub use case::{Failure, Kind, Ran};
pub use suite::Case;

const USAGE: &str = "\
conformance [DIR]... [--filter TEXT] [--json] [--bless | --check-docs]

Runs every folder test_* below each DIR, and every light_*.onnx with its expected output beside it. Without DIR: the suites
that cargo xtask models fetches. --filter runs the cases whose SUITE/NAME contains TEXT and prints details of each; --json
prints every case with its outcome and reason. --bless writes docs/operators.md from the results of all suites and takes cases
that have healed out of tests/src/conformance/known.rs; --check-docs fails when the page is not what would be written.";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
struct Arguments {
    folders: Vec<PathBuf>,
    filter: Option<String>,
    json: bool,
    docs: Docs,
}

/// What becomes of `docs/operators.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Docs {
    #[default]
    Leave,
    Check,
    Write,
}

/// The whole program: the parent's part, or with `--worker` a child's.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--worker"] {
        worker::serve();
        return ExitCode::SUCCESS;
    }
    match parse(&arguments).and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--filter" => {
                parsed.filter = Some(rest.next().ok_or("--filter needs a text")?.clone());
            }
            "--json" => parsed.json = true,
            "--check-docs" => parsed.docs = Docs::Check,
            "--bless" => parsed.docs = Docs::Write,
            option if option.starts_with('-') => return Err(format!("no such option: {option}\n\n{USAGE}")),
            folder => parsed.folders.push(folder.into()),
        }
    }
    if parsed.docs != Docs::Leave && !(parsed.folders.is_empty() && parsed.filter.is_none()) {
        return Err("the page of operators is about all suites; it goes with no DIR and no --filter".into());
    }
    Ok(parsed)
}

/// True when nothing failed but what is known.
fn run(arguments: Arguments) -> Result<bool, String> {
    let all = arguments.folders.is_empty() && arguments.filter.is_none();
    let mut cases = suite::find(&arguments.folders)?;
    if let Some(text) = &arguments.filter {
        cases.retain(|case| case.to_string().contains(text));
    }
    if cases.is_empty() {
        return Err("no such case".into());
    }
    let results = pool::run(&cases)?;
    let page = match arguments.docs {
        Docs::Leave => None,
        docs => Some(page(docs, &results)?),
    };
    if arguments.docs == Docs::Write {
        heal(&results)?;
    }
    if page == Some(false) {
        eprintln!("docs/operators.md is not what this run would write: cargo xtask conformance --bless\n");
    }
    let report = report::Report::new(results, known::KNOWN, all);
    if arguments.json {
        println!("{}", report.json());
    } else {
        if arguments.filter.is_some() {
            report.print_details();
        }
        report.print();
    }
    Ok(report.is_good() && page != Some(false))
}

/// Takes the cases that pass out of the list of those that are known to fail. This run has been built with the list as it was.
fn heal(results: &[pool::Done]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", known::PATH);
    let old = std::fs::read_to_string(known::PATH).map_err(failed)?;
    let passed = results.iter().filter(|done| done.ran.failure.is_none());
    let new = known::without(&old, &passed.map(|done| done.case.to_string()).collect());
    if new != old { std::fs::write(known::PATH, new).map_err(failed) } else { Ok(()) }
}

/// Whether the page of operators is as it should be; writes it if that is asked for.
fn page(docs: Docs, results: &[pool::Done]) -> Result<bool, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", page::PATH);
    let old = std::fs::read_to_string(page::PATH).map_err(failed)?;
    let new = page::text(results, known::KNOWN, &old)?;
    if docs == Docs::Write && new != old {
        std::fs::write(page::PATH, new).map_err(failed)?;
        return Ok(true);
    }
    // Git may have given it the line ends of another system.
    Ok(new == old.replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let parsed = |line: &str| parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let wanted = Arguments {
            folders: vec!["a".into(), "b".into()],
            filter: Some("conv".into()),
            json: true,
            docs: Docs::Leave,
        };
        assert_eq!(parsed("a --filter conv --json b"), Ok(wanted));
        assert_eq!(parsed("--check-docs").map(|parsed| parsed.docs), Ok(Docs::Check));
        assert!(parsed("--bless a").unwrap_err().contains("goes with no DIR"));
        assert!(parsed("--filter").unwrap_err().contains("needs a text"));
        assert!(parsed("--fast").unwrap_err().starts_with("no such option: --fast"));
    }
}
