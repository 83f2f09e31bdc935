//! `cargo xtask behaviours`: the catalogue of behaviours, row by row, with what became of each in every world.
//!
//! The rows come from the tests' own table (`tests/examples/rows.rs` prints it), the results from the output of Rust's test
//! harness and of `tests/wasm/run.mjs`. A row passes when it holds in every world in which it runs; one that names a test
//! which did not run has failed. `cargo xtask test` reads the results of its own steps instead of running the tests again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::report::{Report, saved};
use crate::{place, purity, test};

const WASM: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "inferry-behaviour";

/// The runner of the behaviours on threads, that in simulated worlds, and the file of mistakes that do not compile.
const NATIVE: &str = "native";
const SIMULATION: &str = "simulation";
const BY_TYPE: &str = "by_type";

/// The steps whose output holds the results.
const STEPS: [&str; 3] = ["tests", "documentation tests", "behaviours in WebAssembly"];

/// Runs the behaviours in all worlds and prints the table; true when no row has failed.
pub(crate) fn run() -> Result<bool, String> {
    let mut report = Report::new(false);
    let mut tests = place::cargo(&["test", "--package", PACKAGE, "--lib"]);
    let rows = rows()?;
    for binary in binaries(&rows) {
        tests.args(["--test", &binary]);
    }
    report.tests(STEPS[0], tests);
    report.tests(STEPS[1], place::cargo(&["test", "--package", PACKAGE, "--doc"]));
    wasm_step(&mut report);
    report.close();
    let table = Table::read(&rows);
    table.print();
    Ok(table.failed() == 0)
}

/// Builds the behaviours for WebAssembly and runs them under Node; a line says so when there is none.
pub(crate) fn wasm_step(report: &mut Report) {
    if !purity::can_run_wasm(report, STEPS[2], WASM) {
        return;
    }
    let build = ["build", "--quiet", "--package", "inferry-behaviour-wasm", "--target", WASM];
    report.command("behaviours for WebAssembly", place::cargo(&build));
    let module = place::target().join(WASM).join("debug/inferry_behaviour_wasm.wasm");
    let mut node = place::command("node");
    node.arg("tests/wasm/run.mjs").arg(module);
    report.command(STEPS[2], node);
}

/// The rows that failed, after the steps of `cargo xtask test` have run.
pub(crate) fn problems() -> Result<Vec<String>, String> {
    let table = Table::read(&rows()?);
    let failed = table.rows.iter().filter(|(_, row)| !row.passed());
    Ok(failed.map(|(id, row)| format!("{id} {}: {}", row.name, row.cells().join(" "))).collect())
}

/// The rows, as `tests/examples/rows.rs` prints them. Built as the tests of `cargo xtask test` are: for the package alone
/// everything below it would have other features, and be built once more.
fn rows() -> Result<String, String> {
    let build = ["build", "--quiet", "--workspace", "--features", test::FEATURES, "--example", "rows"];
    let rows = place::output(&mut place::cargo(&build))
        .and_then(|_| place::output(&mut place::command(place::target().join("debug/examples/rows"))))
        .ok_or("the rows of the catalogue could not be printed")?;
    Ok(String::from_utf8_lossy(&rows).into_owned())
}

/// The test binaries in which the rows are proved.
fn binaries(rows: &str) -> BTreeSet<String> {
    let named = rows.lines().filter_map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
        ["test", _, file, _] if *file != BY_TYPE => Some((*file).to_owned()),
        _ => None,
    });
    named.chain([NATIVE.to_owned(), SIMULATION.to_owned()]).collect()
}

/// `T001 T007 T186 to T190`.
fn ranges(rows: &[String]) -> String {
    let number = |row: &str| row[1..].parse::<u16>().unwrap_or_default();
    let mut ranges: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some((_, last)) if number(last) + 1 == number(row) => *last = row,
            _ => ranges.push((row, row)),
        }
    }
    let text = |(first, last): &(&str, &str)| match first == last {
        true => (*first).to_owned(),
        false => format!("{first} to {last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What became of a row in each world: simulated, on threads, in WebAssembly. `None` where it does not run.
#[derive(Debug, Default, PartialEq)]
struct Row {
    name: String,
    simulation: Option<bool>,
    threads: Option<bool>,
    wasm: Option<bool>,
}

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<String, Row>,
    /// Rows that are proved nowhere, by the reason.
    open: BTreeMap<String, Vec<String>>,
}

impl Row {
    fn worlds(&self) -> [Option<bool>; 3] {
        [self.simulation, self.threads, self.wasm]
    }

    fn passed(&self) -> bool {
        self.worlds().contains(&Some(true)) && !self.worlds().contains(&Some(false))
    }

    fn cells(&self) -> [&'static str; 3] {
        self.worlds().map(|world| match world {
            Some(true) => "passed",
            Some(false) => "FAILED",
            None => "-",
        })
    }
}

impl Table {
    fn read(rows: &str) -> Table {
        let logs: Vec<String> =
            STEPS.iter().map(|step| fs::read_to_string(saved(step)).unwrap_or_default()).collect();
        let harness = Results::read(&logs[..2].join("\n"));
        let wasm = Results::read(&format!("     Running tests/wasm.rs (wasm)\n{}", logs[2]));
        Table::join(rows, &harness, &wasm)
    }

    fn join(rows: &str, harness: &Results, wasm: &Results) -> Table {
        let mut table = Table::default();
        for line in rows.lines() {
            match line.split('\t').collect::<Vec<_>>().as_slice() {
                ["behaviour", ids, name, only] => {
                    let timed = *only == "timed";
                    for id in ids.split_whitespace() {
                        let row = Row {
                            name: (*name).to_owned(),
                            simulation: Some(harness.all(SIMULATION, name, false)),
                            threads: (!timed).then(|| harness.all(NATIVE, name, true)),
                            wasm: (!wasm.0.is_empty() && *only != "unwinds")
                                .then(|| wasm.all("wasm", name, false)),
                        };
                        table.rows.insert(id.to_owned(), row);
                    }
                }
                ["test", id, file, function] => {
                    let binary = if *file == BY_TYPE { "doc" } else { *file };
                    let held = harness.all(binary, function, true);
                    let row =
                        Row { name: format!("{file}::{function}"), threads: Some(held), ..Row::default() };
                    table.rows.insert((*id).to_owned(), row);
                }
                ["open", id, why] => table.open.entry((*why).to_owned()).or_default().push((*id).to_owned()),
                _ => {}
            }
        }
        table
    }

    fn failed(&self) -> usize {
        self.rows.values().filter(|row| !row.passed()).count()
    }

    fn print(&self) {
        println!("\n{:<6} {:<88} {:<11} {:<8} wasm", "row", "name", "simulation", "threads");
        for (id, row) in &self.rows {
            let [simulation, threads, wasm] = row.cells();
            println!("{id:<6} {:<88} {simulation:<11} {threads:<8} {wasm}", row.name);
        }
        println!("\nrows that are proved nowhere:");
        for (why, rows) in &self.open {
            let rows = ranges(rows);
            println!("    {why} ({rows})");
        }
        let open: usize = self.open.values().map(Vec::len).sum();
        println!("\n{} rows are proved nowhere, for the reasons above", open);
        println!("{} passed, {} failed", self.rows.len() - self.failed(), self.failed());
    }
}

/// Whether each test of each binary held.
struct Results(Vec<(String, String, bool)>);

impl Results {
    /// Reads the output of `cargo test`, of any number of binaries.
    fn read(output: &str) -> Results {
        let mut results = Vec::new();
        let mut binary = String::new();
        for line in output.lines() {
            if let Some(rest) = line.trim_start().strip_prefix("Running ") {
                binary = stem(rest);
            } else if line.trim_start().starts_with("Doc-tests ") {
                binary = "doc".to_owned();
            } else if let Some((name, how)) =
                line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            {
                results.push((binary.clone(), name.to_owned(), how == "ok"));
            }
        }
        Results(results)
    }

    /// True when at least one test of this binary has the name and all of them held. With `within` the name may be the end
    /// of a path, or a part of a documentation test's.
    fn all(&self, binary: &str, name: &str, within: bool) -> bool {
        let named = |test: &str| {
            test == name
                || within
                    && (test.ends_with(&format!("::{name}")) || test.contains(&format!("::{name} (line ")))
        };
        let mut held =
            self.0.iter().filter(|(its, test, _)| its == binary && named(test)).map(|(_, _, held)| *held);
        held.next().is_some_and(|first| held.fold(first, |all, held| all && held))
    }
}

/// `tests/native.rs (target/…)` is `native`.
fn stem(running: &str) -> String {
    let path = running.split(" (").next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "behaviour\tT001 T007\tcallback::once\t-\nbehaviour\tT039\tcancel::queued\ttimed\n\
                        behaviour\tT026\tpanic::contained\tunwinds\ntest\tT062\tby_type\ta_limit\n\
                        test\tT044\twaiting\tdropped\nopen\tT158\tnot yet: batches\n";

    const OUTPUT: &str = "     Running tests/native.rs (target/debug/deps/native-1)
test inline::callback::once ... ok
test one_stream::callback::once ... ok
test inline::panic::contained ... FAILED
     Running tests/simulation.rs (target/debug/deps/simulation-1)
test callback::once ... ok
test cancel::queued ... ok
test panic::contained ... ok
   Doc-tests inferry_behaviour
test tests/src/by_type.rs - by_type::a_limit (line 7) - compile fail ... ok
test tests/src/by_type.rs - by_type::a_limit (line 12) ... ok
";

    fn table(wasm: &str) -> Table {
        let wasm = Results::read(&format!("     Running tests/wasm.rs (wasm)\n{wasm}"));
        Table::join(ROWS, &Results::read(OUTPUT), &wasm)
    }

    #[test]
    fn each_row_has_what_became_of_it_in_every_world() {
        let table = table("test callback::once ... ok\ntest cancel::queued ... FAILED\n");
        let cells = |id: &str| table.rows[id].cells();
        assert_eq!(cells("T001"), ["passed", "passed", "passed"]);
        assert_eq!(cells("T007"), ["passed", "passed", "passed"]);
        assert_eq!(cells("T039"), ["passed", "-", "FAILED"]);
        assert_eq!(cells("T026"), ["passed", "FAILED", "-"]);
        assert_eq!(cells("T062"), ["-", "passed", "-"]);
        assert_eq!(table.open["not yet: batches"], ["T158"]);
    }

    #[test]
    fn rows_in_a_row_are_a_range() {
        let rows = ["T001", "T007", "T008", "T009", "T011"].map(str::to_owned);
        assert_eq!(ranges(&rows), "T001, T007 to T009, T011");
    }

    #[test]
    fn the_binaries_are_those_that_the_rows_name() {
        assert_eq!(binaries(ROWS).into_iter().collect::<Vec<_>>(), ["native", "simulation", "waiting"]);
    }

    #[test]
    fn a_test_that_did_not_run_has_failed() {
        let table = table("");
        assert_eq!(table.rows["T044"].cells(), ["-", "FAILED", "-"]);
        assert_eq!(table.rows["T001"].cells(), ["passed", "passed", "-"], "without node");
        assert_eq!(table.failed(), 2);
    }
}
