//! Dimensions in another order.
//!
//! The elements move, their number along each dimension goes with them. Layouts of one device are no matter of this
//! operator.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data`: dimension `i` of the output is dimension `perm[i]` of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// The order; reversed when `None`.
    pub perm: Option<Vec<usize>>,
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.required(0)?;
        if let Some(perm) = &self.perm {
            check_permutation(perm, data.shape.rank().unwrap_or(perm.len()))?;
        }
        let shape = match (data.shape.dims(), &self.perm) {
            (Some(dims), Some(perm)) => {
                ShapeFact(Some(perm.iter().map(|from| dims[*from].clone()).collect()))
            }
            (Some(dims), None) => ShapeFact(Some(dims.iter().rev().cloned().collect())),
            (None, Some(perm)) => ShapeFact::of_rank(perm.len()),
            (None, None) => ShapeFact::unknown(),
        };
        rules::one(data.element, shape)
    }
}

/// `data`: one dimension in another place, the others in their order. For importers that do not know how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MoveAxis {
    /// Where the dimension stands; negative counts from the end.
    pub from: i64,
    /// Where it goes; negative counts from the end.
    pub to: i64,
}

impl MoveAxis {
    /// The permutation that this is in so many dimensions.
    ///
    /// # Errors
    /// A place that does not exist in them.
    pub fn permutation(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        let (from, to) = (rules::axis(self.from, rank)?, rules::axis(self.to, rank)?);
        let mut order: Vec<usize> = (0..rank).collect();
        let moved = order.remove(from);
        order.insert(to, moved);
        Ok(order)
    }
}

impl Op for MoveAxis {
    fn name(&self) -> &'static str {
        "MoveAxis"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.required(0)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::unknown()) };
        let order = self.permutation(dims.len())?;
        rules::one(data.element, ShapeFact(Some(order.into_iter().map(|dim| dims[dim].clone()).collect())))
    }
}

fn check_permutation(perm: &[usize], rank: usize) -> Result<(), OpError> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        return Ok(());
    }
    shape_error(format!("{perm:?} is no order of {rank} dimensions"))
}

/// Transpose.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let perm = if node.has("perm") { Some(node.extents("perm")?) } else { None };
    Ok(Imported::with(Transpose { perm }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn dimensions_change_places() {
        let transpose = |perm: Option<&[usize]>| Transpose { perm: perm.map(<[usize]>::to_vec) };
        check(transpose(None), &["f32[N, 3, 4]"], "f32[4, 3, N]");
        check(transpose(Some(&[1, 2, 0])), &["string[N, 3, 4]"], "string[3, 4, N]");
        check(transpose(Some(&[1, 0])), &["f32[...]"], "f32[?, ?]");
        check(transpose(None), &["f32[...]"], "f32[...]");
        check(transpose(Some(&[])), &["f32[]"], "f32[]");
        check(transpose(Some(&[0, 1])), &["f32[N, 3, 4]"], "[0, 1] is no order of 3 dimensions");
        check(transpose(Some(&[0, 0])), &["f32[...]"], "[0, 0] is no order of 2 dimensions");
        check(transpose(Some(&[0, 2])), &["f32[2, 3]"], "[0, 2] is no order of 2 dimensions");
    }

    #[test]
    fn the_order_may_be_left_out() {
        let plain = node("Transpose", &["x"], &["y"]);
        check_import(&plain, 6, Transpose { perm: None }, &[]);
        check_import(
            &plain.clone().ints("perm", &[1, 0]),
            13,
            Transpose { perm: Some(alloc::vec![1, 0]) },
            &[],
        );
        check_refused(&plain.ints("perm", &[0, -1]), 13, "attribute \"perm\": -1 is negative");
    }

    #[test]
    fn one_dimension_moves() {
        let moved = |from, to| MoveAxis { from, to };
        check(moved(-1, -2), &["f32[2, 3, 4]"], "f32[2, 4, 3]");
        check(moved(0, -2), &["f32[M, 3, 4, 5]"], "f32[3, 4, M, 5]");
        check(moved(-1, 1), &["i8[2, 3, 4, 5]"], "i8[2, 5, 3, 4]");
        check(moved(2, 0), &["f32[2, 3]"], "axis 2 does not exist in 2 dimensions");
        check(moved(2, 0), &["f32[...]"], "f32[...]");
    }
}
