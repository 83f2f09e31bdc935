//! Products of `f32` matrices: the inner loops under matrix products, convolutions and recurrent layers.
//!
//! ```text
//!              N columns (two vectors)
//!            ┌───────────┐
//!            │   right   │  K rows: one load a vector
//!            └───────────┘
//!   M  ┌───┐ ┌───────────┐
//!  rows│   │ │ M x N     │  accumulators: they stay in registers for all of K
//!      │ l │ │           │
//!      └───┘ └───────────┘
//!       K columns: one broadcast a number
//! ```
//!
//! A *tile* is as many rows and columns as registers can accumulate (14 x 32 with AVX-512, 6 x 16 with AVX2, 12 x 8 with
//! NEON, 6 x 8 with relaxed SIMD, 4 x 8 else); [`compute`] makes one, over the whole inner dimension, adds a bias, limits the
//! result and stores it once. Where the numbers of the two factors lie is said by tables of offsets ([`Left`], [`Right`]): in
//! panels packed beforehand ([`pack`]), in a plain matrix, or under the taps of a convolution, which so reads its image without
//! unfolding it.
//!
//! Which tiles are computed in which order, by whom, and what is packed when, is the business of the kernels that use this
//! module, not of this module. It allocates nothing.
//!
//! # Evidence
//!
//! Zen 5 server, 3.8 GHz, one core, operands in cache; peak measured 244 GFLOP/s with AVX-512, 122 with AVX2:
//!
//! | tile | GFLOP/s |
//! |---|---|
//! | AVX-512 14x32, 12x32, 8x32, 6x32, 8x48, 6x64 | 237 to 245 (left packed or strided, right packed or by table: no difference) |
//! | AVX-512 4x32 / 2x32 / 1x32, not unrolled over K | 225 / 125 / 68 |
//! | AVX-512 24x16 / 16x16 | 217 / 207; 59 with 24 strided rows 4 KiB apart |
//! | AVX2 6x16 / 12x8 / 4x24 (spills) | 122 / 108 / 60 |
//! | portable 4x8 / 8x4 / 6x8 (spills), plain SSE2 | 43 / 35 / 27 |
//! | V8, relaxed SIMD, 6x8 (a product of 384 x 384 x 384, on a busy machine) | 47 |
//!
//! NEON was not timed, only read (Rust 1.95, level 3): a step of 12 x 8 with a packed left factor is 39 instructions, of which 24
//! are `fmla` by element, 7 load pairs (`ldp`) and none touches the stack. With 14 x 8 some accumulators are spilled, since
//! LLVM loads numbers of the left factor ahead. Written with a broadcast the same step has 12 `ld1r`, each of which takes one of
//! the vector units besides, and with an unknown distance between the rows 12 additions.

mod micro;
pub(crate) mod pack;
pub(crate) mod product;

pub(crate) use micro::{Init, Left, Right, Tile, compute, rows};

use alloc::vec::Vec;

use crate::isa::Isa;
use crate::simd::{self, Simd, Vectorized};

/// How large tiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Rows of the largest tile.
    pub(crate) rows: usize,
    /// Columns of one vector; the largest tile has [`Sizes::columns`].
    pub(crate) lanes: usize,
}

impl Sizes {
    /// The sizes for this instruction set.
    pub(crate) fn of(isa: Isa) -> Sizes {
        struct Ask;
        impl Vectorized for Ask {
            type Output = Sizes;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> Sizes {
                Sizes { rows: micro::rows::<S>(), lanes: S::LANES }
            }
        }
        simd::dispatch(isa, Ask)
    }

    /// Columns of the largest tile.
    pub(crate) fn columns(self) -> usize {
        2 * self.lanes
    }

    /// Rows of each tile but the last, when `rows` rows are shared out as evenly as whole tiles allow.
    pub(crate) fn even_rows(self, rows: usize) -> usize {
        rows.div_ceil(rows.div_ceil(self.rows).max(1)).max(1)
    }

    /// A number that names these sizes, for the tags of packed constants.
    pub(crate) fn tag(self) -> u64 {
        (self.rows as u64) << 8 | self.lanes as u64
    }
}

/// The table of a factor whose inner places are `stride` apart; `None` when one does not fit.
pub(crate) fn steps(depth: usize, stride: usize) -> Option<Vec<u32>> {
    (0..depth).map(|k| k.checked_mul(stride).and_then(|at| u32::try_from(at).ok())).collect()
}
