//! The broadcasting of operator set 6 and before, where the second input stood at an axis of the first.
//!
//! ```text
//! Add-6 { axis: 1 }(a, b)      ─▶      Add(a, Align { axis: 1 }(b, a))
//!   a: [2, 3, 4], b: [3]                 Align: [3, 1]
//! ```
//!
//! Only importers make it. What stands at no axis broadcasts as in numpy and needs none.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `b, a`: `b` with dimensions of extent 1 behind its own, so many that its first one stands where `axis` of `a` does. Of
/// `a` only the number of dimensions counts. A `b` of one element may be too long for that; it stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Align {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Op for Align {
    fn name(&self) -> &'static str {
        "Align"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let b = inputs.required(0)?;
        let a = inputs.required(1)?;
        let (Some(dims), Some(rank)) = (b.shape.dims(), a.shape.rank()) else {
            return rules::one(b.element, ShapeFact::unknown());
        };
        let room = rank - rules::axis(self.axis, rank)?;
        let mut aligned = dims.to_vec();
        if dims.len() <= room {
            aligned.resize(room, Dim::Fixed(1));
        } else if dims.iter().any(|dim| *dim != Dim::Fixed(1)) {
            return shape_error(alloc::format!(
                "{} does not fit at axis {} of {}",
                b.shape,
                self.axis,
                a.shape
            ));
        }
        rules::one(b.element, ShapeFact(Some(aligned)))
    }
}

/// The operator, with its second input at an axis of the first if a node of operator set 6 says so.
pub(crate) fn at_axis(node: &NodeView<'_>, op: impl Op) -> Result<Imported, ImportError> {
    let axis = match node.op_type() {
        // Always the channels, without an attribute that says so.
        "PRelu" if node.opset() < 7 => Some(1),
        _ => node.int("axis")?,
    };
    let imported = Imported::with(op);
    Ok(match axis {
        Some(axis) => imported.prepare(1, Align { axis }),
        None => imported,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::Binary;
    use crate::op::testing::{check, check_import};

    #[test]
    fn ones_are_appended_until_it_stands_at_the_axis() {
        let align = |axis| Align { axis };
        check(align(1), &["f32[3]", "f32[2, 3, 4, 5]"], "f32[3, 1, 1]");
        check(align(0), &["f32[N, 3]", "f32[N, 3, 4]"], "f32[N, 3, 1]");
        check(align(-2), &["f32[3]", "f32[2, 3, 4]"], "f32[3, 1]");
        check(align(2), &["f32[]", "f32[2, 3, 4]"], "f32[1]");
        check(align(1), &["f32[1]", "f32[2]"], "axis 1 does not exist in 1 dimensions");
        check(align(1), &["f32[1, 1]", "f32[2, 3]"], "f32[1, 1]");
        check(align(1), &["f32[3, 1]", "f32[2, 3]"], "[3, 1] does not fit at axis 1 of [2, 3]");
        check(align(1), &["f32[3]", "f32[...]"], "f32[...]");
    }

    #[test]
    fn old_nodes_are_aligned_and_new_ones_are_not() {
        let add = node("Add", &["a", "b"], &["y"]).int("broadcast", 1);
        check_import(&add, 6, Binary::Add, &[]);
        assert_eq!(add.import(6).unwrap().prepare.len(), 0);
        let (input, op) = add.int("axis", 1).import(6).unwrap().prepare.remove(0);
        assert_eq!((input, op.downcast::<Align>()), (1, Some(&Align { axis: 1 })));
        let prelu = node("PRelu", &["x", "slope"], &["y"]);
        assert_eq!(prelu.import(7).unwrap().prepare.len(), 0);
        let (_, op) = prelu.import(6).unwrap().prepare.remove(0);
        assert_eq!(op.downcast::<Align>(), Some(&Align { axis: 1 }));
    }
}
