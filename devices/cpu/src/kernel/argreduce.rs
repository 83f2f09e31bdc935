//! ArgMax and ArgMin: where along an axis the largest or smallest element stands.
//!
//! Comparisons with NaN are false, so it never wins unless it stands first.

use inferry_core::ElementType;
use inferry_engine::op::{ArgReduce, Op};

use crate::kernel::arguments::{axis, form};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::{Builder, Built};

/// Builds the kernel of an [`ArgReduce`].
pub(crate) fn arg_reduce(op: &ArgReduce, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let axis = axis(op.axis, data.shape.rank())?;
    let extent = data.shape[axis];
    let inner: usize = data.shape[axis + 1..].iter().product();
    let outer: usize = data.shape[..axis].iter().product();
    let (element, output) = node.output(0);
    if *element != ElementType::I64 || output.count() != outer * inner {
        return Err(form(alloc::format!("{} of {} is not {element}{output}", op.name(), data.shape)));
    }
    by_number!(op.name(), data.element, T => match (op.max, op.select_last) {
        (true, false) => build::<T>(outer * inner, extent, inner, |x, best| x > best),
        (true, true) => build::<T>(outer * inner, extent, inner, |x, best| x >= best),
        (false, false) => build::<T>(outer * inner, extent, inner, |x, best| x < best),
        (false, true) => build::<T>(outer * inner, extent, inner, |x, best| x <= best),
    })
}

fn build<T: Number>(
    results: usize,
    extent: usize,
    inner: usize,
    wins: impl Fn(T, T) -> bool + Copy + Send + Sync + 'static,
) -> Built {
    let phase = spread(results, 1000 * extent as u64 + 2000);
    simple(phase, move |io| {
        let data = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<i64>().iter_mut().enumerate() {
            let result = start + index;
            let first = result / inner * extent * inner + result % inner;
            // Along an axis of no elements there is nothing to point to.
            let along = data.get(first..).unwrap_or(&[]).iter().step_by(inner).take(extent);
            let mut best = (0, None);
            for (position, x) in along.enumerate() {
                if best.1.is_none_or(|best| wins(*x, best)) {
                    best = (position, Some(*x));
                }
            }
            *to = best.0 as i64;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    #[test]
    fn the_first_or_the_last_of_equals() {
        let data = tensor(&[2.0f32, 2.0, 1.0, 3.0, 3.0, 10.0], [2, 3]);
        let op = |max, axis, select_last| ArgReduce { max, axis, keep_dims: false, select_last };
        assert_eq!(run_one::<i64>(&op(true, 1, false), &[&data], [2]), [0, 2]);
        assert_eq!(run_one::<i64>(&op(true, -1, true), &[&data], [2]), [1, 2]);
        assert_eq!(run_one::<i64>(&op(false, 1, true), &[&data], [2]), [2, 1]);
        assert_eq!(run_one::<i64>(&op(false, 0, false), &[&data], [3]), [0, 0, 0]);
        let data = tensor(&[3u8, 9, 9, 1], [2, 2]);
        assert_eq!(run_one::<i64>(&op(true, 0, false), &[&data], [2]), [1, 0]);
    }
}
