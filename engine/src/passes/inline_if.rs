//! An If whose condition is constant becomes the branch that it takes.
//!
//! ```text
//! y = If(true, x)
//!   then: captured ─▶ z = Relu(captured); z      ─▶      y = Relu(x)
//!   else: captured ─▶ captured
//! ```
//!
//! The branch's values move into the outer graph; those that a node of the branch writes to an output are replaced by the
//! If's own outputs, which keep their names. What cannot be replaced (the branch hands on a capture or a constant, or the
//! same value twice) goes through an Identity.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Body, Graph, Node, ValueId};
use crate::op::{Identity, If};

/// The nodes that do what this node does, when it is an If with a constant condition. They come in its place.
pub(super) fn inline(graph: &mut Graph, node: &Node) -> Option<Vec<Node>> {
    let chosen = node.op.downcast::<If>()?;
    let condition = graph.constant(node.inputs.first().copied()??)?.to_vec::<bool>().ok()?;
    let taken = if *condition.first()? { 0 } else { 1 };
    Some(splice(graph, node, chosen.bodies.get(taken)?))
}

fn splice(graph: &mut Graph, node: &Node, body: &Body) -> Vec<Node> {
    let mut ids: Vec<Option<ValueId>> = vec![None; body.graph.values().len()];
    for (inner, outer) in body.graph.inputs.iter().zip(&body.captures) {
        ids[inner.index()] = node.inputs.get(*outer).copied().flatten();
    }
    // An output of the If takes the place of the inner value, if a node of the branch writes that.
    let writers = body.graph.writers();
    let mut copies = Vec::new();
    for (inner, outer) in body.graph.outputs.iter().zip(&node.outputs) {
        let Some(outer) = *outer else { continue };
        match &mut ids[inner.index()] {
            free @ None if writers[inner.index()].is_some() => *free = Some(outer),
            _ => copies.push((*inner, outer)),
        }
    }
    for (index, value) in body.graph.values().iter().enumerate() {
        ids[index].get_or_insert_with(|| graph.add_value(value.name.clone(), value.fact.clone()));
    }

    let outer = |id: &Option<ValueId>| id.and_then(|id| ids[id.index()]);
    let mut nodes: Vec<Node> = body.graph.nodes.clone();
    for inner in &mut nodes {
        inner.inputs.iter_mut().chain(&mut inner.outputs).for_each(|id| *id = outer(id));
        // "branch/inner" tells in messages where the node came from.
        if !node.name.is_empty() {
            inner.name = [&*node.name, &*inner.name].join("/").to_string().into();
        }
    }
    nodes.extend(copies.into_iter().map(|(inner, output)| Node {
        name: node.name.clone(),
        op: Arc::new(Identity),
        inputs: vec![ids[inner.index()]],
        outputs: vec![Some(output)],
    }));
    nodes
}
