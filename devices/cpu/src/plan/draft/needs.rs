//! Which values of a graph somebody needs, now that some have become constants and some branches are known.
//!
//! A walk from the outputs back. A node whose output is constant needs nothing; control flow needs what the bodies that
//! may run need.

use alloc::vec;
use alloc::vec::Vec;

use inferry_engine::graph::{Body, Graph, Node};

use crate::plan::facts::{Bodies, Facts};

/// By value: true when the run needs it.
pub(super) fn of(graph: &Graph, facts: &Facts) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    for id in &graph.outputs {
        needed[id.index()] = true;
    }
    for (node, bodies) in graph.nodes.iter().zip(&facts.bodies).rev() {
        let constant =
            |value: usize| facts.values[value].as_ref().is_some_and(|fact| fact.constant.is_some());
        let wanted = |value: usize| needed[value] && !constant(value);
        if node.outputs.iter().flatten().any(|id| wanted(id.index())) {
            mark_inputs(node, bodies, &mut needed);
        }
    }
    needed
}

fn mark_inputs(node: &Node, bodies: &Bodies, needed: &mut [bool]) {
    let mut mark = |input: usize| {
        if let Some(id) = node.inputs[input] {
            needed[id.index()] = true;
        }
    };
    match bodies {
        Bodies::None => (0..node.inputs.len()).for_each(mark),
        Bodies::Always(taken, facts) => captured(&node.op.bodies()[*taken], facts).for_each(mark),
        Bodies::Choice(all) => {
            // The condition.
            mark(0);
            for (body, facts) in node.op.bodies().iter().zip(all) {
                let Ok(facts) = facts else { continue };
                captured(body, facts).for_each(&mut mark);
            }
        }
    }
}

/// The inputs of the outer node that a body needs.
fn captured<'a>(body: &'a Body, facts: &Facts) -> impl Iterator<Item = usize> + 'a {
    let needed = of(&body.graph, facts);
    let pairs = body.graph.inputs.iter().zip(&body.captures);
    pairs.filter(move |(id, _)| needed[id.index()]).map(|(_, input)| *input)
}
