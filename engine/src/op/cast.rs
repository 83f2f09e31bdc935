//! The same values as another type, or as they are.

use alloc::vec::Vec;

use inferry_core::ElementType;

use super::{Inputs, Op, OpError, rules};
use crate::graph::Fact;

/// `x`: each element as another type. Floats are cut towards zero when they become integers; numbers become text and text
/// numbers as the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// The type of the output.
    pub to: ElementType,
    /// Whether numbers out of range become the largest there is; only for 8-bit floats, which we do not have.
    pub saturate: bool,
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        rules::one(self.to, inputs.required(0)?.shape.clone())
    }
}

/// `x`: itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity;

impl Op for Identity {
    fn name(&self) -> &'static str {
        "Identity"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        Ok(alloc::vec![inputs.required(0)?.clone()])
    }
}
