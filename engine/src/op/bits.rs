//! Operators on the bits of integers.
//!
//! Two inputs broadcast as in numpy. Shifts are for unsigned integers; what is shifted out is lost, and a shift by as many
//! bits as there are, or more, leaves 0.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INTEGER, UNSIGNED};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `a, b`: a function of the bits of two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bitwise {
    /// Bits that both have.
    And,
    /// Bits that one has.
    Or,
    /// Bits that exactly one has.
    Xor,
    /// The bits of `a`, `b` places to the left.
    ShiftLeft,
    /// The bits of `a`, `b` places to the right.
    ShiftRight,
}

impl Op for Bitwise {
    fn name(&self) -> &'static str {
        match self {
            Bitwise::And => "BitwiseAnd",
            Bitwise::Or => "BitwiseOr",
            Bitwise::Xor => "BitwiseXor",
            Bitwise::ShiftLeft | Bitwise::ShiftRight => "BitShift",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let types = match self {
            Bitwise::ShiftLeft | Bitwise::ShiftRight => &UNSIGNED,
            _ => &INTEGER,
        };
        let a = inputs.typed(0, types)?;
        let b = inputs.alike(1, a)?;
        rules::one(a.element, rules::broadcast([&a.shape, &b.shape])?)
    }
}

/// `x`: the bits that each integer does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BitwiseNot;

impl Op for BitwiseNot {
    fn name(&self) -> &'static str {
        "BitwiseNot"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &INTEGER)?;
        rules::one(x.element, x.shape.clone())
    }
}

/// BitwiseAnd, BitwiseOr, BitwiseXor and BitShift.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(match node.op_type() {
        "BitwiseAnd" => Bitwise::And,
        "BitwiseOr" => Bitwise::Or,
        "BitwiseXor" => Bitwise::Xor,
        _ => match node.text("direction")? {
            Some("LEFT") => Bitwise::ShiftLeft,
            Some("RIGHT") => Bitwise::ShiftRight,
            other => {
                let problem = alloc::format!("{:?} is neither LEFT nor RIGHT", other.unwrap_or_default());
                return Err(node.refuse_attribute("direction", problem));
            }
        },
    }))
}

/// BitwiseNot.
pub(crate) fn import_not(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(BitwiseNot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn integers_broadcast_and_shifts_are_unsigned() {
        check(Bitwise::And, &["i16[N, 1]", "i16[3]"], "i16[N, 3]");
        check(Bitwise::ShiftLeft, &["u8[2]", "u8[]"], "u8[2]");
        check(BitwiseNot, &["u64[N]"], "u64[N]");
        check(Bitwise::Or, &["bool[2]", "bool[2]"], "input 0 is bool; an integer type is needed");
        let signed = "input 0 is i8; an unsigned integer type is needed";
        check(Bitwise::ShiftRight, &["i8[2]", "i8[2]"], signed);
        check(BitwiseNot, &["f32[2]"], "input 0 is f32; an integer type is needed");
    }

    #[test]
    fn a_shift_needs_a_direction() {
        let shift = node("BitShift", &["x", "n"], &["y"]);
        check_import(&shift.clone().text("direction", "LEFT"), 11, Bitwise::ShiftLeft, &[]);
        check_import(&shift.clone().text("direction", "RIGHT"), 13, Bitwise::ShiftRight, &[]);
        check_refused(&shift, 11, "attribute \"direction\": \"\" is neither LEFT nor RIGHT");
    }
}
