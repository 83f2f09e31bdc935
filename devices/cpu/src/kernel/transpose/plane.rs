//! Two dimensions exchanged: `to[row][column] = from[column][row]`, in square blocks.
//!
//! Elements of four bytes are transposed in registers, also the smaller blocks at the edges. As many vectors as a vector has lanes are interleaved, the first half
//! with the second, as one shuffles cards; each such shuffle turns the bits of an element's place (row bits, then column
//! bits) round by one, so as many shuffles as a row number has bits exchange the two. Other elements go through small
//! arrays.

use core::ops::Range;

use crate::io::Plain;
use crate::isa::Isa;
use crate::simd::{Simd, Vectorized, dispatch};

/// The two planes, in elements.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel) struct Planes {
    /// Between neighbouring columns of the output.
    pub(in crate::kernel) from_stride: usize,
    /// Between neighbouring rows of the output.
    pub(in crate::kernel) to_stride: usize,
    /// Of the output.
    pub(in crate::kernel) rows: usize,
    /// Of the output.
    pub(in crate::kernel) columns: usize,
}

/// Writes the rows of the output to `to`. What lies between two rows stays as it is.
pub(in crate::kernel) fn transpose<T: Plain>(isa: Isa, planes: Planes, from: &[T], to: &mut [T]) {
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
        let side = S::LANES;
        for first_row in (0..planes.rows).step_by(PART) {
            for first_column in (0..planes.columns).step_by(PART) {
                for row in (first_row..planes.rows.min(first_row + PART)).step_by(side) {
                    for column in (first_column..planes.columns.min(first_column + PART)).step_by(side) {
                        let (rows, columns) = (planes.rows - row, planes.columns - column);
                        let from = &from[planes.source(row, column)..];
                        let to = &mut to[planes.target(row, column)..];
                        s.call(Block { planes, rows: rows.min(side), columns: columns.min(side), from, to });
                    }
                }
            }
        }
    }
}

/// The most lanes of any instruction set.
pub(crate) const MOST: usize = 16;

/// One block of at most as many rows and columns as a vector has lanes.
struct Block<'a> {
    planes: Planes,
    rows: usize,
    columns: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Vectorized for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Block { planes: Planes { from_stride, to_stride, .. }, rows, columns, from, to } = self;
        let whole = rows == S::LANES;
        let mut vectors = [s.zero(); MOST];
        for (index, vector) in vectors[..S::LANES].iter_mut().enumerate().take(columns) {
            let from = &from[index * from_stride..];
            *vector = if whole { s.load(from) } else { s.load_partial(&from[..rows]) };
        }
        vectors = exchange(s, vectors);
        let whole = columns == S::LANES;
        for (index, vector) in vectors[..S::LANES].iter().enumerate().take(rows) {
            let to = &mut to[index * to_stride..];
            if whole { s.store(*vector, to) } else { s.store_partial(*vector, &mut to[..columns]) }
        }
    }
}

/// As many vectors as one has lanes: rows become columns. The other vectors are of no account.
#[inline(always)]
pub(crate) fn exchange<S: Simd>(s: S, mut vectors: [S::F32; MOST]) -> [S::F32; MOST] {
    const { assert!(S::LANES <= MOST, "more lanes than registers are taken for") };
    let half = S::LANES / 2;
    for _ in 0..S::LANES.trailing_zeros() {
        let mut shuffled = vectors;
        for index in 0..half {
            let (low, high) = s.interleave(vectors[index], vectors[index + half]);
            shuffled[2 * index] = low;
            shuffled[2 * index + 1] = high;
        }
        vectors = shuffled;
    }
    vectors
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
