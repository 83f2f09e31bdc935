//! Transpose: the same elements with the dimensions in another order.
//!
//! Dimensions that stay neighbours are merged first (a [`Walk`] does that), which turns most permutations of real models
//! into one of two forms. Where the innermost dimension stays innermost, rows are copied. Else some dimension of the
//! output, the *fast* one, runs along consecutive elements of the input: its plane with the innermost dimension is
//! transposed in square blocks (see [`plane`]), so that both sides are touched a cache line at a time.

pub(super) mod plane;

use alloc::format;

use inferry_engine::op::{MoveAxis, Transpose};

use self::plane::Planes;
use crate::io::Plain;
use crate::isa::Isa;
use crate::kernel::arguments::{form, refused};
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::strided;
use crate::kernel::walk::{Walk, dense_stride};
use crate::kernel::{Builder, Built, by_size};

/// Builds Transpose.
pub(crate) fn transpose(op: &Transpose, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let rank = data.shape.rank();
    let (element, output) = node.output(0);
    let source = |dim: usize| op.perm.as_ref().map_or(rank - 1 - dim, |perm| perm[dim]);
    if op.perm.as_ref().is_some_and(|perm| perm.len() != rank)
        || output.rank() != rank
        || (0..rank).any(|dim| source(dim) >= rank || data.shape[source(dim)] != output[dim])
    {
        return Err(form(format!("{} transposed by {:?} is not {output}", data.shape, op.perm)));
    }
    let walk = Walk::new(output, |dim| [dense_stride(&data.shape, source(dim))]);
    let count = output.count();
    by_size!("Transpose", *element, T => match Plane::of(&walk) {
        Some(plane) if count > 0 => blocked::<T>(walk, plane, count, node.isa),
        _ => strided::copy::<T>(walk, count),
    })
}

/// Builds MoveAxis, which is a Transpose.
pub(crate) fn move_axis(op: &MoveAxis, node: &Builder<'_>) -> Built {
    let perm = op.permutation(node.input(0)?.shape.rank()).map_err(refused)?;
    transpose(&Transpose { perm: Some(perm) }, node)
}

/// How a permutation is seen by the blocked form: rows of the fast dimension, each `middle` times `last` elements.
#[derive(Clone, Copy, Debug)]
struct Plane {
    /// Position of the fast dimension in the walk.
    dim: usize,
    /// Its extent.
    fast: usize,
    /// Elements of the output in one row of it.
    row: usize,
    /// Extent of the innermost dimension of the output, and its stride in the input.
    last: usize,
    stride: usize,
}

impl Plane {
    /// `None` where whole rows can be copied, or the fast dimension is too short for blocks to pay.
    fn of(walk: &Walk<1>) -> Option<Plane> {
        let dims = walk.dims();
        let inner = walk.inner();
        let dim = dims.iter().position(|step| step.strides[0] == 1)?;
        let fast = dims[dim].extent;
        if dim + 1 == dims.len() || fast < 4 {
            return None;
        }
        let row = dims[dim + 1..].iter().map(|step| step.extent).product();
        Some(Plane { dim, fast, row, last: inner.extent, stride: inner.strides[0] as usize })
    }
}

fn blocked<T: Plain>(walk: Walk<1>, plane: Plane, count: usize, isa: Isa) -> Built {
    let rows = count / plane.row.max(1);
    let phase = spread_rows(rows, plane.row, 100 + 60 * size_of::<T>() as u64);
    // The dimensions outside the fast one, and those between it and the innermost.
    let outer = walk.part(0..plane.dim);
    let middle = walk.part(plane.dim + 1..walk.dims().len() - 1);
    let planes = plane.row / plane.last.max(1);
    simple(phase, move |io| {
        let from = io.input::<T>(0);
        let tiles = io.tiles();
        let to = io.rows::<T>();
        let rows = tiles.start * (phase.unit / plane.row)
            ..tiles.start * (phase.unit / plane.row) + to.len() / plane.row;
        let mut row = rows.start;
        while row < rows.end {
            // Rows of one outer position.
            let first = row % plane.fast;
            let next = rows.end.min(row - first + plane.fast);
            let base = outer.at(row / plane.fast)[0] + first;
            let slab = &mut to[(row - rows.start) * plane.row..(next - rows.start) * plane.row];
            for index in 0..planes {
                let from = &from[base + middle.at(index)[0]..];
                let shape = Planes {
                    from_stride: plane.stride,
                    to_stride: plane.row,
                    rows: next - row,
                    columns: plane.last,
                };
                plane::transpose(isa, shape, from, &mut slab[index * plane.last..]);
            }
            row = next;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run, run_one, tensor};
    use alloc::vec;
    use alloc::vec::Vec;
    use inferry_core::{ElementType, Shape};

    /// By the definition: each element of the output looked up.
    fn reference(shape: &[usize], perm: &[usize]) -> (Shape, Vec<u32>) {
        let extents: Vec<usize> = perm.iter().map(|dim| shape[*dim]).collect();
        let output = Shape::new(&extents).unwrap();
        let mut values = vec![];
        for index in 0..output.count() {
            let mut rest = index;
            let mut at = 0;
            for dim in (0..perm.len()).rev() {
                at += rest % output[dim] * dense_stride(shape, perm[dim]) as usize;
                rest /= output[dim];
            }
            values.push(at as u32);
        }
        (output, values)
    }

    #[test]
    fn permutations_of_every_form() {
        let cases: &[(&[usize], &[usize])] = &[
            (&[19, 21], &[1, 0]),
            (&[150, 70], &[1, 0]),
            (&[2, 33, 5, 18], &[0, 3, 2, 1]),
            (&[2, 9, 17], &[0, 2, 1]),
            (&[2, 9, 17], &[2, 1, 0]),
            (&[2, 9, 17], &[1, 0, 2]),
            (&[2, 9, 17], &[1, 2, 0]),
            (&[2, 3, 8, 9], &[0, 2, 3, 1]),
            (&[2, 8, 9, 3], &[0, 3, 1, 2]),
            (&[3, 4, 5, 6], &[3, 2, 1, 0]),
            (&[3, 4, 5, 6], &[0, 2, 1, 3]),
            (&[2, 8, 3, 4, 5], &[4, 1, 3, 0, 2]),
            (&[1, 5, 1, 8], &[3, 0, 1, 2]),
            (&[5], &[0]),
            (&[], &[]),
            (&[4, 0, 3], &[2, 0, 1]),
        ];
        for (shape, perm) in cases {
            let (output, wanted) = reference(shape, perm);
            let count: usize = shape.iter().product();
            let values: Vec<u32> = (0..count as u32).collect();
            let data = tensor(&values, Shape::new(shape).unwrap());
            let op = Transpose { perm: Some(perm.to_vec()) };
            for isa in Isa::detect_for_tests() {
                let outputs = [(ElementType::U32, output.clone())];
                let result = run(&op, &[Some(data.clone())], &outputs, isa);
                assert_eq!(result[0].to_vec::<u32>().unwrap(), wanted, "{shape:?} by {perm:?}, {isa:?}");
            }
            let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
            let wanted: Vec<u8> = wanted.iter().map(|value| *value as u8).collect();
            let data = tensor(&bytes, Shape::new(shape).unwrap());
            assert_eq!(run_one::<u8>(&op, &[&data], output), wanted, "{shape:?} by {perm:?}");
        }
    }

    #[test]
    fn without_a_permutation_dimensions_are_reversed() {
        let data = tensor(&[1i64, 2, 3, 4, 5, 6], [2, 3]);
        assert_eq!(run_one::<i64>(&Transpose { perm: None }, &[&data], [3, 2]), [1, 4, 2, 5, 3, 6]);
    }
}
