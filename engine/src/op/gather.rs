//! Elements picked by index.
//!
//! Shapes follow from the shapes of data and indices alone; whether an index lies inside the data is seen only in the run.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, indices`: slices of `data` along an axis; the indices' dimensions take the axis' place. Negative indices count from
/// the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn indices_take_the_place_of_the_axis() {
        let gather = |axis| Gather { axis };
        check(gather(0), &["f32[30000, 384]", "i64[B, S]"], "f32[B, S, 384]");
        check(gather(1), &["f32[N, 3, 4]", "i32[]"], "f32[N, 4]");
        check(gather(-1), &["f32[N, 3]", "i64{0, 1}"], "f32[N, 2]");
        check(gather(0), &["f32[...]", "i64[]"], "f32[...]");
        check(gather(0), &["f32[3]", "i64[...]"], "f32[...]");
        check(gather(2), &["f32[N, 3]", "i64[]"], "axis 2 does not exist in 2 dimensions");
        check(gather(0), &["f32[]", "i64[]"], "axis 0 does not exist in 0 dimensions");
        check(gather(0), &["f32[3]", "f32[]"], "input 1 is f32; i32 or i64 is needed");
        check(
            gather(0),
            &["f32[1, 1, 1, 1, 1]", "i64[1, 1, 1, 1, 1]"],
            "9 dimensions; at most 8 are supported",
        );
    }

    #[test]
    fn tuples_of_indices_pick_slices() {
        let nd = |batch_dims| GatherNd { batch_dims };
        check(nd(0), &["f32[2, 3, 4]", "i64[7, 2]"], "f32[7, 4]");
        check(nd(0), &["f32[2, 3, 4]", "i64[1]"], "f32[3, 4]");
        check(nd(1), &["f32[B, 3, 4]", "i64[B, 7, 1]"], "f32[B, 7, 4]");
        check(nd(0), &["f32[2, 3]", "i64[7, ?]"], "f32[...]");
        check(
            nd(0),
            &["f32[2, 3]", "i64[]"],
            "input 1 is a scalar; its last dimension must hold the indices",
        );
        check(
            nd(0),
            &["f32[2, 3]", "i64[7, 3]"],
            "tuples of 3 indices into 2 dimensions behind 0 shared ones",
        );
        check(nd(3), &["f32[2, 3]", "i64[7, 2]"], "batch_dims is 3, the inputs are [2, 3] and [7, 2]");
        check(nd(1), &["f32[2, 3]", "i64[7, 1]"], "extents 2 and 7 must be equal");
    }

    #[test]
    fn elements_have_the_shape_of_the_indices() {
        let elements = GatherElements { axis: 1 };
        check(elements, &["f32[3, 3]", "i64[2, 9]"], "f32[2, 9]");
        check(elements, &["f32[N, 3]", "i64[...]"], "f32[...]");
        check(elements, &["f32[3, 3]", "i64[4, 3]"], "indices of shape [4, 3] reach beyond [3, 3]");
        check(elements, &["f32[3, 3]", "i64[3]"], "input 1 must have 2 dimensions, its shape is [3]");
        check(elements, &["f32[3]", "i64[3]"], "axis 1 does not exist in 1 dimensions");
    }

    #[test]
    fn attributes_have_their_defaults() {
        let plain = |name| node(name, &["x", "i"], &["y"]);
        check_import(&plain("Gather"), 6, Gather { axis: 0 }, &[]);
        check_import(&plain("GatherND").int("batch_dims", 1), 12, GatherNd { batch_dims: 1 }, &[]);
        check_import(&plain("GatherElements").int("axis", -1), 11, GatherElements { axis: -1 }, &[]);
    }
}
