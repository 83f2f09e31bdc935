//! Tensors put one behind the other.
//!
//! All inputs have one type and agree in every extent but one, so what is known of one is known of all.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules;
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `inputs...`: joined along an axis; all other extents are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(usize::MAX, 1)?;
        let first = inputs.required(0)?;
        for index in 1..inputs.len() {
            inputs.alike(index, first)?;
        }
        let Some(rank) = inputs.present().find_map(|fact| fact.shape.rank()) else {
            return rules::one(first.element, ShapeFact::unknown());
        };
        let axis = rules::axis(self.axis, rank)?;
        let mut joined = alloc::vec![Dim::Unknown; rank];
        joined[axis] = Dim::Fixed(0);
        for (index, fact) in inputs.present().enumerate() {
            let Some(dims) = fact.shape.dims() else {
                joined[axis] = Dim::Unknown;
                continue;
            };
            rules::check_rank_is(index, &fact.shape, rank)?;
            for (position, (slot, dim)) in joined.iter_mut().zip(dims).enumerate() {
                *slot = if position == axis { sum(slot, dim)? } else { rules::unify_dim(slot, dim)? };
            }
        }
        rules::one(first.element, ShapeFact(Some(joined)))
    }
}

fn sum(a: &Dim, b: &Dim) -> Result<Dim, OpError> {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_add(*b).map(Dim::Fixed).ok_or_else(rules::too_large),
        (Dim::Fixed(0), other) | (other, Dim::Fixed(0)) => Ok(other.clone()),
        _ => Ok(Dim::Unknown),
    }
}

/// Concat.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=usize::MAX, 1..=1)?;
    let axis = node.int("axis")?.ok_or_else(|| node.refuse_attribute("axis", "is missing"))?;
    Ok(Imported::with(Concat { axis }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn extents_add_up_along_the_axis() {
        let cases = [
            (1, ["f32[N, 3]", "f32[N, 4]"], "f32[N, 7]"),
            (-1, ["f32[N, 3]", "f32[2, 4]"], "f32[2, 7]"),
            (0, ["f32[N, 3]", "f32[2, 3]"], "f32[?, 3]"),
            (0, ["f32[N]", "f32[0]"], "f32[N]"),
            (0, ["f32[...]", "f32[2, 3]"], "f32[?, 3]"),
            (0, ["f32[...]", "f32[...]"], "f32[...]"),
            (2, ["f32[N, 3]", "f32[N, 4]"], "axis 2 does not exist in 2 dimensions"),
            (0, ["f32[N, 3]", "f32[N, 4]"], "extents 3 and 4 must be equal"),
            (0, ["f32[2, 3]", "f32[3]"], "input 1 must have 2 dimensions, its shape is [3]"),
            (0, ["f32[2]", "i64[3]"], "input 1 is i64; it must have the same type as the input before"),
            (0, ["f32[18446744073709551615]", "f32[1]"], "an extent overflows"),
            (0, ["f32[2]", ""], "input 1 is missing"),
        ];
        for (axis, inputs, expect) in cases {
            check(Concat { axis }, &inputs, expect);
        }
        check(Concat { axis: 0 }, &["i64[2]"], "i64[2]");
        check(Concat { axis: 0 }, &[], "input 0 is missing");
    }

    #[test]
    fn the_axis_must_be_stated() {
        check_import(&node("Concat", &["a", "b"], &["y"]).int("axis", -1), 11, Concat { axis: -1 }, &[]);
        check_refused(&node("Concat", &["a", "b"], &["y"]), 11, "attribute \"axis\": is missing");
    }
}
