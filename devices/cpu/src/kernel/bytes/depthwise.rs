//! Depthwise convolution: each channel is filtered by itself, so that vectors go along channels.
//!
//! ```text
//!  rows of a window, one channel          columns of bytes               sums
//!   a0 a1 a2 …                            (a0 b0 c0 0) (a1 b1 c1 0) …
//!   b0 b1 b2 …                     ─▶      └ · weights of the column ┘   ─▶  one dot a column of the window
//!   c0 c1 c2 …
//! ```
//!
//! For a row of outputs and a vector of channels, up to four rows of the image are woven together once, each lane holding a
//! column of its channel; padding is woven in. Every output is then a dot product for each column of the window, and each
//! woven column serves all windows that it lies under. Where products are of words, two rows are woven.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::conv::{Problem, Sizes, products_a_nanosecond};
use super::finish::{Block, Finish};
use super::micro::MOST_PIXELS;
use super::pack::{NONE, Packed};
use super::start::{Channels, Start};
use crate::io::{Io, Shared};
use crate::isa::Isa;
use crate::kernel::{Kernel, Phase};
use crate::simd::{MOST_LANES, Simd, Vectorized, dispatch_bytes};

/// The most rows that a lane has room for.
const WOVEN: usize = 4;

/// Rows that a lane has room for.
#[inline(always)]
fn together(problem: &Problem) -> usize {
    WOVEN / problem.width()
}
/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: usize = if cfg!(test) { 50 } else { 60_000 };

/// The kernel. See the [module](self).
pub(super) struct Depthwise {
    phases: [Phase; 1],
    problem: Problem,
    packed: Arc<Packed>,
    start: Start,
    finish: Finish,
    /// Rows of outputs of a tile, and vectors of channels.
    rows: usize,
    vectors: usize,
    lanes: usize,
    isa: Isa,
}

/// True for convolutions that this kernel does: one input and one output channel a group.
pub(super) fn suits(problem: &Problem) -> bool {
    problem.apart.is_none() && problem.depth() == 1 && problem.features == 1 && problem.groups > 1
}

/// For each tap of each step the place of its weight: for every few rows of the window, which lie in a lane, all columns.
pub(super) fn places(problem: &Problem) -> Vec<u32> {
    let (rows, columns) = (problem.geometry.rows.kernel, problem.geometry.columns.kernel);
    let together = together(problem);
    let at = |index: usize| {
        let (step, tap) = (index / together, index % together);
        let (row, column) = (step / columns * together + tap, step % columns);
        if row < rows { (row * columns + column) as u32 } else { NONE }
    };
    (0..rows.div_ceil(together) * columns * together).map(at).collect()
}

impl Depthwise {
    /// The kernel for weights that are packed as [`places`] says, in one part.
    pub(super) fn build(
        problem: Problem,
        packed: Arc<Packed>,
        start: Start,
        finish: Finish,
        isa: Isa,
    ) -> Box<dyn Kernel> {
        let lanes = Sizes::of(isa).lanes;
        let (geometry, channels) = (problem.geometry, problem.groups);
        let all = channels.div_ceil(lanes);
        let columns = geometry.columns.output;
        // Weaving and finishing take about as long as a few steps of products.
        let steps = geometry.rows.kernel.div_ceil(together(&problem))
            * (geometry.columns.kernel + 3 * geometry.columns.stride)
            + 8;
        let row_ns = |vectors: usize| columns * vectors * lanes * 4 * steps / products_a_nanosecond(isa);
        let vectors = (TILE_NS / row_ns(1).max(1)).clamp(1, all.max(1));
        let vectors = all.div_ceil(all.div_ceil(vectors).max(1)).max(1);
        let most = geometry.rows.output.max(1);
        let rows = (TILE_NS / row_ns(vectors).max(1)).clamp(1, most);
        let rows = most.div_ceil(most.div_ceil(rows));
        let tiles = if geometry.pixels() == 0 {
            0
        } else {
            geometry.images * geometry.rows.output.div_ceil(rows) * all.div_ceil(vectors)
        };
        let phases = [Phase::tiles(tiles, (rows * row_ns(vectors)).max(1) as u64)];
        Box::new(Depthwise { phases, problem, packed, start, finish, rows, vectors, lanes, isa })
    }

    /// Woven columns of a vector of channels.
    fn woven(&self) -> usize {
        let geometry = &self.problem.geometry;
        geometry.rows.kernel.div_ceil(together(&self.problem)) * geometry.columns.reach()
    }

    /// Elements of scratch for woven columns and sums.
    fn own(&self) -> usize {
        self.woven() * self.lanes + MOST_PIXELS * MOST_LANES
    }

    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, io: &Io<'_>, channels: Channels<'_>, tile: usize, scratch: &mut [i32]) {
        let geometry = &self.problem.geometry;
        let all = self.problem.groups.div_ceil(S::LANES);
        let (vector_blocks, row_blocks) =
            (all.div_ceil(self.vectors), geometry.rows.output.div_ceil(self.rows));
        let (rest, vector) = (tile / vector_blocks, tile % vector_blocks * self.vectors);
        let (image, row) = (rest / row_blocks, rest % row_blocks * self.rows);
        let last_row = (row + self.rows).min(geometry.rows.output);
        let (woven, sums) = scratch.split_at_mut(self.woven() * S::LANES);
        for row in row..last_row {
            for vector in vector..(vector + self.vectors).min(all) {
                self.weave(simd, io, [image, row, vector], woven);
                self.row(simd, io, channels, [image, row, vector], woven, sums);
            }
        }
    }

    /// Weaves the rows of the image that a row of outputs looks at.
    #[inline(always)]
    fn weave<S: Simd>(&self, simd: S, io: &Io<'_>, [image, row, vector]: [usize; 3], woven: &mut [i32]) {
        let Problem { geometry, groups: channels, flip, .. } = self.problem;
        let zero = self.start.zero(io);
        let x = io.input::<u8>(0);
        let channel = vector * S::LANES;
        let count = S::LANES.min(channels - channel);
        let columns = &geometry.columns;
        let (together, bits) = (together(&self.problem), 8 * self.problem.width() as u32);
        let spread = |byte: u8| i32::from_le_bytes(if bits == 8 { [byte; 4] } else { [byte, 0, byte, 0] });
        let (padding, flips) = (simd.splat_i32(spread(zero ^ flip)), simd.splat_i32(spread(flip)));
        let pitch = columns.input * channels;
        let inside = columns.begin.min(columns.reach())..(columns.begin + columns.input).min(columns.reach());
        let nothing = [zero; MOST_LANES];
        for (group, woven) in woven.chunks_exact_mut(columns.reach() * S::LANES).enumerate() {
            let taps = together.min(geometry.rows.kernel - group * together);
            // Where the rows lie, and how far apart their columns: outside of the image all columns are one of padding.
            let mut rows_of = [(nothing.as_ptr(), 0); WOVEN];
            for (index, row_of) in rows_of[..taps].iter_mut().enumerate() {
                let tap = group * together + index;
                let at = row * geometry.rows.stride + tap * geometry.rows.dilation;
                if let Some(at) = at.checked_sub(geometry.rows.begin).filter(|at| *at < geometry.rows.input) {
                    let start = (image * geometry.rows.input + at) * pitch + channel;
                    *row_of = (x[start..start + pitch - channels + count].as_ptr(), channels);
                }
            }
            for column in (0..inside.start).chain(inside.end..columns.reach()) {
                simd.store_i32(padding, &mut woven[column * S::LANES..]);
            }
            // A window may see padding only.
            let before = columns.begin.min(inside.start);
            let to = &mut woven[inside.start * S::LANES..inside.end * S::LANES];
            let mut to_at = 0;
            let mut column = inside.start - before;
            // Plain loops and no closures over vectors: see the rule of `simd`.
            while to_at < to.len() {
                // SAFETY: each row has `count` channels of this column, and `to` has a vector for it.
                unsafe {
                    let mut lanes = byte(simd, rows_of[0], column, count);
                    if taps > 1 {
                        lanes = simd.or_i32(lanes, simd.shl_i32(byte(simd, rows_of[1], column, count), bits));
                    }
                    if taps > 2 {
                        lanes = simd.or_i32(lanes, simd.shl_i32(byte(simd, rows_of[2], column, count), 16));
                    }
                    if taps > 3 {
                        lanes = simd.or_i32(lanes, simd.shl_i32(byte(simd, rows_of[3], column, count), 24));
                    }
                    simd.store_ptr_i32(simd.xor_i32(lanes, flips), to.as_mut_ptr().add(to_at));
                }
                to_at += S::LANES;
                column += 1;
            }
        }
    }

    /// A row of outputs for a vector of channels.
    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        io: &Io<'_>,
        numbers: Channels<'_>,
        [image, row, vector]: [usize; 3],
        woven: &[i32],
        sums: &mut [i32],
    ) {
        let Problem { geometry, groups: channels, .. } = self.problem;
        let columns = &geometry.columns;
        let channel = vector * S::LANES;
        let count = S::LANES.min(channels - channel);
        let words = self.problem.words();
        let steps = geometry.rows.kernel.div_ceil(together(&self.problem)) * columns.kernel;
        let weights: &[i32] =
            bytemuck::cast_slice(&self.packed[vector * S::LANES * steps * 4..][..S::LANES * steps * 4]);
        let init = simd.load_i32(&numbers.init[channel..]);
        let reach = columns.reach();
        let first_out = (image * geometry.pixels() + row * columns.output) * channels + channel;
        let to: Shared<'_, u8> = io.shared(0);
        for first in (0..columns.output).step_by(MOST_PIXELS) {
            let pixels = MOST_PIXELS.min(columns.output - first);
            let sums = &mut sums[..pixels * S::LANES];
            let woven = &woven[first * columns.stride * S::LANES..];
            if words && steps == 6 && columns.kernel == 3 && columns.dilation == 1 {
                let step = columns.stride * S::LANES;
                let below = &woven[reach * S::LANES..][..(pixels - 1) * step + 3 * S::LANES];
                let (mut pixel, mut x, mut y) = (0, woven.as_ptr(), below.as_ptr());
                let (a, b) = (simd.load_i32(weights), simd.load_i32(&weights[S::LANES..]));
                let (c, d) =
                    (simd.load_i32(&weights[2 * S::LANES..]), simd.load_i32(&weights[3 * S::LANES..]));
                let (e, f) =
                    (simd.load_i32(&weights[4 * S::LANES..]), simd.load_i32(&weights[5 * S::LANES..]));
                while pixel < pixels {
                    // SAFETY: as below; the second group of rows lies behind the first.
                    unsafe {
                        let sum = simd.dot_words(simd.load_ptr_i32(x), a, init);
                        let sum = simd.dot_words(simd.load_ptr_i32(x.add(S::LANES)), b, sum);
                        let sum = simd.dot_words(simd.load_ptr_i32(x.add(2 * S::LANES)), c, sum);
                        let sum = simd.dot_words(simd.load_ptr_i32(y), d, sum);
                        let sum = simd.dot_words(simd.load_ptr_i32(y.add(S::LANES)), e, sum);
                        let sum = simd.dot_words(simd.load_ptr_i32(y.add(2 * S::LANES)), f, sum);
                        simd.store_ptr_i32(sum, sums.as_mut_ptr().add(pixel * S::LANES));
                    }
                    (x, y) = (x.wrapping_add(step), y.wrapping_add(step));
                    pixel += 1;
                }
            } else if !words && steps == 3 && columns.dilation == 1 {
                let (a, b) = (simd.load_i32(weights), simd.load_i32(&weights[S::LANES..]));
                let c = simd.load_i32(&weights[2 * S::LANES..]);
                let step = columns.stride * S::LANES;
                let woven = &woven[..(pixels - 1) * step + 3 * S::LANES];
                let (mut pixel, mut x) = (0, woven.as_ptr());
                while pixel < pixels {
                    // SAFETY: the last pixel ends where the slice does, and there is a sum for each.
                    unsafe {
                        let sum = simd.dot(simd.load_ptr_i32(x), a, init);
                        let sum = simd.dot(simd.load_ptr_i32(x.add(S::LANES)), b, sum);
                        let sum = simd.dot(simd.load_ptr_i32(x.add(2 * S::LANES)), c, sum);
                        simd.store_ptr_i32(sum, sums.as_mut_ptr().add(pixel * S::LANES));
                    }
                    x = x.wrapping_add(step);
                    pixel += 1;
                }
            } else {
                for index in 0..pixels {
                    let mut acc = init;
                    for step in 0..steps {
                        let (group, tap) = (step / columns.kernel, step % columns.kernel);
                        let column = index * columns.stride + tap * columns.dilation;
                        let x = simd.load_i32(&woven[(group * reach + column) * S::LANES..]);
                        let weights = simd.load_i32(&weights[step * S::LANES..]);
                        acc = if words { simd.dot_words(x, weights, acc) } else { simd.dot(x, weights, acc) };
                    }
                    simd.store_i32(acc, &mut sums[index * S::LANES..]);
                }
            }
            let out = first_out + first * channels;
            let last = out + (pixels - 1) * channels + count;
            let residual = match self.finish.adds() {
                true => io.input::<u8>(5)[out..last].as_ptr(),
                false => core::ptr::null(),
            };
            assert!(last * self.finish.size() <= to.len(), "an output as large as the kernel was built for");
            let block = Block {
                sums: sums.as_ptr(),
                pitch: S::LANES,
                rows: pixels,
                place: channel,
                count,
                out: to.pointer(out * self.finish.size()),
                residual,
                out_row: channels,
            };
            // SAFETY: the sums were just computed, and the results belong to this row and these channels, which are this tile's.
            unsafe { self.finish.run(simd, numbers.factor, &block) };
        }
    }
}

/// `count` channels of a column of a row, one in each lane.
///
/// # Safety
/// There are so many.
#[inline(always)]
unsafe fn byte<S: Simd>(simd: S, (row, pitch): (*const u8, usize), column: usize, count: usize) -> S::I32 {
    // SAFETY: as this function.
    unsafe {
        let from = row.add(column * pitch);
        if count == S::LANES { simd.load_ptr_u8(from) } else { simd.load_ptr_partial_u8(from, count) }
    }
}

impl Kernel for Depthwise {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        (self.own() + self.start.room()) * size_of::<i32>()
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Depthwise, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                let Tiles(depthwise, io) = self;
                let (scratch, room) = io.scratch::<i32>().split_at_mut(depthwise.own());
                let channels = depthwise.start.channels(io, &depthwise.finish.factor, room);
                for tile in io.tiles() {
                    depthwise.tile(simd, io, channels, tile, scratch);
                }
            }
        }
        dispatch_bytes(self.isa, Tiles(self, io));
    }
}
