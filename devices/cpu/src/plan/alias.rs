//! Nodes that only give the same bytes another shape.
//!
//! Such a node is no step: its output is another name for its input's bytes. Which operators these are is data; nothing
//! here looks at a graph.

use inferry_engine::op::Op;

/// Operators whose output 0 has the elements of input 0 in the same order, whatever their attributes.
const SAME_BYTES: &[&str] = &["Align", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];

/// True when output 0 of `op` is input 0 with another shape.
pub(crate) fn keeps_bytes(op: &dyn Op) -> bool {
    SAME_BYTES.contains(&op.name())
}
