//! Convolution of few outputs: the image on the left of the product, weights on the right.
//!
//! Where an image has fewer outputs than a vector has lanes (a single pixel after a global pooling, the frames of a short
//! piece of sound), the vectors of [`direct`](super::direct) would be mostly empty. Here they run along the channels:
//!
//! ```text
//!            taps                        channels
//!  outputs ┌──────────────────┐        ┌──────────────┐
//!          │ region, by table │   x    │ weights,     │ taps
//!          └──────────────────┘        │ packed       │
//!                                      └──────────────┘
//! ```
//!
//! The result is channels-last and is turned round when it is stored. Columns of the region are not sorted by stride: rows of
//! the left factor may be any distance apart, so that a filter bank of long windows far apart is gathered by plain copies.
//!
//! # Evidence
//!
//! Zen 5, one core, AVX-512: pointwise convolutions of 7 x 7 reach 206 to 214 GFLOP/s (320 to 1280, 160 to 960, 960 to 160
//! channels), 111 to 125 while the turning went number by number.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;

use super::Problem;
use super::geometry::{Axis, Place, Plane};
use super::region::{Region, SLACK};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::epilogue::Tail;
use crate::kernel::gemm::pack::{Floats, Matrix, pack_right, right_len};
use crate::kernel::gemm::product::{Block, RightFactor, Tables, multiply};
use crate::kernel::gemm::{Init, Sizes};
use crate::kernel::matmul::gigaflops;
use crate::kernel::transpose::plane::{self, Planes};
use crate::kernel::{Builder, Kernel, Phase};
use crate::pack::Numbers;
use crate::simd::{self, Simd, Vectorized};

/// Whether vectors along the channels are so much fuller than vectors along the outputs that this path pays.
pub(super) fn pays(problem: &Problem, plane: &Plane, sizes: Sizes) -> bool {
    let (outputs, features) = (plane.output(), problem.features);
    let along_channels = outputs * features.div_ceil(sizes.lanes);
    let along_outputs = outputs.div_ceil(sizes.lanes) * features;
    outputs <= MOST_OUTPUTS && along_channels + along_channels / 6 < along_outputs && plane.spread() == 1
}

/// All outputs of an image are computed at once, so there must not be many.
const MOST_OUTPUTS: usize = 256;
/// Roughly the nanoseconds of a tile. In tests few channels are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 50_000 };

/// Builds the kernel, or gives the tail back when the weights come in the run or the region would be absurdly large.
pub(super) fn build(
    problem: &Problem,
    plane: Plane,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    let sizes = Sizes::of(node.isa);
    match parts(problem, plane, node, sizes) {
        None => Err(tail),
        Some((region, lines, tables, packed)) => {
            let depth = problem.depth * plane.taps();
            // Wide enough that a tile is worth handing out.
            let cost = |features: usize| (2 * plane.output() * depth * features) as u64 / gigaflops(node.isa);
            let tiles = usize::try_from(cost(problem.features) / TILE_NS).unwrap_or(1).max(1);
            let width = problem.features.div_ceil(tiles).next_multiple_of(sizes.columns());
            let blocks = problem.features.div_ceil(width);
            let phases = vec![Phase::tiles(problem.images * problem.groups * blocks, cost(width) + 1)];
            let (isa, problem) = (node.isa, problem.clone());
            Ok(Box::new(Narrow {
                phases,
                isa,
                problem,
                plane,
                lines,
                region,
                tables,
                packed,
                width,
                blocks,
                tail,
            }))
        }
    }
}

type Parts = (Region, Plane, Tables, Arc<Floats>);

fn parts(problem: &Problem, plane: Plane, node: &Builder<'_>, sizes: Sizes) -> Option<Parts> {
    // Every column under the outputs, as if the stride were 1.
    let under = (plane.columns.output - 1) * plane.columns.stride + 1;
    let lines = Plane { rows: plane.rows, columns: Axis { output: under, stride: 1, ..plane.columns } };
    let region = Region::new(&lines, problem.depth, plane.rows.output, under)?;
    let tables = Tables::with_left(region.table(&lines), sizes)?;
    let tensor = node.input(1).ok()?.constant?;
    let weights = Numbers::of(tensor)?;
    let tag = 0x6e61_7272 << 24 ^ (problem.groups as u64) << 56 ^ sizes.tag();
    let depth = problem.depth * plane.taps();
    let parts = || vec![4 * problem.groups * right_len(problem.features, depth, sizes)];
    let pack = |pace| pack(problem.clone(), depth, weights, sizes, pace);
    let packed = node.packs.get(tensor, tag, parts, pack);
    Some((region, lines, tables, packed))
}

async fn pack(problem: Problem, depth: usize, weights: Numbers, sizes: Sizes, mut pace: Pace) -> Floats {
    let size = right_len(problem.features, depth, sizes);
    let mut packed = Floats::zeros_paced(problem.groups * size, &mut pace).await;
    for (group, to) in packed.as_mut().chunks_exact_mut(size.max(1)).enumerate() {
        let data = &weights[group * problem.features * depth..];
        let matrix =
            Matrix { data, rows: depth, columns: problem.features, row_stride: 1, column_stride: depth };
        pack_right(matrix, sizes, to, &mut pace).await;
    }
    packed
}

struct Narrow {
    phases: Vec<Phase>,
    isa: Isa,
    problem: Problem,
    plane: Plane,
    /// The plane whose region is gathered.
    lines: Plane,
    region: Region,
    tables: Tables,
    packed: Arc<Floats>,
    /// Channels of a tile.
    width: usize,
    /// Tiles of a group.
    blocks: usize,
    tail: Tail,
}

impl Narrow {
    /// Rows of a product and how many products an image takes: one where the outputs lie at equal distances, else one for
    /// each row of the output.
    fn runs(&self) -> (usize, usize) {
        let Plane { rows, columns } = &self.plane;
        let even = columns.stride == 1 && self.region.pitch == columns.output;
        if even { (1, rows.output * columns.output) } else { (rows.output, columns.output) }
    }

    /// The channels `first..first + count` of a group, channels-last, to `out`.
    #[inline(always)]
    fn products<S: Simd>(
        &self,
        simd: S,
        io: &Io<'_>,
        group: usize,
        (first, count): (usize, usize),
        gathered: &[f32],
        out: &mut [f32],
    ) {
        let Problem { features, .. } = self.problem;
        let (runs, rows) = self.runs();
        let size = self.packed.len() / self.problem.groups;
        assert!(out.len() >= runs * rows * count && gathered.len() >= self.region.len());
        for run in 0..runs {
            let block = Block {
                left: gathered.as_ptr().wrapping_add(run * self.region.pitch),
                left_row: self.plane.columns.stride,
                right: RightFactor::Packed(&self.packed[group * size..][..size]),
                all_columns: features,
                tables: &self.tables,
                rows,
                first,
                columns: count,
                init: match self.problem.bias {
                    true => Init::Columns(io.input::<f32>(2)[group * features..][..features].as_ptr()),
                    false => Init::Zero,
                },
                clip: self.tail.clip,
                // The product counts its columns from those of the whole group.
                out: out.as_mut_ptr().wrapping_add(run * rows * count).wrapping_sub(first),
                out_row: count,
            };
            // SAFETY: the region has the rows of all outputs and the table is its own; `out` has room for all outputs of
            // these channels and is nobody else's.
            unsafe { multiply(simd, &block, &mut []) };
        }
    }
}

struct Tiles<'a, 'io> {
    narrow: &'a Narrow,
    io: &'a mut Io<'io>,
}

impl Vectorized for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { narrow, io } = self;
        let Narrow { problem, plane, lines, region, width, blocks, .. } = narrow;
        let scratch = io.scratch::<f32>();
        let (gathered, products) = scratch.split_at_mut(region.len() + SLACK);
        let outputs = plane.output();
        let mut ready = None;
        for tile in io.tiles() {
            let (image, first) = (tile / blocks, tile % blocks * width);
            let group = image % problem.groups;
            let count = (*width).min(problem.features - first);
            if ready != Some(image) {
                let place =
                    Place { row: 0, column: 0, rows: plane.rows.output, columns: lines.columns.output };
                let input = &io.input::<f32>(0)[image * problem.depth * plane.input()..];
                region.gather(simd, lines, input, place, gathered);
                ready = Some(image);
            }
            let products = &mut products[..outputs * count];
            narrow.products(simd, io, group, (first, count), gathered, products);
            let start = (image * problem.features + first) * outputs;
            // SAFETY: these channels are this tile's alone.
            let out = unsafe { io.shared::<f32>(0).range(start..start + outputs * count) };
            // Channels-last to channels-first.
            let planes = Planes { from_stride: count, to_stride: outputs, rows: count, columns: outputs };
            plane::transpose(narrow.isa, planes, products, out);
            if let Some(map) = narrow.tail.map {
                map.in_place(simd, out);
                continue;
            }
            for (index, values) in out.chunks_exact_mut(outputs).enumerate() {
                let channel = group * problem.features + first + index;
                narrow.tail.apply(io, start + index * outputs, channel, values);
            }
        }
    }
}

impl Kernel for Narrow {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        (self.region.len() + SLACK + self.plane.output() * self.width) * 4
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        simd::dispatch(self.isa, Tiles { narrow: self, io });
    }
}
