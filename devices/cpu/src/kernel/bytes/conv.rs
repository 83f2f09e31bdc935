//! Convolution as a product of matrices: pixels on the left, weights on the right.
//!
//! ```text
//!  phase 0, if windows look beyond the image, or words are read: the image with its padding ─▶ workspace
//!  phase 1: tiles of pixels x channels ─▶ sums ─▶ finish ─▶ bytes
//! ```
//!
//! Channels lie innermost, so that the taps of a row of the window are neighbours: the image is read as it is, four taps at a
//! time, and nothing is unfolded. A tile walks the pixels of an image in their order, for some channels; for each vector
//! or two of channels it walks them anew, so that weights stay in the first level of cache.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::finish::{Block, Finish};
use super::geometry::Geometry;
use super::micro::{self, MOST_PIXELS, MOST_SUMS, Tile};
use super::pack::{NONE, Packed};
use super::start::{Channels, Start};
use crate::io::{Io, Shared};
use crate::isa::{Isa, Level};
use crate::kernel::{Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch_bytes};

/// The extents and the zero point of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    pub(super) geometry: Geometry,
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) features: usize,
    /// What is flipped to read bytes as products do.
    pub(super) flip: u8,
    /// Whether products are of words.
    pub(super) words: bool,
    /// How many channels there are apart, in an image that is woven together first; the geometry then has four.
    pub(super) apart: Option<usize>,
}

/// Channels of an image that is woven together.
pub(super) const WOVEN: usize = 4;
/// Whether this build may multiply bytes as words, and as bytes: what it never does need not be compiled.
const WORDS: bool = cfg!(any(target_arch = "wasm32", test));
const BYTES: bool = cfg!(any(not(target_arch = "wasm32"), target_feature = "relaxed-simd", test));

impl Problem {
    /// Whether products are of words.
    #[inline(always)]
    pub(super) fn words(&self) -> bool {
        WORDS && (self.words || !BYTES)
    }

    /// Bytes of an element where products read it.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        if self.words() { size_of::<u16>() } else { 1 }
    }

    /// Input channels of a group.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        self.geometry.channels / self.groups
    }

    /// Neighbouring elements that belong to a window, and how many such runs a row of the window has.
    #[inline]
    fn runs(&self) -> (usize, usize) {
        let columns = &self.geometry.columns;
        match self.groups == 1 && columns.dilation == 1 {
            true => (self.geometry.channels * columns.kernel, 1),
            false => (self.depth(), columns.kernel),
        }
    }

    /// For each tap of each step the place of its weight among those of an output channel.
    pub(super) fn places(&self) -> Vec<u32> {
        let (columns, depth) = (self.geometry.columns.kernel, self.depth());
        let (run, runs) = self.runs();
        let steps = run.next_multiple_of(4 / self.width());
        let at = |index: usize| {
            let (row, rest) = (index / (runs * steps), index % (runs * steps));
            let (tap, place) = (rest / steps, rest % steps);
            if place >= run {
                return NONE;
            }
            let (column, channel) = if runs == 1 { (place / depth, place % depth) } else { (tap, place) };
            if self.apart.is_some_and(|channels| channel >= channels) {
                return NONE;
            }
            ((channel * self.geometry.rows.kernel + row) * columns + column) as u32
        };
        (0..self.geometry.rows.kernel * runs * steps).map(at).collect()
    }

    /// Whether the image can be read where it is.
    #[inline]
    fn in_place(&self) -> bool {
        self.flip == 0 && !self.words() && self.is_bare() && self.runs().0.is_multiple_of(4)
    }

    /// Whether windows look at the elements of the image and at nothing else.
    #[inline]
    fn is_bare(&self) -> bool {
        self.apart.is_none() && self.geometry.rows.inside() && self.geometry.columns.inside()
    }

    /// Bytes from one row of the image to the next, and from one image to the next, where tiles read it.
    #[inline]
    fn pitch(&self) -> [usize; 2] {
        let Geometry { rows, columns, channels, .. } = &self.geometry;
        let pixel = channels * self.width();
        match self.in_place() || (self.words() && self.is_bare()) {
            true => [columns.input * pixel, rows.input * columns.input * pixel],
            false => [columns.reach() * pixel, rows.reach() * columns.reach() * pixel],
        }
    }

    /// Elements of all images that are widened as they are, without padding.
    fn bare(&self) -> Option<usize> {
        let Geometry { images, rows, columns, channels } = &self.geometry;
        (self.words() && self.is_bare()).then(|| images * rows.input * columns.input * channels)
    }
}

/// An element where products read it.
trait Cell: bytemuck::Pod + Send + Sync + From<u8> {
    /// Takes bytes over, flipped.
    fn take(to: &mut [Self], from: &[u8], flip: u8);
}

impl Cell for u8 {
    #[inline]
    fn take(to: &mut [u8], from: &[u8], flip: u8) {
        to.copy_from_slice(from);
        if flip != 0 {
            to.iter_mut().for_each(|byte| *byte ^= flip);
        }
    }
}

impl Cell for u16 {
    #[inline]
    fn take(to: &mut [u16], from: &[u8], flip: u8) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = u16::from(from ^ flip));
    }
}

/// The last step of a window reads so many bytes beyond the image.
const SLACK: usize = 64;
/// Elements that are widened at a time.
const PIECE: usize = 1 << 14;
/// Roughly the nanoseconds of a tile. In tests small images are cut as well.
const TILE_NS: u64 = if cfg!(test) { 50 } else { 60_000 };

/// The kernel. See the [module](self).
pub(super) struct Convolution {
    phases: Vec<Phase>,
    problem: Problem,
    /// Where the taps of each step lie from a pixel's first.
    table: Vec<u32>,
    packed: Arc<Packed>,
    start: Start,
    finish: Finish,
    /// Pixels of a tile, and of a block within it.
    pixels: usize,
    block: usize,
    /// Channels of a tile: whole vectors, but for the last.
    features: usize,
    isa: Isa,
}

/// Sums that a billionth of a second is enough for, roughly.
pub(super) fn products_a_nanosecond(isa: Isa) -> usize {
    match isa.level() {
        Level::Portable if cfg!(target_arch = "wasm32") => 60,
        Level::Portable => 4,
        Level::Neon => 10,
        Level::NeonI8mm => 120,
        Level::Avx2 => 40,
        Level::Avx512 => 80,
        Level::Avx512Vnni => 300,
    }
}

/// How tiles of this instruction set are made.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) pixels: usize,
    pub(super) lanes: usize,
}

impl Sizes {
    pub(super) fn of(isa: Isa) -> Sizes {
        struct Ask;
        impl Vectorized for Ask {
            type Output = Sizes;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> Sizes {
                Sizes { pixels: micro::pixels::<S>(), lanes: S::LANES }
            }
        }
        dispatch_bytes(isa, Ask)
    }
}

impl Convolution {
    /// The kernel for weights that look at the steps `again` once more; `None` where places of an image do not fit into the
    /// table.
    pub(super) fn build(
        problem: Problem,
        again: &[u32],
        packed: Arc<Packed>,
        start: Start,
        finish: Finish,
        isa: Isa,
    ) -> Option<Box<dyn Kernel>> {
        let Sizes { pixels: most, lanes } = Sizes::of(isa);
        let Problem { geometry, groups, features, .. } = problem;
        let [pitch, image] = problem.pitch();
        let (run, runs) = problem.runs();
        let mut table = Vec::new();
        for row in 0..geometry.rows.kernel {
            for tap in 0..runs {
                let start = row * geometry.rows.dilation * pitch
                    + tap * geometry.columns.dilation * geometry.channels * problem.width();
                for step in 0..run.div_ceil(4 / problem.width()) {
                    table.push(u32::try_from(start + 4 * step).ok()?);
                }
            }
        }
        // The same bytes once more, for what is left of weights that do not fit into one.
        for step in again {
            table.push(table[*step as usize]);
        }
        let pixels = geometry.pixels();
        if geometry.images * groups * features * pixels == 0 {
            return Some(Box::new(Convolution {
                phases: vec![],
                problem,
                table,
                packed,
                start,
                finish,
                pixels,
                block: 1,
                features,
                isa,
            }));
        }
        let block = pixels.div_ceil(pixels.div_ceil(most));
        let cost = |pixels: usize, features: usize| {
            let channels = features.next_multiple_of(lanes);
            let finishing = pixels * channels / 8;
            ((pixels * channels * 4 * table.len() / products_a_nanosecond(isa) + finishing) as u64).max(1)
        };
        let whole = cost(pixels, features);
        let pieces = usize::try_from(whole.div_ceil(TILE_NS)).unwrap_or(usize::MAX).max(1);
        // Few pixels, and the channels are what is cut; each tile then reads weights of its own.
        let blocks = pixels.div_ceil(block);
        let tile_pixels = blocks.div_ceil(pieces.min(blocks)) * block;
        let pieces =
            usize::try_from(cost(tile_pixels, features).div_ceil(TILE_NS)).unwrap_or(usize::MAX).max(1);
        let tile_features = features.div_ceil(pieces).next_multiple_of(2 * lanes).min(features);
        let tiles =
            geometry.images * groups * pixels.div_ceil(tile_pixels) * features.div_ceil(tile_features);
        let mut phases = vec![];
        if let Some(bare) = problem.bare() {
            phases.push(Phase::tiles(bare.div_ceil(PIECE), PIECE as u64 / 16));
        } else if !problem.in_place() {
            let rows = geometry.images * geometry.rows.reach();
            phases.push(Phase::tiles(rows, (pitch as u64 / 16).max(1)));
        }
        debug_assert!(image > 0);
        phases.push(Phase::tiles(tiles, cost(tile_pixels, tile_features)));
        Some(Box::new(Convolution {
            phases,
            problem,
            table,
            packed,
            start,
            finish,
            pixels: tile_pixels,
            block,
            features: tile_features,
            isa,
        }))
    }

    /// Copies a row of an image into the workspace, with its padding, or a piece of images without.
    fn pad<T: Cell>(&self, io: &Io<'_>, row: usize) {
        if let Some(bare) = self.problem.bare() {
            let piece = row * PIECE..((row + 1) * PIECE).min(bare);
            let from = &io.input::<u8>(0)[piece.clone()];
            // SAFETY: each piece is one tile's.
            return T::take(unsafe { io.shared_workspace().range(piece) }, from, self.problem.flip);
        }
        let Geometry { rows, columns, channels, .. } = &self.problem.geometry;
        let pitch = self.problem.pitch()[0] / size_of::<T>();
        let (image, row_of) = (row / rows.reach(), row % rows.reach());
        // SAFETY: each row is one tile's.
        let to: &mut [T] = unsafe { io.shared_workspace().range(row * pitch..(row + 1) * pitch) };
        let padding = T::from(self.start.zero(io) ^ self.problem.flip);
        if let Some(channels) = self.problem.apart {
            return self.weave(io, channels, [image, row_of], to);
        }
        let inside = row_of.checked_sub(rows.begin).filter(|row| *row < rows.input);
        let Some(from) = inside else { return to.fill(padding) };
        let from = &io.input::<u8>(0)[(image * rows.input + from) * columns.input * channels..];
        let (before, rest) = to.split_at_mut((columns.begin * channels).min(pitch));
        let count = (columns.input * channels).min(rest.len());
        let (middle, behind) = rest.split_at_mut(count);
        before.fill(padding);
        T::take(middle, &from[..count], self.problem.flip);
        behind.fill(padding);
    }

    /// As [`Convolution::pad`], from channels that lie apart.
    fn weave<T: Cell>(&self, io: &Io<'_>, channels: usize, [image, row]: [usize; 2], to: &mut [T]) {
        let Geometry { rows, columns, .. } = &self.problem.geometry;
        let padding = T::from(self.start.zero(io) ^ self.problem.flip);
        let Some(row) = row.checked_sub(rows.begin).filter(|row| *row < rows.input) else {
            return to.fill(padding);
        };
        let (before, rest) = to.split_at_mut((columns.begin * WOVEN).min(to.len()));
        let count = columns.input.min(rest.len() / WOVEN);
        let (middle, behind) = rest.split_at_mut(count * WOVEN);
        before.fill(padding);
        behind.fill(padding);
        let x = io.input::<u8>(0);
        let line = |channel: usize| {
            // The weights of channels that there are not are zeros.
            let channel = channel.min(channels - 1);
            &x[((image * channels + channel) * rows.input + row) * columns.input..][..count]
        };
        let lines: [&[u8]; WOVEN] = core::array::from_fn(line);
        dispatch_bytes(self.isa, Weave { lines, to: middle, flip: self.problem.flip });
    }

    /// One tile.
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, io: &Io<'_>, from: Source<'_>, tile: usize, sums: &mut [i32]) {
        let Problem { geometry, groups, features, .. } = self.problem;
        let pixels = geometry.pixels();
        let (feature_blocks, pixel_blocks) = (features.div_ceil(self.features), pixels.div_ceil(self.pixels));
        let (rest, feature) = (tile / feature_blocks, tile % feature_blocks * self.features);
        let (rest, pixel) = (rest / pixel_blocks, rest % pixel_blocks * self.pixels);
        let (image, group) = (rest / groups, rest % groups);
        let last_feature = (feature + self.features).min(features);
        let last_pixel = (pixel + self.pixels).min(pixels);
        let mut feature = feature;
        while feature < last_feature {
            let two = last_feature - feature > S::LANES;
            let mut places = Places::new(&self.problem, image, group, pixel);
            for first in (pixel..last_pixel).step_by(self.block) {
                let mut block = Part {
                    group,
                    feature,
                    two,
                    out: image * pixels + first,
                    count: 0,
                    offsets: [0; MOST_PIXELS],
                };
                block.count = self.block.min(last_pixel - first);
                for offset in &mut block.offsets[..block.count] {
                    *offset = places.next();
                }
                self.part(simd, io, from, &block, sums);
            }
            feature += if two { 2 * S::LANES } else { S::LANES };
        }
    }

    /// A block of pixels, for one or two vectors of channels.
    #[inline(always)]
    fn part<S: Simd>(&self, simd: S, io: &Io<'_>, from: Source<'_>, part: &Part, sums: &mut [i32]) {
        let Problem { groups, features, .. } = self.problem;
        let padded = features.next_multiple_of(S::LANES);
        let place = part.group * padded + part.feature;
        let tile = Tile {
            start: from.image.as_ptr(),
            pixels: &part.offsets,
            table: &self.table,
            weights: self.packed[place * self.table.len() * 4..].as_ptr(),
            init: from.channels.init[place..].as_ptr(),
            sums: sums.as_mut_ptr(),
        };
        // SAFETY: `from.image` is the image, or its padded copy with slack behind it, and the offsets are those of pixels whose windows
        // lie within; `place` is that of a whole vector of packed weights, and of a second one if there are more channels;
        // `sums` has room for the largest tile.
        unsafe { micro::compute(simd, part.count, part.two, self.problem.words(), &tile) };
        let all = groups * features;
        let out = part.out * all + part.group * features + part.feature;
        for vector in 0..if part.two { 2 } else { 1 } {
            let skip = vector * S::LANES;
            let count = S::LANES.min(features - part.feature - skip);
            let last = out + skip + (part.count - 1) * all + count;
            let residual = match self.finish.adds() {
                true => io.input::<u8>(5)[out + skip..last].as_ptr(),
                false => core::ptr::null(),
            };
            let to: Shared<'_, u8> = io.shared(0);
            assert!(last * self.finish.size() <= to.len(), "an output as large as the kernel was built for");
            let block = Block {
                sums: sums[skip..].as_ptr(),
                pitch: 2 * S::LANES,
                rows: part.count,
                place: place + skip,
                count,
                out: to.pointer((out + skip) * self.finish.size()),
                residual,
                out_row: all,
            };
            // SAFETY: the sums were just computed, and the results belong to these pixels and channels, which are this tile's.
            unsafe { self.finish.run(simd, from.channels.factor, &block) };
        }
    }
}

/// What tiles read: the image, or its padded copy, and the numbers of channels.
#[derive(Clone, Copy)]
struct Source<'a> {
    image: &'a [u8],
    channels: Channels<'a>,
}

/// A block of pixels of a tile, for one or two vectors of channels.
struct Part {
    group: usize,
    /// The first channel of those of the group.
    feature: usize,
    two: bool,
    /// The first pixel among those of all images of the output, and how many.
    out: usize,
    count: usize,
    /// Where the pixels begin.
    offsets: [usize; MOST_PIXELS],
}

/// Puts the bytes of four lines side by side.
struct Weave<'a, T> {
    lines: [&'a [u8]; WOVEN],
    to: &'a mut [T],
    flip: u8,
}

impl<T: Cell> Vectorized for Weave<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let count = self.lines.iter().map(|line| line.len()).min().unwrap_or(0).min(self.to.len() / WOVEN);
        let flips = simd.splat_i32(i32::from_le_bytes([self.flip; 4]));
        let words = size_of::<T>() > 1;
        for at in (0..count).step_by(S::LANES) {
            let left = S::LANES.min(count - at);
            // SAFETY: each line has `left` bytes from `at` on, and there is room for four times as many.
            unsafe {
                let load = |line: usize| simd.load_ptr_partial_u8(self.lines[line].as_ptr().add(at), left);
                let (a, b, c, d) = if left == S::LANES {
                    (
                        simd.load_ptr_u8(self.lines[0].as_ptr().add(at)),
                        simd.load_ptr_u8(self.lines[1].as_ptr().add(at)),
                        simd.load_ptr_u8(self.lines[2].as_ptr().add(at)),
                        simd.load_ptr_u8(self.lines[3].as_ptr().add(at)),
                    )
                } else {
                    (load(0), load(1), load(2), load(3))
                };
                let to = self.to.as_mut_ptr().add(at * WOVEN).cast::<i32>();
                if words {
                    let flips = simd.and_i32(flips, simd.splat_i32(0x00ff_00ff));
                    let first = simd.xor_i32(simd.or_i32(a, simd.shl_i32(b, 16)), flips);
                    let second = simd.xor_i32(simd.or_i32(c, simd.shl_i32(d, 16)), flips);
                    let (low, high) = simd.interleave(simd.of_bits(first), simd.of_bits(second));
                    let (low, high) = (simd.to_bits(low), simd.to_bits(high));
                    simd.store_ptr_partial_i32(low, to, S::LANES.min(2 * left));
                    if 2 * left > S::LANES {
                        simd.store_ptr_partial_i32(high, to.add(S::LANES), 2 * left - S::LANES);
                    }
                    continue;
                }
                let (b, c, d) = (simd.shl_i32(b, 8), simd.shl_i32(c, 16), simd.shl_i32(d, 24));
                let woven = simd.xor_i32(simd.or_i32(simd.or_i32(a, b), simd.or_i32(c, d)), flips);
                if left == S::LANES {
                    simd.store_ptr_i32(woven, to);
                } else {
                    simd.store_ptr_partial_i32(woven, to, left);
                }
            }
        }
    }
}

/// Where pixels begin, one after the other.
struct Places {
    row_start: usize,
    at: usize,
    column: usize,
    columns: usize,
    column_step: usize,
    row_step: usize,
}

impl Places {
    fn new(problem: &Problem, image: usize, group: usize, pixel: usize) -> Places {
        let geometry = &problem.geometry;
        let [pitch, size] = problem.pitch();
        let (row, column) = (pixel / geometry.columns.output, pixel % geometry.columns.output);
        let column_step = geometry.columns.stride * geometry.channels * problem.width();
        let row_step = geometry.rows.stride * pitch;
        let row_start = image * size + row * row_step + group * problem.depth() * problem.width();
        let at = row_start + column * column_step;
        Places { row_start, at, column, columns: geometry.columns.output, column_step, row_step }
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        let at = self.at;
        self.column += 1;
        self.at += self.column_step;
        if self.column == self.columns {
            self.column = 0;
            self.row_start += self.row_step;
            self.at = self.row_start;
        }
        at
    }
}

impl Kernel for Convolution {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        let [_, image] = self.problem.pitch();
        if self.problem.in_place() { 0 } else { self.problem.geometry.images * image + SLACK }
    }

    fn scratch(&self) -> usize {
        (MOST_SUMS + self.start.room()) * size_of::<i32>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase + 1 < self.phases.len() {
            return match self.problem.words() {
                true => io.tiles().for_each(|row| self.pad::<u16>(io, row)),
                false => io.tiles().for_each(|row| self.pad::<u8>(io, row)),
            };
        }
        struct Tiles<'a, 'io>(&'a Convolution, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                let Tiles(convolution, io) = self;
                let (sums, room) = io.scratch::<i32>().split_at_mut(MOST_SUMS);
                let channels = convolution.start.channels(io, &convolution.finish.factor, room);
                let image = match convolution.problem.in_place() {
                    true => io.input::<u8>(0),
                    // SAFETY: the phase before wrote it, this one reads it only.
                    false => unsafe { io.read_workspace::<u8>() },
                };
                for tile in io.tiles() {
                    convolution.tile(simd, io, Source { image, channels }, tile, sums);
                }
            }
        }
        dispatch_bytes(self.isa, Tiles(self, io));
    }
}
