//! Fold a multiplication or addition per channel into the convolution before it.
//!
//! Before: `c = Conv(x, w, b)`, `m = Mul(c, s)`, `y = Add(m, t)` with constants `w`, `b`, `s`, `t` where `s` and `t` have one
//! number, or one for each output channel. After: `y = Conv(x, s·w, s·b + t)`.
//!
//! Only f32, only when nobody else reads the convolution's output. Reparametrised networks (PP-OCR, MobileOne) have such a
//! pair after every convolution.

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::steps::{Pace, finish};
use inferry_core::{ElementType, Shape, Tensor};

use super::Work;

use crate::graph::{Graph, ValueId};
use crate::op::{Binary, Conv};

/// Folds until nothing changes. Emptied nodes are removed.
pub fn fold_affine(graph: &mut Graph) {
    finish(paced(graph, &mut Pace::silent()));
}

/// As [`fold_affine`], with interruptions.
pub(super) fn paced<'a>(graph: &'a mut Graph, pace: &'a mut Pace) -> Work<'a> {
    Box::pin(fold(graph, pace))
}

async fn fold(graph: &mut Graph, pace: &mut Pace) {
    let mut readers = alloc::vec![0usize; graph.values().len()];
    let used = graph.nodes.iter().flat_map(|node| node.inputs.iter().flatten()).chain(&graph.outputs);
    for value in used {
        readers[value.index()] += 1;
    }
    // The convolution, if any, whose output a value is and whose only reader is the next node to look at.
    let mut writer: Vec<Option<usize>> = alloc::vec![None; graph.values().len()];
    let mut gone = alloc::vec![false; graph.nodes.len()];
    for (index, gone) in gone.iter_mut().enumerate() {
        let pair = affine_of(graph, index).and_then(|(conv_output, affine)| {
            let conv = writer[conv_output.index()].filter(|_| readers[conv_output.index()] == 1)?;
            Some((conv, affine))
        });
        let folded = match pair {
            Some((conv, affine)) => apply(graph, conv, &affine, pace).await.map(|()| conv),
            None => None,
        };
        if let Some(folded) = folded {
            let output = graph.nodes[index].outputs[0];
            graph.nodes[folded].outputs[0] = output;
            *gone = true;
            writer[output.expect("it has one").index()] = Some(folded);
        } else if graph.nodes[index].op.downcast::<Conv>().is_some()
            && let Some(Some(output)) = graph.nodes[index].outputs.first()
            && output.index() < writer.len()
        {
            writer[output.index()] = Some(index);
        }
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !gone[index - 1]
    });
}

/// `y = scale * x + shift`, one number or one a channel each.
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// A node as an affine map of one of its inputs.
fn affine_of(graph: &Graph, index: usize) -> Option<(ValueId, Affine)> {
    let node = &graph.nodes[index];
    let binary = node.op.downcast::<Binary>()?;
    let (a, b) = (node.inputs[0]?, node.inputs[1]?);
    let (x, constant, swapped) = match (graph.constant(a), graph.constant(b)) {
        (None, Some(constant)) => (a, constant, false),
        (Some(constant), None) => (b, constant, true),
        _ => return None,
    };
    let values = per_channel(constant, graph.fact(x)?.shape.rank()?)?;
    let map = |f: fn(f32) -> f32| values.iter().map(|value| f(*value)).collect::<Vec<_>>();
    let (one, zero) = (alloc::vec![1.0], alloc::vec![0.0]);
    let affine = match (binary, swapped) {
        (Binary::Mul, _) => Affine { scale: values, shift: zero },
        (Binary::Div, false) => Affine { scale: map(|value| 1.0 / value), shift: zero },
        (Binary::Add, _) => Affine { scale: one, shift: values },
        (Binary::Sub, false) => Affine { scale: one, shift: map(|value| -value) },
        (Binary::Sub, true) => Affine { scale: alloc::vec![-1.0], shift: values },
        _ => return None,
    };
    let finite = affine.scale.iter().chain(&affine.shift).all(|value| value.is_finite());
    finite.then_some((x, affine))
}

/// The numbers of a constant that broadcasts to `[N, C, ...]` of this rank as one number or one a channel.
fn per_channel(constant: &Tensor, rank: usize) -> Option<Vec<f32>> {
    if constant.element() != ElementType::F32 || constant.shape().rank() > rank || constant.is_empty() {
        return None;
    }
    let from_end = constant.shape().iter().rev().position(|extent| *extent != 1);
    let alone = constant.shape().iter().filter(|extent| **extent != 1).count() <= 1;
    // Axis 1 of `rank` dimensions lies `rank - 2` from the end.
    let fits = from_end.is_none_or(|position| position + 2 == rank && alone);
    if fits { constant.to_vec().ok() } else { None }
}

/// Puts the map into weights and bias of the convolution at `conv`.
async fn apply(graph: &mut Graph, conv: usize, affine: &Affine, pace: &mut Pace) -> Option<()> {
    let inputs = &graph.nodes[conv].inputs;
    let weights = graph.constant((*inputs.get(1)?)?)?.clone();
    let bias = match inputs.get(2).copied().flatten() {
        Some(bias) => graph.constant(bias)?.to_vec::<f32>().ok()?,
        None => Vec::new(),
    };
    let channels = *weights.shape().first()?;
    let fits = |values: &[f32]| values.len() == 1 || values.len() == channels;
    if weights.element() != ElementType::F32 || channels == 0 || !fits(&affine.scale) || !fits(&affine.shift)
    {
        return None;
    }
    let at = |values: &[f32], channel: usize| if values.len() == 1 { values[0] } else { values[channel] };
    let scaled = scaled(&weights, channels, |channel| at(&affine.scale, channel), pace).await?;
    let shifted: Vec<f32> = (0..channels)
        .map(|channel| {
            let bias = bias.get(channel).copied().unwrap_or(0.0);
            bias * at(&affine.scale, channel) + at(&affine.shift, channel)
        })
        .collect();
    let bias = Tensor::from_slice(&shifted, Shape::from([channels])).ok()?;
    let (weights, bias) = (graph.add_constant("", scaled), graph.add_constant("", bias));
    let inputs = &mut graph.nodes[conv].inputs;
    inputs.resize(3, None);
    (inputs[1], inputs[2]) = (Some(weights), Some(bias));
    Some(())
}

/// The weights, those of each channel times what `factor` says.
async fn scaled(
    weights: &Tensor,
    channels: usize,
    factor: impl Fn(usize) -> f32,
    pace: &mut Pace,
) -> Option<Tensor> {
    let mut scaled = Tensor::zeros_paced(ElementType::F32, weights.shape(), pace).await.ok()?;
    let (from, mut to) = (weights.as_slice::<f32>().ok()?, scaled.as_slice_mut::<f32>().ok()?);
    let row = (from.len() / channels).max(1);
    for (channel, (to, from)) in to.chunks_mut(row).zip(from.chunks(row)).enumerate() {
        let factor = factor(channel);
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
        pace.spend(row as u64).await;
    }
    drop(to);
    Some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Fact, Node};
    use crate::op::{Op, Padding, Window};
    use alloc::sync::Arc;

    fn node(graph: &mut Graph, op: impl Op, inputs: &[ValueId]) -> ValueId {
        let output = graph.add_value("", Some(Fact::fixed(ElementType::F32, &[1, 2, 4, 4])));
        graph.nodes.push(Node {
            name: "".into(),
            op: Arc::new(op),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: alloc::vec![Some(output)],
        });
        output
    }

    fn conv(graph: &mut Graph) -> ValueId {
        let x = graph.add_value("x", Some(Fact::fixed(ElementType::F32, &[1, 1, 4, 4])));
        let weights = graph.add_constant("w", Tensor::from_slice(&[1.0f32, 2.0], [2, 1, 1, 1]).unwrap());
        let bias = graph.add_constant("b", Tensor::from_slice(&[10.0f32, 20.0], [2]).unwrap());
        let window =
            Window { kernel: None, strides: Vec::new(), dilations: Vec::new(), padding: Padding::Valid };
        node(graph, Conv { window, group: 1 }, &[x, weights, bias])
    }

    fn constants(graph: &Graph) -> [Vec<f32>; 2] {
        [1, 2].map(|input| graph.constant(graph.nodes[0].inputs[input].unwrap()).unwrap().to_vec().unwrap())
    }

    #[test]
    fn scale_and_shift_per_channel_go_into_weights_and_bias() {
        let mut graph = Graph::default();
        let c = conv(&mut graph);
        let scale = graph.add_constant("s", Tensor::from_slice(&[3.0f32, 4.0], [2, 1, 1]).unwrap());
        let shift = graph.add_constant("t", Tensor::from_slice(&[0.5f32], [1]).unwrap());
        let m = node(&mut graph, Binary::Mul, &[scale, c]);
        let y = node(&mut graph, Binary::Sub, &[shift, m]);
        graph.outputs.push(y);
        fold_affine(&mut graph);
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].outputs, [Some(y)]);
        assert_eq!(constants(&graph), [alloc::vec![-3.0, -8.0], alloc::vec![-29.5, -79.5]]);
    }

    #[test]
    fn a_scale_along_another_axis_or_a_second_reader_prevents_it() {
        for second_reader in [false, true] {
            let mut graph = Graph::default();
            let c = conv(&mut graph);
            let extents: [usize; 2] = if second_reader { [1, 1] } else { [1, 4] };
            let values = alloc::vec![2.0f32; extents[1]];
            let scale = graph.add_constant("s", Tensor::from_slice(&values, extents).unwrap());
            let y = node(&mut graph, Binary::Mul, &[c, scale]);
            graph.outputs.push(y);
            if second_reader {
                graph.outputs.push(c);
            }
            fold_affine(&mut graph);
            assert_eq!(graph.nodes.len(), 2);
        }
    }
}
