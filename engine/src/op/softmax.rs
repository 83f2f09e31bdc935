//! Softmax and its logarithm.
//!
//! One struct for both and for both meanings that the axis has had. Nothing here changes a shape.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: exponentials along an axis, divided by their sum; or the logarithm of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn the_axis_must_exist() {
        let softmax = |axis, flatten| Softmax { axis, log: false, flatten };
        check(softmax(-1, false), &["f32[N, 4]"], "f32[N, 4]");
        check(softmax(2, false), &["f32[N, 4]"], "axis 2 does not exist in 2 dimensions");
        check(softmax(2, true), &["f32[N, 4]"], "f32[N, 4]");
        check(softmax(3, true), &["f32[N, 4]"], "axis 3 does not exist in 2 dimensions");
        check(softmax(9, false), &["f32[...]"], "f32[...]");
        check(softmax(0, false), &["i32[4]"], "input 0 is i32; a float type is needed");
    }

    #[test]
    fn the_meaning_of_the_axis_changed_with_operator_set_13() {
        let softmax = node("Softmax", &["x"], &["y"]);
        check_import(&softmax, 12, Softmax { axis: 1, log: false, flatten: true }, &[]);
        check_import(&softmax, 13, Softmax { axis: -1, log: false, flatten: false }, &[]);
        let log = node("LogSoftmax", &["x"], &["y"]).int("axis", 2);
        check_import(&log, 6, Softmax { axis: 2, log: true, flatten: true }, &[]);
    }
}
