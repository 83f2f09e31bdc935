//! Functions of one number, applied to every element.

use alloc::vec::Vec;

use inferry_core::ElementType;

use super::rules::{self, BOOL, FLOAT, NUMBER, SIGNED};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;

/// `x`: a function of each element. The output has the shape and type of `x` (bool for the questions).
#[derive(Clone, Copy, Debug, PartialEq)]
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
