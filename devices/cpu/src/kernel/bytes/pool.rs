//! The largest numbers of windows over images whose channels lie innermost: bytes, or the real numbers between dynamic quantisations.
//!
//! ```text
//!  rows under the windows ─▶ a line of their largest numbers, ─▶ for each window the largest of its columns
//!                            with padding at both ends
//! ```
//!
//! Columns of channels are walked in whole vectors. What a vector has beyond the last channel belongs to the next window, which is written
//! next; only at the end of a row a part of one is copied.
//!
//! # Evidence
//!
//! The two large pools of MTCNN O-Net, eight images, bytes, Node with relaxed SIMD: 0.92 ms where each window was walked in arrays of 64, 16 or one
//! channels, 0.67 with plain loops over slices, 0.07 so: where code is compiled for size, as for WebAssembly, the compiler makes no
//! vectors of either.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::marker::PhantomData;

use inferry_core::ElementType;
use inferry_engine::op::ByteMaxPool;

use super::finish::flip;
use super::geometry::Geometry;
use crate::io::{Io, Shared};
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::simple::spread_items;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{MOST_LANES, Simd, Vectorized, dispatch};

/// Builds the kernel of a [`ByteMaxPool`].
pub(crate) fn max_pool(op: &ByteMaxPool, node: &Builder<'_>) -> Built {
    match node.input(0)?.element {
        ElementType::U8 | ElementType::I8 => build::<Bytes>(op, node),
        ElementType::F32 => build::<Reals>(op, node),
        element => Err(BuildError::Element { op: "ByteMaxPool", element }),
    }
}

fn build<K: Kind>(op: &ByteMaxPool, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let kernel = op.window.kernel.as_deref().unwrap_or_default();
    let channels = x.shape.last().copied().unwrap_or(0);
    let (geometry, output) = Geometry::new(&x.shape, &op.window, kernel, op.ceil, channels)?;
    let column = channels.checked_mul(x.element.size()).filter(|_| node.output(0).1[..] == output[..]);
    let Some(column) = column else {
        return Err(form(alloc::format!("a pool of {} into {}", x.shape, node.output(0).1)));
    };
    let Geometry { rows, columns, .. } = &geometry;
    let count = if columns.output * channels == 0 { 0 } else { geometry.images * rows.output };
    let line = columns.reach() * column * rows.kernel + columns.output * column * columns.kernel;
    let (phase, share) = spread_items(count, line as u64 * 20);
    let flip = flip(x.element);
    Ok(Box::new(MaxPool {
        phases: [phase],
        share,
        count,
        geometry,
        column,
        flip,
        isa: node.isa,
        of: PhantomData::<K>,
    }))
}

/// What numbers are, four bytes in a lane.
trait Kind: Send + Sync + 'static {
    /// What is larger than no number, as often as it fits into four bytes.
    const LEAST: [u8; 4];

    /// Numbers of the image as they are compared, and back; `flips` has the bits that differ.
    fn turned<S: Simd>(simd: S, numbers: S::I32, flips: S::I32) -> S::I32;

    /// The larger ones.
    fn larger<S: Simd>(simd: S, a: S::I32, b: S::I32) -> S::I32;
}

/// Unsigned bytes, or signed ones with their highest bit flipped.
struct Bytes;

impl Kind for Bytes {
    const LEAST: [u8; 4] = [0; 4];

    #[inline(always)]
    fn turned<S: Simd>(simd: S, numbers: S::I32, flips: S::I32) -> S::I32 {
        simd.xor_i32(numbers, flips)
    }

    #[inline(always)]
    fn larger<S: Simd>(simd: S, a: S::I32, b: S::I32) -> S::I32 {
        simd.max_bytes(a, b)
    }
}

/// `f32`.
struct Reals;

impl Kind for Reals {
    const LEAST: [u8; 4] = f32::NEG_INFINITY.to_ne_bytes();

    #[inline(always)]
    fn turned<S: Simd>(_: S, numbers: S::I32, _: S::I32) -> S::I32 {
        numbers
    }

    #[inline(always)]
    fn larger<S: Simd>(simd: S, a: S::I32, b: S::I32) -> S::I32 {
        simd.to_bits(simd.max(simd.of_bits(a), simd.of_bits(b)))
    }
}

struct MaxPool<K> {
    phases: [Phase; 1],
    /// Rows of outputs of a tile, and all of them.
    share: usize,
    count: usize,
    geometry: Geometry,
    /// Bytes of a column.
    column: usize,
    /// What is flipped to read bytes as unsigned ones.
    flip: u8,
    isa: Isa,
    of: PhantomData<K>,
}

/// Bytes of the largest vector: lines may be read and written so far beyond their end.
const SLACK: usize = MOST_LANES * 4;

impl<K: Kind> MaxPool<K> {
    /// Bytes of a line with its padding.
    fn line(&self) -> usize {
        self.geometry.columns.reach() * self.column
    }

    /// Writes the largest numbers of the rows under a row of windows, with padding before and behind them.
    #[inline(always)]
    fn down<S: Simd>(&self, simd: S, io: &Io<'_>, row: usize, line: &mut [u8]) {
        let Geometry { rows, columns, .. } = self.geometry;
        let (image, row) = (row / rows.output, row % rows.output);
        let begin = (columns.begin * self.column).min(self.line());
        let count = (columns.input * self.column).min(self.line() - begin);
        let mut some = false;
        for tap in 0..rows.kernel {
            let at = row * rows.stride + tap * rows.dilation;
            let Some(at) = at.checked_sub(rows.begin).filter(|at| *at < rows.input) else { continue };
            let start = (image * rows.input + at) * columns.input * self.column;
            let from = &io.input::<u8>(0)[start..start + count];
            if some {
                self.join::<S, true>(simd, from, &mut line[begin..]);
            } else {
                self.join::<S, false>(simd, from, &mut line[begin..]);
            }
            some = true;
        }
        let least =
            |bytes: &mut [u8]| bytes.chunks_mut(4).for_each(|to| to.copy_from_slice(&K::LEAST[..to.len()]));
        least(&mut line[..begin]);
        least(&mut line[begin + if some { count } else { 0 }..self.line()]);
    }

    /// A row of the image into the line; with `ON`, the larger of both. Behind it up to a vector of the line is overwritten.
    #[inline(always)]
    fn join<S: Simd, const ON: bool>(&self, simd: S, from: &[u8], line: &mut [u8]) {
        let flips = simd.splat_i32(i32::from_ne_bytes([self.flip; 4]));
        let line = &mut line[..from.len() + SLACK];
        let mut rest = [0; SLACK];
        let whole = from.len() / (4 * S::LANES) * (4 * S::LANES);
        rest[..from.len() - whole].copy_from_slice(&from[whole..]);
        let mut at = 0;
        while at < from.len() {
            // SAFETY: a vector lies in `from` or in `rest`, and the line has one more than `from`.
            unsafe {
                let source = if at < whole { from.as_ptr().add(at) } else { rest.as_ptr() };
                let to = line.as_mut_ptr().add(at).cast::<i32>();
                let mut numbers = K::turned(simd, simd.load_ptr_i32(source.cast()), flips);
                if ON {
                    numbers = K::larger(simd, numbers, simd.load_ptr_i32(to));
                }
                simd.store_ptr_i32(numbers, to);
            }
            at += 4 * S::LANES;
        }
    }

    /// Writes a row of outputs, the largest numbers of the columns of the line under each window.
    #[inline(always)]
    fn along<S: Simd>(&self, simd: S, line: &[u8], to: &mut [u8]) {
        let columns = &self.geometry.columns;
        let flips = simd.splat_i32(i32::from_ne_bytes([self.flip; 4]));
        let step = columns.dilation * self.column;
        let line = &line[..self.line() + SLACK];
        let mut place = 0;
        for window in 0..columns.output {
            let start = window * columns.stride * self.column;
            let mut at = 0;
            while at < self.column {
                // SAFETY: the last column of the last window begins where the line has a column left, and a vector beyond it. What is
                // written lies within `to`: a whole vector, or as much of one as belongs to the window.
                unsafe {
                    let mut from = line.as_ptr().add(start + at);
                    let mut numbers = simd.load_ptr_i32(from.cast());
                    let mut tap = 1;
                    while tap < columns.kernel {
                        from = from.add(step);
                        numbers = K::larger(simd, numbers, simd.load_ptr_i32(from.cast()));
                        tap += 1;
                    }
                    numbers = K::turned(simd, numbers, flips);
                    let out = place + at;
                    if out + 4 * S::LANES <= to.len() {
                        simd.store_ptr_i32(numbers, to.as_mut_ptr().add(out).cast());
                    } else {
                        let mut rest = [0; SLACK];
                        simd.store_ptr_i32(numbers, rest.as_mut_ptr().cast());
                        let count = self.column - at;
                        to[out..out + count.min(4 * S::LANES)]
                            .copy_from_slice(&rest[..count.min(4 * S::LANES)]);
                    }
                }
                at += 4 * S::LANES;
            }
            place += self.column;
        }
    }
}

impl<K: Kind> Kernel for MaxPool<K> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        self.line() + SLACK
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io, K>(&'a MaxPool<K>, &'a mut Io<'io>);
        impl<K: Kind> Vectorized for Tiles<'_, '_, K> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                let Tiles(pool, io) = self;
                let tiles = io.tiles();
                let line = io.scratch::<u8>();
                let width = pool.geometry.columns.output * pool.column;
                for row in tiles.start * pool.share..(tiles.end * pool.share).min(pool.count) {
                    pool.down(simd, io, row, line);
                    let to: Shared<'_, u8> = io.shared(0);
                    // SAFETY: each row is one tile's.
                    pool.along(simd, line, unsafe { to.range(row * width..(row + 1) * width) });
                }
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}
