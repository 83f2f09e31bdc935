//! The arithmetic that passes borrow to fold constants.
//!
//! A node whose inputs are all known is built as a kernel and run at once. Nothing is remembered, and nobody can interrupt
//! it; passes decide what is worth folding.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::graph::Fact;
use inferry_engine::op::Op;
use inferry_engine::passes::Evaluate;

use crate::isa::Isa;
use crate::kernel::BuildError;
use crate::single::{self, SingleError};

/// Lends the kernels of this device to the engine's passes.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator(
    /// The instructions that the kernels may use.
    pub Isa,
);

impl Evaluate for Evaluator {
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let shape = |fact: &Fact| Some((fact.element, fact.shape.fixed()?));
        let outputs: Option<Vec<(ElementType, Shape)>> = outputs.iter().map(shape).collect();
        match single::evaluate(op, inputs, &outputs?, self.0) {
            Ok(tensors) => Some(Ok(tensors)),
            Err(SingleError::Build(BuildError::Operator(_) | BuildError::Element { .. })) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }
}
