//! Softmax and its logarithm.
//!
//! Seen from its axis a tensor is `[outer, extent, inner]`. Where `inner` is 1, rows are consecutive: one pass finds the
//! largest, one writes the exponentials and adds them up, one divides. Else the same happens to a block of columns at once,
//! each row of which is consecutive.
#![allow(unsafe_code)]

use inferry_core::ElementType;
use inferry_engine::op::{Op, Softmax};

use crate::isa::Isa;
use crate::kernel::arguments::axis;
use crate::kernel::fold::{Largest, fold_onto, fold_row};
use crate::kernel::simple::{simple, spread_items, spread_rows};
use crate::kernel::vector::{load, store};
use crate::kernel::{BuildError, Builder, Built};
use crate::math;
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`Softmax`].
pub(crate) fn softmax(op: &Softmax, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let rank = x.shape.rank();
    // Flattened from the end on, every element is a row of its own.
    let end = op.flatten && usize::try_from(op.axis) == Ok(rank);
    let axis = if end { rank } else { axis(op.axis, rank)? };
    let outer: usize = x.shape[..axis].iter().product();
    let (extent, inner) = if op.flatten {
        (x.shape[axis..].iter().product(), 1)
    } else {
        (x.shape[axis], x.shape[axis + 1..].iter().product())
    };
    let log = op.log;
    match x.element {
        ElementType::F32 if inner == 1 => rows(outer, extent, log, node.isa),
        ElementType::F32 => columns(outer, extent, inner, log, node.isa),
        ElementType::F64 => doubles(outer, extent, inner, log),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

const PICOSECONDS: u64 = 800;

fn rows(outer: usize, extent: usize, log: bool, isa: Isa) -> Built {
    let phase = spread_rows(outer, extent, PICOSECONDS);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        let from = &io.input::<f32>(0)[start..start + to.len()];
        if extent > 0 {
            dispatch(isa, Rows { extent, log, from, to });
        }
    })
}

struct Rows<'a> {
    extent: usize,
    log: bool,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorized for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (from, to) in self.from.chunks_exact(self.extent).zip(self.to.chunks_exact_mut(self.extent)) {
            let largest = fold_row(s, Largest, f64::NEG_INFINITY, from) as f32;
            let sum = exponentials(s, from, s.splat(largest), to);
            if self.log {
                let shift = s.splat(largest);
                let log = s.splat(libm::log(sum) as f32);
                for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
                    store(s, s.sub(s.sub(load(s, from), shift), log), to);
                }
            } else {
                let factor = s.splat((1.0 / sum) as f32);
                scale(s, to, factor);
            }
        }
    }
}

/// Writes `e^(x - shift)` and gives the sum.
#[inline(always)]
fn exponentials<S: Simd>(s: S, from: &[f32], shift: S::F32, to: &mut [f32]) -> f64 {
    let whole = from.len() / S::LANES * S::LANES;
    let (mut first, mut second) = (s.zero(), s.zero());
    let (from, from_rest) = from.split_at(whole);
    let (to, to_rest) = to.split_at_mut(whole);
    for (from, to) in from.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
        let power = math::exp(s, s.sub(s.load(from), shift));
        s.store(power, to);
        // Two sums take turns, so that neither waits for the other.
        (first, second) = (second, s.add(first, power));
    }
    let mut sum = f64::from(s.sum(s.add(first, second)));
    if !from_rest.is_empty() {
        store(s, math::exp(s, s.sub(load(s, from_rest), shift)), to_rest);
        sum += to_rest.iter().map(|power| f64::from(*power)).sum::<f64>();
    }
    sum
}

#[inline(always)]
fn scale<S: Simd>(s: S, values: &mut [f32], factor: S::F32) {
    let mut vectors = values.chunks_exact_mut(S::LANES);
    for vector in vectors.by_ref() {
        s.store(s.mul(s.load(vector), factor), vector);
    }
    let rest = vectors.into_remainder();
    store(s, s.mul(load(s, rest), factor), rest);
}

/// Columns that are worked on at once: a few vectors, whose rows are whole cache lines.
const BLOCK: usize = 64;

fn columns(outer: usize, extent: usize, inner: usize, log: bool, isa: Isa) -> Built {
    let blocks = inner.div_ceil(BLOCK);
    let (phase, share) = spread_items(outer * blocks, PICOSECONDS * (extent * inner.min(BLOCK)) as u64);
    simple(phase, move |io| {
        let from = io.input::<f32>(0);
        let tiles = io.tiles();
        let to = io.shared::<f32>(0);
        for item in tiles.start * share..(tiles.end * share).min(outer * blocks) {
            let first = item % blocks * BLOCK;
            let width = (inner - first).min(BLOCK);
            let base = item / blocks * extent * inner + first;
            let row = |index: usize| base + index * inner..base + index * inner + width;
            // SAFETY: blocks of columns are disjoint, each belongs to one tile, and rows are taken one after the other.
            let to = |index: usize| unsafe { to.range(row(index)) };
            dispatch(isa, Columns { extent, log, from: |index| &from[row(index)], to });
        }
    })
}

struct Columns<F, T> {
    extent: usize,
    log: bool,
    from: F,
    to: T,
}

impl<'a, F: Fn(usize) -> &'a [f32], T: Fn(usize) -> &'a mut [f32]> Vectorized for Columns<F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut largest = [f32::NEG_INFINITY; BLOCK];
        for index in 0..self.extent {
            fold_onto(s, Largest, narrow(&mut largest, (self.from)(index)), (self.from)(index));
        }
        let mut sums = [0.0; BLOCK];
        for index in 0..self.extent {
            let (from, to) = ((self.from)(index), (self.to)(index));
            let vectors = from.chunks(S::LANES).zip(to.chunks_mut(S::LANES));
            for ((from, to), (largest, sum)) in
                vectors.zip(largest.chunks_exact(S::LANES).zip(sums.chunks_exact_mut(S::LANES)))
            {
                let power = math::exp(s, s.sub(load(s, from), s.load(largest)));
                store(s, power, to);
                s.store(s.add(s.load(sum), power), sum);
            }
        }
        for vector in sums.chunks_exact_mut(S::LANES) {
            let sum = s.load(vector);
            let result = if self.log { math::log(s, sum) } else { s.div(s.splat(1.0), sum) };
            s.store(result, vector);
        }
        for index in 0..self.extent {
            let (from, to) = ((self.from)(index), (self.to)(index));
            let vectors = from.chunks(S::LANES).zip(to.chunks_mut(S::LANES));
            for ((from, to), (largest, sum)) in
                vectors.zip(largest.chunks_exact(S::LANES).zip(sums.chunks_exact(S::LANES)))
            {
                let sum = s.load(sum);
                let result = if self.log {
                    s.sub(s.sub(load(s, from), s.load(largest)), sum)
                } else {
                    s.mul(load(s, to), sum)
                };
                store(s, result, to);
            }
        }
    }
}

/// As many results as the row has elements.
#[inline(always)]
fn narrow<'a>(results: &'a mut [f32; BLOCK], row: &[f32]) -> &'a mut [f32] {
    &mut results[..row.len()]
}

fn doubles(outer: usize, extent: usize, inner: usize, log: bool) -> Built {
    let phase = spread_rows(outer, extent * inner, 30_000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f64>();
        let from = &io.input::<f64>(0)[start..start + to.len()];
        let slab = (extent * inner).max(1);
        for (from, to) in from.chunks_exact(slab).zip(to.chunks_exact_mut(slab)) {
            for column in 0..inner {
                let along = || from[column..].iter().step_by(inner).copied();
                let largest = along().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = along().map(|x| libm::exp(x - largest)).sum();
                for (to, x) in to[column..].iter_mut().step_by(inner).zip(along()) {
                    let shifted = x - largest;
                    *to = if log { shifted - libm::log(sum) } else { libm::exp(shifted) / sum };
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run, run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    #[test]
    fn vectors_agree_with_f64_along_any_axis() {
        let cases: &[(&[usize], i64, bool)] = &[
            (&[3, 100], 1, false),
            (&[7, 5], -1, false),
            (&[2, 9, 70], 1, false),
            (&[6, 130], 0, false),
            (&[2, 3, 4], 1, true),
            (&[2, 3, 4], 0, true),
            (&[2, 3, 4], 3, true),
            (&[1, 1], 1, false),
            (&[3, 0], 1, false),
        ];
        for (shape, axis, flatten) in cases {
            let shape = Shape::new(shape).unwrap();
            let values: Vec<f32> = noise(shape.count(), 7).iter().map(|x| 20.0 * x).collect();
            let wide: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
            for log in [false, true] {
                let op = Softmax { axis: *axis, log, flatten: *flatten };
                let exact = run_one::<f64>(&op, &[&tensor(&wide, shape.clone())], shape.clone());
                let exact: Vec<f32> = exact.iter().map(|x| *x as f32).collect();
                for isa in Isa::detect_for_tests() {
                    let inputs = [Some(tensor(&values, shape.clone()))];
                    let result = run(&op, &inputs, &[(ElementType::F32, shape.clone())], isa);
                    assert_close(
                        &result[0].to_vec::<f32>().unwrap(),
                        &exact,
                        if log { 4e-6 } else { 1e-7 },
                        2e-6,
                    );
                }
            }
        }
    }

    #[test]
    fn values_of_the_standard() {
        let x = tensor(&[-1.0f32, 0.0, 1.0], [1, 3]);
        let op = Softmax { axis: 1, log: false, flatten: false };
        assert_close(
            &run_one::<f32>(&op, &[&x], [1, 3]),
            &[0.090_030_57, 0.244_728_48, 0.665_241],
            1e-7,
            0.0,
        );
        let op = Softmax { axis: 1, log: true, flatten: false };
        assert_close(&run_one::<f32>(&op, &[&x], [1, 3]), &[-2.407_606, -1.407_606, -0.407_606], 1e-6, 0.0);
        let x = tensor(&[10000.0f32, 10001.0], [2]);
        let op = Softmax { axis: 0, log: false, flatten: false };
        assert_close(&run_one::<f32>(&op, &[&x], [2]), &[0.268_941_43, 0.731_058_6], 1e-7, 0.0);
    }
}
