//! Folding many `f32` into one: sums, products and extremes of rows, with vectors.
//!
//! A row is folded into several vectors at once and these into one number, block by block; the blocks are joined in `f64`. So a
//! sum of a million numbers is about as exact as one of a thousand. NaN is kept by all of them.

use crate::kernel::vector::{load, store};
use crate::simd::Simd;

/// Numbers folded into vectors before the result is carried over into `f64`.
const BLOCK: usize = 1024;

/// A way to make one number of many. Implementations are `#[inline(always)]`.
pub(crate) trait Fold: Copy + Send + Sync + 'static {
    /// What nothing folds into.
    const START: f32;

    /// What is taken of a number before it is joined to the others.
    fn take<S: Simd>(self, s: S, x: S::F32) -> S::F32;

    /// Joins two results, the first of which is kept when it is NaN.
    fn join<S: Simd>(self, s: S, a: S::F32, b: S::F32) -> S::F32;

    /// Joins the lanes of a vector.
    fn lanes<S: Simd>(self, s: S, a: S::F32) -> f32;

    /// [`Fold::take`] of one number.
    fn take_one(self, x: f32) -> f32;

    /// [`Fold::join`] for the results of blocks.
    fn join_wide(self, a: f64, b: f64) -> f64;
}

/// The sum of what a function takes of each number.
macro_rules! sums {
    ($($name:ident |$s:ident, $x:ident| $take:expr, |$y:ident| $one:expr;)*) => { $(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Fold for $name {
            const START: f32 = 0.0;
            #[inline(always)]
            fn take<S: Simd>(self, $s: S, $x: S::F32) -> S::F32 {
                $take
            }
            #[inline(always)]
            fn join<S: Simd>(self, s: S, a: S::F32, b: S::F32) -> S::F32 {
                s.add(a, b)
            }
            #[inline(always)]
            fn lanes<S: Simd>(self, s: S, a: S::F32) -> f32 {
                s.sum(a)
            }
            #[inline(always)]
            fn take_one(self, $y: f32) -> f32 {
                $one
            }
            #[inline(always)]
            fn join_wide(self, a: f64, b: f64) -> f64 {
                a + b
            }
        }
    )* };
}

sums! {
    Sum |_s, x| x, |x| x;
    SumAbs |s, x| s.abs(x), |x| x.abs();
    SumSquare |s, x| s.mul(x, x), |x| x * x;
}

/// The larger or the smaller.
macro_rules! extremes {
    ($($name:ident $start:expr, $join:ident, $lanes:ident, $cmp:tt;)*) => { $(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Fold for $name {
            const START: f32 = $start;
            #[inline(always)]
            fn take<S: Simd>(self, _s: S, x: S::F32) -> S::F32 {
                x
            }
            #[inline(always)]
            fn join<S: Simd>(self, s: S, a: S::F32, b: S::F32) -> S::F32 {
                s.select(s.is_nan(a), a, s.$join(a, b))
            }
            #[inline(always)]
            fn lanes<S: Simd>(self, s: S, a: S::F32) -> f32 {
                if s.mask_bits(s.is_nan(a)) != 0 { f32::NAN } else { s.$lanes(a) }
            }
            #[inline(always)]
            fn take_one(self, x: f32) -> f32 {
                x
            }
            #[inline(always)]
            fn join_wide(self, a: f64, b: f64) -> f64 {
                if a $cmp b || a.is_nan() { a } else { b }
            }
        }
    )* };
}

extremes! {
    Largest f32::NEG_INFINITY, max, max_lane, >;
    Smallest f32::INFINITY, min, min_lane, <;
}

/// The product.
#[derive(Clone, Copy)]
pub(crate) struct Product;

impl Fold for Product {
    const START: f32 = 1.0;
    #[inline(always)]
    fn take<S: Simd>(self, _s: S, x: S::F32) -> S::F32 {
        x
    }
    #[inline(always)]
    fn join<S: Simd>(self, s: S, a: S::F32, b: S::F32) -> S::F32 {
        s.mul(a, b)
    }
    #[inline(always)]
    fn lanes<S: Simd>(self, s: S, a: S::F32) -> f32 {
        let mut lanes = [1.0; 64];
        s.store(a, &mut lanes[..S::LANES]);
        lanes[..S::LANES].iter().product()
    }
    #[inline(always)]
    fn take_one(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn join_wide(self, a: f64, b: f64) -> f64 {
        a * b
    }
}

/// Folds a row onto `start`.
#[inline(always)]
pub(crate) fn fold_row<S: Simd, F: Fold>(s: S, fold: F, start: f64, row: &[f32]) -> f64 {
    let mut total = start;
    for block in row.chunks(BLOCK) {
        let fours = block.chunks_exact(4 * S::LANES);
        let ones = fours.remainder().chunks_exact(S::LANES);
        let last = ones.remainder();
        // Four results by name: an array of them would live in memory.
        let first = s.splat(F::START);
        let (mut a, mut b, mut c, mut d) = (first, first, first, first);
        for four in fours {
            let (low, high) = four.split_at(2 * S::LANES);
            a = fold.join(s, a, fold.take(s, s.load(low)));
            b = fold.join(s, b, fold.take(s, s.load(&low[S::LANES..])));
            c = fold.join(s, c, fold.take(s, s.load(high)));
            d = fold.join(s, d, fold.take(s, s.load(&high[S::LANES..])));
        }
        for vector in ones {
            (a, b) = (b, fold.join(s, a, fold.take(s, s.load(vector))));
        }
        if block.len() >= S::LANES {
            let sum = fold.join(s, fold.join(s, a, b), fold.join(s, c, d));
            total = fold.join_wide(total, f64::from(fold.lanes(s, sum)));
        }
        for x in last {
            total = fold.join_wide(total, f64::from(fold.take_one(*x)));
        }
    }
    total
}

/// Folds a row onto as many results, element by element: `results[i]` with `row[i]`.
#[inline(always)]
pub(crate) fn fold_onto<S: Simd, F: Fold>(s: S, fold: F, results: &mut [f32], row: &[f32]) {
    let mut to = results.chunks_exact_mut(S::LANES);
    let mut from = row.chunks_exact(S::LANES);
    for (to, from) in to.by_ref().zip(from.by_ref()) {
        s.store(fold.join(s, s.load(to), fold.take(s, s.load(from))), to);
    }
    let (to, from) = (to.into_remainder(), from.remainder());
    if !to.is_empty() {
        store(s, fold.join(s, load(s, to), fold.take(s, load(s, from))), to);
    }
}

/// Joins as many other results to `results`.
#[inline(always)]
pub(crate) fn join_onto<S: Simd, F: Fold>(s: S, fold: F, results: &mut [f32], others: &[f32]) {
    for (to, from) in results.chunks_mut(S::LANES).zip(others.chunks(S::LANES)) {
        store(s, fold.join(s, load(s, to), load(s, from)), to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::noise;
    use crate::simd::{Vectorized, dispatch};
    use alloc::vec;
    use alloc::vec::Vec;

    struct Folded<'a, F>(F, &'a [f32]);

    impl<F: Fold> Vectorized for Folded<'_, F> {
        type Output = f64;
        fn run<S: Simd>(self, s: S) -> f64 {
            fold_row(s, self.0, f64::from(F::START), self.1)
        }
    }

    #[test]
    fn rows_of_every_length() {
        for isa in Isa::detect_for_tests() {
            for len in (0..140).chain([1023, 1024, 1025, 3000]) {
                let row = noise(len, len as u64 + 1);
                let wide: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
                let close = |a: f64, b: f64| {
                    assert!((a - b).abs() < 1e-6 * (10.0 + b.abs()), "{a} {b} {len} {isa:?}")
                };
                close(dispatch(isa, Folded(Sum, &row)), wide.iter().sum());
                close(dispatch(isa, Folded(SumAbs, &row)), wide.iter().map(|x| x.abs()).sum());
                close(dispatch(isa, Folded(SumSquare, &row)), wide.iter().map(|x| x * x).sum());
                let largest = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                assert_eq!(dispatch(isa, Folded(Largest, &row)), largest);
                let smallest = wide.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(dispatch(isa, Folded(Smallest, &row)), smallest);
                let near_one: Vec<f32> = row.iter().map(|x| 1.0 + x / 1000.0).collect();
                close(
                    dispatch(isa, Folded(Product, &near_one)),
                    near_one.iter().map(|x| f64::from(*x)).product(),
                );
            }
        }
    }

    #[test]
    fn not_a_number_is_kept_wherever_it_stands() {
        for isa in Isa::detect_for_tests() {
            for at in [0, 1, 17, 63, 64, 99] {
                let mut row = vec![1.0f32; 100];
                row[at] = f32::NAN;
                assert!(dispatch(isa, Folded(Largest, &row)).is_nan(), "{at}");
                assert!(dispatch(isa, Folded(Smallest, &row)).is_nan(), "{at}");
            }
        }
    }

    #[test]
    fn a_long_sum_is_exact() {
        // 0.1 is not exact in binary; adding it up naively would be off by 1e4 units in the last place.
        let row = vec![0.1f32; 1 << 20];
        let exact = f64::from(0.1f32) * f64::from(1 << 20);
        for isa in Isa::detect_for_tests() {
            let sum = dispatch(isa, Folded(Sum, &row));
            assert!((sum - exact).abs() / exact < 1e-6, "{sum} {exact}");
        }
    }
}
