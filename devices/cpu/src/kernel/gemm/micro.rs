//! One tile: the accumulators of a few rows and one or two vectors of columns.
//!
//! Every pair (rows, vectors) is a function of its own with all loops over registers unrolled. Narrow tiles are unrolled
//! over the inner dimension too: a single row would otherwise wait four cycles for each of its two accumulators.
#![allow(unsafe_code)]

use crate::simd::{Simd, Vectorized};

/// Where the left factor's numbers lie.
pub(crate) trait Left: Copy {
    /// The number in row `row` of the tile's `M` and column `k`.
    ///
    /// # Safety
    /// Both lie within what the implementor was made for.
    unsafe fn at<const M: usize>(self, row: usize, k: usize) -> *const f32;
}

/// A packed panel: the `M` numbers of column 0, those of column 1, and so on.
#[derive(Clone, Copy)]
pub(crate) struct PackedLeft(pub(crate) *const f32);

impl Left for PackedLeft {
    #[inline(always)]
    unsafe fn at<const M: usize>(self, row: usize, k: usize) -> *const f32 {
        self.0.wrapping_add(k * M + row)
    }
}

/// A plain matrix.
#[derive(Clone, Copy)]
pub(crate) struct StridedLeft {
    /// Row 0, column 0.
    pub(crate) start: *const f32,
    /// Numbers from one row to the next.
    pub(crate) row: usize,
    /// Numbers from one column to the next.
    pub(crate) k: usize,
}

impl Left for StridedLeft {
    #[inline(always)]
    unsafe fn at<const M: usize>(self, row: usize, k: usize) -> *const f32 {
        self.start.wrapping_add(row * self.row + k * self.k)
    }
}

/// Where the right factor's rows lie.
pub(crate) trait Right: Copy {
    /// The first of the tile's columns in row `k`.
    ///
    /// # Safety
    /// `k` lies within what the implementor was made for.
    unsafe fn at(self, k: usize) -> *const f32;
}

/// Rows at equal distances: a plain matrix or a packed panel.
#[derive(Clone, Copy)]
pub(crate) struct StridedRight {
    /// Row 0, first column of the tile.
    pub(crate) start: *const f32,
    /// Numbers from one row to the next.
    pub(crate) k: usize,
}

impl Right for StridedRight {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> *const f32 {
        self.start.wrapping_add(k * self.k)
    }
}

/// Rows at the places that a table names.
#[derive(Clone, Copy)]
pub(crate) struct TableRight {
    /// What the table counts from.
    pub(crate) start: *const f32,
    /// For each row how many numbers further it begins.
    pub(crate) table: *const u32,
}

impl Right for TableRight {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> *const f32 {
        // SAFETY: the table has an entry for each `k`, as the caller of `compute` vouches.
        self.start.wrapping_add(unsafe { *self.table.add(k) } as usize)
    }
}

/// What the accumulators begin with.
#[derive(Clone, Copy)]
pub(crate) enum Init {
    /// Zero.
    Zero,
    /// One number for each row.
    Rows(*const f32),
    /// One number for each column.
    Columns(*const f32),
    /// What the output holds.
    Output,
}

/// The memory of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Tile<L, R> {
    /// Extent of the inner dimension.
    pub(crate) depth: usize,
    /// The left factor, from the tile's first row.
    pub(crate) left: L,
    /// The right factor, from the tile's first column.
    pub(crate) right: R,
    /// What is added to.
    pub(crate) init: Init,
    /// Limits of the results.
    pub(crate) clip: Option<[f32; 2]>,
    /// The first element of the result.
    pub(crate) out: *mut f32,
    /// Numbers from one row of the result to the next.
    pub(crate) out_row: usize,
    /// Columns of the result: at least 1, at most two vectors.
    pub(crate) columns: usize,
}

/// Rows of the largest tile: as many as leave registers for two vectors of the right factor and a broadcast number.
pub(crate) const fn rows<S: Simd>() -> usize {
    match (S::REGISTERS, S::LANES) {
        (32.., _) => 14,
        (_, 8..) => 6,
        _ => 4,
    }
}

/// Computes `rows` rows of a tile.
///
/// # Safety
/// `rows` is at least 1 and at most [`rows`]. The left factor has `rows` rows, both have `depth` in the inner dimension. In
/// every row of the right factor as many whole vectors can be read as the columns need, which may be more than there are
/// columns. The bias has an element for each row or column; `out` can be written (and read, for [`Init::Output`]) in
/// `rows` rows of `columns`, and nobody else touches these now.
#[inline(always)]
pub(crate) unsafe fn compute<S: Simd, L: Left, R: Right>(simd: S, rows: usize, tile: Tile<L, R>) {
    // SAFETY: as this function.
    unsafe {
        if tile.columns > S::LANES {
            by_rows::<S, L, R, 2>(simd, rows, tile);
        } else {
            by_rows::<S, L, R, 1>(simd, rows, tile);
        }
    }
}

/// # Safety
/// As [`compute`], for `N` vectors.
#[inline(always)]
unsafe fn by_rows<S: Simd, L: Left, R: Right, const N: usize>(simd: S, rows: usize, tile: Tile<L, R>) {
    macro_rules! choose {
        ($($count:literal)*) => {
            match rows {
                // SAFETY: as this function.
                $($count => unsafe { one::<S, L, R, $count, N>(simd, tile) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// # Safety
/// As [`compute`], for `M` rows and `N` vectors.
#[inline(always)]
unsafe fn one<S: Simd, L: Left, R: Right, const M: usize, const N: usize>(simd: S, tile: Tile<L, R>) {
    // The condition is constant, so that tiles which this instruction set never has are not even compiled.
    if const { M <= rows::<S>() } {
        simd.call(Micro::<L, R, M, N>(tile));
    } else {
        unreachable!("a tile of {M} rows");
    }
}

struct Micro<L, R, const M: usize, const N: usize>(Tile<L, R>);

impl<L: Left, R: Right, const M: usize, const N: usize> Vectorized for Micro<L, R, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let tile = self.0;
        // SAFETY: the caller of `compute` vouches for all of the tile's memory.
        unsafe {
            let acc = accumulate::<S, L, R, M, N>(simd, &tile);
            store(simd, &tile, acc);
        }
    }
}

type Accumulators<S, const M: usize, const N: usize> = [[<S as Simd>::F32; N]; M];

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn accumulate<S: Simd, L: Left, R: Right, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile<L, R>,
) -> Accumulators<S, M, N> {
    // SAFETY: as this function.
    let mut first = unsafe { begin::<S, L, R, M, N>(simd, tile) };
    let unroll = const {
        match M {
            1 => 4,
            2 | 3 => 2,
            _ => 1,
        }
    };
    let mut more = [[[simd.zero(); N]; M]; 3];
    let mut k = 0;
    // SAFETY: `k` is below the depth.
    unsafe {
        while k + unroll <= tile.depth {
            step(simd, tile, k, &mut first);
            for extra in 1..unroll {
                step(simd, tile, k + extra, &mut more[extra - 1]);
            }
            k += unroll;
        }
        while k < tile.depth {
            step(simd, tile, k, &mut first);
            k += 1;
        }
    }
    for more in more.iter().take(unroll - 1) {
        for (acc, more) in first.iter_mut().flatten().zip(more.iter().flatten()) {
            *acc = simd.add(*acc, *more);
        }
    }
    first
}

/// Adds the products of column `k` of the left factor and row `k` of the right one.
///
/// # Safety
/// As [`compute`], and `k` is below the depth.
#[inline(always)]
unsafe fn step<S: Simd, L: Left, R: Right, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile<L, R>,
    k: usize,
    acc: &mut Accumulators<S, M, N>,
) {
    let mut right = [simd.zero(); N];
    // SAFETY: whole vectors can be read at every `k`; `row` is below `M`.
    unsafe {
        let from = tile.right.at(k);
        for (j, vector) in right.iter_mut().enumerate() {
            *vector = simd.load_ptr(from.add(j * S::LANES));
        }
        for (row, acc) in acc.iter_mut().enumerate() {
            let left = simd.splat(*tile.left.at::<M>(row, k));
            for (acc, right) in acc.iter_mut().zip(right) {
                *acc = simd.fma(left, right, *acc);
            }
        }
    }
}

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn begin<S: Simd, L: Left, R: Right, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile<L, R>,
) -> Accumulators<S, M, N> {
    let mut acc = [[simd.zero(); N]; M];
    for (row, acc) in acc.iter_mut().enumerate() {
        for (j, acc) in acc.iter_mut().enumerate() {
            let count = S::LANES.min(tile.columns - j * S::LANES);
            // SAFETY: `row` is a row and the columns from `j * LANES`, `count` of them, are columns of the tile.
            *acc = unsafe {
                match tile.init {
                    Init::Zero => simd.zero(),
                    Init::Rows(bias) => simd.splat(*bias.add(row)),
                    Init::Columns(bias) => simd.load_ptr_partial(bias.add(j * S::LANES), count),
                    Init::Output => {
                        simd.load_ptr_partial(tile.out.add(row * tile.out_row + j * S::LANES), count)
                    }
                }
            };
        }
    }
    acc
}

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn store<S: Simd, L: Left, R: Right, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile<L, R>,
    mut acc: Accumulators<S, M, N>,
) {
    if let Some([low, high]) = tile.clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        for acc in acc.iter_mut().flatten() {
            *acc = simd.min(high, simd.max(low, *acc));
        }
    }
    let whole = tile.columns == N * S::LANES;
    for (row, acc) in acc.iter().enumerate() {
        let out = tile.out.wrapping_add(row * tile.out_row);
        for (j, acc) in acc.iter().enumerate() {
            let out = out.wrapping_add(j * S::LANES);
            // SAFETY: `row` is a row of the tile; the columns written are columns of the tile.
            unsafe {
                if whole || j + 1 < N {
                    simd.store_ptr(*acc, out);
                } else {
                    simd.store_ptr_partial(*acc, out, tile.columns - j * S::LANES);
                }
            }
        }
    }
}
