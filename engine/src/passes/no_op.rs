//! Nodes that give their input unchanged, so that who reads them can read it directly.
//!
//! ```text
//! t = Identity(x)                     y = Relu(x)
//! y = Relu(t)                  ─▶
//! ```
//!
//! Also a Cast to the type that it is already, a Transpose that moves nothing, a Concat or Sum of one, and whatever
//! rearranges (Reshape, Expand, Slice, Pad) where the facts prove that nothing changes. Outputs of the graph keep their
//! names: the node that wrote the input then writes the output, if that is possible; otherwise the node stays. Arithmetic
//! that changes nothing (`x * 1`) stays as well.

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Graph, Node, ValueId};
use crate::op::{
    Cast, Concat, Expand, Flatten, Identity, OptionalGetElement, Pad, Reshape, Slice, Squeeze, Tile,
    Transpose, Unsqueeze, Variadic,
};

/// Lets readers of such nodes read their inputs. The nodes themselves go where the graph's outputs allow it.
pub fn bypass(graph: &mut Graph) {
    let mut renamed: Vec<Option<ValueId>> = vec![None; graph.values().len()];
    let mut kept: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    // Where in `kept` each value is written.
    let mut writer: Vec<Option<usize>> = vec![None; graph.values().len()];
    for mut node in core::mem::take(&mut graph.nodes) {
        node.inputs.iter_mut().flatten().for_each(|id| *id = resolve(&renamed, *id));
        if let (Some(from), [Some(to), ..]) = (unchanged(graph, &node), &node.outputs[..]) {
            if !graph.outputs.contains(to) {
                renamed[to.index()] = Some(from);
                continue;
            }
            if let (Some(at), false) = (writer[from.index()], graph.outputs.contains(&from)) {
                let source: &mut Node = &mut kept[at];
                source.outputs.iter_mut().flatten().filter(|id| **id == from).for_each(|id| *id = *to);
                writer[to.index()] = Some(at);
                renamed[from.index()] = Some(*to);
                continue;
            }
        }
        node.outputs.iter().flatten().for_each(|id| writer[id.index()] = Some(kept.len()));
        kept.push(node);
    }
    // A node before the one that went may have read a value that has another name now.
    for node in &mut kept {
        node.inputs.iter_mut().flatten().for_each(|id| *id = resolve(&renamed, *id));
    }
    graph.nodes = kept;
}

/// Where a value is found now.
fn resolve(renamed: &[Option<ValueId>], mut id: ValueId) -> ValueId {
    while let Some(next) = renamed[id.index()] {
        id = next;
    }
    id
}

/// The input that the node's first and only output equals.
fn unchanged(graph: &Graph, node: &Node) -> Option<ValueId> {
    let x = *node.inputs.first()?.as_ref()?;
    let mut outputs = node.outputs.iter().flatten();
    let (y, None) = (*outputs.next()?, outputs.next()) else { return None };
    let op = &*node.op;
    let single = node.inputs.iter().flatten().count() == 1;
    let holds = if op.downcast::<Identity>().is_some() {
        true
    } else if let Some(cast) = op.downcast::<Cast>() {
        graph.fact(x)?.element == cast.to
    } else if let Some(transpose) = op.downcast::<Transpose>() {
        match &transpose.perm {
            Some(perm) => perm.iter().enumerate().all(|(to, from)| to == *from),
            None => graph.fact(x)?.shape.rank()? <= 1,
        }
    } else if op.downcast::<OptionalGetElement>().is_some() {
        !graph.fact(x)?.kind.is_optional()
    } else if op.downcast::<Concat>().is_some() || op.downcast::<Variadic>().is_some() {
        single
    } else if op.downcast::<Slice>().is_some() {
        same_shape(graph, x, y)? && steps_forward(graph, node)?
    } else if op.downcast::<Pad>().is_some() {
        graph.fact((*node.inputs.get(1)?)?)?.integers()?.iter().all(|pad| *pad == 0)
    } else {
        let rearranges = op.downcast::<Reshape>().is_some()
            || op.downcast::<Flatten>().is_some()
            || op.downcast::<Squeeze>().is_some()
            || op.downcast::<Unsqueeze>().is_some()
            || op.downcast::<Expand>().is_some()
            || op.downcast::<Tile>().is_some();
        rearranges && same_shape(graph, x, y)?
    };
    holds.then_some(x)
}

fn same_shape(graph: &Graph, x: ValueId, y: ValueId) -> Option<bool> {
    Some(graph.fact(x)?.shape.fixed()? == graph.fact(y)?.shape.fixed()?)
}

/// A slice of all elements takes them in their order unless a step is negative.
fn steps_forward(graph: &Graph, slice: &Node) -> Option<bool> {
    let Some(steps) = slice.inputs.get(4).copied().flatten() else { return Some(true) };
    Some(graph.fact(steps)?.integers()?.iter().all(|step| *step > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::verify;
    use crate::op::{PadMode, Unary};
    use crate::passes::testing::Build;
    use inferry_core::ElementType;

    #[test]
    fn readers_read_what_the_node_read() {
        let mut build = Build::default();
        let x = build.input("x", &[2, 3]);
        let a = build.node(Identity, &[x], &[2, 3]);
        let b = build.node(Transpose { perm: Some(vec![0, 1]) }, &[a], &[2, 3]);
        let c = build.node(Cast { to: ElementType::F32, saturate: true }, &[b], &[2, 3]);
        let y = build.node(Unary::Relu, &[c], &[2, 3]);
        let mut graph = build.finish(&[y]);
        bypass(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].inputs, [Some(x)]);
    }

    #[test]
    fn an_output_of_the_graph_keeps_its_name() {
        let mut build = Build::default();
        let x = build.input("x", &[2, 3]);
        let a = build.node(Unary::Relu, &[x], &[2, 3]);
        let b = build.node(Unary::Exp, &[a], &[2, 3]);
        let y = build.node(Identity, &[a], &[2, 3]);
        let z = build.node(Unary::Log, &[a], &[2, 3]);
        let mut graph = build.finish(&[y, b, z]);
        bypass(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.outputs, [y, b, z]);
        assert_eq!(graph.nodes.len(), 3);
        assert_eq!(graph.nodes[0].outputs, [Some(y)]);
        assert!(graph.nodes[1..].iter().all(|node| node.inputs == [Some(y)]));
    }

    #[test]
    fn an_input_or_output_that_is_handed_on_needs_its_node() {
        let mut build = Build::default();
        let x = build.input("x", &[2, 3]);
        let y = build.node(Identity, &[x], &[2, 3]);
        let r = build.node(Unary::Relu, &[x], &[2, 3]);
        let z = build.node(Identity, &[r], &[2, 3]);
        let mut graph = build.finish(&[y, r, z]);
        bypass(&mut graph);
        verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 3);
    }

    #[test]
    fn a_slice_backwards_and_a_pad_that_shifts_are_no_copies() {
        let slice = |step: i64, start: i64, end: i64| {
            let mut build = Build::default();
            let x = build.input("x", &[4]);
            let numbers = [start, end, 0, step].map(|number| build.constant("", &[number], [1]));
            let s = build.node(Slice, &[x, numbers[0], numbers[1], numbers[2], numbers[3]], &[4]);
            let y = build.node(Unary::Relu, &[s], &[4]);
            let mut graph = build.finish(&[y]);
            bypass(&mut graph);
            graph.nodes.len()
        };
        assert_eq!(slice(1, 0, 4), 1);
        assert_eq!(slice(-1, 3, -5), 2);
        let pad = |pads: [i64; 2]| {
            let mut build = Build::default();
            let x = build.input("x", &[4]);
            let pads = build.constant("", &pads, [2]);
            let p = build.node(Pad { mode: PadMode::Constant }, &[x, pads], &[4]);
            let y = build.node(Unary::Relu, &[p], &[4]);
            let mut graph = build.finish(&[y]);
            bypass(&mut graph);
            graph.nodes.len()
        };
        assert_eq!(pad([0, 0]), 1);
        assert_eq!(pad([1, -1]), 2);
    }

    #[test]
    fn a_reshape_to_the_same_shape_is_a_copy_and_another_is_not() {
        for (extents, nodes) in [([2, 3], 1), ([3, 2], 2)] {
            let mut build = Build::default();
            let x = build.input("x", &[2, 3]);
            let shape = build.constant("", &[extents[0] as i64, -1], [2]);
            let r = build.node(Reshape { allow_zero: false }, &[x, shape], &extents);
            let y = build.node(Unary::Relu, &[r], &extents);
            let mut graph = build.finish(&[y]);
            bypass(&mut graph);
            assert_eq!(graph.nodes.len(), nodes);
        }
    }
}
