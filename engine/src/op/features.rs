//! Small operators of the domain `ai.onnx.ml` on features: ArrayFeatureExtractor; and Binarizer, OneHotEncoder and Scaler, which are
//! put together from others.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, ANY, INT64};
use super::{Binary, Cast, CastLike, Gather, Inputs, LabelEncoder, OneHot, Op, OpError, int64s};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `x, indices`: the elements of `x` at these indices of its last axis. Of a vector one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// OneHotEncoder: for each category a line of zeros with a one. A category that is not in the list has no one, or ends the run
/// (`zeros` 0). Floats are categories by their whole part.
pub(crate) fn import_one_hot(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let mut f = Fragment::new();
    let mut x = f.input(0);
    let categories = match (node.texts("cats_strings")?, node.ints("cats_int64s")?) {
        (Some(texts), None) => Tensor::from_strings(&texts, [texts.len()])
            .map_err(|error| node.refuse_attribute("cats_strings", format!("{error}")))?,
        (None, Some(ints)) => {
            x = f.cast(x, ElementType::I64);
            int64s(&ints)
        }
        _ => return Err(node.refuse("either strings or integers are wanted as categories")),
    };
    let count = categories.len();
    // One more than the positions: what has no category comes to the last, which is behind the end of a line.
    let positions: Vec<i64> = (0..=count as i64).collect();
    let positions = f.constant(int64s(&positions));
    let mut position = f.step(LabelEncoder { keys: [categories].into() }, &[x, positions]);
    if node.int_or("zeros", 1)? == 0 {
        // It does not lie in the list of those that are left, and that is an error.
        let inside: Vec<i64> = (0..count as i64).collect();
        let inside = f.constant(int64s(&inside));
        position = f.step(Gather { axis: 0 }, &[inside, position]);
    }
    let depth = f.ints(&[count as i64]);
    let values = Tensor::from_slice(&[0f32, 1.0], [2]).expect("two values for two places");
    let values = f.constant(values);
    let y = f.step(OneHot { axis: -1 }, &[position, depth, values]);
    Ok(f.giving(y))
}

/// Scaler: `(x - offset) * scale`, both for all features alike or for each.
pub(crate) fn import_scaler(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let mut f = Fragment::new();
    let mut y = f.input(0);
    y = f.cast(y, ElementType::F32);
    for (name, op) in [("offset", Binary::Sub), ("scale", Binary::Mul)] {
        let Some(values) = node.floats(name)? else { continue };
        let values =
            Tensor::from_slice(&values, [values.len()]).expect("as many values as the vector is long");
        let values = f.constant(values);
        y = f.step(op, &[y, values]);
    }
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
