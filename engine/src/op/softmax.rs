//! Softmax and its logarithm.

use alloc::vec::Vec;

use super::rules::{self, FLOAT};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: exponentials along an axis, divided by their sum; or the logarithm of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the logarithm is taken.
    pub log: bool,
    /// Whether all dimensions from `axis` on count as one (opset < 13).
    pub flatten: bool,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "LogSoftmax" } else { "Softmax" }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        if let Some(rank) = x.shape.rank() {
            // Flattened from the end on, nothing is left to sum over: each element becomes 1.
            let end = self.flatten && usize::try_from(self.axis) == Ok(rank);
            if !end {
                rules::axis(self.axis, rank)?;
            }
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// Softmax and LogSoftmax; before operator set 13 all dimensions from the axis on counted as one.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let flatten = node.opset() < 13;
    Ok(Imported::with(Softmax {
        axis: node.int_or("axis", if flatten { 1 } else { -1 })?,
        log: node.op_type() == "LogSoftmax",
        flatten,
    }))
}
