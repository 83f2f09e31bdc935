//! MatMulNBits: a product with weights of a few bits, which stay packed in memory.
//!
//! A byte holds several weights. Taken apart, the first of all bytes of a block go first, then the second ones, and so on,
//! which is a loop without shuffles; the rows of the first factor are brought into the same order beforehand, and filled up
//! with zeros to whole blocks. A tile takes a few columns of the output: it takes their weights apart, once, and multiplies
//! every row with them, four columns at a time so that each number of the row is loaded once for all four. With one row, as
//! when a language model writes, the time is that of reading and taking apart the weights.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{MatMulNBits, Op};

use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::simple::spread_items;
use crate::kernel::{Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`MatMulNBits`].
pub(crate) fn matmul_nbits(op: &MatMulNBits, node: &Builder<'_>) -> Built {
    let (a, weights, scales) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let op = *op;
    let (columns, depth) = (op.columns, op.depth);
    let rows = a.shape.count() / depth;
    let zeros = node.optional(3).map(|zeros| (zeros.element, zeros.shape.count()));
    let zeros_fit = match zeros {
        None => true,
        Some((ElementType::U8, count)) => count == columns * op.zero_bytes(),
        Some((ElementType::F32, count)) => count == columns * op.blocks(),
        Some(_) => false,
    };
    let fits = a.element == ElementType::F32
        && scales.element == ElementType::F32
        && weights.shape.count() == columns * op.blocks() * op.bytes()
        && scales.shape.count() == columns * op.blocks()
        && rows * columns == node.output(0).1.count();
    if !zeros_fit || !fits {
        return Err(form(format!("{} of {} by {}", op.name(), a.shape, weights.shape)));
    }
    let groups = columns.div_ceil(GROUP);
    let (order, rows_of_tile) = spread_items(rows, 500 * op.line() as u64);
    let (multiply, groups_of_tile) =
        spread_items(groups, (GROUP * op.line()) as u64 * (200 + 60 * rows as u64));
    Ok(Box::new(Product {
        op,
        rows,
        phases: [order, multiply],
        shares: [rows_of_tile, groups_of_tile],
        zeros: zeros.map(|(element, _)| element),
        isa: node.isa,
    }))
}

/// Columns that are computed together.
const GROUP: usize = 4;

struct Product {
    op: MatMulNBits,
    rows: usize,
    /// Bringing the rows into order, and multiplying.
    phases: [Phase; 2],
    /// Rows of a tile of the first phase, groups of columns of one of the second.
    shares: [usize; 2],
    /// The type of the zero points, where there are any.
    zeros: Option<ElementType>,
    isa: Isa,
}

impl Kernel for Product {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.rows * self.op.line() * size_of::<f32>()
    }

    fn scratch(&self) -> usize {
        GROUP * self.op.line() * size_of::<f32>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase == 0 { self.order(io) } else { self.multiply(io) }
    }
}

impl Product {
    /// Rows of the first factor in the order of weights taken apart, filled up with zeros.
    fn order(&self, io: &mut Io<'_>) {
        let (line, tiles) = (self.op.line(), io.tiles());
        let from = io.input::<f32>(0);
        let to = io.shared_workspace::<f32>();
        for row in tiles.start * self.shares[0]..(tiles.end * self.shares[0]).min(self.rows) {
            // SAFETY: each row belongs to one tile, and they are taken one after the other.
            let to = unsafe { to.range(row * line..(row + 1) * line) };
            to.fill(0.0);
            let (bytes, of_byte) = (self.op.bytes(), 8 / self.op.bits);
            for (from, to) in from[row * self.op.depth..][..self.op.depth]
                .chunks(self.op.block)
                .zip(to.chunks_exact_mut(self.op.block))
            {
                for (index, number) in from.iter().enumerate() {
                    to[index % of_byte * bytes + index / of_byte] = *number;
                }
            }
        }
    }

    fn multiply(&self, io: &mut Io<'_>) {
        let (columns, line, tiles) = (self.op.columns, self.op.line(), io.tiles());
        let scratch = io.scratch::<f32>();
        // SAFETY: the phase before wrote the rows, this one only reads them.
        let a = unsafe { io.read_workspace::<f32>() };
        let to = io.shared::<f32>(0);
        let groups = columns.div_ceil(GROUP);
        for group in tiles.start * self.shares[1]..(tiles.end * self.shares[1]).min(groups) {
            let first = group * GROUP;
            let width = GROUP.min(columns - first);
            scratch[width * line..GROUP * line].fill(0.0);
            for (column, to) in scratch.chunks_exact_mut(line).take(width).enumerate() {
                dispatch(self.isa, self.column(io, first + column, to));
            }
            for row in 0..self.rows {
                let sums = dispatch(self.isa, Dots { a: &a[row * line..(row + 1) * line], columns: scratch });
                // SAFETY: the columns of a group belong to one tile, and rows are taken one after the other.
                let to = unsafe { to.range(row * columns + first..row * columns + first + width) };
                to.copy_from_slice(&sums[..width]);
            }
        }
    }

    fn column<'a>(&self, io: &Io<'a>, column: usize, to: &'a mut [f32]) -> Apart<'a> {
        let (op, blocks) = (self.op, self.op.blocks());
        let zeros = match self.zeros {
            None => Zeros::Middle,
            Some(ElementType::U8) => {
                Zeros::Packed(&io.input::<u8>(3)[column * op.zero_bytes()..][..op.zero_bytes()])
            }
            Some(_) => Zeros::Real(&io.input::<f32>(3)[column * blocks..][..blocks]),
        };
        let weights = &io.input::<u8>(1)[column * blocks * op.bytes()..][..blocks * op.bytes()];
        Apart { op, weights, scales: &io.input::<f32>(2)[column * blocks..][..blocks], zeros, to }
    }
}

/// The zero points of one column.
enum Zeros<'a> {
    Middle,
    Packed(&'a [u8]),
    Real(&'a [f32]),
}

/// The weights of one column, taken apart.
struct Apart<'a> {
    op: MatMulNBits,
    weights: &'a [u8],
    scales: &'a [f32],
    zeros: Zeros<'a>,
    to: &'a mut [f32],
}

impl Vectorized for Apart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (bits, bytes) = (self.op.bits, self.op.bytes());
        let blocks = self.weights.chunks_exact(bytes).zip(self.to.chunks_exact_mut(self.op.block));
        for (block, (weights, to)) in blocks.enumerate() {
            let zero = match self.zeros {
                Zeros::Middle => (1u32 << (bits - 1)) as f32,
                Zeros::Packed(zeros) => {
                    f32::from(zeros[block * bits / 8] >> (block * bits % 8) & (0xff >> (8 - bits)))
                }
                Zeros::Real(zeros) => zeros[block],
            };
            let scale = self.scales[block];
            for (which, to) in to.chunks_exact_mut(bytes).enumerate() {
                let (shift, mask) = ((which * bits) as u32, 0xff >> (8 - bits));
                for (to, byte) in to.iter_mut().zip(weights) {
                    *to = (f32::from(byte >> shift & mask) - zero) * scale;
                }
            }
        }
    }
}

/// A row times four columns, all of the same length, a multiple of 16.
struct Dots<'a> {
    a: &'a [f32],
    columns: &'a [f32],
}

impl Vectorized for Dots<'_> {
    type Output = [f32; GROUP];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; GROUP] {
        let line = self.a.len();
        let column = |index: usize| self.columns[index * line..][..line].chunks_exact(S::LANES);
        let columns = column(0).zip(column(1)).zip(column(2).zip(column(3)));
        let (mut w, mut x, mut y, mut z) = (s.zero(), s.zero(), s.zero(), s.zero());
        for (a, ((b, c), (d, e))) in self.a.chunks_exact(S::LANES).zip(columns) {
            let a = s.load(a);
            w = s.fma(a, s.load(b), w);
            x = s.fma(a, s.load(c), x);
            y = s.fma(a, s.load(d), y);
            z = s.fma(a, s.load(e), z);
        }
        [s.sum(w), s.sum(x), s.sum(y), s.sum(z)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, noise, run, tensor};
    use alloc::vec::Vec;

    /// Weights as integers, their packed bytes, and the same for zero points.
    fn packed(op: &MatMulNBits) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
        let numbers = |count: usize, seed: u64| -> Vec<u8> {
            let top = (1u32 << op.bits) as f32;
            noise(count, seed).iter().map(|x| ((x + 1.0) / 2.0 * top) as u8).collect()
        };
        let pack = |line: &[u8]| -> Vec<u8> {
            let byte = |numbers: &[u8]| {
                numbers.iter().enumerate().fold(0, |byte, (index, number)| byte | number << (index * op.bits))
            };
            line.chunks(8 / op.bits).map(byte).collect()
        };
        let weights = numbers(op.columns * op.blocks() * op.block, 3);
        let zeros = numbers(op.columns * op.blocks(), 4);
        let bytes = weights.chunks(op.block).flat_map(pack).collect();
        let zero_bytes = zeros.chunks(op.blocks()).flat_map(pack).collect();
        (weights, bytes, zeros, zero_bytes)
    }

    #[test]
    fn packed_weights_multiply_like_the_numbers_they_stand_for() {
        for (bits, depth, columns, block, rows) in
            [(4, 40, 7, 32, 3), (4, 96, 8, 16, 1), (2, 33, 5, 16, 2), (8, 64, 4, 64, 2), (4, 1, 1, 16, 1)]
        {
            let op = MatMulNBits { depth, columns, bits, block };
            let (weights, bytes, zeros, zero_bytes) = packed(&op);
            let (a, scales) = (noise(rows * depth, 1), noise(columns * op.blocks(), 2));
            let reals: Vec<f32> = zeros.iter().map(|zero| f32::from(*zero)).collect();
            let middle = (1 << (bits - 1)) as f32;
            for kind in 0..3 {
                let mut wanted = Vec::new();
                for row in 0..rows {
                    for column in 0..columns {
                        let term = |k: usize| {
                            let group = column * op.blocks() + k / block;
                            let zero = if kind == 0 { middle } else { reals[group] };
                            let weight = f32::from(weights[group * block + k % block]);
                            f64::from(a[row * depth + k]) * f64::from((weight - zero) * scales[group])
                        };
                        wanted.push((0..depth).map(term).sum::<f64>() as f32);
                    }
                }
                let zeros = match kind {
                    0 => None,
                    1 => Some(tensor(&zero_bytes, [zero_bytes.len()])),
                    _ => Some(tensor(&reals, [reals.len()])),
                };
                let inputs = [
                    Some(tensor(&a, [rows, depth])),
                    Some(tensor(&bytes, [columns, op.blocks(), op.bytes()])),
                    Some(tensor(&scales, [scales.len()])),
                    zeros,
                ];
                for isa in Isa::detect_for_tests() {
                    let found = run(&op, &inputs, &[(ElementType::F32, [rows, columns].into())], isa);
                    assert_close(&found[0].to_vec::<f32>().unwrap(), &wanted, 1e-3, 1e-4);
                }
            }
        }
    }
}
