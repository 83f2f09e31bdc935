//! Pools of bytes whose channels lie innermost: whole pixels are compared or added, channel by channel.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{ByteMaxPool, ByteMean};

use super::conv::Sizes;
use super::finish::{Block, Finish, flip, raised};
use super::geometry::{Axis, Geometry};
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
    let picoseconds = (row * geometry.taps()) as u64 * 25;
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
    fn row<S: Simd>(&self, simd: S, io: &Io<'_>, row: usize) {
        let Geometry { rows, columns, channels, .. } = self.geometry;
        let x = io.input::<u8>(0);
        let (width, pitch) = (columns.output * channels, columns.input * channels);
        let (image, row_of) = (row / rows.output, row % rows.output);
        let flips = simd.splat_i32(i32::from(self.flip));
        // SAFETY: each row is one tile's.
        let to = unsafe { io.shared::<u8>(0).range(row * width..(row + 1) * width) };
        let inside = |axis: Axis, at: usize, tap: usize| {
            let at = at * axis.stride + tap * axis.dilation;
            at.checked_sub(axis.begin).filter(|at| *at < axis.input)
        };
        for (column, to) in to.chunks_exact_mut(channels).enumerate() {
            for channel in (0..channels).step_by(S::LANES) {
                let count = S::LANES.min(channels - channel);
                let mut largest = simd.splat_i32(0);
                for row_tap in 0..rows.kernel {
                    let Some(line) = inside(rows, row_of, row_tap) else { continue };
                    let line = (image * rows.input + line) * pitch + channel;
                    for tap in 0..columns.kernel {
                        let Some(at) = inside(columns, column, tap) else { continue };
                        let from = &x[line + at * channels..][..count];
                        // SAFETY: there are `count` bytes.
                        let byte = unsafe {
                            match count == S::LANES {
                                true => simd.load_ptr_u8(from.as_ptr()),
                                false => simd.load_ptr_partial_u8(from.as_ptr(), count),
                            }
                        };
                        largest = simd.max_i32(largest, simd.xor_i32(byte, flips));
                    }
                }
                let (largest, to) = (simd.xor_i32(largest, flips), &mut to[channel..channel + count]);
                // SAFETY: there is room for `count` bytes.
                unsafe {
                    match count == S::LANES {
                        true => simd.store_ptr_u8(largest, to.as_mut_ptr()),
                        false => simd.store_ptr_partial_u8(largest, to.as_mut_ptr(), count),
                    }
                }
            }
        }
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
            fn run<S: Simd>(self, simd: S) {
                let Tiles(pool, io) = self;
                let tiles = io.tiles();
                for row in tiles.start * pool.share..(tiles.end * pool.share).min(pool.rows) {
                    pool.row(simd, io, row);
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
