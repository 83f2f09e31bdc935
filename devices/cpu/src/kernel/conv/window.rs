//! Depthwise windows of 3 x 3 and 5 x 5: several rows of outputs at once, so that each vector of the input is loaded once
//! for all of them.
//!
//! ```text
//!  input rows 0 1 2 3 4 5          output rows 0 1 2 3
//!             └─┴─┘ ─────────────────────────▶ 0
//!               └─┴─┘ ───────────────────────▶   1       one load, up to three products
//!                 └─┴─┘ … ───────────────────▶     2
//! ```
//!
//! With strides of 1 the reads fall from one a product to a third (3 x 3) or a fifth (5 x 5) of that.

#![allow(unsafe_code)]

use super::geometry::Plane;
use crate::io::Shared;
use crate::simd::{Simd, Vectorized};

/// Rows of outputs of one channel, to be computed from its region.
pub(super) struct Rows<'a> {
    pub(super) gathered: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) bias: f32,
    pub(super) clip: Option<[f32; 2]>,
    /// Numbers from one row of the region to the next.
    pub(super) pitch: usize,
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) out: Shared<'a, f32>,
    /// Where the first row begins in the output.
    pub(super) start: usize,
    /// Elements from the begin of one row to the begin of the next.
    pub(super) step: usize,
}

/// Input rows that the taps of [`ROWS`] output rows look at, at most: stride 2, 5 taps.
const MOST_LINES: usize = (ROWS - 1) * 2 + 5;
/// Output rows that are computed at once.
const ROWS: usize = 4;

/// A window that this file computes, and where its taps lie in the region.
#[derive(Clone, Debug)]
pub(super) struct Windowed {
    size: usize,
    /// Input rows, as the taps see them, from one output row to the next.
    stride: usize,
    /// Where the input rows of a block begin.
    lines: [usize; MOST_LINES],
    /// Where the taps of a row are, from the first.
    taps: [usize; 5],
    /// The largest of these.
    furthest: usize,
}

impl Windowed {
    /// Recognizes the window. `table` is that of the region, whose rows are `pitch` apart.
    pub(super) fn new(plane: &Plane, table: &[u32], pitch: usize) -> Option<Windowed> {
        let size = plane.rows.kernel;
        // Where all taps look at the same phase, the phase has stride 1.
        let stride = match plane.rows.dilation.is_multiple_of(plane.row_step()) {
            true => 1,
            false if plane.rows.dilation == 1 => plane.rows.stride,
            false => return None,
        };
        if plane.columns.kernel != size || !matches!(size, 3 | 5) || stride > 2 {
            return None;
        }
        let mut lines = [0; MOST_LINES];
        for line in 0..MOST_LINES {
            // A row of the next output row's taps is the row above it of the same phase, one line further.
            lines[line] =
                if line < size { table[line * size] as usize } else { lines[line - stride] + pitch };
        }
        let mut taps = [0; 5];
        (0..size).for_each(|tap| taps[tap] = table[tap] as usize - table[0] as usize);
        let furthest = taps.into_iter().max().unwrap_or(0);
        Some(Windowed { size, stride, lines, taps, furthest })
    }

    /// Computes the rows.
    ///
    /// # Safety
    /// The outputs belong to the caller, and no reference to them lives; the region is that of these rows.
    #[inline(always)]
    pub(super) unsafe fn rows<S: Simd>(&self, simd: S, rows: &Rows<'_>) {
        match (self.size, self.stride) {
            (3, 1) => simd.call(Channel::<3, 1>(self, rows)),
            (3, _) => simd.call(Channel::<3, 2>(self, rows)),
            (_, 1) => simd.call(Channel::<5, 1>(self, rows)),
            _ => simd.call(Channel::<5, 2>(self, rows)),
        }
    }
}

struct Channel<'a, const K: usize, const STRIDE: usize>(&'a Windowed, &'a Rows<'a>);

impl<const K: usize, const STRIDE: usize> Vectorized for Channel<'_, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Channel(windowed, rows) = self;
        let mut weights = [[simd.zero(); K]; K];
        for (weight, value) in weights.iter_mut().flatten().zip(rows.weights) {
            *weight = simd.splat(*value);
        }
        let mut row = 0;
        while row < rows.rows {
            let mut column = 0;
            let count = rows.rows - row;
            while column < rows.width {
                let wide = rows.width - column > S::LANES;
                // SAFETY: as `Windowed::rows`; rows and columns are those that are left.
                unsafe {
                    match (count, wide) {
                        (ROWS.., true) => {
                            block::<S, K, STRIDE, ROWS, 2>(simd, windowed, rows, &weights, row, column)
                        }
                        (ROWS.., false) => {
                            block::<S, K, STRIDE, ROWS, 1>(simd, windowed, rows, &weights, row, column)
                        }
                        (_, true) => block::<S, K, STRIDE, 1, 2>(simd, windowed, rows, &weights, row, column),
                        (_, false) => {
                            block::<S, K, STRIDE, 1, 1>(simd, windowed, rows, &weights, row, column)
                        }
                    }
                }
                column += if wide { 2 * S::LANES } else { S::LANES };
            }
            row += if count >= ROWS { ROWS } else { 1 };
        }
    }
}

/// `R` rows of `V` vectors from (`row`, `column`) on.
///
/// # Safety
/// As [`Windowed::rows`]; there are `R` rows from `row` on, and `column` is one.
#[inline(always)]
unsafe fn block<S: Simd, const K: usize, const STRIDE: usize, const R: usize, const V: usize>(
    simd: S,
    windowed: &Windowed,
    rows: &Rows<'_>,
    weights: &[[S::F32; K]; K],
    row: usize,
    column: usize,
) {
    let at = row * rows.pitch + column;
    let used = (R - 1) * STRIDE + K;
    // With two phases the last line but one may lie further.
    let last = windowed.lines[used - 1].max(windowed.lines[used - 2]);
    assert!(at + last + windowed.furthest + V * S::LANES <= rows.gathered.len());
    let mut acc = [[simd.splat(rows.bias); V]; R];
    for line in 0..used {
        let from = rows.gathered.as_ptr().wrapping_add(windowed.lines[line] + at);
        #[allow(clippy::needless_range_loop)] // A tap is a column of the weights, not a row.
        for tap in 0..K {
            for v in 0..V {
                // SAFETY: the furthest line and tap were just checked.
                let input = unsafe { simd.load_ptr(from.add(windowed.taps[tap] + v * S::LANES)) };
                for (r, acc) in acc.iter_mut().enumerate() {
                    if line >= r * STRIDE && line - r * STRIDE < K {
                        acc[v] = simd.fma(weights[line - r * STRIDE][tap], input, acc[v]);
                    }
                }
            }
        }
    }
    if let Some([low, high]) = rows.clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        for acc in acc.iter_mut().flatten() {
            *acc = simd.min(high, simd.max(low, *acc));
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        for (v, acc) in acc.iter().enumerate() {
            let column = column + v * S::LANES;
            let start = rows.start + (row + r) * rows.step + column;
            let count = S::LANES.min(rows.width - column);
            // SAFETY: these outputs are the caller's.
            let out = unsafe { rows.out.range(start..start + count) };
            if count == S::LANES { simd.store(*acc, out) } else { simd.store_partial(*acc, out) }
        }
    }
}
