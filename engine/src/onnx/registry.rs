//! The operators we import: one line each. The importers live with their operators.

use super::error::ImportError;
use super::fragment::Fragment;
use super::node::{Imported, NodeView};
use crate::op::{
    binary, blocks, cast, concat, control, conv, expand, gather, loss, matmul, norm, normalise, pad, pool,
    quantize, reduce, reshape, resize, rnn, shape, slice, softmax, split, text, transpose, unary,
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

/// The names of the standard's own operators.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    operators().filter(|(domain, _)| domain.is_empty()).map(|(_, name)| name)
}

// In alphabetical order.
static OPERATORS: &[Entry] = &[
    entry("", "Abs", unary::import),
    entry("", "Acos", unary::import),
    entry("", "Acosh", unary::import),
    entry("", "Add", binary::import),
    entry("", "And", binary::import),
    entry("", "ArgMax", reduce::import_arg),
    entry("", "ArgMin", reduce::import_arg),
    entry("", "Asin", unary::import),
    entry("", "Asinh", unary::import),
    entry("", "Atan", unary::import),
    entry("", "Atanh", unary::import),
    entry("", "AveragePool", pool::import_average_pool),
    several("", "BatchNormalization", normalise::import_batch),
    entry("", "Cast", cast::import_cast),
    entry("", "CastLike", cast::import_cast_like),
    entry("", "Ceil", unary::import),
    entry("", "Celu", unary::import),
    several("", "CenterCropPad", blocks::import_center_crop_pad),
    entry("", "Clip", binary::import_clip),
    entry("", "Concat", concat::import),
    entry("", "ConstantOfShape", shape::import_constant_of_shape),
    entry("", "Conv", conv::import_conv),
    entry("", "ConvInteger", conv::import_conv_integer),
    entry("", "ConvTranspose", conv::import_conv_transpose),
    entry("", "Cos", unary::import),
    entry("", "Cosh", unary::import),
    several("", "DepthToSpace", blocks::import_depth_to_space),
    entry("", "DequantizeLinear", quantize::import_dequantize),
    entry("", "Div", binary::import),
    entry("", "Dropout", cast::import_dropout),
    entry("", "DynamicQuantizeLinear", quantize::import_dynamic),
    entry("", "Elu", unary::import),
    entry("", "Equal", binary::import),
    entry("", "Erf", unary::import),
    entry("", "Exp", unary::import),
    entry("", "Expand", expand::import_expand),
    entry("", "Flatten", reshape::import_flatten),
    entry("", "Floor", unary::import),
    entry("", "Gather", gather::import_gather),
    entry("", "GatherElements", gather::import_gather_elements),
    entry("", "GatherND", gather::import_gather_nd),
    entry("", "Gelu", unary::import),
    entry("", "Gemm", matmul::import_gemm),
    entry("", "GlobalAveragePool", pool::import_global),
    entry("", "GlobalMaxPool", pool::import_global),
    entry("", "Greater", binary::import),
    entry("", "GreaterOrEqual", binary::import),
    several("", "GroupNormalization", normalise::import_group),
    entry("", "GRU", rnn::import_gru),
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
    several("", "LpNormalization", normalise::import_lp),
    several("", "LRN", normalise::import_lrn),
    entry("", "LSTM", rnn::import_lstm),
    entry("", "MatMul", matmul::import_matmul),
    entry("", "MatMulInteger", matmul::import_matmul_integer),
    entry("", "Max", binary::import_variadic),
    entry("", "MaxPool", pool::import_max_pool),
    entry("", "Mean", binary::import_variadic),
    several("", "MeanVarianceNormalization", normalise::import_mean_variance),
    entry("", "Min", binary::import_variadic),
    entry("", "Mish", unary::import),
    entry("", "Mod", binary::import),
    entry("", "Mul", binary::import),
    entry("", "Neg", unary::import),
    several("", "NegativeLogLikelihoodLoss", loss::import_nll),
    entry("", "Not", unary::import),
    entry("", "Or", binary::import),
    entry("", "Pad", pad::import),
    entry("", "Pow", binary::import),
    entry("", "PRelu", binary::import),
    entry("", "QLinearConv", conv::import_qlinear_conv),
    entry("", "QLinearMatMul", matmul::import_qlinear_matmul),
    entry("", "QuantizeLinear", quantize::import_quantize),
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
    entry("", "Relu", unary::import),
    entry("", "Reshape", reshape::import_reshape),
    entry("", "Resize", resize::import_resize),
    entry("", "RNN", rnn::import_rnn),
    entry("", "Round", unary::import),
    entry("", "Selu", unary::import),
    entry("", "Shape", shape::import_shape),
    entry("", "Sigmoid", unary::import),
    entry("", "Sign", unary::import),
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
    entry("", "Sqrt", unary::import),
    entry("", "Squeeze", reshape::import_squeeze),
    entry("", "StringConcat", text::import_concat),
    entry("", "Sub", binary::import),
    entry("", "Sum", binary::import_variadic),
    entry("", "Tan", unary::import),
    entry("", "Tanh", unary::import),
    entry("", "ThresholdedRelu", unary::import),
    entry("", "Tile", expand::import_tile),
    entry("", "Transpose", transpose::import),
    entry("", "Unsqueeze", reshape::import_unsqueeze),
    entry("", "Upsample", resize::import_upsample),
    entry("", "Where", binary::import_where),
    entry("", "Xor", binary::import),
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
