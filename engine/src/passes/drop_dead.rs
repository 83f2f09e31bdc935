//! What nobody reads goes: nodes, outputs of nodes, captures, and the memory of constants.
//!
//! ```text
//! a = Relu(x)
//! y, h = LSTM(x, w, r)         ─▶      y, - = LSTM(x, w, r)
//! ----                                 ----
//! y                                    y
//! ```
//!
//! Inputs and outputs of the graph stay, whether they are used or not. A body no longer captures what it does not read or
//! what is constant: the constant moves into the body, and the node loses the input that carried it.

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Body, Graph, Node};

/// Removes what nobody reads.
pub fn drop_dead(graph: &mut Graph) {
    let mut live = vec![false; graph.values().len()];
    graph.outputs.iter().for_each(|id| live[id.index()] = true);
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for mut node in core::mem::take(&mut graph.nodes).into_iter().rev() {
        for output in &mut node.outputs {
            *output = output.filter(|id| live[id.index()]);
        }
        if node.outputs.iter().all(Option::is_none) {
            continue;
        }
        drop_captures(&mut node);
        node.inputs.iter().flatten().for_each(|id| live[id.index()] = true);
        kept.push(node);
    }
    kept.reverse();
    graph.nodes = kept;
    forget(graph, live);
}

/// Lets go of what is known of values that are gone, and with it of the memory of constants.
fn forget(graph: &mut Graph, mut live: Vec<bool>) {
    graph.inputs.iter().for_each(|id| live[id.index()] = true);
    for node in &graph.nodes {
        node.outputs.iter().flatten().for_each(|id| live[id.index()] = true);
    }
    graph.retain_facts(|id| live[id.index()]);
}

/// Cleans the bodies of a node and removes the inputs that only carried captures which none of them needs.
fn drop_captures(node: &mut Node) {
    if node.op.bodies().is_empty() {
        return;
    }
    let mut bodies: Vec<Body> = node.op.bodies().to_vec();
    let mut carries = vec![false; node.inputs.len()];
    for body in &mut bodies {
        body.captures.iter().for_each(|input| carries[*input] = true);
        drop_dead(&mut body.graph);
        drop_unread(body);
    }
    let mut needed: Vec<bool> = carries.iter().map(|carries| !carries).collect();
    bodies.iter().flat_map(|body| &body.captures).for_each(|input| needed[*input] = true);
    // Where each input is found afterwards.
    let position: Vec<usize> = needed
        .iter()
        .scan(0, |next, needed| {
            let here = *next;
            *next += usize::from(*needed);
            Some(here)
        })
        .collect();
    bodies.iter_mut().flat_map(|body| &mut body.captures).for_each(|input| *input = position[*input]);
    let mut index = 0;
    node.inputs.retain(|_| {
        index += 1;
        needed[index - 1]
    });
    if let Some(op) = node.op.with_bodies(bodies) {
        node.op = op;
    }
}

/// Removes captures that the body does not read, or that it knows the value of.
fn drop_unread(body: &mut Body) {
    let uses = body.graph.uses();
    let formal = body.graph.inputs.len() - body.captures.len();
    let inputs = body.graph.inputs.split_off(formal);
    let captures = core::mem::take(&mut body.captures);
    for (id, input) in inputs.into_iter().zip(captures) {
        if uses[id.index()] > 0 && body.graph.constant(id).is_none() {
            body.graph.inputs.push(id);
            body.captures.push(input);
        } else if uses[id.index()] == 0 {
            body.graph.value_mut(id).fact = None;
        }
    }
}
