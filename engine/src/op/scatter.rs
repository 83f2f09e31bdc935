//! Elements put in places told by indices: the way back of [`super::gather`].
//!
//! The output has the shape of the data. Whether an index lies inside the data is seen only in the run. Where two updates
//! go to one place and are not reduced, the last one stays; the standard leaves that open.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, INT64, NUMBER, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact};
use crate::onnx::{ImportError, Imported, NodeView};

/// What becomes of an element and its update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reduction {
    /// The update takes its place.
    None,
    /// Their sum.
    Add,
    /// Their product.
    Mul,
    /// The larger one.
    Max,
    /// The smaller one.
    Min,
}

/// `data, indices, updates`: the data with each update at its own place, only along the axis at its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScatterElements {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// What becomes of the element that was there.
    pub reduction: Reduction,
}

impl Op for ScatterElements {
    fn name(&self) -> &'static str {
        "ScatterElements"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices, updates) = operands(inputs, self.reduction)?;
        INDEX.check(1, indices)?;
        if let Some(dims) = data.shape.dims() {
            let axis = rules::axis(self.axis, dims.len())?;
            rules::check_rank_is(1, &indices.shape, dims.len())?;
            for (index, (have, put)) in dims.iter().zip(indices.shape.dims().unwrap_or_default()).enumerate()
            {
                let beyond = matches!((have, put), (Dim::Fixed(have), Dim::Fixed(put)) if put > have);
                if index != axis && beyond {
                    let (indices, data) = (&indices.shape, &data.shape);
                    return shape_error(format!("indices of shape {indices} reach beyond {data}"));
                }
            }
        }
        if let (Some(a), Some(b)) = (indices.shape.dims(), updates.shape.dims()) {
            same(a, b, indices, updates)?;
        }
        rules::one(data.element, data.shape.clone())
    }
}

/// `data, indices, updates`: the data with the updates in the slices that tuples of indices, the last dimension of `indices`,
/// point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScatterNd {
    /// What becomes of the elements that were there.
    pub reduction: Reduction,
}

impl Op for ScatterNd {
    fn name(&self) -> &'static str {
        "ScatterND"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let (data, indices, updates) = operands(inputs, self.reduction)?;
        INT64.check(1, indices)?;
        if let (Some(dims), Some(places)) = (data.shape.dims(), indices.shape.dims()) {
            let Some((tuple, places)) = places.split_last() else {
                return shape_error("input 1 is a scalar; its last dimension must hold the indices".into());
            };
            if let Some(tuple) = tuple.fixed() {
                if tuple == 0 || tuple > dims.len() {
                    return shape_error(format!("tuples of {tuple} indices into {} dimensions", dims.len()));
                }
                if let Some(given) = updates.shape.dims() {
                    same(&[places, &dims[tuple..]].concat(), given, indices, updates)?;
                }
            }
        }
        rules::one(data.element, data.shape.clone())
    }
}

/// The three inputs, their types checked but for that of the indices.
fn operands<'a>(
    inputs: &Inputs<'a>,
    reduction: Reduction,
) -> Result<(&'a Fact, &'a Fact, &'a Fact), OpError> {
    inputs.at_most(3, 1)?;
    let data = match reduction {
        Reduction::None => inputs.required(0)?,
        _ => inputs.typed(0, &NUMBER)?,
    };
    let indices = inputs.required(1)?;
    let updates = inputs.required(2)?;
    if updates.element != data.element {
        let wanted = "it must have the same type as the data";
        return Err(OpError::Element { input: 2, actual: updates.element, wanted });
    }
    Ok((data, indices, updates))
}

/// Refuses updates of another shape than the indices want.
fn same(wanted: &[Dim], given: &[Dim], indices: &Fact, updates: &Fact) -> Result<(), OpError> {
    let differs = |(a, b): (&Dim, &Dim)| matches!((a, b), (Dim::Fixed(a), Dim::Fixed(b)) if a != b);
    if wanted.len() != given.len() || wanted.iter().zip(given).any(differs) {
        return shape_error(format!(
            "updates of shape {} do not fit indices of shape {}",
            updates.shape, indices.shape
        ));
    }
    Ok(())
}

fn reduction(node: &NodeView<'_>) -> Result<Reduction, ImportError> {
    Ok(match node.text("reduction")? {
        None | Some("none") => Reduction::None,
        Some("add") => Reduction::Add,
        Some("mul") => Reduction::Mul,
        Some("max") => Reduction::Max,
        Some("min") => Reduction::Min,
        Some(other) => return Err(node.refuse_attribute("reduction", format!("{other:?} is none"))),
    })
}

/// ScatterElements, and Scatter, as it was called before operator set 11.
pub(crate) fn import_elements(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(ScatterElements { axis: node.int_or("axis", 0)?, reduction: reduction(node)? }))
}

/// ScatterND.
pub(crate) fn import_nd(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(ScatterNd { reduction: reduction(node)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn the_data_keep_their_shape() {
        let elements = |axis| ScatterElements { axis, reduction: Reduction::None };
        check(elements(0), &["f32[N, 3]", "i64[2, 3]", "f32[2, 3]"], "f32[N, 3]");
        check(elements(-1), &["bool[2, 3]", "i32[2, 9]", "bool[2, 9]"], "bool[2, 3]");
        check(elements(0), &["f32[...]", "i64[2]", "f32[...]"], "f32[...]");
        let reach = "indices of shape [3, 1] reach beyond [2, 3]";
        check(elements(1), &["f32[2, 3]", "i64[3, 1]", "f32[3, 1]"], reach);
        let misfit = "updates of shape [2, 1] do not fit indices of shape [2, 2]";
        check(elements(1), &["f32[2, 3]", "i64[2, 2]", "f32[2, 1]"], misfit);
        let other = "input 2 is f64; it must have the same type as the data";
        check(elements(1), &["f32[2, 3]", "i64[2, 2]", "f64[2, 2]"], other);
        let sum = ScatterElements { axis: 0, reduction: Reduction::Add };
        check(sum, &["bool[2]", "i64[1]", "bool[1]"], "input 0 is bool; a number type is needed");
    }

    #[test]
    fn tuples_of_indices_point_to_slices() {
        let nd = ScatterNd { reduction: Reduction::None };
        check(nd, &["f32[4, N, 4]", "i64[2, 1]", "f32[2, N, 4]"], "f32[4, N, 4]");
        check(nd, &["string[8]", "i64[4, 1]", "string[4]"], "string[8]");
        check(nd, &["f32[4, 4]", "i64[2, ?]", "f32[...]"], "f32[4, 4]");
        let misfit = "updates of shape [2, 3] do not fit indices of shape [2, 1]";
        check(nd, &["f32[4, 4]", "i64[2, 1]", "f32[2, 3]"], misfit);
        check(nd, &["f32[4, 4]", "i64[2, 3]", "f32[2]"], "tuples of 3 indices into 2 dimensions");
        check(
            nd,
            &["f32[4]", "i64[]", "f32[]"],
            "input 1 is a scalar; its last dimension must hold the indices",
        );
        check(nd, &["f32[4]", "i32[1, 1]", "f32[1]"], "input 1 is i32; i64 is needed");
    }

    #[test]
    fn scatter_is_scatter_elements() {
        let inputs = &["x", "i", "u"];
        let plain = ScatterElements { axis: 0, reduction: Reduction::None };
        check_import(&node("Scatter", inputs, &["y"]), 9, plain, &[]);
        let new = node("ScatterElements", inputs, &["y"]).int("axis", 1).text("reduction", "max");
        check_import(&new, 18, ScatterElements { axis: 1, reduction: Reduction::Max }, &[]);
        let nd = node("ScatterND", inputs, &["y"]);
        check_import(&nd.clone().text("reduction", "mul"), 16, ScatterNd { reduction: Reduction::Mul }, &[]);
        check_refused(&nd.text("reduction", "xor"), 16, "attribute \"reduction\": \"xor\" is none");
    }
}
