//! Constants of a quantised operator: weights without their zero point, vectors of one number a channel.

use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};

use crate::graph::{Graph, Node, ValueId};

/// Which dimension of the weights counts the output channels, and which the input channels; other dimensions are taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `[M, C, taps...]`
    FeaturesFirst,
    /// `[C, M]`
    FeaturesLast,
}

/// Weights as `[M, C, taps...]` without zero point, and their scales.
pub(super) struct Weights {
    pub(super) weights: ValueId,
    pub(super) scales: Vec<f32>,
}

/// More products than this in one sum could be more than an `i32` holds.
const MOST_TAPS: usize = 32_768;

/// The weights in constants: bytes, scale and zero point. `rank` is how many dimensions they are to have; those added are 1.
pub(super) fn weights(
    graph: &mut Graph,
    [bytes, scale, zero]: [Option<ValueId>; 3],
    order: Order,
    rank: usize,
) -> Option<Weights> {
    let bytes = bytes?;
    let fact = graph.fact(bytes)?;
    let tensor = fact.constant.clone()?;
    let extents = tensor.shape()[..].to_vec();
    let features = match (order, &extents[..]) {
        (Order::FeaturesFirst, [features, _, ..]) | (Order::FeaturesLast, [_, features]) => *features,
        _ => return None,
    };
    let taps = tensor.len().checked_div(features)?;
    if taps == 0 || taps > MOST_TAPS || !matches!(tensor.element(), ElementType::U8 | ElementType::I8) {
        return None;
    }
    let zeros = match zero {
        Some(zero) => graph.fact(zero)?.integers()?,
        None => alloc::vec![0],
    };
    let zeros = spread(zeros, features)?;
    let scales = spread(graph.constant(scale?)?.to_vec::<f32>().ok()?, features)?;
    if scales.iter().any(|scale| !scale.is_finite()) {
        return None;
    }
    let centred = tensor.element() == ElementType::I8 && zeros.iter().all(|zero| *zero == 0);
    if centred && order == Order::FeaturesFirst && extents.len() == rank {
        return Some(Weights { weights: bytes, scales });
    }
    let values = fact.integers()?;
    let at = |feature: usize, tap: usize| match order {
        Order::FeaturesFirst => values[feature * taps + tap],
        Order::FeaturesLast => values[tap * features + feature],
    };
    let mut shape = match order {
        Order::FeaturesFirst => extents,
        Order::FeaturesLast => alloc::vec![features, taps],
    };
    shape.resize(rank.max(shape.len()), 1);
    let shape = Shape::new(&shape).ok()?;
    let all = (0..features).flat_map(|feature| (0..taps).map(move |tap| (feature, tap)));
    let centred: Vec<i16> = all
        .map(|(feature, tap)| i16::try_from(at(feature, tap) - zeros[feature]).ok())
        .collect::<Option<_>>()?;
    let bytes: Option<Vec<i8>> = centred.iter().map(|value| i8::try_from(*value).ok()).collect();
    let tensor = match bytes {
        Some(bytes) => Tensor::from_slice(&bytes, shape).ok()?,
        None => Tensor::from_slice(&centred, shape).ok()?,
    };
    Some(Weights { weights: graph.add_constant("", tensor), scales })
}

/// One number for each of `count` channels, of as many or of one for all.
fn spread<T: Copy>(values: Vec<T>, count: usize) -> Option<Vec<T>> {
    match values.len() {
        1 => Some(alloc::vec![values[0]; count]),
        len if len == count => Some(values),
        _ => None,
    }
}

/// The numbers of a constant that goes with the channels of a tensor, one number each: all other extents are 1. `behind` is
/// how many dimensions follow the channels.
pub(super) fn by_channel(graph: &Graph, value: ValueId, count: usize, behind: usize) -> Option<Vec<f32>> {
    let tensor = graph.constant(value)?;
    let place = tensor.shape().rank().checked_sub(1 + behind);
    let others = tensor.shape().iter().enumerate().filter(|(index, _)| Some(*index) != place);
    if tensor.len() > 1 && others.into_iter().any(|(_, extent)| *extent != 1) {
        return None;
    }
    spread(tensor.to_vec::<f32>().ok()?, count)
}

/// The numbers of a constant vector, or zeros when the input is left out.
pub(super) fn vector(graph: &Graph, node: &Node, index: usize, count: usize) -> Option<Vec<f32>> {
    match node.inputs.get(index).copied().flatten() {
        Some(value) => {
            Some(graph.constant(value)?.to_vec::<f32>().ok()?).filter(|values| values.len() == count)
        }
        None => Some(alloc::vec![0.0; count]),
    }
}
