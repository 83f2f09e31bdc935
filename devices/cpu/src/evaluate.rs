//! The arithmetic that passes borrow to fold constants.
//!
//! A node whose inputs are all known is built as a kernel and run, with interruptions between blocks of its tiles where the
//! passes ask for them. Nothing is remembered; passes decide what is worth folding. Strings are not made here.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::ready;

use inferry_core::steps::{Pace, finish};
use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::graph::Fact;
use inferry_engine::op::Op;
use inferry_engine::passes::{Evaluate, Evaluation};

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
        Some(finish(self.evaluate_paced(op, inputs, outputs)?))
    }

    fn evaluate_paced<'a>(
        &'a self,
        op: &'a dyn Op,
        inputs: &'a [Option<&'a Tensor>],
        outputs: &'a [Fact],
    ) -> Option<Evaluation<'a>> {
        // Only the run has strings to add to; see `Words`.
        if outputs.iter().any(|fact| fact.element == ElementType::String) {
            return None;
        }
        let open = || op.data_sized().then(|| Shape::from([0]));
        let shape = |fact: &Fact| Some((fact.element, fact.shape.fixed().or_else(open)?));
        let outputs: Option<Vec<(ElementType, Shape)>> = outputs.iter().map(shape).collect();
        let outputs = outputs?;
        let kernel = match single::build(op, inputs, &outputs, self.0) {
            Ok(kernel) => kernel,
            Err(SingleError::Build(BuildError::Operator(_) | BuildError::Element { .. })) => return None,
            Err(error) => return Some(Box::pin(ready(Err(error.to_string())))),
        };
        Some(Box::pin(async move {
            let results = single::compute(&*kernel, inputs, &outputs, &mut Pace::silent()).await;
            results.map_err(|error| error.to_string())
        }))
    }
}
