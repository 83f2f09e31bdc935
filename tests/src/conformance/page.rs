//! `docs/operators.md`: written from what the standard has, what we have of it, and what a run of the suites has shown.
//!
//! Everything on the page is generated but the column of limits, which people write: it is taken over from the page as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use inferry_engine::onnx::{self, Operator};

use super::case::full_name;
use super::known::Known;
use super::pool::{self, Done};
use super::probe::{Taken, written};
use super::suite::Case;

/// The page, in the repository.
pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators.md");

/// The oldest operator set of which all forms are read.
const OLDEST: u8 = 6;

/// Cases of an operator with different inputs that are turned to other types: those of its many cases that come first.
const TRIED: usize = 6;

/// The page as it should be; `old` is the page as it is.
pub(super) fn text(done: &[Done], known: &[Known], old: &str) -> Result<String, String> {
    let types = types(done)?;
    let limits = limits(old);
    let row = |operator: &Operator| {
        let name = full_name(operator.domain, operator.name);
        let cases = || done.iter().filter(|done| done.operators.contains(&name));
        let passed = cases().filter(|done| done.ran.failure.is_none()).count();
        let tests = match cases().count() {
            0 => String::new(),
            all => format!("{passed} / {all}"),
        };
        let types = types.get(&name).map_or("", |types| types);
        let limits = limits.get(&*name).copied().unwrap_or_default();
        format!("| {name} | {} | {types} | {limits} | {tests} |\n", versions(operator))
    };
    let operators = onnx::operators();
    let rows: String = operators.iter().filter(|operator| operator.supported).map(row).collect();
    let absent: Vec<&str> =
        operators.iter().filter(|operator| !operator.supported).map(|operator| operator.name).collect();
    let absent = if absent.is_empty() { "none".to_owned() } else { absent.join(", ") };
    Ok(format!(
        "{HEAD}{rows}\nOperators of the standard that are not here: {absent}.\n\n{}",
        suites(done, known)
    ))
}

const HEAD: &str = "\
# Operators

What can be imported: these operators, operator sets 6 to 22. A model with any other operator is refused with one message that
lists all of them. `Constant` nodes become constants of the graph and are no operators.

- **versions**: the operator sets in which the operator was changed, the first that we read among them. All forms are read; an
  older model is read, too, if its operators have not changed since.
- **types**: the element types that the operator's data may have on the CPU device. *numbers* are the integers of 8 to 64 bits,
  f16, bf16, f32 and f64. Nothing is narrowed silently: i64 stays i64.
- **tests**: cases of the standard's suites (onnx 1.17.0) that use the operator: how many pass, and how many there are. Operators of
  which the suites have no case are tested against the answers of onnxruntime (`host-std/tests/operators`).

This page is written by `cargo xtask conformance --bless`, all but the limits, which are written by hand and kept.

| operator | versions | types | limits | tests |
|---|---|---|---|---|
";

fn versions(operator: &Operator) -> String {
    let old = operator.versions.iter().filter(|version| **version <= OLDEST).count();
    let read: Vec<String> = operator.versions[old.saturating_sub(1)..].iter().map(u8::to_string).collect();
    read.join(", ")
}

/// The limits on a page: the last column but one of each row.
fn limits(page: &str) -> BTreeMap<&str, &str> {
    let cells = |line: &'_ str| -> Option<(usize, usize)> { Some((line.find("| ")?, line.rfind(" |")?)) };
    let mut limits = BTreeMap::new();
    let mut column = None;
    for line in page.lines().filter(|line| cells(line).is_some()) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if cells[0] == "operator" {
            column = cells.iter().position(|cell| *cell == "limits");
        } else if let Some(limit) = column.and_then(|column| cells.get(column)) {
            limits.insert(cells[0], *limit);
        }
    }
    limits
}

/// The element types that each operator takes, in words.
fn types(done: &[Done]) -> Result<BTreeMap<String, String>, String> {
    let mut cases: BTreeMap<&str, Vec<(String, Case)>> = BTreeMap::new();
    for done in done.iter().filter(|done| done.ran.failure.is_none()) {
        let ([operator], Some(inputs)) =
            (&done.operators[..], done.ran.details.iter().find(|line| line.starts_with("inputs")))
        else {
            continue;
        };
        let cases = cases.entry(operator).or_default();
        let inputs = inputs.split(';').next().unwrap_or_default().to_owned();
        // What takes strings beside numbers may take none that say nothing, as which they are tried.
        if (cases.len() < TRIED || inputs.contains("string"))
            && !done.case.name.contains("_expanded")
            && cases.iter().all(|(other, _)| *other != inputs)
        {
            cases.push((inputs, done.case.clone()));
        }
    }
    let all: Vec<Case> = cases.values().flatten().map(|(_, case)| case.clone()).collect();
    let mut taken = pool::types(&all)?.into_iter();
    let words = cases.into_iter().map(|(operator, cases)| {
        let mut groups = Taken::new();
        for (group, types) in taken.by_ref().take(cases.len()).flatten() {
            groups.entry(group).or_default().extend(types);
        }
        (operator.to_owned(), written(&data(groups)))
    });
    Ok(words.collect())
}

/// The types of the first group that has a choice: what comes before is a condition or a shape.
fn data(groups: Taken) -> BTreeSet<u64> {
    let first = groups.values().next().cloned();
    let chosen = groups.into_values().find(|types| types.len() > 1);
    chosen.or(first).unwrap_or_default()
}

/// What passed of each suite, and what is known to fail.
fn suites(done: &[Done], known: &[Known]) -> String {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for done in done {
        let (passed, all) = counts.entry(&done.case.suite).or_default();
        *passed += usize::from(done.ran.failure.is_none());
        *all += 1;
    }
    let mut text = "## The suites\n\n| suite | passed | of |\n|---|---|---|\n".to_owned();
    for (suite, (passed, all)) in counts {
        writeln!(text, "| {suite} | {passed} | {all} |").expect("text grows");
    }
    if !known.is_empty() {
        text.push_str("\nThe cases that fail, and why:\n\n");
    }
    let fails =
        |case: &&&str| done.iter().any(|done| done.ran.failure.is_some() && done.case.to_string() == **case);
    for Known { kind, why, cases } in known {
        let cases: Vec<&str> = cases.iter().filter(fails).copied().collect();
        if !cases.is_empty() {
            writeln!(text, "- *{}*: {why}: {}", kind.word(), cases.join(", ")).expect("text grows");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_taken_over_from_old_and_new_pages() {
        let old = "# Operators\n\n| operator | since | limits |\n|---|---|---|\n| Acos | 7 |  |\n| Pad |  | not here |\n";
        assert_eq!(limits(old), BTreeMap::from([("Acos", ""), ("Pad", "not here")]));
        let row = "| Pad | 2, 11 | numbers | not here | 3 / 4 |\n| Acos | 7 | floats |  | 1 / 1 |\n";
        let page = format!("{HEAD}{row}\n## The suites\n");
        assert_eq!(limits(&page), BTreeMap::from([("Acos", ""), ("Pad", "not here")]));
    }

    #[test]
    fn the_data_is_what_has_a_choice_of_types() {
        let group =
            |positions: &[usize], types: &[u64]| (positions.to_vec(), types.iter().copied().collect());
        let select = Taken::from([group(&[0], &[9]), group(&[1, 2], &[1, 10]), group(&[3], &[1, 6, 7])]);
        assert_eq!(data(select), [1, 10].into());
        assert_eq!(data(Taken::from([group(&[0], &[7])])), [7].into());
        assert!(data(Taken::new()).is_empty());
    }

    #[test]
    fn versions_begin_with_the_form_of_the_oldest_operator_set() {
        let operators = onnx::operators();
        let of = |name| versions(operators.iter().find(|operator| operator.name == name).unwrap());
        assert_eq!(of("Not"), "1");
        assert_eq!(of("Relu"), "6, 13, 14");
        assert_eq!(of("Gelu"), "20");
        assert_eq!(of("Flatten"), "1, 9, 11, 13, 21");
    }
}
