//! Functions of two and more numbers, element by element, with shapes that broadcast as in numpy.
//!
//! Both inputs have one type; nothing is widened or converted on the way (Pow's exponent is the one exception of the
//! standard). What older models say about broadcasting is in [`super::align`].

use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, ANY, BOOL, FLOAT, NUMBER, WIDE};
use super::{CastLike, Inputs, Op, OpError, align};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `a, b`: a function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`; integers are cut towards zero.
    Div,
    /// `a` to the power of `b`; `b` may have another type, the result has that of `a`.
    Pow,
    /// What is left of a division.
    Mod {
        /// Whether the result has the sign of `a` (C's `fmod`) instead of that of `b`.
        fmod: bool,
    },
    /// `a` where not negative, else `a * b`; `b` broadcasts to `a`.
    PRelu,
    /// Both.
    And,
    /// At least one.
    Or,
    /// Exactly one.
    Xor,
    /// `a == b`.
    Equal,
    /// `a < b`.
    Less,
    /// `a <= b`.
    LessOrEqual,
    /// `a > b`.
    Greater,
    /// `a >= b`.
    GreaterOrEqual,
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
            Binary::Pow => "Pow",
            Binary::Mod { .. } => "Mod",
            Binary::PRelu => "PRelu",
            Binary::And => "And",
            Binary::Or => "Or",
            Binary::Xor => "Xor",
            Binary::Equal => "Equal",
            Binary::Less => "Less",
            Binary::LessOrEqual => "LessOrEqual",
            Binary::Greater => "Greater",
            Binary::GreaterOrEqual => "GreaterOrEqual",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        use Binary::*;
        inputs.at_most(2, 1)?;
        let types = match self {
            And | Or | Xor => &BOOL,
            Equal => &ANY,
            Pow | PRelu => &WIDE,
            _ => &NUMBER,
        };
        let a = inputs.typed(0, types)?;
        let b = if *self == Pow { inputs.typed(1, &NUMBER)? } else { inputs.alike(1, a)? };
        let element = match self {
            And | Or | Xor | Equal | Less | LessOrEqual | Greater | GreaterOrEqual => ElementType::Bool,
            _ => a.element,
        };
        if *self == PRelu {
            rules::broadcasts_to(1, &b.shape, &a.shape)?;
            return rules::one(element, a.shape.clone());
        }
        rules::one(element, rules::broadcast([&a.shape, &b.shape])?)
    }
}

/// `inputs...`: a function of one and more elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Variadic {
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The sum.
    Sum,
    /// The mean.
    Mean,
}

impl Op for Variadic {
    fn name(&self) -> &'static str {
        match self {
            Variadic::Max => "Max",
            Variadic::Min => "Min",
            Variadic::Sum => "Sum",
            Variadic::Mean => "Mean",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let types = match self {
            Variadic::Max | Variadic::Min => &NUMBER,
            Variadic::Sum | Variadic::Mean => &FLOAT,
        };
        let first = inputs.typed(0, types)?;
        for index in 1..inputs.len() {
            inputs.alike(index, first)?;
        }
        rules::one(first.element, rules::broadcast(inputs.present().map(|fact| &fact.shape))?)
    }
}

/// `condition, x, y`: `x` where the condition holds, else `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Where;

impl Op for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let condition = inputs.typed(0, &BOOL)?;
        let x = inputs.required(1)?;
        let y = inputs.alike(2, x)?;
        rules::one(x.element, rules::broadcast([&condition.shape, &x.shape, &y.shape])?)
    }
}

/// `x, min?, max?`: `x` brought between two scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Clip;

impl Op for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &NUMBER)?;
        for index in [1, 2] {
            rules::check_single(index, inputs.alike_optional(index, x)?)?;
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// All functions of two numbers: their names tell which.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let op = match node.op_type() {
        "Add" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Pow" => Binary::Pow,
        "Mod" => Binary::Mod { fmod: node.flag("fmod", false)? },
        "PRelu" => Binary::PRelu,
        "And" => Binary::And,
        "Or" => Binary::Or,
        "Xor" => Binary::Xor,
        "Equal" => Binary::Equal,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        _ => return Err(node.refuse("is no function of two numbers")),
    };
    align::at_axis(node, op)
}

/// Max, Min, Sum and Mean.
pub(crate) fn import_variadic(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=usize::MAX, 1..=1)?;
    Ok(Imported::with(match node.op_type() {
        "Max" => Variadic::Max,
        "Min" => Variadic::Min,
        "Sum" => Variadic::Sum,
        "Mean" => Variadic::Mean,
        _ => return Err(node.refuse("is no function of many numbers")),
    }))
}

/// Where.
pub(crate) fn import_where(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(Where))
}

/// Clip; before operator set 11 the bounds were attributes.
pub(crate) fn import_clip(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=3, 1..=1)?;
    let mut imported = Imported::with(Clip);
    for (position, name) in [(1, "min"), (2, "max")] {
        if let Some(bound) = node.float(name)? {
            let like = CastLike { saturate: true };
            imported = imported.constant(position, Tensor::scalar(bound)).prepare(position, like);
        }
    }
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn two_inputs_broadcast_and_agree_in_type() {
        let cases = [
            (Binary::Add, ["f32[N, 1, 4]", "f32[3, 1]"], "f32[N, 3, 4]"),
            (Binary::Mul, ["u8[2]", "u8[]"], "u8[2]"),
            (Binary::Equal, ["string[2]", "string[2]"], "bool[2]"),
            (Binary::Less, ["i64[2]", "i64[1]"], "bool[2]"),
            (Binary::And, ["bool[2]", "bool[2]"], "bool[2]"),
            (Binary::Pow, ["f32[2]", "i64[]"], "f32[2]"),
            (Binary::PRelu, ["f32[1, 3, N, N]", "f32[3, 1, 1]"], "f32[1, 3, N, N]"),
            (
                Binary::Add,
                ["f32[2]", "f64[2]"],
                "input 1 is f64; it must have the same type as the input before",
            ),
            (Binary::Add, ["bool[2]", "bool[2]"], "input 0 is bool; a number type is needed"),
            (Binary::Or, ["f32[2]", "f32[2]"], "input 0 is f32; bool is needed"),
            (
                Binary::Pow,
                ["u8[2]", "u8[2]"],
                "input 0 is u8; a float type or an integer type of 32 or 64 bits is needed",
            ),
            (Binary::Add, ["f32[2]", "f32[3]"], "[2] does not broadcast with [3]"),
            (
                Binary::PRelu,
                ["f32[1, 3]", "f32[4, 3]"],
                "input 1 of shape [4, 3] does not broadcast to [1, 3]",
            ),
            (Binary::Add, ["f32[2]", ""], "input 1 is missing"),
        ];
        for (op, inputs, expect) in cases {
            check(op, &inputs, expect);
        }
    }

    #[test]
    fn many_inputs_broadcast_too() {
        check(Variadic::Max, &["i8[2, 1]", "i8[3]", "i8[]"], "i8[2, 3]");
        check(Variadic::Sum, &["f32[N]"], "f32[N]");
        check(Variadic::Mean, &["i32[2]"], "input 0 is i32; a float type is needed");
        check(Variadic::Max, &["f32[2]", "", "f32[2]"], "input 1 is missing");
        check(Where, &["bool[2, 1]", "string[3]", "string[]"], "string[2, 3]");
        check(Where, &["u8[2]", "f32[2]", "f32[2]"], "input 0 is u8; bool is needed");
    }

    #[test]
    fn clip_takes_scalars_of_its_type() {
        check(Clip, &["i32[N]", "i32[]", "i32[1]"], "i32[N]");
        let wrong = "input 2 is f32; it must have the same type as the input before";
        check(Clip, &["f16[N]", "", "f32(6)"], wrong);
        check(Clip, &["i32[N]", "f32(0)"], "input 1 is f32; it must have the same type as the input before");
        check(Clip, &["f32[N]", "", "f32[2]"], "input 2 must be one number, its shape is [2]");
        let clip = node("Clip", &["x"], &["y"]);
        check_import(
            &clip.clone().float("min", 0.0).float("max", 6.0),
            6,
            Clip,
            &["1: f32(0.0)", "2: f32(6.0)"],
        );
        check_import(&clip.clone().float("max", 6.0), 6, Clip, &["2: f32(6.0)"]);
        check_import(&clip, 13, Clip, &[]);
        let bounds = clip.float("min", 0.0).float("max", 6.0).import(6).unwrap().prepare;
        assert_eq!(
            bounds.iter().map(|(input, op)| (*input, op.name())).collect::<Vec<_>>(),
            [(1, "CastLike"), (2, "CastLike")]
        );
    }

    #[test]
    fn names_and_attributes_tell_the_function() {
        let inputs = &["a", "b"];
        check_import(&node("Xor", inputs, &["y"]), 7, Binary::Xor, &[]);
        check_import(&node("Mod", inputs, &["y"]), 10, Binary::Mod { fmod: false }, &[]);
        check_import(&node("Mod", inputs, &["y"]).int("fmod", 1), 10, Binary::Mod { fmod: true }, &[]);
        check_import(&node("Mean", &["a", "b", "c"], &["y"]), 8, Variadic::Mean, &[]);
        check_refused(&node("Add", &["a"], &["y"]), 13, "1 inputs where 2 are wanted");
    }
}
