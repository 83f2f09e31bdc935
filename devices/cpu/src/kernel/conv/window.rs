//! Depthwise windows of 3 x 3 and 5 x 5: the rows of the input pass by once, each adding to all rows of outputs that see it.
//!
//! ```text
//!  input row    0     1     2     3     4  …
//!  output rows  0 ·   0 1   0 1 2   1 2 3   2 3 4        3 x 3, stride 1: three rows of accumulators
//!                           └─ done: stored, its registers begin a new row
//! ```
//!
//! Each vector of the input is loaded once for every shift along the row and multiplied for up to five output rows;
//! rows of padding are skipped, not multiplied. Everything but the walk along the rows is unrolled.
//!
//! Evidence (Zen 5, 3.8 GHz, one core, without gathering): 151 GFLOP/s for 5 x 5 on 12 x 158 and 159 for 3 x 3 on 40 x 128 with
//! AVX-512, 68 and 72 with AVX2. Four rows of outputs at a time in straight-line code, which also loads each vector once,
//! came to 45: LLVM puts all loads first and spills. NEON was read, not timed (Rust 1.95): a row of four vectors of 3 x 3 is 73
//! instructions, 36 of them `fmla`, none on the stack; of 5 x 5 with two vectors 95, 50 and 7, for 25 weights and 10 sums are more
//! than 32 registers.
#![allow(unsafe_code)]

use super::geometry::{Axis, Plane};
use super::region::Region;
use crate::io::Shared;
use crate::simd::{Simd, Vectorized};

/// A window that this file computes.
#[derive(Clone, Debug)]
pub(super) struct Window {
    size: usize,
    stride: usize,
    /// Where the taps of a row are, from the first.
    taps: [usize; 5],
    /// What is gathered: rows as they are, columns as the window needs them.
    pub(super) lines: Plane,
}

impl Window {
    /// Recognizes the window.
    pub(super) fn new(plane: &Plane) -> Option<Window> {
        let (size, stride) = (plane.rows.kernel, plane.rows.stride);
        let square = plane.columns.kernel == size && matches!(size, 3 | 5);
        if !square || stride > 2 || plane.rows.dilation != 1 {
            return None;
        }
        let extent = plane.rows.input;
        let rows = Axis { input: extent, output: extent, kernel: 1, stride: 1, dilation: 1, begin: 0 };
        Some(Window { size, stride, taps: [0; 5], lines: Plane { rows, columns: plane.columns } })
    }

    /// The region under `rows` rows of outputs.
    pub(super) fn region(&self, rows: usize) -> Option<Region> {
        let lines = ((rows.max(1) - 1) * self.stride + self.size).min(self.lines.rows.input);
        Region::new(&self.lines, 1, lines, self.lines.columns.output)
    }

    /// The window once its region is chosen.
    pub(super) fn with(mut self, region: &Region) -> Window {
        for (slot, place) in self.taps.iter_mut().zip(region.table(&self.lines)) {
            *slot = place as usize;
        }
        self
    }

    /// Computes the rows.
    ///
    /// # Safety
    /// The outputs belong to the caller, and no reference to them lives.
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

/// Rows of outputs of one channel, to be computed from gathered rows of the input.
pub(super) struct Rows<'a> {
    pub(super) gathered: &'a [f32],
    /// Numbers from one gathered row to the next.
    pub(super) pitch: usize,
    /// Which gathered row the first tap of the first output row meets; negative in the padding.
    pub(super) first: isize,
    /// How many rows were gathered.
    pub(super) lines: usize,
    pub(super) weights: &'a [f32],
    pub(super) bias: f32,
    pub(super) clip: Option<[f32; 2]>,
    /// Rows and columns of outputs.
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) out: Shared<'a, f32>,
    /// Where the first row begins in the output, and the distance to the next.
    pub(super) start: usize,
    pub(super) step: usize,
}

struct Channel<'a, const K: usize, const STRIDE: usize>(&'a Window, &'a Rows<'a>);

impl<const K: usize, const STRIDE: usize> Vectorized for Channel<'_, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Channel(window, rows) = self;
        let mut weights = [[simd.zero(); K]; K];
        for (weight, value) in weights.iter_mut().flatten().zip(rows.weights) {
            *weight = simd.splat(*value);
        }
        let mut column = 0;
        while column < rows.width {
            // SAFETY: as `Window::rows`; the columns are those that are left.
            column += unsafe {
                match (rows.width - column).div_ceil(S::LANES) {
                    1 => stream::<S, K, STRIDE, 1>(simd, window, rows, &weights, column),
                    3.. if K == 3 => stream::<S, K, STRIDE, 4>(simd, window, rows, &weights, column),
                    _ => stream::<S, K, STRIDE, 2>(simd, window, rows, &weights, column),
                }
            };
        }
    }
}

/// All rows of `V` vectors from `column` on. How many columns?
///
/// # Safety
/// As [`Window::rows`].
#[inline(always)]
unsafe fn stream<S: Simd, const K: usize, const STRIDE: usize, const V: usize>(
    simd: S,
    window: &Window,
    rows: &Rows<'_>,
    weights: &[[S::F32; K]; K],
    column: usize,
) -> usize {
    // Output rows that see an input row; `acc[0]` is the newest.
    let open = const { K.div_ceil(STRIDE) };
    let reach = window.taps[..K].iter().max().map_or(0, |tap| *tap);
    let furthest = rows.lines.max(1) - 1;
    assert!(furthest * rows.pitch + column + reach + V * S::LANES <= rows.gathered.len());
    let bias = simd.splat(rows.bias);
    let mut acc = [[bias; V]; K];
    for index in 0..rows.rows + open - 1 {
        for phase in 0..STRIDE {
            let line = rows.first + (index * STRIDE + phase) as isize;
            if line < 0 || line as usize >= rows.lines {
                continue;
            }
            let from = rows.gathered.as_ptr().wrapping_add(line as usize * rows.pitch + column);
            #[allow(clippy::needless_range_loop)] // A tap is a column of the weights, not a row.
            for tap in 0..K {
                for v in 0..V {
                    // SAFETY: the furthest line and tap were checked above.
                    let input = unsafe { simd.load_ptr(from.add(window.taps[tap] + v * S::LANES)) };
                    for (age, acc) in acc.iter_mut().enumerate().take(open) {
                        if phase + age * STRIDE < K {
                            acc[v] = simd.fma(weights[phase + age * STRIDE][tap], input, acc[v]);
                        }
                    }
                }
            }
        }
        if index + 1 >= open {
            let start = rows.start + (index + 1 - open) * rows.step;
            // SAFETY: this row of outputs is the caller's.
            let out = unsafe { rows.out.range(start + column..start + rows.width) };
            finish(simd, acc[open - 1], rows.clip, out);
        }
        for age in (1..open).rev() {
            acc[age] = acc[age - 1];
        }
        acc[0] = [bias; V];
    }
    V * S::LANES
}

/// Limits the vectors and stores as much of them as `out` has.
#[inline(always)]
fn finish<S: Simd, const V: usize>(
    simd: S,
    mut values: [S::F32; V],
    clip: Option<[f32; 2]>,
    out: &mut [f32],
) {
    if let Some([low, high]) = clip {
        let (low, high) = (simd.splat(low), simd.splat(high));
        for value in &mut values {
            *value = simd.min(high, simd.max(low, *value));
        }
    }
    if out.len() >= V * S::LANES {
        for (v, value) in values.iter().enumerate() {
            simd.store(*value, &mut out[v * S::LANES..]);
        }
        return;
    }
    for (value, out) in values.iter().zip(out.chunks_mut(S::LANES)) {
        simd.store_partial(*value, out);
    }
}
