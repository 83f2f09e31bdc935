//! What is known flows from inputs to outputs: types, shapes, and constants.
//!
//! ```text
//! x: f32[1, 3, 8, 8]                              x: f32[1, 3, 8, 8]
//! s = Shape(x)                             ─▶
//! y: f32[N, M] = Reshape(x, Concat(...s))         y: f32[1, 192] = Reshape(x, i64[2] {1, 192})
//! ```
//!
//! Nodes are visited in their order. Each operator infers the facts of its outputs; a node whose inputs are all constant
//! is computed ([fold](super::fold)) and goes; an If with a constant condition becomes its branch
//! ([inline_if](super::inline_if)) before the other branch, which may not even fit, is looked at. Bodies are visited with
//! what is known of their captures. Running it again after another pass, or with better known inputs, only adds to what is
//! known. It does not remove nodes that nobody reads: `drop_dead` does.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fold::fold;
use super::inline_if::inline;
use super::{Evaluate, PassError};
use crate::graph::{Body, Dim, Fact, Graph, Node, ShapeFact};
use crate::op::Inputs;

/// Infers the facts of every value and folds what is constant. See the [module](self).
pub fn propagate(graph: &mut Graph, evaluate: &dyn Evaluate) -> Result<(), PassError> {
    if let Some(id) = graph.inputs.iter().find(|id| graph.fact(**id).is_none()) {
        return Err(PassError::Unknown(graph.value(*id).name.as_ref().into()));
    }
    let mut queue: VecDeque<Node> = core::mem::take(&mut graph.nodes).into();
    let mut done = Vec::with_capacity(queue.len());
    while let Some(mut node) = queue.pop_front() {
        if let Some(branch) = inline(graph, &node) {
            branch.into_iter().rev().for_each(|node| queue.push_front(node));
            continue;
        }
        if !node.op.bodies().is_empty() {
            propagate_bodies(graph, &mut node, evaluate)?;
        }
        if !infer(graph, &node, evaluate)? {
            done.push(node);
        }
    }
    graph.nodes = done;
    Ok(())
}

/// Infers the facts of a node's outputs; true when they are constant, so that the node can go.
fn infer(graph: &mut Graph, node: &Node, evaluate: &dyn Evaluate) -> Result<bool, PassError> {
    let inputs: Vec<Option<&Fact>> = node.inputs.iter().map(|id| graph.fact((*id)?)).collect();
    let facts = node.op.infer(&Inputs::new(&inputs, node.outputs.len()));
    let mut facts = facts.map_err(|source| PassError::Op { node: graph.describe(node), source })?;
    let folded = fold(graph, node, &facts, evaluate)?;
    for (index, id) in node.outputs.iter().enumerate() {
        let (Some(id), Some(mut fact)) = (*id, facts.get_mut(index).cloned()) else { continue };
        let value = graph.value_mut(id);
        match folded.as_ref().and_then(|tensors| tensors.get(index)) {
            Some(tensor) => fact = Fact::constant(tensor.clone()),
            None => {
                // A constant is a value that no node writes.
                fact.constant = None;
                if let Some(declared) = value.fact.take() {
                    keep_names(&mut fact.shape, &declared.shape);
                }
            }
        }
        value.fact = Some(fact);
    }
    Ok(folded.is_some())
}

/// Extents that could not be inferred keep the names that the model gives them. What else it declares is not believed: a
/// declared number may be wrong in a file that still runs.
fn keep_names(shape: &mut ShapeFact, declared: &ShapeFact) {
    let Some(names) = declared.dims() else { return };
    match &mut shape.0 {
        Some(dims) if dims.len() == names.len() => {
            for (dim, name) in dims.iter_mut().zip(names) {
                if matches!((&dim, name), (Dim::Unknown, Dim::Symbol(_))) {
                    *dim = name.clone();
                }
            }
        }
        _ => {}
    }
}

/// Tells the bodies what is known of their captures, and follows them.
fn propagate_bodies(graph: &Graph, node: &mut Node, evaluate: &dyn Evaluate) -> Result<(), PassError> {
    let mut bodies: Vec<Body> = node.op.bodies().to_vec();
    for body in &mut bodies {
        let formal = body.graph.inputs.len().saturating_sub(body.captures.len());
        for (capture, input) in body.captures.iter().enumerate() {
            let inner = body.graph.inputs[formal + capture];
            if let Some(fact) = node.inputs.get(*input).copied().flatten().and_then(|id| graph.fact(id)) {
                body.graph.value_mut(inner).fact = Some(fact.clone());
            }
        }
        let within =
            |source| PassError::Body { node: graph.describe(node), source: alloc::boxed::Box::new(source) };
        propagate(&mut body.graph, evaluate).map_err(within)?;
    }
    if let Some(op) = node.op.with_bodies(bodies) {
        node.op = op;
    }
    Ok(())
}
