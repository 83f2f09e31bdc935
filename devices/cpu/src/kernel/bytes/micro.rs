//! One tile: up to fourteen pixels by one or two vectors of output channels.
//!
//! ```text
//!              output channels (one or two vectors)
//!             ┌───────────┐
//!             │  weights  │  four taps a step: one load a vector, packed so
//!             └───────────┘
//!   pixels ┌───┐ ┌───────────┐
//!          │ x │ │   i32     │  accumulators: they stay in registers for all taps
//!          └───┘ └───────────┘
//!           four taps a step: one broadcast a pixel, from wherever the pixel lies
//! ```
//!
//! Each pixel has an address of its own, so that a tile may go on from one row of the image to the next and none is cut to
//! the width of an image; a table says where the taps lie from there. As in the [float tiles](crate::kernel::gemm),
//! every number of pixels is a function of its own whose accumulators have names.
#![allow(unsafe_code)]

use crate::simd::{Simd, Vectorized};

/// Pixels of the largest tile of any instruction set.
pub(super) const MOST_PIXELS: usize = 14;

/// Sums of the largest tile.
pub(super) const MOST_SUMS: usize = MOST_PIXELS * 2 * crate::simd::MOST_LANES;

/// The memory of one tile.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// From where `pixels` and `table` count.
    pub(super) start: *const u8,
    /// Where each pixel's first tap lies.
    pub(super) pixels: &'a [usize; MOST_PIXELS],
    /// Where the taps lie from there, four bytes or two words in each step.
    pub(super) table: &'a [u32],
    /// The weights of the first vector of channels: for each step as much a lane.
    pub(super) weights: *const u8,
    /// What the sums of each channel begin with.
    pub(super) init: *const i32,
    /// Room for the sums: two vectors a pixel.
    pub(super) sums: *mut i32,
}

/// Pixels of the largest tile: as many as leave registers for two vectors of weights and a broadcast number. Where products
/// of bytes are several instructions they need some more. In V8, whose products are one instruction, six pixels were slower
/// than four (ResNet-18 Q/DQ 38 and 32 ms).
pub(super) const fn pixels<S: Simd>() -> usize {
    match (S::REGISTERS, S::LANES) {
        (32.., 8..) => MOST_PIXELS,
        (32.., _) => 12,
        _ => 4,
    }
}

/// Computes the sums of `pixels` pixels, from bytes or from words.
///
/// # Safety
/// `pixels` is at least 1 and at most [`pixels`]. For each of them and each entry of the table four bytes can be read. The
/// weights have a vector for each entry, `init` has a vector, with `two` twice as many, those of the second behind those of
/// the first. `sums` can be written in `pixels` rows of two vectors, and nobody else touches them now.
#[inline(always)]
pub(super) unsafe fn compute<S: Simd>(simd: S, pixels: usize, two: bool, words: bool, tile: &Tile<'_>) {
    match (two, words) {
        (true, true) => by_pixels::<S, true, true>(simd, pixels, tile),
        (false, true) => by_pixels::<S, false, true>(simd, pixels, tile),
        (true, false) => by_pixels::<S, true, false>(simd, pixels, tile),
        (false, false) => by_pixels::<S, false, false>(simd, pixels, tile),
    }
}

#[inline(always)]
fn by_pixels<S: Simd, const TWO: bool, const WORDS: bool>(simd: S, count: usize, tile: &Tile<'_>) {
    macro_rules! choose {
        ($($count:literal $name:ident)*) => {
            match count {
                // The condition is constant, so that tiles which this instruction set never has are not even compiled.
                $($count if const { $count <= pixels::<S>() } => simd.call($name::<TWO, WORDS>(tile)),)*
                _ => unreachable!("a tile of {count} pixels"),
            }
        };
    }
    choose!(1 Pixels1 2 Pixels2 3 Pixels3 4 Pixels4 5 Pixels5 6 Pixels6 7 Pixels7 8 Pixels8 9 Pixels9 10 Pixels10 11 Pixels11
        12 Pixels12 13 Pixels13 14 Pixels14)
}

/// Tiles of a fixed number of pixels, with a name for each accumulator and each address.
macro_rules! tiles {
    ($($name:ident: $($first:ident $second:ident $pixel:ident)+;)*) => { $(
        /// # Safety of its making
        /// As [`compute`], with this number of pixels.
        struct $name<'a, const TWO: bool, const WORDS: bool>(&'a Tile<'a>);

        impl<const TWO: bool, const WORDS: bool> Vectorized for $name<'_, TWO, WORDS> {
            type Output = ();

            #[inline(always)]
            #[allow(unused_assignments, reason = "behind the last pixel")]
            fn run<S: Simd>(self, simd: S) {
                let tile = self.0;
                // SAFETY: the caller of `compute` vouches for all of the tile's memory.
                unsafe {
                    let begin = simd.load_ptr_i32(tile.init);
                    $(let mut $first = begin;)+
                    let begin = if TWO { simd.load_ptr_i32(tile.init.add(S::LANES)) } else { begin };
                    $(let mut $second = begin;)+
                    let mut pixel = 0;
                    $(let $pixel = tile.start.add(tile.pixels[pixel]); pixel += 1;)+
                    let mut weights = tile.weights.cast::<i32>();
                    let other = tile.table.len() * S::LANES;
                    for at in tile.table {
                        let at = *at as usize;
                        let (w, v) = (simd.load_ptr_i32(weights), if TWO { simd.load_ptr_i32(weights.add(other)) } else { begin });
                        $(
                            if WORDS {
                                let x = simd.splat_i32($pixel.add(at).cast::<i32>().read_unaligned());
                                $first = simd.dot_words(x, w, $first);
                                if TWO {
                                    $second = simd.dot_words(x, v, $second);
                                }
                            } else if TWO {
                                [$first, $second] = simd.dot_pair($pixel.add(at), [w, v], [$first, $second]);
                            } else {
                                let x = simd.splat_i32($pixel.add(at).cast::<i32>().read_unaligned());
                                $first = simd.dot(x, w, $first);
                            }
                        )+
                        weights = weights.add(S::LANES);
                    }
                    let mut sums = tile.sums;
                    $(
                        simd.store_ptr_i32($first, sums);
                        if TWO {
                            simd.store_ptr_i32($second, sums.add(S::LANES));
                        }
                        sums = sums.wrapping_add(2 * S::LANES);
                    )+
                }
            }
        }
    )* };
}

tiles! {
    Pixels1: a0 b0 p0;
    Pixels2: a0 b0 p0 a1 b1 p1;
    Pixels3: a0 b0 p0 a1 b1 p1 a2 b2 p2;
    Pixels4: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3;
    Pixels5: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4;
    Pixels6: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5;
    Pixels7: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6;
    Pixels8: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7;
    Pixels9: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8;
    Pixels10: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8 a9 b9 p9;
    Pixels11: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8 a9 b9 p9 c0 d0 q0;
    Pixels12: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8 a9 b9 p9 c0 d0 q0 c1 d1 q1;
    Pixels13: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8 a9 b9 p9 c0 d0 q0 c1 d1 q1
        c2 d2 q2;
    Pixels14: a0 b0 p0 a1 b1 p1 a2 b2 p2 a3 b3 p3 a4 b4 p4 a5 b5 p5 a6 b6 p6 a7 b7 p7 a8 b8 p8 a9 b9 p9 c0 d0 q0 c1 d1 q1
        c2 d2 q2 c3 d3 q3;
}
