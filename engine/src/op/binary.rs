//! Functions of two and more numbers, element by element, with shapes that broadcast as in numpy.

use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};

use super::rules::{self, ANY, BOOL, FLOAT, NUMBER, WIDE};
use super::{Inputs, Op, OpError, legacy};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `a, b`: a function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// `x, min?, max?`: `x` brought between two scalars, which have the type of `x`. With `x` of another float type they may also
/// be f32: older models have them as attributes, and those are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clip;

impl Op for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &NUMBER)?;
        for index in [1, 2] {
            rules::check_single(index, inputs.alike_or_f32(index, x)?)?;
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// All functions of two numbers: their names tell which.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    legacy::refuse_axis(node)?;
    Ok(Imported::with(match node.op_type() {
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
    }))
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
            imported = imported.constant(position, Tensor::scalar(bound));
        }
    }
    Ok(imported)
}
