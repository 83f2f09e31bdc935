//! Promises that hold of every operator that is put together from others; tests only.
//!
//! The table is that of [`every`](super::every), with what is known of the outputs when nothing but the operators' own
//! inference runs: arithmetic on shapes is not folded here. What the operators compute is tested against fixtures
//! (`tests/models/operators`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::every::{NEWEST, OLDEST, Random, Row, blur, distort, holds, none, outputs, row};
use super::testing::{fact, text};
use crate::graph::{Fact, Graph};
use crate::onnx::testing::node;
use crate::passes::{NoArithmetic, propagate};

const IMAGE: &[&str] = &["f32[1, 4, 6, 6]"];
const ALL: &[i64] = &[OLDEST, 13, NEWEST];
const BATCH: &[&str] = &["f32[2, 3, 5]", "f32[3]", "f32[3]", "f32[3]", "f32[3]"];

static ROWS: &[Row] = &[
    row("BatchNormalization", ALL, BATCH, none, "f32[2, 3, 5]"),
    row(
        "BatchNormalization",
        &[OLDEST, 7],
        &["f32[2, 3, 5]", "f32[3, 5]", "f32[3, 5]", "f32[3, 5]", "f32[3, 5]"],
        |n| n.int("spatial", 0),
        "f32[2, 3, 5]",
    ),
    row(
        "BatchNormalization",
        &[14, NEWEST],
        BATCH,
        |n| n.int("training_mode", 1),
        "f32[2, 3, 5] | f32[3] | f32[3]",
    ),
    row("BatchNormalization", &[9], BATCH, none, "f32[2, 3, 5] | f32[3] | f32[3] | f32[?] | f32[?]"),
    row(
        "GroupNormalization",
        &[18, NEWEST],
        &["f32[1, 4, 6, 6]", "f32[4]", "f32[4]"],
        |n| n.int("num_groups", 4),
        "f32[1, 4, 6, 6]",
    ),
    row("LpNormalization", ALL, IMAGE, none, "f32[1, 4, 6, 6]"),
    row("LRN", ALL, IMAGE, |n| n.int("size", 3), "f32[1, 4, 6, 6]"),
    row(
        "NegativeLogLikelihoodLoss",
        &[12, NEWEST],
        &["f32[2, 3, 5]", "i64[2, 5]", "f32[3]"],
        |n| n.text("reduction", "none").int("ignore_index", -1),
        "f32[2, 5]",
    ),
    row("NegativeLogLikelihoodLoss", &[12, NEWEST], &["f32[2, 3]", "i64[2]"], none, "f32[]"),
    row(
        "SoftmaxCrossEntropyLoss",
        &[12, NEWEST],
        &["f32[2, 3, 5]", "i32[2, 5]"],
        |n| n.text("reduction", "sum"),
        "f32[] | f32[2, 3, 5]",
    ),
    row("DepthToSpace", ALL, IMAGE, |n| n.int("blocksize", 2), "f32[?, ?, ?, ?]"),
    row("SpaceToDepth", ALL, IMAGE, |n| n.int("blocksize", 2), "f32[?, ?, ?, ?]"),
    row(
        "CenterCropPad",
        &[18, NEWEST],
        &["f32[2, 3, 5]", "i64{4, 4}"],
        |n| n.ints("axes", &[0, -1]),
        "f32[?, 3, ?]",
    ),
    row("MeanVarianceNormalization", &[9, NEWEST], IMAGE, none, "f32[1, 4, 6, 6]"),
];

/// The rows, for the table of all operators.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    ROWS.iter().map(|r| row(r.name, r.opsets, r.inputs, r.attributes, r.expect))
}

/// The graph of a row's node, with these facts of its inputs.
fn expanded(row: &Row, opset: i64, facts: &[Option<Fact>]) -> Graph {
    let names: Vec<String> = (0..facts.len()).map(|index| format!("x{index}")).collect();
    let given =
        |(name, fact): (&String, &Option<Fact>)| fact.as_ref().map_or(String::new(), |_| name.clone());
    let inputs: Vec<String> = names.iter().zip(facts).map(given).collect();
    let inputs: Vec<&str> = inputs.iter().map(|name| &**name).collect();
    let written: Vec<String> = (0..outputs(row)).map(|index| format!("y{index}")).collect();
    let written: Vec<&str> = written.iter().map(|name| &**name).collect();
    let node = (row.attributes)(node(row.name, &inputs, &written));
    let known: Vec<(&str, Option<Fact>)> =
        names.iter().map(|name| &**name).zip(facts.iter().cloned()).collect();
    node.expand(opset, &known).unwrap_or_else(|error| panic!("{} at {opset}: {error}", row.name))
}

/// What follows for the outputs.
fn inferred(mut graph: Graph) -> Result<Vec<Fact>, String> {
    propagate(&mut graph, &NoArithmetic).map_err(|error| error.to_string())?;
    Ok(graph.outputs.iter().map(|id| graph.fact(*id).expect("inferred").clone()).collect())
}

fn facts(row: &Row) -> Vec<Option<Fact>> {
    row.inputs.iter().map(|text| fact(text)).collect()
}

#[test]
fn oldest_and_newest_forms_are_expanded_and_inferred() {
    for row in rows() {
        for opset in row.opsets {
            let graph = expanded(&row, *opset, &facts(&row));
            crate::graph::verify(&graph).unwrap_or_else(|error| panic!("{} at {opset}: {error}", row.name));
            let known = inferred(graph);
            let known = known.unwrap_or_else(|error| panic!("{} at {opset}: {error}", row.name));
            let known: Vec<_> = known.iter().map(text).collect();
            assert_eq!(known.join(" | "), row.expect, "{} at {opset}", row.name);
        }
    }
}

#[test]
fn knowing_less_never_contradicts_knowing_more() {
    let mut random = Random(0x5eed);
    for row in rows() {
        for opset in row.opsets {
            let exact = inferred(expanded(&row, *opset, &facts(&row))).unwrap();
            for _ in 0..50 {
                let less: Vec<Option<Fact>> =
                    facts(&row).iter().map(|fact| Some(blur(fact.as_ref()?, &mut random))).collect();
                let shown: Vec<_> = less.iter().flatten().map(text).collect();
                let found = inferred(expanded(&row, *opset, &less));
                let found = found.unwrap_or_else(|error| panic!("{} of {shown:?}: {error}", row.name));
                for (found, exact) in found.iter().zip(&exact) {
                    assert!(holds(found, exact), "{} of {shown:?}: {found} of {exact}", row.name);
                }
            }
        }
    }
}

#[test]
fn absurd_inputs_give_errors_or_facts_but_no_panic() {
    let mut random = Random(0xbad);
    for row in rows() {
        for opset in row.opsets {
            for _ in 0..100 {
                let mut absurd = facts(&row);
                let place = random.below(absurd.len());
                // An input that is suddenly missing is the importer's business, see the counts of each.
                match absurd[place].as_ref().and_then(|fact| distort(fact, &mut random)) {
                    Some(fact) => absurd[place] = Some(fact),
                    None => continue,
                }
                let _ = inferred(expanded(&row, *opset, &absurd));
            }
        }
    }
}
