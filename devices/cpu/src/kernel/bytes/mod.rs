//! Convolution and pooling of bytes whose channels lie innermost: what quantised models are made of.
//!
//! ```text
//!  ByteConv ─┬─ one channel in and out a group ─▶ depthwise (vectors along channels)
//!            └─ else ──────────────────────────▶ conv (pixels x channels, four taps a lane)
//!  ByteMaxPool ────────────────────────────────▶ pool
//!  ByteMean ───────────────────────────────────▶ mean
//! ```
//!
//! Products of bytes are added up in `i32`, exactly; [`finish`] turns sums into bytes again, so that between layers a quarter
//! of the memory goes to and fro. Signed images are read with their highest bit flipped, which adds 128 to them and to their
//! zero point; what the zero point adds to a sum depends only on the channel and is taken off beforehand. Where products read
//! bytes as signed ones ([`dots`]), it is unsigned images that are flipped. Where they read words, which is in browsers on
//! processors without AVX-VNNI and without relaxed SIMD, images are widened by the phase that adds padding, and weights beforehand.
//!
//! Where the run quantises dynamically, its scale and zero point are inputs ([`start`]) and results are real numbers, of which [`pool`] takes the
//! largest as it does of bytes.
//!
//! The pass `channels_last` makes these operators where [`pays`] says so.
//!
//! # Evidence
//!
//! Zen 5 server, one core, milliseconds, in turns with the peers in one run (floats are what this replaced: the same models
//! through `pair_quantize`):
//!
//! | model | floats | bytes | onnxruntime 1.31 | OpenVINO 2026.4 |
//! |---|---|---|---|---|
//! | ResNet-18, Q/DQ | 26.6 | 5.1 to 5.4 | 5.8 | 5.1 |
//! | MobileNetV2, Q/DQ | 8.5 | 1.8 to 2.0 | 2.2 | (wrong) |
//! | MTCNN O-Net, Q/DQ, 8 images | 2.3 | 0.47 | 2.7 | 0.80 |
//! | the same, dynamic | 2.2 | 0.46 | 4.2 | 3.5 |
//!
//! In V8 with relaxed SIMD where its products are `vpdpbusd` (processor time, beside onnxruntime-web 1.30): ResNet-18 from 135 to 40 ms
//! (62), MobileNetV2 from 45 to 16 (61), O-Net with one image from 2.1 to 1.2 (1.4).
//! O-Net quantised dynamically, eight images: from 14.9 to 3.8 (5.5).
//!
//! In V8 by words, as its product of bytes is not exact there (Zen 4 server, Node 24, one thread; the best of each, ms: floats, words,
//! onnxruntime-web 1.30):
//! ResNet-18 104, 53, 63; O-Net with eight images Q/DQ 8.5, 4.4, 8.7, QLinear 12.6, 4.5, 8.7 and dynamic 14.2, 4.3, 5.5;
//! MobileNetV2 25.0, 20.9, 69.
//!
//! Natively that is 0.7 Top/s over all of ResNet-18; floats reach 0.24 at most. What made the difference: a broadcast and its two products
//! as one block of assembly (without it LLVM loads all pixels of a tile first and keeps the sums in memory: ResNet-18 took
//! 8.9 ms), an address for every pixel instead of rows of a fixed width, and no closures over vectors in the depthwise loops
//! (MobileNetV2 took 3.1 ms).
//!
//! NEON with I8MM was read, not timed: a step of 12 pixels by 8 channels is 41 instructions (Rust 1.95), of which 24 are
//! `sudot` by element, each with four times the products of an `fmla`, and none touches the stack.
#![allow(unsafe_code)]

mod conv;
mod depthwise;
mod finish;
mod geometry;
mod mean;
mod micro;
mod pack;
mod pool;
mod start;
#[cfg(test)]
mod tests;

pub(super) use mean::mean;
pub(super) use pool::max_pool;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::op::ByteConv;

use crate::isa::{Isa, Level};
use crate::kernel::arguments::form;
use crate::kernel::{BuildError, Builder, Built};
use crate::pack::Numbers;
use crate::simd::{Dots, dots};
use conv::{Convolution, Problem, Sizes, WOVEN};
use depthwise::Depthwise;
use finish::{Finish, flip, raised};
use geometry::Geometry;
use pack::{Layout, Packed, again, pack};
use start::Start;

/// Whether quantised models are faster with these kernels than with floats.
pub(crate) fn pays(isa: Isa) -> bool {
    cfg!(all(target_arch = "wasm32", target_feature = "simd128"))
        || matches!(isa.level(), Level::Avx512Vnni | Level::NeonI8mm)
}

/// Builds the kernel of a [`ByteConv`].
pub(super) fn byte_conv(op: &ByteConv, node: &Builder<'_>) -> Built {
    let (x, w) = (node.input(0)?, node.input(1)?);
    let misfit =
        || form(format!("a convolution of bytes {} with {} in {} groups", x.shape, w.shape, op.group));
    let [features, depth, kernel @ ..] = &w.shape[..] else { return Err(misfit()) };
    let groups = op.group;
    let (geometry, output, channels) = if op.apart {
        let woven =
            woven(&x.shape).filter(|_| groups == 1 && (1..=WOVEN).contains(depth)).ok_or_else(misfit)?;
        let (geometry, output) = Geometry::new(&woven, &op.window, kernel, false, *features)?;
        (geometry, output, x.shape[1])
    } else {
        let (geometry, output) = Geometry::new(&x.shape, &op.window, kernel, false, *features)?;
        (geometry.flat(), output, geometry.channels)
    };
    let divides = groups > 0 && features % groups == 0 && depth.checked_mul(groups) == Some(channels);
    if !divides || *depth == 0 || node.output(0).1[..] != output[..] {
        return Err(misfit());
    }
    let dots = dots(node.isa);
    let signed = if dots == Dots::Signed { 0x80 } else { 0 };
    let problem = Problem {
        geometry,
        groups,
        features: features / groups,
        flip: flip(x.element) ^ signed,
        words: dots == Dots::Words,
        apart: op.apart.then_some(channels),
    };
    let weights =
        Weights::new(w.constant.ok_or_else(|| form("weights of bytes that change from run to run"))?);
    let mut layout = weights.layout(&problem, node.isa);
    let depthwise = depthwise::suits(&problem) && layout.again.is_empty();
    if depthwise {
        // As one group, whose channels fill vectors.
        (layout.groups, layout.features) = (1, *features);
        layout.places = depthwise::places(&problem);
    }
    let packed = weights.packed(&layout, node);
    let padded = layout.padded();
    let channels = Channels { groups: layout.groups, features: layout.features, padded };
    let init = channels.integers(node, 3)?;
    let start = if of_run(node)? {
        Start::of_run(init, packed.clone(), flip(x.element), i32::from(signed))
    } else {
        // What the zero point is once bytes are flipped and read.
        let center = raised(op.zero, flip(x.element)) - i32::from(signed);
        Start::constant(init, &packed, center, u8::try_from(op.zero & 0xff).expect("masked"))
    };
    let slope = if node.optional(4).is_some() { channels.floats(node, 4)? } else { Vec::new() };
    let residual = node.optional(5).map(|operand| (op.residual.0, op.residual.1, operand.element));
    if let Some(operand) = node.optional(5)
        && (operand.shape[..] != output[..] || !matches!(operand.element, ElementType::U8 | ElementType::I8))
    {
        return Err(form(format!("a residual of {} {}", operand.element, operand.shape)));
    }
    let vectors = [channels.floats(node, 2)?, channels.floats(node, 3)?, slope];
    let finish = Finish::new(vectors, op.rounding, residual, op.target, op.limits);
    if depthwise {
        return Ok(Depthwise::build(problem, packed, start, finish, node.isa));
    }
    Convolution::build(problem, &layout.again, packed, start, finish, node.isa).ok_or_else(misfit)
}

/// Whether the run brings the scale and the zero point of the image.
fn of_run(node: &Builder<'_>) -> Result<bool, BuildError> {
    let (Some(scale), Some(zero)) = (node.optional(6), node.optional(7)) else { return Ok(false) };
    let fits = scale.element == ElementType::F32 && zero.element == node.input(0)?.element;
    match fits && scale.shape.count() == 1 && zero.shape.count() == 1 {
        true => Ok(true),
        false => Err(form(format!("bytes of scale {} and zero point {}", scale.shape, zero.shape))),
    }
}

/// The shape of an image with its channels woven together.
fn woven(x: &Shape) -> Option<Shape> {
    let ([images, _, spatial @ ..], rank) = (&x[..], x.rank()) else { return None };
    let extents: Vec<usize> = [*images].into_iter().chain(spatial.iter().copied()).chain([WOVEN]).collect();
    Shape::new(&extents).ok().filter(|_| rank > 2)
}

/// The weights of a convolution.
struct Weights<'a> {
    tensor: &'a Tensor,
    /// Of an output channel.
    taps: usize,
}

impl<'a> Weights<'a> {
    fn new(tensor: &'a Tensor) -> Weights<'a> {
        Weights { tensor, taps: tensor.shape()[1..].iter().product() }
    }

    fn layout(&self, problem: &Problem, isa: Isa) -> Layout {
        let places = problem.places();
        let again = match Numbers::<i16>::of(self.tensor) {
            Some(values) if !problem.words() => {
                again(values.iter().copied().map(i32::from), self.taps, &places)
            }
            _ => Vec::new(),
        };
        let words = problem.words();
        let (groups, features, lanes) = (problem.groups, problem.features, Sizes::of(isa).lanes);
        Layout { groups, features, taps: self.taps, lanes, words, places, again }
    }

    /// Packed once for all plans and requests: the layout hangs on the lanes, the groups, and on which weights are
    /// neighbours.
    fn packed(&self, layout: &Layout, node: &Builder<'_>) -> Arc<Packed> {
        let sizes = [layout.lanes as u32, layout.groups as u32, layout.step() as u32];
        let parts = sizes.iter().chain(&layout.places);
        let tag =
            parts.fold(0x6279_7466, |tag: u64, part| tag.wrapping_mul(0x100_0000_01b3) ^ u64::from(*part));
        let lens = || layout.lens().to_vec();
        node.packs.get(self.tensor, tag, lens, |pace| {
            let (bytes, pairs) = (Numbers::<i8>::of(self.tensor), Numbers::<i16>::of(self.tensor));
            pack(
                layout.clone(),
                move |at| match (&bytes, &pairs) {
                    (Some(bytes), _) => i32::from(bytes[at]),
                    (_, Some(pairs)) => i32::from(pairs[at]),
                    _ => 0,
                },
                pace,
            )
        })
    }
}

/// The output channels, as they fill vectors.
struct Channels {
    groups: usize,
    features: usize,
    padded: usize,
}

impl Channels {
    /// One number a channel, filled up with zeros in each group.
    fn spread<T: Copy + Default>(&self, values: &[T]) -> Result<Vec<T>, BuildError> {
        if values.len() != self.groups * self.features {
            return Err(form(format!(
                "{} numbers for {} channels",
                values.len(),
                self.groups * self.features
            )));
        }
        let mut spread = alloc::vec![T::default(); self.groups * self.padded];
        let groups = spread.chunks_exact_mut(self.padded.max(1));
        for (to, from) in groups.zip(values.chunks_exact(self.features.max(1))) {
            to[..self.features].copy_from_slice(from);
        }
        Ok(spread)
    }

    /// The floats of a constant vector; zeros where it has integers.
    fn floats(&self, node: &Builder<'_>, index: usize) -> Result<Vec<f32>, BuildError> {
        self.of::<f32>(node, index, ElementType::F32)
    }

    /// The integers of a constant vector; zeros where it has floats.
    fn integers(&self, node: &Builder<'_>, index: usize) -> Result<Vec<i32>, BuildError> {
        self.of::<i32>(node, index, ElementType::I32)
    }

    fn of<T: inferry_core::Element + Default>(
        &self,
        node: &Builder<'_>,
        index: usize,
        element: ElementType,
    ) -> Result<Vec<T>, BuildError> {
        let operand = node.input(index)?;
        if operand.element != element {
            return Ok(alloc::vec![T::default(); self.groups * self.padded]);
        }
        let tensor =
            operand.constant.ok_or_else(|| form(format!("input {index} changes from run to run")))?;
        self.spread(&tensor.to_vec::<T>().map_err(|error| form(format!("{error}")))?)
    }
}
