//! Rearrange bytes rather than the real numbers that they stand for.
//!
//! ```text
//! x = DequantizeLinear(q, s, z)                       p = MaxPool(q)
//! y = MaxPool(x)                            ─▶        r = Reshape(p)
//! p = QuantizeLinear(y, s, z)                         ----
//! r = QuantizeLinear(Reshape(DequantizeLinear(p, s, z)), s, z)
//! ```
//!
//! Operators that only rearrange or choose give the same bytes whether they do it before or after a quantisation, whose
//! numbers grow with what is quantised. So a QuantizeLinear goes before such an operator, if nobody else reads in between;
//! a DequantizeLinear goes behind it; and a QuantizeLinear that undoes a DequantizeLinear goes. Only with one scale a tensor.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::ElementType;

use super::bypass;
use crate::graph::{Fact, Graph, Node, ValueId};
use crate::op::{
    DequantizeLinear, Flatten, Identity, MaxPool, QuantizeLinear, Reshape, Squeeze, Transpose, Unsqueeze,
};

/// Moves and removes quantisations until none is left to move.
pub fn lift_quantize(graph: &mut Graph) {
    sink(graph);
    lift(graph);
    undo(graph);
    // Those that were undone.
    bypass(graph);
}

/// One scale and one zero point for a whole tensor of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) scale: f32,
    pub(super) zero: i32,
    pub(super) element: ElementType,
}

/// The scale and the zero point of a QuantizeLinear or a DequantizeLinear of bytes and `f32`, if they are constant and there is
/// one of each.
pub(super) fn grid(graph: &Graph, node: &Node) -> Option<Grid> {
    let scale = graph.constant((*node.inputs.get(1)?)?)?;
    let given = match node.inputs.get(2).copied().flatten() {
        Some(zero) => Some((graph.fact(zero)?.integers()?, graph.fact(zero)?.element)),
        None => None,
    };
    let element = match (node.op.downcast::<QuantizeLinear>(), node.op.downcast::<DequantizeLinear>()) {
        (Some(op), _) => given.as_ref().map_or(op.to, |(_, element)| *element),
        (_, Some(_)) => graph.fact(node.inputs[0]?)?.element,
        _ => return None,
    };
    let byte = matches!(element, ElementType::U8 | ElementType::I8);
    let scale = scale.to_vec::<f32>().ok()?;
    let zeros = given.map_or(alloc::vec![0], |(zeros, _)| zeros);
    match (&scale[..], &zeros[..]) {
        ([scale], [zero]) if byte && scale.is_finite() && *scale > 0.0 => {
            Some(Grid { scale: *scale, zero: i32::try_from(*zero).ok()?, element })
        }
        _ => None,
    }
}

/// True for operators whose output has numbers of input 0 and no others, and gives the same places for any of a kind.
fn rearranges(node: &Node) -> bool {
    let op = &*node.op;
    let pool = op.downcast::<MaxPool>().is_some() && node.outputs.len() == 1;
    pool || op.downcast::<Reshape>().is_some()
        || op.downcast::<Flatten>().is_some()
        || op.downcast::<Squeeze>().is_some()
        || op.downcast::<Unsqueeze>().is_some()
        || op.downcast::<Transpose>().is_some()
}

/// Puts DequantizeLinear behind what rearranges its output.
fn sink(graph: &mut Graph) {
    let mut writers = graph.writers();
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some((bytes, inputs)) = sunk(graph, &writers, index) {
            let node = &mut graph.nodes[index];
            let output = core::mem::replace(&mut node.outputs, alloc::vec![Some(bytes)]);
            let first = core::mem::replace(&mut node.inputs[0], inputs[0]);
            let name = node.name.clone();
            let before = writers[first.expect("it was dequantised").index()].expect("by a node");
            let op = graph.nodes[before].op.clone();
            let inputs = core::iter::once(Some(bytes)).chain(inputs[1..].iter().copied()).collect();
            graph.nodes.insert(index + 1, Node { name, op, inputs, outputs: output });
            writers = graph.writers();
        }
        index += 1;
    }
}

/// For a node that rearranges what was dequantised: a value for its bytes, and the inputs of the DequantizeLinear.
fn sunk(
    graph: &mut Graph,
    writers: &[Option<usize>],
    index: usize,
) -> Option<(ValueId, Vec<Option<ValueId>>)> {
    let node = &graph.nodes[index];
    if !rearranges(node) {
        return None;
    }
    let before = &graph.nodes[writers[(*node.inputs.first()?)?.index()]?];
    before.op.downcast::<DequantizeLinear>()?;
    let element = grid(graph, before)?.element;
    let shape = graph.fact(node.outputs[0]?)?.shape.clone();
    let inputs = before.inputs.clone();
    Some((graph.add_value("", Some(Fact::new(element, shape))), inputs))
}

/// Puts QuantizeLinear before what rearranges its input.
fn lift(graph: &mut Graph) {
    let (writers, uses) = (graph.writers(), graph.uses());
    for index in (0..graph.nodes.len()).rev() {
        let mut at = index;
        while let Some((before, bytes)) = lifted(graph, &writers, &uses, at) {
            // The two nodes change places; the values between them change with them.
            let quantise = graph.nodes[at].clone();
            let mut rearrange = graph.nodes[before].clone();
            let x = rearrange.inputs[0].replace(bytes);
            let mut inputs = quantise.inputs;
            inputs[0] = x;
            rearrange.outputs = quantise.outputs;
            graph.nodes[before] =
                Node { name: quantise.name, op: quantise.op, inputs, outputs: alloc::vec![Some(bytes)] };
            graph.nodes[at] = rearrange;
            at = before;
        }
    }
}

/// For a QuantizeLinear of what was rearranged: the node that did it, and a value for the bytes before it.
fn lifted(
    graph: &mut Graph,
    writers: &[Option<usize>],
    uses: &[usize],
    index: usize,
) -> Option<(usize, ValueId)> {
    let node = &graph.nodes[index];
    node.op.downcast::<QuantizeLinear>()?;
    let element = grid(graph, node)?.element;
    let x = node.inputs[0]?;
    let before = writers.get(x.index()).copied().flatten().filter(|_| uses[x.index()] == 1)?;
    // What was swapped before is not where it was written.
    let rearrange =
        Some(&graph.nodes[before]).filter(|node| node.outputs[0] == Some(x) && rearranges(node))?;
    let source = rearrange.inputs[0]?;
    let constants = node.inputs[1..].iter().flatten().all(|id| graph.constant(*id).is_some());
    let fact = graph.fact(source).filter(|fact| fact.element == ElementType::F32 && constants)?;
    let shape = fact.shape.clone();
    Some((before, graph.add_value("", Some(Fact::new(element, shape)))))
}

/// Removes QuantizeLinear where it undoes DequantizeLinear.
fn undo(graph: &mut Graph) {
    let writers = graph.writers();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if node.op.downcast::<QuantizeLinear>().is_none() {
            continue;
        }
        let Some(before) = node.inputs[0].and_then(|x| writers[x.index()]) else { continue };
        let before = &graph.nodes[before];
        if before.op.downcast::<DequantizeLinear>().is_none() {
            continue;
        }
        let same = grid(graph, node).is_some_and(|grid_of| grid(graph, before) == Some(grid_of));
        if same {
            let bytes = before.inputs[0];
            let node = &mut graph.nodes[index];
            (node.op, node.inputs) = (Arc::new(Identity), alloc::vec![bytes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Unary, Window};
    use crate::passes::drop_dead;
    use crate::passes::testing::Build;
    use alloc::string::{String, ToString};

    const QUANTIZE: QuantizeLinear =
        QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
    const DEQUANTIZE: DequantizeLinear = DequantizeLinear { axis: 1, block_size: 0 };

    fn pool() -> MaxPool {
        let window = Window { kernel: Some(alloc::vec![2, 2]), ..Window::default() };
        MaxPool { window, ceil: false, storage_order: 0 }
    }

    fn ops(graph: &mut Graph) -> Vec<String> {
        lift_quantize(graph);
        drop_dead(graph);
        crate::graph::verify(graph).unwrap();
        graph.nodes.iter().map(|node| node.op.name().to_string()).collect()
    }

    fn bytes(extents: &[usize]) -> Option<Fact> {
        Some(Fact::fixed(ElementType::U8, extents))
    }

    #[test]
    fn a_pool_between_quantisations_is_a_pool_of_bytes() {
        for (second, wanted) in [
            (0.5f32, &["Relu", "QuantizeLinear", "MaxPool", "Transpose"][..]),
            (0.25, &["Relu", "QuantizeLinear", "MaxPool", "Transpose", "DequantizeLinear", "QuantizeLinear"]),
        ] {
            let mut build = Build::default();
            let x = build.input("x", &[1, 2, 4, 4]);
            let (scale, zero) = (build.constant("s", &[0.5f32], []), build.constant("z", &[3u8], []));
            let other = build.constant("t", &[second], []);
            let real = build.node(Unary::Relu, &[x], &[1, 2, 4, 4]);
            let q = build.node_of(QUANTIZE, &[real, scale, zero].map(Some), "", bytes(&[1, 2, 4, 4]));
            let back = build.node(DEQUANTIZE, &[q, scale, zero], &[1, 2, 4, 4]);
            let y = build.node(pool(), &[back], &[1, 2, 3, 3]);
            let y = build.node(Transpose { perm: Some([0, 2, 3, 1].into()) }, &[y], &[1, 3, 3, 2]);
            let q = build.node_of(QUANTIZE, &[y, other, zero].map(Some), "", bytes(&[1, 3, 3, 2]));
            assert_eq!(ops(&mut build.finish(&[q])), wanted);
        }
    }

    #[test]
    fn real_numbers_that_somebody_reads_stay() {
        let mut build = Build::default();
        let x = build.input("x", &[2, 4]);
        let (scale, zero) = (build.constant("s", &[0.5f32], []), build.constant("z", &[3u8], []));
        let y = build.node(Transpose { perm: None }, &[x], &[4, 2]);
        let q = build.node_of(QUANTIZE, &[y, scale, zero].map(Some), "", bytes(&[4, 2]));
        assert_eq!(ops(&mut build.finish(&[q, y])), ["Transpose", "QuantizeLinear"]);
    }
}
