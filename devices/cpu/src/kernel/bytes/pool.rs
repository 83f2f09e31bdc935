//! Pools of bytes whose channels lie innermost: whole pixels are compared or added, channel by channel.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{ByteMaxPool, ByteMean};

use super::conv::Sizes;
use super::finish::{Block, Finish, flip, raised};
use super::geometry::Geometry;
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::simple::spread_items;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`ByteMaxPool`].
pub(crate) fn max_pool(op: &ByteMaxPool, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let kernel = op.window.kernel.as_deref().unwrap_or_default();
    let channels = x.shape.last().copied().unwrap_or(0);
    let (geometry, output) = Geometry::new(&x.shape, &op.window, kernel, op.ceil, channels)?;
    if node.output(0).1[..] != output[..] {
        return Err(form(alloc::format!("a pool of {} into {}", x.shape, node.output(0).1)));
    }
    let row = geometry.columns.output * geometry.channels;
    let rows = if row == 0 { 0 } else { geometry.images * geometry.rows.output };
    let picoseconds = (row * geometry.taps()) as u64 * 10;
    let (phase, share) = spread_items(rows, picoseconds);
    if !matches!(x.element, ElementType::U8 | ElementType::I8) {
        return Err(BuildError::Element { op: "ByteMaxPool", element: x.element });
    }
    Ok(Box::new(MaxPool { phases: [phase], share, rows, geometry, flip: flip(x.element), isa: node.isa }))
}

struct MaxPool {
    phases: [Phase; 1],
    /// Rows of outputs of a tile, and all of them.
    share: usize,
    rows: usize,
    geometry: Geometry,
    /// What is flipped to read bytes as unsigned ones, of which 0 is the smallest.
    flip: u8,
    isa: Isa,
}

impl MaxPool {
    /// A row of outputs.
    #[inline(always)]
    fn row(&self, io: &Io<'_>, row: usize) {
        let Geometry { rows, columns, channels, .. } = self.geometry;
        let x = io.input::<u8>(0);
        let width = columns.output * channels;
        let (image, row_of) = (row / rows.output, row % rows.output);
        // SAFETY: each row is one tile's.
        let to = unsafe { io.shared::<u8>(0).range(row * width..(row + 1) * width) };
        let mut first = 0;
        while first < channels {
            // Whole vectors of bytes, as long as there are channels for them.
            let width = match channels - first {
                64.. => self.channels::<64>(x, to, [image, row_of, first]),
                16.. => self.channels::<16>(x, to, [image, row_of, first]),
                _ => self.channels::<1>(x, to, [image, row_of, first]),
            };
            first += width;
        }
    }

    /// `WIDTH` channels of a row of outputs.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "what is zipped is not always made vectors of")]
    fn channels<const WIDTH: usize>(
        &self,
        x: &[u8],
        to: &mut [u8],
        [image, row, first]: [usize; 3],
    ) -> usize {
        let Geometry { rows, columns, channels, .. } = self.geometry;
        for column in 0..columns.output {
            let mut largest = [0u8; WIDTH];
            for row_tap in 0..rows.kernel {
                let at = (row * rows.stride + row_tap * rows.dilation).wrapping_sub(rows.begin);
                // What lies before the image is a large number.
                if at >= rows.input {
                    continue;
                }
                let line = (image * rows.input + at) * columns.input;
                for tap in 0..columns.kernel {
                    let at = (column * columns.stride + tap * columns.dilation).wrapping_sub(columns.begin);
                    if at >= columns.input {
                        continue;
                    }
                    let from = &x[(line + at) * channels + first..][..WIDTH];
                    for lane in 0..WIDTH {
                        largest[lane] = largest[lane].max(from[lane] ^ self.flip);
                    }
                }
            }
            let to = &mut to[column * channels + first..][..WIDTH];
            for lane in 0..WIDTH {
                to[lane] = largest[lane] ^ self.flip;
            }
        }
        WIDTH
    }
}

impl Kernel for MaxPool {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a MaxPool, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Tiles(pool, io) = self;
                let tiles = io.tiles();
                for row in tiles.start * pool.share..(tiles.end * pool.share).min(pool.rows) {
                    pool.row(io, row);
                }
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}

/// Builds the kernel of a [`ByteMean`].
pub(crate) fn mean(op: &ByteMean, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let ([images, spatial @ .., channels], (element, shape)) = (&x.shape[..], node.output(0)) else {
        return Err(form("an image without channels"));
    };
    let fits =
        shape.first() == Some(images) && shape.last() == Some(channels) && shape.count() == images * channels;
    if !fits || *element != op.target.element || !matches!(element, ElementType::U8 | ElementType::I8) {
        return Err(form(alloc::format!("a mean of {} into {element} {shape}", x.shape)));
    }
    let pixels: usize = spatial.iter().product();
    // Sums of so many bytes stay within an i32.
    if pixels == 0 || pixels > 1 << 22 {
        return Err(form(alloc::format!("a mean of {pixels} pixels")));
    }
    let lanes = Sizes::of(node.isa).lanes;
    let padded = channels.next_multiple_of(lanes);
    let flip = flip(x.element);
    let finish = Finish::new(
        [vec![op.scale / pixels as f32; padded], vec![0.0; padded], Vec::new()],
        None,
        None,
        Some(op.target),
    );
    let init = -(pixels as i32) * raised(op.zero, flip);
    let blocks = channels.div_ceil(CHANNELS);
    let phases = [Phase::tiles(images * blocks, (pixels * CHANNELS / 20).max(1) as u64)];
    let (images, channels) = (*images, *channels);
    debug_assert!(images * blocks == phases[0].tiles);
    Ok(Box::new(Mean { phases, channels, pixels, flip, init, finish, isa: node.isa }))
}

/// Channels of a tile: whole vectors of every instruction set.
const CHANNELS: usize = 64;

struct Mean {
    phases: [Phase; 1],
    channels: usize,
    pixels: usize,
    flip: u8,
    /// What sums begin with.
    init: i32,
    finish: Finish,
    isa: Isa,
}

impl Kernel for Mean {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Mean, &'a Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                self.1.tiles().for_each(|tile| self.0.tile(simd, self.1, tile));
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}

impl Mean {
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, io: &Io<'_>, tile: usize) {
        let blocks = self.channels.div_ceil(CHANNELS);
        let (image, first) = (tile / blocks, tile % blocks * CHANNELS);
        let width = CHANNELS.min(self.channels - first);
        let mut sums = [self.init; CHANNELS];
        let x = &io.input::<u8>(0)[image * self.pixels * self.channels..][..self.pixels * self.channels];
        for pixel in x.chunks_exact(self.channels) {
            for (sum, byte) in sums.iter_mut().zip(&pixel[first..first + width]) {
                *sum += i32::from(byte ^ self.flip);
            }
        }
        for from in (0..width).step_by(S::LANES) {
            let count = S::LANES.min(width - from);
            let out = image * self.channels + first + from;
            // SAFETY: these channels are this tile's.
            let to = unsafe { io.shared::<u8>(0).range(out..out + count) };
            let block = Block {
                sums: sums[from..].as_ptr(),
                pitch: 0,
                rows: 1,
                place: first + from,
                count,
                out: to.as_mut_ptr(),
                residual: core::ptr::null(),
                out_row: 0,
            };
            // SAFETY: a whole vector of sums begins at `from`, and `to` has `count` bytes.
            unsafe { self.finish.run(simd, &block) };
        }
    }
}
