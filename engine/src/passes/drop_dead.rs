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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Fact, ValueId, verify};
    use crate::op::{Binary, If, MaxPool, Unary, Window};
    use crate::passes::testing::Build;
    use alloc::sync::Arc;
    use inferry_core::ElementType;

    #[test]
    fn nodes_and_outputs_and_constants_that_nobody_reads_go() {
        let mut build = Build::default();
        let x = build.input("x", &[1, 1, 4, 4]);
        let unused = build.constant("unused", &[1.0f32], [1]);
        let dead = build.node(Binary::Add, &[x, unused], &[1, 1, 4, 4]);
        _ = build.node(Unary::Relu, &[dead], &[1, 1, 4, 4]);
        let window = Window { kernel: Some(vec![2, 2]), ..Window::default() };
        let y = build.node(MaxPool { window, ceil: false, storage_order: 0 }, &[x], &[1, 1, 3, 3]);
        let indices = build.graph.add_value("indices", Some(Fact::fixed(ElementType::I64, &[1, 1, 3, 3])));
        build.graph.nodes[2].outputs.push(Some(indices));
        let mut graph = build.finish(&[y]);
        drop_dead(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].outputs, [Some(y), None]);
        assert!(graph.fact(unused).is_none(), "its memory is let go");
        assert!(graph.fact(x).is_some());
    }

    /// A node in a body that adds its two captures.
    fn adding(constant: Option<Fact>) -> Body {
        let mut inner = Graph::default();
        let fact = Fact::fixed(ElementType::F32, &[1]);
        let captured: Vec<ValueId> =
            ["a", "b", "c"].map(|name| inner.add_value(name, Some(fact.clone()))).into();
        if let Some(constant) = constant {
            inner.value_mut(captured[1]).fact = Some(constant);
        }
        let z = inner.add_value("z", Some(fact));
        let inputs = vec![Some(captured[1]), Some(captured[2])];
        inner.nodes.push(Node { name: "".into(), op: Arc::new(Binary::Add), inputs, outputs: vec![Some(z)] });
        (inner.inputs, inner.outputs) = (captured, vec![z]);
        Body { graph: inner, captures: vec![1, 2, 3] }
    }

    #[test]
    fn captures_that_are_not_read_or_constant_are_no_longer_carried() {
        let mut build = Build::default();
        let condition = build.input_of("condition", Fact::fixed(ElementType::Bool, &[]));
        let a = build.input("a", &[1]);
        let b = build.constant("b", &[2.0f32], [1]);
        let c = build.input("c", &[1]);
        let known = build.graph.fact(b).cloned();
        let op = If { bodies: vec![adding(known.clone()), adding(known)] };
        let y = build.node(op, &[condition, a, b, c], &[1]);
        let mut graph = build.finish(&[y]);
        drop_dead(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.nodes[0].inputs, [Some(condition), Some(c)]);
        for body in graph.nodes[0].op.bodies() {
            assert_eq!(body.captures, [1]);
            assert_eq!(body.graph.inputs.len(), 1);
            let constant = body.graph.nodes[0].inputs[0].unwrap();
            assert!(body.graph.constant(constant).is_some(), "the constant lies in the body now");
        }
    }

    #[test]
    fn two_bodies_that_need_different_captures_keep_both() {
        let mut build = Build::default();
        let condition = build.input_of("condition", Fact::fixed(ElementType::Bool, &[]));
        let [a, b, c] = ["a", "b", "c"].map(|name| build.input(name, &[1]));
        let mut other = adding(None);
        other.captures = vec![3, 1, 2];
        let op = If { bodies: vec![adding(None), other] };
        let y = build.node(op, &[condition, a, b, c], &[1]);
        let mut graph = build.finish(&[y]);
        drop_dead(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.nodes[0].inputs, [Some(condition), Some(a), Some(b), Some(c)]);
        let bodies = graph.nodes[0].op.bodies();
        assert_eq!((&bodies[0].captures[..], &bodies[1].captures[..]), (&[2, 3][..], &[1, 2][..]));
    }
}
