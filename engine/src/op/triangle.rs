//! Triangles and diagonals of matrices: Trilu and EyeLike.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, ANY, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `x, k?`: the matrices in the last two dimensions with zeros below (or above) their diagonal `k`; 0 is the main one,
/// positive ones lie above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trilu {
    /// Whether the upper part is kept, else the lower.
    pub upper: bool,
}

impl Op for Trilu {
    fn name(&self) -> &'static str {
        "Trilu"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &ANY)?;
        if x.shape.rank().is_some_and(|rank| rank < 2) {
            return shape_error(format!("input 0 needs 2 dimensions, its shape is {}", x.shape));
        }
        rules::check_single(1, inputs.typed_optional(1, &INT64)?)?;
        rules::one(x.element, x.shape.clone())
    }
}

/// `x`: for a matrix of this shape, where its diagonal `k` is; as bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagonal {
    /// Which diagonal; 0 is the main one, positive ones lie above it.
    pub k: i64,
}

impl Op for Diagonal {
    fn name(&self) -> &'static str {
        "EyeLike"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &ANY)?;
        rules::check_rank_is(0, &x.shape, 2)?;
        rules::one(ElementType::Bool, x.shape.clone())
    }
}

/// Trilu.
pub(crate) fn import_trilu(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    Ok(Imported::with(Trilu { upper: node.flag("upper", true)? }))
}

/// EyeLike: a diagonal as numbers, of the type asked for or that of the input.
pub(crate) fn import_eye_like(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let diagonal = f.step(Diagonal { k: node.int_or("k", 0)? }, &[x]);
    let y = match node.element("dtype")? {
        Some(element) => f.cast(diagonal, element),
        None => f.like(diagonal, x),
    };
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn matrices_keep_their_shape() {
        let upper = Trilu { upper: true };
        check(upper, &["i64[N, 3, 4]"], "i64[N, 3, 4]");
        check(upper, &["bool[3, 4]", "i64(1)"], "bool[3, 4]");
        check(upper, &["f32[3]"], "input 0 needs 2 dimensions, its shape is [3]");
        check(upper, &["f32[3, 3]", "i64[2]"], "input 1 must be one number, its shape is [2]");
        check_import(&node("Trilu", &["x", "k"], &["y"]).int("upper", 0), 14, Trilu { upper: false }, &[]);
        check(Diagonal { k: 1 }, &["f32[N, 3]"], "bool[N, 3]");
        check(Diagonal { k: 1 }, &["f32[3]"], "input 0 must have 2 dimensions, its shape is [3]");
    }
}
