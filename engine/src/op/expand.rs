//! Repetition: broadcasting made explicit, and tiling.
//!
//! The extents are values, so they are known when those are. Elementwise operators broadcast by themselves and need
//! neither.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, shape`: broadcast together with a tensor of this shape; so an extent of 1 in `shape` keeps that of `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expand;

impl Op for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let shape = inputs.typed(1, &INT64)?;
        rules::check_rank_is(1, &shape.shape, 1)?;
        let wanted = match shape.integers() {
            Some(extents) => rules::extents(1, &extents)?[..].into(),
            None => rules::unknown_of(rules::vector_len(shape)),
        };
        rules::check_rank(&wanted)?;
        rules::one(data.element, rules::broadcast([&data.shape, &wanted])?)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// `data, repeats`: so many copies side by side along each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tile;

impl Op for Tile {
    fn name(&self) -> &'static str {
        "Tile"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let repeats = inputs.typed(1, &INT64)?;
        rules::check_rank_is(1, &repeats.shape, 1)?;
        let Some(dims) = data.shape.dims() else {
            return rules::one(data.element, rules::unknown_of(rules::vector_len(repeats)));
        };
        if let Some(count) = rules::vector_len(repeats).filter(|count| *count != dims.len()) {
            return shape_error(format!("{count} repeats for {} dimensions", dims.len()));
        }
        let shape = match repeats.integers() {
            Some(repeats) => {
                let repeats = rules::extents(1, &repeats)?;
                let each = dims.iter().zip(repeats);
                each.map(|(dim, times)| rules::product([dim, &Dim::Fixed(times)]))
                    .collect::<Result<_, _>>()?
            }
            None => alloc::vec![Dim::Unknown; dims.len()],
        };
        rules::one(data.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// Expand.
pub(crate) fn import_expand(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(Expand))
}

/// Tile.
pub(crate) fn import_tile(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(Tile))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn expansion_broadcasts_both_ways() {
        let cases = [
            (["f32[3, 1]", "i64{2, 1, 6}"], "f32[2, 3, 6]"),
            (["f32[3, 4]", "i64{1}"], "f32[3, 4]"),
            (["f32[N, 1]", "i64{1, 5}"], "f32[N, 5]"),
            (["f32[3, 1]", "i64[3]"], "f32[?, 3, ?]"),
            (["f32[3]", "i64[?]"], "f32[...]"),
            (["f32[3]", "i64{0}"], "[3] does not broadcast with [0]"),
            (["f32[3]", "i64{-1}"], "input 1 asks for an extent of -1"),
            (["f32[3]", "i64[99]"], "9 dimensions; at most 8 are supported"),
            (["f32[3]", "i64(3)"], "input 1 must have 1 dimensions, its shape is []"),
        ];
        for (inputs, expect) in cases {
            check(Expand, &inputs, expect);
        }
    }

    #[test]
    fn tiles_multiply() {
        let cases = [
            (["f32[2, N]", "i64{3, 1}"], "f32[6, N]"),
            (["f32[2, N]", "i64{3, 2}"], "f32[6, ?]"),
            (["f32[2, N]", "i64{0, 0}"], "f32[0, 0]"),
            (["f32[2, 3]", "i64[2]"], "f32[?, ?]"),
            (["f32[...]", "i64{1, 2}"], "f32[?, ?]"),
            (["f32[2, 3]", "i64{2}"], "1 repeats for 2 dimensions"),
            (["f32[2]", "i64{-1}"], "input 1 asks for an extent of -1"),
            (["f32[4]", "i64{9223372036854775807}"], "the number of elements overflows"),
        ];
        for (inputs, expect) in cases {
            check(Tile, &inputs, expect);
        }
    }
}
