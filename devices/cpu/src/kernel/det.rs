//! Det: determinants, by elimination in `f64`.

use inferry_core::ElementType;
use inferry_engine::op::{Det, Op};

use crate::kernel::arguments::form;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple_with_scratch, spread};
use crate::kernel::{BuildError, Builder, Built};

/// Builds the kernel of a [`Det`].
pub(crate) fn det(op: &Det, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let size = match x.shape[..] {
        [.., rows, columns] if rows == columns => rows,
        _ => return Err(form(alloc::format!("the determinant of {}", x.shape))),
    };
    let count = node.output(0).1.count();
    match x.element {
        ElementType::F32 => build::<f32>(count, size),
        ElementType::F64 => build::<f64>(count, size),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn build<T: Number>(count: usize, size: usize) -> Built {
    let phase = spread(count, 1000 * (size as u64).saturating_pow(3) + 1000);
    simple_with_scratch(phase, size * size * size_of::<f64>(), move |io| {
        let start = io.tiles().start * phase.unit;
        let (to, x, matrix) = (io.rows::<T>(), io.input::<T>(0), io.scratch::<f64>());
        let matrix = &mut matrix[..size * size];
        for (index, to) in to.iter_mut().enumerate() {
            let from = &x[(start + index) * size * size..][..size * size];
            matrix.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f64());
            *to = T::from_f64(determinant(matrix, size));
        }
    })
}

/// The determinant of a matrix, which is used up.
fn determinant(matrix: &mut [f64], size: usize) -> f64 {
    let mut product = 1.0;
    for column in 0..size {
        let magnitude = |row: usize| libm::fabs(matrix[row * size + column]);
        let pivot = (column + 1..size)
            .fold(column, |best, row| if magnitude(row) > magnitude(best) { row } else { best });
        if pivot != column {
            (0..size).for_each(|at| matrix.swap(pivot * size + at, column * size + at));
            product = -product;
        }
        let head = matrix[column * size + column];
        product *= head;
        if head == 0.0 {
            return 0.0;
        }
        let (done, rest) = matrix.split_at_mut((column + 1) * size);
        let line = &done[column * size..];
        for row in rest.chunks_exact_mut(size) {
            let factor = row[column] / head;
            row.iter_mut().zip(line).skip(column).for_each(|(to, from)| *to -= factor * from);
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    #[test]
    fn determinants() {
        let x = tensor(&[0.0f32, 1., 2., 3., 1., 2., 2., 4.], [2, 2, 2]);
        assert_eq!(run_one::<f32>(&Det, &[&x], [2]), [-2.0, 0.0]);
        let x = tensor(&[2.0f64, 0., 1., 0., 3., 0., 1., 0., 1.], [3, 3]);
        assert_eq!(run_one::<f64>(&Det, &[&x], inferry_core::Shape::scalar()), [3.0]);
        let none = tensor::<f32>(&[], [2, 0, 0]);
        assert_eq!(run_one::<f32>(&Det, &[&none], [2]), [1.0, 1.0]);
    }
}
