//! Convolution with windows of 3 x 3 by Winograd: fewer multiplications for more additions.
//!
//! ```text
//!  image ─ n x n inputs of each tile ─▶ transformed ┐
//!                                                   ├─ n² products of matrices ─▶ back to m x m outputs of each tile
//!  weights (constant) ─ when packed ──▶ transformed ┘   (tiles x depth) · (depth x features)
//! ```
//!
//! Of m x m outputs each costs (m + 2)² / m² multiplications a channel instead of 9: 4 with m = 2, 2.25 with m = 4. The
//! transforms are additions, in vectors of channels ([`transform`]); so the image is turned to channels last on the way in
//! and back on the way out ([`tiles`]). A kernel's tile is a block of these tiles of one image with all features, whose
//! transformed inputs stay in the cache of who computes it. Where that would be too long a tile, or too few for two threads, all inputs
//! are transformed in a phase ahead, and a tile is a block with a run of features.
//!
//! What it does *not* do: strides, dilations, weights that are computed in the run or were quantized, and convolutions where
//! [`choice`] expects no gain. Transformed weights have 16 / 9 or 4 times the size of the weights.
//!
//! # Evidence
//!
//! Zen 5 server, 3.8 GHz, one core, AVX-512, against [`direct`](super::direct) and [`narrow`](super::narrow):
//!
//! | channels, features, outputs | before | m = 2 | m = 4 |
//! |---|---|---|---|
//! | 64, 64, 56 x 56 | 1.18 ms | | 0.37 ms |
//! | 128, 128, 28 x 28 | 1.15 ms | | 0.31 ms |
//! | 256, 256, 14 x 14 | 1.50 ms | 0.50 ms | 0.37 ms; within ResNet-18, whose weights are in no cache, m = 2 is faster |
//! | 512, 512, 7 x 7 | 1.05 ms | 1.08 ms | 1.08 ms |
//! | 64, 64, 128 x 128 | 6.8 ms | | 2.0 ms |
//! | 96, 24, 40 x 56 | 0.48 ms | 0.34 ms | 0.22 ms |
//! | 16, 16, 64 x 64 | 0.087 ms | 0.099 ms | 0.068 ms |
//!
//! ResNet-18 went from 24.2 to 16.6 ms. Of the time of its first kind 61 % are the products, at the peak of [`gemm`](crate::kernel::gemm);
//! the way in and the way out take a fifth each, mostly for writing to and reading from 36 places that the first level of cache does not hold.
//!
//! In V8 (relaxed SIMD, processor time in turns on a busy machine): ResNet-18 from 164 to 82 ms, M-LSD from 287 to 175; built for size
//! (level "s") it lost to the other ways. There each call for a few of a block's features transformed the block's inputs anew; since that is
//! done once, by long tiles or ahead, ResNet-18 takes 60 ms of processor time instead of 75, and with two threads 41 ms on the clock
//! (77 of processor time) instead of 79 (131).
#![allow(unsafe_code)]

mod choice;
#[cfg(test)]
mod tests;
mod tiles;
mod transform;
mod weights;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::Problem;
use super::geometry::Plane;
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::epilogue::Tail;
use crate::kernel::gemm::pack::Floats;
use crate::kernel::gemm::{Sizes, steps};
use crate::kernel::matmul::gigaflops;
use crate::kernel::{Builder, Kernel, Phase};
use crate::pack::Numbers;
use crate::simd;
use choice::{quantized, side};

/// True when some form of this is expected to be faster than the other ways.
pub(super) fn pays(problem: &Problem, plane: &Plane, node: &Builder<'_>) -> bool {
    let constant = node.input(1).ok().and_then(|operand| operand.constant);
    side(problem, plane, node.isa).is_some()
        && constant.is_some_and(|weights| !quantized(weights, problem.depth * 9))
}

/// Builds the kernel, or gives the tail back.
pub(super) fn build(
    problem: &Problem,
    plane: Plane,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    match side(problem, &plane, node.isa) {
        Some(side) => with_side(problem, plane, side, node, tail),
        None => Err(tail),
    }
}

/// As [`build`], for tiles of `side` x `side` outputs.
fn with_side(
    problem: &Problem,
    plane: Plane,
    side: usize,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    let Some(tensor) = node.input(1).ok().and_then(|operand| operand.constant) else { return Err(tail) };
    let Some(data) = Numbers::of(tensor) else { return Err(tail) };
    let sizes = Sizes::of(node.isa);
    let tables = [1, sizes.columns(), sizes.lanes].map(|step| steps(problem.depth, step));
    let [Some(left), Some(two), Some(one)] = tables else { return Err(tail) };
    let tag = 0x7769_6e6f << 24 ^ (sizes.lanes as u64) << 56 ^ (side as u64) << 16 ^ problem.groups as u64;
    let parts = || vec![4 * problem.groups * weights::group_len(problem, side, sizes)];
    let pack = |pace| weights::pack(problem.clone(), side, sizes, data, pace);
    let packed = node.packs.get(tensor, tag, parts, pack);
    let grid = Grid::new(problem, &plane, side, sizes, node.isa);
    let phases = grid.phases(problem, node.isa);
    let (isa, problem) = (node.isa, problem.clone());
    Ok(Box::new(Winograd { phases, isa, problem, plane, packed, left, right: [two, one], tail, grid }))
}

/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 60_000 };
/// Up to so many nanoseconds a tile may take with all features.
const WHOLE_NS: u64 = if cfg!(test) { 500 } else { 400_000 };
/// Numbers that all transformed inputs of a phase ahead may have together; with more each tile transforms its own.
const AHEAD: usize = if cfg!(test) { 200 << 10 } else { 8 << 20 };
/// Numbers that transformed inputs may have, so that they and a panel of products stay in the second level of cache. A quarter
/// of it took up to twice as long (weights are read for each block), four times of it up to a tenth longer.
const TRANSFORMED: usize = if cfg!(test) { 20 << 10 } else { 128 << 10 };

struct Winograd {
    phases: Vec<Phase>,
    isa: Isa,
    problem: Problem,
    plane: Plane,
    /// See [`weights`].
    packed: Arc<Floats>,
    /// The tables of transformed inputs, and of panels of weights of two vectors and of one.
    left: Vec<u32>,
    right: [Vec<u32>; 2],
    tail: Tail,
    grid: Grid,
}

/// How the outputs of one image and group are cut, and where the pieces of a block lie in scratch.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Outputs on a side of a tile: 2 or 4.
    side: usize,
    /// Tiles of a block, one below the other and side by side.
    rows: usize,
    columns: usize,
    row_blocks: usize,
    column_blocks: usize,
    /// Panels of features of a block.
    panels: usize,
    feature_blocks: usize,
    /// Vectors of channels of a tile of the phase that transforms the inputs ahead; 0 without one.
    ahead: usize,
    /// Numbers from one tile's transformed inputs to the next tile's.
    pitch: usize,
    /// Tiles from one of the n² products to the next.
    tiles: usize,
    /// Columns of a panel of features.
    width: usize,
    lanes: usize,
}

impl Grid {
    fn new(problem: &Problem, plane: &Plane, side: usize, sizes: Sizes, isa: Isa) -> Grid {
        let [all_rows, all_columns] = [plane.rows, plane.columns].map(|axis| axis.output.div_ceil(side));
        // An odd number of cache lines: neighbours do not compete for the same places of the cache.
        let pitch = (problem.depth.div_ceil(16) | 1) * 16;
        let most = (TRANSFORMED / ((side + 2) * (side + 2) * pitch)).max(1);
        let columns = all_columns.div_ceil(all_columns.div_ceil(most));
        let rows = if columns < all_columns { 1 } else { (most / columns).clamp(1, all_rows) };
        let row_blocks = match all_rows.div_ceil(rows) {
            1 => 1,
            // For two threads.
            odd => (odd + odd % 2).min(all_rows),
        };
        let rows = all_rows.div_ceil(row_blocks);
        let all_panels = problem.features.div_ceil(sizes.columns());
        let grid = Grid {
            side,
            rows,
            columns,
            row_blocks: all_rows.div_ceil(rows),
            column_blocks: all_columns.div_ceil(columns),
            panels: all_panels,
            feature_blocks: 1,
            ahead: 0,
            pitch,
            tiles: (rows * columns) | 1,
            width: sizes.columns(),
            lanes: sizes.lanes,
        };
        let panel = grid.nanoseconds(problem.depth, isa).max(1);
        if grid.blocks(problem) > 1 && panel * all_panels as u64 <= WHOLE_NS {
            return grid;
        }
        let panels = usize::try_from(TILE_NS / panel).map_or(all_panels, |most| most.clamp(1, all_panels));
        let feature_blocks = all_panels.div_ceil(panels);
        let panels = all_panels.div_ceil(feature_blocks);
        let few = grid.blocks(problem) * grid.transformed() <= AHEAD;
        let ahead = match feature_blocks > 1 && few {
            true => usize::try_from(TILE_NS / grid.forward(isa).max(1)).map_or(1, |most| most.max(1)),
            false => 0,
        };
        Grid { panels, feature_blocks, ahead, ..grid }
    }

    /// Blocks of all images and groups.
    fn blocks(&self, problem: &Problem) -> usize {
        problem.images * problem.groups * self.row_blocks * self.column_blocks
    }

    /// Tiles into which the inputs of a block are cut in the phase ahead.
    fn parts(&self, problem: &Problem) -> usize {
        problem.depth.div_ceil(self.lanes).div_ceil(self.ahead.max(1))
    }

    /// Roughly the nanoseconds of transforming a vector of channels of a block.
    fn forward(&self, isa: Isa) -> u64 {
        let multiplications = choice::transform(self.side) as usize * self.rows * self.columns * self.lanes;
        2 * multiplications as u64 / gigaflops(isa)
    }

    /// Roughly what the products of one panel take.
    fn nanoseconds(&self, depth: usize, isa: Isa) -> u64 {
        (2 * self.products() * self.rows * self.columns * depth * self.width) as u64 / gigaflops(isa)
    }

    fn phases(&self, problem: &Problem, isa: Isa) -> Vec<Phase> {
        let blocks = self.blocks(problem);
        let cost = self.nanoseconds(problem.depth, isa) * self.panels as u64;
        let products = Phase::tiles(blocks * self.feature_blocks, cost);
        match self.ahead {
            0 => vec![products],
            vectors => {
                let cost = self.forward(isa) * vectors as u64;
                vec![Phase::tiles(blocks * self.parts(problem), cost), products]
            }
        }
    }

    /// Products of matrices: n².
    fn products(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Numbers from one product's transformed inputs to the next one's.
    fn step(&self) -> usize {
        self.tiles * self.pitch
    }

    /// Numbers of a block's transformed inputs.
    fn transformed(&self) -> usize {
        self.products() * self.step()
    }

    /// Numbers from one product to the next.
    fn product(&self) -> usize {
        self.tiles * self.width
    }

    /// Inputs of a row under a block.
    fn line(&self) -> usize {
        self.columns * self.side + 2
    }

    /// Numbers of channels-last inputs, or outputs of a row of tiles, of a vector of channels.
    fn lines(&self) -> usize {
        let inputs = (self.rows * self.side + 2) * self.line();
        let outputs = self.side * (self.columns * self.side).next_multiple_of(self.lanes);
        inputs.max(outputs) * self.lanes
    }

    /// The parts of scratch: transformed inputs, products, lines.
    fn scratch(&self) -> [usize; 3] {
        let transformed = if self.ahead > 0 { 0 } else { self.transformed() };
        [transformed, self.products() * self.product(), self.lines()]
    }
}

impl Kernel for Winograd {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        self.grid.scratch().iter().sum::<usize>() * 4
    }

    fn workspace(&self) -> usize {
        if self.grid.ahead > 0 { self.grid.blocks(&self.problem) * self.grid.transformed() * 4 } else { 0 }
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let ahead = phase + 1 < self.phases.len();
        match (self.grid.side, ahead) {
            (2, true) => simd::dispatch(self.isa, tiles::Ahead::<2> { winograd: self, io }),
            (2, false) => simd::dispatch(self.isa, tiles::Tiles::<2> { winograd: self, io }),
            (_, true) => simd::dispatch(self.isa, tiles::Ahead::<4> { winograd: self, io }),
            (_, false) => simd::dispatch(self.isa, tiles::Tiles::<4> { winograd: self, io }),
        }
    }
}
