//! Reductions: many numbers along some dimensions become one.
//!
//! Neighbouring dimensions of one kind (reduced or kept) are merged. What is innermost then decides the loop: where it is
//! *reduced*, each result folds rows of consecutive elements; where it is *kept*, rows are folded onto as many results at
//! once. The dimensions outside are walked. `f32` is folded with vectors (see [`fold`](super::fold)), other types one by
//! one, integers exactly and wrapping.

use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::ElementType;
use inferry_engine::op::{Op, Reduce, ReduceKind};

use crate::isa::Isa;
use crate::kernel::arguments::{axis_set, form, integers};
use crate::kernel::fold::{self, Fold};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::{Walk, dense_stride};
use crate::kernel::{BuildError, Builder, Built};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`Reduce`].
pub(crate) fn reduce(op: &Reduce, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let axes = integers(node, 1)?.filter(|axes| !axes.is_empty());
    let reduced = match axes {
        None if op.noop_with_empty_axes => alloc::vec![false; data.shape.rank()],
        axes => axis_set(axes.as_deref(), data.shape.rank())?,
    };
    let plan = Plan::new(&data.shape, &reduced);
    if plan.results != node.output(0).1.count() {
        return Err(form(alloc::format!("{} of {} is not {}", op.name(), data.shape, node.output(0).1)));
    }
    match (data.element, op.kind) {
        (ElementType::F32, ReduceKind::LogSumExp) => plan.exponentials::<f32>(),
        (ElementType::F64, ReduceKind::LogSumExp) => plan.exponentials::<f64>(),
        (ElementType::I32, ReduceKind::LogSumExp) => plan.exponentials::<i32>(),
        (ElementType::I64, ReduceKind::LogSumExp) => plan.exponentials::<i64>(),
        (ElementType::U32, ReduceKind::LogSumExp) => plan.exponentials::<u32>(),
        (ElementType::U64, ReduceKind::LogSumExp) => plan.exponentials::<u64>(),
        (ElementType::F32, kind) => plan.vectors(kind, node.isa),
        (ElementType::Bool, ReduceKind::Max) => plan.numbers(0u8, |a, x| a | x, |a, _| a),
        (ElementType::Bool, ReduceKind::Min) => plan.numbers(1u8, |a, x| a & x, |a, _| a),
        (element, kind) => by_number!(op.name(), element, T => plan.scalars::<T>(kind, op.name())),
    }
}

/// Which elements make up each result. See the [module](self).
struct Plan {
    /// Begin of each result, or of each row of results, in the data.
    kept: Walk<1>,
    /// The reduced dimensions outside the innermost loop.
    outer: Walk<1>,
    /// Elements that `outer` visits.
    folds: usize,
    inner: Inner,
    /// How many results there are, and how many elements make one.
    results: usize,
    each: usize,
}

/// What lies together.
#[derive(Clone, Copy)]
enum Inner {
    /// So many elements of one result.
    Reduced(usize),
    /// One element of each of so many results.
    Kept(usize),
}

impl Plan {
    fn new(shape: &[usize], reduced: &[bool]) -> Plan {
        let dims =
            |which: bool| (0..shape.len()).filter(move |dim| reduced[*dim] == which && shape[*dim] != 1);
        let product = |which: bool| dims(which).map(|dim| shape[dim]).product::<usize>();
        let last = (0..shape.len()).rev().find(|dim| shape[*dim] != 1);
        let inner_reduced = last.is_some_and(|last| reduced[last]);
        // The innermost dimensions of one kind are one run of elements.
        let run = (0..shape.len()).rev().take_while(|dim| shape[*dim] == 1 || reduced[*dim] == inner_reduced);
        let first = run.last().unwrap_or(0);
        let inner: usize = shape[first.min(shape.len())..].iter().product();
        let walk = |which: bool| {
            let dims: Vec<usize> = dims(which).filter(|dim| *dim < first).collect();
            let extents: Vec<usize> = dims.iter().map(|dim| shape[*dim]).collect();
            Walk::new(&extents, |index| [dense_stride(shape, dims[index])])
        };
        let (results, each) = (product(false), product(true));
        let folds = if inner_reduced { each / inner.max(1) } else { each };
        let inner = if inner_reduced { Inner::Reduced(inner) } else { Inner::Kept(inner) };
        Plan { kept: walk(false), outer: walk(true), folds, inner, results, each }
    }

    fn vectors(self, kind: ReduceKind, isa: Isa) -> Built {
        let each = self.each as f64;
        match kind {
            ReduceKind::Sum => self.folded(isa, fold::Sum, |x| x),
            ReduceKind::Mean => self.folded(isa, fold::Sum, move |x| x / each),
            ReduceKind::Max => self.folded(isa, fold::Largest, |x| x),
            ReduceKind::Min => self.folded(isa, fold::Smallest, |x| x),
            ReduceKind::Prod => self.folded(isa, fold::Product, |x| x),
            ReduceKind::L1 => self.folded(isa, fold::SumAbs, |x| x),
            ReduceKind::L2 => self.folded(isa, fold::SumSquare, libm::sqrt),
            ReduceKind::LogSum => self.folded(isa, fold::Sum, libm::log),
            ReduceKind::SumSquare => self.folded(isa, fold::SumSquare, |x| x),
            ReduceKind::LogSumExp => self.exponentials::<f32>(),
        }
    }

    fn folded(
        self,
        isa: Isa,
        fold: impl Fold,
        finish: impl Fn(f64) -> f64 + Copy + Send + Sync + 'static,
    ) -> Built {
        let phase = spread(self.results, 100 * self.each as u64 + 2000);
        simple(phase, move |io| {
            let start = io.tiles().start * phase.unit;
            dispatch(isa, Folding { plan: &self, fold, finish, data: io.input(0), start, to: io.rows() });
        })
    }

    fn scalars<T: Number>(self, kind: ReduceKind, name: &'static str) -> Built {
        let zero = T::default();
        let mean = |total: T, each: usize| {
            if T::TYPE.is_float() {
                T::from_f64(total.to_f64() / each as f64)
            } else {
                total.div(T::from_index(each))
            }
        };
        let float = |f: fn(f64) -> f64| move |total: T, _: usize| T::from_f64(f(total.to_f64()));
        let same = |total: T, _: usize| total;
        match kind {
            ReduceKind::Sum => self.numbers(zero, T::add, same),
            ReduceKind::Mean => self.numbers(zero, T::add, mean),
            ReduceKind::Max => self.numbers(T::LOWEST, T::most, same),
            ReduceKind::Min => self.numbers(T::HIGHEST, T::least, same),
            ReduceKind::Prod => self.numbers(T::ONE, T::mul, same),
            ReduceKind::L1 => self.numbers(zero, |a: T, x: T| a.add(x.magnitude()), same),
            ReduceKind::L2 => self.numbers(zero, |a: T, x: T| a.add(x.mul(x)), float(libm::sqrt)),
            ReduceKind::LogSum => self.numbers(zero, T::add, float(libm::log)),
            ReduceKind::SumSquare => self.numbers(zero, |a: T, x: T| a.add(x.mul(x)), same),
            ReduceKind::LogSumExp => Err(BuildError::Element { op: name, element: T::TYPE }),
        }
    }

    /// Folds elements one by one from `first`; `finish` is given how many they were.
    fn numbers<T: crate::io::Plain>(
        self,
        first: T,
        join: impl Fn(T, T) -> T + Copy + Send + Sync + 'static,
        finish: impl Fn(T, usize) -> T + Copy + Send + Sync + 'static,
    ) -> Built {
        let phase = spread(self.results, 500 * self.each as u64 + 2000);
        simple(phase, move |io| {
            let data = io.input::<T>(0);
            let start = io.tiles().start * phase.unit;
            for (index, to) in io.rows::<T>().iter_mut().enumerate() {
                let mut total = first;
                self.elements(start + index, &mut |run| {
                    total = data[run].iter().fold(total, |total, x| join(total, *x));
                });
                *to = finish(total, self.each);
            }
        })
    }

    /// The logarithm of the sum of exponentials, less the largest so that none overflows.
    fn exponentials<T: Number>(self) -> Built {
        let phase = spread(self.results, 20_000 * self.each as u64 + 2000);
        simple(phase, move |io| {
            let data = io.input::<T>(0);
            let start = io.tiles().start * phase.unit;
            for (index, to) in io.rows::<T>().iter_mut().enumerate() {
                let mut largest = f64::NEG_INFINITY;
                self.elements(start + index, &mut |run| {
                    largest = data[run].iter().fold(largest, |largest, x| largest.most(x.to_f64()));
                });
                let shift = if largest.is_finite() { largest } else { 0.0 };
                let mut sum = 0.0;
                self.elements(start + index, &mut |run| {
                    sum += data[run].iter().map(|x| libm::exp(x.to_f64() - shift)).sum::<f64>();
                });
                *to = T::from_f64(libm::log(sum) + shift);
            }
        })
    }

    /// Calls `each` with the positions of all elements that make up result `result`, in runs. It exists once, and not for
    /// each type and function.
    #[inline(never)]
    fn elements(&self, result: usize, each: &mut dyn FnMut(Range<usize>)) {
        let (row, column, run) = match self.inner {
            Inner::Reduced(run) => (result, 0, run),
            Inner::Kept(columns) => (result / columns, result % columns, 1),
        };
        let base = self.kept.at(row)[0] + column;
        let stride = self.outer.inner().strides[0];
        for piece in self.outer.runs(0..self.folds) {
            for step in 0..piece.output.len() {
                let at = base + piece.at[0] + step * stride as usize;
                each(at..at + run);
            }
        }
    }
}

struct Folding<'a, F, E> {
    plan: &'a Plan,
    fold: F,
    finish: E,
    data: &'a [f32],
    start: usize,
    to: &'a mut [f32],
}

impl<F: Fold, E: Fn(f64) -> f64> Vectorized for Folding<'_, F, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        match self.plan.inner {
            Inner::Reduced(run) => self.rows(s, run),
            Inner::Kept(columns) => self.columns(s, columns),
        }
    }
}

/// Results that are folded at once where the innermost dimension is kept.
const COLUMNS: usize = 256;
/// Rows folded onto a fresh set of results before these are joined to the total: two short sums are more exact than one
/// long one.
const ROWS: usize = 32;

impl<F: Fold, E: Fn(f64) -> f64> Folding<'_, F, E> {
    #[inline(always)]
    fn rows<S: Simd>(&mut self, s: S, run: usize) {
        let plan = self.plan;
        let stride = plan.outer.inner().strides[0] as usize;
        for (index, to) in self.to.iter_mut().enumerate() {
            let base = plan.kept.at(self.start + index)[0];
            let mut total = f64::from(F::START);
            for piece in plan.outer.runs(0..plan.folds) {
                for step in 0..piece.output.len() {
                    let at = base + piece.at[0] + step * stride;
                    total = fold::fold_row(s, self.fold, total, &self.data[at..at + run]);
                }
            }
            *to = (self.finish)(total) as f32;
        }
    }

    #[inline(always)]
    fn columns<S: Simd>(&mut self, s: S, columns: usize) {
        let plan = self.plan;
        let stride = plan.outer.inner().strides[0] as usize;
        let mut done = 0;
        while done < self.to.len() {
            let (row, column) = ((self.start + done) / columns, (self.start + done) % columns);
            let count = (columns - column).min(self.to.len() - done).min(COLUMNS);
            let base = plan.kept.at(row)[0] + column;
            let (mut totals, mut sums) = ([F::START; COLUMNS], [F::START; COLUMNS]);
            let (totals, sums) = (&mut totals[..count], &mut sums[..count]);
            let mut waiting = 0;
            for piece in plan.outer.runs(0..plan.folds) {
                for step in 0..piece.output.len() {
                    let at = base + piece.at[0] + step * stride;
                    fold::fold_onto(s, self.fold, sums, &self.data[at..at + count]);
                    waiting += 1;
                    if waiting == ROWS {
                        fold::join_onto(s, self.fold, totals, sums);
                        sums.fill(F::START);
                        waiting = 0;
                    }
                }
            }
            fold::join_onto(s, self.fold, totals, sums);
            for (to, total) in self.to[done..done + count].iter_mut().zip(totals) {
                *to = (self.finish)(f64::from(*total)) as f32;
            }
            done += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run, run_one, tensor};
    use inferry_core::Shape;

    const KINDS: [ReduceKind; 10] = [
        ReduceKind::Sum,
        ReduceKind::Mean,
        ReduceKind::Max,
        ReduceKind::Min,
        ReduceKind::Prod,
        ReduceKind::L1,
        ReduceKind::L2,
        ReduceKind::LogSum,
        ReduceKind::LogSumExp,
        ReduceKind::SumSquare,
    ];

    fn op(kind: ReduceKind) -> Reduce {
        Reduce { kind, keep_dims: false, noop_with_empty_axes: false }
    }

    /// By the definition, in f64.
    fn exact(kind: ReduceKind, values: &[f64]) -> f64 {
        let sum = |f: fn(f64) -> f64| values.iter().copied().map(f).sum::<f64>();
        match kind {
            ReduceKind::Sum => sum(|x| x),
            ReduceKind::Mean => sum(|x| x) / values.len() as f64,
            ReduceKind::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ReduceKind::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            ReduceKind::Prod => values.iter().product(),
            ReduceKind::L1 => sum(f64::abs),
            ReduceKind::L2 => sum(|x| x * x).sqrt(),
            ReduceKind::LogSum => sum(|x| x).ln(),
            ReduceKind::LogSumExp => sum(f64::exp).ln(),
            ReduceKind::SumSquare => sum(|x| x * x),
        }
    }

    #[test]
    fn any_axes_of_any_shape() {
        let cases: &[(&[usize], &[i64])] = &[
            (&[3, 37], &[1]),
            (&[37, 3], &[0]),
            (&[3, 5, 70], &[1]),
            (&[2, 3, 5, 7], &[2, 3]),
            (&[2, 3, 5, 7], &[0, 2, 3]),
            (&[2, 3, 5, 7], &[0, -2]),
            (&[2, 3, 5, 7], &[1, 3]),
            (&[2, 1, 5, 1], &[1, -1]),
            (&[40, 300], &[0]),
            (&[6], &[0]),
            (&[2, 3], &[0, 1]),
        ];
        for (shape, axes) in cases {
            let reduced = axis_set(Some(axes), shape.len()).unwrap();
            let kept: Vec<usize> =
                (0..shape.len()).filter(|dim| !reduced[*dim]).map(|dim| shape[dim]).collect();
            let kept = Shape::new(&kept).unwrap();
            let count: usize = shape.iter().product();
            // Numbers near 1, so that products and logarithms stay in range.
            let values: Vec<f32> = noise(count, 3).iter().map(|x| 1.0 + 0.4 * x).collect();
            let mut groups = alloc::vec![Vec::new(); kept.count()];
            for (index, value) in values.iter().enumerate() {
                let (mut rest, mut result, mut scale) = (index, 0, 1);
                for dim in (0..shape.len()).rev() {
                    if !reduced[dim] {
                        result += rest % shape[dim] * scale;
                        scale *= shape[dim];
                    }
                    rest /= shape[dim];
                }
                groups[result].push(f64::from(*value));
            }
            let axes = tensor(axes, [axes.len()]);
            let data = tensor(&values, Shape::new(shape).unwrap());
            for kind in KINDS {
                let wanted: Vec<f32> = groups.iter().map(|group| exact(kind, group) as f32).collect();
                for isa in Isa::detect_for_tests() {
                    let inputs = [Some(data.clone()), Some(axes.clone())];
                    let result = run(&op(kind), &inputs, &[(ElementType::F32, kept.clone())], isa);
                    assert_close(&result[0].to_vec::<f32>().unwrap(), &wanted, 1e-6, 2e-6);
                }
            }
        }
    }

    #[test]
    fn without_axes_all_or_nothing() {
        let data = tensor(&[1.0f32, -2.0, 3.0, -4.0], [2, 2]);
        assert_eq!(run_one::<f32>(&op(ReduceKind::Sum), &[&data], Shape::scalar()), [-2.0]);
        let keep = Reduce { kind: ReduceKind::Max, keep_dims: true, noop_with_empty_axes: false };
        assert_eq!(run_one::<f32>(&keep, &[&data, &tensor::<i64>(&[], [0])], [1, 1]), [3.0]);
        let noop = Reduce { kind: ReduceKind::Sum, keep_dims: true, noop_with_empty_axes: true };
        assert_eq!(run_one::<f32>(&noop, &[&data], [2, 2]), [1.0, -2.0, 3.0, -4.0]);
    }

    #[test]
    fn integers_are_exact() {
        let data = tensor(&[i64::MAX, 1, -7, 2], [2, 2]);
        let axes = tensor(&[1i64], [1]);
        let result = |kind| run_one::<i64>(&op(kind), &[&data, &axes], [2]);
        assert_eq!(result(ReduceKind::Sum), [i64::MIN, -5]);
        assert_eq!(result(ReduceKind::Mean), [i64::MIN / 2, -2]);
        assert_eq!(result(ReduceKind::Max), [i64::MAX, 2]);
        assert_eq!(result(ReduceKind::L1)[1], 9);
        assert_eq!(result(ReduceKind::L2)[1], 7);
        assert_eq!(result(ReduceKind::Prod)[1], -14);
        let data = tensor(&[true, false, true, true], [2, 2]);
        assert_eq!(run_one::<bool>(&op(ReduceKind::Max), &[&data, &axes], [2]), [true, true]);
        assert_eq!(run_one::<bool>(&op(ReduceKind::Min), &[&data, &axes], [2]), [false, true]);
    }

    #[test]
    fn nothing_reduces_to_what_is_neutral() {
        let data = tensor::<f32>(&[], [2, 0]);
        let axes = tensor(&[1i64], [1]);
        let result = |kind| run_one::<f32>(&op(kind), &[&data, &axes], [2]);
        assert_eq!(result(ReduceKind::Sum), [0.0; 2]);
        assert_eq!(result(ReduceKind::Prod), [1.0; 2]);
        assert_eq!(result(ReduceKind::Max), [f32::NEG_INFINITY; 2]);
        assert_eq!(result(ReduceKind::Min), [f32::INFINITY; 2]);
        assert_eq!(result(ReduceKind::LogSumExp), [f32::NEG_INFINITY; 2]);
        assert!(result(ReduceKind::Mean).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn large_exponents_do_not_overflow() {
        let data = tensor(&[1000.0f64, 1001.0], [2]);
        let axes = tensor(&[0i64], [1]);
        let sum = run_one::<f64>(&op(ReduceKind::LogSumExp), &[&data, &axes], Shape::scalar())[0];
        assert!((sum - 1_001.313_261_687_518).abs() < 1e-9);
        // log(e^5 + e^9) is 9.018…, of which an integer keeps 9.
        let whole =
            run_one::<i64>(&op(ReduceKind::LogSumExp), &[&tensor(&[5i64, 9], [2]), &axes], Shape::scalar());
        assert_eq!(whole, [9]);
    }
}
