//! Elements picked by index.

use alloc::format;
use alloc::vec::Vec;

use super::rules::{self, INDEX, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, indices`: slices of `data` along an axis; the indices' dimensions take the axis' place. Negative indices count from
/// the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let indices = inputs.typed(1, &INDEX)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::unknown()) };
        let axis = rules::axis(self.axis, dims.len())?;
        let Some(picked) = indices.shape.dims() else {
            return rules::one(data.element, ShapeFact::unknown());
        };
        let shape = [&dims[..axis], picked, &dims[axis + 1..]].concat();
        rules::one(data.element, ShapeFact(Some(shape)))
    }
}

/// `data, indices`: slices of `data` picked by tuples of indices, which are the last dimension of `indices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherNd {
    /// How many leading dimensions data and indices share, element by element.
    pub batch_dims: usize,
}

impl Op for GatherNd {
    fn name(&self) -> &'static str {
        "GatherND"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let indices = inputs.typed(1, &INT64)?;
        let unknown = || rules::one(data.element, ShapeFact::unknown());
        let (Some(dims), Some(picked)) = (data.shape.dims(), indices.shape.dims()) else { return unknown() };
        let Some((tuple, places)) = picked.split_last() else {
            return shape_error("input 1 is a scalar; its last dimension must hold the indices".into());
        };
        let batch = self.batch_dims;
        if batch > places.len() || batch > dims.len() {
            return shape_error(format!(
                "batch_dims is {batch}, the inputs are {} and {}",
                data.shape, indices.shape
            ));
        }
        let mut shape = places.to_vec();
        for index in 0..batch {
            shape[index] = rules::unify_dim(&dims[index], &places[index])?;
        }
        let Some(tuple) = tuple.fixed() else { return unknown() };
        if tuple == 0 || tuple > dims.len() - batch {
            return shape_error(format!(
                "tuples of {tuple} indices into {} dimensions behind {batch} shared ones",
                dims.len() - batch
            ));
        }
        shape.extend_from_slice(&dims[batch + tuple..]);
        rules::one(data.element, ShapeFact(Some(shape)))
    }
}

/// `data, indices`: for each index the element of `data` at its own place, only along the axis at the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherElements {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Op for GatherElements {
    fn name(&self) -> &'static str {
        "GatherElements"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let indices = inputs.typed(1, &INDEX)?;
        if let Some(dims) = data.shape.dims() {
            let axis = rules::axis(self.axis, dims.len())?;
            rules::check_rank_is(1, &indices.shape, dims.len())?;
            let extents = dims.iter().zip(indices.shape.dims().unwrap_or_default()).enumerate();
            for (index, (have, picked)) in extents {
                let beyond =
                    matches!((have, picked), (Dim::Fixed(have), Dim::Fixed(picked)) if picked > have);
                if index != axis && beyond {
                    return shape_error(format!(
                        "indices of shape {} reach beyond {}",
                        indices.shape, data.shape
                    ));
                }
            }
        }
        rules::one(data.element, indices.shape.clone())
    }
}

/// Gather.
pub(crate) fn import_gather(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(Gather { axis: node.int_or("axis", 0)? }))
}

/// GatherND.
pub(crate) fn import_gather_nd(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(GatherNd { batch_dims: node.count_or("batch_dims", 0)? }))
}

/// GatherElements.
pub(crate) fn import_gather_elements(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(GatherElements { axis: node.int_or("axis", 0)? }))
}
