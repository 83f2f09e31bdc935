//! Promises that hold of every operator in the registry; tests only.
//!
//! The table below has, for each operator, a node in the form of the oldest and of the newest operator set that we read,
//! with facts of its inputs. A new operator without a row fails `every_operator_of_the_registry_has_a_row`. The rows are
//! imported, inferred, and then inferred again knowing less, or with absurd numbers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};

use super::composed;
use super::testing::{fact, infer, text};
use crate::graph::{Dim, Fact, Graph, Node, ShapeFact, Symbol, Value, ValueId};
use crate::onnx::testing::{TestNode, node};
use crate::onnx::{Operator, operators, registry};
use crate::store;

/// The operator sets that we read.
pub(super) const OLDEST: i64 = 6;
pub(super) const NEWEST: i64 = 21;

/// A node of one operator in the form that it has in these operator sets.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The set that the operator came with, or the oldest that we read, if the row is about that.
    pub(super) opsets: &'static [i64],
    pub(super) inputs: &'static [&'static str],
    pub(super) attributes: fn(TestNode) -> TestNode,
    /// The facts of the outputs.
    pub(super) expect: &'static str,
}

pub(super) const fn row(
    name: &'static str,
    opsets: &'static [i64],
    inputs: &'static [&'static str],
    attributes: fn(TestNode) -> TestNode,
    expect: &'static str,
) -> Row {
    Row { name, opsets, inputs, attributes, expect }
}

pub(super) fn none(node: TestNode) -> TestNode {
    node
}

const F: &[&str] = &["f32[2, 3]"];
const S: &[&str] = &["sequence(f32[2, 3])"];
const FF: &[&str] = &["f32[2, 3]", "f32[1, 3]"];
const BB: &[&str] = &["bool[2, 3]", "bool[1, 3]"];
const IMAGE: &[&str] = &["f32[1, 4, 6, 6]"];
const ALL: &[i64] = &[OLDEST, 13, NEWEST];

/// Functions of one number, with the operator set that each came with.
const UNARY: &[(&str, i64)] = &[
    ("Abs", 6),
    ("Acos", 7),
    ("Acosh", 9),
    ("Asin", 7),
    ("Asinh", 9),
    ("Atan", 7),
    ("Atanh", 9),
    ("Ceil", 6),
    ("Celu", 12),
    ("Cos", 7),
    ("Cosh", 9),
    ("Elu", 6),
    ("Erf", 9),
    ("Exp", 6),
    ("Floor", 6),
    ("Gelu", 20),
    ("HardSigmoid", 6),
    ("HardSwish", 14),
    ("LeakyRelu", 6),
    ("Log", 6),
    ("LogSoftmax", 6),
    ("Mish", 18),
    ("Neg", 6),
    ("Reciprocal", 6),
    ("Relu", 6),
    ("Round", 11),
    ("Selu", 6),
    ("Sigmoid", 6),
    ("Sign", 9),
    ("Sin", 7),
    ("Sinh", 9),
    ("Softmax", 6),
    ("Softplus", 6),
    ("Softsign", 6),
    ("Sqrt", 6),
    ("Tan", 7),
    ("Tanh", 6),
    ("ThresholdedRelu", 10),
];

/// Reductions; all but the sum had their axes as an attribute until operator set 18.
const REDUCE: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

static ROWS: &[Row] = &[
    row("Add", ALL, FF, none, "f32[2, 3]"),
    row(
        "Add",
        &[OLDEST],
        &["f32[2, 3, 4]", "f32[2]"],
        |n| n.int("broadcast", 1).int("axis", 0),
        "f32[2, 3, 4]",
    ),
    row("And", ALL, BB, none, "bool[2, 3]"),
    row("ArgMax", ALL, F, |n| n.int("axis", 1), "i64[2, 1]"),
    row("ArgMin", ALL, F, |n| n.int("keepdims", 0), "i64[3]"),
    row("AveragePool", ALL, IMAGE, |n| n.ints("kernel_shape", &[2, 2]), "f32[1, 4, 5, 5]"),
    row("BitShift", &[11, NEWEST], &["u8[2, 3]", "u8[3]"], |n| n.text("direction", "LEFT"), "u8[2, 3]"),
    row("BitwiseAnd", &[18, NEWEST], &["i16[2, 3]", "i16[3]"], none, "i16[2, 3]"),
    row("BitwiseNot", &[18, NEWEST], &["i16[2, 3]"], none, "i16[2, 3]"),
    row("BitwiseOr", &[18, NEWEST], &["i16[2, 3]", "i16[3]"], none, "i16[2, 3]"),
    row("BitwiseXor", &[18, NEWEST], &["i16[2, 3]", "i16[3]"], none, "i16[2, 3]"),
    row("Cast", ALL, F, |n| n.int("to", 7), "i64[2, 3]"),
    row("CastLike", &[15, NEWEST], &["f32[2, 3]", "i8[7]"], none, "i8[2, 3]"),
    row("Clip", &[OLDEST], F, |n| n.float("min", 0.0), "f32[2, 3]"),
    row("Clip", &[OLDEST], &["f16[2, 3]"], |n| n.float("max", 6.0), "f16[2, 3]"),
    row("Clip", &[11, NEWEST], &["i8[2, 3]", "i8(0)", "i8(6)"], none, "i8[2, 3]"),
    row("Concat", ALL, &["f32[2, 3]", "f32[4, 3]"], |n| n.int("axis", 0), "f32[6, 3]"),
    row("ConcatFromSequence", &[11, NEWEST], S, |n| n.int("axis", 0), "f32[?, 3]"),
    row("ConstantOfShape", &[9, NEWEST], &["i64{2, 3}"], none, "f32[2, 3]"),
    row(
        "Conv",
        ALL,
        &["f32[1, 4, 6, 6]", "f32[8, 2, 3, 3]", "f32[8]"],
        |n| n.int("group", 2),
        "f32[1, 8, 4, 4]",
    ),
    row("ConvInteger", &[10, NEWEST], &["u8[1, 4, 6]", "i8[8, 4, 3]", "u8[]", "i8[]"], none, "i32[1, 8, 4]"),
    row("ConvTranspose", ALL, &["f32[1, 4, 6]", "f32[4, 8, 3]", "f32[8]"], none, "f32[1, 8, 8]"),
    row("CumSum", &[11, NEWEST], &["f32[2, 3]", "i64(-1)"], |n| n.int("reverse", 1), "f32[2, 3]"),
    row("Det", &[11, NEWEST], &["f32[2, 3, 3]"], none, "f32[2]"),
    row("DequantizeLinear", &[10], &["u8[2, 3]", "f32[]", "u8[]"], none, "f32[2, 3]"),
    row(
        "DequantizeLinear",
        &[NEWEST],
        &["i16[2, 3]", "f16[2, 2]", "i16[2, 2]"],
        |n| n.int("axis", 1).int("block_size", 2),
        "f16[2, 3]",
    ),
    row("Div", ALL, FF, none, "f32[2, 3]"),
    row("DynamicQuantizeLinear", &[11, NEWEST], F, none, "u8[2, 3] | f32[] | u8[]"),
    row("Equal", ALL, &["i64[2, 3]", "i64[]"], none, "bool[2, 3]"),
    row("Expand", &[8, NEWEST], &["f32[2, 1]", "i64{4, 1, 3}"], none, "f32[4, 2, 3]"),
    row("Flatten", ALL, IMAGE, none, "f32[1, 144]"),
    row("Gather", ALL, &["f32[2, 3]", "i64[5, 1]"], |n| n.int("axis", 1), "f32[2, 5, 1]"),
    row("GatherElements", &[11, NEWEST], &["f32[2, 3]", "i64[4, 3]"], none, "f32[4, 3]"),
    row("GatherND", &[11], &["f32[2, 3]", "i64[4, 2]"], none, "f32[4]"),
    row("GatherND", &[12, NEWEST], &["f32[2, 3]", "i64[2, 1]"], |n| n.int("batch_dims", 1), "f32[2]"),
    row("Gemm", &[OLDEST, 7], &["f32[2, 3]", "f32[3, 4]", "f32[4]"], |n| n.int("broadcast", 1), "f32[2, 4]"),
    row("Gemm", &[11, NEWEST], &["f32[2, 3]", "f32[4, 3]"], |n| n.int("transB", 1), "f32[2, 4]"),
    row("GlobalAveragePool", ALL, IMAGE, none, "f32[1, 4, 1, 1]"),
    row("GlobalMaxPool", ALL, IMAGE, none, "f32[1, 4, 1, 1]"),
    row("Greater", ALL, FF, none, "bool[2, 3]"),
    row("GreaterOrEqual", &[12, NEWEST], FF, none, "bool[2, 3]"),
    row(
        "GRU",
        ALL,
        &["f32[5, 2, 3]", "f32[1, 12, 3]", "f32[1, 12, 4]", "f32[1, 24]"],
        |n| n.int("hidden_size", 4),
        "f32[5, 1, 2, 4] | f32[1, 2, 4]",
    ),
    row("Hardmax", ALL, F, none, "f32[2, 3]"),
    row("LpPool", ALL, IMAGE, |n| n.ints("kernel_shape", &[2, 2]), "f32[1, 4, 5, 5]"),
    row(
        "MaxRoiPool",
        ALL,
        &["f32[1, 4, 6, 6]", "f32[7, 5]"],
        |n| n.ints("pooled_shape", &[2, 3]),
        "f32[7, 4, 2, 3]",
    ),
    row("ReverseSequence", &[10, NEWEST], &["f32[5, 2, 3]", "i64[2]"], none, "f32[5, 2, 3]"),
    row("Trilu", &[14, NEWEST], &["i64[2, 3, 3]", "i64(1)"], none, "i64[2, 3, 3]"),
    row("Identity", ALL, F, none, "f32[2, 3]"),
    row("InstanceNormalization", ALL, &["f32[1, 4, 6]", "f32[4]", "f32[4]"], none, "f32[1, 4, 6]"),
    row("IsInf", &[10, NEWEST], F, none, "bool[2, 3]"),
    row("IsNaN", &[9, NEWEST], F, none, "bool[2, 3]"),
    row(
        "LayerNormalization",
        &[17, NEWEST],
        &["f32[2, 3]", "f32[3]"],
        none,
        "f32[2, 3] | f32[2, 1] | f32[2, 1]",
    ),
    row("Less", ALL, FF, none, "bool[2, 3]"),
    row("LessOrEqual", &[12, NEWEST], FF, none, "bool[2, 3]"),
    row(
        "LSTM",
        ALL,
        &["f32[5, 2, 3]", "f32[2, 16, 3]", "f32[2, 16, 4]", "", "i32[2]", "f32[2, 2, 4]", "f32[2, 2, 4]"],
        |n| n.int("hidden_size", 4).text("direction", "bidirectional"),
        "f32[5, 2, 2, 4] | f32[2, 2, 4] | f32[2, 2, 4]",
    ),
    row("MatMul", ALL, &["f32[5, 2, 3]", "f32[3, 4]"], none, "f32[5, 2, 4]"),
    row("MatMulInteger", &[10, NEWEST], &["u8[2, 3]", "i8[3, 4]", "u8[]", "i8[4]"], none, "i32[2, 4]"),
    row("Max", ALL, FF, none, "f32[2, 3]"),
    row(
        "MaxPool",
        &[OLDEST],
        IMAGE,
        |n| n.ints("kernel_shape", &[3, 3]).text("auto_pad", "SAME_UPPER"),
        "f32[1, 4, 6, 6]",
    ),
    row(
        "MaxPool",
        &[12, NEWEST],
        IMAGE,
        |n| n.ints("kernel_shape", &[3, 3]).ints("strides", &[2, 2]).int("ceil_mode", 1),
        "f32[1, 4, 3, 3] | i64[1, 4, 3, 3]",
    ),
    row("Mean", ALL, FF, none, "f32[2, 3]"),
    row("Min", ALL, FF, none, "f32[2, 3]"),
    row("Mod", &[10, NEWEST], FF, |n| n.int("fmod", 1), "f32[2, 3]"),
    row("Mul", ALL, FF, none, "f32[2, 3]"),
    row("NonZero", &[9, NEWEST], F, none, "i64[2, ?]"),
    row("Not", ALL, &["bool[2]"], none, "bool[2]"),
    row("Optional", &[15, NEWEST], F, none, "optional(f32[2, 3])"),
    row("OptionalGetElement", &[15, NEWEST], &["optional(f32[2, 3])"], none, "f32[2, 3]"),
    row("OptionalHasElement", &[15, NEWEST], &["optional(f32[2, 3])"], none, "bool[]"),
    row("Or", ALL, BB, none, "bool[2, 3]"),
    row("Pad", &[OLDEST, 10], F, |n| n.ints("pads", &[1, 0, 0, 2]), "f32[3, 5]"),
    row("Pad", &[OLDEST], &["f64[2]"], |n| n.ints("pads", &[1, 0]).float("value", 1.0), "f64[3]"),
    row("Pad", &[18, NEWEST], &["f32[2, 3]", "i64{1, 2}", "f32(1)", "i64{-1}"], none, "f32[2, 6]"),
    row("Pow", ALL, FF, none, "f32[2, 3]"),
    row("PRelu", &[OLDEST], &["f32[2, 3, 4]", "f32[3]"], none, "f32[2, 3, 4]"),
    row("PRelu", &[7, NEWEST], FF, none, "f32[2, 3]"),
    row(
        "QLinearConv",
        &[10, NEWEST],
        &["u8[1, 4, 6]", "f32[]", "u8[]", "i8[8, 4, 3]", "f32[8]", "i8[8]", "f32[]", "u8[]", "i32[8]"],
        none,
        "u8[1, 8, 4]",
    ),
    row(
        "QLinearMatMul",
        &[10, NEWEST],
        &["u8[2, 3]", "f32[]", "u8[]", "i8[3, 4]", "f32[]", "i8[]", "f32[]", "i8[]"],
        none,
        "i8[2, 4]",
    ),
    row("QuantizeLinear", &[10], &["f32[2, 3]", "f32[]", "i8[]"], none, "i8[2, 3]"),
    row("QuantizeLinear", &[NEWEST], &["f32[2, 3]", "f32[3]"], |n| n.int("output_dtype", 4), "u16[2, 3]"),
    row("Range", &[11, NEWEST], &["f32(0)", "f32(3)", "f32(0.5)"], none, "f32[6]"),
    row("ReduceSum", &[OLDEST, 11], F, |n| n.ints("axes", &[0]), "f32[1, 3]"),
    row("RegexFullMatch", &[20, NEWEST], &["string[2, 3]"], |n| n.text("pattern", "a+"), "bool[2, 3]"),
    row("ReduceSum", &[13, NEWEST], &["f32[2, 3]", "i64{0}"], none, "f32[1, 3]"),
    row("Reshape", ALL, &["f32[2, 3, 4]", "i64{0, -1}"], none, "f32[2, 12]"),
    row("Resize", &[10], &["f32[2, 3]", "f32{1, 2}"], none, "f32[2, 6]"),
    row("Resize", &[11, 13], &["f32[2, 3]", "f32{}", "f32{}", "i64{4, 5}"], none, "f32[4, 5]"),
    row(
        "Resize",
        &[18, NEWEST],
        &["f32[2, 3]", "", "", "i64{5}"],
        |n| n.ints("axes", &[1]).text("keep_aspect_ratio_policy", "not_larger"),
        "f32[2, 5]",
    ),
    row(
        "RNN",
        ALL,
        &["f32[5, 2, 3]", "f32[1, 4, 3]", "f32[1, 4, 4]"],
        |n| n.int("hidden_size", 4),
        "f32[5, 1, 2, 4] | f32[1, 2, 4]",
    ),
    row("Scatter", &[9, NEWEST], &["f32[2, 3]", "i64[1, 3]", "f32[1, 3]"], none, "f32[2, 3]"),
    row(
        "ScatterElements",
        &[11, NEWEST],
        &["f32[2, 3]", "i32[2, 9]", "f32[2, 9]"],
        |n| n.int("axis", -1),
        "f32[2, 3]",
    ),
    row("ScatterND", &[11, NEWEST], &["f32[4, 3]", "i64[2, 1]", "f32[2, 3]"], none, "f32[4, 3]"),
    row("SequenceAt", &[11, NEWEST], &["sequence(f32[2, 3])", "i64[]"], none, "f32[2, 3]"),
    row("SequenceConstruct", &[11, NEWEST], &["f32[2, 3]", "f32[2, 1]"], none, "sequence(f32[2, ?])"),
    row("SequenceEmpty", &[11, NEWEST], &[], |n| n.int("dtype", 7), "sequence(i64[...])"),
    row("SequenceErase", &[11, NEWEST], &["sequence(f32[2, 3])", "i32[1]"], none, "sequence(f32[2, 3])"),
    row(
        "SequenceInsert",
        &[11, NEWEST],
        &["sequence(f32[2, 3])", "f32[2, 4]", "i64[]"],
        none,
        "sequence(f32[2, ?])",
    ),
    row("SequenceLength", &[11, NEWEST], S, none, "i64[]"),
    row("Shape", &[OLDEST, 13], &["f32[2, 3]"], none, "i64{2, 3}"),
    row("Shape", &[15, NEWEST], &["f32[2, 3]"], |n| n.int("start", -1), "i64{3}"),
    row("Size", ALL, &["f32[2, 3]"], none, "i64(6)"),
    row(
        "Slice",
        &[OLDEST, 9],
        F,
        |n| n.ints("starts", &[1]).ints("ends", &[9]).ints("axes", &[1]),
        "f32[2, 2]",
    ),
    row("Slice", &[10, NEWEST], &["f32[2, 3]", "i64{-1}", "i64{-4}", "i64{1}", "i64{-2}"], none, "f32[2, 2]"),
    row(
        "Split",
        &[OLDEST, 11],
        &["f32[2, 5]"],
        |n| n.int("axis", 1).ints("split", &[1, 4]),
        "f32[2, 1] | f32[2, 4]",
    ),
    row("Split", &[13], &["f32[2, 5]", "i64{1, 1}"], none, "f32[1, 5] | f32[1, 5]"),
    row(
        "Split",
        &[18, NEWEST],
        &["f32[2, 5]"],
        |n| n.int("axis", 1).int("num_outputs", 2),
        "f32[2, 3] | f32[2, 2]",
    ),
    row(
        "SplitToSequence",
        &[11, NEWEST],
        &["f32[2, 6]", "i64(3)"],
        |n| n.int("axis", 1),
        "sequence(f32[2, 3])",
    ),
    row("Squeeze", &[OLDEST, 11], &["f32[2, 1, 3]"], |n| n.ints("axes", &[1]), "f32[2, 3]"),
    row("Squeeze", &[13, NEWEST], &["f32[1, 2, 1, 3]", "i64{-2}"], none, "f32[1, 2, 3]"),
    row("StringConcat", &[20, NEWEST], &["string[2, 3]", "string[3]"], none, "string[2, 3]"),
    row("StringNormalizer", &[10, NEWEST], &["string[3]"], |n| n.texts("stopwords", &["a"]), "string[?]"),
    row("StringSplit", &[20, NEWEST], &["string[2, 3]"], none, "string[2, 3, ?] | i64[2, 3]"),
    row("Sub", ALL, FF, none, "f32[2, 3]"),
    row("Sum", ALL, FF, none, "f32[2, 3]"),
    row("Tile", ALL, &["f32[2, 3]", "i64{1, 2}"], none, "f32[2, 6]"),
    row("AffineGrid", &[20, NEWEST], &["f32[1, 2, 3]", "i64{1, 4, 5, 6}"], none, "f32[1, 5, 6, 2]"),
    row("Col2Im", &[18, NEWEST], &["f32[1, 10, 5]", "i64{5, 5}", "i64{1, 5}"], none, "f32[1, 2, 5, 5]"),
    row("DFT", &[17], &["f32[1, 10, 9, 1]"], |n| n.int("onesided", 1), "f32[1, 6, 9, 2]"),
    row("DFT", &[20, NEWEST], &["f32[1, 10, 9, 1]", "i64(16)", "i64(-2)"], none, "f32[1, 10, 16, 2]"),
    row(
        "Einsum",
        &[12, NEWEST],
        &["f32[5, 2, 3]", "f32[3, 4]"],
        |n| n.text("equation", "...ij, jk -> ...ik"),
        "f32[5, 2, 4]",
    ),
    row("GridSample", &[16, NEWEST], &["f32[1, 4, 6, 6]", "f32[1, 2, 3, 2]"], none, "f32[1, 4, 2, 3]"),
    row(
        "NonMaxSuppression",
        &[10, NEWEST],
        &["f32[1, 6, 4]", "f32[1, 2, 6]", "i64{3}", "f32{0.5}", "f32{0.5}"],
        none,
        "i64[?, 3]",
    ),
    row(
        "RoiAlign",
        &[10, 16, NEWEST],
        &["f32[1, 4, 6, 6]", "f32[3, 4]", "i64[3]"],
        |n| n.int("output_height", 2).int("output_width", 5),
        "f32[3, 4, 2, 5]",
    ),
    row("STFT", &[17, NEWEST], &["f32[1, 128, 1]", "i64(8)", "f32[16]"], none, "f32[1, 15, 9, 2]"),
    row(
        "TfIdfVectorizer",
        &[9, NEWEST],
        &["i32[2, 6]"],
        |n| {
            let grams = n
                .ints("ngram_counts", &[0, 1])
                .ints("ngram_indexes", &[0, 1])
                .ints("pool_int64s", &[2, 5, 4]);
            grams
                .text("mode", "TF")
                .int("min_gram_length", 1)
                .int("max_gram_length", 2)
                .int("max_skip_count", 0)
        },
        "f32[2, 2]",
    ),
    row("TopK", &[OLDEST], F, |n| n.int("k", 2), "f32[2, 2] | i64[2, 2]"),
    row("TopK", &[10, NEWEST], &["f32[2, 3]", "i64{1}"], |n| n.int("axis", 0), "f32[1, 3] | i64[1, 3]"),
    row("Transpose", ALL, &["f32[2, 3, 4]"], |n| n.ints("perm", &[2, 0, 1]), "f32[4, 2, 3]"),
    row("Unique", &[11, NEWEST], F, |n| n.int("axis", 1), "f32[2, ?] | i64[?] | i64[3] | i64[?]"),
    row("Unsqueeze", &[OLDEST, 11], F, |n| n.ints("axes", &[0]), "f32[1, 2, 3]"),
    row("Unsqueeze", &[13, NEWEST], &["f32[2, 3]", "i64{-1}"], none, "f32[2, 3, 1]"),
    row(
        "Upsample",
        &[OLDEST],
        &["f32[1, 2, 2, 3]"],
        |n| n.float("height_scale", 2.0).float("width_scale", 1.0),
        "f32[1, 2, 4, 3]",
    ),
    row("Upsample", &[7], F, |n| n.floats("scales", &[2.0, 1.0]), "f32[4, 3]"),
    row("Upsample", &[9, NEWEST], &["f32[2, 3]", "f32{1, 2}"], none, "f32[2, 6]"),
    row("Where", &[9, NEWEST], &["bool[2, 1]", "f32[3]", "f32[]"], none, "f32[2, 3]"),
    row("Xor", ALL, BB, none, "bool[2, 3]"),
];

/// The written rows, and those of the families whose operators differ in nothing but the name.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for Row { name, opsets, inputs, attributes, expect } in ROWS {
        rows.push(row(name, opsets, inputs, *attributes, expect));
    }
    for (name, since) in UNARY {
        let opsets: &[i64] = match since {
            6 => ALL,
            7 => &[7, NEWEST],
            9 => &[9, NEWEST],
            10 => &[10, NEWEST],
            11 => &[11, NEWEST],
            12 => &[12, NEWEST],
            14 => &[14, NEWEST],
            18 => &[18, NEWEST],
            _ => &[20, NEWEST],
        };
        rows.push(row(name, opsets, F, none, "f32[2, 3]"));
    }
    for name in REDUCE {
        rows.push(row(name, &[OLDEST, 13], F, |n| n.ints("axes", &[1]).int("keepdims", 0), "f32[2]"));
        rows.push(row(name, &[18, NEWEST], &["f32[2, 3]", "i64{-2}"], none, "f32[1, 3]"));
    }
    rows
}

/// The operator of a row at an operator set, with the facts of its inputs where the operator has them.
fn imported(row: &Row, opset: i64) -> (alloc::sync::Arc<dyn super::Op>, Vec<Option<Fact>>) {
    let name =
        |(index, text): (usize, &&str)| if text.is_empty() { String::new() } else { format!("x{index}") };
    let names: Vec<String> = row.inputs.iter().enumerate().map(name).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let outputs: Vec<_> = (0..outputs(row)).map(|index| format!("y{index}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(|name| &**name).collect();
    let node = (row.attributes)(node(row.name, &names, &outputs));
    let imported = node.import(opset).unwrap_or_else(|error| panic!("{} at {opset}: {error}", row.name));
    let mut facts = imported.arrange(row.inputs.iter().map(|text| fact(text)).collect());
    for (position, tensor) in imported.constants {
        facts.resize(facts.len().max(position + 1), None);
        facts[position] = Some(Fact::constant(tensor));
    }
    for (position, op) in imported.prepare {
        let reads = [facts[position].clone(), facts[0].clone()];
        let prepared =
            infer(&*op, &reads, 1).unwrap_or_else(|error| panic!("{} at {opset}: {error}", row.name));
        facts[position] = prepared.into_iter().next();
    }
    (imported.op, facts)
}

pub(super) fn outputs(row: &Row) -> usize {
    row.expect.split(" | ").count()
}

#[test]
fn every_operator_of_the_registry_has_a_row() {
    let mut rows = rows();
    rows.extend(composed::rows());
    for name in registry::names("") {
        // They need graphs, which rows do not have; their own files and build.rs test them.
        if ["If", "Loop", "Scan", "SequenceMap"].contains(&name) {
            continue;
        }
        let newest = rows.iter().any(|row| row.name == name && row.opsets.contains(&NEWEST));
        assert!(newest, "{name} has no row for operator set {NEWEST}");
    }
}

#[test]
fn the_table_for_readers_tells_the_same() {
    let page = include_str!("../../../docs/operators.md");
    let table = page.split("\n## ").next().unwrap_or_default();
    let told = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let told: Vec<&str> = told.map(|(name, _)| name).filter(|name| *name != "operator").collect();
    let full = |operator: &Operator| match operator.domain {
        "ai.onnx" => operator.name.to_string(),
        domain => format!("{domain}.{}", operator.name),
    };
    let have: Vec<String> = operators().iter().filter(|operator| operator.supported).map(full).collect();
    assert_eq!(told, have, "cargo xtask conformance --bless writes the page");
}

#[test]
fn the_oldest_row_is_of_the_operator_set_that_brought_the_operator() {
    let mut rows = rows();
    rows.extend(composed::rows());
    for operator in operators() {
        let of_it = rows.iter().filter(|row| operator.domain == "ai.onnx" && row.name == operator.name);
        let Some(oldest) = of_it.flat_map(|row| row.opsets).min() else { continue };
        let first = operator.versions.first().map_or(OLDEST, |first| OLDEST.max((*first).into()));
        assert_eq!(*oldest, first, "{}", operator.name);
    }
}

#[test]
fn oldest_and_newest_forms_are_imported_and_inferred() {
    for row in rows() {
        for opset in row.opsets {
            let (op, facts) = imported(&row, *opset);
            let known =
                infer(&*op, &facts, outputs(&row)).unwrap_or_else(|e| panic!("{} at {opset}: {e}", row.name));
            let known: Vec<_> = known.iter().map(text).collect();
            assert_eq!(known.join(" | "), row.expect, "{} at {opset}", row.name);
            // What the operator is called is what the registry knows it by, but for those that became others.
            let renamed = matches!(row.name, "Upsample" | "Scatter");
            assert!(renamed || op.name() == row.name, "{} calls itself {}", row.name, op.name());
        }
    }
}

#[test]
fn what_is_stored_is_the_same_when_it_is_read() {
    for row in rows() {
        for opset in row.opsets {
            let (op, facts) = imported(&row, *opset);
            let mut graph = Graph::default();
            let inputs: Vec<_> =
                facts.into_iter().map(|fact| Some(graph.add_value("", Some(fact?)))).collect();
            let open = |id: &ValueId| graph.constant(*id).is_none();
            graph.inputs = inputs.iter().flatten().copied().filter(open).collect();
            let outputs = (0..outputs(&row)).map(|_| Some(graph.add_value("", None))).collect();
            graph.nodes.push(Node { name: "it".into(), op, inputs, outputs });
            let (form, constants) = store::write(&graph).unwrap_or_else(|e| panic!("{}: {e}", row.name));
            assert_eq!(constants.len(), graph.values().iter().filter(|value| is_constant(value)).count());
            let again = store::read(&form, &constants).unwrap_or_else(|e| panic!("{}: {e}", row.name));
            assert_eq!(format!("{again:?}"), format!("{graph:?}"), "{} at {opset}", row.name);
        }
    }
}

fn is_constant(value: &Value) -> bool {
    value.fact.as_ref().is_some_and(|fact| fact.constant.is_some())
}

#[test]
fn knowing_less_never_contradicts_knowing_more() {
    let mut random = Random(0x5eed);
    for row in rows() {
        for opset in row.opsets {
            let (op, facts) = imported(&row, *opset);
            let exact = infer(&*op, &facts, outputs(&row)).unwrap();
            for _ in 0..200 {
                let less: Vec<Option<Fact>> =
                    facts.iter().map(|fact| fact.as_ref().map(|fact| blur(fact, &mut random))).collect();
                let shown: Vec<_> = less.iter().flatten().map(text).collect();
                let found = match infer(&*op, &less, outputs(&row)) {
                    Ok(found) => found,
                    Err(error) => panic!("{} of {shown:?}: {error}", row.name),
                };
                assert_eq!(found.len(), exact.len(), "{} of {shown:?}", row.name);
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
            let (op, facts) = imported(&row, *opset);
            for _ in 0..500 {
                let mut absurd = facts.clone();
                if absurd.is_empty() {
                    break;
                }
                let place = random.below(absurd.len());
                absurd[place] = absurd[place].as_ref().and_then(|fact| distort(fact, &mut random));
                if let Ok(found) = infer(&*op, &absurd, outputs(&row)) {
                    assert_eq!(found.len(), outputs(&row), "{}", row.name);
                    assert!(
                        found.iter().all(|fact| fact.shape.rank().is_none_or(|rank| rank <= 8)),
                        "{}",
                        row.name
                    );
                }
            }
        }
    }
}

/// Numbers that look random and are the same in every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The same fact, with less of it known. Equal extents get equal names.
pub(super) fn blur(fact: &Fact, random: &mut Random) -> Fact {
    let mut fact = fact.clone();
    match random.below(4) {
        0 => return fact,
        1 => fact.shape = ShapeFact::unknown(),
        _ => {
            for dim in fact.shape.0.iter_mut().flatten() {
                match (random.below(3), dim.fixed()) {
                    (0, Some(extent)) => *dim = Dim::Symbol(Symbol(format!("d{extent}").into())),
                    (1, _) => *dim = Dim::Unknown,
                    _ => {}
                }
            }
        }
    }
    fact.constant = None;
    fact
}

/// True when what was found with less knowledge holds of what is exactly known.
pub(super) fn holds(found: &Fact, exact: &Fact) -> bool {
    if let Some(tensor) = &found.constant {
        let same =
            exact.constant.as_ref().is_some_and(|other| tensor.to_vec::<i64>() == other.to_vec::<i64>());
        return same && found.element == exact.element;
    }
    let (Some(dims), Some(exact_dims)) = (found.shape.dims(), exact.shape.dims()) else {
        return found.element == exact.element;
    };
    let fits = |(found, exact): (&Dim, &Dim)| match (found, exact.fixed()) {
        (Dim::Fixed(extent), Some(exact)) => *extent == exact,
        (Dim::Symbol(symbol), Some(exact)) => *symbol.0 == *format!("d{exact}"),
        _ => true,
    };
    found.element == exact.element && dims.len() == exact_dims.len() && dims.iter().zip(exact_dims).all(fits)
}

/// A fact that may not fit at all; `None` for an input that is suddenly missing.
pub(super) fn distort(fact: &Fact, random: &mut Random) -> Option<Fact> {
    let mut fact = fact.clone();
    match random.below(5) {
        0 => return None,
        1 => fact.element = random.pick(&ElementType::ALL),
        2 => {
            let rank = random.below(10);
            let extents = [0, 1, 2, 3, usize::MAX, usize::MAX / 2, 1 << 31];
            let extent = |random: &mut Random| match random.below(8) {
                0 => Dim::Unknown,
                1 => Dim::Symbol(Symbol("N".into())),
                _ => Dim::Fixed(random.pick(&extents)),
            };
            fact.shape = ShapeFact(Some((0..rank).map(|_| extent(random)).collect()));
            fact.constant = None;
        }
        _ => fact = constant(fact.element, random),
    }
    fact.constant = fact.constant.filter(|tensor| tensor.element() == fact.element);
    Some(fact)
}

/// A vector or scalar of absurd numbers.
fn constant(element: ElementType, random: &mut Random) -> Fact {
    let integers = [i64::MIN, i64::MAX, -1, 0, 1, 2, 3, 1 << 32, i64::from(i32::MIN)];
    let reals = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, -1.0, 1.0, 3e38];
    let count = random.below(10);
    let tensor = match element {
        ElementType::I64 => {
            Tensor::from_slice(&(0..count).map(|_| random.pick(&integers)).collect::<Vec<_>>(), [count])
        }
        ElementType::F32 => {
            Tensor::from_slice(&(0..count).map(|_| random.pick(&reals)).collect::<Vec<_>>(), [count])
        }
        other => Ok(Tensor::zeros(other, [count])),
    };
    Fact::constant(tensor.map_err(|error| error.to_string()).expect("a vector"))
}
