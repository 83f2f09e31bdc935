//! The largest or smallest elements along an axis.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, NUMBER, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, k`: the `k` largest or smallest elements along an axis, and their indices. Of equal elements the one with the lower
/// index comes first. They come in order, also where the standard leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopK {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// The largest when true, the smallest when false.
    pub largest: bool,
}

impl Op for TopK {
    fn name(&self) -> &'static str {
        "TopK"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 2)?;
        let x = inputs.typed(0, &NUMBER)?;
        let k = inputs.typed(1, &INT64)?;
        rules::check_single(1, Some(k))?;
        let mut shape = x.shape.clone();
        if let Some(dims) = &mut shape.0 {
            let axis = rules::axis(self.axis, dims.len())?;
            dims[axis] = match k.integers().and_then(|k| k.first().copied()) {
                Some(k) => taken(k, &dims[axis])?,
                None => Dim::Unknown,
            };
        }
        let both = [Fact::new(x.element, shape.clone()), Fact::new(ElementType::I64, shape)];
        rules::several(both.into_iter().take(inputs.outputs().max(1)).collect())
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// `k` as an extent, which must not be larger than the axis.
fn taken(k: i64, extent: &Dim) -> Result<Dim, OpError> {
    match (usize::try_from(k), extent.fixed()) {
        (Ok(k), extent) if extent.is_none_or(|extent| k <= extent) => Ok(Dim::Fixed(k)),
        (_, Some(extent)) => shape_error(format!("the first {k} of {extent} elements are asked for")),
        (_, None) => shape_error(format!("the first {k} elements are asked for")),
    }
}

/// TopK; before operator set 10 `k` was an attribute, before 11 there were only the largest.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=2)?;
    let imported =
        Imported::with(TopK { axis: node.int_or("axis", -1)?, largest: node.flag("largest", true)? });
    Ok(match node.int("k")? {
        Some(k) => imported.constant(1, Tensor::from_slice(&[k], [1]).expect("one number")),
        None => imported,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn the_axis_becomes_k() {
        let top = |axis| TopK { axis, largest: true };
        check(top(-1), &["f32[N, 7]", "i64{3}"], "f32[N, 3] | i64[N, 3]");
        check(top(0), &["u8[N, 7]", "i64(3)"], "u8[3, 7] | i64[3, 7]");
        check(top(0), &["f16[N, 7]", "i64[1]"], "f16[?, 7] | i64[?, 7]");
        check(top(0), &["f32[...]", "i64{3}"], "f32[...]");
        check(top(1), &["f32[N, 7]", "i64{0}"], "f32[N, 0]");
        check(top(1), &["f32[N, 7]", "i64{8}"], "the first 8 of 7 elements are asked for");
        check(top(0), &["f32[N, 7]", "i64{-1}"], "the first -1 elements are asked for");
        check(top(2), &["f32[N, 7]", "i64{1}"], "axis 2 does not exist in 2 dimensions");
        check(top(0), &["f32[N, 7]", "i64[2]"], "input 1 must be one number, its shape is [2]");
        check(top(0), &["bool[N, 7]", "i64{1}"], "input 0 is bool; a number type is needed");
    }

    #[test]
    fn k_was_an_attribute() {
        let old = node("TopK", &["x"], &["v", "i"]).int("k", 5).int("axis", 0);
        check_import(&old, 6, TopK { axis: 0, largest: true }, &["1: i64{5}"]);
        let new = node("TopK", &["x", "k"], &["v", "i"]).int("largest", 0).int("sorted", 0);
        check_import(&new, 11, TopK { axis: -1, largest: false }, &[]);
    }
}
