//! A tensor cut into parts.
//!
//! The counterpart of Concat. The number of parts is the number of outputs of the node, never a number that the file
//! states: that is only compared.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, shape_error};
use super::{Inputs, Op, OpError, legacy};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, split?`: parts along an axis, one an output; their extents are given by `split` or as equal as possible (the
/// last one is smaller).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Split {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// How many parts; `None` for as many as the node has outputs.
    pub num_outputs: Option<usize>,
}

impl Op for Split {
    fn name(&self) -> &'static str {
        "Split"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, usize::MAX)?;
        let data = inputs.required(0)?;
        let split = inputs.typed_optional(1, &INT64)?;
        let Some(dims) = data.shape.dims() else {
            return Ok(alloc::vec![Fact::new(data.element, ShapeFact::unknown()); inputs.outputs()]);
        };
        let axis = rules::axis(self.axis, dims.len())?;
        let part = |extent| {
            let mut dims = dims.to_vec();
            dims[axis] = extent;
            Fact::new(data.element, ShapeFact(Some(dims)))
        };
        let mut extents = match split {
            Some(split) => stated(split, &dims[axis])?,
            None => self.equal(&dims[axis], inputs.outputs())?,
        };
        extents.resize_with(extents.len().max(inputs.outputs()), || Dim::Unknown);
        extents.truncate(inputs.outputs());
        rules::several(extents.into_iter().map(part).collect())
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

impl Split {
    /// The extents of equal parts.
    fn equal(&self, whole: &Dim, outputs: usize) -> Result<Vec<Dim>, OpError> {
        let parts = self.num_outputs.unwrap_or(outputs);
        if parts < outputs || parts == 0 {
            return shape_error(format!("{outputs} outputs are asked for, num_outputs is {parts}"));
        }
        let Some(extent) = whole.fixed() else {
            return Ok(alloc::vec![if parts == 1 { whole.clone() } else { Dim::Unknown }; outputs]);
        };
        let share = extent.div_ceil(parts);
        let Some(last) = share.checked_mul(parts - 1).and_then(|before| extent.checked_sub(before)) else {
            return shape_error(format!("{extent} elements do not split into {parts} parts of {share}"));
        };
        // Only as many as there are outputs: the number of parts is not to be trusted with memory.
        let of = |index| Dim::Fixed(if index + 1 == parts { last } else { share });
        Ok((0..outputs).map(of).collect())
    }
}

/// The extents that the model states, which must fill the axis; none when the values are not known.
fn stated(split: &Fact, whole: &Dim) -> Result<Vec<Dim>, OpError> {
    let Some(parts) = split.integers() else { return Ok(Vec::new()) };
    let mut sum = 0usize;
    let mut extents = Vec::new();
    for part in &parts {
        let Ok(extent) = usize::try_from(*part) else {
            return shape_error(format!("input 1 asks for a part of {part} elements"));
        };
        sum = sum.checked_add(extent).ok_or_else(rules::too_large)?;
        extents.push(Dim::Fixed(extent));
    }
    match whole.fixed() {
        Some(extent) if extent != sum => {
            shape_error(format!("the parts {parts:?} have {sum} elements together, the axis has {extent}"))
        }
        _ => Ok(extents),
    }
}

/// Split; before operator set 13 the extents were an attribute, since 18 the number of parts may be one.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=usize::MAX)?;
    let num_outputs = match node.int("num_outputs")? {
        Some(_) => Some(node.count_or("num_outputs", 0)?),
        None => None,
    };
    legacy::ints_as_input(node, Split { axis: node.int_or("axis", 0)?, num_outputs }, "split", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_outputs};

    #[test]
    fn parts_are_stated_or_equal() {
        let split = |axis, num_outputs| Split { axis, num_outputs };
        check(split(0, None), &["f32[6, N]"], "f32[3, N] | f32[3, N]");
        check(split(1, None), &["f32[N, 6]", "i64{2, 4}"], "f32[N, 2] | f32[N, 4]");
        check(split(-1, Some(3)), &["f32[N, 7]"], "f32[N, 3] | f32[N, 3] | f32[N, 1]");
        check(split(0, None), &["f32[N]"], "f32[?] | f32[?]");
        check(split(0, None), &["f32[N]"], "f32[N]");
        check(split(0, None), &["f32[N]", "i64{2, 4}"], "f32[2] | f32[4]");
        check(split(0, None), &["f32[6]", "i64[2]"], "f32[?] | f32[?]");
        check(split(0, None), &["f32[...]", "i64{2, 4}"], "f32[...] | f32[...]");
        let refused = |op, inputs: &[&str], expect| check_outputs(op, 2, inputs, expect);
        refused(split(0, Some(1)), &["f32[6]"], "2 outputs are asked for, num_outputs is 1");
        refused(
            split(0, None),
            &["f32[6]", "i64{2, 5}"],
            "the parts [2, 5] have 7 elements together, the axis has 6",
        );
        refused(split(0, None), &["f32[6]", "i64{7, -1}"], "input 1 asks for a part of -1 elements");
        refused(split(0, Some(4)), &["f32[5]"], "5 elements do not split into 4 parts of 2");
        refused(split(1, None), &["f32[6]"], "axis 1 does not exist in 1 dimensions");
        refused(
            split(0, Some(usize::MAX)),
            &["f32[6]"],
            "6 elements do not split into 18446744073709551615 parts of 1",
        );
    }

    #[test]
    fn extents_were_an_attribute() {
        let plain = node("Split", &["x"], &["a", "b"]);
        let old = plain.clone().ints("split", &[2, 4]).int("axis", 1);
        check_import(&old, 6, Split { axis: 1, num_outputs: None }, &["1: i64{2, 4}"]);
        check_import(&plain.int("num_outputs", 2), 18, Split { axis: 0, num_outputs: Some(2) }, &[]);
    }
}
