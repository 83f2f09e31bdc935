//! CumSum: sums of everything up to an element.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, WIDE};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, axis`: for each element, the sum of those before it along the axis and itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CumSum {
    /// Whether the element itself is left out.
    pub exclusive: bool,
    /// Whether the elements behind it are summed instead of those before.
    pub reverse: bool,
}

impl Op for CumSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &WIDE)?;
        let axis = inputs.typed(1, &INDEX)?;
        rules::check_single(1, Some(axis))?;
        if let (Some([axis]), Some(rank)) = (axis.integers().as_deref(), x.shape.rank()) {
            rules::axis(*axis, rank)?;
        }
        rules::one(x.element, x.shape.clone())
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// CumSum.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let (exclusive, reverse) = (node.flag("exclusive", false)?, node.flag("reverse", false)?);
    Ok(Imported::with(CumSum { exclusive, reverse }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn sums_keep_the_shape() {
        let sum = CumSum { exclusive: false, reverse: false };
        check(sum, &["f64[N, 3]", "i32(-1)"], "f64[N, 3]");
        check(sum, &["i64[3]", "i64{0}"], "i64[3]");
        check(sum, &["i64[3]", "i64(1)"], "axis 1 does not exist in 1 dimensions");
        check(
            sum,
            &["i8[3]", "i64(0)"],
            "input 0 is i8; a float type or an integer type of 32 or 64 bits is needed",
        );
        let both = node("CumSum", &["x", "axis"], &["y"]).int("exclusive", 1).int("reverse", 1);
        check_import(&both, 11, CumSum { exclusive: true, reverse: true }, &[]);
    }
}
