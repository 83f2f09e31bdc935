//! Dimensions in another order.

use alloc::format;
use alloc::vec::Vec;

use super::rules::{self, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data`: dimension `i` of the output is dimension `perm[i]` of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
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
