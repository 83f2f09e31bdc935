//! Pooling row by row: first down the columns, then along the row.
//!
//! For each row of the output the rows of the input under the window are folded into one, which takes whole vectors; it stands
//! in the scratch with padding at both ends, so that folding along it needs no case for the edges. A stride of 2, the
//! commonest, takes every second lane of two vectors.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::{Axis, Taps};
use crate::isa::Isa;
use crate::kernel::Built;
use crate::kernel::fold::{Fold, Largest, Sum, fold_onto};
use crate::kernel::number::Number;
use crate::kernel::simple::{simple_with_scratch, spread_rows};
use crate::kernel::vector::{load, store};
use crate::simd::{Simd, Vectorized, dispatch};

/// Windows over rows and columns.
pub(super) struct Flat {
    planes: usize,
    height: usize,
    width: usize,
    /// For each row of the output.
    rows: Box<[Taps]>,
    row_dilation: usize,
    /// Numbers in a row of the output, and what the sum of each column of the window is divided by.
    columns: usize,
    divisors: Box<[f32]>,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Padding before the row in the scratch.
    left: usize,
    /// Numbers of the scratch: padding, row, padding, and what the last vectors read beyond.
    buffer: usize,
}

/// More than two vectors of any instruction set.
const BEYOND: usize = 64;

impl Flat {
    pub(super) fn new(planes: usize, rows: Option<&Axis>, columns: &Axis) -> Flat {
        let one = || Box::from([Taps { first: 0, count: 1, divisor: 1 }]);
        let last = columns.taps.len().saturating_sub(1) * columns.stride;
        let reach = last + (columns.kernel - 1) * columns.dilation + 1;
        let divisors: Vec<f32> = columns.taps.iter().map(|taps| taps.divisor as f32).collect();
        Flat {
            planes,
            height: rows.map_or(1, |axis| axis.extent),
            width: columns.extent,
            rows: rows.map_or_else(one, |axis| axis.taps.clone().into()),
            row_dilation: rows.map_or(1, |axis| axis.dilation),
            columns: columns.taps.len(),
            divisors: divisors.into(),
            kernel: columns.kernel,
            stride: columns.stride,
            dilation: columns.dilation,
            left: columns.begin,
            buffer: reach.max(columns.begin + columns.extent) + BEYOND,
        }
    }

    /// Where the row lies in the scratch.
    fn middle(&self) -> Range<usize> {
        self.left..self.left + self.width
    }

    /// The rows of the input under a row of the output.
    fn under(&self, row: usize) -> (Taps, impl Iterator<Item = usize> + '_) {
        let (plane, row) = (row / self.rows.len(), row % self.rows.len());
        let taps = self.rows[row];
        let first = plane * self.height + taps.first;
        (taps, (0..taps.count).map(move |tap| (first + tap * self.row_dilation) * self.width))
    }

    /// Picoseconds of one number of the output, when one step takes so many.
    fn picoseconds(&self, step: u64) -> u64 {
        let down = self.rows.iter().map(|taps| taps.count).max().unwrap_or(1);
        step * (2 + down * self.stride + self.kernel) as u64
    }
}

/// The largest `f32` of each window.
pub(super) fn max_f32(flat: Flat, isa: Isa) -> Built {
    vectors(flat, isa, Largest, false)
}

/// The mean of each window.
pub(super) fn average_f32(flat: Flat, isa: Isa) -> Built {
    vectors(flat, isa, Sum, true)
}

/// The largest number of each window, for types without vectors of ours.
pub(super) fn max_number<T: Number>(flat: Flat) -> Built {
    let phase = spread_rows(flat.planes * flat.rows.len(), flat.columns, flat.picoseconds(200));
    simple_with_scratch(phase, flat.buffer * size_of::<T>(), move |io| {
        let first = io.tiles().start * (phase.unit / flat.columns.max(1));
        let x = io.input::<T>(0);
        let buffer = io.scratch::<T>();
        buffer.fill(T::LOWEST);
        for (index, to) in io.rows::<T>().chunks_exact_mut(flat.columns.max(1)).enumerate() {
            let middle = &mut buffer[flat.middle()];
            middle.fill(T::LOWEST);
            for at in flat.under(first + index).1 {
                let row = &x[at..at + flat.width];
                middle.iter_mut().zip(row).for_each(|(most, x)| *most = most.most(*x));
            }
            for (column, to) in to.iter_mut().enumerate() {
                let taps = buffer[column * flat.stride..].iter().step_by(flat.dilation).take(flat.kernel);
                *to = taps.fold(T::LOWEST, |most, x| most.most(*x));
            }
        }
    })
}

fn vectors(flat: Flat, isa: Isa, fold: impl Fold, mean: bool) -> Built {
    let phase = spread_rows(flat.planes * flat.rows.len(), flat.columns, flat.picoseconds(60));
    simple_with_scratch(phase, BATCH * flat.buffer * size_of::<f32>(), move |io| {
        let first = io.tiles().start * (phase.unit / flat.columns.max(1));
        let (x, buffer) = (io.input::<f32>(0), io.scratch::<f32>());
        dispatch(isa, Pooling { flat: &flat, fold, mean, x, buffer, first, to: io.rows::<f32>() });
    })
}

struct Pooling<'a, F> {
    flat: &'a Flat,
    fold: F,
    mean: bool,
    x: &'a [f32],
    buffer: &'a mut [f32],
    /// The first row of the output.
    first: usize,
    to: &'a mut [f32],
}

impl<F: Fold> Vectorized for Pooling<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pooling { flat, fold, mean, x, buffer, first, to } = self;
        buffer.fill(F::START);
        let columns = flat.columns.max(1);
        for (index, to) in to.chunks_mut(columns * BATCH).enumerate() {
            let first = first + index * BATCH;
            let rows = to.len() / columns;
            for (index, buffer) in buffer.chunks_exact_mut(flat.buffer).enumerate().take(rows) {
                let (_, under) = flat.under(first + index);
                s.call(Down { fold, x, under, to: &mut buffer[flat.middle()] });
            }
            for (index, buffer) in buffer.chunks_exact(flat.buffer).enumerate().take(rows) {
                let to = &mut to[index * columns..][..columns];
                s.call(Along { flat, fold, buffer, to: &mut *to });
                if mean {
                    divide(s, to, &flat.divisors, flat.under(first + index).0.divisor as f32);
                }
            }
        }
    }
}

/// Rows that are folded down before any is folded along: what has just been stored in pieces cannot be loaded across them at
/// once.
const BATCH: usize = 8;

/// The rows of the input under a row of the output, folded into one.
struct Down<'a, F, I> {
    fold: F,
    x: &'a [f32],
    under: I,
    to: &'a mut [f32],
}

impl<F: Fold, I: Iterator<Item = usize>> Vectorized for Down<'_, F, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Down { fold, x, mut under, to } = self;
        let len = to.len();
        let mut next = || under.next().map(|at| &x[at..at + len]);
        match [next(), next(), next()] {
            [None, ..] => to.fill(F::START),
            [Some(a), None, _] => to.copy_from_slice(a),
            [Some(a), Some(b), None] => {
                let both = a.chunks(S::LANES).zip(b.chunks(S::LANES));
                for (to, (a, b)) in to.chunks_mut(S::LANES).zip(both) {
                    store(s, fold.join(s, load(s, a), load(s, b)), to);
                }
            }
            [Some(a), Some(b), Some(c)] => {
                let all = a.chunks(S::LANES).zip(b.chunks(S::LANES)).zip(c.chunks(S::LANES));
                for (to, ((a, b), c)) in to.chunks_mut(S::LANES).zip(all) {
                    let both = fold.join(s, load(s, a), load(s, b));
                    store(s, fold.join(s, both, load(s, c)), to);
                }
            }
        }
        for at in under {
            fold_onto(s, fold, to, &x[at..at + len]);
        }
    }
}

/// A row of outputs from a folded row.
struct Along<'a, F> {
    flat: &'a Flat,
    fold: F,
    buffer: &'a [f32],
    to: &'a mut [f32],
}

impl<F: Fold> Vectorized for Along<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Along { flat, fold, buffer, to } = self;
        match flat.stride {
            // A vector of outputs at a time.
            1 => {
                for (index, to) in to.chunks_mut(S::LANES).enumerate() {
                    store(s, one_by_one(s, fold, flat, &buffer[index * S::LANES..]), to);
                }
            }
            2 => {
                for (index, to) in to.chunks_mut(S::LANES).enumerate() {
                    store(s, two_by_two(s, fold, flat, &buffer[2 * index * S::LANES..]), to);
                }
            }
            _ => along_scalar(fold, flat, buffer, to),
        }
    }
}

/// A vector of outputs with stride 1.
#[inline(always)]
fn one_by_one<S: Simd, F: Fold>(s: S, fold: F, flat: &Flat, row: &[f32]) -> S::F32 {
    let mut result = s.load(row);
    for tap in 1..flat.kernel {
        result = fold.join(s, result, s.load(&row[tap * flat.dilation..]));
    }
    result
}

/// A vector of outputs with stride 2.
#[inline(always)]
fn two_by_two<S: Simd, F: Fold>(s: S, fold: F, flat: &Flat, row: &[f32]) -> S::F32 {
    if flat.dilation != 1 {
        let mut result = pairs(s, row, 0).0;
        for tap in 1..flat.kernel {
            result = fold.join(s, result, pairs(s, row, tap * flat.dilation).0);
        }
        return result;
    }
    // Neighbouring taps are the two halves of one pair.
    let (mut result, odd) = pairs(s, row, 0);
    if flat.kernel > 1 {
        result = fold.join(s, result, odd);
    }
    for tap in (2..flat.kernel).step_by(2) {
        let (even, odd) = pairs(s, row, tap);
        result = fold.join(s, result, even);
        if tap + 1 < flat.kernel {
            result = fold.join(s, result, odd);
        }
    }
    result
}

/// From `at` on: the numbers at even places, and those at odd places.
#[inline(always)]
fn pairs<S: Simd>(s: S, row: &[f32], at: usize) -> (S::F32, S::F32) {
    s.deinterleave(s.load(&row[at..]), s.load(&row[at + S::LANES..]))
}

#[inline(always)]
fn along_scalar<F: Fold>(fold: F, flat: &Flat, buffer: &[f32], to: &mut [f32]) {
    for (column, to) in to.iter_mut().enumerate() {
        let taps = buffer[column * flat.stride..].iter().step_by(flat.dilation).take(flat.kernel);
        *to = taps.fold(f64::from(F::START), |most, x| fold.join_wide(most, f64::from(*x))) as f32;
    }
}

#[inline(always)]
fn divide<S: Simd>(s: S, to: &mut [f32], divisors: &[f32], rows: f32) {
    let rows = s.splat(rows);
    for (to, divisors) in to.chunks_mut(S::LANES).zip(divisors.chunks(S::LANES)) {
        let sums = load(s, to);
        store(s, s.div(sums, s.mul(rows, load(s, divisors))), to);
    }
}
