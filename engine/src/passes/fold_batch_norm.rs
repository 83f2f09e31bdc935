//! Fold a batch normalisation into the convolution before it.
//!
//! ```text
//! c = Conv(x, w, b)                                          y = Conv(x, w·k, (b - mean)·k + bias)
//! y = BatchNormalization(c, scale, bias, mean, var)    ─▶    with k = scale / sqrt(var + epsilon), one a channel
//! ```
//!
//! The same for ConvTranspose. All parameters must be constant (also when they came through Casts that have been folded)
//! and nobody else may read the convolution's output. f32 and f64, computed in f64. Half floats are left alone: their
//! scaled weights would be rounded twice.

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::steps::{Pace, finish};
use inferry_core::{Element, ElementType, Shape, Tensor};

use super::Work;

use crate::graph::{Graph, Node, ValueId};
use crate::op::{BatchNormalization, Conv, ConvTranspose};

/// Folds every pair. The convolution takes over the normalisation's output.
pub fn fold_batch_norm(graph: &mut Graph) {
    finish(paced(graph, &mut Pace::silent()));
}

/// As [`fold_batch_norm`], with interruptions.
pub(super) fn paced<'a>(graph: &'a mut Graph, pace: &'a mut Pace) -> Work<'a> {
    Box::pin(fold(graph, pace))
}

async fn fold(graph: &mut Graph, pace: &mut Pace) {
    let mut writers = graph.writers();
    let uses = graph.uses();
    for index in 0..graph.nodes.len() {
        let Some(x) = graph.nodes[index].inputs.first().copied().flatten() else { continue };
        let Some(conv) = writers[x.index()].filter(|_| uses[x.index()] == 1) else { continue };
        let pair = folded(graph, &graph.nodes[conv], &graph.nodes[index], pace).await;
        let Some([weights, bias]) = pair else { continue };
        // A normalisation that writes nothing any more goes below.
        let outputs = core::mem::take(&mut graph.nodes[index].outputs);
        outputs.iter().flatten().for_each(|id| writers[id.index()] = Some(conv));
        let constants = [graph.add_constant("", weights), graph.add_constant("", bias)];
        let node = &mut graph.nodes[conv];
        node.inputs.truncate(1);
        node.inputs.extend(constants.map(Some));
        node.outputs = outputs;
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
}

/// The new weights and bias of the convolution, if the two nodes are such a pair.
async fn folded(graph: &Graph, conv: &Node, norm: &Node, pace: &mut Pace) -> Option<[Tensor; 2]> {
    let epsilon = f64::from(norm.op.downcast::<BatchNormalization>()?.epsilon);
    let weights = graph.constant((*conv.inputs.get(1)?)?)?;
    let element = weights.element();
    let shape = weights.shape();
    // Output channels are `groups` slices of axis `axis` of the weights, one after the other.
    let (axis, groups) = if conv.op.downcast::<Conv>().is_some() {
        (0, 1)
    } else {
        (1, conv.op.downcast::<ConvTranspose>()?.group)
    };
    let channels = shape.get(axis)?.checked_mul(groups)?;
    let vector = |input: usize| numbers(graph, (*norm.inputs.get(input)?)?, element, channels);
    let (scale, shift, mean, variance) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
    let bias = match conv.inputs.get(2).copied().flatten() {
        Some(bias) => numbers(graph, bias, element, channels)?,
        None => alloc::vec![0.0; channels],
    };
    let factor: Vec<f64> =
        scale.iter().zip(&variance).map(|(scale, variance)| scale / libm::sqrt(variance + epsilon)).collect();
    let bias: Vec<f64> = (0..channels)
        .map(|channel| (bias[channel] - mean[channel]) * factor[channel] + shift[channel])
        .collect();
    if factor.iter().chain(&bias).any(|value| !value.is_finite()) {
        return None;
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let (share, rows) = (shape[axis], shape[0]);
    // `axis` 0: a block is a channel. `axis` 1: row by row of the input's channels, which the groups divide evenly.
    let factor = |index: usize| match axis {
        0 => factor[index],
        _ => factor[index / share / (rows / groups).max(1) * share + index % share],
    };
    let weights = match element {
        ElementType::F32 => {
            scaled(weights, inner, factor, |x: f32, by| (f64::from(x) * by) as f32, pace).await?
        }
        _ => scaled(weights, inner, factor, |x: f64, by| x * by, pace).await?,
    };
    Some([weights, tensor(element, &bias, Shape::from([channels]))?])
}

/// The weights with each block of `inner` multiplied by what `factor` says of it.
async fn scaled<T: Element>(
    weights: &Tensor,
    inner: usize,
    factor: impl Fn(usize) -> f64,
    multiply: fn(T, f64) -> T,
    pace: &mut Pace,
) -> Option<Tensor> {
    let mut scaled = Tensor::zeros_paced(T::TYPE, weights.shape(), pace).await.ok()?;
    let (from, mut to) = (weights.as_slice::<T>().ok()?, scaled.as_slice_mut::<T>().ok()?);
    let inner = inner.max(1);
    for (index, (to, from)) in to.chunks_mut(inner).zip(from.chunks(inner)).enumerate() {
        let factor = factor(index);
        to.iter_mut().zip(from).for_each(|(to, from)| *to = multiply(*from, factor));
        pace.spend(1 + inner as u64).await;
    }
    drop(to);
    Some(scaled)
}

/// The elements of a constant vector of this type and length.
fn numbers(graph: &Graph, id: ValueId, element: ElementType, count: usize) -> Option<Vec<f64>> {
    let tensor = graph.constant(id)?;
    if tensor.element() != element || tensor.len() != count { None } else { values(tensor) }
}

fn values(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.element() {
        ElementType::F32 => Some(tensor.to_vec::<f32>().ok()?.into_iter().map(f64::from).collect()),
        ElementType::F64 => tensor.to_vec().ok(),
        _ => None,
    }
}

fn tensor(element: ElementType, values: &[f64], shape: Shape) -> Option<Tensor> {
    if element == ElementType::F64 {
        return Tensor::from_slice(values, shape).ok();
    }
    let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_slice(&narrow, shape).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Padding, Window};
    use crate::passes::testing::Build;

    fn window() -> Window {
        Window { padding: Padding::Valid, ..Window::default() }
    }

    fn norm(build: &mut Build, c: ValueId) -> ValueId {
        let scale = build.constant("scale", &[2.0f32, 3.0], [2]);
        let shift = build.constant("bias", &[10.0f32, 20.0], [2]);
        let mean = build.constant("mean", &[1.0f32, 2.0], [2]);
        let variance = build.constant("var", &[3.0f32, 0.0], [2]);
        build.node(BatchNormalization { epsilon: 1.0 }, &[c, scale, shift, mean, variance], &[1, 2, 1, 1])
    }

    #[test]
    fn a_convolution_without_bias_gets_one() {
        let mut build = Build::default();
        let x = build.input("x", &[1, 1, 1, 1]);
        let w = build.constant("w", &[5.0f32, 7.0], [2, 1, 1, 1]);
        let c = build.node(Conv { window: window(), group: 1 }, &[x, w], &[1, 2, 1, 1]);
        let y = norm(&mut build, c);
        let mut graph = build.finish(&[y]);
        fold_batch_norm(&mut graph);
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].outputs, [Some(y)]);
        let constant = |input: usize| graph.constant(graph.nodes[0].inputs[input].unwrap()).unwrap();
        // k = 2 / sqrt(4) = 1 and 3 / sqrt(1) = 3.
        assert_eq!(constant(1).to_vec::<f32>().unwrap(), [5.0, 21.0]);
        assert_eq!(constant(2).to_vec::<f32>().unwrap(), [9.0, 14.0]);
    }

    #[test]
    fn a_transposed_convolution_has_its_channels_along_the_second_axis_group_by_group() {
        for (group, expected) in [(1, [1.0f32, 6.0, 3.0, 12.0]), (2, [1.0, 2.0, 9.0, 12.0])] {
            let mut build = Build::default();
            let x = build.input("x", &[1, 2, 1, 1]);
            let share = 2 / group;
            // [2 input channels, share, 1, 2 / share]: four weights either way.
            let w = build.constant("w", &[1.0f32, 2.0, 3.0, 4.0], [2, share, 1, 2 / share]);
            let b = build.constant("b", &[1.0f32, 1.0], [2]);
            let op =
                ConvTranspose { window: window(), group, output_padding: Vec::new(), output_shape: None };
            let c = build.node(op, &[x, w, b], &[1, 2, 1, 1]);
            let y = norm(&mut build, c);
            let mut graph = build.finish(&[y]);
            fold_batch_norm(&mut graph);
            assert_eq!(graph.nodes.len(), 1);
            let constant = |input: usize| graph.constant(graph.nodes[0].inputs[input].unwrap()).unwrap();
            assert_eq!(constant(1).to_vec::<f32>().unwrap(), expected, "{group} groups");
            assert_eq!(constant(2).to_vec::<f32>().unwrap(), [10.0, 17.0]);
        }
    }

    #[test]
    fn a_second_reader_prevents_it() {
        let mut build = Build::default();
        let x = build.input("x", &[1, 1, 1, 1]);
        let w = build.constant("w", &[5.0f32, 7.0], [2, 1, 1, 1]);
        let c = build.node(Conv { window: window(), group: 1 }, &[x, w], &[1, 2, 1, 1]);
        let y = norm(&mut build, c);
        let mut graph = build.finish(&[y, c]);
        fold_batch_norm(&mut graph);
        assert_eq!(graph.nodes.len(), 2);
    }
}
