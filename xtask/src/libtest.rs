//! Reads what `cargo test -- --show-output` printed: how many tests passed, failed, and had to be skipped.
//!
//! Rust's test harness knows no "skipped at run time", so a test whose model is absent prints a line
//! `skipped: <what is missing>` and returns. `--show-output` makes the harness print what passing tests said, each
//! under its own heading, which is how a line finds its test: one that printed such a line is not counted as passed.
//! `#[ignore]`d tests count as skipped as well. A failing test's output is never searched for skips.
//!
//! This file does not run anything: text in, numbers out.

use std::collections::BTreeSet;

/// What a test run, or several added up, came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Tests that ran and held.
    pub(crate) passed: usize,
    /// Tests that ran and did not.
    pub(crate) failed: usize,
    /// One reason for each thing that was skipped.
    pub(crate) skipped: Vec<String>,
    /// What the failing tests printed, one entry a test binary.
    pub(crate) failures: Vec<String>,
}

/// Reads the combined output of any number of test binaries.
pub(crate) fn read(output: &str) -> Tally {
    let mut tally = Tally::default();
    let mut binary = Binary::default();
    for line in output.lines() {
        if let Some(counts) = line.strip_prefix("test result: ") {
            std::mem::take(&mut binary).close(counts, &mut tally);
        } else {
            binary.line(line);
        }
    }
    // A binary that was killed has no result line; the caller counts its exit code, we keep its skips' reasons.
    tally.skipped.append(&mut binary.reasons);
    tally
}

/// One test binary while its output is read.
#[derive(Default)]
struct Binary {
    part: Part,
    /// The test under whose heading we are.
    test: Option<String>,
    /// Tests that passed by saying they were skipped.
    skipped_tests: BTreeSet<String>,
    reasons: Vec<String>,
    failures: Vec<String>,
}

#[derive(Default, PartialEq)]
enum Part {
    /// The running list of test names, before any captured output.
    #[default]
    Names,
    Successes,
    Failures,
}

impl Binary {
    fn line(&mut self, line: &str) {
        match line {
            "successes:" => (self.part, self.test) = (Part::Successes, None),
            "failures:" => (self.part, self.test) = (Part::Failures, None),
            _ => {}
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.test = Some(test.to_string());
        }
        if self.part == Part::Failures {
            self.failures.push(line.to_string());
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            // Without a heading the line came from a thread the harness does not capture: then it stands for a test.
            let test = self.test.clone().unwrap_or_else(|| format!("uncaptured {}", self.reasons.len()));
            self.skipped_tests.insert(test);
            self.reasons.push(reason.to_string());
        }
    }

    fn close(self, counts: &str, tally: &mut Tally) {
        tally.passed += count(counts, "passed").saturating_sub(self.skipped_tests.len());
        tally.failed += count(counts, "failed");
        tally.skipped.extend(self.reasons);
        tally.skipped.extend((0..count(counts, "ignored")).map(|_| "a test marked #[ignore]".to_string()));
        if !self.failures.is_empty() {
            tally.failures.push(self.failures.join("\n"));
        }
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> usize {
    let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_BINARIES: &str = "
     Running unittests src/lib.rs (target/debug/deps/a-1)

running 3 tests
test a::one ... ok
test a::two ... ok
test a::three ... ok

successes:

---- a::one stdout ----
skipped: no model minilm_int8/model.onnx

---- a::two stdout ----
a word that is not skipped: here

successes:
    a::one
    a::two
    a::three

test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s

     Running tests/b.rs (target/debug/deps/b-1)

running 4 tests
test b ... FAILED
test c ... ok
test d ... ignored, slow
test e ... ok

successes:

successes:
    c
    e

failures:

---- b stdout ----
skipped: a line of a failing test
thread 'b' panicked at tests/b.rs:3:5:

failures:
    b

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.00s
";

    #[test]
    fn passed_failed_and_skipped_add_up_over_binaries() {
        let tally = read(TWO_BINARIES);
        assert_eq!((tally.passed, tally.failed), (4, 1));
        assert_eq!(tally.skipped, ["no model minilm_int8/model.onnx", "a test marked #[ignore]"]);
    }

    #[test]
    fn a_failing_test_shows_its_own_output_and_not_that_of_the_others() {
        let tally = read(TWO_BINARIES);
        assert_eq!(tally.failures.len(), 1);
        assert!(tally.failures[0].contains("panicked at tests/b.rs:3:5"));
        assert!(!tally.failures[0].contains("a::two"));
    }

    #[test]
    fn a_test_that_skips_two_things_is_one_test_less_passed() {
        let output = "successes:\n\n---- t stdout ----\nskipped: x\nskipped: y\n\nsuccesses:\n    t\n    u\n\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored";
        let tally = read(output);
        assert_eq!((tally.passed, tally.skipped.len()), (1, 2));
    }

    #[test]
    fn a_skip_from_a_thread_that_is_not_captured_still_counts() {
        let tally = read(
            "running 1 test\nskipped: x\ntest t ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored",
        );
        assert_eq!((tally.passed, tally.skipped), (0, vec!["x".to_string()]));
    }

    #[test]
    fn output_without_a_test_counts_nothing() {
        assert_eq!(read("error: could not compile `x`"), Tally::default());
    }
}
