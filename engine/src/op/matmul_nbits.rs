//! MatMulNBits of `com.microsoft`: a product with weights of a few bits, which stay packed.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT32, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, NodeView};

/// `a, weights, scales, zero_points?`: `a` times the transpose of a matrix `[columns, depth]`, of which `weights` holds `[columns,
/// blocks, bytes]`: each run of `block` numbers along a row has a scale and a zero point, which stand one after the other in
/// `scales` and `zero_points`. Zero points are f32, or packed like the weights, each row beginning a new byte; without them
/// they are the middle number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MatMulNBits {
    /// Extent that is summed over.
    pub depth: usize,
    /// Last extent of the output.
    pub columns: usize,
    /// Bits of a weight: 2, 4 or 8, the first weight in the lowest bits of a byte.
    pub bits: usize,
    /// Weights that share a scale: a power of two, at least 16.
    pub block: usize,
}

impl MatMulNBits {
    /// Blocks of one row of the weights.
    pub fn blocks(&self) -> usize {
        self.depth.div_ceil(self.block)
    }

    /// Numbers of one row of the weights with its last block filled up.
    pub fn line(&self) -> usize {
        self.blocks() * self.block
    }

    /// Bytes of one block.
    pub fn bytes(&self) -> usize {
        self.block / 8 * self.bits
    }

    /// Bytes of the zero points of one row, when they are packed.
    pub fn zero_bytes(&self) -> usize {
        (self.blocks() * self.bits).div_ceil(8)
    }
}

impl Op for MatMulNBits {
    fn name(&self) -> &'static str {
        "MatMulNBits"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let a = inputs.typed(0, &FLOAT32)?;
        let weights = inputs.required(1)?;
        if weights.element != ElementType::U8 {
            return Err(OpError::Element { input: 1, actual: weights.element, wanted: "u8 is needed" });
        }
        let scales = inputs.typed(2, &FLOAT32)?;
        let count = |extents: &[usize]| {
            extents
                .iter()
                .try_fold(1usize, |product, extent| product.checked_mul(*extent))
                .ok_or_else(rules::too_large)
        };
        check_count(1, weights, count(&[self.columns, self.blocks(), self.bytes()])?)?;
        check_count(2, scales, count(&[self.columns, self.blocks()])?)?;
        if let Some(zeros) = inputs.optional(3) {
            match zeros.element {
                ElementType::U8 => check_count(3, zeros, count(&[self.columns, self.zero_bytes()])?)?,
                real if real.is_float() => check_count(3, zeros, count(&[self.columns, self.blocks()])?)?,
                actual => {
                    return Err(OpError::Element {
                        input: 3,
                        actual,
                        wanted: "u8 or a float type is needed",
                    });
                }
            }
        }
        let shape = match a.shape.dims() {
            Some([outer @ .., depth]) => {
                rules::unify_dim(depth, &Dim::Fixed(self.depth))?;
                let mut shape = outer.to_vec();
                shape.push(Dim::Fixed(self.columns));
                ShapeFact(Some(shape))
            }
            Some([]) => return shape_error("input 0 is a scalar".into()),
            None => ShapeFact::unknown(),
        };
        rules::one(a.element, shape)
    }
}

fn check_count(input: usize, fact: &Fact, wanted: usize) -> Result<(), OpError> {
    match fact.shape.fixed().map(|shape| shape.checked_len()) {
        Some(count) if count != Some(wanted) => {
            shape_error(format!("input {input} must have {wanted} elements, its shape is {}", fact.shape))
        }
        _ => Ok(()),
    }
}

/// MatMulNBits. How exactly onnxruntime may compute (`accuracy_level`) is no matter: this is as exact as f32.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(3..=6, 1..=1)?;
    if node.has_input(4) {
        return Err(node.refuse("groups in another order (g_idx, input 4) are not supported"));
    }
    let required = |name: &str| match node.count_or(name, 0)? {
        0 => Err(node.refuse_attribute(name, "is missing or 0")),
        count => Ok(count),
    };
    let (depth, columns, block) = (required("K")?, required("N")?, required("block_size")?);
    let bits = node.count_or("bits", 4)?;
    if ![2, 4, 8].contains(&bits) {
        return Err(node.refuse_attribute("bits", format!("{bits} is none of 2, 4 and 8")));
    }
    if block < 16 || !block.is_power_of_two() {
        return Err(node.refuse_attribute("block_size", format!("{block} is no power of two from 16 on")));
    }
    let mut f = Fragment::new();
    let [a, weights, scales] = [0, 1, 2].map(|index| f.input(index));
    let zeros = node.has_input(3).then(|| f.input(3));
    // Half floats are computed with as f32.
    let (wide, scales) = (f.cast(a, ElementType::F32), f.cast(scales, ElementType::F32));
    let op = MatMulNBits { depth, columns, bits, block };
    let mut y = f.steps(op, &[Some(wide), Some(weights), Some(scales), zeros], 1)[0];
    y = f.like(y, a);
    if node.has_input(5) {
        let bias = f.input(5);
        y = f.add(y, bias);
    }
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::check;
    use alloc::string::ToString;

    #[test]
    fn packed_weights_have_their_bytes() {
        let op = MatMulNBits { depth: 40, columns: 3, bits: 4, block: 32 };
        check(op, &["f32[N, 40]", "u8[3, 2, 16]", "f32[6]"], "f32[N, 3]");
        check(op, &["f32[40]", "u8[3, 2, 16]", "f32[3, 2]", "u8[3]"], "f32[3]");
        check(op, &["f32[2, 40]", "u8[3, 2, 16]", "f32[6]", "f32[6]"], "f32[2, 3]");
        let message = "input 1 must have 96 elements, its shape is [3, 2, 8]";
        check(op, &["f32[2, 40]", "u8[3, 2, 8]", "f32[6]"], message);
        check(op, &["f32[2, 41]", "u8[3, 2, 16]", "f32[6]"], "extents 41 and 40 must be equal");
        check(op, &["f32[2, 40]", "i8[3, 2, 16]", "f32[6]"], "input 1 is i8; u8 is needed");
    }

    #[test]
    fn forms_that_we_do_not_have_are_refused() {
        let plain = node("MatMulNBits", &["a", "b", "s"], &["y"]).domain("com.microsoft");
        let plain = plain.int("K", 32).int("N", 2);
        let message = |node: crate::onnx::testing::TestNode| {
            let error = node.expand(1, &[]).unwrap_err().to_string();
            error.split_once("attribute ").unwrap().1.to_string()
        };
        assert_eq!(message(plain.clone()), "\"block_size\": is missing or 0");
        assert_eq!(
            message(plain.clone().int("block_size", 24)),
            "\"block_size\": 24 is no power of two from 16 on"
        );
        assert_eq!(message(plain.int("block_size", 32).int("bits", 3)), "\"bits\": 3 is none of 2, 4 and 8");
    }
}
