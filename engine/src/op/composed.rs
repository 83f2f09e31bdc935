//! Promises that hold of every operator that is put together from others; tests only.
//!
//! The table is that of [`every`](super::every), with what is known of the outputs when nothing but the operators' own
//! inference runs: arithmetic on shapes is not folded here. What the operators compute is tested against fixtures
//! (`host-std/tests/operators`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::every::{NEWEST, OLDEST, Random, Row, blur, distort, holds, none, outputs, row};
use super::testing::{fact, text};
use crate::graph::{Fact, Graph};
use crate::onnx::registry;
use crate::onnx::testing::node;
use crate::passes::{NoArithmetic, propagate};

const IMAGE_AND_LINE: &[&str] = &["f32[1, 4, 6, 6]", "f32[6]"];
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
    row("Bernoulli", &[15, NEWEST], IMAGE, |n| n.int("dtype", 7), "i64[1, 4, 6, 6]"),
    row("BlackmanWindow", &[17, NEWEST], &["i64(10)"], none, "f32[?]"),
    row("Dropout", &[OLDEST, 10], IMAGE, |n| n.float("ratio", 0.5), "f32[1, 4, 6, 6]"),
    row("Dropout", &[12, NEWEST], &["f32[2, 3]", "f32(0.5)", "bool(true)"], none, "f32[2, 3] | bool[2, 3]"),
    row("EyeLike", &[9, NEWEST], &["f32[2, 3]"], |n| n.int("dtype", 7), "i64[2, 3]"),
    row("GlobalLpPool", ALL, IMAGE, |n| n.int("p", 3), "f32[?, ?, ?, ?]"),
    row("HammingWindow", &[17, NEWEST], &["i64(10)"], none, "f32[?]"),
    row("HannWindow", &[17, NEWEST], &["i64(10)"], |n| n.int("output_datatype", 10), "f16[?]"),
    row(
        "MaxUnpool",
        &[9, NEWEST],
        &["f32[1, 1, 2, 2]", "i64[1, 1, 2, 2]"],
        |n| n.ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]),
        "f32[1, 1, 4, 4]",
    ),
    row(
        "MelWeightMatrix",
        &[17, NEWEST],
        &["i64(8)", "i64(16)", "i64(8192)", "f32(0)", "f32(4096)"],
        none,
        "f32[9, 8]",
    ),
    row("Multinomial", &[7, NEWEST], &["f32[2, 3]"], |n| n.int("sample_size", 4), "i32[2, 4]"),
    row("OneHot", &[9, NEWEST], &["i32[2]", "i64{3}", "f32[2]"], none, "f32[2, ?]"),
    row("RandomNormal", ALL, &[], |n| n.ints("shape", &[2, 3]), "f32[2, 3]"),
    row("RandomNormalLike", ALL, &["f64[2, 3]"], none, "f64[2, 3]"),
    row("RandomUniform", ALL, &[], |n| n.ints("shape", &[2, 3]).int("dtype", 11), "f64[2, 3]"),
    row("RandomUniformLike", ALL, IMAGE, |n| n.int("dtype", 10), "f16[1, 4, 6, 6]"),
    row(
        "SimplifiedLayerNormalization",
        ALL,
        IMAGE_AND_LINE,
        |n| n.int("axis", 2),
        "f32[1, 4, 6, 6] | f32[?, ?, ?, ?]",
    ),
    row("Shrink", &[9, NEWEST], IMAGE, none, "f32[1, 4, 6, 6]"),
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
    row("Compress", &[9, NEWEST], &["f32[2, 3]", "bool[2]"], |n| n.int("axis", 0), "f32[?, 3]"),
    row("Compress", &[11, NEWEST], &["f32[2, 3]", "bool[5]"], none, "f32[?]"),
    row(
        "DeformConv",
        &[19, NEWEST],
        &["f32[1, 4, 3, 3]", "f32[6, 2, 2, 2]", "f32[1, 8, 2, 2]", "f32[6]", "f32[1, 4, 2, 2]"],
        |n| n.int("group", 2),
        "f32[?, ?, ?, ?]",
    ),
    row("MeanVarianceNormalization", &[9, NEWEST], IMAGE, none, "f32[1, 4, 6, 6]"),
];

/// Operators of `com.microsoft`, of which there is one version.
static MICROSOFT: &[Row] = &[
    row(
        "Attention",
        &[1],
        &["f32[2, 5, 8]", "f32[8, 24]", "f32[24]", "i32[2, 5]"],
        |n| n.int("num_heads", 2).int("unidirectional", 1),
        "f32[?, ?, ?] | f32[2, 2, 2, 5, 4]",
    ),
    row("BiasGelu", &[1], &["f32[2, 3]", "f32[3]"], none, "f32[2, 3]"),
    row(
        "DynamicQuantizeLSTM",
        &[1],
        &[
            "f32[5, 2, 3]",
            "i8[1, 3, 16]",
            "i8[1, 4, 16]",
            "f32[1, 32]",
            "",
            "",
            "",
            "",
            "f32[1]",
            "i8[1]",
            "f32[1]",
            "i8[1]",
        ],
        |n| n.int("hidden_size", 4),
        "f32[5, 1, 2, 4] | f32[1, 2, 4] | f32[1, 2, 4]",
    ),
    row(
        "DynamicQuantizeMatMul",
        &[1],
        &["f32[2, 3]", "i8[3, 4]", "f32[4]", "i8[4]", "f32[4]"],
        none,
        "f32[2, 4]",
    ),
    row(
        "EmbedLayerNormalization",
        &[1],
        &["i32[2, 5]", "i32[2, 5]", "f32[9, 8]", "f32[7, 8]", "f32[2, 8]", "f32[8]", "f32[8]", "i32[2, 5]"],
        none,
        "f32[2, 5, 8] | i32[2] | f32[2, 5, 8]",
    ),
    row("FastGelu", &[1], &["f32[2, 3]"], none, "f32[2, 3]"),
    row(
        "FusedMatMul",
        &[1],
        &["f32[2, 3]", "f32[4, 3]"],
        |n| n.int("transB", 1).float("alpha", 0.5),
        "f32[2, 4]",
    ),
    row("Gelu", &[1], &["f32[2, 3]"], none, "f32[2, 3]"),
    row(
        "MatMulIntegerToFloat",
        &[1],
        &["u8[2, 3]", "i8[3, 4]", "f32[]", "f32[4]", "u8[]", "i8[4]", "f32[4]"],
        none,
        "f32[2, 4]",
    ),
    row(
        "MatMulNBits",
        &[1],
        &["f32[2, 40]", "u8[3, 2, 16]", "f32[6]", "u8[3]"],
        |n| n.int("K", 40).int("N", 3).int("block_size", 32),
        "f32[2, 3]",
    ),
    row(
        "MultiHeadAttention",
        &[1],
        &["f32[2, 5, 8]", "f32[2, 7, 8]", "f32[2, 7, 8]", "f32[24]", "i32[2]"],
        |n| n.int("num_heads", 2),
        "f32[?, ?, ?] | f32[2, 2, 7, 4] | f32[2, 2, 7, 4]",
    ),
    row(
        "QLinearAdd",
        &[1],
        &["u8[2, 3]", "f32[]", "u8[]", "u8[3]", "f32[]", "u8[]", "f32[]", "u8[]"],
        none,
        "u8[2, 3]",
    ),
    row(
        "QLinearAveragePool",
        &[1],
        &["u8[1, 6, 6, 4]", "f32[]", "u8[]", "f32[]", "u8[]"],
        |n| n.ints("kernel_shape", &[2, 2]).int("channels_last", 1),
        "u8[1, 5, 5, 4]",
    ),
    row(
        "QLinearConcat",
        &[1],
        &["f32[]", "u8[]", "u8[2, 3]", "f32[]", "u8[]", "u8[2, 4]", "f32[]", "u8[]"],
        |n| n.int("axis", 1),
        "u8[2, 7]",
    ),
    row(
        "QLinearGlobalAveragePool",
        &[1],
        &["u8[1, 4, 6, 6]", "f32[]", "u8[]", "f32[]", "u8[]"],
        none,
        "u8[1, 4, 1, 1]",
    ),
    row("QLinearLeakyRelu", &[1], &["i8[2, 3]", "f32[]", "i8[]", "f32[]", "i8[]"], none, "i8[2, 3]"),
    row("QLinearMul", &[1], &["i8[2, 3]", "f32[]", "i8[]", "i8[3]", "f32[]", "", "f32[]"], none, "i8[2, 3]"),
    row("QLinearSigmoid", &[1], &["u8[2, 3]", "f32[]", "u8[]", "f32[]", "u8[]"], none, "u8[2, 3]"),
    row(
        "QLinearSoftmax",
        &[1],
        &["u8[2, 3]", "f32[]", "", "f32[]", "u8[]"],
        |n| n.int("opset", 12),
        "u8[2, 3]",
    ),
    row("QuickGelu", &[1], &["f32[2, 3]"], none, "f32[2, 3]"),
    row("RotaryEmbedding", &[1], &["f32[2, 5, 8]", "i64[1]", "f32[9, 2]", "f32[9, 2]"], none, "f32[2, 5, 8]"),
    row(
        "SimplifiedLayerNormalization",
        &[1],
        &["f32[2, 3, 4]", "f32[4]"],
        none,
        "f32[2, 3, 4] | f32[2, 3, 1]",
    ),
    row(
        "SkipLayerNormalization",
        &[1],
        &["f32[2, 3, 4]", "f32[3, 4]", "f32[4]", "f32[4]", "f32[4]"],
        none,
        "f32[2, 3, 4] | f32[2, 3, 1] | f32[2, 3, 1] | f32[2, 3, 4]",
    ),
    row(
        "SkipSimplifiedLayerNormalization",
        &[1],
        &["f32[2, 3, 4]", "f32[2, 3, 4]", "f32[4]"],
        none,
        "f32[2, 3, 4]",
    ),
];

/// Operators of `ai.onnx.ml`.
static ML: &[Row] = &[
    row("Binarizer", &[1, 5], &["i64[2, 3]"], |n| n.float("threshold", 0.5), "i64[2, 3]"),
    row("OneHotEncoder", &[1, 5], &["string[2]"], |n| n.texts("cats_strings", &["a", "b", "c"]), "f32[2, 3]"),
    row("OneHotEncoder", &[1], &["f32[2]"], |n| n.ints("cats_int64s", &[1, 7]).int("zeros", 0), "f32[2, 2]"),
    row(
        "Scaler",
        &[1, 5],
        &["i32[2, 3]"],
        |n| n.floats("offset", &[1.0]).floats("scale", &[2.0]),
        "f32[2, 3]",
    ),
];

/// The rows of the standard's own operators, for the table of all of them.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    ROWS.iter().map(|r| row(r.name, r.opsets, r.inputs, r.attributes, r.expect))
}

/// All rows, each with its domain.
fn all_rows() -> impl Iterator<Item = (&'static str, Row)> {
    let microsoft = MICROSOFT.iter().map(|r| row(r.name, r.opsets, r.inputs, r.attributes, r.expect));
    let ml = ML.iter().map(|r| row(r.name, r.opsets, r.inputs, r.attributes, r.expect));
    let others = microsoft.map(|row| ("com.microsoft", row)).chain(ml.map(|row| ("ai.onnx.ml", row)));
    rows().map(|row| ("", row)).chain(others)
}

/// The graph of a row's node, with these facts of its inputs.
fn expanded(domain: &str, row: &Row, opset: i64, facts: &[Option<Fact>]) -> Graph {
    let names: Vec<String> = (0..facts.len()).map(|index| format!("x{index}")).collect();
    let given =
        |(name, fact): (&String, &Option<Fact>)| fact.as_ref().map_or(String::new(), |_| name.clone());
    let inputs: Vec<String> = names.iter().zip(facts).map(given).collect();
    let inputs: Vec<&str> = inputs.iter().map(|name| &**name).collect();
    let written: Vec<String> = (0..outputs(row)).map(|index| format!("y{index}")).collect();
    let written: Vec<&str> = written.iter().map(|name| &**name).collect();
    let node = (row.attributes)(node(row.name, &inputs, &written).domain(domain));
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
fn every_operator_of_onnxruntime_has_a_row() {
    let known: Vec<&str> = MICROSOFT.iter().map(|row| row.name).collect();
    assert_eq!(registry::names("com.microsoft").collect::<Vec<_>>(), known);
}

#[test]
fn oldest_and_newest_forms_are_expanded_and_inferred() {
    for (domain, row) in all_rows() {
        for opset in row.opsets {
            let graph = expanded(domain, &row, *opset, &facts(&row));
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
    for (domain, row) in all_rows() {
        for opset in row.opsets {
            let exact = inferred(expanded(domain, &row, *opset, &facts(&row))).unwrap();
            for _ in 0..50 {
                let less: Vec<Option<Fact>> =
                    facts(&row).iter().map(|fact| Some(blur(fact.as_ref()?, &mut random))).collect();
                let shown: Vec<_> = less.iter().flatten().map(text).collect();
                let found = inferred(expanded(domain, &row, *opset, &less));
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
    for (domain, row) in all_rows() {
        for opset in row.opsets {
            for _ in 0..100 {
                let mut absurd = facts(&row);
                if absurd.is_empty() {
                    continue;
                }
                let place = random.below(absurd.len());
                // An input that is suddenly missing is the importer's business, see the counts of each.
                match absurd[place].as_ref().and_then(|fact| distort(fact, &mut random)) {
                    Some(fact) => absurd[place] = Some(fact),
                    None => continue,
                }
                let _ = inferred(expanded(domain, &row, *opset, &absurd));
            }
        }
    }
}
