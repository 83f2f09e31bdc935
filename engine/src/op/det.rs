//! Det: determinants.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, shape_error, unify_dim};
use super::{Inputs, Op, OpError};
use crate::graph::{Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: the determinant of each square matrix in the last two dimensions, which go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Det;

impl Op for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let shape = match x.shape.dims() {
            Some([batch @ .., rows, columns]) => {
                unify_dim(rows, columns)?;
                ShapeFact(Some(batch.to_vec()))
            }
            Some(_) => return shape_error(format!("input 0 needs 2 dimensions, its shape is {}", x.shape)),
            None => ShapeFact::unknown(),
        };
        rules::one(x.element, shape)
    }
}

/// Det.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(Det))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn the_matrices_go() {
        check(Det, &["f32[N, 3, 3]"], "f32[N]");
        check(Det, &["f64[2, 2]"], "f64[]");
        check(Det, &["f32[2, 3]"], "extents 2 and 3 must be equal");
        check(Det, &["f32[2]"], "input 0 needs 2 dimensions, its shape is [2]");
    }
}
