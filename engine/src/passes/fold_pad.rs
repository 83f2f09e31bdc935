//! Fold zeros put around an image into the operator that slides over it.
//!
//! ```text
//! p = Pad(x, {0, 0, 1, 1, 0, 0, 1, 1})
//! y = Conv { padding: [0, 0, 0, 0] }(p, w)       ─▶       y = Conv { padding: [1, 1, 1, 1] }(x, w)
//! ```
//!
//! Only where the result is exactly the same: constant zeros, spatial dimensions only, nothing cut off, padding that is
//! stated in numbers. An AveragePool then counts its padding, which is exact when it had none or counted it before, and
//! when it does not round its extent up. MaxPool is left alone: its padding is not zero but never wins. The Pad stays for
//! others who read it; `drop_dead` removes it when there are none.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};

use crate::graph::{Graph, Node, ValueId};
use crate::op::{AveragePool, Conv, Op, Pad, PadMode, Padding, Window};

/// Folds wherever it is exact.
pub fn fold_pad(graph: &mut Graph) {
    let writers = graph.writers();
    for index in 0..graph.nodes.len() {
        let Some((x, op)) = folded(graph, &writers, &graph.nodes[index]) else { continue };
        let node = &mut graph.nodes[index];
        node.inputs[0] = Some(x);
        node.op = op;
    }
}

/// What the node may read instead of a Pad's output, and the operator with the padding in it.
fn folded(graph: &Graph, writers: &[Option<usize>], node: &Node) -> Option<(ValueId, Arc<dyn Op>)> {
    let padded = (*node.inputs.first()?)?;
    let pad = &graph.nodes[writers[padded.index()]?];
    let edges = zeros_around(graph, pad)?;
    let x = pad.inputs[0]?;
    if let Some(conv) = node.op.downcast::<Conv>() {
        let window = widened(&conv.window, &edges)?;
        return Some((x, Arc::new(Conv { window, group: conv.group })));
    }
    let pool = node.op.downcast::<AveragePool>()?;
    let unpadded = match &pool.window.padding {
        Padding::Explicit(pads) => pads.iter().all(|pad| *pad == 0),
        Padding::Valid => true,
        Padding::SameUpper | Padding::SameLower => false,
    };
    if pool.ceil || !(unpadded || pool.count_include_pad) {
        return None;
    }
    let window = widened(&pool.window, &edges)?;
    Some((x, Arc::new(AveragePool { window, ceil: false, count_include_pad: true })))
}

/// The begins and ends of the spatial dimensions, if the node puts zeros there and does nothing else.
fn zeros_around(graph: &Graph, node: &Node) -> Option<Vec<(usize, usize)>> {
    if node.op.downcast::<Pad>()?.mode != PadMode::Constant {
        return None;
    }
    let integers = |input: usize| graph.fact((*node.inputs.get(input)?)?)?.integers();
    let axes_given = node.inputs.get(3).is_some_and(Option::is_some);
    let axes = if axes_given { Some(integers(3)?) } else { None };
    if let Some(value) = node.inputs.get(2).copied().flatten() {
        is_zero(graph.constant(value)?).then_some(())?;
    }
    let rank = graph.fact(node.inputs[0]?)?.shape.rank()?;
    let edges = Pad::resolve(rank, &integers(1)?, axes.as_deref()).ok()?;
    let edges: Option<Vec<(usize, usize)>> =
        edges.into_iter().map(|(begin, end)| Some((begin.try_into().ok()?, end.try_into().ok()?))).collect();
    let mut edges = edges?;
    let spatial = edges.split_off(2.min(rank));
    (edges.iter().all(|edge| *edge == (0, 0)) && !spatial.is_empty()).then_some(spatial)
}

fn is_zero(tensor: &Tensor) -> bool {
    match tensor.element() {
        ElementType::F32 => tensor.to_vec::<f32>().is_ok_and(|values| values == [0.0]),
        ElementType::F64 => tensor.to_vec::<f64>().is_ok_and(|values| values == [0.0]),
        ElementType::F16 => tensor.to_vec::<half::f16>().is_ok_and(|values| values == [half::f16::ZERO]),
        ElementType::Bf16 => tensor.to_vec::<half::bf16>().is_ok_and(|values| values == [half::bf16::ZERO]),
        _ => false,
    }
}

/// The window with more padding.
fn widened(window: &Window, edges: &[(usize, usize)]) -> Option<Window> {
    let count = edges.len();
    let mut pads = match &window.padding {
        Padding::Explicit(pads) if pads.is_empty() => vec![0; 2 * count],
        Padding::Explicit(pads) if pads.len() == 2 * count => pads.clone(),
        Padding::Valid => vec![0; 2 * count],
        _ => return None,
    };
    for (index, (begin, end)) in edges.iter().enumerate() {
        pads[index] = pads[index].checked_add(*begin)?;
        pads[count + index] = pads[count + index].checked_add(*end)?;
    }
    Some(Window { padding: Padding::Explicit(pads), ..window.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::Build;

    fn padded(build: &mut Build, pads: [i64; 8], value: Option<f32>) -> ValueId {
        let x = build.input("x", &[1, 1, 4, 4]);
        let pads = build.constant("pads", &pads, [8]);
        let mut inputs = vec![x, pads];
        inputs.extend(value.map(|value| build.constant("value", &[value], [1])));
        build.node(Pad { mode: PadMode::Constant }, &inputs, &[1, 1, 6, 7])
    }

    fn conv(pads: [i64; 8], value: Option<f32>, padding: Padding) -> Graph {
        let mut build = Build::default();
        let p = padded(&mut build, pads, value);
        let w = build.constant("w", &[1.0f32; 9], [1, 1, 3, 3]);
        let window = Window { padding, ..Window::default() };
        let y = build.node(Conv { window, group: 1 }, &[p, w], &[1, 1, 4, 5]);
        let mut graph = build.finish(&[y]);
        fold_pad(&mut graph);
        graph
    }

    fn padding_of_conv(graph: &Graph) -> Option<&Padding> {
        let conv = &graph.nodes[1];
        (conv.inputs[0] == Some(graph.inputs[0])).then(|| &conv.op.downcast::<Conv>().unwrap().window.padding)
    }

    #[test]
    fn zeros_go_into_the_convolutions_own_padding() {
        let pads = [0, 0, 1, 2, 0, 0, 1, 1];
        let graph = conv(pads, Some(0.0), Padding::Explicit(vec![1, 0, 0, 1]));
        assert_eq!(padding_of_conv(&graph), Some(&Padding::Explicit(vec![2, 2, 1, 2])));
        let graph = conv(pads, None, Padding::Valid);
        assert_eq!(padding_of_conv(&graph), Some(&Padding::Explicit(vec![1, 2, 1, 1])));
    }

    #[test]
    fn what_would_change_the_result_stays() {
        let pads = [0, 0, 1, 2, 0, 0, 1, 1];
        assert_eq!(padding_of_conv(&conv(pads, Some(1.0), Padding::Valid)), None);
        assert_eq!(padding_of_conv(&conv(pads, None, Padding::SameUpper)), None);
        assert_eq!(padding_of_conv(&conv([0, 1, 1, 2, 0, 0, 1, 1], None, Padding::Valid)), None);
        assert_eq!(padding_of_conv(&conv([0, 0, -1, 2, 0, 0, 1, 1], None, Padding::Valid)), None);
    }

    #[test]
    fn an_average_counts_the_zeros() {
        let pool = |ceil, count_include_pad, pads: Vec<usize>| {
            let mut build = Build::default();
            let p = padded(&mut build, [0, 0, 1, 1, 0, 0, 1, 1], None);
            let window =
                Window { kernel: Some(vec![2, 2]), padding: Padding::Explicit(pads), ..Window::default() };
            let y = build.node(AveragePool { window, ceil, count_include_pad }, &[p], &[1, 1, 5, 5]);
            let mut graph = build.finish(&[y]);
            fold_pad(&mut graph);
            let pool = graph.nodes[1].op.downcast::<AveragePool>().unwrap().clone();
            (graph.nodes[1].inputs[0] == Some(graph.inputs[0]))
                .then_some((pool.window.padding, pool.count_include_pad))
        };
        assert_eq!(pool(false, false, vec![]), Some((Padding::Explicit(vec![1; 4]), true)));
        assert_eq!(pool(false, true, vec![1, 0, 0, 0]), Some((Padding::Explicit(vec![2, 1, 1, 1]), true)));
        assert_eq!(pool(false, false, vec![1, 0, 0, 0]), None);
        assert_eq!(pool(true, false, vec![]), None);
    }
}
