//! Operators that keep every element where it is: Identity and the Reshape family.
//!
//! A plan mostly lets the output share the bytes of the input and never runs this; it is for where that cannot be (a model
//! output that is also something else's input, constant folding).

use inferry_engine::op::{Align, Flatten, Identity, Op, Reshape, Squeeze, Unsqueeze};

use crate::kernel::simple::{simple, spread};
use crate::kernel::{BuildError, Builder, Built};
use crate::stored::width;

/// Builds Identity.
pub(crate) fn identity(op: &Identity, node: &Builder<'_>) -> Built {
    build(op, node)
}

/// Builds Reshape.
pub(crate) fn reshape(op: &Reshape, node: &Builder<'_>) -> Built {
    build(op, node)
}

/// Builds Flatten.
pub(crate) fn flatten(op: &Flatten, node: &Builder<'_>) -> Built {
    build(op, node)
}

/// Builds Squeeze.
pub(crate) fn squeeze(op: &Squeeze, node: &Builder<'_>) -> Built {
    build(op, node)
}

/// Builds Unsqueeze.
pub(crate) fn unsqueeze(op: &Unsqueeze, node: &Builder<'_>) -> Built {
    build(op, node)
}

/// Builds Align, whose second input is only looked at for its shape.
pub(crate) fn align(op: &Align, node: &Builder<'_>) -> Built {
    build(op, node)
}

fn build(op: &dyn Op, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let (element, output) = node.output(0);
    if data.shape.count() != output.count() || data.element != *element {
        let (from, to) = (&data.shape, output);
        return Err(BuildError::Form(alloc::format!("{}: {from} is not as large as {to}", op.name())));
    }
    bytes(output.count() * width(*element))
}

/// Builds the copy of so many bytes.
pub(crate) fn bytes(bytes: usize) -> Built {
    let phase = spread(bytes, 60);
    simple(phase, move |io| {
        let from = io.input::<u8>(0);
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        to.copy_from_slice(&from[start..start + to.len()]);
    })
}

/// Builds the copy of `count` rows of so many bytes, which lie `stride` bytes apart from byte `start` on, behind each other.
pub(crate) fn rows(count: usize, row: usize, stride: usize, start: usize) -> Built {
    let total = count * row;
    let phase = spread(total, 60 + 5_000 / row.max(1) as u64);
    simple(phase, move |io| {
        let from = io.input::<u8>(0);
        let mut at = io.tiles().start * phase.unit;
        let mut to = io.rows::<u8>();
        while !to.is_empty() {
            let (line, column) = (at / row, at % row);
            let (piece, rest) = to.split_at_mut((row - column).min(to.len()));
            let first = start + line * stride + column;
            piece.copy_from_slice(&from[first..first + piece.len()]);
            at += piece.len();
            to = rest;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    #[test]
    fn elements_stay_where_they_are() {
        let values: alloc::vec::Vec<i16> = (0..50).collect();
        let data = tensor(&values, [5, 10]);
        assert_eq!(run_one::<i16>(&Identity, &[&data], [5, 10]), values);
        let shape = tensor(&[10i64, 5], [2]);
        assert_eq!(run_one::<i16>(&Reshape { allow_zero: false }, &[&data, &shape], [10, 5]), values);
        assert_eq!(run_one::<i16>(&Flatten { axis: 0 }, &[&data], [1, 50]), values);
    }
}
