//! Edges put around a tensor, or cut off.
//!
//! [`Pad::resolve`] says for these facts and for the kernels how much goes where. What is put there is the kernels' business.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::Tensor;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, INT64, shape_error};
use super::{CastLike, Inputs, Op, OpError, legacy};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, pads, value?, axes?`: so many elements added at the begin and end of each axis (begins first, then ends); negative
/// numbers cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pad {
    /// What is put there.
    pub mode: PadMode,
}

/// What a [`Pad`] puts at the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PadMode {
    /// The value of the third input, or zero.
    Constant,
    /// The data mirrored at the edge, the edge itself not repeated.
    Reflect,
    /// The element at the edge.
    Edge,
    /// The data from the other end, as if it were a ring.
    Wrap,
}

impl Pad {
    /// Elements added at begin and end of each of `rank` dimensions, from the values of `pads` and `axes`.
    pub fn resolve(rank: usize, pads: &[i64], axes: Option<&[i64]>) -> Result<Vec<(i64, i64)>, OpError> {
        let count = axes.map_or(rank, <[i64]>::len);
        if pads.len() != 2 * count {
            return shape_error(format!(
                "input 1 has {} numbers; {count} axes need {}",
                pads.len(),
                2 * count
            ));
        }
        let mut edges = alloc::vec![(0, 0); rank];
        if let Some(axes) = axes {
            rules::axes_mask(axes, rank)?;
        }
        for index in 0..count {
            let position = axes.map_or(Ok(index), |axes| rules::axis(axes[index], rank))?;
            edges[position] = (pads[index], pads[count + index]);
        }
        Ok(edges)
    }

    fn padded(&self, position: usize, dim: &Dim, (begin, end): (i64, i64)) -> Result<Dim, OpError> {
        if (begin, end) == (0, 0) {
            return Ok(dim.clone());
        }
        let Some(extent) = dim.fixed() else { return Ok(Dim::Unknown) };
        let kept = extent as i128 + i128::from(begin.min(0)) + i128::from(end.min(0));
        let total = extent as i128 + i128::from(begin) + i128::from(end);
        if kept < 0 {
            return shape_error(format!("more is cut off dimension {position} than its {extent} elements"));
        }
        if self.mode != PadMode::Constant && kept == 0 && total > 0 {
            return shape_error(format!("dimension {position} has no elements to repeat at its edges"));
        }
        usize::try_from(total).map(Dim::Fixed).map_err(|_| rules::too_large())
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let data = inputs.required(0)?;
        let pads = inputs.typed(1, &INT64)?;
        rules::check_single(2, inputs.alike_optional(2, data)?)?;
        let axes = inputs.typed_optional(3, &INDEX)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::unknown()) };
        let stated = axes.and_then(Fact::integers);
        let shape = match (pads.integers(), axes.is_none() || stated.is_some()) {
            (Some(pads), true) => {
                let edges = Pad::resolve(dims.len(), &pads, stated.as_deref())?;
                let each = dims.iter().zip(edges).enumerate();
                each.map(|(index, (dim, edge))| self.padded(index, dim, edge)).collect::<Result<_, _>>()?
            }
            (_, true) if stated.is_some() => {
                let mask = rules::axes_mask(stated.as_deref().unwrap_or_default(), dims.len())?;
                let keep = |(dim, padded): (&Dim, bool)| if padded { Dim::Unknown } else { dim.clone() };
                dims.iter().zip(mask).map(keep).collect()
            }
            _ => alloc::vec![Dim::Unknown; dims.len()],
        };
        rules::one(data.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 3]
    }
}

/// Pad; before operator set 11 the pads and the value were attributes.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=4, 1..=1)?;
    let mode = match node.text("mode")? {
        None | Some("constant") => PadMode::Constant,
        Some("reflect") => PadMode::Reflect,
        Some("edge") => PadMode::Edge,
        Some("wrap") => PadMode::Wrap,
        Some(other) => return Err(node.refuse_attribute("mode", format!("\"{other}\" is not known"))),
    };
    if !node.has_input(1) && !node.has("pads") {
        return Err(node.refuse("the pads are missing"));
    }
    let imported = legacy::ints_as_input(node, Pad { mode }, "pads", 1)?;
    // Zero is what is put there anyway, of the data's own type.
    match node.float("value")?.filter(|value| *value != 0.0) {
        Some(value) => {
            let like = CastLike { saturate: true };
            Ok(imported.constant(2, Tensor::scalar(value)).prepare(2, like))
        }
        None => Ok(imported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn edges_are_added_or_cut_off() {
        let constant = Pad { mode: PadMode::Constant };
        let cases: &[(&[&str], &str)] = &[
            (&["f32[2, N]", "i64{1, 0, 3, 0}"], "f32[6, N]"),
            (&["f32[2, N]", "i64{0, 1, 0, 0}"], "f32[2, ?]"),
            (&["f32[5]", "i64{-1, -2}"], "f32[2]"),
            (&["f32[5]", "i64{-5, 3}"], "f32[3]"),
            (&["f32[2, 3]", "i64{1, 2}", "f32(1)", "i64{-1}"], "f32[2, 6]"),
            (&["f16[2]", "i64{1, 2}", "f16[]"], "f16[5]"),
            (&["f32[2, 3]", "i64[4]"], "f32[?, ?]"),
            (&["f32[2, 3]", "i64[2]", "", "i64{1}"], "f32[2, ?]"),
            (&["f32[2, 3]", "i64{1, 2}", "", "i64[1]"], "f32[?, ?]"),
            (&["f32[...]", "i64{1, 1}"], "f32[...]"),
            (&["f32[5]", "i64{-4, -2}"], "more is cut off dimension 0 than its 5 elements"),
            (&["f32[5]", "i64{1}"], "input 1 has 1 numbers; 1 axes need 2"),
            (&["f32[5]", "i64{9223372036854775807, 9223372036854775807}"], "an extent overflows"),
            (&["f32[5]", "i64{-9223372036854775808, 0}"], "more is cut off dimension 0 than its 5 elements"),
            (
                &["i32[5]", "i64{1, 1}", "f32(1)"],
                "input 2 is f32; it must have the same type as the input before",
            ),
            (&["f32[5]", "i64{1, 1}", "f32[2]"], "input 2 must be one number, its shape is [2]"),
            (&["f32[5]", "i64{1, 1}", "", "i64{1}"], "axis 1 does not exist in 1 dimensions"),
        ];
        for (inputs, expect) in cases {
            check(constant, inputs, expect);
        }
        let edge = Pad { mode: PadMode::Edge };
        check(edge, &["f32[0]", "i64{1, 1}"], "dimension 0 has no elements to repeat at its edges");
        check(edge, &["f32[1]", "i64{1, 1}"], "f32[3]");
    }

    #[test]
    fn pads_and_value_were_attributes() {
        let old = node("Pad", &["x"], &["y"]).ints("pads", &[1, 1]).text("mode", "reflect");
        check_import(&old, 6, Pad { mode: PadMode::Reflect }, &["1: i64{1, 1}"]);
        let constant = node("Pad", &["x"], &["y"]).ints("pads", &[1, 1]);
        check_import(
            &constant.clone().float("value", 0.0),
            6,
            Pad { mode: PadMode::Constant },
            &["1: i64{1, 1}"],
        );
        let valued = constant.float("value", 2.0);
        check_import(&valued, 6, Pad { mode: PadMode::Constant }, &["1: i64{1, 1}", "2: f32(2.0)"]);
        let new = node("Pad", &["x", "pads", "", "axes"], &["y"]).text("mode", "wrap");
        check_import(&new, 19, Pad { mode: PadMode::Wrap }, &[]);
        check_refused(&node("Pad", &["x"], &["y"]), 11, "the pads are missing");
        let mirror = node("Pad", &["x", "pads"], &["y"]).text("mode", "mirror");
        check_refused(&mirror, 19, "attribute \"mode\": \"mirror\" is not known");
    }
}
