//! Operators whose result follows from shapes or a few scalars: Shape, Size, ConstantOfShape and Range.
//!
//! A plan for known shapes folds most of them; the kernels are for the rest and for folding itself.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_core::tensor::unpack;
use inferry_engine::op::{ConstantOfShape, Range, ShapeOf, SizeOf};

use crate::io::Plain;
use crate::kernel::arguments::form;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread};
use crate::kernel::{BuildError, Builder, Built, by_size};

/// Builds Shape: the extents from one dimension to another.
pub(crate) fn shape(op: &ShapeOf, node: &Builder<'_>) -> Built {
    let shape = &node.input(0)?.shape;
    let rank = shape.rank() as i64;
    let clamp = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
    let (start, end) = (clamp(op.start), clamp(op.end.unwrap_or(rank)));
    let extents: Vec<i64> = shape[start..end.max(start)].iter().map(|extent| *extent as i64).collect();
    write(extents, node)
}

/// Builds Size: the number of elements.
pub(crate) fn size(_: &SizeOf, node: &Builder<'_>) -> Built {
    let count = node.input(0)?.shape.count();
    write(alloc::vec![count as i64], node)
}

fn write(values: Vec<i64>, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    if *element != ElementType::I64 || output.count() != values.len() {
        return Err(form(format!("{} numbers do not fill {element}{output}", values.len())));
    }
    let phase = spread(values.len(), 1000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<i64>();
        to.copy_from_slice(&values[start..start + to.len()]);
    })
}

/// Builds ConstantOfShape: one value everywhere.
pub(crate) fn constant_of_shape(op: &ConstantOfShape, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    if op.value.element() != *element || op.value.len() != 1 {
        return Err(form(format!("a value of {}{} for {element}", op.value.element(), op.value.shape())));
    }
    if *element == ElementType::String {
        return Err(BuildError::Element { op: "ConstantOfShape", element: *element });
    }
    let lease = op.value.lease_read().map_err(|busy| form(format!("the value cannot be read: {busy}")))?;
    let bytes = &lease.bytes()[op.value.offset()..][..element.size()];
    if element.is_packed() {
        let value = unpack(*element, bytes).next().unwrap_or(0);
        return fill(value as u8, output.count());
    }
    by_size!("ConstantOfShape", *element, T => fill::<T>(bytemuck::pod_read_unaligned(bytes), output.count()))
}

fn fill<T: Plain>(value: T, count: usize) -> Built {
    simple(spread(count, 30 * size_of::<T>() as u64), move |io| io.rows::<T>().fill(value))
}

/// Builds Range: `start`, `start + delta`, `start + 2 delta`, …
pub(crate) fn range(_: &Range, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    let count = output.count();
    match element {
        ElementType::F32 => steps::<f32>(count),
        ElementType::F64 => steps::<f64>(count),
        ElementType::I16 => steps::<i16>(count),
        ElementType::I32 => steps::<i32>(count),
        ElementType::I64 => steps::<i64>(count),
        _ => Err(BuildError::Element { op: "Range", element: *element }),
    }
}

fn steps<T: Number>(count: usize) -> Built {
    let phase = spread(count, 1000);
    simple(phase, move |io| {
        let (start, delta) = (io.input::<T>(0)[0], io.input::<T>(2)[0]);
        let first = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            *to = start.add(delta.mul(T::from_index(first + index)));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use inferry_core::Shape;

    #[test]
    fn shapes_and_sizes() {
        let data = tensor(&[0u8; 24], [2, 3, 4]);
        assert_eq!(run_one::<i64>(&ShapeOf { start: 0, end: None }, &[&data], [3]), [2, 3, 4]);
        assert_eq!(run_one::<i64>(&ShapeOf { start: -2, end: Some(-1) }, &[&data], [1]), [3]);
        assert_eq!(run_one::<i64>(&ShapeOf { start: 2, end: Some(-9) }, &[&data], [0]), [0i64; 0]);
        assert_eq!(run_one::<i64>(&SizeOf, &[&data], Shape::scalar()), [24]);
    }

    #[test]
    fn one_value_everywhere() {
        let op = ConstantOfShape { value: tensor(&[-7i32], [1]) };
        let shape = tensor(&[3i64, 2], [2]);
        assert_eq!(run_one::<i32>(&op, &[&shape], [3, 2]), [-7; 6]);
    }

    #[test]
    fn ranges_count_in_steps() {
        let scalar = |value: i64| tensor(&[value], Shape::scalar());
        let inputs = [&scalar(10), &scalar(4), &scalar(-2)];
        assert_eq!(run_one::<i64>(&Range, &inputs, [3]), [10, 8, 6]);
        let scalar = |value: f32| tensor(&[value], Shape::scalar());
        let inputs = [&scalar(1.0), &scalar(5.0), &scalar(1.5)];
        assert_eq!(run_one::<f32>(&Range, &inputs, [3]), [1.0, 2.5, 4.0]);
    }
}
