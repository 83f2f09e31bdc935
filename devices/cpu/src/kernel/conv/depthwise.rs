//! Convolution where each channel is a world of its own: depthwise, with any number of output channels for each input channel.
//!
//! There is no sum over channels and so nothing to share between them: a channel is a few taps times its region, added up
//! in registers for as many vectors of outputs as keep the multipliers busy. A tile is some channels of one image, or a
//! block of rows of one channel; its region, gathered into scratch, stays in the first level of cache. Outputs are computed row
//! by row, or, where rows are short, across rows with the gaps left out when they are stored.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Problem;
use super::geometry::{Place, Plane, Region, SLACK};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::epilogue::Tail;
use crate::kernel::gemm::Sizes;
use crate::kernel::matmul::gigaflops;
use crate::kernel::{Builder, Kernel, Phase};
use crate::simd::{self, Simd, Vectorized};

/// Builds the kernel, or gives the tail back when a region would be absurdly large.
pub(super) fn build(
    problem: &Problem,
    plane: Plane,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    let sizes = Sizes::of(node.isa);
    let grid = Grid::new(problem, &plane, node.isa);
    let Some((region, table)) = Region::new(&plane, grid.rows, plane.columns.output)
        .and_then(|region| region.table(&plane, 1).map(|table| (region, table)))
    else {
        return Err(tail);
    };
    let phases = if problem.is_empty() { vec![] } else { vec![grid.phase(problem, &plane, node.isa)] };
    let by_row = grid.rows * plane.columns.output.div_ceil(sizes.lanes);
    let flat = ((grid.rows.max(1) - 1) * region.pitch + plane.columns.output).div_ceil(sizes.lanes);
    // Storing around gaps costs a little.
    let across = flat + flat / 4 < by_row;
    let (isa, problem) = (node.isa, problem.clone());
    Ok(Box::new(Depthwise { phases, isa, problem, plane, region, table, tail, grid, across }))
}

/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 50_000 };
/// Numbers that the region of a channel may have, so that it stays in the first level of cache.
const REGION: usize = if cfg!(test) { 256 } else { 6 << 10 };
/// Vectors of outputs that are accumulated at the same time.
const VECTORS: usize = 8;

struct Depthwise {
    phases: Vec<Phase>,
    isa: Isa,
    problem: Problem,
    plane: Plane,
    region: Region,
    table: Vec<u32>,
    tail: Tail,
    grid: Grid,
    /// Outputs are computed across rows.
    across: bool,
}

/// How the outputs of one image are cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Rows of a channel of which the region is gathered at once.
    rows: usize,
    row_blocks: usize,
    /// Blocks of rows of a tile, counted through all channels.
    blocks: usize,
    tiles: usize,
}

impl Grid {
    fn new(problem: &Problem, plane: &Plane, isa: Isa) -> Grid {
        let all = plane.rows.output.max(1);
        let fits = |rows| {
            let region = Region::new(plane, rows, plane.columns.output);
            region.is_some_and(|region| region.channel() <= REGION)
        };
        let rows = (1..=all).rev().find(|rows| fits(*rows)).unwrap_or(1);
        let rows = all.div_ceil(all.div_ceil(rows));
        let row_blocks = all.div_ceil(rows);
        let total = problem.groups * problem.features * row_blocks;
        let cost = nanoseconds(rows, plane, isa);
        let blocks = usize::try_from(TILE_NS / cost).unwrap_or(1).clamp(1, total.max(1));
        Grid { rows, row_blocks, blocks, tiles: total.div_ceil(blocks) }
    }

    fn phase(&self, problem: &Problem, plane: &Plane, isa: Isa) -> Phase {
        let cost = nanoseconds(self.rows, plane, isa) * self.blocks as u64;
        Phase::tiles(problem.images * self.tiles, cost)
    }
}

/// Roughly the nanoseconds of `rows` rows of a channel: a third of the speed of a matrix product, and the gathering.
fn nanoseconds(rows: usize, plane: &Plane, isa: Isa) -> u64 {
    (rows * plane.columns.output * (plane.taps() + 2) * 6) as u64 / gigaflops(isa) + 1
}

/// A block of rows of one channel, as the loops below need it.
struct Block<'a> {
    weights: &'a [f32],
    bias: f32,
    gathered: &'a [f32],
    rows: usize,
    out: &'a mut [f32],
}

struct Tiles<'a, 'io> {
    depthwise: &'a Depthwise,
    io: &'a mut Io<'io>,
}

impl Vectorized for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { depthwise, io } = self;
        let Depthwise { problem, plane, region, grid, .. } = depthwise;
        let gathered = io.scratch::<f32>();
        let channels = problem.groups * problem.features;
        let taps = plane.taps();
        let (input, weights) = (io.input::<f32>(0), io.input::<f32>(1));
        let bias = problem.bias.then(|| io.input::<f32>(2));
        let width = plane.columns.output;
        for tile in io.tiles() {
            let (image, tile) = (tile / grid.tiles, tile % grid.tiles);
            let last = ((tile + 1) * grid.blocks).min(channels * grid.row_blocks);
            let mut ready = None;
            for block in tile * grid.blocks..last {
                let (channel, row) = (block / grid.row_blocks, block % grid.row_blocks * grid.rows);
                let rows = grid.rows.min(plane.rows.output - row);
                let from = image * problem.groups + channel / problem.features;
                if ready != Some((from, row)) {
                    let place = Place { row, column: 0, rows, columns: width };
                    let input = &input[from * plane.input()..][..plane.input()];
                    region.gather(simd, plane, input, place, 1, gathered);
                    ready = Some((from, row));
                }
                let start = (image * channels + channel) * plane.output() + row * width;
                // SAFETY: the rows of this block are this tile's alone, and this is the only slice of them.
                let out = unsafe { io.shared::<f32>(0).range(start..start + rows * width) };
                depthwise.block(
                    simd,
                    Block {
                        weights: &weights[channel * taps..][..taps],
                        bias: bias.map_or(0.0, |bias| bias[channel]),
                        gathered,
                        rows,
                        out,
                    },
                );
                // SAFETY: as above; the slice that was passed on is gone.
                let out = unsafe { io.shared::<f32>(0).range(start..start + rows * width) };
                depthwise.tail.apply(io, start, channel, out);
            }
        }
    }
}

impl Depthwise {
    #[inline(always)]
    fn block<S: Simd>(&self, simd: S, block: Block<'_>) {
        let (width, pitch) = (self.plane.columns.output, self.region.pitch);
        let Block { rows, out, .. } = block;
        assert!(out.len() == rows * width && block.weights.len() == self.table.len());
        let taps = Taps {
            gathered: block.gathered,
            table: &self.table,
            weights: block.weights,
            bias: block.bias,
            clip: self.tail.clip,
        };
        if !self.across {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let mut at = 0;
                while at < width {
                    at += taps.widest(simd, row * pitch + at, &mut out[at..]);
                }
            }
            return;
        }
        let len = (rows - 1) * pitch + width;
        let mut spare = [0.0; VECTORS * 16];
        let mut at = 0;
        while at < len {
            let count = spare.len().min(len - at);
            let done = taps.widest(simd, at, &mut spare[..count]);
            scatter(simd, &spare[..done], at, pitch, width, out);
            at += done;
        }
    }
}

/// Copies outputs that lie at `at..` along a region to the rows of `out`, without the gaps.
#[inline(always)]
fn scatter<S: Simd>(simd: S, from: &[f32], at: usize, pitch: usize, width: usize, out: &mut [f32]) {
    let mut done = 0;
    while done < from.len() {
        let (row, column) = ((at + done) / pitch, (at + done) % pitch);
        let count = width.saturating_sub(column).min(from.len() - done);
        let mut copied = 0;
        while copied < count {
            let to = &mut out[row * width + column + copied..row * width + column + count];
            simd.store_partial(simd.load_partial(&from[done + copied..done + count]), to);
            copied += S::LANES;
        }
        done += pitch - column;
    }
}

/// The taps of one channel.
struct Taps<'a> {
    gathered: &'a [f32],
    table: &'a [u32],
    weights: &'a [f32],
    bias: f32,
    clip: Option<[f32; 2]>,
}

impl Taps<'_> {
    /// Computes outputs from place `at` of the region on, at most as many as `out` has. How many?
    #[inline(always)]
    fn widest<S: Simd>(&self, simd: S, at: usize, out: &mut [f32]) -> usize {
        match out.len().div_ceil(S::LANES) {
            0 => 0,
            1 => self.vectors::<S, 1>(simd, at, out),
            2 => self.vectors::<S, 2>(simd, at, out),
            3 => self.vectors::<S, 3>(simd, at, out),
            4 => self.vectors::<S, 4>(simd, at, out),
            5 => self.vectors::<S, 5>(simd, at, out),
            6 => self.vectors::<S, 6>(simd, at, out),
            7 => self.vectors::<S, 7>(simd, at, out),
            _ => self.vectors::<S, VECTORS>(simd, at, out),
        }
    }

    #[inline(always)]
    fn vectors<S: Simd, const N: usize>(&self, simd: S, at: usize, out: &mut [f32]) -> usize {
        let mut acc = [simd.splat(self.bias); N];
        for (place, weight) in self.table.iter().zip(self.weights) {
            let weight = simd.splat(*weight);
            let from = &self.gathered[*place as usize + at..][..N * S::LANES];
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc = simd.fma(weight, simd.load(&from[j * S::LANES..]), *acc);
            }
        }
        if let Some([low, high]) = self.clip {
            let (low, high) = (simd.splat(low), simd.splat(high));
            acc.iter_mut().for_each(|acc| *acc = simd.min(high, simd.max(low, *acc)));
        }
        if out.len() >= N * S::LANES {
            let out = &mut out[..N * S::LANES];
            acc.iter().enumerate().for_each(|(j, acc)| simd.store(*acc, &mut out[j * S::LANES..]));
            return N * S::LANES;
        }
        acc.iter().enumerate().for_each(|(j, acc)| simd.store_partial(*acc, &mut out[j * S::LANES..]));
        out.len()
    }
}

impl Kernel for Depthwise {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        (self.region.channel() + SLACK) * 4
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        simd::dispatch(self.isa, Tiles { depthwise: self, io });
    }
}
