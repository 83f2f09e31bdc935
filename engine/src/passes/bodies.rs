//! A pass over one graph, done to the graphs inside of it as well.

use alloc::boxed::Box;

use inferry_core::steps::Pace;

use super::{NODE_NS, Rewrite, Work};
use crate::graph::Graph;

/// Runs `pass` on every graph inside of the nodes, innermost first, and then on the graph itself.
pub fn everywhere(graph: &mut Graph, pass: &dyn Fn(&mut Graph)) {
    for node in &mut graph.nodes {
        if node.op.bodies().is_empty() {
            continue;
        }
        let mut bodies = node.op.bodies().to_vec();
        bodies.iter_mut().for_each(|body| everywhere(&mut body.graph, pass));
        if let Some(op) = node.op.with_bodies(bodies) {
            node.op = op;
        }
    }
    pass(graph);
}

/// As [`everywhere`], with interruptions.
pub(super) fn everywhere_paced<'a>(graph: &'a mut Graph, pass: Rewrite, pace: &'a mut Pace) -> Work<'a> {
    Box::pin(async move {
        for node in &mut graph.nodes {
            if node.op.bodies().is_empty() {
                continue;
            }
            let mut bodies = node.op.bodies().to_vec();
            for body in &mut bodies {
                everywhere_paced(&mut body.graph, pass, pace).await;
            }
            if let Some(op) = node.op.with_bodies(bodies) {
                node.op = op;
            }
        }
        match pass {
            Rewrite::Whole(pass) => pass(graph),
            Rewrite::Paced(pass) => pass(graph, pace).await,
        }
        pace.spend(NODE_NS.saturating_mul(graph.nodes.len() as u64)).await;
    })
}
