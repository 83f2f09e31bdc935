//! Nodes whose inputs are all constant, computed now instead of in every run.
//!
//! ```text
//! s = Shape(x: f32[2, 3])            s = i64[2] {2, 3}
//! r = Gather(s, 0)           ─▶      r = i64[] {2}
//! ```
//!
//! A node that would make something huge out of little stays (an Expand of one number to a gigabyte), and so does one that
//! the device has no kernel for or that fails: whether it is ever reached is known only in the run.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use inferry_core::Tensor;

use super::{Evaluate, PassError};
use crate::graph::{Fact, Graph, Node};

/// A folded output may be this large in any case, in bytes.
const SMALL: usize = 64 << 20;

/// A larger one at most this many times as large as the inputs.
const GROWTH: usize = 16;

/// The outputs of a node as constants, or `None` when it has to be computed in the run.
///
/// `facts` are what the operator inferred of its outputs.
pub(super) fn fold(
    graph: &Graph,
    node: &Node,
    facts: &[Fact],
    evaluate: &dyn Evaluate,
) -> Result<Option<Vec<Tensor>>, PassError> {
    if !node.op.is_pure() || !node.op.bodies().is_empty() {
        return Ok(None);
    }
    // The operator itself may know: the shape of something of fixed shape.
    let known: Option<Vec<Tensor>> = facts.iter().map(|fact| fact.constant.clone()).collect();
    if known.is_some() {
        return Ok(known);
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        match input.map(|id| graph.constant(id)) {
            Some(None) => return Ok(None),
            constant => inputs.push(constant.flatten()),
        }
    }
    if !worthwhile(&inputs, facts) {
        return Ok(None);
    }
    let Some(Ok(outputs)) = evaluate.evaluate(&*node.op, &inputs, facts) else { return Ok(None) };
    check(graph, node, facts, &outputs)?;
    Ok(Some(outputs))
}

fn worthwhile(inputs: &[Option<&Tensor>], facts: &[Fact]) -> bool {
    let size = |fact: &Fact| fact.shape.fixed()?.checked_len()?.checked_mul(fact.element.size());
    let read = inputs.iter().flatten().map(|tensor| tensor.byte_len()).fold(0, usize::saturating_add);
    let written = facts.iter().try_fold(0usize, |sum, fact| sum.checked_add(size(fact)?));
    written.is_some_and(|bytes| bytes <= SMALL || bytes / GROWTH <= read)
}

fn check(graph: &Graph, node: &Node, facts: &[Fact], outputs: &[Tensor]) -> Result<(), PassError> {
    let show = |tensor: &Tensor| format!("{}{}", tensor.element(), tensor.shape());
    let error = |wanted, actual| PassError::Evaluate { node: graph.describe(node), wanted, actual };
    if facts.len() != outputs.len() {
        return Err(error(format!("{} outputs", facts.len()), outputs.len().to_string()));
    }
    for (fact, tensor) in facts.iter().zip(outputs) {
        if tensor.element() != fact.element || Some(tensor.shape()) != fact.shape.fixed().as_ref() {
            return Err(error(fact.to_string(), show(tensor)));
        }
    }
    Ok(())
}
