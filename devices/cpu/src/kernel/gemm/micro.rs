//! One tile: the accumulators of a few rows and one or two vectors of columns.
//!
//! Every pair (rows, vectors) is a function of its own with all loops over registers unrolled. Narrow tiles are unrolled
//! over the inner dimension too: a single row would otherwise wait four cycles for each of its two accumulators.
//!
//! Where both factors lie is said by tables, one offset for each place of the inner dimension. Packed panels, plain matrices
//! and images then share one function (on the machine of the [evidence](super) the two loads a step cost nothing), which
//! keeps the number of functions, and the time to compile them, small.
#![allow(unsafe_code)]

use crate::simd::{Simd, Vectorized};

/// What the accumulators begin with.
#[derive(Clone, Copy)]
pub(crate) enum Init {
    /// Zero.
    Zero,
    /// One number for each row.
    Rows(*const f32),
    /// One number for each column.
    Columns(*const f32),
}

/// The numbers of the left factor: that of row `r` at inner place `k` is `start[table[k] + r * row]`.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) start: *const f32,
    pub(crate) table: *const u32,
    pub(crate) row: usize,
}

/// The numbers of the right factor: those of column 0 and following at inner place `k` begin at `start[table[k]]`.
#[derive(Clone, Copy)]
pub(crate) struct Right {
    pub(crate) start: *const f32,
    pub(crate) table: *const u32,
}

/// The memory of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Extent of the inner dimension.
    pub(crate) depth: usize,
    /// The left factor, from the tile's first row.
    pub(crate) left: Left,
    /// The right factor, from the tile's first column.
    pub(crate) right: Right,
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
/// `rows` is at least 1 and at most [`rows`]. Both tables have `depth` entries. The left factor can be read in `rows` rows at
/// each of them; the right factor at each of them in as many whole vectors as the columns need, which may be more than there
/// are columns. The bias has an element for each row or column; `out` can be written in `rows` rows of `columns`, and nobody
/// else touches these now.
#[inline(always)]
pub(crate) unsafe fn compute<S: Simd>(simd: S, rows: usize, tile: &Tile) {
    // SAFETY: as this function.
    unsafe {
        if tile.columns > S::LANES {
            by_rows::<S, 2>(simd, rows, tile);
        } else {
            by_rows::<S, 1>(simd, rows, tile);
        }
    }
}

/// # Safety
/// As [`compute`], for `N` vectors.
#[inline(always)]
unsafe fn by_rows<S: Simd, const N: usize>(simd: S, rows: usize, tile: &Tile) {
    macro_rules! choose {
        ($($count:literal)*) => {
            match rows {
                // SAFETY: as this function.
                $($count => unsafe { one::<S, $count, N>(simd, tile) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

/// # Safety
/// As [`compute`], for `M` rows and `N` vectors.
#[inline(always)]
unsafe fn one<S: Simd, const M: usize, const N: usize>(simd: S, tile: &Tile) {
    // The condition is constant, so that tiles which this instruction set never has are not even compiled.
    if const { M <= rows::<S>() } {
        simd.call(Micro::<M, N>(tile));
    } else {
        unreachable!("a tile of {M} rows");
    }
}

struct Micro<'a, const M: usize, const N: usize>(&'a Tile);

impl<const M: usize, const N: usize> Vectorized for Micro<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the caller of `compute` vouches for all of the tile's memory.
        unsafe {
            let acc = accumulate::<S, M, N>(simd, self.0);
            store(simd, self.0, acc);
        }
    }
}

type Accumulators<S, const M: usize, const N: usize> = [[<S as Simd>::F32; N]; M];

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn accumulate<S: Simd, const M: usize, const N: usize>(simd: S, tile: &Tile) -> Accumulators<S, M, N> {
    // SAFETY: as this function.
    let mut first = unsafe { begin::<S, M, N>(simd, tile) };
    let mut k = 0;
    if const { M > 3 } {
        while k < tile.depth {
            // SAFETY: `k` is below the depth.
            unsafe { step(simd, tile, k, &mut first) };
            k += 1;
        }
        return first;
    }
    let unroll = const { if M == 1 { 4 } else { 2 } };
    let mut more = [[[simd.zero(); N]; M]; 3];
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

/// Adds the products of place `k` of the inner dimension.
///
/// # Safety
/// As [`compute`], and `k` is below the depth.
#[inline(always)]
unsafe fn step<S: Simd, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile,
    k: usize,
    acc: &mut Accumulators<S, M, N>,
) {
    let mut right = [simd.zero(); N];
    // SAFETY: the tables have an entry for `k`; whole vectors can be read there, and all rows.
    unsafe {
        let from = tile.right.start.add(*tile.right.table.add(k) as usize);
        for (j, vector) in right.iter_mut().enumerate() {
            *vector = simd.load_ptr(from.add(j * S::LANES));
        }
        // From row to row in steps: when all addresses are known at once, LLVM (Rust 1.95) loads all rows first and runs out
        // of registers from 11 rows on, at a third of the speed.
        let mut from = tile.left.start.add(*tile.left.table.add(k) as usize);
        for acc in acc.iter_mut() {
            let left = simd.splat(*from);
            from = from.wrapping_add(tile.left.row);
            for (acc, right) in acc.iter_mut().zip(right) {
                *acc = simd.fma(left, right, *acc);
            }
        }
    }
}

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn begin<S: Simd, const M: usize, const N: usize>(simd: S, tile: &Tile) -> Accumulators<S, M, N> {
    let mut acc = [[simd.zero(); N]; M];
    match tile.init {
        Init::Zero => {}
        Init::Rows(bias) => {
            for (row, acc) in acc.iter_mut().enumerate() {
                // SAFETY: `row` is a row of the tile.
                *acc = [simd.splat(unsafe { *bias.add(row) }); N];
            }
        }
        Init::Columns(bias) => {
            let mut columns = [simd.zero(); N];
            for (j, vector) in columns.iter_mut().enumerate() {
                let count = S::LANES.min(tile.columns - j * S::LANES);
                // SAFETY: the columns from `j * LANES`, `count` of them, are columns of the tile.
                *vector = unsafe { simd.load_ptr_partial(bias.add(j * S::LANES), count) };
            }
            acc = [columns; M];
        }
    }
    acc
}

/// # Safety
/// As [`compute`].
#[inline(always)]
unsafe fn store<S: Simd, const M: usize, const N: usize>(
    simd: S,
    tile: &Tile,
    mut acc: Accumulators<S, M, N>,
) {
    if let Some([low, high]) = tile.clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        for acc in acc.iter_mut().flatten() {
            *acc = simd.min(high, simd.max(low, *acc));
        }
    }
    // SAFETY: rows and columns are those of the tile.
    unsafe {
        if tile.columns == N * S::LANES {
            for (row, acc) in acc.iter().enumerate() {
                let out = tile.out.add(row * tile.out_row);
                for (j, acc) in acc.iter().enumerate() {
                    simd.store_ptr(*acc, out.add(j * S::LANES));
                }
            }
        } else {
            let rest = tile.columns - (N - 1) * S::LANES;
            for (row, acc) in acc.iter().enumerate() {
                let out = tile.out.add(row * tile.out_row);
                for (j, acc) in acc.iter().take(N - 1).enumerate() {
                    simd.store_ptr(*acc, out.add(j * S::LANES));
                }
                simd.store_ptr_partial(acc[N - 1], out.add((N - 1) * S::LANES), rest);
            }
        }
    }
}
