//! Convolution as a product of matrices: weights on the left, the image on the right.
//!
//! ```text
//!  channels x taps                 neighbouring outputs
//!  ┌──────────────────┐            ┌────────────┐
//!  │ packed weights   │  taps   x  │ region, by │
//!  │ (constant)       │ ───────▶   │ the table  │
//!  └──────────────────┘            └────────────┘
//! ```
//!
//! A tile is a block of output rows and columns of one image, for some or all channels. Its region is gathered into scratch
//! (a pointwise convolution of whole vectors reads the image where it is), then all channels of the tile are computed from it.
//! The columns of a product are neighbours of the output: either within one row of it, or, where rows are short, across
//! rows with the gap between them computed in vain and left out when results are stored.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;

use super::Problem;
use super::geometry::{Place, Plane, largest};
use super::region::{ALIASED, Region, SLACK};
use crate::io::{Io, Shared};
use crate::isa::Isa;
use crate::kernel::epilogue::Tail;
use crate::kernel::gemm::pack::{Floats, Matrix, pack_left, pack_left_paced};
use crate::kernel::gemm::{Init, Left, Right, Sizes, Tile, compute, steps};
use crate::kernel::matmul::gigaflops;
use crate::kernel::pointwise::Rows;
use crate::kernel::{Builder, Kernel, Phase};
use crate::pack::Numbers;
use crate::simd::{self, Simd, Vectorized};

/// Builds the kernel, or gives the tail back when a region would be absurdly large.
pub(super) fn build(
    problem: &Problem,
    plane: Plane,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    if problem.is_empty() {
        return Ok(Box::new(Nothing));
    }
    let sizes = Sizes::of(node.isa);
    let grid = Grid::new(problem, &plane, sizes, node.isa);
    let Some(region) = Region::new(&plane, problem.depth, grid.rows, grid.columns) else {
        return Err(tail);
    };
    let table = region.table(&plane);
    let depth = table.len();
    let height = sizes.even_rows(problem.features);
    let last = problem.features - (problem.features - 1) / height * height;
    let (Some(whole), Some(last)) = (steps(depth, height), steps(depth, last)) else { return Err(tail) };
    let panels = [whole, last];
    // Short vectors read a cache line in pieces, and the lines of all channels may drive each other out in between: in V8, 96
    // channels of 32 x 32 took 0.74 ms in place and 0.47 copied, 24 of 128 x 128 1.29 and 1.00.
    let thrashing = sizes.lanes < 8 && depth > WAYS && plane.input().is_multiple_of(ALIASED);
    let in_place = if plane.is_pointwise() && !thrashing { steps(depth, plane.input()) } else { None };
    let packed = node.input(1).ok().and_then(|operand| operand.constant).and_then(|tensor| {
        let data = Numbers::of(tensor)?;
        let tag = 0x636f_6e76 << 24 ^ (height as u64) << 16 ^ (problem.groups as u64) << 40;
        let len = 4 * data.len();
        let parts = || vec![len];
        Some(node.packs.get(tensor, tag, parts, |pace| pack(problem.clone(), [depth, height], data, pace)))
    });
    let across = Across::choose(&grid, &plane, &region, sizes);
    let scratch = region.len() + SLACK + sizes.rows * sizes.columns();
    let mut phases = vec![];
    if packed.is_none() {
        phases.push(Phase::tiles(problem.groups, (problem.features * depth) as u64));
    }
    phases.push(grid.phase(problem, depth, node.isa));
    let weights_first = problem.features * depth * 4 > LARGE_WEIGHTS || depth < SHALLOW;
    let (isa, problem) = (node.isa, problem.clone());
    Ok(Box::new(Direct {
        phases,
        scratch,
        isa,
        problem,
        plane,
        region,
        table,
        in_place,
        height,
        panels,
        packed,
        tail,
        grid,
        across,
        weights_first,
    }))
}

/// Lines that the first level of cache keeps of those whose addresses are [`ALIASED`], less what else is read.
const WAYS: usize = 6;
/// Weights of this many bytes are walked once a tile, rather than once for each few columns of it.
const LARGE_WEIGHTS: usize = 256 << 10;
/// With fewer taps than this, storing costs as much as multiplying, and stores are best that go on along the same few rows: a
/// pointwise convolution of 16 channels to 96, 65,536 outputs each, took 1.6 instead of 4.7 ms, one of 24 to 144 took 0.6
/// instead of 1.0 ms, a first layer of 36 taps 0.9 instead of 1.2; with 288 taps and more it was slower by up to a tenth.
const SHALLOW: usize = 192;
/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 60_000 };
/// Numbers that the region of a tile may have, so that it stays in the second level of cache.
const REGION: usize = 48 << 10;
/// Channels for which a region is gathered at least, if there are as many: otherwise gathering costs more than computing.
const FEATURES: usize = 64;

struct Direct {
    phases: Vec<Phase>,
    /// Numbers of scratch.
    scratch: usize,
    isa: Isa,
    problem: Problem,
    plane: Plane,
    region: Region,
    table: Vec<u32>,
    /// Where the channels of an image lie, when the image can be read where it is.
    in_place: Option<Vec<u32>>,
    /// Channels of each panel of weights but the last.
    height: usize,
    /// The tables of a whole panel and of the last.
    panels: [Vec<u32>; 2],
    /// The weights when they are constant; else they are packed into the workspace.
    packed: Option<Arc<Floats>>,
    tail: Tail,
    grid: Grid,
    across: Across,
    weights_first: bool,
}

/// How the outputs of one image and group are cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Grid {
    rows: usize,
    columns: usize,
    features: usize,
    /// Rows of a class are the spread of the plane apart.
    classes: usize,
    row_blocks: usize,
    column_blocks: usize,
    feature_blocks: usize,
}

impl Grid {
    fn new(problem: &Problem, plane: &Plane, sizes: Sizes, isa: Isa) -> Grid {
        let classes = plane.spread().min(plane.rows.output);
        let (all_rows, all_columns) = (plane.rows.output.div_ceil(plane.spread()), plane.columns.output);
        let depth = problem.depth * plane.taps();
        let cost = |outputs: usize, features: usize| nanoseconds(outputs, depth, features, isa);
        let fits = |rows: usize, columns: usize| {
            let region = Region::new(plane, problem.depth, rows, columns);
            region.is_some_and(|region| region.len() <= REGION)
                && cost(rows * columns, problem.features.min(FEATURES)) <= TILE_NS
        };
        let mut columns = all_columns;
        while columns > sizes.columns() && !fits(1, columns) {
            columns = columns.div_ceil(2).next_multiple_of(sizes.columns());
        }
        let columns = columns.min(all_columns);
        let rows = if columns < all_columns { 1 } else { largest(all_rows, |rows| fits(rows, columns)) };
        // Evenly, so that the last tile is not a stump.
        let rows = all_rows.div_ceil(all_rows.div_ceil(rows));
        let pieces = cost(rows * columns, problem.features).div_ceil(TILE_NS).max(1);
        let height = sizes.even_rows(problem.features);
        let most = problem.features.div_ceil(usize::try_from(pieces).unwrap_or(1));
        let features = most.next_multiple_of(height).min(problem.features);
        Grid {
            rows,
            columns,
            features,
            classes,
            row_blocks: all_rows.div_ceil(rows),
            column_blocks: all_columns.div_ceil(columns),
            feature_blocks: problem.features.div_ceil(features),
        }
    }

    fn phase(&self, problem: &Problem, depth: usize, isa: Isa) -> Phase {
        let blocks = self.classes * self.row_blocks * self.column_blocks * self.feature_blocks;
        let cost = nanoseconds(self.rows * self.columns, depth, self.features, isa);
        Phase::tiles(problem.images * problem.groups * blocks, cost)
    }
}

fn nanoseconds(outputs: usize, depth: usize, features: usize, isa: Isa) -> u64 {
    (2 * outputs * depth * features) as u64 / gigaflops(isa)
}

/// What the columns of the products are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Across {
    /// Outputs of one row.
    Row,
    /// All outputs of a tile, which lie one after the other in the region and in memory.
    Whole,
    /// All outputs of a tile, with gaps between the rows of the region.
    Gaps,
}

impl Across {
    fn choose(grid: &Grid, plane: &Plane, region: &Region, sizes: Sizes) -> Across {
        if plane.spread() > 1 {
            return Across::Row;
        }
        if region.pitch == grid.columns {
            return Across::Whole;
        }
        let by_row = grid.rows * grid.columns.div_ceil(sizes.lanes);
        let flat = ((grid.rows - 1) * region.pitch + grid.columns).div_ceil(sizes.lanes);
        // Storing around gaps costs a little.
        if flat + flat / 8 < by_row { Across::Gaps } else { Across::Row }
    }
}

async fn pack(problem: Problem, [depth, height]: [usize; 2], weights: Numbers, mut pace: Pace) -> Floats {
    let mut packed = Floats::zeros_paced(weights.len(), &mut pace).await;
    let size = problem.features * depth;
    for (group, to) in packed.as_mut().chunks_exact_mut(size.max(1)).enumerate() {
        pack_left_paced(weights_of(&problem, depth, &weights, group), height, to, &mut pace).await;
    }
    packed
}

fn weights_of<'a>(problem: &Problem, depth: usize, weights: &'a [f32], group: usize) -> Matrix<'a> {
    let data = &weights[group * problem.features * depth..];
    Matrix { data, rows: problem.features, columns: depth, row_stride: depth, column_stride: 1 }
}

/// One tile, as the loops below need it.
struct Work<'a> {
    image: usize,
    group: usize,
    place: Place,
    /// The channels of the group: the first and how many.
    features: (usize, usize),
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    right: Right,
    out: Shared<'a, f32>,
}

impl Direct {
    fn work<'a>(&self, io: &Io<'a>, tile: usize, weights: &'a [f32]) -> Work<'a> {
        let Grid { classes, row_blocks, column_blocks, feature_blocks, .. } = self.grid;
        let (rest, block) = (tile / feature_blocks, tile % feature_blocks);
        let (rest, column) = (rest / column_blocks, rest % column_blocks);
        let (rest, row) = (rest / row_blocks, rest % row_blocks);
        let (rest, class) = (rest / classes, rest % classes);
        let (image, group) = (rest / self.problem.groups, rest % self.problem.groups);
        let (row, column) = (class + row * self.grid.rows * self.plane.spread(), column * self.grid.columns);
        let left = self.plane.rows.output.saturating_sub(row).div_ceil(self.plane.spread());
        let place = Place {
            row,
            column,
            rows: self.grid.rows.min(left),
            columns: self.grid.columns.min(self.plane.columns.output - column),
        };
        let first = block * self.grid.features;
        let features = (first, self.grid.features.min(self.problem.features - first));
        let bias = self.problem.bias.then(|| &io.input::<f32>(2)[group * self.problem.features..]);
        let right = Right { start: core::ptr::null(), table: self.table.as_ptr() };
        Work { image, group, place, features, weights, bias, right, out: io.shared(0) }
    }

    /// Position in the output of the tile's first element of `channel`.
    fn output(&self, work: &Work<'_>, channel: usize) -> usize {
        let channel = (work.image * self.problem.groups + work.group) * self.problem.features + channel;
        channel * self.plane.output() + work.place.row * self.plane.columns.output + work.place.column
    }

    /// All products of a tile whose region is ready.
    #[inline(always)]
    fn products<S: Simd>(&self, simd: S, work: &Work<'_>, spare: &mut [f32]) {
        let sizes = Sizes { rows: crate::kernel::gemm::rows::<S>(), lanes: S::LANES };
        let Place { rows, columns, .. } = work.place;
        let (runs, len) = match self.across {
            Across::Row => (rows, columns),
            Across::Whole | Across::Gaps => (1, (rows - 1) * self.region.pitch + columns),
        };
        let pieces = len.div_ceil(sizes.columns());
        let panels = work.features.1.div_ceil(self.height);
        for index in 0..runs * pieces * panels {
            let (piece, panel) = if self.weights_first {
                (index % (runs * pieces), index / (runs * pieces))
            } else {
                (index / panels, index % panels)
            };
            let (run, column) = (piece / pieces, piece % pieces * sizes.columns());
            let at = run * self.region.pitch + column;
            let channel = work.features.0 + panel * self.height;
            let count = self.height.min(work.features.0 + work.features.1 - channel);
            let width = sizes.columns().min(len - column);
            let row = run * self.plane.spread() * self.plane.columns.output;
            let out = self.output(work, channel) + row + column;
            let gaps = self.across == Across::Gaps;
            let tile = Tile {
                depth: self.table.len(),
                left: Left {
                    start: work.weights[channel * self.table.len()..].as_ptr(),
                    table: self.panels[usize::from(count < self.height)].as_ptr(),
                    row: 1,
                },
                right: Right { start: work.right.start.wrapping_add(at), ..work.right },
                init: work.bias.map_or(Init::Zero, |bias| Init::Rows(bias[channel..].as_ptr())),
                clip: self.tail.clip,
                out: if gaps { spare.as_mut_ptr() } else { work.out.pointer(out) },
                out_row: if gaps { sizes.columns() } else { self.plane.output() },
                columns: width,
            };
            // SAFETY: `count` channels from `channel` on are in one packed panel; the region, or the image, can be read for
            // whole vectors; the output elements are this tile's alone, `spare` has room for a whole tile.
            unsafe { compute(simd, count, &tile) };
            if let Some(map) = self.tail.map {
                // SAFETY: what has just been computed.
                unsafe { map.rows(simd, Rows { start: tile.out, count, step: tile.out_row, len: width }) };
            }
            if gaps {
                // SAFETY: the channels are this tile's.
                unsafe { self.scatter(simd, work, channel..channel + count, column..column + width, spare) };
            }
        }
    }

    /// Stores a tile of products that lies in `spare`, but not the gaps between rows. `columns` count along the region.
    ///
    /// # Safety
    /// The outputs of `channels` at the tile's place belong to the caller.
    #[inline(always)]
    unsafe fn scatter<S: Simd>(
        &self,
        simd: S,
        work: &Work<'_>,
        channels: core::ops::Range<usize>,
        columns: core::ops::Range<usize>,
        spare: &[f32],
    ) {
        let pitch = self.region.pitch;
        let mut at = columns.start;
        while at < columns.end {
            let (row, column) = (at / pitch, at % pitch);
            let count = work.place.columns.saturating_sub(column).min(columns.end - at);
            for (index, channel) in channels.clone().enumerate().filter(|_| count > 0) {
                let start = self.output(work, channel) + row * self.plane.columns.output + column;
                let from = &spare[index * 2 * S::LANES + at - columns.start..][..count];
                // SAFETY: as this function.
                let to = unsafe { work.out.range(start..start + count) };
                simd.store_partial(simd.load_partial(from), to);
                if count > S::LANES {
                    simd.store_partial(simd.load_partial(&from[S::LANES..]), &mut to[S::LANES..]);
                }
            }
            at += (pitch - column).min(columns.end - at);
        }
    }

    /// Calls the epilogue on the outputs of a tile: one run a channel, since a tile has whole rows or part of one, except
    /// when its rows are no neighbours.
    fn finish(&self, io: &Io<'_>, work: &Work<'_>) {
        if self.tail.then.is_none() || self.tail.map.is_some() {
            return;
        }
        let Place { rows, columns, .. } = work.place;
        for channel in work.features.0..work.features.0 + work.features.1 {
            let (runs, len) = if self.plane.spread() == 1 { (1, rows * columns) } else { (rows, columns) };
            for run in 0..runs {
                let row = run * self.plane.spread() * self.plane.columns.output;
                let start = self.output(work, channel) + row;
                // SAFETY: these are the tile's own.
                let values = unsafe { work.out.range(start..start + len) };
                self.tail.apply(io, start, work.group * self.problem.features + channel, values);
            }
        }
    }
}

struct Tiles<'a, 'io> {
    direct: &'a Direct,
    io: &'a mut Io<'io>,
}

impl Vectorized for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { direct, io } = self;
        let Direct { problem, plane, region, grid, .. } = direct;
        let size = problem.features * direct.table.len();
        let scratch = io.scratch::<f32>();
        let (gathered, spare) = scratch.split_at_mut(region.len() + SLACK);
        let weights = match &direct.packed {
            Some(packed) => &packed[..],
            // SAFETY: the workspace is written in the phase before this one only.
            None => unsafe { io.read_workspace::<f32>() },
        };
        let mut ready = None;
        for tile in io.tiles() {
            let mut work = direct.work(io, tile, &[]);
            if work.place.rows == 0 {
                continue;
            }
            work.weights = &weights[work.group * size..][..size];
            let image = work.image * problem.groups + work.group;
            let input = &io.input::<f32>(0)[image * problem.depth * plane.input()..];
            match direct.in_place.as_ref().filter(|_| work.place.columns.is_multiple_of(S::LANES)) {
                Some(table) => {
                    let input = &input[..problem.depth * plane.input()];
                    work.right = Right { start: input[work.place.column..].as_ptr(), table: table.as_ptr() };
                }
                None => {
                    if ready != Some(tile / grid.feature_blocks) {
                        region.gather(simd, plane, input, work.place, gathered);
                        ready = Some(tile / grid.feature_blocks);
                    }
                    work.right.start = gathered.as_ptr();
                }
            }
            direct.products(simd, &work, spare);
            direct.finish(io, &work);
        }
    }
}

impl Kernel for Direct {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        let numbers = self.problem.groups * self.problem.features * self.table.len();
        if self.packed.is_some() { 0 } else { numbers * 4 }
    }

    fn scratch(&self) -> usize {
        self.scratch * 4
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase + 1 < self.phases.len() {
            let depth = self.table.len();
            let size = self.problem.features * depth;
            for group in io.tiles() {
                // SAFETY: each tile of this phase packs the weights of one group.
                let to = unsafe { io.shared_workspace::<f32>().range(group * size..(group + 1) * size) };
                pack_left(weights_of(&self.problem, depth, io.input::<f32>(1), group), self.height, to);
            }
            return;
        }
        simd::dispatch(self.isa, Tiles { direct: self, io });
    }
}

/// The kernel of an output without elements.
struct Nothing;

impl Kernel for Nothing {
    fn phases(&self) -> &[Phase] {
        &[]
    }

    fn run(&self, _phase: usize, _io: &mut Io<'_>) {}
}
