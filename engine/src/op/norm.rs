//! Normalisation: numbers brought to mean and variance.

use alloc::vec::Vec;

use inferry_core::ElementType;

use super::rules::{self, FLOAT, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, scale, bias, mean, variance`: each channel of `[N, C, ...]` with the statistics of the training.
#[derive(Clone, Copy, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq)]
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
        let scale = inputs.typed(1, &FLOAT)?;
        let bias = inputs.typed_optional(2, &FLOAT)?;
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
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// BatchNormalization, with the statistics of the training.
pub(crate) fn import_batch(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(5..=5, 1..=5)?;
    if node.flag("training_mode", false)? {
        return Err(node.refuse_attribute("training_mode", "training is not supported"));
    }
    // Before operator set 14 the further outputs told that the node trains.
    if node.outputs() > 1 {
        return Err(node.refuse("outputs beyond the first are for training, which is not supported"));
    }
    if !node.flag("spatial", true)? {
        let problem = "0 (statistics for each element instead of each channel) is not supported";
        return Err(node.refuse_attribute("spatial", problem));
    }
    Ok(Imported::with(BatchNormalization { epsilon: node.float_or("epsilon", 1e-5)? }))
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
