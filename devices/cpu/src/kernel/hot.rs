//! OneHot and Hardmax: one element of many is on.

use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{Hardmax, OneHot, Op};

use crate::kernel::arguments::{axis, form};
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread, spread_rows};
use crate::kernel::{BuildError, Builder, Built, by_size};

/// Builds the kernel of a [`OneHot`].
pub(crate) fn one_hot(op: &OneHot, node: &Builder<'_>) -> Built {
    let (indices, values) = (node.input(0)?, node.input(2)?);
    let output = &node.output(0).1;
    let axis = axis(op.axis, indices.shape.rank() + 1)?;
    let inner: usize = indices.shape[axis..].iter().product();
    let depth = output.get(axis).copied().unwrap_or(0);
    if indices.element != ElementType::I64
        || values.shape.count() != 2
        || output.count() != indices.shape.count() * depth
    {
        return Err(form(format!("{} of {} is not {output}", op.name(), indices.shape)));
    }
    by_size!(op.name(), values.element, T => {
        let phase = spread(output.count(), 3000);
        simple(phase, move |io| {
            let start = io.tiles().start * phase.unit;
            let to = io.rows::<T>();
            let (indices, values) = (io.input::<i64>(0), io.input::<T>(2));
            for (offset, to) in to.iter_mut().enumerate() {
                let (line, column) = ((start + offset) / inner, (start + offset) % inner);
                let index = indices[line / depth * inner + column];
                let index = if index < 0 { index.wrapping_add(depth as i64) } else { index };
                *to = values[usize::from(index == (line % depth) as i64)];
            }
        })
    })
}

/// Builds the kernel of a [`Hardmax`].
pub(crate) fn hardmax(op: &Hardmax, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let rank = x.shape.rank();
    let end = op.flatten && usize::try_from(op.axis) == Ok(rank);
    let axis = if end { rank } else { axis(op.axis, rank)? };
    let outer: usize = x.shape[..axis].iter().product();
    let (extent, inner) = if op.flatten {
        (x.shape[axis..].iter().product(), 1)
    } else {
        (x.shape[axis], x.shape[axis + 1..].iter().product())
    };
    match x.element {
        ElementType::F32 => largest::<f32>(outer, extent, inner),
        ElementType::F64 => largest::<f64>(outer, extent, inner),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn largest<T: Number>(outer: usize, extent: usize, inner: usize) -> Built {
    let phase = spread_rows(outer, extent * inner, 2000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        let from = &io.input::<T>(0)[start..start + to.len()];
        let slab = (extent * inner).max(1);
        for (from, to) in from.chunks_exact(slab).zip(to.chunks_exact_mut(slab)) {
            to.fill(T::default());
            for column in 0..inner {
                let mut best = column;
                for at in (column..slab).step_by(inner) {
                    if from[at] > from[best] {
                        best = at;
                    }
                }
                to[best] = T::ONE;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use inferry_core::Shape;

    #[test]
    fn one_element_of_each_line_is_on() {
        let indices = tensor(&[0i64, -1, 5], [3]);
        let (depth, values) = (tensor(&[3i64], Shape::scalar()), tensor(&[2.0f32, 7.0], [2]));
        let inputs = [&indices, &depth, &values];
        let off = [7., 2., 2., 2., 2., 7., 2., 2., 2.];
        assert_eq!(run_one::<f32>(&OneHot { axis: -1 }, &inputs, [3, 3]), off);
        let turned = [7., 2., 2., 2., 2., 2., 2., 7., 2.];
        assert_eq!(run_one::<f32>(&OneHot { axis: 0 }, &inputs, [3, 3]), turned);
        let bytes = tensor(&[false, true], [2]);
        let pairs = tensor(&[1i64, 0, 1, 1], [2, 2]);
        let two = tensor(&[2i64], [1]);
        let wanted = [false, true, true, false, false, false, true, true];
        assert_eq!(run_one::<bool>(&OneHot { axis: 1 }, &[&pairs, &two, &bytes], [2, 2, 2]), wanted);
    }

    #[test]
    fn the_first_of_the_largest_wins() {
        let x = tensor(&[3.0f32, 1.0, 2.0, 3.0, 0.0, 4.0], [2, 3]);
        let hard = |axis, flatten| Hardmax { axis, flatten };
        assert_eq!(run_one::<f32>(&hard(-1, false), &[&x], [2, 3]), [1., 0., 0., 0., 0., 1.]);
        assert_eq!(run_one::<f32>(&hard(0, false), &[&x], [2, 3]), [1., 1., 0., 0., 0., 1.]);
        assert_eq!(run_one::<f32>(&hard(0, true), &[&x], [2, 3]), [0., 0., 0., 0., 0., 1.]);
        let equal = tensor(&[1.0f64, 1.0], [2]);
        assert_eq!(run_one::<f64>(&hard(0, false), &[&equal], [2]), [1., 0.]);
    }
}
