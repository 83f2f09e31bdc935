//! Two dimensions exchanged: `to[row][column] = from[column][row]`, in square blocks.
//!
//! Elements of four bytes are transposed in registers. As many vectors as a vector has lanes are interleaved, the first half
//! with the second, as one shuffles cards; each such shuffle turns the bits of an element's place (row bits, then column
//! bits) round by one, so as many shuffles as a row number has bits exchange the two. Other elements go through small
//! arrays.

use core::ops::Range;

use crate::io::Plain;
use crate::isa::Isa;
use crate::simd::{Simd, Vectorized, dispatch};

/// The two planes, in elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// Between neighbouring columns of the output.
    pub(super) from_stride: usize,
    /// Between neighbouring rows of the output.
    pub(super) to_stride: usize,
    /// Of the output.
    pub(super) rows: usize,
    /// Of the output.
    pub(super) columns: usize,
}

/// Writes the rows of the output to `to`. What lies between two rows stays as it is.
pub(super) fn transpose<T: Plain>(isa: Isa, planes: Planes, from: &[T], to: &mut [T]) {
    if size_of::<T>() == size_of::<f32>() {
        let (from, to) = (bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to));
        dispatch(isa, Registers { planes, from, to });
    } else {
        planes.blocks(SIDE, |row, column| {
            let from = &from[planes.source(row, column)..];
            through_array(from, planes.from_stride, &mut to[planes.target(row, column)..], planes.to_stride);
        });
        planes.rest(SIDE, from, to);
    }
}

/// Rows and columns of the output that are worked on together: both planes' parts fit into the first cache.
const PART: usize = 64;

impl Planes {
    fn source(self, row: usize, column: usize) -> usize {
        column * self.from_stride + row
    }

    fn target(self, row: usize, column: usize) -> usize {
        row * self.to_stride + column
    }

    /// Calls `each` with the first row and column of every whole block.
    #[inline(always)]
    fn blocks(self, side: usize, mut each: impl FnMut(usize, usize)) {
        let (rows, columns) = (self.rows / side * side, self.columns / side * side);
        for first_row in (0..rows).step_by(PART) {
            for first_column in (0..columns).step_by(PART) {
                for row in (first_row..rows.min(first_row + PART)).step_by(side) {
                    for column in (first_column..columns.min(first_column + PART)).step_by(side) {
                        each(row, column);
                    }
                }
            }
        }
    }

    /// What is left of whole blocks, at the right and below, one by one.
    fn rest<T: Copy>(self, side: usize, from: &[T], to: &mut [T]) {
        let (rows, columns) = (self.rows / side * side, self.columns / side * side);
        let mut copy = |rows: Range<usize>, columns: Range<usize>| {
            for row in rows {
                for column in columns.clone() {
                    to[self.target(row, column)] = from[self.source(row, column)];
                }
            }
        };
        copy(0..rows, columns..self.columns);
        copy(rows..self.rows, 0..self.columns);
    }
}

struct Registers<'a> {
    planes: Planes,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorized for Registers<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Registers { planes, from, to } = self;
        planes.blocks(S::LANES, |row, column| {
            let from = &from[planes.source(row, column)..];
            in_registers(
                s,
                from,
                planes.from_stride,
                &mut to[planes.target(row, column)..],
                planes.to_stride,
            );
        });
        planes.rest(S::LANES, from, to);
    }
}

/// The most lanes of any instruction set.
const MOST: usize = 16;

/// One block with as many rows and columns as a vector has lanes.
#[inline(always)]
fn in_registers<S: Simd>(s: S, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    const { assert!(S::LANES <= MOST, "more lanes than registers are taken for") };
    let half = S::LANES / 2;
    let mut vectors = [s.zero(); MOST];
    for (index, vector) in vectors[..S::LANES].iter_mut().enumerate() {
        *vector = s.load(&from[index * from_stride..]);
    }
    for _ in 0..S::LANES.trailing_zeros() {
        let mut shuffled = vectors;
        for index in 0..half {
            let (low, high) = s.interleave(vectors[index], vectors[index + half]);
            shuffled[2 * index] = low;
            shuffled[2 * index + 1] = high;
        }
        vectors = shuffled;
    }
    for (index, vector) in vectors[..S::LANES].iter().enumerate() {
        s.store(*vector, &mut to[index * to_stride..]);
    }
}

/// Elements on the side of a block that goes through an array.
const SIDE: usize = 8;

#[inline]
fn through_array<T: Plain>(from: &[T], from_stride: usize, to: &mut [T], to_stride: usize) {
    let block: [[T; SIDE]; SIDE] = core::array::from_fn(|column| {
        from[column * from_stride..][..SIDE].try_into().expect("a slice of that length")
    });
    for row in 0..SIDE {
        let line: [T; SIDE] = core::array::from_fn(|column| block[column][row]);
        to[row * to_stride..][..SIDE].copy_from_slice(&line);
    }
}
