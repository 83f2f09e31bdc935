//! What a run found: a table per operator and per suite, what nobody expected, and the closing line.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::known::Known;
use super::pool::Done;

/// Reasons that are shown of an operator.
const REASONS: usize = 3;
/// Characters that are shown of a reason in the table.
const WIDTH: usize = 110;

/// The results of a run, and what they should have been.
pub(super) struct Report<'a> {
    done: Vec<Done>,
    known: &'a [Known],
    /// All suites were run, so that a known failure that is not among them does not exist.
    complete: bool,
}

#[derive(Default)]
struct Tally<'a> {
    passed: usize,
    failed: usize,
    known: usize,
    random: usize,
    /// Each reason, and how many cases have it.
    reasons: Vec<(String, usize)>,
    /// The first case of each reason.
    first: Vec<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(done: Vec<Done>, known: &'a [Known], complete: bool) -> Report<'a> {
        Report { done, known, complete }
    }

    /// True when nothing failed but what is known, in the way it is known, and nothing has healed.
    pub(super) fn is_good(&self) -> bool {
        self.surprises().is_empty()
    }

    /// Each case with outcome and reason.
    pub(super) fn json(&self) -> Value {
        let cases = self.done.iter().map(|done| {
            let failure = done.ran.failure.as_ref();
            json!({
                "suite": done.case.suite,
                "name": done.case.name,
                "outcome": failure.map_or("passed", |failure| failure.kind.word()),
                "reason": failure.map(|failure| &failure.reason),
                "known": self.known_of(done).map(|known| known.why),
                "random": done.ran.random,
                "operators": done.operators,
                "milliseconds": done.took.as_millis() as u64,
            })
        });
        Value::Array(cases.collect())
    }

    /// All cases one by one, with what is worth knowing of each.
    pub(super) fn print_details(&self) {
        for done in &self.done {
            let outcome = done.ran.failure.as_ref().map_or("passed".to_owned(), ToString::to_string);
            println!("{} in {} ms: {outcome}", done.case, done.took.as_millis());
            for line in &done.ran.details {
                println!("    {line}");
            }
        }
        println!();
    }

    /// The tables, the surprises and the closing line.
    pub(super) fn print(&self) {
        let operators = self.tallies(|done| done.operators.clone());
        println!("{:<44} {:>6} {:>6}", "operator", "passed", "of");
        for (operator, tally) in &operators {
            println!("{operator:<44} {:>6} {:>6}", tally.passed, tally.passed + tally.failed);
            for ((reason, count), case) in tally.reasons.iter().zip(&tally.first).take(REASONS) {
                println!("    {count} × {}   ({case})", shortened(reason));
            }
        }
        println!("\n{:<20} {:>7} {:>7} {:>7} {:>7}", "suite", "passed", "failed", "known", "random");
        for (suite, tally) in self.tallies(|done| vec![done.case.suite.clone()]) {
            let Tally { passed, failed, known, random, .. } = tally;
            println!("{suite:<20} {passed:>7} {failed:>7} {known:>7} {random:>7}");
        }
        let surprises = self.surprises();
        if !surprises.is_empty() {
            println!("\nnot as known:");
            surprises.iter().for_each(|surprise| println!("    {surprise}"));
        }
        let passed = self.done.iter().filter(|done| done.ran.failure.is_none()).count();
        println!("\n{passed} passed, {} failed, 0 skipped", self.done.len() - passed);
    }

    /// A line for each case that did not go as it is known to.
    fn surprises(&self) -> Vec<String> {
        let mut surprises: Vec<String> = self.done.iter().filter_map(|done| self.surprise(done)).collect();
        if self.complete {
            let absent = |case: &&&str| !self.done.iter().any(|done| done.case.to_string() == **case);
            let absent = self.known.iter().flat_map(|known| known.cases).filter(absent);
            surprises
                .extend(absent.map(|case| format!("{case}: there is no such case: remove it from the list")));
        }
        surprises
    }

    fn surprise(&self, done: &Done) -> Option<String> {
        let case = &done.case;
        match (&done.ran.failure, self.known_of(done)) {
            (None, None) => None,
            (None, Some(_)) => Some(format!("{case}: healed: remove it from the list")),
            (Some(failure), None) => Some(format!("{case}: {failure}")),
            (Some(failure), Some(known)) if failure.kind == known.kind => None,
            (Some(failure), Some(known)) => {
                Some(format!("{case}: {failure} (known as {})", known.kind.word()))
            }
        }
    }

    fn known_of(&self, done: &Done) -> Option<&'a Known> {
        let name = done.case.to_string();
        self.known.iter().find(|known| known.cases.contains(&&*name))
    }

    /// Cases counted by what they belong to.
    fn tallies(&self, of: impl Fn(&Done) -> Vec<String>) -> BTreeMap<String, Tally<'_>> {
        let mut tallies: BTreeMap<String, Tally<'_>> = BTreeMap::new();
        for done in &self.done {
            for key in of(done) {
                let tally = tallies.entry(key).or_default();
                tally.random += usize::from(done.ran.random);
                let Some(failure) = &done.ran.failure else {
                    tally.passed += 1;
                    continue;
                };
                tally.failed += 1;
                tally.known += usize::from(self.known_of(done).is_some());
                let reason = failure.to_string();
                match tally.reasons.iter_mut().find(|(other, _)| *other == reason) {
                    Some((_, count)) => *count += 1,
                    None => {
                        tally.reasons.push((reason, 1));
                        tally.first.push(&done.case.name);
                    }
                }
            }
        }
        tallies
    }
}

fn shortened(reason: &str) -> String {
    let mut characters = reason.chars();
    let start: String = characters.by_ref().take(WIDTH).collect();
    if characters.next().is_some() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::{Failure, Kind, Ran};
    use crate::conformance::suite::Case;
    use std::time::Duration;

    fn done(name: &str, failure: Option<Kind>) -> Done {
        let failure = failure.map(|kind| Failure::new(kind, "why"));
        Done {
            case: Case { suite: "node".into(), name: name.into(), path: name.into() },
            operators: vec!["Abs".into(), "Add".into()],
            ran: Ran { failure, ..Ran::default() },
            took: Duration::ZERO,
        }
    }

    const KNOWN: &[Known] =
        &[Known { kind: Kind::Unsupported, why: "optional", cases: &["node/test_a", "node/test_b"] }];

    fn surprises(done: Vec<Done>, complete: bool) -> Vec<String> {
        let report = Report::new(done, KNOWN, complete);
        assert_eq!(report.is_good(), report.surprises().is_empty());
        report.surprises()
    }

    #[test]
    fn a_known_failure_breaks_when_it_heals_or_changes_or_is_gone() {
        let unsupported = Some(Kind::Unsupported);
        let all = || vec![done("test_a", unsupported), done("test_b", unsupported), done("test_c", None)];
        assert!(surprises(all(), true).is_empty());
        let mut healed = all();
        healed[0] = done("test_a", None);
        assert_eq!(surprises(healed, true), ["node/test_a: healed: remove it from the list"]);
        let mut changed = all();
        changed[1] = done("test_b", Some(Kind::Wrong));
        assert_eq!(surprises(changed, true), ["node/test_b: wrong: why (known as unsupported)"]);
        let mut failing = all();
        failing[2] = done("test_c", Some(Kind::Crashed));
        assert_eq!(surprises(failing, true), ["node/test_c: crashed: why"]);
        let part = || vec![done("test_a", unsupported)];
        assert!(surprises(part(), false).is_empty());
        assert_eq!(surprises(part(), true), ["node/test_b: there is no such case: remove it from the list"]);
    }

    #[test]
    fn a_case_counts_for_each_of_its_operators() {
        let report =
            Report::new(vec![done("test_a", Some(Kind::Unsupported)), done("test_c", None)], KNOWN, false);
        let tallies = report.tallies(|done| done.operators.clone());
        for operator in ["Abs", "Add"] {
            let Tally { passed, failed, known, reasons, .. } = &tallies[operator];
            assert_eq!((*passed, *failed, *known), (1, 1, 1));
            assert_eq!(reasons[..], [("unsupported: why".to_owned(), 1)]);
        }
        let json = report.json();
        assert_eq!((&json[0]["outcome"], &json[0]["known"]), (&json!("unsupported"), &json!("optional")));
        assert_eq!((&json[1]["outcome"], &json[1]["reason"]), (&json!("passed"), &Value::Null));
    }
}
