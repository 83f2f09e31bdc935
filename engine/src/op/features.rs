//! Small operators of the domain `ai.onnx.ml` on features: ArrayFeatureExtractor and Binarizer.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};

use super::rules::{self, ANY, INT64};
use super::{Binary, Cast, CastLike, Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `x, indices`: the elements of `x` at these indices of its last axis. Of a vector one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArrayFeatureExtractor;

impl Op for ArrayFeatureExtractor {
    fn name(&self) -> &'static str {
        "ArrayFeatureExtractor"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let (x, indices) = (inputs.typed(0, &ANY)?, inputs.typed(1, &INT64)?);
        let count = indices.shape.dims().map_or(Ok(Dim::Unknown), rules::product)?;
        let shape = match x.shape.dims() {
            None => ShapeFact::unknown(),
            Some([]) => {
                return rules::shape_error(format!("input 0 must have dimensions, its shape is {}", x.shape));
            }
            Some([_]) => ShapeFact(Some(alloc::vec![Dim::Fixed(1), count])),
            Some([outer @ .., _]) => ShapeFact(Some(outer.iter().cloned().chain([count]).collect())),
        };
        rules::one(x.element, shape)
    }
}

/// ArrayFeatureExtractor.
pub(crate) fn import_extractor(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(ArrayFeatureExtractor))
}

/// Binarizer: 1 for what is greater than a threshold, else 0. Integers are compared with the threshold as it is, fraction and
/// all.
pub(crate) fn import_binarizer(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let threshold = node.float_or("threshold", 0.0)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let wide = f.step(Cast { to: ElementType::F64, saturate: true }, &[x]);
    let threshold = f.constant(Tensor::scalar(f64::from(threshold)));
    let greater = f.step(Binary::Greater, &[wide, threshold]);
    let y = f.step(CastLike { saturate: true }, &[greater, x]);
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn chosen_features_are_the_last_dimension() {
        let op = ArrayFeatureExtractor;
        check(op, &["f32[N, 7]", "i64[1, 3]"], "f32[N, 3]");
        check(op, &["string[7]", "i64[3]"], "string[1, 3]");
        check(op, &["f32[2, 3, 4]", "i64[K]"], "f32[2, 3, K]");
        check(op, &["f32[...]", "i64[2]"], "f32[...]");
        check(op, &["f32[]", "i64[2]"], "input 0 must have dimensions, its shape is []");
        check(op, &["f32[2]", "i32[2]"], "input 1 is i32; i64 is needed");
        check_import(&node("ArrayFeatureExtractor", &["x", "i"], &["y"]).domain("ai.onnx.ml"), 1, op, &[]);
    }
}
