//! Convolution where each channel is a world of its own: depthwise, with any number of output channels for each input channel.
//!
//! There is no sum over channels and so nothing to share between them: a channel is a few taps times its region. A tile is
//! some channels of one image, or some blocks of rows of one channel; the region of a block, gathered into scratch, stays in
//! the first level of cache. Where a padded row fits into a vector, vectors go across the rows. Windows of 3 x 3 and 5 x 5 go to [`window`](super::window), which reads each row of the input
//! once; all others are added up tap by tap here, for as many vectors of one row as keep the multipliers busy.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::Problem;
use super::geometry::{Place, Plane, largest};
use super::region::{Region, SLACK};
use super::window::{Rows, Window};
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
    let lanes = Sizes::of(node.isa).lanes;
    let window = if is_flat(&plane, lanes) { None } else { Window::new(&plane) };
    let region_of = |rows| match &window {
        Some(window) => window.region(rows),
        None => Region::new(&plane, 1, rows, plane.columns.output),
    };
    let grid = Grid::new(problem, &plane, node.isa, region_of);
    let Some(region) = region_of(grid.rows) else { return Err(tail) };
    let way = match window {
        Some(window) => Way::Window(window.with(&region)),
        None if is_flat(&plane, lanes) => Way::Flat(Taps::new(region.table(&plane))),
        None => Way::Taps(Taps::new(region.table(&plane))),
    };
    let phases = if problem.is_empty() { vec![] } else { vec![grid.phase(problem, &plane, node.isa)] };
    let (isa, problem) = (node.isa, problem.clone());
    Ok(Box::new(Depthwise { phases, isa, problem, plane, region, way, tail, grid }))
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
    way: Way,
    tail: Tail,
    grid: Grid,
}

/// How the rows are computed.
enum Way {
    /// Row by row of the input.
    Window(Window),
    /// Tap by tap; the table of the region.
    Taps(Taps),
    /// As `Taps`, for all rows of a block as if they were one: with the gaps between the rows of the region, which are left
    /// out when results are stored.
    Flat(Taps),
}

/// Where each tap begins in the region, and the furthest of them.
struct Taps {
    table: Vec<u32>,
    furthest: usize,
}

impl Taps {
    fn new(table: Vec<u32>) -> Taps {
        let furthest = table.iter().max().map_or(0, |place| *place as usize);
        Taps { table, furthest }
    }
}

/// Whether rows are so short that vectors go across them: a padded row is no longer than a vector, and vectors become fewer.
fn is_flat(plane: &Plane, lanes: usize) -> bool {
    let Plane { rows, columns } = plane;
    rows.stride == 1
        && columns.stride == 1
        && plane.spread() == 1
        && columns.reach(columns.output, 1) <= lanes
}

/// How the outputs of one image are cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Rows of a channel of which the region is gathered at once.
    rows: usize,
    /// Blocks of rows of each class; rows of a class are the spread of the plane apart.
    row_blocks: usize,
    classes: usize,
    /// Blocks of a tile, counted through all channels.
    blocks: usize,
    tiles: usize,
}

impl Grid {
    fn new(problem: &Problem, plane: &Plane, isa: Isa, region: impl Fn(usize) -> Option<Region>) -> Grid {
        let classes = plane.spread().min(plane.rows.output).max(1);
        let all = plane.rows.output.div_ceil(plane.spread()).max(1);
        let rows = largest(all, |rows| region(rows).is_some_and(|region| region.len() <= REGION));
        let rows = all.div_ceil(all.div_ceil(rows));
        let row_blocks = all.div_ceil(rows);
        let total = problem.groups * problem.features * row_blocks * classes;
        let cost = nanoseconds(rows, plane, isa);
        let blocks = usize::try_from(TILE_NS / cost).unwrap_or(1).clamp(1, total.max(1));
        // Evenly, so that the last tile is not a stump.
        let blocks = total.div_ceil(total.div_ceil(blocks).max(1)).max(1);
        Grid { rows, row_blocks, classes, blocks, tiles: total.div_ceil(blocks) }
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

struct Tiles<'a, 'io> {
    depthwise: &'a Depthwise,
    io: &'a mut Io<'io>,
}

impl Vectorized for Tiles<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { depthwise, io } = self;
        let Depthwise { problem, plane, grid, .. } = depthwise;
        let (gathered, spare) = io.scratch::<f32>().split_at_mut(depthwise.gathered());
        let per_channel = grid.row_blocks * grid.classes;
        let total = problem.groups * problem.features * per_channel;
        let input = io.input::<f32>(0);
        let mut ready = None;
        let mut lines = (0, 0);
        for tile in io.tiles() {
            let (image, tile) = (tile / grid.tiles, tile % grid.tiles);
            for block in tile * grid.blocks..((tile + 1) * grid.blocks).min(total) {
                let (channel, block) = (block / per_channel, block % per_channel);
                let place = depthwise.place(block);
                if place.rows == 0 {
                    continue;
                }
                let from = image * problem.groups + channel / problem.features;
                if ready != Some((from, block)) {
                    let input = &input[from * plane.input()..][..plane.input()];
                    lines = depthwise.gather(simd, input, place, gathered);
                    ready = Some((from, block));
                }
                depthwise.block(simd, io, image, channel, place, gathered, lines, spare);
            }
        }
    }
}

impl Depthwise {
    /// Numbers of scratch for the region.
    fn gathered(&self) -> usize {
        // The widest group of vectors may begin at the last output.
        self.region.len() + SLACK + VECTORS * 16
    }

    /// Block `block` of a channel; it may have no rows.
    fn place(&self, block: usize) -> Place {
        let spread = self.plane.spread();
        let (class, block) = (block / self.grid.row_blocks, block % self.grid.row_blocks);
        let row = class + block * self.grid.rows * spread;
        let rows = self.plane.rows.output.saturating_sub(row).div_ceil(spread);
        Place { row, column: 0, rows: self.grid.rows.min(rows), columns: self.plane.columns.output }
    }

    /// Gathers what a block needs. For a window: how many rows, and which of them the first tap of the first output row meets.
    #[inline(always)]
    fn gather<S: Simd>(&self, simd: S, input: &[f32], place: Place, to: &mut [f32]) -> (usize, isize) {
        let Way::Window(window) = &self.way else {
            self.region.gather(simd, &self.plane, input, place, to);
            return (0, 0);
        };
        let rows = &self.plane.rows;
        let first = (place.row * rows.stride) as isize - rows.begin as isize;
        let end = first + ((place.rows - 1) * rows.stride + rows.kernel) as isize;
        let begin = first.clamp(0, rows.input as isize);
        let count = end.clamp(begin, rows.input as isize) - begin;
        if count > 0 {
            let place = Place { row: begin as usize, rows: count as usize, ..place };
            self.region.gather(simd, &window.lines, input, place, to);
        }
        (count as usize, first - begin)
    }

    /// A block of rows of one channel.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "what a block is, and where its rows were gathered")]
    fn block<S: Simd>(
        &self,
        simd: S,
        io: &Io<'_>,
        image: usize,
        channel: usize,
        place: Place,
        gathered: &[f32],
        (lines, first): (usize, isize),
        spare: &mut [f32],
    ) {
        let channels = self.problem.groups * self.problem.features;
        let taps = self.plane.taps();
        let width = self.plane.columns.output;
        let start = (image * channels + channel) * self.plane.output() + place.row * width;
        let step = self.plane.spread() * width;
        let rows = Rows {
            gathered,
            pitch: self.region.pitch,
            first,
            lines,
            weights: &io.input::<f32>(1)[channel * taps..][..taps],
            bias: if self.problem.bias { io.input::<f32>(2)[channel] } else { 0.0 },
            clip: self.tail.clip,
            rows: place.rows,
            width,
            out: io.shared::<f32>(0),
            start,
            step,
        };
        // SAFETY: the rows of this block are this tile's alone.
        unsafe {
            match &self.way {
                Way::Window(window) => window.rows(simd, &rows),
                Way::Taps(taps) => tap_by_tap(simd, taps, &rows),
                Way::Flat(taps) => flat(simd, taps, &rows, spare),
            }
        }
        if let Some(map) = self.tail.map.filter(|_| step == width) {
            // SAFETY: as above; no other slice of it lives.
            map.in_place(simd, unsafe { rows.out.range(start..start + place.rows * width) });
        } else if self.tail.then.is_some() {
            let (runs, len) = if step == width { (1, place.rows * width) } else { (place.rows, width) };
            for run in 0..runs {
                let start = start + run * step;
                // SAFETY: as above; no other slice of it lives.
                let values = unsafe { rows.out.range(start..start + len) };
                self.tail.apply(io, start, channel, values);
            }
        }
    }
}

/// Computes rows of outputs for a window of any form.
///
/// # Safety
/// The outputs belong to the caller, and no reference to them lives.
#[inline(always)]
unsafe fn tap_by_tap<S: Simd>(simd: S, taps: &Taps, rows: &Rows<'_>) {
    for row in 0..rows.rows {
        let start = rows.start + row * rows.step;
        // SAFETY: as this function.
        let out = unsafe { rows.out.range(start..start + rows.width) };
        simd.call(Line { taps, rows, at: row * rows.pitch, out });
    }
}

/// Computes rows of outputs in vectors that go across rows. `spare` has room for the region's rows.
///
/// # Safety
/// As [`tap_by_tap`].
#[inline(always)]
unsafe fn flat<S: Simd>(simd: S, taps: &Taps, rows: &Rows<'_>, spare: &mut [f32]) {
    let len = (rows.rows - 1) * rows.pitch + rows.width;
    simd.call(Line { taps, rows, at: 0, out: &mut spare[..len] });
    for (row, from) in spare[..len].chunks(rows.pitch).enumerate() {
        let start = rows.start + row * rows.step;
        // SAFETY: as this function.
        let out = unsafe { rows.out.range(start..start + rows.width) };
        simd.store_partial(simd.load_partial(&from[..rows.width]), out);
    }
}

/// The outputs from place `at` of the region on, all at once.
struct Line<'a> {
    taps: &'a Taps,
    rows: &'a Rows<'a>,
    at: usize,
    out: &'a mut [f32],
}

impl Vectorized for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Line { taps, rows, at, out } = self;
        // About the same number of vectors each time: two at a time wait for each other.
        let vectors = out.len().div_ceil(S::LANES);
        let share = vectors.div_ceil(vectors.div_ceil(VECTORS)) * S::LANES;
        for (index, out) in out.chunks_mut(share).enumerate() {
            let at = at + index * share;
            match out.len().div_ceil(S::LANES) {
                1 => vectors_of::<S, 1>(simd, taps, rows, at, out),
                2 => vectors_of::<S, 2>(simd, taps, rows, at, out),
                3 | 4 => vectors_of::<S, 4>(simd, taps, rows, at, out),
                5 | 6 => vectors_of::<S, 6>(simd, taps, rows, at, out),
                _ => vectors_of::<S, VECTORS>(simd, taps, rows, at, out),
            }
        }
    }
}

/// The outputs at place `at` of the region, of which `N` vectors are computed and as many stored as `out` has.
#[inline(always)]
fn vectors_of<S: Simd, const N: usize>(simd: S, taps: &Taps, rows: &Rows<'_>, at: usize, out: &mut [f32]) {
    let mut acc = [simd.splat(rows.bias); N];
    assert!(taps.furthest + at + N * S::LANES <= rows.gathered.len());
    for (place, weight) in taps.table.iter().zip(rows.weights) {
        let weight = simd.splat(*weight);
        let from = rows.gathered.as_ptr().wrapping_add(*place as usize + at);
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the furthest place was checked.
            *acc = simd.fma(weight, unsafe { simd.load_ptr(from.add(j * S::LANES)) }, *acc);
        }
    }
    if let Some([low, high]) = rows.clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        for acc in &mut acc {
            *acc = simd.min(high, simd.max(low, *acc));
        }
    }
    for (acc, out) in acc.iter().zip(out.chunks_mut(S::LANES)) {
        if out.len() == S::LANES { simd.store(*acc, out) } else { simd.store_partial(*acc, out) }
    }
}

impl Kernel for Depthwise {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        let spare = if let Way::Flat(_) = self.way { self.region.len() } else { 0 };
        (self.gathered() + spare) * 4
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        simd::dispatch(self.isa, Tiles { depthwise: self, io });
    }
}
