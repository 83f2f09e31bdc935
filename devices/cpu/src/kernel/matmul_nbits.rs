//! MatMulNBits: a product with weights of a few bits, which stay packed in memory.
//!
//! A tile takes a few columns of the output: it dequantises their weights to scratch, once, and multiplies every row of the
//! first factor with them, four columns at a time so that each number of the row is loaded once for all four. With one
//! row, as when a language model writes, the time is that of reading and unpacking the weights.
#![allow(unsafe_code)]

use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{MatMulNBits, Op};

use crate::io::Io;
use crate::kernel::arguments::form;
use crate::kernel::simple::{simple_with_scratch, spread_items};
use crate::kernel::{Builder, Built};
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
    let packed_zeros = matches!(zeros, Some((ElementType::U8, _)));
    let groups = columns.div_ceil(GROUP);
    let (phase, share) = spread_items(groups, (GROUP * depth) as u64 * (400 + 60 * rows as u64));
    let isa = node.isa;
    simple_with_scratch(phase, GROUP * op.blocks() * op.block * size_of::<f32>(), move |io| {
        let tiles = io.tiles();
        let (a, scratch) = (io.input::<f32>(0), io.scratch::<f32>());
        let to = io.shared::<f32>(0);
        let line = op.blocks() * op.block;
        for group in tiles.start * share..(tiles.end * share).min(groups) {
            let first = group * GROUP;
            let width = GROUP.min(columns - first);
            for (column, to) in scratch.chunks_exact_mut(line).take(width).enumerate() {
                dequantise(&op, io, first + column, packed_zeros, to);
            }
            for row in 0..rows {
                // SAFETY: the columns of a group belong to one tile, and rows are taken one after the other.
                let to = unsafe { to.range(row * columns + first..row * columns + first + width) };
                let a = &a[row * depth..(row + 1) * depth];
                dispatch(isa, Dots { a, columns: scratch, line, to });
            }
        }
    })
}

/// Columns that are computed together.
const GROUP: usize = 4;

/// The weights of one column as numbers; a last block is filled up.
fn dequantise(op: &MatMulNBits, io: &Io<'_>, column: usize, packed_zeros: bool, to: &mut [f32]) {
    let (blocks, bytes) = (op.blocks(), op.bytes());
    let weights = &io.input::<u8>(1)[column * blocks * bytes..][..blocks * bytes];
    let scales = &io.input::<f32>(2)[column * blocks..][..blocks];
    for (block, (weights, to)) in weights.chunks_exact(bytes).zip(to.chunks_exact_mut(op.block)).enumerate() {
        let zero = if packed_zeros {
            let byte = column * op.zero_bytes() + block * op.bits / 8;
            f32::from(unpacked(io.input::<u8>(3)[byte], op.bits, block * op.bits % 8))
        } else if io.has_input(3) {
            io.input::<f32>(3)[column * blocks + block]
        } else {
            (1u32 << (op.bits - 1)) as f32
        };
        let scale = scales[block];
        match op.bits {
            2 => spread_byte::<4>(weights, zero, scale, to),
            4 => spread_byte::<2>(weights, zero, scale, to),
            _ => spread_byte::<1>(weights, zero, scale, to),
        }
    }
}

/// `N` weights of each byte.
#[inline(always)]
fn spread_byte<const N: usize>(bytes: &[u8], zero: f32, scale: f32, to: &mut [f32]) {
    for (byte, to) in bytes.iter().zip(to.as_chunks_mut::<N>().0) {
        for (index, to) in to.iter_mut().enumerate() {
            *to = (f32::from(unpacked(*byte, 8 / N, index * (8 / N))) - zero) * scale;
        }
    }
}

#[inline(always)]
fn unpacked(byte: u8, bits: usize, shift: usize) -> u8 {
    byte >> shift & (0xff >> (8 - bits))
}

/// A row times some columns.
struct Dots<'a> {
    a: &'a [f32],
    columns: &'a [f32],
    /// From one column to the next.
    line: usize,
    to: &'a mut [f32],
}

impl Vectorized for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let column = |index: usize| &self.columns[index * self.line..][..self.a.len()];
        if let [p, q, r, t] = self.to {
            let (b, c, d, e) = (column(0), column(1), column(2), column(3));
            let (mut w, mut x, mut y, mut z) = (s.zero(), s.zero(), s.zero(), s.zero());
            let whole = self.a.len() / S::LANES * S::LANES;
            for at in (0..whole).step_by(S::LANES) {
                let a = s.load(&self.a[at..]);
                w = s.fma(a, s.load(&b[at..]), w);
                x = s.fma(a, s.load(&c[at..]), x);
                y = s.fma(a, s.load(&d[at..]), y);
                z = s.fma(a, s.load(&e[at..]), z);
            }
            let rest = |column: &[f32]| dot(&self.a[whole..], &column[whole..]);
            (*p, *q) = (s.sum(w) + rest(b), s.sum(x) + rest(c));
            (*r, *t) = (s.sum(y) + rest(d), s.sum(z) + rest(e));
            return;
        }
        for (index, to) in self.to.iter_mut().enumerate() {
            *to = dot(self.a, column(index));
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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
