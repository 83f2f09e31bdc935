//! Reductions: many numbers along some axes become one.
//!
//! The axes are a value, so the shape of the output is known only as far as the axes are. The order in which numbers are
//! added is the kernels' business.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, NUMBER, ORDERED, WIDE, shape_error};
use super::{Inputs, Op, OpError, legacy};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, axes?`: one number for all elements along the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reduce {
    /// What is taken.
    pub kind: ReduceKind,
    /// Whether the reduced dimensions stay, with extent 1.
    pub keep_dims: bool,
    /// Without axes (or with an empty list): nothing is reduced when true, everything when false.
    pub noop_with_empty_axes: bool,
}

/// What a [`Reduce`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReduceKind {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The product.
    Prod,
    /// The sum of absolute values.
    L1,
    /// The root of the sum of squares.
    L2,
    /// The logarithm of the sum.
    LogSum,
    /// The logarithm of the sum of exponentials.
    LogSumExp,
    /// The sum of squares.
    SumSquare,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "ReduceSum",
            ReduceKind::Mean => "ReduceMean",
            ReduceKind::Max => "ReduceMax",
            ReduceKind::Min => "ReduceMin",
            ReduceKind::Prod => "ReduceProd",
            ReduceKind::L1 => "ReduceL1",
            ReduceKind::L2 => "ReduceL2",
            ReduceKind::LogSum => "ReduceLogSum",
            ReduceKind::LogSumExp => "ReduceLogSumExp",
            ReduceKind::SumSquare => "ReduceSumSquare",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let types = match self.kind {
            ReduceKind::Max | ReduceKind::Min => &ORDERED,
            _ => &WIDE,
        };
        let data = inputs.typed(0, types)?;
        let axes = inputs.typed_optional(1, &INT64)?;
        rules::one(data.element, self.shape(&data.shape, axes)?)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

impl Reduce {
    fn shape(&self, data: &ShapeFact, axes: Option<&Fact>) -> Result<ShapeFact, OpError> {
        let Some(dims) = data.dims() else { return Ok(ShapeFact::unknown()) };
        // How many axes there are, even if not which.
        let count = axes.map_or(Some(0), rules::vector_len);
        let axes = match axes {
            _ if count == Some(0) => Some(Vec::new()),
            Some(axes) => axes.integers(),
            None => None,
        };
        let Some(axes) = axes else {
            return Ok(match count {
                _ if self.keep_dims => ShapeFact::of_rank(dims.len()),
                Some(count) if count <= dims.len() => ShapeFact::of_rank(dims.len() - count),
                Some(count) => {
                    return shape_error(format!("{count} axes for {} dimensions", dims.len()));
                }
                None => ShapeFact::unknown(),
            });
        };
        if axes.is_empty() && self.noop_with_empty_axes {
            return Ok(data.clone());
        }
        let reduced = if axes.is_empty() {
            alloc::vec![true; dims.len()]
        } else {
            rules::axes_mask(&axes, dims.len())?
        };
        Ok(without(dims, &reduced, self.keep_dims))
    }
}

/// `data`: where along the axis the largest or smallest element is, as i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ArgReduce {
    /// The largest when true, the smallest when false.
    pub max: bool,
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether the reduced dimension stays, with extent 1.
    pub keep_dims: bool,
    /// Which of several equal elements: the last when true, the first when false.
    pub select_last: bool,
}

impl Op for ArgReduce {
    fn name(&self) -> &'static str {
        if self.max { "ArgMax" } else { "ArgMin" }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.typed(0, &NUMBER)?;
        let Some(dims) = data.shape.dims() else { return rules::one(ElementType::I64, ShapeFact::unknown()) };
        let axis = rules::axis(self.axis, dims.len())?;
        if dims[axis] == Dim::Fixed(0) {
            return shape_error(format!(
                "no element is the largest or smallest along axis {axis} of {}",
                data.shape
            ));
        }
        let reduced: Vec<bool> = (0..dims.len()).map(|index| index == axis).collect();
        rules::one(ElementType::I64, without(dims, &reduced, self.keep_dims))
    }
}

/// The dimensions without the reduced ones, or with ones in their place.
fn without(dims: &[Dim], reduced: &[bool], keep_dims: bool) -> ShapeFact {
    let kept = dims.iter().zip(reduced).filter_map(|(dim, reduced)| match (reduced, keep_dims) {
        (false, _) => Some(dim.clone()),
        (true, true) => Some(Dim::Fixed(1)),
        (true, false) => None,
    });
    ShapeFact(Some(kept.collect()))
}

/// ReduceSum and its family; before operator set 18 (ReduceSum: 13) the axes were an attribute.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    let kind = match node.op_type() {
        "ReduceSum" => ReduceKind::Sum,
        "ReduceMean" => ReduceKind::Mean,
        "ReduceMax" => ReduceKind::Max,
        "ReduceMin" => ReduceKind::Min,
        "ReduceProd" => ReduceKind::Prod,
        "ReduceL1" => ReduceKind::L1,
        "ReduceL2" => ReduceKind::L2,
        "ReduceLogSum" => ReduceKind::LogSum,
        "ReduceLogSumExp" => ReduceKind::LogSumExp,
        "ReduceSumSquare" => ReduceKind::SumSquare,
        _ => return Err(node.refuse("is no reduction")),
    };
    let reduce = Reduce {
        kind,
        keep_dims: node.flag("keepdims", true)?,
        noop_with_empty_axes: node.flag("noop_with_empty_axes", false)?,
    };
    legacy::ints_as_input(node, reduce, "axes", 1)
}

/// ArgMax and ArgMin.
pub(crate) fn import_arg(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(ArgReduce {
        max: node.op_type() == "ArgMax",
        axis: node.int_or("axis", 0)?,
        keep_dims: node.flag("keepdims", true)?,
        select_last: node.flag("select_last_index", false)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    const SUM: Reduce = Reduce { kind: ReduceKind::Sum, keep_dims: true, noop_with_empty_axes: false };

    #[test]
    fn reduced_dimensions_become_one_or_go() {
        let drop = Reduce { keep_dims: false, ..SUM };
        let noop = Reduce { noop_with_empty_axes: true, ..SUM };
        let cases = [
            (SUM, ["f32[N, 3, 4]", "i64{1}"], "f32[N, 1, 4]"),
            (drop, ["f32[N, 3, 4]", "i64{-1, 0}"], "f32[3]"),
            (SUM, ["f32[N, 3]", ""], "f32[1, 1]"),
            (drop, ["f32[N, 3]", "i64{}"], "f32[]"),
            (noop, ["f32[N, 3]", ""], "f32[N, 3]"),
            (noop, ["f32[N, 3]", "i64{0}"], "f32[1, 3]"),
            // Axes that are not known yet leave their number, if that is known.
            (SUM, ["f32[N, 3]", "i64[1]"], "f32[?, ?]"),
            (drop, ["f32[N, 3]", "i64[1]"], "f32[?]"),
            (drop, ["f32[N, 3]", "i64[?]"], "f32[...]"),
            (SUM, ["f32[...]", "i64{0}"], "f32[...]"),
            (SUM, ["f32[N, 3]", "i64{2}"], "axis 2 does not exist in 2 dimensions"),
            (SUM, ["f32[N, 3]", "i64{0, -2}"], "axis -2 is named twice"),
            (drop, ["f32[N]", "i64[2]"], "2 axes for 1 dimensions"),
            (SUM, ["i8[N]", ""], "input 0 is i8; a float type or an integer type of 32 or 64 bits is needed"),
            (SUM, ["f32[N]", "f32[1]"], "input 1 is f32; i64 is needed"),
        ];
        for (op, inputs, expect) in cases {
            check(op, &inputs, expect);
        }
        check(Reduce { kind: ReduceKind::Max, ..SUM }, &["bool[2]"], "bool[1]");
    }

    #[test]
    fn the_place_of_an_element_is_i64() {
        let arg = |axis, keep_dims| ArgReduce { max: true, axis, keep_dims, select_last: false };
        check(arg(1, true), &["f32[N, 3]"], "i64[N, 1]");
        check(arg(-2, false), &["u8[N, 3]"], "i64[3]");
        check(arg(2, false), &["f32[N, 3]"], "axis 2 does not exist in 2 dimensions");
        check(arg(1, false), &["f32[N, 0]"], "no element is the largest or smallest along axis 1 of [N, 0]");
    }

    #[test]
    fn axes_were_attributes() {
        let sum = node("ReduceSum", &["x"], &["y"]).ints("axes", &[1, 2]).int("keepdims", 0);
        check_import(&sum, 11, Reduce { keep_dims: false, ..SUM }, &["1: i64{1, 2}"]);
        let sum = node("ReduceSum", &["x", "axes"], &["y"]).int("noop_with_empty_axes", 1);
        check_import(&sum, 13, Reduce { noop_with_empty_axes: true, ..SUM }, &[]);
        let min = node("ReduceMin", &["x"], &["y"]);
        check_import(&min, 6, Reduce { kind: ReduceKind::Min, ..SUM }, &[]);
        let arg = node("ArgMin", &["x"], &["y"]).int("axis", -1).int("select_last_index", 1);
        check_import(&arg, 12, ArgReduce { max: false, axis: -1, keep_dims: true, select_last: true }, &[]);
    }
}
