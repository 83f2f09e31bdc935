//! Normalisations that are other operators put together: over chosen axes, by a norm, in groups, across channels, and
//! BatchNormalization when it trains.
//!
//! None has a kernel of its own. Where a mean runs over all spatial dimensions, however many there are, the data is seen as
//! `[N, C, elements]` and given its shape back at the end.

use super::{
    AveragePool, BatchNormalization, Binary, InstanceNormalization, Padding, ReduceKind, Unary, Window,
};
use crate::onnx::{Fragment, ImportError, Imported, NodeView, Wire};

/// MeanVarianceNormalization: mean 0 and variance 1 over the axes.
pub(crate) fn import_mean_variance(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let axes = node.ints("axes")?.unwrap_or_else(|| [0, 2, 3].into());
    let mut f = Fragment::new();
    let x = f.input(0);
    let (centred, variance) = centred(&mut f, x, &axes);
    let deviation = f.step(Unary::Sqrt, &[variance]);
    let epsilon = f.number(1e-9, x);
    let divisor = f.add(deviation, epsilon);
    let y = f.div(centred, divisor);
    Ok(f.giving(y))
}

/// `x` minus its mean along the axes, and the variance, with extents of 1 there.
fn centred(f: &mut Fragment, x: Wire, axes: &[i64]) -> (Wire, Wire) {
    let mean = f.reduce(ReduceKind::Mean, x, axes);
    let centred = f.sub(x, mean);
    let squares = f.mul(centred, centred);
    (centred, f.reduce(ReduceKind::Mean, squares, axes))
}

/// LpNormalization: divided by the norm along an axis; zeros stay zeros.
pub(crate) fn import_lp(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let axis = node.int_or("axis", -1)?;
    let kind = match node.int_or("p", 2)? {
        1 => ReduceKind::L1,
        2 => ReduceKind::L2,
        p => return Err(node.refuse_attribute("p", alloc::format!("{p} is neither 1 nor 2"))),
    };
    let mut f = Fragment::new();
    let x = f.input(0);
    let norm = f.reduce(kind, x, &[axis]);
    let zero = f.number(0.0, x);
    let empty = f.step(Binary::Equal, &[norm, zero]);
    let one = f.number(1.0, x);
    let divisor = f.choose(empty, one, norm);
    let y = f.div(x, divisor);
    Ok(f.giving(y))
}

/// GroupNormalization: the channels of a group share mean and variance. Until operator set 20 scale and bias had one number
/// for each group, and since then one for each channel; files of either kind are told apart by what they say.
pub(crate) fn import_group(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(3..=3, 1..=1)?;
    let groups = node.int("num_groups")?.ok_or_else(|| node.refuse_attribute("num_groups", "is missing"))?;
    if groups < 1 {
        return Err(node.refuse_attribute("num_groups", alloc::format!("{groups} is not at least 1")));
    }
    // Statistics are taken in f32 or better, whatever the type that is asked for.
    node.int_or("stash_type", 1)?;
    let epsilon = node.float_or("epsilon", 1e-5)?;
    let mut f = Fragment::new();
    let [x, scale, bias] = [0, 1, 2].map(|index| f.input(index));
    let batch = f.extents(x, 0, Some(1));
    let rest = f.count(x, 1, None);
    let count = f.ints(&[groups]);
    let each = f.div(rest, count);
    let shape = f.chain(&[batch, count, each]);
    let grouped = f.reshape(x, shape);
    let one = f.number(1.0, x);
    let ones = f.step(super::Expand, &[one, count]);
    let zero = f.number(0.0, x);
    let zeros = f.step(super::Expand, &[zero, count]);
    let normal = f.step(InstanceNormalization { epsilon }, &[grouped, ones, zeros]);
    // Back to [N, C, elements]; with a number for each group, to [N, G, elements].
    let shape = if node.opset() < 21 {
        shape
    } else {
        let channels = f.extents(x, 1, Some(2));
        let elements = f.count(x, 2, None);
        f.chain(&[batch, channels, elements])
    };
    let normal = f.reshape(normal, shape);
    let y = scaled(&mut f, normal, scale, bias);
    let y = f.reshape_like(y, x);
    Ok(f.giving(y))
}

/// `[N, C, elements]` times a vector plus a vector, along the channels.
fn scaled(f: &mut Fragment, x: Wire, scale: Wire, bias: Wire) -> Wire {
    let scale = f.unsqueeze(scale, &[1]);
    let scaled = f.mul(x, scale);
    let bias = f.unsqueeze(bias, &[1]);
    f.add(scaled, bias)
}

/// LRN: each number divided by a power of the sum of squares of its neighbours along the channels. The sum is that of a
/// pool which counts its padding.
pub(crate) fn import_lrn(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let size = node.count_or("size", 0)?;
    if size == 0 {
        return Err(node.refuse_attribute("size", "is missing or 0"));
    }
    let (alpha, beta) = (node.float_or("alpha", 1e-4)?, node.float_or("beta", 0.75)?);
    let bias = node.float_or("bias", 1.0)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let squares = f.mul(x, x);
    let shape = [(0, Some(1)), (1, Some(2))].map(|(start, end)| f.extents(x, start, end));
    let one = f.ints(&[1]);
    let elements = f.count(x, 2, None);
    let shape = f.chain(&[shape[0], one, shape[1], elements]);
    let image = f.reshape(squares, shape);
    let (before, after) = ((size - 1) / 2, size / 2);
    let window = Window {
        kernel: Some([size, 1].into()),
        padding: Padding::Explicit([before, 0, after, 0].into()),
        ..Window::default()
    };
    let means = f.step(AveragePool { window, ceil: false, count_include_pad: true }, &[image]);
    let means = f.reshape_like(means, x);
    let [alpha, beta, bias] = [alpha, beta, bias].map(|value| f.number(value, x));
    let weighted = f.mul(means, alpha);
    let base = f.add(weighted, bias);
    let divisor = f.step(Binary::Pow, &[base, beta]);
    let y = f.div(x, divisor);
    Ok(f.giving(y))
}

/// BatchNormalization in all its forms. The usual one is an operator; with statistics of the batch itself (training), or of
/// each element instead of each channel (`spatial` 0, before operator set 9), it is put together.
pub(crate) fn import_batch(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(5..=5, 1..=5)?;
    let epsilon = node.float_or("epsilon", 1e-5)?;
    // Before operator set 14 further outputs told that the node trains.
    let training = match node.opset() {
        ..14 => (1..5).any(|output| node.has_output(output)),
        _ => node.flag("training_mode", false)?,
    };
    if training {
        return if node.flag("spatial", true)? {
            Ok(training_batch(node.float_or("momentum", 0.9)?, epsilon))
        } else {
            Err(node.refuse_attribute("spatial", "0 in training is not supported"))
        };
    }
    if !node.flag("spatial", true)? {
        return Ok(elementwise_batch(epsilon));
    }
    Ok(Fragment::of(Imported::with(BatchNormalization { epsilon }), 5, 1))
}

/// Each element of `[C, ...]` with its own statistics, the same for all of the batch.
fn elementwise_batch(epsilon: f32) -> Fragment {
    let mut f = Fragment::new();
    let [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map(|index| f.input(index));
    let epsilon = f.number(epsilon, variance);
    let variance = f.add(variance, epsilon);
    let deviation = f.step(Unary::Sqrt, &[variance]);
    let factor = f.div(scale, deviation);
    let centred = f.sub(x, mean);
    let scaled = f.mul(centred, factor);
    let y = f.add(scaled, bias);
    f.giving(y)
}

/// With the mean and variance of the batch; the running ones come closer to them.
fn training_batch(momentum: f32, epsilon: f32) -> Fragment {
    let mut f = Fragment::new();
    let [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map(|index| f.input(index));
    let shape = [(0, Some(1)), (1, Some(2))].map(|(start, end)| f.extents(x, start, end));
    let elements = f.count(x, 2, None);
    let shape = f.chain(&[shape[0], shape[1], elements]);
    let flat = f.reshape(x, shape);
    let own_mean = f.reduce(ReduceKind::Mean, flat, &[0, 2]);
    let (centred, own_variance) = centred(&mut f, flat, &[0, 2]);
    let epsilon = f.number(epsilon, x);
    let divisor = f.add(own_variance, epsilon);
    let divisor = f.step(Unary::Sqrt, &[divisor]);
    let normal = f.div(centred, divisor);
    let [scale, bias] = [scale, bias].map(|vector| f.like(vector, x));
    let y = scaled(&mut f, normal, scale, bias);
    let y = f.reshape_like(y, x);
    f.give(0, y);
    for (index, (own, running)) in [(own_mean, mean), (own_variance, variance)].into_iter().enumerate() {
        let own = f.squeeze(own, &[0, 2]);
        let own = f.like(own, running);
        let (keep, take) = (f.number(momentum, running), f.number(1.0 - momentum, running));
        let kept = f.mul(running, keep);
        let taken = f.mul(own, take);
        let sum = f.add(kept, taken);
        f.give(1 + index, sum);
        f.give(3 + index, own);
    }
    f
}
