//! Einsum by its definition: for each element of the output a walk along all that is summed over.
//!
//! Products of matrices do not come here, the engine writes them as MatMul; what is left are diagonals, sums over something
//! that is repeated, and integers that MatMul does not take.

use alloc::format;
use alloc::vec::Vec;

use inferry_engine::op::{Einsum, Op};

use crate::kernel::arguments::{form, refused};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple_with_scratch, spread};
use crate::kernel::walk::dense_stride;
use crate::kernel::{BuildError, Builder, Built};

/// Builds the kernel of an [`Einsum`].
pub(crate) fn einsum(op: &Einsum, node: &Builder<'_>) -> Built {
    let (element, shape) = node.output(0);
    let mut shapes = Vec::with_capacity(op.terms.len());
    for index in 0..op.terms.len() {
        let input = node.input(index)?;
        if input.element != *element {
            return Err(BuildError::Element { op: op.name(), element: input.element });
        }
        shapes.push(input.shape.clone());
    }
    let ranks: Vec<usize> = shapes.iter().map(|shape| shape.rank()).collect();
    let resolved = op.resolve(&ranks).map_err(refused)?;
    let mut extents = alloc::vec![1; resolved.dims];
    for (dims, shape) in resolved.operands.iter().zip(&shapes) {
        for (dim, extent) in dims.iter().zip(shape.iter()) {
            match extents[*dim] {
                1 => extents[*dim] = *extent,
                other if *extent == 1 || *extent == other => {}
                other => return Err(form(format!("Einsum along extents of {other} and {extent}"))),
            }
        }
    }
    if !resolved.output.iter().map(|dim| extents[*dim]).eq(shape.iter().copied()) {
        return Err(form(format!("Einsum of {shapes:?} is not {shape}")));
    }
    let step = |dim: usize| Step {
        extent: extents[dim],
        strides: (resolved.operands.iter().zip(&shapes))
            .map(|(dims, shape)| {
                let own = dims.iter().enumerate().filter(|(at, other)| **other == dim && shape[*at] > 1);
                own.map(|(at, _)| dense_stride(shape, at) as usize).sum()
            })
            .collect(),
    };
    let output: Vec<Step> = resolved.output.iter().map(|dim| step(*dim)).collect();
    let summed: Vec<Step> =
        (0..resolved.dims).filter(|dim| !resolved.output.contains(dim)).map(step).collect();
    let terms = summed.iter().try_fold(1usize, |terms, step| terms.checked_mul(step.extent));
    let terms = terms.ok_or_else(|| form(format!("Einsum of {shapes:?}")))?;
    by_number!(op.name(), *element, T => build::<T>(output, summed, shape.count(), terms, shapes.len()))
}

/// A dimension: how far each operand goes along it.
struct Step {
    extent: usize,
    strides: Vec<usize>,
}

fn build<T: Number>(
    output: Vec<Step>,
    summed: Vec<Step>,
    count: usize,
    terms: usize,
    operands: usize,
) -> Built {
    let each = (terms as u64).saturating_mul(2000 * operands as u64 + 1000);
    let phase = spread(count, each.saturating_add(10_000));
    // Where each operand stands, and the place along each of the dimensions that are summed over.
    let scratch = (operands + summed.len()) * size_of::<u64>();
    simple_with_scratch(phase, scratch, move |io| {
        let start = io.tiles().start * phase.unit;
        let (at, places) = io.scratch::<u64>().split_at_mut(operands);
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            at.fill(0);
            let mut rest = start + index;
            for Step { extent, strides } in output.iter().rev() {
                let place = rest % extent;
                rest /= extent;
                at.iter_mut().zip(strides).for_each(|(at, stride)| *at += (place * stride) as u64);
            }
            places.fill(0);
            let mut sum = T::default();
            for _ in 0..terms {
                let product = at
                    .iter()
                    .enumerate()
                    .fold(T::ONE, |product, (input, at)| product.mul(io.input::<T>(input)[*at as usize]));
                sum = sum.add(product);
                // An odometer, the last dimension first.
                for (place, Step { extent, strides }) in places.iter_mut().zip(&summed).rev() {
                    *place += 1;
                    at.iter_mut().zip(strides).for_each(|(at, stride)| *at += *stride as u64);
                    if *place < *extent as u64 {
                        break;
                    }
                    *place = 0;
                    at.iter_mut().zip(strides).for_each(|(at, stride)| *at -= (*extent * *stride) as u64);
                }
            }
            *to = sum;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use inferry_core::Shape;
    use inferry_engine::op::Letter;

    fn op(terms: &[&str], output: &str) -> Einsum {
        let letters = |term: &&str| -> Vec<Letter> {
            term.bytes()
                .map(|letter| if letter == b'.' { Letter::Rest } else { Letter::Named(letter) })
                .collect()
        };
        Einsum { terms: terms.iter().map(letters).collect(), output: letters(&output) }
    }

    #[test]
    fn diagonals_sums_and_products() {
        let x = tensor(&[1i64, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
        assert_eq!(run_one::<i64>(&op(&[".ii"], ".i"), &[&x], [2, 2]), [1, 4, 5, 8]);
        assert_eq!(run_one::<i64>(&op(&["iii"], ""), &[&x], Shape::scalar()), [9]);
        assert_eq!(run_one::<i64>(&op(&["ijk"], "kj"), &[&x], [2, 2]), [6, 10, 8, 12]);
        let (a, b) = (tensor(&[1u8, 2, 3], [3, 1]), tensor(&[1u8, 10, 100, 3], [2, 2]));
        // What has one element goes along with what has more, also where it is summed over.
        assert_eq!(run_one::<u8>(&op(&["ij", "jk"], "ik"), &[&a, &b], [3, 2]), [101, 13, 202, 26, 47, 39]);
    }

    #[test]
    fn three_operands_and_none_left() {
        let (a, b, c) = (tensor(&[1.0f64, 2.0], [2]), tensor(&[3.0f64, 4.0], [2]), tensor(&[5.0f64], [1]));
        assert_eq!(run_one::<f64>(&op(&["i", "i", "j"], ""), &[&a, &b, &c], Shape::scalar()), [55.0]);
        let none = tensor::<f32>(&[], [0, 2]);
        assert_eq!(run_one::<f32>(&op(&["ij"], "j"), &[&none], [2]), [0.0, 0.0]);
        assert_eq!(run_one::<f32>(&op(&["ij"], "i"), &[&none], [0]), []);
    }
}
