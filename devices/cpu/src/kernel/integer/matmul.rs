//! MatMulInteger and QLinearMatMul: products of matrices of bytes.
//!
//! A tile is a few rows by a few hundred columns of one product. Its sums lie in scratch, and each row of the right factor
//! is added to all of them, times a number of the left factor; plain loops that the compiler turns into vectors. The zero
//! points of the right factor are taken off at the end: they go with the columns, so they need only the sum of a row.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{MatMulInteger, QLinearMatMul};

use super::{Bytes, Parameter, Requantise};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::matmul::Problem;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds MatMulInteger.
pub(crate) fn matmul_integer(_: &MatMulInteger, node: &Builder<'_>) -> Built {
    Ok(Box::new(Product::new("MatMulInteger", node, [0, 1], [2, 3], None)?))
}

/// Builds QLinearMatMul.
pub(crate) fn qlinear_matmul(_: &QLinearMatMul, node: &Builder<'_>) -> Built {
    Ok(Box::new(Product::new("QLinearMatMul", node, [0, 3], [2, 5], Some([1, 4]))?))
}

/// Rows of a tile: as many sums are computed from each number of the right factor.
const ROWS: usize = 4;

struct Product {
    phases: Vec<Phase>,
    problem: Problem,
    /// Where the two factors are among the inputs.
    inputs: [usize; 2],
    bytes: [Bytes; 2],
    /// Of the rows of the left factor and of the columns of the right one.
    zeros: [Parameter; 2],
    /// `None` for sums as they are.
    requantise: Option<Requantise>,
    /// Columns of a tile.
    width: usize,
    isa: Isa,
}

impl Product {
    fn new(
        op: &'static str,
        node: &Builder<'_>,
        inputs: [usize; 2],
        zeros: [usize; 2],
        scales: Option<[usize; 2]>,
    ) -> Result<Product, BuildError> {
        let (a, b) = (node.input(inputs[0])?, node.input(inputs[1])?);
        let problem = Problem::matmul(&a.shape, &b.shape)?;
        problem.check_output(&node.output(0).1)?;
        // A vector on the left is one row, a vector on the right one column.
        let rows = if a.shape.rank() > 1 { a.shape[a.shape.rank() - 2] } else { 1 };
        let all_rows = a.shape.count() / problem.depth.max(1);
        let all_columns = b.shape.count() / problem.depth.max(1);
        let counts: [&[usize]; 2] = [&[rows, all_rows], &[problem.columns, all_columns]];
        let requantise = match scales {
            Some(scales) => Some(Requantise::new(op, node, scales, counts)?),
            None if node.output(0).0 == ElementType::I32 => None,
            None => return Err(BuildError::Element { op, element: node.output(0).0 }),
        };
        let width = (1_000_000 / problem.depth.max(1)).clamp(32, 256).min(problem.columns.max(1));
        let tiles = problem.batch.len() * problem.rows.div_ceil(ROWS) * problem.columns.div_ceil(width);
        let work = problem.depth.max(1) * ROWS.min(problem.rows.max(1)) * width;
        Ok(Product {
            phases: if problem.count() == 0 {
                alloc::vec![]
            } else {
                alloc::vec![Phase::tiles(tiles, work as u64 / 8)]
            },
            inputs,
            bytes: [Bytes::of(op, a.element)?, Bytes::of(op, b.element)?],
            zeros: [
                Parameter::zero(op, node, [inputs[0], zeros[0]], counts[0])?,
                Parameter::zero(op, node, [inputs[1], zeros[1]], counts[1])?,
            ],
            requantise,
            width,
            isa: node.isa,
            problem,
        })
    }

    /// One tile; `sums` has [`ROWS`] times [`Product::width`] elements.
    #[inline(always)]
    fn tile(&self, io: &Io<'_>, tile: usize, sums: &mut [i32]) {
        let Problem { rows, depth, columns, .. } = self.problem;
        let (blocks, bands) = (columns.div_ceil(self.width), rows.div_ceil(ROWS));
        let (product, row, column) =
            (tile / blocks / bands, tile / blocks % bands * ROWS, tile % blocks * self.width);
        let (height, width) = (ROWS.min(rows - row), self.width.min(columns - column));
        let [a_at, b_at] = self.problem.batch[product];
        let (a, b) = (io.input::<u8>(self.inputs[0]), io.input::<u8>(self.inputs[1]));
        let first_row = a_at / depth.max(1) + row;
        let first_column = b_at / depth.max(1) + column;
        let mut zeros = [0; ROWS];
        for (line, zero) in zeros[..height].iter_mut().enumerate() {
            *zero = self.zeros[0].raised(io, self.bytes[0], first_row + line);
        }
        let mut totals = [0i32; ROWS];
        sums.fill(0);
        for k in 0..depth {
            let right = &b[b_at + k * columns + column..][..width];
            for (line, sums) in sums.chunks_exact_mut(self.width).take(height).enumerate() {
                let left = self.bytes[0].raised(a[a_at + (row + line) * depth + k]) - zeros[line];
                totals[line] = totals[line].wrapping_add(left);
                for (sum, right) in sums[..width].iter_mut().zip(right) {
                    *sum = sum.wrapping_add(left.wrapping_mul(self.bytes[1].raised(*right)));
                }
            }
        }
        for (line, sums) in sums.chunks_exact_mut(self.width).take(height).enumerate() {
            let sums = &mut sums[..width];
            for (index, sum) in sums.iter_mut().enumerate() {
                let zero = self.zeros[1].raised(io, self.bytes[1], first_column + index);
                *sum = sum.wrapping_sub(zero.wrapping_mul(totals[line]));
            }
            let start = (product * rows + row + line) * columns + column;
            match self.requantise {
                // SAFETY: these rows and columns are this tile's alone.
                None => unsafe { io.shared::<i32>(0).range(start..start + width) }.copy_from_slice(sums),
                Some(requantise) => {
                    // SAFETY: as above.
                    let to = unsafe { io.shared::<u8>(0).range(start..start + width) };
                    for (index, (to, sum)) in to.iter_mut().zip(sums).enumerate() {
                        *to = requantise.byte(io, *sum, first_row + line, first_column + index);
                    }
                }
            }
        }
    }
}

impl Kernel for Product {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        ROWS * self.width * size_of::<i32>()
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Product, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Tiles(product, io) = self;
                let sums = &mut io.scratch::<i32>()[..ROWS * product.width];
                for tile in io.tiles() {
                    product.tile(io, tile, sums);
                }
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, numbers, quantised, values};
    use super::*;
    use crate::kernel::testing::{run_with_constants, tensor};
    use inferry_core::{Shape, Tensor};

    const TYPES: [ElementType; 2] = [ElementType::U8, ElementType::I8];

    /// Shapes of the factors, of their zero points and of the product.
    type Case = [&'static [usize]; 5];

    const CASES: &[Case] = &[
        [&[1, 1], &[1, 1], &[], &[], &[1, 1]],
        [&[5, 7], &[7, 3], &[], &[1], &[5, 3]],
        [&[5, 7], &[7, 3], &[5], &[3], &[5, 3]],
        [&[9, 40], &[40, 300], &[], &[300], &[9, 300]],
        [&[3, 5, 7], &[7, 6], &[5], &[6], &[3, 5, 6]],
        [&[2, 3, 5, 7], &[2, 1, 7, 6], &[2, 3, 5, 1], &[2, 1, 1, 6], &[2, 3, 5, 6]],
        [&[7], &[7, 4], &[], &[4], &[4]],
        [&[4, 7], &[7], &[4], &[], &[4]],
        [&[2, 0], &[0, 3], &[], &[], &[2, 3]],
    ];

    /// By the definition: for each element of the product its sum and the indices of its scales.
    fn expected(case: &Case, a: &[i64], b: &[i64], zeros: [&[i64]; 2]) -> Vec<(i64, usize, usize)> {
        let problem = Problem::matmul(&Shape::new(case[0]).unwrap(), &Shape::new(case[1]).unwrap()).unwrap();
        let Problem { rows, depth, columns, ref batch, .. } = problem;
        let mut all = Vec::new();
        for [a_at, b_at] in batch {
            for row in 0..rows {
                for column in 0..columns {
                    let (left, right) = (a_at / depth.max(1) + row, b_at / depth.max(1) + column);
                    let (za, zb) = (zeros[0][left % zeros[0].len()], zeros[1][right % zeros[1].len()]);
                    let sum = (0..depth)
                        .map(|k| (a[a_at + row * depth + k] - za) * (b[b_at + k * columns + column] - zb))
                        .sum();
                    all.push((sum, left, right));
                }
            }
        }
        all
    }

    fn count(shape: &[usize]) -> usize {
        shape.iter().product()
    }

    fn check(
        op: &dyn inferry_engine::op::Op,
        inputs: Vec<Option<Tensor>>,
        output: (ElementType, Shape),
        wanted: &[i64],
    ) {
        for isa in Isa::detect_for_tests() {
            let results = run_with_constants(op, &inputs, &[], core::slice::from_ref(&output), isa);
            assert_eq!(values(&results[0]), wanted, "{} {output:?}", op.name());
        }
    }

    #[test]
    fn sums_are_exact_for_every_type_and_zero_point() {
        for case in CASES {
            for (ta, tb) in TYPES.iter().flat_map(|a| TYPES.iter().map(move |b| (*a, *b))) {
                let (a, b) = (numbers(ta, count(case[0]), 1), numbers(tb, count(case[1]), 2));
                let (za, zb) = (numbers(ta, count(case[2]), 3), numbers(tb, count(case[3]), 4));
                let wanted = |zeros| expected(case, &a, &b, zeros).iter().map(|of| of.0).collect::<Vec<_>>();
                let output = (ElementType::I32, Shape::new(case[4]).unwrap());
                let factors = [bytes(ta, &a, case[0]), bytes(tb, &b, case[1])];
                let zeros = [bytes(ta, &za, case[2]), bytes(tb, &zb, case[3])];
                let inputs = factors.iter().chain(&zeros).cloned().map(Some).collect();
                check(&MatMulInteger, inputs, output.clone(), &wanted([&za, &zb]));
                let plain = factors.into_iter().map(Some).collect();
                check(&MatMulInteger, plain, output, &wanted([&[0], &[0]]));
            }
        }
    }

    #[test]
    fn quantized_products_round_halves_to_even_and_hold() {
        for case in CASES {
            for index in 0..8 {
                let [ta, tb, ty] = [0, 1, 2].map(|bit| TYPES[index >> bit & 1]);
                let (a, b) = (numbers(ta, count(case[0]), 5), numbers(tb, count(case[1]), 6));
                let (za, zb) = (numbers(ta, count(case[2]), 7), numbers(tb, count(case[3]), 8));
                let scales = |shape| (0..count(shape)).map(|n| 0.5 + n as f32 / 8.0).collect::<Vec<_>>();
                let (sa, sb, sy) = (scales(case[2]), scales(case[3]), 256.0f32);
                let zy = numbers(ty, 1, 9);
                let wanted: Vec<i64> = expected(case, &a, &b, [&za, &zb])
                    .into_iter()
                    .map(|(sum, left, right)| {
                        quantised(ty, sum, sa[left % sa.len()] * sb[right % sb.len()] / sy, zy[0])
                    })
                    .collect();
                let shape = |shape| Shape::new(shape).unwrap();
                let inputs = [
                    bytes(ta, &a, case[0]),
                    tensor(&sa, shape(case[2])),
                    bytes(ta, &za, case[2]),
                    bytes(tb, &b, case[1]),
                    tensor(&sb, shape(case[3])),
                    bytes(tb, &zb, case[3]),
                    tensor(&[sy], shape(&[])),
                    bytes(ty, &zy, &[]),
                ];
                check(&QLinearMatMul, inputs.into_iter().map(Some).collect(), (ty, shape(case[4])), &wanted);
            }
        }
    }

    #[test]
    fn sums_wrap_beyond_32_bits_and_are_exact_below() {
        for (depth, wanted) in [(33_025, 33_025 * 65_025), (40_000, 40_000i64 * 65_025)] {
            let (a, b) = (alloc::vec![255i64; depth], alloc::vec![255i64; depth]);
            let inputs = [bytes(ElementType::U8, &a, &[1, depth]), bytes(ElementType::U8, &b, &[depth, 1])];
            let output = (ElementType::I32, Shape::from([1, 1]));
            check(
                &MatMulInteger,
                inputs.into_iter().map(Some).collect(),
                output,
                &[i64::from(wanted as i32)],
            );
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let a = [11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0];
        let b = [1, 4, 2, 5, 3, 6];
        let inputs = [
            bytes(ElementType::U8, &a, &[4, 3]),
            bytes(ElementType::U8, &b, &[3, 2]),
            bytes(ElementType::U8, &[12], &[1]),
            bytes(ElementType::U8, &[0], &[1]),
        ];
        let output = (ElementType::I32, Shape::from([4, 2]));
        let wanted = [-38, -83, -44, -98, -50, -113, -56, -128];
        check(&MatMulInteger, inputs.into_iter().map(Some).collect(), output, &wanted);
    }
}
