//! Chains of nodes that only rearrange become one, or none.
//!
//! ```text
//! a = Transpose { perm: [0, 2, 3, 1] }(x)                  y = Relu(x)
//! b = Transpose { perm: [0, 3, 1, 2] }(a)         ─▶
//! y = Relu(b)
//!
//! a = Unsqueeze(x, {0})                                    y = Reshape(x, {2, 6})
//! y = Reshape(a, {2, 6})                          ─▶
//! ```
//!
//! Reshape, Flatten, Squeeze and Unsqueeze only say how the same elements are counted: of several in a row the last one
//! decides. A Transpose that moves nothing but extents of 1 is one of them. The nodes before the last stay for others who
//! read them; `drop_dead` removes those that nobody reads. Transposes with arithmetic between them are not moved.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{Shape, Tensor};

use crate::graph::{Graph, Node, ValueId};
use crate::op::{Flatten, Identity, Op, Reshape, Squeeze, Transpose, Unsqueeze};

/// Joins every chain.
pub fn cancel_transposes(graph: &mut Graph) {
    let writers = graph.writers();
    for index in 0..graph.nodes.len() {
        if let Some((op, inputs)) = joined(graph, &writers, index) {
            let node = &mut graph.nodes[index];
            (node.op, node.inputs) = (op, inputs);
        }
    }
}

/// What the node becomes, if it and the one before it can be one, or if it is a Transpose that is a Reshape.
#[allow(clippy::type_complexity)] // the two fields of a node
fn joined(
    graph: &mut Graph,
    writers: &[Option<usize>],
    index: usize,
) -> Option<(Arc<dyn Op>, Vec<Option<ValueId>>)> {
    let node = &graph.nodes[index];
    let x = (*node.inputs.first()?)?;
    let before = writers[x.index()].map(|before| &graph.nodes[before]);
    if let Some(outer) = permutation(graph, node) {
        if let Some(inner) = before.and_then(|before| permutation(graph, before)) {
            let source = before?.inputs[0];
            let perm: Vec<usize> = outer.iter().map(|axis| inner[*axis]).collect();
            let op: Arc<dyn Op> = if is_identity(&perm) {
                Arc::new(Identity)
            } else {
                Arc::new(Transpose { perm: Some(perm) })
            };
            return Some((op, alloc::vec![source]));
        }
        if is_identity(&outer) || !keeps_order(graph, x, &outer) {
            return None;
        }
        return reshape(graph, index, x);
    }
    if !only_recounts(node) {
        return None;
    }
    let before = before.filter(|before| only_recounts(before))?;
    let source = before.inputs[0]?;
    if let Some(target) = independent_shape(graph, node) {
        return Some((node.op.clone(), alloc::vec![Some(source), Some(target)]));
    }
    reshape(graph, index, source)
}

/// A Reshape of `source` to the fixed shape of the node's output.
#[allow(clippy::type_complexity)]
fn reshape(graph: &mut Graph, index: usize, source: ValueId) -> Option<(Arc<dyn Op>, Vec<Option<ValueId>>)> {
    let output = graph.nodes[index].outputs.first().copied()??;
    let extents: Option<Vec<i64>> =
        graph.fact(output)?.shape.fixed()?.iter().map(|extent| i64::try_from(*extent).ok()).collect();
    let extents = extents?;
    let target = Tensor::from_slice(&extents, Shape::from([extents.len()])).ok()?;
    let target = graph.add_constant("", target);
    Some((Arc::new(Reshape { allow_zero: true }), alloc::vec![Some(source), Some(target)]))
}

/// The order of dimensions that a Transpose makes.
fn permutation(graph: &Graph, node: &Node) -> Option<Vec<usize>> {
    let transpose = node.op.downcast::<Transpose>()?;
    match &transpose.perm {
        Some(perm) => Some(perm.clone()),
        None => Some((0..graph.fact(node.inputs[0]?)?.shape.rank()?).rev().collect()),
    }
}

fn is_identity(perm: &[usize]) -> bool {
    perm.iter().enumerate().all(|(to, from)| to == *from)
}

/// True when the dimensions of more than one element stay in their order.
fn keeps_order(graph: &Graph, x: ValueId, perm: &[usize]) -> bool {
    let Some(dims) = graph.fact(x).and_then(|fact| fact.shape.dims()) else { return false };
    let moved = perm.iter().filter(|axis| dims.get(**axis).is_none_or(|dim| dim.fixed() != Some(1)));
    moved.is_sorted()
}

/// True for nodes that leave the elements in their order.
fn only_recounts(node: &Node) -> bool {
    let op = &*node.op;
    op.downcast::<Reshape>().is_some()
        || op.downcast::<Flatten>().is_some()
        || op.downcast::<Squeeze>().is_some()
        || op.downcast::<Unsqueeze>().is_some()
}

/// The shape input of a Reshape that copies no extent of its input: constant and without zeros that mean "as before".
fn independent_shape(graph: &Graph, node: &Node) -> Option<ValueId> {
    let reshape = node.op.downcast::<Reshape>()?;
    let shape = node.inputs.get(1).copied()??;
    let extents = graph.fact(shape)?.integers()?;
    (reshape.allow_zero || !extents.contains(&0)).then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Unary;
    use crate::passes::testing::Build;
    use crate::passes::{bypass, drop_dead};
    use alloc::string::ToString;

    fn perm(order: [usize; 4]) -> Transpose {
        Transpose { perm: Some(order.into()) }
    }

    fn text(build: Build, y: ValueId) -> alloc::string::String {
        let mut graph = build.finish(&[y]);
        cancel_transposes(&mut graph);
        bypass(&mut graph);
        drop_dead(&mut graph);
        graph.to_string().lines().skip(2).take_while(|line| *line != "----").collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn there_and_back_is_nothing() {
        let mut build = Build::default();
        let x = build.input("x", &[1, 2, 3, 4]);
        let a = build.node(perm([0, 2, 3, 1]), &[x], &[1, 3, 4, 2]);
        let b = build.node(perm([0, 3, 1, 2]), &[a], &[1, 2, 3, 4]);
        let y = build.node(Unary::Relu, &[b], &[1, 2, 3, 4]);
        assert_eq!(text(build, y), "%0: f32[1, 2, 3, 4] = Relu(x)");
    }

    #[test]
    fn two_in_a_row_are_one() {
        let mut build = Build::default();
        let x = build.input("x", &[2, 3, 4, 5]);
        let a = build.node(perm([1, 2, 3, 0]), &[x], &[3, 4, 5, 2]);
        let y = build.node(perm([0, 2, 1, 3]), &[a], &[3, 5, 4, 2]);
        let expected = "%0: f32[3, 5, 4, 2] = Transpose { perm: Some([1, 3, 2, 0]) }(x)";
        assert_eq!(text(build, y), expected);
    }

    #[test]
    fn moving_ones_is_a_reshape() {
        let mut build = Build::default();
        let x = build.input("x", &[1, 1, 3, 4]);
        let y = build.node(perm([0, 2, 3, 1]), &[x], &[1, 3, 4, 1]);
        let expected = "%0: f32[1, 3, 4, 1] = Reshape { allow_zero: true }(x, i64[4] {1, 3, 4, 1})";
        assert_eq!(text(build, y), expected);
    }

    #[test]
    fn the_last_of_several_shapes_decides() {
        let mut build = Build::default();
        let x = build.input("x", &[3, 4]);
        let axes = build.constant("axes", &[0i64], [1]);
        let a = build.node(Unsqueeze, &[x, axes], &[1, 3, 4]);
        let shape = build.constant("shape", &[-1i64, 2], [2]);
        let b = build.node(Reshape { allow_zero: false }, &[a, shape], &[6, 2]);
        let y = build.node(Flatten { axis: 0 }, &[b], &[1, 12]);
        let expected = "%0: f32[1, 12] = Reshape { allow_zero: true }(x, i64[2] {1, 12})";
        assert_eq!(text(build, y), expected);
    }

    #[test]
    fn a_shape_that_copies_an_extent_is_written_out() {
        let mut build = Build::default();
        let x = build.input("x", &[3, 4]);
        let axes = build.constant("axes", &[0i64], [1]);
        let a = build.node(Unsqueeze, &[x, axes], &[1, 3, 4]);
        let shape = build.constant("shape", &[0i64, -1], [2]);
        let y = build.node(Reshape { allow_zero: false }, &[a, shape], &[1, 12]);
        let expected = "%0: f32[1, 12] = Reshape { allow_zero: true }(x, i64[2] {1, 12})";
        assert_eq!(text(build, y), expected);
    }
}
