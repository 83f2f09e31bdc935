//! Kernels: the arithmetic of one operator, bound to its shapes, cut into tiles.
//!
//! A kernel is built once for a node whose shapes are known ([`Builder`]); everything that follows from shapes and weights
//! (blocking, packed weights, tables) is decided then. Running it only computes. It is cut into *phases*, each a counted
//! number of tiles; tiles of one phase are independent of each other, phases follow one another. A kernel starts no
//! threads and never looks at the stop flag: whoever runs the tiles does both (see `work`), so each kernel is plain serial
//! code over a range of tiles, and every kernel can be interrupted, resumed and spread over threads.
//!
//! One kernel a file: the reference loop first, fast paths below, both tested against each other.

mod any;
mod argreduce;
mod arguments;
mod attention;
mod batch_norm;
mod binary;
mod bits;
pub(crate) mod bytes;
mod cast;
mod choice;
mod columns;
mod constant;
mod conv;
mod conv_transpose;
pub(crate) mod copy;
mod cumulative;
mod det;
mod dynamic_quantize;
mod einsum;
pub mod epilogue;
pub mod fault;
mod fold;
mod fourier;
mod functions;
mod gather;
mod gemm;
mod grid_sample;
mod hot;
mod integer;
mod join;
mod label_encoder;
mod layer_norm;
mod lookup;
mod matmul;
mod matmul_nbits;
mod mel;
mod nms;
mod nonzero;
mod number;
mod order;
mod pad;
mod pointwise;
mod pool;
mod power;
pub(crate) mod program;
mod quantize;
mod quantize_float8;
mod random;
mod recurrent;
mod reduce;
mod repeat;
mod resize;
mod reverse;
mod roi_align;
mod roi_pool;
mod scales;
mod scatter;
mod simple;
mod sizes;
mod small;
mod softmax;
mod sort;
mod strided;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod tfidf;
mod topk;
mod transpose;
mod trees;
mod triangle;
mod unary;
mod unique;
mod unpool;
mod variadic;
mod vector;
mod walk;

pub(crate) use sizes::by_size;

use alloc::boxed::Box;
use alloc::string::String;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::op::{self, Op};
use inferry_engine::passes::OverBytes;

use crate::io::Io;
use crate::isa::Isa;
use crate::pack::Packs;

/// The arithmetic of one node. See the [module](self).
///
/// Two calls of [`Kernel::run`] with the same `phase` and disjoint tiles may happen at the same time, each with an [`Io`] of
/// its own. What the `Io` hands out safely cannot overlap; where a kernel uses its unsafe handles, it writes only what
/// its tiles own and reads nothing that another tile of the phase writes.
pub trait Kernel: Send + Sync {
    /// The phases, in order. Empty when there is nothing to do.
    fn phases(&self) -> &[Phase];

    /// Bytes that live while the node runs and are shared by all its tiles and phases; aligned to 64, not zeroed.
    fn workspace(&self) -> usize {
        0
    }

    /// Bytes that each thread has to itself during one call of `run`; aligned to 64, not zeroed, lost afterwards.
    fn scratch(&self) -> usize {
        0
    }

    /// After how many phases the kernel knows how large its outputs are; 0 when it was built knowing it.
    ///
    /// For operators whose outputs hang on the data ([`Op::data_sized`]). Until then the outputs have no elements, and the
    /// kernel writes to its workspace; then it is asked for their [shapes](Kernel::measured). Where the plan knew the
    /// shapes nobody asks, and the phases run as for any other kernel.
    fn measures_after(&self) -> usize {
        0
    }

    /// The shape of an output, from what the first phases left in the workspace.
    fn measured(&self, output: usize, workspace: &[u8]) -> Shape {
        let _ = (output, workspace);
        unreachable!("this kernel measures nothing")
    }

    /// Computes the tiles `io.tiles()` of a phase. Numbers that it cannot compute with are reported to [`Io::fail`].
    fn run(&self, phase: usize, io: &mut Io<'_>);
}

/// A counted number of independent tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// How many.
    pub tiles: usize,
    /// Roughly how many nanoseconds one tile takes on one thread of a current desktop processor. Only its magnitude
    /// matters: it decides how many tiles make a block and whether a block is worth spreading over threads. At most
    /// about a million (a millisecond).
    pub cost: u64,
    /// Tiles must run in order, one call at a time (a recurrence, a scan).
    pub serial: bool,
    /// Elements of output 0 that each tile owns when they lie one after the other, for [`Io::rows`]; else 0.
    pub unit: usize,
}

impl Phase {
    /// Independent tiles that own `unit` consecutive elements of output 0 each (the last may own fewer).
    pub fn rows(elements: usize, unit: usize, cost: u64) -> Phase {
        let unit = unit.max(1);
        Phase { tiles: elements.div_ceil(unit), cost: cost.max(1), serial: false, unit }
    }

    /// Independent tiles; the kernel says itself which elements each owns.
    pub fn tiles(tiles: usize, cost: u64) -> Phase {
        Phase { tiles, cost: cost.max(1), serial: false, unit: 0 }
    }

    /// Tiles that run in order, one at a time.
    pub fn serial(tiles: usize, cost: u64) -> Phase {
        Phase { tiles, cost: cost.max(1), serial: true, unit: 0 }
    }
}

/// What is known of an input when a kernel is built.
#[derive(Clone, Debug)]
pub struct Operand<'a> {
    /// Type of the elements.
    pub element: ElementType,
    /// The shape. The data are dense and row-major.
    pub shape: Shape,
    /// The value, when it is the same in every run.
    pub constant: Option<&'a Tensor>,
}

/// A node whose shapes are known, for which a kernel is to be built.
pub struct Builder<'a> {
    /// The inputs; `None` for one that is left out.
    pub inputs: &'a [Option<Operand<'a>>],
    /// Type and shape of each output. One that nobody reads is there too. What the kernel is to measure itself is an empty
    /// vector here.
    pub outputs: &'a [(ElementType, Shape)],
    /// The instructions that the kernel may use.
    pub isa: Isa,
    /// Packed constants, shared by all plans and requests of a compiled model.
    pub packs: &'a Packs,
}

impl<'a> Builder<'a> {
    /// An input that must be there.
    pub fn input(&self, index: usize) -> Result<&Operand<'a>, BuildError> {
        self.optional(index).ok_or(BuildError::Missing { input: index })
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<&Operand<'a>> {
        self.inputs.get(index)?.as_ref()
    }

    /// Type and shape of an output.
    pub fn output(&self, index: usize) -> &(ElementType, Shape) {
        &self.outputs[index]
    }
}

/// Why there is no kernel for a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A required input is not there.
    #[error("input {input} is missing")]
    Missing {
        /// Position of the input.
        input: usize,
    },
    /// No kernel for these element types.
    #[error("{op} of {element} is not implemented on the CPU device")]
    Element {
        /// Name of the operator.
        op: &'static str,
        /// The element type.
        element: ElementType,
    },
    /// A form of the operator that we do not have, or shapes that do not fit.
    #[error("{0}")]
    Form(String),
    /// No kernel for this operator at all.
    #[error("operator {0} is not implemented on the CPU device")]
    Operator(&'static str),
}

/// One line of the registry: an operator type and how its kernel is built.
pub struct Entry {
    matches: fn(&dyn Op) -> bool,
    build: fn(&dyn Op, &Builder<'_>) -> Built,
}

/// A kernel, or why there is none.
pub type Built = Result<Box<dyn Kernel>, BuildError>;

/// True for operators of which there are kernels.
pub fn knows(op: &dyn Op) -> bool {
    REGISTRY.iter().any(|entry| (entry.matches)(op))
}

/// The passes that make operators over bytes, where their kernels exist and pay.
pub(crate) fn over_bytes(isa: Isa) -> Option<&'static OverBytes> {
    bytes::pays(isa).then_some(&inferry_engine::passes::OVER_BYTES)
}

/// Builds the kernel of a node.
pub fn build(op: &dyn Op, node: &Builder<'_>) -> Built {
    let entry = REGISTRY.iter().find(|entry| (entry.matches)(op)).ok_or(BuildError::Operator(op.name()))?;
    (entry.build)(op, node)
}

/// An [`Entry`] for the operator `$op`, built by `$build: fn(&$op, &Builder) -> Result<Box<dyn Kernel>, BuildError>`.
macro_rules! entry {
    ($op:ty, $build:path) => {
        Entry {
            matches: |op| op.downcast::<$op>().is_some(),
            build: |op, node| $build(op.downcast::<$op>().expect("matched"), node),
        }
    };
}

/// Every operator that has a kernel: one line each.
static REGISTRY: &[Entry] = &[
    entry!(op::AffineGrid, grid_sample::affine_grid),
    entry!(op::Align, copy::align),
    entry!(op::ArgReduce, argreduce::arg_reduce),
    entry!(op::ArrayFeatureExtractor, gather::array_feature_extractor),
    entry!(op::AttentionMask, attention::attention_mask),
    entry!(op::AveragePool, pool::average_pool),
    entry!(op::BatchNormalization, batch_norm::batch_normalization),
    entry!(op::Binary, binary::binary),
    entry!(op::Bitwise, bits::bitwise),
    entry!(op::BitwiseNot, bits::not),
    entry!(op::ByteConv, bytes::byte_conv),
    entry!(op::ByteMaxPool, bytes::max_pool),
    entry!(op::ByteMean, bytes::mean),
    entry!(op::Cast, cast::cast),
    entry!(op::CastLike, cast::cast_like),
    entry!(op::Clip, choice::clip),
    entry!(op::Col2Im, columns::col2im),
    entry!(op::Concat, join::concat),
    entry!(op::ConstantOfShape, constant::constant_of_shape),
    entry!(op::Conv, conv::conv),
    entry!(op::ConvInteger, integer::conv_integer),
    entry!(op::ConvTranspose, conv_transpose::conv_transpose),
    entry!(op::CumSum, cumulative::cum_sum),
    entry!(op::DeformColumns, columns::deform_columns),
    entry!(op::DequantizeLinear, quantize::dequantize),
    entry!(op::Det, det::det),
    entry!(op::Dft, fourier::dft),
    entry!(op::Diagonal, triangle::diagonal),
    entry!(op::DynamicQuantizeLinear, dynamic_quantize::dynamic_quantize),
    entry!(op::Einsum, einsum::einsum),
    entry!(op::Elementwise, program::build_elementwise),
    entry!(op::Expand, strided::expand),
    entry!(op::Flatten, copy::flatten),
    entry!(op::Fused, program::build_fused),
    entry!(op::Gather, gather::gather),
    entry!(op::GatherElements, gather::gather_elements),
    entry!(op::GatherNd, gather::gather_nd),
    entry!(op::Gemm, matmul::gemm),
    entry!(op::GlobalPool, pool::global_pool),
    entry!(op::GridSample, grid_sample::grid_sample),
    entry!(op::Gru, recurrent::gru),
    entry!(op::Hardmax, hot::hardmax),
    entry!(op::Identity, copy::identity),
    entry!(op::InstanceNormalization, layer_norm::instance_normalization),
    entry!(op::LabelEncoder, label_encoder::label_encoder),
    entry!(op::LayerNormalization, layer_norm::layer_normalization),
    entry!(op::LpPool, pool::lp_pool),
    entry!(op::Lstm, recurrent::lstm),
    entry!(op::MatMul, matmul::matmul),
    entry!(op::MatMulInteger, integer::matmul_integer),
    entry!(op::MatMulNBits, matmul_nbits::matmul_nbits),
    entry!(op::MaxPool, pool::max_pool),
    entry!(op::MaxRoiPool, roi_pool::max_roi_pool),
    entry!(op::MaxUnpool, unpool::max_unpool),
    entry!(op::MelWeightMatrix, mel::mel_weight_matrix),
    entry!(op::MoveAxis, transpose::move_axis),
    entry!(op::Multinomial, random::multinomial),
    entry!(op::NonMaxSuppression, nms::non_max_suppression),
    entry!(op::OneHot, hot::one_hot),
    entry!(op::NonZero, nonzero::non_zero),
    entry!(op::Pad, pad::pad),
    entry!(op::QLinearConv, integer::qlinear_conv),
    entry!(op::QLinearMatMul, integer::qlinear_matmul),
    entry!(op::QuantizeLinear, quantize::quantize),
    entry!(op::Random, random::random),
    entry!(op::Range, constant::range),
    entry!(op::Reduce, reduce::reduce),
    entry!(op::RegexFullMatch, text::regex_full_match),
    entry!(op::Reshape, copy::reshape),
    entry!(op::Resize, resize::resize),
    entry!(op::ReverseSequence, reverse::reverse_sequence),
    entry!(op::RoiAlign, roi_align::roi_align),
    entry!(op::RotaryEmbedding, attention::rotary_embedding),
    entry!(op::ShapeOf, constant::shape),
    entry!(op::SizeOf, constant::size),
    entry!(op::Rnn, recurrent::rnn),
    entry!(op::ScatterElements, scatter::scatter_elements),
    entry!(op::ScatterNd, scatter::scatter_nd),
    entry!(op::Slice, strided::slice),
    entry!(op::Softmax, softmax::softmax),
    entry!(op::Split, join::split),
    entry!(op::SplitHeads, attention::split_heads),
    entry!(op::Squeeze, copy::squeeze),
    entry!(op::Stft, fourier::stft),
    entry!(op::StringConcat, text::string_concat),
    entry!(op::StringNormalizer, text::string_normalizer),
    entry!(op::StringSplit, text::string_split),
    entry!(op::TfIdf, tfidf::tf_idf),
    entry!(op::Tile, repeat::tile),
    entry!(op::TopK, topk::top_k),
    entry!(op::Transpose, transpose::transpose),
    entry!(op::TreeEnsemble, trees::tree_ensemble),
    entry!(op::Trilu, triangle::trilu),
    entry!(op::Unary, unary::unary),
    entry!(op::Unique, unique::unique),
    entry!(op::Unsqueeze, copy::unsqueeze),
    entry!(op::Variadic, variadic::variadic),
    entry!(op::Where, choice::choose),
];
