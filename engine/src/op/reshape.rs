//! The same elements in the same order under another shape.
//!
//! None of these moves an element; devices may let the output share the bytes of the input. Names of extents survive:
//! what stands on both sides of a Reshape cancels out before anything is divided.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, shape_error};
use super::{Inputs, Op, OpError, legacy};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, shape`: -1 stands for what is left over, 0 for the extent of `data` in that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reshape {
    /// Whether 0 means an extent of zero instead.
    pub allow_zero: bool,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let shape = inputs.typed(1, &INT64)?;
        rules::check_rank_is(1, &shape.shape, 1)?;
        let dims = match shape.integers() {
            Some(wanted) => self.dims(&data.shape, &wanted)?,
            None => return rules::one(data.element, rules::unknown_of(rules::vector_len(shape))),
        };
        rules::one(data.element, ShapeFact(Some(dims)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

impl Reshape {
    fn dims(&self, data: &ShapeFact, wanted: &[i64]) -> Result<Vec<Dim>, OpError> {
        let misfit = || shape_error(format!("{data} cannot become {wanted:?}"));
        let mut dims = Vec::new();
        let mut left_over = None;
        for (index, extent) in wanted.iter().enumerate() {
            dims.push(match (*extent, data.dims()) {
                (0, Some(have)) if !self.allow_zero => match have.get(index) {
                    Some(dim) => dim.clone(),
                    None => return misfit(),
                },
                (0, None) if !self.allow_zero => Dim::Unknown,
                (-1, _) if left_over.replace(index).is_none() => Dim::Fixed(1),
                (extent, _) => match usize::try_from(extent) {
                    Ok(extent) => Dim::Fixed(extent),
                    Err(_) => return misfit(),
                },
            });
        }
        let Some(have) = data.dims() else {
            if let Some(index) = left_over {
                dims[index] = Dim::Unknown;
            }
            return Ok(dims);
        };
        let (have, others) = cancel(have, &dims);
        let (have, others) = (rules::product(&have)?, rules::product(&others)?);
        match (left_over, have, others) {
            (None, Dim::Fixed(have), Dim::Fixed(other)) if have != other => return misfit(),
            (None, ..) => {}
            // Nothing divides by zero: with an empty tensor only the other extents can tell.
            (Some(_), Dim::Fixed(_), Dim::Fixed(0)) => return misfit(),
            (Some(index), Dim::Fixed(have), Dim::Fixed(other)) if have % other == 0 => {
                dims[index] = Dim::Fixed(have / other);
            }
            (Some(_), Dim::Fixed(_), Dim::Fixed(_)) => return misfit(),
            (Some(index), have, Dim::Fixed(1)) => dims[index] = have,
            (Some(index), ..) => dims[index] = Dim::Unknown,
        }
        Ok(dims)
    }
}

/// Both lists without the symbols that stand in both, and an unknown extent that was copied to its own place.
fn cancel(have: &[Dim], wanted: &[Dim]) -> (Vec<Dim>, Vec<Dim>) {
    let mut have = have.to_vec();
    let mut wanted = wanted.to_vec();
    for index in 0..have.len().min(wanted.len()) {
        // An unknown extent in the wish can only be a copy of the one in the same place.
        if wanted[index] == Dim::Unknown {
            have[index] = Dim::Fixed(1);
            wanted[index] = Dim::Fixed(1);
        }
    }
    for slot in &mut wanted {
        if !matches!(slot, Dim::Symbol(_)) {
            continue;
        }
        if let Some(same) = have.iter_mut().find(|dim| *dim == slot) {
            *same = Dim::Fixed(1);
            *slot = Dim::Fixed(1);
        }
    }
    (have, wanted)
}

/// `data`: a matrix; the dimensions before `axis` are its rows, those from it on its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flatten {
    /// First dimension of the columns, at most the rank; negative counts from the end.
    pub axis: i64,
}

impl Op for Flatten {
    fn name(&self) -> &'static str {
        "Flatten"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.required(0)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::of_rank(2)) };
        let rank = dims.len();
        let axis = if usize::try_from(self.axis) == Ok(rank) { rank } else { rules::axis(self.axis, rank)? };
        let shape = alloc::vec![rules::product(&dims[..axis])?, rules::product(&dims[axis..])?];
        rules::one(data.element, ShapeFact(Some(shape)))
    }
}

/// `data, axes?`: without these dimensions of extent 1; without axes, without all that are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Squeeze;

impl Op for Squeeze {
    fn name(&self) -> &'static str {
        "Squeeze"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let axes = inputs.typed_optional(1, &INT64)?;
        rules::one(data.element, squeezed(&data.shape, axes)?)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

fn squeezed(data: &ShapeFact, axes: Option<&Fact>) -> Result<ShapeFact, OpError> {
    let Some(dims) = data.dims() else { return Ok(ShapeFact::unknown()) };
    let mask: Vec<bool> = match axes {
        None if dims.iter().any(|dim| dim.fixed().is_none()) => return Ok(ShapeFact::unknown()),
        None => dims.iter().map(|dim| *dim == Dim::Fixed(1)).collect(),
        Some(axes) => match (axes.integers(), rules::vector_len(axes)) {
            (Some(axes), _) => rules::axes_mask(&axes, dims.len())?,
            (None, Some(count)) if count <= dims.len() => return Ok(ShapeFact::of_rank(dims.len() - count)),
            (None, Some(count)) => return shape_error(format!("{count} axes for {} dimensions", dims.len())),
            (None, None) => return Ok(ShapeFact::unknown()),
        },
    };
    let mut kept = Vec::new();
    for (index, (dim, squeeze)) in dims.iter().zip(mask).enumerate() {
        match (squeeze, dim.fixed()) {
            (false, _) => kept.push(dim.clone()),
            (true, Some(1) | None) => {}
            (true, Some(extent)) => {
                return shape_error(format!("dimension {index} has extent {extent}; only 1 can be squeezed"));
            }
        }
    }
    Ok(ShapeFact(Some(kept)))
}

/// `data, axes`: with dimensions of extent 1 at these places of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unsqueeze;

impl Op for Unsqueeze {
    fn name(&self) -> &'static str {
        "Unsqueeze"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let data = inputs.required(0)?;
        let axes = inputs.typed(1, &INT64)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::unknown()) };
        let rank = rules::vector_len(axes).map(|count| count.saturating_add(dims.len()));
        rules::check_rank(&rules::unknown_of(rank))?;
        let (Some(rank), Some(axes)) = (rank, axes.integers()) else {
            return rules::one(data.element, rules::unknown_of(rank));
        };
        let mut kept = dims.iter().cloned();
        let place = |new| if new { Some(Dim::Fixed(1)) } else { kept.next() };
        let shape = rules::axes_mask(&axes, rank)?.into_iter().filter_map(place).collect();
        rules::one(data.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// Reshape.
pub(crate) fn import_reshape(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(Reshape { allow_zero: node.flag("allowzero", false)? }))
}

/// Flatten.
pub(crate) fn import_flatten(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(Flatten { axis: node.int_or("axis", 1)? }))
}

/// Squeeze; before operator set 13 the axes were an attribute.
pub(crate) fn import_squeeze(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    legacy::ints_as_input(node, Squeeze, "axes", 1)
}

/// Unsqueeze; before operator set 13 the axes were an attribute.
pub(crate) fn import_unsqueeze(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    if !node.has_input(1) && !node.has("axes") {
        return Err(node.refuse("the axes are missing"));
    }
    legacy::ints_as_input(node, Unsqueeze, "axes", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn reshape_fills_in_what_is_left_open() {
        let cases = [
            (["f32[2, 3, 4]", "i64{6, 4}"], "f32[6, 4]"),
            (["f32[2, 3, 4]", "i64{0, -1}"], "f32[2, 12]"),
            (["f32[2, 3, 4]", "i64{-1}"], "f32[24]"),
            (["f32[]", "i64{1, 1}"], "f32[1, 1]"),
            (["f32[1]", "i64{}"], "f32[]"),
            (["f32[0, 3]", "i64{0, -1}"], "[0, 3] cannot become [0, -1]"),
            (["f32[0, 3]", "i64{-1, 3}"], "f32[0, 3]"),
            // Names cancel out: heads of attention, rows of a batch.
            (["f32[B, S, 384]", "i64{0, 0, 12, 32}"], "f32[B, S, 12, 32]"),
            (["f32[B, S, 12, 32]", "i64{0, 0, -1}"], "f32[B, S, 384]"),
            (["f32[B, 4, 3]", "i64{-1, 12}"], "f32[?, 12]"),
            (["f32[B, 1, 3]", "i64{-1, 3}"], "f32[?, 3]"),
            (["f32[B, 1, 1]", "i64{-1}"], "f32[B]"),
            (["f32[?, 4, 3]", "i64{0, -1}"], "f32[?, 12]"),
            (["f32[...]", "i64{0, -1, 5}"], "f32[?, ?, 5]"),
            (["f32[2, 3]", "i64[3]"], "f32[?, ?, ?]"),
            (["f32[2, 3]", "i64[?]"], "f32[...]"),
            (["f32[2, 3]", "i64{4, 2}"], "[2, 3] cannot become [4, 2]"),
            (["f32[2, 3]", "i64{4, -1}"], "[2, 3] cannot become [4, -1]"),
            (["f32[2, 3]", "i64{-1, -1}"], "[2, 3] cannot become [-1, -1]"),
            (["f32[2, 3]", "i64{-2, 3}"], "[2, 3] cannot become [-2, 3]"),
            (["f32[6]", "i64{6, 0}"], "[6] cannot become [6, 0]"),
            (["f32[2]", "i64[9]"], "9 dimensions; at most 8 are supported"),
            (["f32[2]", "i64[99999999999]"], "9 dimensions; at most 8 are supported"),
            (["f32[2]", "i64[1, 1]"], "input 1 must have 1 dimensions, its shape is [1, 1]"),
            (["f32[2]", "i64{9223372036854775807, 9223372036854775807}"], "the number of elements overflows"),
            (["f32[2]", "i32{2}"], "input 1 is i32; i64 is needed"),
        ];
        for (inputs, expect) in cases {
            check(Reshape { allow_zero: false }, &inputs, expect);
        }
        check(Reshape { allow_zero: true }, &["f32[2, 0]", "i64{0, 5}"], "f32[0, 5]");
        check(Reshape { allow_zero: true }, &["f32[2, 3]", "i64{0, 5}"], "[2, 3] cannot become [0, 5]");
    }

    #[test]
    fn flatten_makes_a_matrix() {
        let flatten = |axis| Flatten { axis };
        check(flatten(1), &["f32[N, 3, 4]"], "f32[N, 12]");
        check(flatten(0), &["f32[2, 3, 4]"], "f32[1, 24]");
        check(flatten(3), &["f32[2, 3, 4]"], "f32[24, 1]");
        check(flatten(-1), &["f32[2, 3, 4]"], "f32[6, 4]");
        check(flatten(2), &["f32[N, 3, 4]"], "f32[?, 4]");
        check(flatten(1), &["f32[...]"], "f32[?, ?]");
        check(flatten(4), &["f32[2, 3, 4]"], "axis 4 does not exist in 3 dimensions");
    }

    #[test]
    fn dimensions_of_one_come_and_go() {
        let squeeze = [
            (["f32[1, N, 1]", "i64{0}"], "f32[N, 1]"),
            (["f32[1, 3, 1]", "i64{-1, 0}"], "f32[3]"),
            (["f32[1, 3, 1]", ""], "f32[3]"),
            (["f32[1, N, 1]", ""], "f32[...]"),
            (["f32[?, 3]", "i64{0}"], "f32[3]"),
            (["f32[1, 3, 1]", "i64[1]"], "f32[?, ?]"),
            (["f32[1, 3, 1]", "i64[4]"], "4 axes for 3 dimensions"),
            (["f32[1, 3]", "i64{1}"], "dimension 1 has extent 3; only 1 can be squeezed"),
            (["f32[1, 3]", "i64{2}"], "axis 2 does not exist in 2 dimensions"),
        ];
        for (inputs, expect) in squeeze {
            check(Squeeze, &inputs, expect);
        }
        let unsqueeze = [
            (["f32[N, 3]", "i64{0, -1}"], "f32[1, N, 3, 1]"),
            (["f32[]", "i64{0}"], "f32[1]"),
            (["f32[N, 3]", "i64(1)"], "f32[N, 1, 3]"),
            (["f32[N, 3]", "i64[2]"], "f32[?, ?, ?, ?]"),
            (["f32[N, 3]", "i64[?]"], "f32[...]"),
            (["f32[N, 3]", "i64{0, 0}"], "axis 0 is named twice"),
            (["f32[N, 3]", "i64{3}"], "axis 3 does not exist in 3 dimensions"),
            (["f32[1, 1, 1, 1, 1, 1, 1, 1]", "i64{0}"], "9 dimensions; at most 8 are supported"),
        ];
        for (inputs, expect) in unsqueeze {
            check(Unsqueeze, &inputs, expect);
        }
    }

    #[test]
    fn axes_were_attributes() {
        check_import(&node("Squeeze", &["x"], &["y"]).ints("axes", &[0, 2]), 6, Squeeze, &["1: i64{0, 2}"]);
        check_import(&node("Squeeze", &["x"], &["y"]), 11, Squeeze, &[]);
        check_import(&node("Unsqueeze", &["x"], &["y"]).ints("axes", &[-1]), 11, Unsqueeze, &["1: i64{-1}"]);
        check_import(&node("Unsqueeze", &["x", "axes"], &["y"]), 13, Unsqueeze, &[]);
        check_refused(&node("Unsqueeze", &["x"], &["y"]), 13, "the axes are missing");
        let reshape = node("Reshape", &["x", "shape"], &["y"]);
        check_import(&reshape.clone().int("allowzero", 1), 14, Reshape { allow_zero: true }, &[]);
        check_import(&reshape, 6, Reshape { allow_zero: false }, &[]);
        check_import(&node("Flatten", &["x"], &["y"]), 6, Flatten { axis: 1 }, &[]);
    }
}
