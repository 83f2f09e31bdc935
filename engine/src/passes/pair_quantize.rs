//! Make a quantisation that is undone at once a rounding.
//!
//! Before: `q = QuantizeLinear(x, s, z)`, `y = DequantizeLinear(q, s, z)` with constant numbers `s` and `z`. After:
//! `y = Elementwise { Requantize }(x)`: the same numbers, but no integers in between and one pass over memory, which `fuse`
//! may join with its neighbours. Only f32, only one scale a tensor; a quantised value that somebody else reads stays.

use alloc::sync::Arc;

use inferry_core::ElementType;

use crate::graph::{Graph, Node, ValueId};
use crate::op::{Arg, DequantizeLinear, Elementwise, Program, QuantizeLinear, Step};

/// Rewrites every such pair. A QuantizeLinear that nobody reads any more is left for `drop_dead`.
pub fn pair_quantize(graph: &mut Graph) {
    let mut writer = alloc::vec![None; graph.values().len()];
    for index in 0..graph.nodes.len() {
        if let Some((x, step)) = pair(graph, &writer, index) {
            let program = Program { inputs: 1, steps: alloc::vec![step] };
            let node = &mut graph.nodes[index];
            node.op = Arc::new(Elementwise { program });
            node.inputs = alloc::vec![Some(x)];
        }
        for value in graph.nodes[index].outputs.iter().flatten() {
            writer[value.index()] = Some(index);
        }
    }
}

/// The value that is rounded at node `index`, and how.
fn pair(graph: &Graph, writer: &[Option<usize>], index: usize) -> Option<(ValueId, Step)> {
    let back = &graph.nodes[index];
    back.op.downcast::<DequantizeLinear>()?;
    let quantised = (*back.inputs.first()?)?;
    let there = &graph.nodes[writer[quantised.index()]?];
    there.op.downcast::<QuantizeLinear>()?;
    let x = there.inputs[0]?;
    let (low, high) = range(graph.fact(quantised)?.element)?;
    let (scale, zero) = parameters(graph, there)?;
    let float = graph.fact(x)?.element == ElementType::F32;
    let same = parameters(graph, back)? == (scale, zero);
    (float && same).then_some((x, Step::Requantize { x: Arg::Input(0), scale, zero, low, high }))
}

/// Scale and zero point, when there is one of each for the whole tensor.
fn parameters(graph: &Graph, node: &Node) -> Option<(f32, f32)> {
    let scale = graph.constant((*node.inputs.get(1)?)?)?;
    let zero = match node.inputs.get(2).copied().flatten() {
        Some(zero) => graph.fact(zero)?.integers()?,
        None => alloc::vec![0],
    };
    match (&scale.to_vec::<f32>().ok()?[..], &zero[..]) {
        ([scale], [zero]) => Some((*scale, *zero as f32)),
        _ => None,
    }
}

fn range(element: ElementType) -> Option<(f32, f32)> {
    match element {
        ElementType::U8 => Some((0.0, 255.0)),
        ElementType::I8 => Some((-128.0, 127.0)),
        ElementType::U16 => Some((0.0, 65535.0)),
        ElementType::I16 => Some((-32768.0, 32767.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Fact;
    use inferry_core::Tensor;

    #[test]
    fn a_pair_with_equal_scales_becomes_a_rounding_and_another_stays() {
        for (second, paired) in [(0.5, true), (0.25, false)] {
            let mut graph = Graph::default();
            let x = graph.add_value("x", Some(Fact::fixed(ElementType::F32, &[4])));
            let q = graph.add_value("q", Some(Fact::fixed(ElementType::U8, &[4])));
            let y = graph.add_value("y", Some(Fact::fixed(ElementType::F32, &[4])));
            let scale = graph.add_constant("s", Tensor::scalar(0.5f32));
            let other = graph.add_constant("t", Tensor::scalar(second as f32));
            let zero = graph.add_constant("z", Tensor::scalar(128u8));
            let there = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
            let back = DequantizeLinear { axis: 1, block_size: 0 };
            let inputs = |first, scale| alloc::vec![Some(first), Some(scale), Some(zero)];
            graph.nodes = alloc::vec![
                Node {
                    name: "there".into(),
                    op: Arc::new(there),
                    inputs: inputs(x, scale),
                    outputs: alloc::vec![Some(q)]
                },
                Node {
                    name: "back".into(),
                    op: Arc::new(back),
                    inputs: inputs(q, other),
                    outputs: alloc::vec![Some(y)]
                },
            ];
            pair_quantize(&mut graph);
            let rounding = graph.nodes[1].op.downcast::<Elementwise>();
            assert_eq!(rounding.is_some(), paired);
            if let Some(elementwise) = rounding {
                let step =
                    Step::Requantize { x: Arg::Input(0), scale: 0.5, zero: 128.0, low: 0.0, high: 255.0 };
                assert_eq!(elementwise.program.steps, [step]);
                assert_eq!(graph.nodes[1].inputs, [Some(x)]);
            }
        }
    }
}
