//! Older forms of operators: what was an attribute and is an input now.
//!
//! Importers go by what the node has, not by the version it claims: exporters mix them, and what a node says is clear
//! either way. A node that gives a thing twice is refused by the import.

use inferry_core::Tensor;

use super::Op;
use crate::onnx::{ImportError, Imported, NodeView};

/// The operator, with an attribute (a list of integers) as its input at `position` if the node has the attribute.
pub(crate) fn ints_as_input(
    node: &NodeView<'_>,
    op: impl Op,
    attribute: &str,
    position: usize,
) -> Result<Imported, ImportError> {
    let imported = Imported::with(op);
    Ok(match node.ints(attribute)? {
        Some(values) => imported.constant(position, int64s(&values)),
        None => imported,
    })
}

/// A vector of i64.
pub(crate) fn int64s(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()]).expect("as many values as the vector is long")
}
