//! The same values as another type, or as they are.

use alloc::vec::Vec;

use inferry_core::ElementType;

use super::rules::{self, BOOL};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

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

/// `x`: itself. Also Dropout, whose other two inputs (ratio, training mode) are not read; the training mode must be false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity;

impl Op for Identity {
    fn name(&self) -> &'static str {
        "Identity"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        if let Some(training) = inputs.typed_optional(2, &BOOL)? {
            let mode = training.constant.as_ref().and_then(|tensor| tensor.to_vec::<bool>().ok());
            if mode.is_none_or(|mode| mode.contains(&true)) {
                return Err(OpError::Unsupported(
                    "a training mode (input 2) that is not always false".into(),
                ));
            }
        }
        Ok(alloc::vec![inputs.required(0)?.clone()])
    }
}

/// Cast.
pub(crate) fn import_cast(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let to = node.element("to")?.ok_or_else(|| node.refuse_attribute("to", "is missing"))?;
    Ok(Imported::with(Cast { to, saturate: node.flag("saturate", true)? }))
}

/// Identity.
pub(crate) fn import_identity(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(Identity))
}

/// Dropout, which does nothing outside of training.
pub(crate) fn import_dropout(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=3, 1..=2)?;
    if node.has_output(1) {
        return Err(node.refuse("the mask of Dropout (output 1) is not supported"));
    }
    Ok(Imported::with(Identity))
}
