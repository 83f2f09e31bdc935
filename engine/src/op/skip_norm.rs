//! Layer normalisations of transformers, put together from other operators: without a mean, of a sum, and of embeddings.

use super::{Gather, LayerNormalization, ReduceKind, Slice, Unary};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};

/// SimplifiedLayerNormalization: divided by the root of the mean of squares from an axis on. It is in no version of the
/// standard, and yet files have it in the standard's domain.
pub(crate) fn import_simplified(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=2, 1..=2)?;
    node.int_or("stash_type", 1)?;
    let (axis, epsilon) = (node.int_or("axis", -1)?, node.float_or("epsilon", 1e-5)?);
    let mut f = Fragment::new();
    let (x, scale) = (f.input(0), f.input(1));
    let (normal, inverse) = if axis < 0 {
        let axes: alloc::vec::Vec<i64> = (axis.max(-64)..0).collect();
        root_mean_square(&mut f, x, &axes, epsilon)
    } else {
        let leading = f.count(x, 0, Some(axis));
        let rest = f.count(x, axis, None);
        let shape = f.chain(&[leading, rest]);
        let flat = f.reshape(x, shape);
        let (normal, inverse) = root_mean_square(&mut f, flat, &[1], epsilon);
        let kept = f.extents(x, 0, Some(axis));
        let reduced = f.extents(x, axis, None);
        let zeros = f.sub(reduced, reduced);
        let one = f.ints(&[1]);
        let ones = f.add(zeros, one);
        let shape = f.chain(&[kept, ones]);
        (f.reshape_like(normal, x), f.reshape(inverse, shape))
    };
    let scale = f.like(scale, x);
    let y = f.mul(normal, scale);
    f.give(1, inverse);
    Ok(f.giving(y))
}

/// `x` divided by the root of its mean square along the axes, and one over that root.
fn root_mean_square(f: &mut Fragment, x: Wire, axes: &[i64], epsilon: f32) -> (Wire, Wire) {
    let squares = f.mul(x, x);
    let mean = f.reduce(ReduceKind::Mean, squares, axes);
    let epsilon = f.number(epsilon, x);
    let raised = f.add(mean, epsilon);
    let root = f.step(Unary::Sqrt, &[raised]);
    let inverse = f.step(Unary::Reciprocal, &[root]);
    (f.mul(x, inverse), inverse)
}

/// SkipLayerNormalization and SkipSimplifiedLayerNormalization: of the sum of input, skip and perhaps a bias, which is the
/// fourth output.
pub(crate) fn import_skip(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let simplified = node.op_type() == "SkipSimplifiedLayerNormalization";
    let bias = if simplified { 3 } else { 4 };
    node.counts(3..=bias + 1, 1..=4)?;
    let epsilon = node.float_or("epsilon", 1e-12)?;
    let mut f = Fragment::new();
    let [x, skip, scale] = [0, 1, 2].map(|index| f.input(index));
    let mut sum = f.add(x, skip);
    if node.has_input(bias) {
        let bias = f.input(bias);
        sum = f.add(sum, bias);
    }
    f.give(3, sum);
    if simplified {
        let (normal, inverse) = root_mean_square(&mut f, sum, &[-1], epsilon);
        let y = f.mul(normal, scale);
        f.give(2, inverse);
        return Ok(f.giving(y));
    }
    let beta = node.has_input(3).then(|| f.input(3));
    let layer = LayerNormalization { axis: -1, epsilon };
    let outputs = f.steps(layer, &[Some(sum), Some(scale), beta], node.outputs().min(3));
    outputs.into_iter().enumerate().for_each(|(index, output)| f.give(index, output));
    Ok(f)
}

/// EmbedLayerNormalization: of the sum of the embeddings of words, positions and segments.
pub(crate) fn import_embed(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(7..=9, 1..=3)?;
    let epsilon = node.float_or("epsilon", 1e-12)?;
    let mut f = Fragment::new();
    let words = f.input(0);
    let [table, positions, gamma, beta] = [2, 3, 5, 6].map(|index| f.input(index));
    let embedded = f.step(Gather { axis: 0 }, &[table, words]);
    let position = if node.has_input(8) {
        let ids = f.input(8);
        f.step(Gather { axis: 0 }, &[positions, ids])
    } else {
        let (begin, end) = (f.ints(&[0]), f.extents(words, 1, Some(2)));
        f.step(Slice, &[positions, begin, end, begin])
    };
    let mut sum = f.add(embedded, position);
    if node.has_input(1) && node.has_input(4) {
        let (segments, table) = (f.input(1), f.input(4));
        let segment = f.step(Gather { axis: 0 }, &[table, segments]);
        sum = f.add(sum, segment);
    }
    let layer = LayerNormalization { axis: -1, epsilon };
    let y = f.step(layer, &[sum, gamma, beta]);
    // How many words of each line count; none where there is no mask.
    let mask = if node.has_input(7) { f.input(7) } else { f.sub(words, words) };
    let counts = f.reduce(ReduceKind::Sum, mask, &[1]);
    let counts = f.squeeze(counts, &[1]);
    f.give(1, counts);
    f.give(2, sum);
    Ok(f.giving(y))
}
