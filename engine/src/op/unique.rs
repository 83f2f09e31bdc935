//! Each element, or each slice along an axis, once.
//!
//! How many there are hangs on the data, so that the extents stay open until a device has looked at them.

use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, NUMBER_OR_BOOL};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: its different elements or slices; where each occurs first; for each of `x` which of the outputs it is; and how often
/// each occurs. The last three are i64, and may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unique {
    /// The axis whose slices are compared; negative counts from the end. Without one, the elements are.
    pub axis: Option<i64>,
    /// In ascending order when true (NaN last), in the order of the first occurrence when false.
    pub sorted: bool,
}

impl Op for Unique {
    fn name(&self) -> &'static str {
        "Unique"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 4)?;
        let x = inputs.typed(0, &NUMBER_OR_BOOL)?;
        let mut shape = x.shape.clone();
        let mut count = Dim::Unknown;
        match (self.axis, &mut shape.0) {
            (None, _) => {
                count = x.shape.dims().map_or(Ok(Dim::Unknown), rules::product)?;
                shape = ShapeFact::of_rank(1);
            }
            (Some(axis), Some(dims)) => {
                let axis = rules::axis(axis, dims.len())?;
                count = core::mem::replace(&mut dims[axis], Dim::Unknown);
            }
            (Some(_), None) => {}
        }
        let found = || Fact::new(ElementType::I64, ShapeFact::of_rank(1));
        let which = Fact::new(ElementType::I64, ShapeFact(Some(alloc::vec![count])));
        let all = [Fact::new(x.element, shape), found(), which, found()];
        rules::several(all.into_iter().take(inputs.outputs().max(1)).collect())
    }

    fn data_sized(&self) -> bool {
        true
    }
}

/// Unique.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=4)?;
    Ok(Imported::with(Unique { axis: node.int("axis")?, sorted: node.flag("sorted", true)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn only_how_many_there_were_is_known() {
        let unique = |axis| Unique { axis, sorted: true };
        check(unique(None), &["f32[2, 3]"], "f32[?]");
        check(unique(None), &["f32[2, 3]"], "f32[?] | i64[?] | i64[6] | i64[?]");
        check(unique(Some(-1)), &["i8[N, 3]"], "i8[N, ?] | i64[?] | i64[3]");
        check(unique(Some(0)), &["i8[...]"], "i8[...] | i64[?] | i64[?]");
        check(unique(Some(2)), &["i8[N, 3]"], "axis 2 does not exist in 2 dimensions");
    }

    #[test]
    fn sorted_unless_told_otherwise() {
        let plain = node("Unique", &["x"], &["y"]);
        check_import(&plain, 11, Unique { axis: None, sorted: true }, &[]);
        let other = plain.int("axis", 0).int("sorted", 0);
        check_import(&other, 11, Unique { axis: Some(0), sorted: false }, &[]);
    }
}
