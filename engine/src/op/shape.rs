//! Shapes as values, and values from shapes.
//!
//! ShapeOf and SizeOf are constants as soon as the extents are fixed, which is what lets all arithmetic on shapes fold
//! away. An extent that is only a name does not become a value.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, INT64, RANGE, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data`: its extents, as i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShapeOf {
    /// First dimension that is told; negative counts from the end.
    pub start: i64,
    /// Behind the last dimension that is told; negative counts from the end, `None` is the rank.
    pub end: Option<i64>,
}

impl ShapeOf {
    /// The dimensions that are told, of `rank`. Positions beyond the ends are brought to them.
    pub fn range(&self, rank: usize) -> core::ops::Range<usize> {
        let place = |position: i64| {
            let position = if position < 0 { position.saturating_add(rank as i64) } else { position };
            usize::try_from(position.max(0)).map_or(rank, |position| position.min(rank))
        };
        let start = place(self.start);
        start..self.end.map_or(rank, place).max(start)
    }
}

impl Op for ShapeOf {
    fn name(&self) -> &'static str {
        "Shape"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.required(0)?;
        let Some(dims) = data.shape.dims() else {
            return rules::one(ElementType::I64, ShapeFact::of_rank(1));
        };
        let told = &dims[self.range(dims.len())];
        let extents: Option<Vec<i64>> = told.iter().map(|dim| i64::try_from(dim.fixed()?).ok()).collect();
        let constant = extents.and_then(|extents| Tensor::from_slice(&extents, [extents.len()]).ok());
        Ok(alloc::vec![match constant {
            Some(tensor) => Fact::constant(tensor),
            None => Fact::fixed(ElementType::I64, &[told.len()]),
        }])
    }
}

/// `data`: its number of elements, as one i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SizeOf;

impl Op for SizeOf {
    fn name(&self) -> &'static str {
        "Size"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let data = inputs.required(0)?;
        let count = match data.shape.dims() {
            Some(dims) => rules::product(dims)?.fixed(),
            None => None,
        };
        Ok(alloc::vec![match count.and_then(|count| i64::try_from(count).ok()) {
            Some(count) => Fact::constant(Tensor::scalar(count)),
            None => Fact::fixed(ElementType::I64, &[]),
        }])
    }
}

/// `shape`: a tensor of this shape, one value everywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConstantOfShape {
    /// The value: one element, whose type is that of the output.
    #[serde(with = "crate::store::tensor")]
    pub value: Tensor,
}

impl Op for ConstantOfShape {
    fn name(&self) -> &'static str {
        "ConstantOfShape"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let shape = inputs.typed(0, &INT64)?;
        rules::check_rank_is(0, &shape.shape, 1)?;
        let shape = match shape.integers() {
            Some(extents) => rules::extents(0, &extents)?[..].into(),
            None => rules::unknown_of(rules::vector_len(shape)),
        };
        rules::one(self.value.element(), shape)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[0]
    }
}

/// `start, limit, delta`: `start, start + delta, ...` as long as it is before `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range;

impl Op for Range {
    fn name(&self) -> &'static str {
        "Range"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let start = inputs.typed(0, &RANGE)?;
        let limit = inputs.alike(1, start)?;
        let delta = inputs.alike(2, start)?;
        for (index, fact) in [start, limit, delta].into_iter().enumerate() {
            rules::check_single(index, Some(fact))?;
        }
        let count = match (number(start), number(limit), number(delta)) {
            (Some(start), Some(limit), Some(delta)) => Dim::Fixed(count(start, limit, delta)?),
            _ => Dim::Unknown,
        };
        rules::one(start.element, ShapeFact(Some(alloc::vec![count])))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[0, 1, 2]
    }
}

/// A bound or step of a [`Range`].
#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Real(f64),
}

fn number(fact: &Fact) -> Option<Number> {
    let tensor = fact.constant.as_ref()?;
    let real = match tensor.element() {
        ElementType::F32 => f64::from(*tensor.to_vec::<f32>().ok()?.first()?),
        ElementType::F64 => *tensor.to_vec::<f64>().ok()?.first()?,
        _ => return fact.integers()?.first().copied().map(Number::Integer),
    };
    Some(Number::Real(real))
}

fn count(start: Number, limit: Number, delta: Number) -> Result<usize, OpError> {
    let refuse = || shape_error(format!("no range from {start:?} to {limit:?} by {delta:?}"));
    match (start, limit, delta) {
        (Number::Integer(start), Number::Integer(limit), Number::Integer(delta)) if delta != 0 => {
            let (way, delta) = (i128::from(limit) - i128::from(start), i128::from(delta));
            // Both have the same sign, so the quotient is positive and this rounds it up.
            let steps = (way + delta - delta.signum()) / delta;
            if way.signum() != delta.signum() { Ok(0) } else { usize::try_from(steps).or_else(|_| refuse()) }
        }
        (Number::Real(start), Number::Real(limit), Number::Real(delta)) => {
            let steps = libm::ceil((limit - start) / delta);
            if steps.is_nan() || steps > isize::MAX as f64 || delta == 0.0 {
                return refuse();
            }
            Ok(steps.max(0.0) as usize)
        }
        _ => refuse(),
    }
}

/// Shape.
pub(crate) fn import_shape(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(ShapeOf { start: node.int_or("start", 0)?, end: node.int("end")? }))
}

/// Size.
pub(crate) fn import_size(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(SizeOf))
}

/// ConstantOfShape.
pub(crate) fn import_constant_of_shape(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let value = node.tensor("value")?.unwrap_or_else(|| Tensor::scalar(0.0f32));
    if value.len() != 1 {
        return Err(node.refuse_attribute("value", format!("has {} elements instead of one", value.len())));
    }
    Ok(Imported::with(ConstantOfShape { value }))
}

/// Range.
pub(crate) fn import_range(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(Range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn fixed_shapes_are_constants() {
        let shape = |start, end| ShapeOf { start, end };
        check(shape(0, None), &["f32[2, 3, 4]"], "i64{2, 3, 4}");
        check(shape(1, Some(-1)), &["f32[N, 3, 4]"], "i64{3}");
        check(shape(-1, None), &["f32[N, 3, 4]"], "i64{4}");
        check(shape(0, None), &["f32[N, 3, 4]"], "i64[3]");
        check(shape(0, None), &["f32[...]"], "i64[?]");
        check(shape(0, None), &["f32[]"], "i64{}");
        check(shape(i64::MIN, Some(i64::MAX)), &["f32[2]"], "i64{2}");
        check(shape(2, Some(1)), &["f32[2, 3, 4]"], "i64{}");
        check(SizeOf, &["f32[2, 3]"], "i64(6)");
        check(SizeOf, &["f32[]"], "i64(1)");
        check(SizeOf, &["f32[N, 0]"], "i64(0)");
        check(SizeOf, &["f32[N, 3]"], "i64[]");
    }

    #[test]
    fn shapes_become_tensors() {
        let ones = || ConstantOfShape { value: Tensor::from_slice(&[1i64], [1]).unwrap() };
        check(ones(), &["i64{2, 3}"], "i64[2, 3]");
        check(ones(), &["i64{}"], "i64[]");
        check(ones(), &["i64[2]"], "i64[?, ?]");
        check(ones(), &["i64[?]"], "i64[...]");
        check(ones(), &["i64{-2}"], "input 0 asks for an extent of -2");
        check(ones(), &["i32{2}"], "input 0 is i32; i64 is needed");
        let plain = node("ConstantOfShape", &["s"], &["y"]);
        let zero = plain.import(9).unwrap();
        let zero = zero.op.downcast::<ConstantOfShape>().unwrap();
        assert_eq!(zero.value.to_vec::<f32>().unwrap(), [0.0]);
        let two = Tensor::from_slice(&[1i64, 2], [2]).unwrap();
        check_refused(&plain.tensor("value", &two), 9, "attribute \"value\": has 2 elements instead of one");
    }

    #[test]
    fn ranges_count_their_steps() {
        let cases = [
            (["i64(0)", "i64(10)", "i64(3)"], "i64[4]"),
            (["i64(10)", "i64(0)", "i64(-5)"], "i64[2]"),
            (["i64(0)", "i64(10)", "i64(-1)"], "i64[0]"),
            (["i64(3)", "i64(3)", "i64(1)"], "i64[0]"),
            (["i32(0)", "i32(9)", "i32(3)"], "i32[3]"),
            (["f32(0)", "f32(1)", "f32(0.3)"], "f32[4]"),
            (["f32(1)", "f32(0)", "f32(0.5)"], "f32[0]"),
            (["i64(0)", "i64[]", "i64(1)"], "i64[?]"),
            (
                ["i64(-9223372036854775808)", "i64(9223372036854775807)", "i64(1)"],
                "i64[18446744073709551615]",
            ),
            (["i64(0)", "i64(5)", "i64(0)"], "no range from Integer(0) to Integer(5) by Integer(0)"),
            (["f32(0)", "f32(inf)", "f32(1)"], "no range from Real(0.0) to Real(inf) by Real(1.0)"),
            (["f32(0)", "f32(NaN)", "f32(1)"], "no range from Real(0.0) to Real(NaN) by Real(1.0)"),
            (["u8(0)", "u8(5)", "u8(1)"], "input 0 is u8; f32, f64, i16, i32 or i64 is needed"),
            (
                ["i64(0)", "i32(5)", "i64(1)"],
                "input 1 is i32; it must have the same type as the input before",
            ),
            (["i64(0)", "i64[2]", "i64(1)"], "input 1 must be one number, its shape is [2]"),
        ];
        for (inputs, expect) in cases {
            check(Range, &inputs, expect);
        }
        let shape = node("Shape", &["x"], &["y"]).int("start", 1);
        check_import(&shape, 15, ShapeOf { start: 1, end: None }, &[]);
    }
}
