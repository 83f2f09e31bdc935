//! A pass over one graph, done to the graphs inside of it as well.

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
