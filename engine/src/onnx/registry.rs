//! The operators we import: one line each. The importers live with their operators.

use super::error::ImportError;
use super::fragment::Fragment;
use super::node::{Imported, NodeView};
use crate::op::{
    attention, binary, bits, blocks, cast, columns, concat, control, conv, cumulative, det, einsum, expand,
    features, fourier, gather, gelu, grid_sample, hot, label_encoder, loops, loss, matmul, matmul_nbits, mel,
    nonzero, norm, normalise, optional, pad, pool, qlinear, quantize, random, reduce, regions, reshape,
    resize, reverse, rnn, roi_pool, rotary, scan, scatter, sequence, shape, shrink, skip_norm, slice,
    softmax, split, string_normalizer, string_split, text, tfidf, topk, transpose, trees, triangle, unary,
    unique, unpool,
};

/// Makes what a node does.
#[derive(Clone, Copy)]
pub(crate) enum Import {
    /// One operator.
    One(fn(&NodeView<'_>) -> Result<Imported, ImportError>),
    /// Other operators put together.
    Several(fn(&NodeView<'_>) -> Result<Fragment, ImportError>),
}

struct Entry {
    domain: &'static str,
    name: &'static str,
    import: Import,
}

const fn entry(
    domain: &'static str,
    name: &'static str,
    import: fn(&NodeView<'_>) -> Result<Imported, ImportError>,
) -> Entry {
    Entry { domain, name, import: Import::One(import) }
}

/// An operator that is others put together, at least in some of its forms.
const fn several(
    domain: &'static str,
    name: &'static str,
    expand: fn(&NodeView<'_>) -> Result<Fragment, ImportError>,
) -> Entry {
    Entry { domain, name, import: Import::Several(expand) }
}

/// The name of a domain as the registry has it: the standard's own has two spellings.
pub(crate) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// The importer of an operator.
pub(crate) fn find(domain: &str, name: &str) -> Option<Import> {
    OPERATORS.iter().find(|entry| entry.name == name && entry.domain == domain).map(|entry| entry.import)
}

/// Domain and name of every operator; the standard's own domain is empty.
pub(super) fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATORS.iter().map(|entry| (entry.domain, entry.name))
}

/// The names of a domain's operators.
#[cfg(test)]
pub(crate) fn names(domain: &str) -> impl Iterator<Item = &'static str> {
    operators().filter(move |(of, _)| *of == domain).map(|(_, name)| name)
}

/// The standard's domain for what is no network.
const ML: &str = "ai.onnx.ml";
/// The domain of onnxruntime's own operators.
const MICROSOFT: &str = "com.microsoft";

// In alphabetical order.
static OPERATORS: &[Entry] = &[
    entry("", "Abs", unary::import),
    entry("", "Acos", unary::import),
    entry("", "Acosh", unary::import),
    entry("", "Add", binary::import),
    entry("", "AffineGrid", grid_sample::import_affine),
    entry("", "And", binary::import),
    entry("", "ArgMax", reduce::import_arg),
    entry("", "ArgMin", reduce::import_arg),
    entry("", "Asin", unary::import),
    entry("", "Asinh", unary::import),
    entry("", "Atan", unary::import),
    entry("", "Atanh", unary::import),
    entry("", "AveragePool", pool::import_average_pool),
    several("", "BatchNormalization", normalise::import_batch),
    several("", "Bernoulli", random::import_bernoulli),
    several("", "BlackmanWindow", mel::import_window),
    entry("", "BitShift", bits::import),
    entry("", "BitwiseAnd", bits::import),
    entry("", "BitwiseNot", bits::import_not),
    entry("", "BitwiseOr", bits::import),
    entry("", "BitwiseXor", bits::import),
    entry("", "Cast", cast::import_cast),
    entry("", "CastLike", cast::import_cast_like),
    entry("", "Ceil", unary::import),
    entry("", "Celu", unary::import),
    several("", "CenterCropPad", blocks::import_center_crop_pad),
    entry("", "Clip", binary::import_clip),
    entry("", "Col2Im", columns::import_col2im),
    several("", "Compress", nonzero::import_compress),
    entry("", "Concat", concat::import),
    entry("", "ConcatFromSequence", sequence::import_concat),
    entry("", "ConstantOfShape", shape::import_constant_of_shape),
    entry("", "Conv", conv::import_conv),
    entry("", "ConvInteger", conv::import_conv_integer),
    entry("", "ConvTranspose", conv::import_conv_transpose),
    entry("", "Cos", unary::import),
    entry("", "Cosh", unary::import),
    entry("", "CumSum", cumulative::import),
    several("", "DeformConv", columns::import_deform_conv),
    several("", "DepthToSpace", blocks::import_depth_to_space),
    entry("", "DequantizeLinear", quantize::import_dequantize),
    entry("", "Det", det::import),
    entry("", "DFT", fourier::import_dft),
    entry("", "Div", binary::import),
    several("", "Dropout", random::import_dropout),
    entry("", "DynamicQuantizeLinear", quantize::import_dynamic),
    entry("", "Einsum", einsum::import),
    entry("", "Elu", unary::import),
    entry("", "Equal", binary::import),
    entry("", "Erf", unary::import),
    entry("", "Exp", unary::import),
    entry("", "Expand", expand::import_expand),
    several("", "EyeLike", triangle::import_eye_like),
    entry("", "Flatten", reshape::import_flatten),
    entry("", "Floor", unary::import),
    entry("", "Gather", gather::import_gather),
    entry("", "GatherElements", gather::import_gather_elements),
    entry("", "GatherND", gather::import_gather_nd),
    entry("", "Gelu", unary::import),
    entry("", "Gemm", matmul::import_gemm),
    entry("", "GlobalAveragePool", pool::import_global),
    several("", "GlobalLpPool", pool::import_global_lp),
    entry("", "GlobalMaxPool", pool::import_global),
    entry("", "Greater", binary::import),
    entry("", "GreaterOrEqual", binary::import),
    entry("", "GridSample", grid_sample::import),
    several("", "GroupNormalization", normalise::import_group),
    entry("", "GRU", rnn::import_gru),
    several("", "HammingWindow", mel::import_window),
    several("", "HannWindow", mel::import_window),
    entry("", "Hardmax", hot::import_hardmax),
    entry("", "HardSigmoid", unary::import),
    entry("", "HardSwish", unary::import),
    entry("", "Identity", cast::import_identity),
    entry("", "If", control::import_if),
    entry("", "InstanceNormalization", norm::import_instance),
    entry("", "IsInf", unary::import),
    entry("", "IsNaN", unary::import),
    entry("", "LayerNormalization", norm::import_layer),
    entry("", "LeakyRelu", unary::import),
    entry("", "Less", binary::import),
    entry("", "LessOrEqual", binary::import),
    entry("", "Log", unary::import),
    entry("", "LogSoftmax", softmax::import),
    entry("", "Loop", loops::import_loop),
    several("", "LpNormalization", normalise::import_lp),
    entry("", "LpPool", pool::import_lp_pool),
    several("", "LRN", normalise::import_lrn),
    entry("", "LSTM", rnn::import_lstm),
    entry("", "MatMul", matmul::import_matmul),
    entry("", "MatMulInteger", matmul::import_matmul_integer),
    entry("", "Max", binary::import_variadic),
    entry("", "MaxPool", pool::import_max_pool),
    entry("", "MaxRoiPool", roi_pool::import),
    several("", "MaxUnpool", unpool::import),
    entry("", "Mean", binary::import_variadic),
    several("", "MeanVarianceNormalization", normalise::import_mean_variance),
    several("", "MelWeightMatrix", mel::import_mel),
    entry("", "Min", binary::import_variadic),
    entry("", "Mish", unary::import),
    entry("", "Mod", binary::import),
    entry("", "Mul", binary::import),
    several("", "Multinomial", random::import_multinomial),
    entry("", "Neg", unary::import),
    several("", "NegativeLogLikelihoodLoss", loss::import_nll),
    entry("", "NonMaxSuppression", regions::import_nms),
    entry("", "NonZero", nonzero::import),
    entry("", "Not", unary::import),
    several("", "OneHot", hot::import_one_hot),
    entry("", "Optional", optional::import_optional),
    entry("", "OptionalGetElement", optional::import_get),
    entry("", "OptionalHasElement", optional::import_has),
    entry("", "Or", binary::import),
    entry("", "Pad", pad::import),
    entry("", "Pow", binary::import),
    entry("", "PRelu", binary::import),
    entry("", "QLinearConv", conv::import_qlinear_conv),
    entry("", "QLinearMatMul", matmul::import_qlinear_matmul),
    entry("", "QuantizeLinear", quantize::import_quantize),
    several("", "RandomNormal", random::import),
    several("", "RandomNormalLike", random::import),
    several("", "RandomUniform", random::import),
    several("", "RandomUniformLike", random::import),
    entry("", "Range", shape::import_range),
    entry("", "Reciprocal", unary::import),
    entry("", "ReduceL1", reduce::import),
    entry("", "ReduceL2", reduce::import),
    entry("", "ReduceLogSum", reduce::import),
    entry("", "ReduceLogSumExp", reduce::import),
    entry("", "ReduceMax", reduce::import),
    entry("", "ReduceMean", reduce::import),
    entry("", "ReduceMin", reduce::import),
    entry("", "ReduceProd", reduce::import),
    entry("", "ReduceSum", reduce::import),
    entry("", "ReduceSumSquare", reduce::import),
    entry("", "RegexFullMatch", text::import_regex),
    entry("", "Relu", unary::import),
    entry("", "Reshape", reshape::import_reshape),
    entry("", "Resize", resize::import_resize),
    entry("", "ReverseSequence", reverse::import),
    entry("", "RNN", rnn::import_rnn),
    entry("", "RoiAlign", regions::import_roi_align),
    entry("", "Round", unary::import),
    several("", "Scan", scan::import),
    entry("", "Scatter", scatter::import_elements),
    entry("", "ScatterElements", scatter::import_elements),
    entry("", "ScatterND", scatter::import_nd),
    entry("", "Selu", unary::import),
    entry("", "SequenceAt", sequence::import_at),
    entry("", "SequenceConstruct", sequence::import_construct),
    entry("", "SequenceEmpty", sequence::import_empty),
    entry("", "SequenceErase", sequence::import_erase),
    entry("", "SequenceInsert", sequence::import_insert),
    entry("", "SequenceLength", sequence::import_length),
    several("", "SequenceMap", sequence::import_map),
    entry("", "Shape", shape::import_shape),
    several("", "Shrink", shrink::import),
    entry("", "Sigmoid", unary::import),
    entry("", "Sign", unary::import),
    several("", "SimplifiedLayerNormalization", skip_norm::import_simplified),
    entry("", "Sin", unary::import),
    entry("", "Sinh", unary::import),
    entry("", "Size", shape::import_size),
    entry("", "Slice", slice::import),
    entry("", "Softmax", softmax::import),
    several("", "SoftmaxCrossEntropyLoss", loss::import_cross_entropy),
    entry("", "Softplus", unary::import),
    entry("", "Softsign", unary::import),
    several("", "SpaceToDepth", blocks::import_space_to_depth),
    entry("", "Split", split::import),
    entry("", "SplitToSequence", sequence::import_split),
    entry("", "Sqrt", unary::import),
    entry("", "Squeeze", reshape::import_squeeze),
    entry("", "STFT", fourier::import_stft),
    entry("", "StringConcat", text::import_concat),
    entry("", "StringNormalizer", string_normalizer::import),
    entry("", "StringSplit", string_split::import),
    entry("", "Sub", binary::import),
    entry("", "Sum", binary::import_variadic),
    entry("", "Tan", unary::import),
    entry("", "Tanh", unary::import),
    entry("", "TfIdfVectorizer", tfidf::import),
    entry("", "ThresholdedRelu", unary::import),
    entry("", "Tile", expand::import_tile),
    entry("", "TopK", topk::import),
    entry("", "Transpose", transpose::import),
    entry("", "Trilu", triangle::import_trilu),
    entry("", "Unique", unique::import),
    entry("", "Unsqueeze", reshape::import_unsqueeze),
    entry("", "Upsample", resize::import_upsample),
    entry("", "Where", binary::import_where),
    entry("", "Xor", binary::import),
    // Of the standard's domain for what is no network.
    entry(ML, "ArrayFeatureExtractor", features::import_extractor),
    several(ML, "Binarizer", features::import_binarizer),
    entry(ML, "LabelEncoder", label_encoder::import),
    several(ML, "OneHotEncoder", features::import_one_hot),
    several(ML, "Scaler", features::import_scaler),
    entry(ML, "TreeEnsemble", trees::import),
    // Of onnxruntime's own domain.
    several(MICROSOFT, "Attention", attention::import),
    several(MICROSOFT, "BiasGelu", gelu::import),
    several(MICROSOFT, "DynamicQuantizeLSTM", qlinear::import_lstm),
    several(MICROSOFT, "DynamicQuantizeMatMul", qlinear::import_dynamic_matmul),
    several(MICROSOFT, "EmbedLayerNormalization", skip_norm::import_embed),
    several(MICROSOFT, "FastGelu", gelu::import),
    several(MICROSOFT, "FusedMatMul", matmul::import_fused),
    several(MICROSOFT, "Gelu", gelu::import),
    several(MICROSOFT, "MatMulIntegerToFloat", qlinear::import_matmul_to_float),
    several(MICROSOFT, "MatMulNBits", matmul_nbits::import),
    several(MICROSOFT, "MultiHeadAttention", attention::import_multi_head),
    several(MICROSOFT, "QLinearAdd", qlinear::import_binary),
    several(MICROSOFT, "QLinearAveragePool", qlinear::import_pool),
    several(MICROSOFT, "QLinearConcat", qlinear::import_concat),
    several(MICROSOFT, "QLinearGlobalAveragePool", qlinear::import_pool),
    several(MICROSOFT, "QLinearLeakyRelu", qlinear::import_unary),
    several(MICROSOFT, "QLinearMul", qlinear::import_binary),
    several(MICROSOFT, "QLinearSigmoid", qlinear::import_unary),
    several(MICROSOFT, "QLinearSoftmax", qlinear::import_softmax),
    several(MICROSOFT, "QuickGelu", gelu::import_quick),
    entry(MICROSOFT, "RotaryEmbedding", rotary::import),
    several(MICROSOFT, "SimplifiedLayerNormalization", skip_norm::import_simplified),
    several(MICROSOFT, "SkipLayerNormalization", skip_norm::import_skip),
    several(MICROSOFT, "SkipSimplifiedLayerNormalization", skip_norm::import_skip),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_is_listed_twice() {
        for (index, entry) in OPERATORS.iter().enumerate() {
            let again = OPERATORS[..index].iter().any(|e| e.name == entry.name && e.domain == entry.domain);
            assert!(!again, "{} {}", entry.domain, entry.name);
        }
    }
}
