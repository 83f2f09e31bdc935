//! Programs: several elementwise operators as one expression, so that a block of numbers stays in cache (or registers)
//! from the first to the last of them.
//!
//! A [`Program`] is a list of steps over `f32`; each step names earlier steps and inputs. Inputs broadcast to the shape of
//! the result, and so does nothing else: every step has the shape of the result. The pass `fuse` makes programs;
//! devices run them block by block or, as the tail of another operator, on what that has just computed
//! ([`Fused`]). A program has no loops, no memory and no reductions.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{broadcast, broadcasts_to};
use super::{Binary, Inputs, Op, OpError, Unary};
use crate::graph::Fact;

/// Where a step takes a number from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arg {
    /// Input of the program, broadcast to the result.
    Input(usize),
    /// Result of an earlier step.
    Step(usize),
}

/// One elementwise operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// A function of one number.
    Unary(Unary, Arg),
    /// A function of two numbers: Add, Sub, Mul, Div, Pow or PRelu.
    Binary(Binary, Arg, Arg),
    /// The larger of two.
    Max(Arg, Arg),
    /// The smaller of two.
    Min(Arg, Arg),
    /// Not below the first bound, not above the second; NaN stays NaN.
    Clip(Arg, f32, f32),
    /// QuantizeLinear and DequantizeLinear in one: the nearest of the values `(q - zero) * scale` for the integers
    /// `low <= q <= high`, ties to even.
    Requantize {
        /// What is rounded.
        x: Arg,
        /// Distance between neighbouring values.
        scale: f32,
        /// The integer that stands for zero.
        zero: f32,
        /// The least integer.
        low: f32,
        /// The greatest integer.
        high: f32,
    },
}

impl Step {
    /// The arguments of the step.
    pub fn args(&self) -> impl Iterator<Item = Arg> {
        let (first, second) = match *self {
            Step::Unary(_, x) | Step::Clip(x, ..) | Step::Requantize { x, .. } => (x, None),
            Step::Binary(_, a, b) | Step::Max(a, b) | Step::Min(a, b) => (a, Some(b)),
        };
        core::iter::once(first).chain(second)
    }

    /// The same step with other arguments.
    pub fn map(&self, mut arg: impl FnMut(Arg) -> Arg) -> Step {
        match self.clone() {
            Step::Unary(f, x) => Step::Unary(f, arg(x)),
            Step::Binary(f, a, b) => Step::Binary(f, arg(a), arg(b)),
            Step::Max(a, b) => Step::Max(arg(a), arg(b)),
            Step::Min(a, b) => Step::Min(arg(a), arg(b)),
            Step::Clip(x, low, high) => Step::Clip(arg(x), low, high),
            Step::Requantize { x, scale, zero, low, high } => {
                Step::Requantize { x: arg(x), scale, zero, low, high }
            }
        }
    }
}

/// An elementwise expression over `f32`; its value is that of the last step.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Program {
    /// How many inputs there are.
    pub inputs: usize,
    /// The steps, each after those it names. Never empty in a graph.
    pub steps: Vec<Step>,
}

/// A program as a node of its own: inputs broadcast to the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elementwise {
    /// What is computed.
    pub program: Program,
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        "Elementwise"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        for index in 0..self.program.inputs {
            floats(index, inputs.required(index)?)?;
        }
        let shape = broadcast(inputs.present().map(|fact| &fact.shape))?;
        Ok(alloc::vec![Fact::new(ElementType::F32, shape)])
    }
}

/// An operator followed by a program over its output: one node, one pass over memory.
///
/// The node's first `base_inputs` inputs belong to `base`, the others to the program, whose input 0 is the output of
/// `base`. The program does not change the shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fused {
    /// The operator whose single output the program goes on with.
    #[serde(with = "crate::store::op")]
    pub base: Arc<dyn Op>,
    /// How many of the node's inputs are those of `base`.
    pub base_inputs: usize,
    /// What is computed from it.
    pub program: Program,
}

impl Op for Fused {
    fn name(&self) -> &'static str {
        "Fused"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let (base, rest) = inputs.split_at(self.base_inputs);
        let mut facts = self.base.infer(&base)?;
        let [fact] = &mut facts[..] else {
            return Err(OpError::Shape("a fused operator has one output".to_string()));
        };
        floats(0, fact)?;
        for index in 1..self.program.inputs {
            let extra = rest.required(index - 1)?;
            floats(self.base_inputs + index - 1, extra)?;
            broadcasts_to(self.base_inputs + index - 1, &extra.shape, &fact.shape)?;
        }
        Ok(facts)
    }

    fn value_inputs(&self) -> &'static [usize] {
        self.base.value_inputs()
    }
}

fn floats(input: usize, fact: &Fact) -> Result<(), OpError> {
    if fact.element == ElementType::F32 {
        return Ok(());
    }
    Err(OpError::Element { input, actual: fact.element, wanted: "programs compute in f32" })
}
