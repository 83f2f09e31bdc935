//! From real numbers to small integers and back: `real = (integer - zero_point) * scale`.
//!
//! Here are types, shapes, and which numbers share a scale; rounding and saturation are the kernels' business. The small
//! numbers may be floats of 8 bits, too, which are what the quotient is nearest to.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, QUANTIZABLE, QUANTIZED, QUANTIZED_OR_INT32, SCALE, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, scale, zero_point?`: to integers, rounded to even, saturated. Scale and zero point are scalars, vectors along
/// `axis`, or, with a block size, of the rank of `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuantizeLinear {
    /// The axis of a vector of scales or of the blocks; negative counts from the end.
    pub axis: i64,
    /// How many neighbours along the axis share a scale; 0 when there are no blocks.
    pub block_size: usize,
    /// The type of the output when there is no zero point, whose type it has otherwise.
    pub to: ElementType,
    /// For floats of 8 bits: whether what is beyond the largest becomes that (else infinity, or no number).
    pub saturate: bool,
}

impl Op for QuantizeLinear {
    fn name(&self) -> &'static str {
        "QuantizeLinear"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &QUANTIZABLE)?;
        let scale = inputs.typed(1, &QUANTIZABLE)?;
        let zero = inputs.typed_optional(2, &QUANTIZED)?;
        check_scale(self.axis, self.block_size, &x.shape, &scale.shape)?;
        check_zero_point(scale, zero)?;
        rules::one(zero.map_or(self.to, |zero| zero.element), x.shape.clone())
    }
}

/// `x, scale, zero_point?`: to real numbers of the type of the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DequantizeLinear {
    /// The axis of a vector of scales or of the blocks; negative counts from the end.
    pub axis: i64,
    /// How many neighbours along the axis share a scale; 0 when there are no blocks.
    pub block_size: usize,
}

impl Op for DequantizeLinear {
    fn name(&self) -> &'static str {
        "DequantizeLinear"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &QUANTIZED_OR_INT32)?;
        let scale = inputs.typed(1, &SCALE)?;
        let zero = inputs.alike_optional(2, x)?;
        check_scale(self.axis, self.block_size, &x.shape, &scale.shape)?;
        check_zero_point(scale, zero)?;
        rules::one(scale.element, x.shape.clone())
    }
}

/// `x`: to u8 with the scale and zero point that fit the range of `x`. Outputs `y, scale, zero_point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DynamicQuantizeLinear;

impl Op for DynamicQuantizeLinear {
    fn name(&self) -> &'static str {
        "DynamicQuantizeLinear"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 3)?;
        let x = inputs.typed(0, &rules::FLOAT32)?;
        let mut facts = alloc::vec![
            Fact::new(ElementType::U8, x.shape.clone()),
            Fact::fixed(ElementType::F32, &[]),
            Fact::fixed(ElementType::U8, &[]),
        ];
        facts.truncate(inputs.outputs());
        rules::several(facts)
    }
}

/// Refuses a scale that is not one number, a vector along the axis, or one number for each block.
fn check_scale(axis: i64, block: usize, x: &ShapeFact, scale: &ShapeFact) -> Result<(), OpError> {
    let (Some(dims), Some(scales)) = (x.dims(), scale.dims()) else { return Ok(()) };
    let refuse = || {
        shape_error(format!("a scale of shape {scale} does not fit {x} with axis {axis}, block size {block}"))
    };
    if block == 0 {
        return match scales {
            // One number for all, whatever the axis says.
            [] | [Dim::Fixed(1)] => Ok(()),
            [extent] => rules::unify_dim(extent, &dims[rules::axis(axis, dims.len())?]).map(drop),
            _ => refuse(),
        };
    }
    let axis = rules::axis(axis, dims.len())?;
    if scales.len() != dims.len() {
        return refuse();
    }
    for (index, (dim, given)) in dims.iter().zip(scales).enumerate() {
        let wanted =
            if index == axis { dim.fixed().map(|extent| extent.div_ceil(block)) } else { dim.fixed() };
        if matches!((wanted, given.fixed()), (Some(wanted), Some(given)) if wanted != given) {
            return refuse();
        }
    }
    Ok(())
}

/// Refuses a zero point of another shape than the scale.
fn check_zero_point(scale: &Fact, zero: Option<&Fact>) -> Result<(), OpError> {
    let Some((zero, (Some(wanted), Some(given)))) =
        zero.map(|zero| (zero, (scale.shape.dims(), zero.shape.dims())))
    else {
        return Ok(());
    };
    let single = |dims: &[Dim]| dims.iter().all(|dim| *dim == Dim::Fixed(1));
    let equal = || {
        wanted.len() == given.len()
            && wanted.iter().zip(given).all(|(a, b)| a.fixed().is_none() || b.fixed().is_none() || a == b)
    };
    if (single(wanted) && single(given)) || equal() {
        return Ok(());
    }
    shape_error(format!("a zero point of shape {} with a scale of shape {}", zero.shape, scale.shape))
}

/// QuantizeLinear.
pub(crate) fn import_quantize(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    // 0 stands for "that of the zero point", as does leaving it out.
    let stated = match node.int("output_dtype")? {
        None | Some(0) => None,
        Some(_) => node.element("output_dtype")?,
    };
    Ok(Imported::with(QuantizeLinear {
        axis: node.int_or("axis", 1)?,
        block_size: node.count_or("block_size", 0)?,
        to: stated.unwrap_or(ElementType::U8),
        saturate: node.flag("saturate", true)?,
    }))
}

/// DequantizeLinear.
pub(crate) fn import_dequantize(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    Ok(Imported::with(DequantizeLinear {
        axis: node.int_or("axis", 1)?,
        block_size: node.count_or("block_size", 0)?,
    }))
}

/// DynamicQuantizeLinear.
pub(crate) fn import_dynamic(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=3)?;
    Ok(Imported::with(DynamicQuantizeLinear))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn the_zero_point_tells_the_type() {
        let quantize = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
        check(quantize, &["f32[N, 3]", "f32[]", "i8[]"], "i8[N, 3]");
        check(quantize, &["f16[N, 3]", "f16[3]"], "u8[N, 3]");
        check(quantize, &["f32[N, 3]", "f32[1]", "u16[]"], "u16[N, 3]");
        check(QuantizeLinear { to: ElementType::I16, ..quantize }, &["f32[2]", "f32[]"], "i16[2]");
        check(quantize, &["f32[N, 3]", "f32[4]"], "extents 4 and 3 must be equal");
        check(
            quantize,
            &["f32[N, 3]", "f32[3]", "u8[2]"],
            "a zero point of shape [2] with a scale of shape [3]",
        );
        check(quantize, &["f32[3]", "f32[3]"], "axis 1 does not exist in 1 dimensions");
        check(
            quantize,
            &["f32[3]", "f32[]", "i32[]"],
            "input 2 is i32; an integer type of 4, 8 or 16 bits or a float type of 8 is needed",
        );
        check(quantize, &["i8[3]", "f32[]"], "input 0 is i8; f16, bf16, f32 or i32 is needed");
    }

    #[test]
    fn the_scale_tells_the_type_of_real_numbers() {
        let back = DequantizeLinear { axis: 0, block_size: 0 };
        check(back, &["i8[5, 3]", "f32[5]", "i8[5]"], "f32[5, 3]");
        check(back, &["i32[N]", "f16[]"], "f16[N]");
        check(
            back,
            &["u8[N]", "f32[]", "i8[]"],
            "input 2 is i8; it must have the same type as the input before",
        );
        let blocks = DequantizeLinear { axis: 1, block_size: 2 };
        check(blocks, &["i8[4, 5]", "f32[4, 3]", "i8[4, 3]"], "f32[4, 5]");
        check(
            blocks,
            &["i8[4, 5]", "f32[4, 2]"],
            "a scale of shape [4, 2] does not fit [4, 5] with axis 1, block size 2",
        );
        check(DynamicQuantizeLinear, &["f32[N, 3]"], "u8[N, 3] | f32[] | u8[]");
        check(DynamicQuantizeLinear, &["f16[N]"], "input 0 is f16; f32 is needed");
    }

    #[test]
    fn versions_differ_in_axis_blocks_and_type() {
        let quantize = node("QuantizeLinear", &["x", "s"], &["y"]);
        let expect = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
        check_import(&quantize, 10, expect, &[]);
        let new = quantize.clone().int("axis", 0).int("block_size", 16).int("output_dtype", 3);
        check_import(
            &new,
            21,
            QuantizeLinear { axis: 0, block_size: 16, to: ElementType::I8, saturate: true },
            &[],
        );
        let half_byte = quantize.clone().int("output_dtype", 22).int("saturate", 0);
        check_import(
            &half_byte,
            21,
            QuantizeLinear { axis: 1, block_size: 0, to: ElementType::I4, saturate: false },
            &[],
        );
        let complex = quantize.int("output_dtype", 14);
        check_refused(&complex, 21, "attribute \"output_dtype\": element type complex64 is not supported");
        let back = node("DequantizeLinear", &["x", "s", "z"], &["y"]).int("axis", -1);
        check_import(&back, 13, DequantizeLinear { axis: -1, block_size: 0 }, &[]);
    }
}
