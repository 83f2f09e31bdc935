//! OneHot and Hardmax: one element of many is on.

use alloc::format;

use super::rules::{self, ANY, FLOAT, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// `indices, depth, values`: for each index a line of `depth` elements, all `values[0]` but the one at the index, which is
/// `values[1]`. Negative indices count from the end; one that lies outside turns nothing on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OneHot {
    /// Where the new dimension stands in the output; negative counts from the end.
    pub axis: i64,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "OneHot"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let indices = inputs.typed(0, &INT64)?;
        let depth = inputs.typed(1, &INT64)?;
        rules::check_single(1, Some(depth))?;
        let values = inputs.typed(2, &ANY)?;
        rules::check_vector(2, values, &Dim::Fixed(2))?;
        let Some(dims) = indices.shape.dims() else {
            return rules::one(values.element, crate::graph::ShapeFact::unknown());
        };
        let extent = match depth.integers().as_deref() {
            Some([depth]) => match usize::try_from(*depth) {
                Ok(depth) if depth > 0 => Dim::Fixed(depth),
                _ => return shape_error(format!("input 1 asks for a depth of {depth}")),
            },
            _ => Dim::Unknown,
        };
        let mut dims = dims.to_vec();
        dims.insert(rules::axis(self.axis, dims.len() + 1)?, extent);
        rules::one(values.element, crate::graph::ShapeFact(Some(dims)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// `x`: 1 where the first of the largest elements along the axis stands, 0 elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hardmax {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether all dimensions from `axis` on count as one (opset < 13).
    pub flatten: bool,
}

impl Op for Hardmax {
    fn name(&self) -> &'static str {
        "Hardmax"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        if let Some(rank) = x.shape.rank() {
            let end = self.flatten && usize::try_from(self.axis) == Ok(rank);
            if !end {
                rules::axis(self.axis, rank)?;
            }
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// OneHot; indices and depth may be of any number type, fractions are cut off.
pub(crate) fn import_one_hot(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(3..=3, 1..=1)?;
    let mut f = Fragment::new();
    let [indices, depth] = [0, 1].map(|index| {
        let number = f.input(index);
        f.cast(number, inferry_core::ElementType::I64)
    });
    let values = f.input(2);
    let y = f.step(OneHot { axis: node.int_or("axis", -1)? }, &[indices, depth, values]);
    Ok(f.giving(y))
}

/// Hardmax; before operator set 13 all dimensions from the axis on counted as one.
pub(crate) fn import_hardmax(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let flatten = node.opset() < 13;
    Ok(Imported::with(Hardmax { axis: node.int_or("axis", if flatten { 1 } else { -1 })?, flatten }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn the_depth_is_an_extent() {
        let hot = |axis| OneHot { axis };
        check(hot(-1), &["i64[N, 3]", "i64(4)", "f32[2]"], "f32[N, 3, 4]");
        check(hot(0), &["i64[3]", "i64{4}", "bool[2]"], "bool[4, 3]");
        check(hot(-2), &["i64[3]", "i64[]", "i8[2]"], "i8[?, 3]");
        check(hot(2), &["i64[3]", "i64(4)", "i8[2]"], "axis 2 does not exist in 2 dimensions");
        check(hot(0), &["i64[3]", "i64(0)", "i8[2]"], "input 1 asks for a depth of 0");
        check(hot(0), &["i64[3]", "i64(4)", "i8[3]"], "input 2 must have 2 elements, not 3");
        check(hot(0), &["f32[3]", "i64(4)", "i8[2]"], "input 0 is f32; i64 is needed");
    }

    #[test]
    fn the_axis_of_hardmax_changed_with_operator_set_13() {
        let plain = node("Hardmax", &["x"], &["y"]);
        check_import(&plain, 11, Hardmax { axis: 1, flatten: true }, &[]);
        check_import(&plain, 13, Hardmax { axis: -1, flatten: false }, &[]);
        check(Hardmax { axis: 2, flatten: true }, &["f32[2, 3]"], "f32[2, 3]");
        check(Hardmax { axis: 2, flatten: false }, &["f32[2, 3]"], "axis 2 does not exist in 2 dimensions");
    }
}
