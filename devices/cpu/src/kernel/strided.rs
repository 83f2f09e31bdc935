//! Operators that only look elsewhere: each element of the output is an element of the input, at constant strides.
//!
//! Slice and Expand are nothing else, and so are the permutations that have no faster form. Elements are copied by their
//! size, so one loop serves all types.

use alloc::format;

use inferry_engine::op::{Expand, Slice};

use crate::io::Plain;
use crate::kernel::arguments::{form, integers, refused};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::{Walk, dense_stride};
use crate::kernel::{BuildError, Builder, Built, by_size};

/// Builds Slice: the elements from a start, so many steps apart.
pub(crate) fn slice(_: &Slice, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let (element, output) = node.output(0);
    let starts = integers(node, 1)?.ok_or(BuildError::Missing { input: 1 })?;
    let ends = integers(node, 2)?.ok_or(BuildError::Missing { input: 2 })?;
    let (axes, steps) = (integers(node, 3)?, integers(node, 4)?);
    let taken =
        Slice::resolve(&data.shape, &starts, &ends, axes.as_deref(), steps.as_deref()).map_err(refused)?;
    if !taken.iter().map(|taken| taken.count).eq(output.iter().copied()) {
        return Err(form(format!("a slice of {} is not {output}", data.shape)));
    }
    let begin = |dim: usize| taken[dim].start * dense_stride(&data.shape, dim) as usize;
    // A step is smaller than the extent unless it is never taken, and then it must not count.
    let step = |dim: usize| if taken[dim].count > 1 { taken[dim].step as isize } else { 0 };
    let start = if output.count() == 0 { 0 } else { (0..output.rank()).map(begin).sum() };
    let walk = Walk::starting(output, [start], |dim| [step(dim) * dense_stride(&data.shape, dim)]);
    by_size!("Slice", *element, T => copy::<T>(walk, output.count()))
}

/// Builds Expand: extents of 1 are repeated.
pub(crate) fn expand(_: &Expand, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let (element, output) = node.output(0);
    let walk = Walk::broadcast(output, [&data.shape]);
    by_size!("Expand", *element, T => copy::<T>(walk, output.count()))
}

/// A kernel that copies the elements of input 0 that `walk` visits to the `count` elements of output 0.
pub(crate) fn copy<T: Plain>(walk: Walk<1>, count: usize) -> Built {
    let bytes = size_of::<T>() as u64;
    let picoseconds = if walk.inner().strides[0].unsigned_abs() <= 1 { 60 * bytes } else { 1000 };
    let phase = spread(count, picoseconds);
    simple(phase, move |io| {
        let from = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        copy_range(&walk, from, start, to);
    })
}

/// Copies what `walk` visits for the elements `start..` of the output to `to`.
pub(crate) fn copy_range<T: Copy>(walk: &Walk<1>, from: &[T], start: usize, to: &mut [T]) {
    let stride = walk.inner().strides[0];
    for run in walk.runs(start..start + to.len()) {
        let to = &mut to[run.output.start - start..run.output.end - start];
        copy_run(from, run.at[0], stride, to);
    }
}

/// Copies elements `stride` apart, beginning at `at`.
#[inline]
fn copy_run<T: Copy>(from: &[T], at: usize, stride: isize, to: &mut [T]) {
    match stride {
        1 => to.copy_from_slice(&from[at..at + to.len()]),
        0 => to.fill(from[at]),
        2.. => {
            let steps = from[at..].iter().step_by(stride as usize);
            to.iter_mut().zip(steps).for_each(|(to, from)| *to = *from);
        }
        _ => {
            let steps = from[..at + 1].iter().rev().step_by(stride.unsigned_abs());
            to.iter_mut().zip(steps).for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    /// starts, ends, axes, steps, output shape, values; all of `arange(20).reshape(4, 5)`.
    type Case = (&'static [i64], &'static [i64], &'static [i64], &'static [i64], [usize; 2], &'static [i32]);

    const CASES: &[Case] = &[
        (&[1, 0], &[3, 2], &[0, 1], &[1, 1], [2, 2], &[5, 6, 10, 11]),
        (&[-2], &[1000], &[-1], &[1], [4, 2], &[3, 4, 8, 9, 13, 14, 18, 19]),
        (&[0, 4], &[4, -1000], &[0, 1], &[2, -2], [2, 3], &[4, 2, 0, 14, 12, 10]),
        (&[1000, -1], &[i64::MIN, 0], &[0, 1], &[-1, -3], [4, 2], &[19, 16, 14, 11, 9, 6, 4, 1]),
        (&[3], &[3], &[0], &[1], [0, 5], &[]),
        (&[1], &[2], &[1], &[i64::MAX], [4, 1], &[1, 6, 11, 16]),
    ];

    #[test]
    fn slices_as_the_standard_says() {
        let data: Vec<i32> = (0..20).collect();
        let list = |values: &[i64]| tensor(values, [values.len()]);
        for (starts, ends, axes, steps, shape, wanted) in CASES {
            let inputs = [&tensor(&data, [4, 5]), &list(starts), &list(ends), &list(axes), &list(steps)];
            assert_eq!(run_one::<i32>(&Slice, &inputs, *shape), *wanted, "{starts:?} {steps:?}");
        }
    }

    #[test]
    fn slices_of_every_element_size() {
        let (starts, ends) = (tensor(&[1i64], [1]), tensor(&[3i64], [1]));
        let data = tensor(&[true, false, true, true], [4]);
        assert_eq!(run_one::<bool>(&Slice, &[&data, &starts, &ends], [2]), [false, true]);
        let data = tensor(&[1i64, 2, 3, 4], [4]);
        assert_eq!(run_one::<i64>(&Slice, &[&data, &starts, &ends], [2]), [2, 3]);
        let data = tensor(&[1u16, 2, 3, 4], [4]);
        assert_eq!(run_one::<u16>(&Slice, &[&data, &starts, &ends], [2]), [2, 3]);
    }

    #[test]
    fn expands_extents_of_one() {
        let data = tensor(&[1f32, 2., 3.], [3, 1]);
        let shape = tensor(&[2i64, 1, 4], [3]);
        let wanted = [1., 1., 1., 1., 2., 2., 2., 2., 3., 3., 3., 3.].repeat(2);
        assert_eq!(run_one::<f32>(&Expand, &[&data, &shape], [2, 3, 4]), wanted);
        let scalar = tensor(&[7i64], Shape::scalar());
        assert_eq!(run_one::<i64>(&Expand, &[&scalar, &shape], [2, 1, 4]), [7; 8]);
    }
}
