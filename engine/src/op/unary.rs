//! Functions of one number, applied to every element.
//!
//! One enum for all: their facts differ only in which types go in and whether bool comes out. Quantized forms are no
//! members; they are QuantizeLinear and DequantizeLinear around one.

use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, BOOL, FLOAT, NUMBER, SIGNED};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: a function of each element. The output has the shape and type of `x` (bool for the questions).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Unary {
    /// Absolute value.
    Abs,
    /// `-x`.
    Neg,
    /// The exponential.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// The error function.
    Erf,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x * max(0, min(1, x / 6 + 0.5))`.
    HardSwish,
    /// `ln(exp(x) + 1)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x * tanh(softplus(x))`.
    Mish,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Arc sine.
    Asin,
    /// Arc cosine.
    Acos,
    /// Arc tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// The largest integer not above `x`.
    Floor,
    /// The smallest integer not below `x`.
    Ceil,
    /// The nearest integer, halves to the even one.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// The other truth value.
    Not,
    /// Whether `x` is not a number.
    IsNaN,
    /// Whether `x` is infinite.
    IsInf {
        /// Whether positive infinity counts.
        positive: bool,
        /// Whether negative infinity counts.
        negative: bool,
    },
    /// `x` where positive, else `alpha * x`.
    LeakyRelu {
        /// The slope of the negative side.
        alpha: f32,
    },
    /// `x` where positive, else `alpha * (exp(x) - 1)`.
    Elu {
        /// Where the negative side ends.
        alpha: f32,
    },
    /// `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
    Celu {
        /// Where the negative side ends.
        alpha: f32,
    },
    /// `gamma * x` where positive, else `gamma * (alpha * exp(x) - alpha)`.
    Selu {
        /// Where the negative side ends, before `gamma`.
        alpha: f32,
        /// The factor.
        gamma: f32,
    },
    /// `max(0, min(1, alpha * x + beta))`.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x` where greater than `alpha`, else 0.
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `x * P(a normal variable <= x)`.
    Gelu {
        /// Whether by the approximation with tanh.
        tanh: bool,
    },
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        match self {
            Unary::Abs => "Abs",
            Unary::Neg => "Neg",
            Unary::Exp => "Exp",
            Unary::Log => "Log",
            Unary::Sqrt => "Sqrt",
            Unary::Reciprocal => "Reciprocal",
            Unary::Erf => "Erf",
            Unary::Sigmoid => "Sigmoid",
            Unary::Tanh => "Tanh",
            Unary::Relu => "Relu",
            Unary::HardSwish => "HardSwish",
            Unary::Softplus => "Softplus",
            Unary::Softsign => "Softsign",
            Unary::Mish => "Mish",
            Unary::Sin => "Sin",
            Unary::Cos => "Cos",
            Unary::Tan => "Tan",
            Unary::Asin => "Asin",
            Unary::Acos => "Acos",
            Unary::Atan => "Atan",
            Unary::Sinh => "Sinh",
            Unary::Cosh => "Cosh",
            Unary::Asinh => "Asinh",
            Unary::Acosh => "Acosh",
            Unary::Atanh => "Atanh",
            Unary::Floor => "Floor",
            Unary::Ceil => "Ceil",
            Unary::Round => "Round",
            Unary::Sign => "Sign",
            Unary::Not => "Not",
            Unary::IsNaN => "IsNaN",
            Unary::IsInf { .. } => "IsInf",
            Unary::LeakyRelu { .. } => "LeakyRelu",
            Unary::Elu { .. } => "Elu",
            Unary::Celu { .. } => "Celu",
            Unary::Selu { .. } => "Selu",
            Unary::HardSigmoid { .. } => "HardSigmoid",
            Unary::ThresholdedRelu { .. } => "ThresholdedRelu",
            Unary::Gelu { .. } => "Gelu",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let types = match self {
            Unary::Not => &BOOL,
            Unary::Abs | Unary::Sign | Unary::Erf => &NUMBER,
            Unary::Neg | Unary::Relu => &SIGNED,
            _ => &FLOAT,
        };
        let x = inputs.typed(0, types)?;
        let element = match self {
            Unary::IsNaN | Unary::IsInf { .. } => ElementType::Bool,
            _ => x.element,
        };
        rules::one(element, x.shape.clone())
    }
}

/// All functions of one number: their names tell which, their parameters are attributes.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let alpha = |default| node.float_or("alpha", default);
    Ok(Imported::with(match node.op_type() {
        "Abs" => Unary::Abs,
        "Neg" => Unary::Neg,
        "Exp" => Unary::Exp,
        "Log" => Unary::Log,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Erf" => Unary::Erf,
        "Sigmoid" => Unary::Sigmoid,
        "Tanh" => Unary::Tanh,
        "Relu" => Unary::Relu,
        "HardSwish" => Unary::HardSwish,
        "Softplus" => Unary::Softplus,
        "Softsign" => Unary::Softsign,
        "Mish" => Unary::Mish,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Tan" => Unary::Tan,
        "Asin" => Unary::Asin,
        "Acos" => Unary::Acos,
        "Atan" => Unary::Atan,
        "Sinh" => Unary::Sinh,
        "Cosh" => Unary::Cosh,
        "Asinh" => Unary::Asinh,
        "Acosh" => Unary::Acosh,
        "Atanh" => Unary::Atanh,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Sign" => Unary::Sign,
        "Not" => Unary::Not,
        "IsNaN" => Unary::IsNaN,
        "IsInf" => Unary::IsInf {
            positive: node.flag("detect_positive", true)?,
            negative: node.flag("detect_negative", true)?,
        },
        "LeakyRelu" => Unary::LeakyRelu { alpha: alpha(0.01)? },
        "Elu" => Unary::Elu { alpha: alpha(1.0)? },
        "Celu" => Unary::Celu { alpha: alpha(1.0)? },
        "Selu" => Unary::Selu { alpha: alpha(SELU_ALPHA)?, gamma: node.float_or("gamma", SELU_GAMMA)? },
        "HardSigmoid" => Unary::HardSigmoid { alpha: alpha(0.2)?, beta: node.float_or("beta", 0.5)? },
        "ThresholdedRelu" => Unary::ThresholdedRelu { alpha: alpha(1.0)? },
        "Gelu" => Unary::Gelu { tanh: approximate(node)? },
        _ => return Err(node.refuse("is no function of one number")),
    }))
}

// The standard writes them with more digits than an f32 holds.
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_GAMMA: f32 = 1.050_701;

fn approximate(node: &NodeView<'_>) -> Result<bool, ImportError> {
    match node.text("approximate")? {
        None | Some("none") => Ok(false),
        Some("tanh") => Ok(true),
        Some(other) => Err(node.refuse_attribute("approximate", alloc::format!("\"{other}\" is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn types_and_shapes_follow_the_input() {
        let cases = [
            (Unary::Relu, "f16[N, 3]", "f16[N, 3]"),
            (Unary::Relu, "i32[2]", "i32[2]"),
            (Unary::Abs, "u8[...]", "u8[...]"),
            (Unary::Not, "bool[1, ?]", "bool[1, ?]"),
            (Unary::IsNaN, "f64[4]", "bool[4]"),
            (Unary::IsInf { positive: true, negative: false }, "f32[]", "bool[]"),
            (Unary::Exp, "i64[4]", "input 0 is i64; a float type is needed"),
            (Unary::Neg, "u8[4]", "input 0 is u8; a float or signed integer type is needed"),
            (Unary::Not, "f32[4]", "input 0 is f32; bool is needed"),
            (Unary::Sign, "string[4]", "input 0 is string; a number type is needed"),
            (Unary::Exp, "", "input 0 is missing"),
        ];
        for (op, input, expect) in cases {
            check(op, &[input], expect);
        }
        check(Unary::Exp, &["f32[1]", "f32[1]"], "2 inputs are given, at most 1 are taken");
    }

    #[test]
    fn parameters_have_the_defaults_of_the_standard() {
        let plain = |name| node(name, &["x"], &["y"]);
        check_import(&plain("LeakyRelu"), 6, Unary::LeakyRelu { alpha: 0.01 }, &[]);
        check_import(&plain("LeakyRelu").float("alpha", 0.5), 16, Unary::LeakyRelu { alpha: 0.5 }, &[]);
        check_import(&plain("Selu"), 6, Unary::Selu { alpha: 1.6732632, gamma: 1.050701 }, &[]);
        check_import(&plain("HardSigmoid"), 6, Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, &[]);
        check_import(
            &plain("IsInf").int("detect_negative", 0),
            10,
            Unary::IsInf { positive: true, negative: false },
            &[],
        );
        check_import(&plain("Gelu").text("approximate", "tanh"), 20, Unary::Gelu { tanh: true }, &[]);
        check_refused(
            &plain("Gelu").text("approximate", "erfc"),
            20,
            "attribute \"approximate\": \"erfc\" is not known",
        );
        check_refused(&node("Exp", &[], &["y"]), 13, "0 inputs where 1 are wanted");
    }
}
