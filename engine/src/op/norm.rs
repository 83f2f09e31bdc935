//! Normalisation: numbers brought to mean and variance.
//!
//! The output has the shape of the input; the operators differ in which numbers share a mean. None of them trains: see
//! `normalise` for the forms that update running statistics, and for what is put together from other operators.

use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, scale, bias, mean, variance`: each channel of `[N, C, ...]` with the statistics of the training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormalization {
    /// Added to the variance before its root is taken.
    pub epsilon: f32,
}

impl Op for BatchNormalization {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(5, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        // A vector of one channel may leave that dimension out.
        let channels = match x.shape.dims() {
            Some([]) => return shape_error("input 0 is a scalar".into()),
            Some([_]) => Dim::Fixed(1),
            Some([_, channels, ..]) => channels.clone(),
            None => Dim::Unknown,
        };
        for index in 1..5 {
            rules::check_vector(index, inputs.typed(index, &FLOAT)?, &channels)?;
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// `x, scale, bias?`: the elements from `axis` on, together, with their own statistics. Outputs `y, mean?, inverse
/// deviation?`; the latter two are f32.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNormalization {
    /// First of the dimensions that are normalised together; negative counts from the end.
    pub axis: i64,
    /// Added to the variance before its root is taken.
    pub epsilon: f32,
}

impl Op for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 3)?;
        let x = inputs.typed(0, &FLOAT)?;
        let scale = inputs.alike(1, x)?;
        let bias = inputs.alike_optional(2, x)?;
        let mut statistics = ShapeFact::unknown();
        if let Some(dims) = x.shape.dims() {
            let axis = rules::axis(self.axis, dims.len())?;
            rules::broadcasts_to(1, &scale.shape, &x.shape)?;
            if let Some(bias) = bias {
                rules::broadcasts_to(2, &bias.shape, &x.shape)?;
            }
            let mut dims = dims.to_vec();
            dims[axis..].fill(Dim::Fixed(1));
            statistics = ShapeFact(Some(dims));
        }
        let mut facts = rules::one(x.element, x.shape.clone())?;
        facts.resize(inputs.outputs().max(1), Fact::new(ElementType::F32, statistics));
        Ok(facts)
    }
}

/// `x, scale, bias`: each channel of each element of the batch with its own statistics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceNormalization {
    /// Added to the variance before its root is taken.
    pub epsilon: f32,
}

impl Op for InstanceNormalization {
    fn name(&self) -> &'static str {
        "InstanceNormalization"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let channels = match x.shape.dims() {
            Some([_, channels, _, ..]) => channels.clone(),
            Some(_) => {
                return shape_error(alloc::format!("input 0 needs 3 dimensions, its shape is {}", x.shape));
            }
            None => Dim::Unknown,
        };
        for index in [1, 2] {
            rules::check_vector(index, inputs.alike(index, x)?, &channels)?;
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// LayerNormalization.
pub(crate) fn import_layer(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=3)?;
    // The statistics are computed and given as f32, number 1.
    let stash = node.int_or("stash_type", 1)?;
    if stash != 1 {
        return Err(
            node.refuse_attribute("stash_type", alloc::format!("{stash} is not supported, only 1 (f32)"))
        );
    }
    Ok(Imported::with(LayerNormalization {
        axis: node.int_or("axis", -1)?,
        epsilon: node.float_or("epsilon", 1e-5)?,
    }))
}

/// InstanceNormalization.
pub(crate) fn import_instance(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(InstanceNormalization { epsilon: node.float_or("epsilon", 1e-5)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_refused};

    #[test]
    fn normalisation_keeps_the_shape_and_checks_the_channels() {
        let batch = BatchNormalization { epsilon: 1e-5 };
        let four = |x, scale| [x, scale, "f32[3]", "f32[3]", "f32[3]"];
        check(batch, &four("f32[N, 3, H]", "f32[3]"), "f32[N, 3, H]");
        check(batch, &four("f16[N, C, H]", "f32[3]"), "f16[N, C, H]");
        check(batch, &four("f32[N, 3, H]", "f32[4]"), "input 1 must have 3 elements, not 4");
        check(batch, &["f32[5]", "f32[1]", "f32[1]", "f32[1]", "f32[1]"], "f32[5]");
        check(batch, &["f32[5, 3]", "f32[3]", "f32[3]", "f32[3]"], "input 4 is missing");
        let instance = InstanceNormalization { epsilon: 1e-5 };
        check(instance, &["f32[N, 3, H]", "f32[3]", "f32[3]"], "f32[N, 3, H]");
        check(
            instance,
            &["f32[N, 3]", "f32[3]", "f32[3]"],
            "input 0 needs 3 dimensions, its shape is [N, 3]",
        );
    }

    #[test]
    fn layers_also_give_their_statistics() {
        let layer = |axis| LayerNormalization { axis, epsilon: 1e-5 };
        check(layer(-1), &["f32[N, S, 8]", "f32[8]", "f32[8]"], "f32[N, S, 8]");
        check(layer(1), &["f16[N, 4, 8]", "f16[4, 8]"], "f16[N, 4, 8] | f32[N, 1, 1] | f32[N, 1, 1]");
        check(layer(3), &["f32[N, 4, 8]", "f32[8]"], "axis 3 does not exist in 3 dimensions");
        check(layer(-1), &["f32[N, 4, 8]", "f32[7]"], "input 1 of shape [7] does not broadcast to [N, 4, 8]");
        let stash = node("LayerNormalization", &["x", "s"], &["y"]).int("stash_type", 16);
        check_refused(&stash, 17, "attribute \"stash_type\": 16 is not supported, only 1 (f32)");
    }
}
