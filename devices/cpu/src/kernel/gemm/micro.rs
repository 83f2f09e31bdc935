//! One tile: the accumulators of a few rows and one or two vectors of columns.
//!
//! Every pair (rows, vectors) is a function of its own, written by a macro that names each accumulator: an array of them is
//! kept in memory by LLVM (Rust 1.95) as soon as the function around it is large, and stored after every step, at a third
//! of the speed. Narrow tiles are unrolled over the inner dimension too: a single row would otherwise wait four cycles for
//! each of its two accumulators.
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
        (32.., 8..) => 14,
        (32.., _) => 12,
        (_, 8..) => 6,
        // Fused multiply-adds need no register in between, and V8 keeps one for itself: 5 to 13 % faster than four rows.
        _ if cfg!(target_feature = "relaxed-simd") => 6,
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
        // A step that is known saves an addition for each row; where a broadcast is part of the load it changes nothing.
        if const { S::BY_ELEMENT } && tile.left.row == 1 && tile.columns > S::LANES {
            by_rows::<S, true, true>(simd, rows, tile);
        } else if tile.columns > S::LANES {
            by_rows::<S, true, false>(simd, rows, tile);
        } else {
            by_rows::<S, false, false>(simd, rows, tile);
        }
    }
}

/// # Safety
/// As [`compute`]; `TWO` vectors of columns, or one; with `ONE` the rows of the left factor are one number apart.
#[inline(always)]
unsafe fn by_rows<S: Simd, const TWO: bool, const ONE: bool>(simd: S, rows: usize, tile: &Tile) {
    macro_rules! choose {
        ($($count:literal $name:ident)*) => {
            match rows {
                // The condition is constant, so that tiles which this instruction set never has are not even compiled.
                $($count if const { $count <= crate::kernel::gemm::rows::<S>() } => simd.call($name::<TWO, ONE>(tile)),)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    choose!(1 Rows1 2 Rows2 3 Rows3 4 Rows4 5 Rows5 6 Rows6 7 Rows7 8 Rows8 9 Rows9 10 Rows10 11 Rows11 12 Rows12 13 Rows13 14 Rows14)
}

/// The accumulators of a row; without `TWO` the second is not used.
type Pair<S> = (<S as Simd>::F32, <S as Simd>::F32);

/// Tiles of a fixed number of rows: the names of the accumulators, and further sets of them for the next places of the inner
/// dimension, with what is added to what at the end.
macro_rules! rows {
    ($($name:ident: $([$($acc:ident)+])+ $(, $to:ident += $from:ident)*;)*) => { $(
        /// # Safety of its making
        /// As [`compute`], with this number of rows.
        struct $name<'a, const TWO: bool, const ONE: bool>(&'a Tile);

        impl<const TWO: bool, const ONE: bool> Vectorized for $name<'_, TWO, ONE> {
            type Output = ();

            #[inline(always)]
            #[allow(unused_assignments, unused_mut, reason = "the last row has no next one")]
            fn run<S: Simd>(self, simd: S) {
                let tile = self.0;
                // SAFETY: the caller of `compute` vouches for all of the tile's memory; `k` stays below the depth, and the
                // pointers go from row to row of the tile.
                unsafe {
                    $($(let mut $acc: Pair<S> = (simd.zero(), simd.zero());)+)+
                    let (mut row, mut sets) = (0, 0);
                    $({
                        // Only the first set begins with the bias.
                        if sets == 0 {
                            $($acc = begin::<S, TWO>(simd, tile, row); row += 1;)+
                        }
                        sets += 1;
                    })+
                    let mut k = 0;
                    while k + sets <= tile.depth {
                        $({
                            let right = right::<S, TWO>(simd, tile, k);
                            let mut left = left(tile, k);
                            $($acc = add::<S, TWO>(simd, *left, right, $acc); left = left.wrapping_add(if ONE { 1 } else { tile.left.row });)+
                            k += 1;
                        })+
                    }
                    rows!(@rest simd tile k $([$($acc)+])+);
                    $($to = (simd.add($to.0, $from.0), simd.add($to.1, $from.1));)*
                    rows!(@store simd tile $([$($acc)+])+);
                }
            }
        }
    )* };
    // What unrolling left over goes to the first set.
    (@rest $simd:ident $tile:ident $k:ident [$($acc:ident)+]) => {};
    (@rest $simd:ident $tile:ident $k:ident [$($acc:ident)+] $($more:tt)+) => {
        while $k < $tile.depth {
            let right = right::<S, TWO>($simd, $tile, $k);
            let mut left = left($tile, $k);
            $($acc = add::<S, TWO>($simd, *left, right, $acc); left = left.wrapping_add(if ONE { 1 } else { $tile.left.row });)+
            $k += 1;
        }
    };
    (@store $simd:ident $tile:ident [$($acc:ident)+] $($more:tt)*) => {
        let mut out = $tile.out;
        $(store::<S, TWO>($simd, $tile, $acc, out); out = out.wrapping_add($tile.out_row);)+
    };
}

rows! {
    Rows1: [a] [b] [c] [d], a += b, c += d, a += c;
    Rows2: [a b] [c d], a += c, b += d;
    Rows3: [a b c] [d e f], a += d, b += e, c += f;
    Rows4: [a b c d];
    Rows5: [a b c d e];
    Rows6: [a b c d e f];
    Rows7: [a b c d e f g];
    Rows8: [a b c d e f g h];
    Rows9: [a b c d e f g h i];
    Rows10: [a b c d e f g h i j];
    Rows11: [a b c d e f g h i j l];
    Rows12: [a b c d e f g h i j l m];
    Rows13: [a b c d e f g h i j l m n];
    Rows14: [a b c d e f g h i j l m n o];
}

/// The right factor at place `k` of the inner dimension.
///
/// # Safety
/// As [`compute`], and `k` is below the depth.
#[inline(always)]
unsafe fn right<S: Simd, const TWO: bool>(simd: S, tile: &Tile, k: usize) -> Pair<S> {
    // SAFETY: the table has an entry for `k`, and whole vectors can be read there.
    unsafe {
        let from = tile.right.start.add(*tile.right.table.add(k) as usize);
        let second = if TWO { simd.load_ptr(from.add(S::LANES)) } else { simd.zero() };
        (simd.load_ptr(from), second)
    }
}

/// Where the left factor's first row is at place `k` of the inner dimension.
///
/// # Safety
/// As [`compute`], and `k` is below the depth.
#[inline(always)]
unsafe fn left(tile: &Tile, k: usize) -> *const f32 {
    // SAFETY: the table has an entry for `k`.
    unsafe { tile.left.start.add(*tile.left.table.add(k) as usize) }
}

/// Adds the products of a number with the columns.
#[inline(always)]
fn add<S: Simd, const TWO: bool>(simd: S, left: f32, right: Pair<S>, acc: Pair<S>) -> Pair<S> {
    if const { S::BY_ELEMENT } && TWO {
        let [first, second] = simd.fma_pair(left, [right.0, right.1], [acc.0, acc.1]);
        return (first, second);
    }
    let left = simd.splat(left);
    (simd.fma(left, right.0, acc.0), if TWO { simd.fma(left, right.1, acc.1) } else { acc.1 })
}

/// What a row begins with.
///
/// # Safety
/// As [`compute`], and `row` is a row of the tile.
#[inline(always)]
unsafe fn begin<S: Simd, const TWO: bool>(simd: S, tile: &Tile, row: usize) -> Pair<S> {
    match tile.init {
        Init::Zero => (simd.zero(), simd.zero()),
        Init::Rows(bias) => {
            // SAFETY: the bias has an element for each row.
            let bias = simd.splat(unsafe { *bias.add(row) });
            (bias, bias)
        }
        Init::Columns(bias) => {
            let count = if TWO { S::LANES } else { tile.columns };
            // SAFETY: the bias has an element for each column; there is a second vector only with `TWO`.
            unsafe {
                let second = match TWO {
                    true => simd.load_ptr_partial(bias.add(S::LANES), tile.columns - S::LANES),
                    false => simd.zero(),
                };
                (simd.load_ptr_partial(bias, count), second)
            }
        }
    }
}

/// Limits a row and writes as many of its columns as there are.
///
/// # Safety
/// As [`compute`], and `out` is where a row of the tile begins.
#[inline(always)]
unsafe fn store<S: Simd, const TWO: bool>(simd: S, tile: &Tile, mut acc: Pair<S>, out: *mut f32) {
    if let Some([low, high]) = tile.clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        acc.0 = simd.min(high, simd.max(low, acc.0));
        acc.1 = simd.min(high, simd.max(low, acc.1));
    }
    // SAFETY: the tile has these columns.
    unsafe {
        match (TWO, tile.columns == if TWO { 2 * S::LANES } else { S::LANES }) {
            (true, true) => {
                simd.store_ptr(acc.0, out);
                simd.store_ptr(acc.1, out.add(S::LANES));
            }
            (true, false) => {
                simd.store_ptr(acc.0, out);
                simd.store_ptr_partial(acc.1, out.add(S::LANES), tile.columns - S::LANES);
            }
            (false, true) => simd.store_ptr(acc.0, out),
            (false, false) => simd.store_ptr_partial(acc.0, out, tile.columns),
        }
    }
}
