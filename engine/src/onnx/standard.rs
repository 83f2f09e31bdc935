//! The operators of the standard's own domain, and the operator sets in which each of them was changed.
//!
//! A model says in which operator set it is written; an operator of it has the form that was the newest then. The importers
//! know the forms; here stands only when they begin. The table ends with operator set 22.

use alloc::vec::Vec;

use super::registry;

/// An operator of a domain, and what we have of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operator {
    /// The domain; `ai.onnx` for the standard's own.
    pub domain: &'static str,
    /// The name.
    pub name: &'static str,
    /// The versions of its domain in which it was changed; the first is the one that it came with. Empty for other domains.
    pub versions: &'static [u8],
    /// Whether models that use it can be imported.
    pub supported: bool,
}

/// Every operator of the standard's own domain up to operator set 22, and those of other domains that we have; sorted by domain
/// and name.
pub fn operators() -> Vec<Operator> {
    let standard = STANDARD.iter().map(|(name, versions)| {
        let supported = *name == "Constant" || registry::find("", name).is_some();
        Operator { domain: "ai.onnx", name, versions, supported }
    });
    let others = registry::operators().filter(|(domain, _)| !domain.is_empty());
    let others = others.map(|(domain, name)| Operator { domain, name, versions: &[], supported: true });
    let mut operators: Vec<Operator> = standard.chain(others).collect();
    operators.sort_by_key(|operator| (operator.domain, operator.name));
    operators
}

/// True when the operator's form of operator set `old` is still that of `later`.
pub(super) fn is_unchanged(name: &str, old: i64, later: i64) -> bool {
    let versions = STANDARD.iter().find(|(known, _)| *known == name).map(|(_, versions)| *versions);
    let form = |opset: i64| versions?.iter().rfind(|version| i64::from(**version) <= opset);
    form(old).is_some() && form(old) == form(later)
}

static STANDARD: &[(&str, &[u8])] = &[
    ("Abs", &[1, 6, 13]),
    ("Acos", &[7, 22]),
    ("Acosh", &[9, 22]),
    ("Add", &[1, 6, 7, 13, 14]),
    ("AffineGrid", &[20]),
    ("And", &[1, 7]),
    ("ArgMax", &[1, 11, 12, 13]),
    ("ArgMin", &[1, 11, 12, 13]),
    ("Asin", &[7, 22]),
    ("Asinh", &[9, 22]),
    ("Atan", &[7, 22]),
    ("Atanh", &[9, 22]),
    ("AveragePool", &[1, 7, 10, 11, 19, 22]),
    ("BatchNormalization", &[1, 6, 7, 9, 14, 15]),
    ("Bernoulli", &[15, 22]),
    ("BitShift", &[11]),
    ("BitwiseAnd", &[18]),
    ("BitwiseNot", &[18]),
    ("BitwiseOr", &[18]),
    ("BitwiseXor", &[18]),
    ("BlackmanWindow", &[17]),
    ("Cast", &[1, 6, 9, 13, 19, 21]),
    ("CastLike", &[15, 19, 21]),
    ("Ceil", &[1, 6, 13]),
    ("Celu", &[12]),
    ("CenterCropPad", &[18]),
    ("Clip", &[1, 6, 11, 12, 13]),
    ("Col2Im", &[18]),
    ("Compress", &[9, 11]),
    ("Concat", &[1, 4, 11, 13]),
    ("ConcatFromSequence", &[11]),
    ("Constant", &[1, 9, 11, 12, 13, 19, 21]),
    ("ConstantOfShape", &[9, 20, 21]),
    ("Conv", &[1, 11, 22]),
    ("ConvInteger", &[10]),
    ("ConvTranspose", &[1, 11, 22]),
    ("Cos", &[7, 22]),
    ("Cosh", &[9, 22]),
    ("CumSum", &[11, 14]),
    ("DeformConv", &[19, 22]),
    ("DepthToSpace", &[1, 11, 13]),
    ("DequantizeLinear", &[10, 13, 19, 21]),
    ("Det", &[11, 22]),
    ("DFT", &[17, 20]),
    ("Div", &[1, 6, 7, 13, 14]),
    ("Dropout", &[1, 6, 7, 10, 12, 13, 22]),
    ("DynamicQuantizeLinear", &[11]),
    ("Einsum", &[12]),
    ("Elu", &[1, 6, 22]),
    ("Equal", &[1, 7, 11, 13, 19]),
    ("Erf", &[9, 13]),
    ("Exp", &[1, 6, 13]),
    ("Expand", &[8, 13]),
    ("EyeLike", &[9, 22]),
    ("Flatten", &[1, 9, 11, 13, 21]),
    ("Floor", &[1, 6, 13]),
    ("Gather", &[1, 11, 13]),
    ("GatherElements", &[11, 13]),
    ("GatherND", &[11, 12, 13]),
    ("Gelu", &[20]),
    ("Gemm", &[1, 6, 7, 9, 11, 13]),
    ("GlobalAveragePool", &[1, 22]),
    ("GlobalLpPool", &[1, 2, 22]),
    ("GlobalMaxPool", &[1, 22]),
    ("Greater", &[1, 7, 9, 13]),
    ("GreaterOrEqual", &[12, 16]),
    ("GridSample", &[16, 20, 22]),
    ("GroupNormalization", &[18, 21]),
    ("GRU", &[1, 3, 7, 14, 22]),
    ("HammingWindow", &[17]),
    ("HannWindow", &[17]),
    ("Hardmax", &[1, 11, 13]),
    ("HardSigmoid", &[1, 6, 22]),
    ("HardSwish", &[14, 22]),
    ("Identity", &[1, 13, 14, 16, 19, 21]),
    ("If", &[1, 11, 13, 16, 19, 21]),
    ("ImageDecoder", &[20]),
    ("InstanceNormalization", &[1, 6, 22]),
    ("IsInf", &[10, 20]),
    ("IsNaN", &[9, 13, 20]),
    ("LayerNormalization", &[17]),
    ("LeakyRelu", &[1, 6, 16]),
    ("Less", &[1, 7, 9, 13]),
    ("LessOrEqual", &[12, 16]),
    ("Log", &[1, 6, 13]),
    ("LogSoftmax", &[1, 11, 13]),
    ("Loop", &[1, 11, 13, 16, 19, 21]),
    ("LpNormalization", &[1, 22]),
    ("LpPool", &[1, 2, 11, 18, 22]),
    ("LRN", &[1, 13]),
    ("LSTM", &[1, 7, 14, 22]),
    ("MatMul", &[1, 9, 13]),
    ("MatMulInteger", &[10]),
    ("Max", &[1, 6, 8, 12, 13]),
    ("MaxPool", &[1, 8, 10, 11, 12, 22]),
    ("MaxRoiPool", &[1, 22]),
    ("MaxUnpool", &[9, 11, 22]),
    ("Mean", &[1, 6, 8, 13]),
    ("MeanVarianceNormalization", &[9, 13]),
    ("MelWeightMatrix", &[17]),
    ("Min", &[1, 6, 8, 12, 13]),
    ("Mish", &[18, 22]),
    ("Mod", &[10, 13]),
    ("Mul", &[1, 6, 7, 13, 14]),
    ("Multinomial", &[7, 22]),
    ("Neg", &[1, 6, 13]),
    ("NegativeLogLikelihoodLoss", &[12, 13, 22]),
    ("NonMaxSuppression", &[10, 11]),
    ("NonZero", &[9, 13]),
    ("Not", &[1]),
    ("OneHot", &[9, 11]),
    ("Optional", &[15]),
    ("OptionalGetElement", &[15, 18]),
    ("OptionalHasElement", &[15, 18]),
    ("Or", &[1, 7]),
    ("Pad", &[1, 2, 11, 13, 18, 19, 21]),
    ("Pow", &[1, 7, 12, 13, 15]),
    ("PRelu", &[1, 6, 7, 9, 16]),
    ("QLinearConv", &[10]),
    ("QLinearMatMul", &[10, 21]),
    ("QuantizeLinear", &[10, 13, 19, 21]),
    ("RandomNormal", &[1, 22]),
    ("RandomNormalLike", &[1, 22]),
    ("RandomUniform", &[1, 22]),
    ("RandomUniformLike", &[1, 22]),
    ("Range", &[11]),
    ("Reciprocal", &[1, 6, 13]),
    ("ReduceL1", &[1, 11, 13, 18]),
    ("ReduceL2", &[1, 11, 13, 18]),
    ("ReduceLogSum", &[1, 11, 13, 18]),
    ("ReduceLogSumExp", &[1, 11, 13, 18]),
    ("ReduceMax", &[1, 11, 12, 13, 18, 20]),
    ("ReduceMean", &[1, 11, 13, 18]),
    ("ReduceMin", &[1, 11, 12, 13, 18, 20]),
    ("ReduceProd", &[1, 11, 13, 18]),
    ("ReduceSum", &[1, 11, 13]),
    ("ReduceSumSquare", &[1, 11, 13, 18]),
    ("RegexFullMatch", &[20]),
    ("Relu", &[1, 6, 13, 14]),
    ("Reshape", &[1, 5, 13, 14, 19, 21]),
    ("Resize", &[10, 11, 13, 18, 19]),
    ("ReverseSequence", &[10]),
    ("RNN", &[1, 7, 14, 22]),
    ("RoiAlign", &[10, 16, 22]),
    ("Round", &[11, 22]),
    ("Scan", &[8, 9, 11, 16, 19, 21]),
    ("Scatter", &[9, 11]),
    ("ScatterElements", &[11, 13, 16, 18]),
    ("ScatterND", &[11, 13, 16, 18]),
    ("Selu", &[1, 6, 22]),
    ("SequenceAt", &[11]),
    ("SequenceConstruct", &[11]),
    ("SequenceEmpty", &[11]),
    ("SequenceErase", &[11]),
    ("SequenceInsert", &[11]),
    ("SequenceLength", &[11]),
    ("SequenceMap", &[17]),
    ("Shape", &[1, 13, 15, 19, 21]),
    ("Shrink", &[9]),
    ("Sigmoid", &[1, 6, 13]),
    ("Sign", &[9, 13]),
    // Of no version of the standard, and yet files have it in the standard's domain.
    ("SimplifiedLayerNormalization", &[1]),
    ("Sin", &[7, 22]),
    ("Sinh", &[9, 22]),
    ("Size", &[1, 13, 19, 21]),
    ("Slice", &[1, 10, 11, 13]),
    ("Softmax", &[1, 11, 13]),
    ("SoftmaxCrossEntropyLoss", &[12, 13]),
    ("Softplus", &[1, 22]),
    ("Softsign", &[1, 22]),
    ("SpaceToDepth", &[1, 13]),
    ("Split", &[1, 2, 11, 13, 18]),
    ("SplitToSequence", &[11]),
    ("Sqrt", &[1, 6, 13]),
    ("Squeeze", &[1, 11, 13, 21]),
    ("STFT", &[17]),
    ("StringConcat", &[20]),
    ("StringNormalizer", &[10]),
    ("StringSplit", &[20]),
    ("Sub", &[1, 6, 7, 13, 14]),
    ("Sum", &[1, 6, 8, 13]),
    ("Tan", &[7, 22]),
    ("Tanh", &[1, 6, 13]),
    ("TfIdfVectorizer", &[9]),
    ("ThresholdedRelu", &[10, 22]),
    ("Tile", &[1, 6, 13]),
    ("TopK", &[1, 10, 11]),
    ("Transpose", &[1, 13, 21]),
    ("Trilu", &[14]),
    ("Unique", &[11]),
    ("Unsqueeze", &[1, 11, 13, 21]),
    ("Upsample", &[1, 7, 9, 10]),
    ("Where", &[9, 16]),
    ("Xor", &[1, 7]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_is_sorted_and_has_all_that_the_registry_has() {
        let lower = |(name, _): &(&str, &[u8])| name.to_ascii_lowercase();
        assert!(STANDARD.is_sorted_by(|a, b| lower(a) < lower(b)));
        assert!(STANDARD.iter().all(|(_, versions)| !versions.is_empty() && versions.is_sorted()));
        for name in registry::names("") {
            assert!(STANDARD.iter().any(|(known, _)| *known == name), "{name} is not of the standard");
        }
    }

    #[test]
    fn an_operator_is_told_with_its_versions() {
        let all = operators();
        let find = |name| all.iter().find(|operator| operator.name == name).unwrap();
        let relu = Operator { domain: "ai.onnx", name: "Relu", versions: &[1, 6, 13, 14], supported: true };
        assert_eq!(*find("Relu"), relu);
        assert!(find("Constant").supported);
    }

    #[test]
    fn forms_that_were_not_changed_since_are_known() {
        assert!(is_unchanged("Not", 1, 6));
        assert!(!is_unchanged("Relu", 5, 6));
        assert!(is_unchanged("Relu", 6, 12));
        assert!(!is_unchanged("Gelu", 5, 6), "it came later");
        assert!(!is_unchanged("Nonsense", 1, 6));
    }
}
