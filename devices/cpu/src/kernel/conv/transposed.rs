//! ConvTranspose as convolutions of stride 1, one for each phase of the output.
//!
//! An output number at place `phase + stride · j` meets those taps of the kernel whose distance from it is a multiple of the
//! stride, each at input place `j + shift`. So each phase is a plain convolution with a few of the taps, and its products
//! are those of [`direct`](super::direct). What is left is to shuffle the phases of a row together when they are stored:
//!
//! ```text
//!  region of the input ─▶ products: phase 0  a0 a1 a2 …  ─┐
//!                                   phase 1  b0 b1 b2 …  ─┴▶ a0 b0 a1 b1 a2 b2 …  a row of the output
//! ```
//!
//! For windows of one or two dimensions and constant weights; no more than [`MOST_STRIDE`] phases a dimension.
//!
//! # Evidence
//!
//! Zen 5, one core, AVX-512, kernels of 2 x 2 with a stride of 2, against adding input rows onto output rows tap by tap:
//! 24 to 24 channels on 40 x 56 took 0.18 ms instead of 2.4, 24 to 1 on 80 x 112 0.10 instead of 0.45, and the whole PP-OCRv4
//! detector 3.4 ms instead of 5.3.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;

use super::geometry::{Axis, Place, Plane, largest};
use super::region::{Region, SLACK};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::conv_transpose::Problem;
use crate::kernel::epilogue::Tail;
use crate::kernel::gemm::pack::Floats;
use crate::kernel::gemm::{Init, Left, Right, Sizes, Tile, compute, steps};
use crate::kernel::matmul::gigaflops;
use crate::kernel::vector::store;
use crate::kernel::{Builder, Kernel, Phase};
use crate::pack::Numbers;
use crate::simd::{self, Simd, Vectorized};

/// Phases that a dimension may have.
const MOST_STRIDE: usize = 16;
/// Places of the input that one output may look at in a dimension.
const MOST_SPAN: usize = 64;
/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 60_000 };
/// Numbers that the region of a tile may have, so that it stays in the second level of cache.
const REGION: usize = 48 << 10;
/// Numbers of the products of one piece of a row, so that they stay in the first level of cache.
const SPARE: usize = 6 << 10;

/// Builds the kernel, or gives the tail back when this convolution is not for it.
pub(in crate::kernel) fn build(
    problem: &Problem,
    node: &Builder<'_>,
    tail: Tail,
) -> Result<Box<dyn Kernel>, Tail> {
    match Transposed::new(problem, node) {
        Some(kernel) => Ok(Box::new(Transposed { tail, ..kernel })),
        None => Err(tail),
    }
}

/// One dimension.
#[derive(Clone, Debug)]
struct Side {
    input: usize,
    output: usize,
    /// For each phase its taps, and how far from place `j` each looks.
    phases: Vec<Vec<(usize, isize)>>,
    /// The least of these shifts.
    first: isize,
    /// Places from the least to the greatest shift.
    span: usize,
}

impl Side {
    const SINGLE: [usize; 6] = [1, 1, 1, 1, 1, 0];

    fn new([input, output, kernel, stride, dilation, begin]: [usize; 6]) -> Option<Side> {
        if stride == 0 || stride > MOST_STRIDE || kernel == 0 || input == 0 || output == 0 {
            return None;
        }
        let signed = |number: usize| isize::try_from(number).ok();
        let (step, dilation, begin) = (signed(stride)?, signed(dilation)?, signed(begin)?);
        let reach = signed(kernel)?.checked_mul(dilation)?.checked_add(begin)?.checked_add(step)?;
        if reach > isize::try_from(MOST_SPAN * MOST_STRIDE).ok()? {
            return None;
        }
        let taps = |phase: isize| {
            (0..kernel).filter_map(move |tap| {
                let distance = phase + begin - tap as isize * dilation;
                (distance.rem_euclid(step) == 0).then_some((tap, distance.div_euclid(step)))
            })
        };
        let phases: Vec<Vec<_>> = (0..step).map(|phase| taps(phase).collect()).collect();
        let shifts = || phases.iter().flatten().map(|(_, shift)| *shift);
        let (first, last) = (shifts().min()?, shifts().max()?);
        let span = usize::try_from(last - first).ok()? + 1;
        (span <= MOST_SPAN).then_some(Side { input, output, phases, first, span })
    }

    fn stride(&self) -> usize {
        self.phases.len()
    }

    /// Places `j` of each phase; some phases may have one less.
    fn places(&self) -> usize {
        self.output.div_ceil(self.stride())
    }

    /// As the axis of a region: the places that outputs look at, from the first on.
    fn axis(&self) -> Axis {
        let begin = usize::try_from(-self.first).unwrap_or(0);
        Axis { input: self.input, output: self.places(), kernel: self.span, stride: 1, dilation: 1, begin }
    }

    /// Where a region begins for outputs from place `j` on, as the axis counts.
    fn place(&self, j: usize) -> usize {
        j + usize::try_from(self.first).unwrap_or(0)
    }
}

/// A phase in both dimensions.
struct Part {
    /// Where the right factor of each place of the inner dimension lies in the region.
    table: Vec<u32>,
    /// The tables of a whole panel of weights, and of the last.
    panels: [Vec<u32>; 2],
    /// Where its weights begin.
    weights: usize,
}

struct Transposed {
    phases: Vec<Phase>,
    isa: Isa,
    shape: Shape,
    plane: Plane,
    region: Region,
    parts: Vec<Part>,
    packed: Arc<Floats>,
    /// Channels of each panel of weights but the last.
    height: usize,
    grid: Grid,
    tail: Tail,
}

/// What is convolved.
#[derive(Clone, Debug)]
struct Shape {
    groups: usize,
    /// Input and output channels of a group.
    depth: usize,
    features: usize,
    biased: bool,
    rows: Side,
    columns: Side,
}

impl Shape {
    fn new(problem: &Problem) -> Option<Shape> {
        let window = &problem.window;
        let side = |dim: usize| {
            let (output, kernel, stride) = (window.output[dim], window.kernel[dim], window.strides[dim]);
            Side::new([problem.input[dim], output, kernel, stride, window.dilations[dim], window.begins[dim]])
        };
        let (rows, columns) = match problem.input.len() {
            1 => (Side::new(Side::SINGLE)?, side(0)?),
            2 => (side(0)?, side(1)?),
            _ => return None,
        };
        let (depth, features) = (problem.inputs / problem.groups, problem.outputs / problem.groups);
        let (groups, biased) = (problem.groups, problem.biased);
        let shape = Shape { groups, depth, features, biased, rows, columns };
        (depth > 0 && features > 0 && problem.images > 0).then_some(shape)
    }

    /// All phases.
    fn parts(&self) -> usize {
        self.rows.stride() * self.columns.stride()
    }

    /// The taps of a phase: for rows and columns the tap and its shift.
    fn taps(&self, part: usize) -> impl Iterator<Item = [(usize, isize); 2]> + '_ {
        let (py, px) = (part / self.columns.stride(), part % self.columns.stride());
        let columns = &self.columns.phases[px];
        self.rows.phases[py].iter().flat_map(move |row| columns.iter().map(move |column| [*row, *column]))
    }

    /// Extent of the inner dimension of a phase.
    fn inner(&self, part: usize) -> usize {
        self.depth * self.taps(part).count()
    }

    /// Where the weights of a phase begin among the packed ones.
    fn weights(&self, part: usize) -> usize {
        (0..part).map(|part| self.inner(part)).sum::<usize>() * self.groups * self.features
    }

    /// Rearranges weights `[inputs, features, kernel]`: by phase and group, in panels of `height` channels.
    async fn pack(self, kernel: [usize; 2], height: usize, weights: Numbers, mut pace: Pace) -> Floats {
        let mut packed = Floats::zeros_paced(self.weights(self.parts()), &mut pace).await;
        let mut slots = packed.as_mut().iter_mut();
        let size = kernel[0] * kernel[1];
        for part in 0..self.parts() {
            let taps: Vec<usize> = self.taps(part).map(|[(y, _), (x, _)]| y * kernel[1] + x).collect();
            for group in 0..self.groups {
                for first in (0..self.features).step_by(height) {
                    let channels = first..(first + height).min(self.features);
                    for input in group * self.depth..(group + 1) * self.depth {
                        for tap in &taps {
                            for channel in channels.clone() {
                                let from = (input * self.features + channel) * size + tap;
                                *slots.next().expect("as many as counted") = weights[from];
                            }
                        }
                    }
                    pace.spend((2 * self.inner(part) * channels.len()) as u64).await;
                }
            }
        }
        packed
    }
}

/// How the outputs of one image and group are cut into tiles; rows and columns are places of the phases.
#[derive(Clone, Copy, Debug)]
struct Grid {
    rows: usize,
    columns: usize,
    features: usize,
    row_blocks: usize,
    column_blocks: usize,
    feature_blocks: usize,
}

impl Grid {
    fn new(shape: &Shape, plane: &Plane, sizes: Sizes, cost: impl Fn(usize) -> u64) -> Grid {
        let height = sizes.even_rows(shape.features);
        let share = SPARE / (shape.parts() * sizes.columns());
        let most = (share / height * height).max(height).min(shape.features);
        let fits = |rows: usize, columns: usize, features: usize| {
            let region = Region::new(plane, shape.depth, rows, columns);
            region.is_some_and(|region| region.len() <= REGION) && cost(rows * columns * features) <= TILE_NS
        };
        let (all_rows, all_columns) = (plane.rows.output, plane.columns.output);
        let mut columns = all_columns;
        while columns > sizes.columns() && !fits(1, columns, height.min(most)) {
            columns = columns.div_ceil(2).next_multiple_of(sizes.columns());
        }
        let columns = columns.min(all_columns);
        let mut features = most;
        while features > height && !fits(1, columns, features) {
            features = (features / 2).next_multiple_of(height);
        }
        let rows =
            if columns < all_columns { 1 } else { largest(all_rows, |rows| fits(rows, columns, features)) };
        // Evenly, so that the last tile is not a stump.
        let rows = all_rows.div_ceil(all_rows.div_ceil(rows));
        Grid {
            rows,
            columns,
            features,
            row_blocks: all_rows.div_ceil(rows),
            column_blocks: all_columns.div_ceil(columns),
            feature_blocks: shape.features.div_ceil(features),
        }
    }
}

impl Transposed {
    /// The kernel without its tail.
    fn new(problem: &Problem, node: &Builder<'_>) -> Option<Transposed> {
        let shape = Shape::new(problem)?;
        let sizes = Sizes::of(node.isa);
        let plane = Plane { rows: shape.rows.axis(), columns: shape.columns.axis() };
        let inner: usize = (0..shape.parts()).map(|part| shape.inner(part)).sum();
        let cost = |outputs: usize| (2 * inner * outputs) as u64 / gigaflops(node.isa) + 1;
        let grid = Grid::new(&shape, &plane, sizes, cost);
        let region = Region::new(&plane, shape.depth, grid.rows, grid.columns)?;
        let height = sizes.even_rows(shape.features);
        let last = shape.features - (shape.features - 1) / height * height;
        let places = region.table(&plane);
        let parts = (0..shape.parts()).map(|part| {
            let channel =
                |channel: usize| shape.taps(part).map(move |[(_, y), (_, x)]| [channel as isize, y, x]);
            let at = |[channel, y, x]: [isize; 3]| {
                let (y, x) = (y - shape.rows.first, x - shape.columns.first);
                let row = channel * shape.rows.span as isize + y;
                places[(row * shape.columns.span as isize + x) as usize]
            };
            let table: Vec<u32> = (0..shape.depth).flat_map(channel).map(at).collect();
            let panels = [steps(table.len(), height)?, steps(table.len(), last)?];
            Some(Part { table, panels, weights: shape.weights(part) })
        });
        let parts: Vec<Part> = parts.collect::<Option<_>>()?;
        let tensor = node.input(1).ok()?.constant?;
        let weights = Numbers::of(tensor)?;
        let kernel = match problem.window.kernel[..] {
            [columns] => [1, columns],
            [rows, columns] => [rows, columns],
            _ => return None,
        };
        let window = [shape.parts(), shape.rows.stride(), problem.window.begins[0], problem.groups];
        let tag = window.iter().fold(0x7472_616e ^ height as u64, |tag, n| tag.rotate_left(13) ^ *n as u64);
        let lens = || vec![4 * shape.weights(shape.parts())];
        let packed =
            node.packs.get(tensor, tag, lens, |pace| shape.clone().pack(kernel, height, weights, pace));
        let blocks = grid.row_blocks * grid.column_blocks * grid.feature_blocks;
        let cost = cost(grid.rows * grid.columns * grid.features);
        let phases = vec![Phase::tiles(problem.images * shape.groups * blocks, cost)];
        let (isa, tail) = (node.isa, Tail::default());
        Some(Transposed { phases, isa, shape, plane, region, parts, packed, height, grid, tail })
    }

    /// Position in the output of a row of a channel, counted through all groups and images.
    fn output(&self, channel: usize, row: usize) -> usize {
        (channel * self.shape.rows.output + row) * self.shape.columns.output
    }

    /// All phases of a piece of a row of places: channels `first..first + count` of the group, to `to`.
    #[inline(always)]
    fn products<S: Simd>(
        &self,
        simd: S,
        group: usize,
        (first, count): (usize, usize),
        right: *const f32,
        columns: usize,
        to: &mut [f32],
    ) {
        let Shape { features, .. } = self.shape;
        let all = self.parts.len();
        for (index, part) in self.parts.iter().enumerate() {
            let inner = part.table.len();
            for channel in (first..first + count).step_by(self.height) {
                let rows = self.height.min(first + count - channel);
                let weights = part.weights + (group * features + channel) * inner;
                let out = &mut to[((channel - first) * all + index) * 2 * S::LANES..];
                assert!(out.len() >= ((rows - 1) * all + 1) * 2 * S::LANES);
                let tile = Tile {
                    depth: inner,
                    left: Left {
                        start: self.packed[weights..weights + rows * inner].as_ptr(),
                        table: part.panels[usize::from(rows < self.height)].as_ptr(),
                        row: 1,
                    },
                    right: Right { start: right, table: part.table.as_ptr() },
                    init: Init::Zero,
                    clip: None,
                    out: out.as_mut_ptr(),
                    out_row: all * 2 * S::LANES,
                    columns,
                };
                // SAFETY: the channels are in one packed panel, of which the table is; the region can be read for whole
                // vectors at all places of the table; `to` has the rows.
                unsafe { compute(simd, rows, &tile) };
            }
        }
    }
}

/// A tile, as the loops below need it.
struct Work<'a, 'io> {
    io: &'a Io<'io>,
    image: usize,
    group: usize,
    place: Place,
    /// Channels of the group: the first and how many.
    features: (usize, usize),
}

impl Transposed {
    fn work<'a, 'io>(&self, io: &'a Io<'io>, tile: usize) -> Work<'a, 'io> {
        let Grid { row_blocks, column_blocks, feature_blocks, .. } = self.grid;
        let (rest, block) = (tile / feature_blocks, tile % feature_blocks);
        let (rest, column) = (rest / column_blocks, rest % column_blocks * self.grid.columns);
        let (rest, row) = (rest / row_blocks, rest % row_blocks * self.grid.rows);
        let place = Place {
            row,
            column,
            rows: self.grid.rows.min(self.plane.rows.output - row),
            columns: self.grid.columns.min(self.plane.columns.output - column),
        };
        let first = block * self.grid.features;
        let features = (first, self.grid.features.min(self.shape.features - first));
        Work { io, image: rest / self.shape.groups, group: rest % self.shape.groups, place, features }
    }

    /// The channel of all channels of the image that is number `index` of a tile, and the same counted through the images.
    fn channel(&self, work: &Work<'_, '_>, index: usize) -> (usize, usize) {
        let channel = work.group * self.shape.features + work.features.0 + index;
        (channel, work.image * self.shape.groups * self.shape.features + channel)
    }

    /// Shuffles the phases of a piece of row `j` together and stores them, `columns` places from `column` on.
    #[inline(always)]
    fn store<S: Simd>(
        &self,
        simd: S,
        work: &Work<'_, '_>,
        j: usize,
        column: usize,
        columns: usize,
        from: &[f32],
    ) {
        let Shape { rows, columns: across, biased, .. } = &self.shape;
        let (down, stride) = (rows.stride(), across.stride());
        let start = column * stride;
        let len = (columns * stride).min(across.output - start);
        let out = work.io.shared::<f32>(0);
        for (index, from) in from.chunks_exact(down * stride * 2 * S::LANES).take(work.features.1).enumerate()
        {
            let (channel, counted) = self.channel(work, index);
            let bias = if *biased { work.io.input::<f32>(2)[channel] } else { 0.0 };
            for (phase, from) in from.chunks_exact(stride * 2 * S::LANES).enumerate() {
                let row = j * down + phase;
                if row >= rows.output {
                    continue;
                }
                let at = self.output(counted, row) + start;
                // SAFETY: this piece of the row is the tile's, and no other reference to it lives.
                let to = unsafe { out.range(at..at + len) };
                shuffle(simd, from, stride, bias, self.tail.clip, to);
            }
        }
    }

    /// Calls the epilogue on the outputs of a tile.
    fn finish(&self, work: &Work<'_, '_>) {
        if self.tail.then.is_none() {
            return;
        }
        let Shape { rows, columns, .. } = &self.shape;
        let out = work.io.shared::<f32>(0);
        let top = work.place.row * rows.stride();
        let bottom = ((work.place.row + work.place.rows) * rows.stride()).min(rows.output);
        let left = work.place.column * columns.stride();
        let right = ((work.place.column + work.place.columns) * columns.stride()).min(columns.output);
        for index in 0..work.features.1 {
            let (channel, counted) = self.channel(work, index);
            let whole = self.grid.column_blocks == 1;
            for row in (top..bottom).step_by(if whole { (bottom - top).max(1) } else { 1 }) {
                let start = self.output(counted, row) + left;
                let end = if whole { self.output(counted, bottom) } else { start + right - left };
                // SAFETY: these outputs are the tile's.
                let values = unsafe { out.range(start..end) };
                self.tail.apply(work.io, start, channel, values);
            }
        }
    }
}

/// Number `i` of phase `p`, of which two vectors each lie in `from`, to `to[i * stride + p]`, plus the bias, limited.
#[inline(always)]
fn shuffle<S: Simd>(s: S, from: &[f32], stride: usize, bias: f32, clip: Option<[f32; 2]>, to: &mut [f32]) {
    let [low, high] = clip.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
    let wide = 2 * S::LANES;
    let plus = s.splat(bias);
    let limit = |x: S::F32| s.min(s.splat(high), s.max(s.splat(low), x));
    match stride {
        1 => {
            for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
                store(s, limit(s.add(s.load(from), plus)), to);
            }
        }
        2 => {
            let (even, odd) = from.split_at(wide);
            let pairs = even.chunks_exact(S::LANES).zip(odd.chunks_exact(S::LANES));
            for ((even, odd), to) in pairs.zip(to.chunks_mut(wide)) {
                let (a, b) = (limit(s.add(s.load(even), plus)), limit(s.add(s.load(odd), plus)));
                let (first, second) = s.interleave(a, b);
                let (low, high) = to.split_at_mut(to.len().min(S::LANES));
                store(s, first, low);
                store(s, second, high);
            }
        }
        _ => {
            for (phase, from) in from.chunks_exact(wide).enumerate() {
                for (to, x) in to.iter_mut().skip(phase).step_by(stride).zip(from) {
                    let x = x + bias;
                    let x = if low > x { low } else { x };
                    *to = if high < x { high } else { x };
                }
            }
        }
    }
}

struct Tiles<'a, 'io> {
    transposed: &'a Transposed,
    io: &'a mut Io<'io>,
}

impl Vectorized for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { transposed, io } = self;
        let Transposed { shape, plane, region, grid, .. } = transposed;
        let scratch = io.scratch::<f32>();
        let (gathered, spare) = scratch.split_at_mut(region.len() + SLACK);
        let mut ready = None;
        for tile in io.tiles() {
            let work = transposed.work(io, tile);
            if ready != Some(tile / grid.feature_blocks) {
                let first = (work.image * shape.groups + work.group) * shape.depth;
                let input = &io.input::<f32>(0)[first * plane.input()..];
                let Place { row, column, .. } = work.place;
                let place =
                    Place { row: shape.rows.place(row), column: shape.columns.place(column), ..work.place };
                region.gather(simd, plane, input, place, gathered);
                ready = Some(tile / grid.feature_blocks);
            }
            for row in 0..work.place.rows {
                for column in (0..work.place.columns).step_by(2 * S::LANES) {
                    let columns = (2 * S::LANES).min(work.place.columns - column);
                    let right = gathered[row * region.pitch + column..].as_ptr();
                    transposed.products(simd, work.group, work.features, right, columns, spare);
                    let (j, column) = (work.place.row + row, work.place.column + column);
                    transposed.store(simd, &work, j, column, columns, spare);
                }
            }
            transposed.finish(&work);
        }
    }
}

impl Kernel for Transposed {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        let lanes = Sizes::of(self.isa).columns();
        (self.region.len() + SLACK + self.grid.features * self.parts.len() * lanes) * 4
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        simd::dispatch(self.isa, Tiles { transposed: self, io });
    }
}
