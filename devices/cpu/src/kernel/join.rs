//! Concat and Split: one long row against several short ones.
//!
//! Seen from the joined axis a tensor is `outer` rows, and each row of the long tensor is one row of every short tensor, end
//! to end. Both operators cut the *long* tensor into tiles wherever it suits, also inside a row, and copy the pieces that
//! fall into each tile.
#![allow(unsafe_code)]

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::Shape;
use inferry_engine::op::{Concat, Split};

use crate::io::Plain;
use crate::kernel::arguments::{axis, form};
use crate::kernel::simple::{simple, spread, spread_items};
use crate::kernel::{BuildError, Builder, Built, by_size};

/// Builds Concat.
pub(crate) fn concat(op: &Concat, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    let axis = axis(op.axis, output.rank())?;
    let mut parts = Vec::with_capacity(node.inputs.len());
    for index in 0..node.inputs.len() {
        parts.push(node.input(index)?.shape.clone());
    }
    let rows = Rows::new(output, axis, &parts)?;
    by_size!("Concat", *element, T => {
        let phase = spread(output.count(), 60 * size_of::<T>() as u64);
        simple(phase, move |io| {
            let start = io.tiles().start * phase.unit;
            let to = io.rows::<T>();
            rows.pieces(start..start + to.len(), |piece| {
                let from = &io.input::<T>(piece.part)[piece.within.clone()];
                to[piece.joined.start - start..piece.joined.end - start].copy_from_slice(from);
            });
        })
    })
}

/// Builds Split.
pub(crate) fn split(op: &Split, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let axis = axis(op.axis, data.shape.rank())?;
    let mut parts: Vec<Shape> = node.outputs.iter().map(|(_, shape)| shape.clone()).collect();
    // What no output asks for is one more part.
    let outputs = parts.len();
    let taken: usize = parts.iter().filter_map(|part| part.get(axis)).sum();
    let mut rest = data.shape.clone();
    rest[axis] = rest[axis].saturating_sub(taken);
    parts.push(rest);
    let rows = Rows::new(&data.shape, axis, &parts)?;
    let count = data.shape.count();
    by_size!("Split", data.element, T => split_rows::<T>(rows, count, outputs))
}

fn split_rows<T: Plain>(rows: Rows, count: usize, outputs: usize) -> Built {
    let (phase, share) = spread_items(count, 60 * size_of::<T>() as u64);
    simple(phase, move |io| {
        let tiles = io.tiles();
        let range = tiles.start * share..(tiles.end * share).min(count);
        let from = io.input::<T>(0);
        rows.pieces(range, |piece| {
            if piece.part == outputs {
                return;
            }
            // SAFETY: each element of an output comes from one element of the input, which belongs to one tile; pieces of
            // one call do not overlap, and each reference ends with its copy.
            let to = unsafe { io.shared::<T>(piece.part).range(piece.within) };
            to.copy_from_slice(&from[piece.joined]);
        });
    })
}

/// The rows of a joined tensor.
struct Rows {
    /// For each part, where its elements begin in a joined row; the last entry is the length of the row.
    starts: Vec<usize>,
}

/// Elements that lie together in the joined tensor and in a part.
struct Piece {
    part: usize,
    within: Range<usize>,
    joined: Range<usize>,
}

impl Rows {
    fn new(joined: &Shape, axis: usize, parts: &[Shape]) -> Result<Rows, BuildError> {
        let inner: usize = joined[axis + 1..].iter().product();
        let mut starts = Vec::with_capacity(parts.len() + 1);
        let mut end = 0;
        for part in parts {
            let fits = part.rank() == joined.rank()
                && part.iter().zip(joined.iter()).enumerate().all(|(dim, (a, b))| dim == axis || a == b);
            if !fits {
                return Err(form(format!("{part} is no part of {joined} along axis {axis}")));
            }
            starts.push(end);
            end += part[axis] * inner;
        }
        starts.push(end);
        if end != joined[axis] * inner {
            return Err(form(format!("the parts do not fill {joined} along axis {axis}")));
        }
        Ok(Rows { starts })
    }

    /// Calls `each` for the pieces in `range` of the joined tensor, in order.
    fn pieces(&self, range: Range<usize>, mut each: impl FnMut(Piece)) {
        let parts = self.starts.len() - 1;
        let row = self.starts[parts];
        if range.is_empty() {
            return;
        }
        let mut outer = range.start / row;
        let mut column = range.start % row;
        let mut done = range.start;
        let mut part = self.starts[1..].partition_point(|end| *end <= column);
        while done < range.end {
            let (begin, end) = (self.starts[part], self.starts[part + 1]);
            let len = (end - column).min(range.end - done);
            if len > 0 {
                let at = outer * (end - begin) + column - begin;
                each(Piece { part, within: at..at + len, joined: done..done + len });
            }
            done += len;
            column = end;
            part += 1;
            if part == parts {
                (part, column, outer) = (0, 0, outer + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, run_one, tensor};
    use inferry_core::ElementType;

    #[test]
    fn joins_along_any_axis() {
        let a = tensor(&[1i32, 2, 3, 4], [2, 2]);
        let b = tensor(&[5i32, 6], [2, 1]);
        assert_eq!(
            run_one::<i32>(&Concat { axis: -1 }, &[&a, &b, &a], [2, 5]),
            [1, 2, 5, 1, 2, 3, 4, 6, 3, 4]
        );
        assert_eq!(run_one::<i32>(&Concat { axis: 0 }, &[&a, &a], [4, 2]), [1, 2, 3, 4, 1, 2, 3, 4]);
    }

    #[test]
    fn empty_parts_add_nothing() {
        let a = tensor(&[true, false], [2, 1]);
        let none = tensor::<bool>(&[], [2, 0]);
        let inputs = [&none, &a, &none, &none, &a, &none];
        assert_eq!(run_one::<bool>(&Concat { axis: 1 }, &inputs, [2, 2]), [true, true, false, false]);
        assert!(run_one::<bool>(&Concat { axis: 1 }, &[&none, &none], [2, 0]).is_empty());
    }

    #[test]
    fn splitting_undoes_joining() {
        let values: Vec<u8> = (0..60).collect();
        let data = tensor(&values, [3, 5, 4]);
        for (axis, sizes) in [(1i64, [1, 0, 4]), (0, [1, 1, 1]), (2, [1, 2, 1])] {
            let outputs = sizes.map(|size| {
                let mut shape = Shape::from([3, 5, 4]);
                shape[axis as usize] = size;
                (ElementType::U8, shape)
            });
            let op = Split { axis, num_outputs: None };
            let inputs = [Some(data.clone()), Some(tensor(&sizes.map(|size| size as i64), [3]))];
            let parts = run(&op, &inputs, &outputs, Isa::portable());
            let inputs: Vec<_> = parts.iter().collect();
            assert_eq!(run_one::<u8>(&Concat { axis }, &inputs, [3, 5, 4]), values, "axis {axis}");
        }
    }

    #[test]
    fn a_part_that_nobody_reads_is_left_out() {
        let data = tensor(&[1i64, 2, 3, 4, 5, 6], [2, 3]);
        let op = Split { axis: 1, num_outputs: Some(2) };
        assert_eq!(run_one::<i64>(&op, &[&data], [2, 2]), [1, 2, 4, 5]);
    }
}
