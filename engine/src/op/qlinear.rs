//! Quantised operators of `com.microsoft`, put together: to real numbers, the operator, and back; or whole numbers multiplied
//! and then scaled. Passes and kernels know these patterns, as exporters write them out as well.

use super::rnn;
use super::{
    Binary, Concat, DequantizeLinear, DynamicQuantizeLinear, GlobalPool, GlobalPoolKind, MatMulInteger,
    MoveAxis, QuantizeLinear, Softmax, Unary, pool,
};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};
use alloc::format;
use alloc::vec::Vec;
use inferry_core::ElementType;

/// The real numbers of the quantised input at `index`, whose scale and zero point are the two inputs behind it.
fn real(node: &NodeView<'_>, f: &mut Fragment, index: usize) -> Wire {
    let zero = node.has_input(index + 2).then(|| f.input(index + 2));
    let inputs = [Some(f.input(index)), Some(f.input(index + 1)), zero];
    f.steps(DequantizeLinear { axis: 1, block_size: 0 }, &inputs, 1)[0]
}

/// Quantised as input `scale` and the one behind it say; without a zero point, to the type of the input at `like`.
fn quantised(node: &NodeView<'_>, f: &mut Fragment, x: Wire, scale: usize, like: usize) -> Wire {
    let zero = if node.has_input(scale + 1) {
        f.input(scale + 1)
    } else {
        let (zero, like) = (f.scalar(0u8), f.input(like));
        f.like(zero, like)
    };
    let op = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
    let scale = f.input(scale);
    f.step(op, &[x, scale, zero])
}

/// QLinearAdd and QLinearMul.
pub(crate) fn import_binary(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(7..=8, 1..=1)?;
    let op = if node.op_type() == "QLinearAdd" { Binary::Add } else { Binary::Mul };
    let mut f = Fragment::new();
    let (a, b) = (real(node, &mut f, 0), real(node, &mut f, 3));
    let y = f.step(op, &[a, b]);
    let y = quantised(node, &mut f, y, 6, 0);
    Ok(f.giving(y))
}

/// QLinearSigmoid and QLinearLeakyRelu.
pub(crate) fn import_unary(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let op = match node.op_type() {
        "QLinearSigmoid" => Unary::Sigmoid,
        _ => Unary::LeakyRelu { alpha: node.float_or("alpha", 0.01)? },
    };
    around(node, |f, x| f.step(op, &[x]))
}

/// QLinearSoftmax; `opset` says which of the two meanings the axis has.
pub(crate) fn import_softmax(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let flatten = node.int_or("opset", 13)? < 13;
    let axis = node.int_or("axis", if flatten { 1 } else { -1 })?;
    around(node, |f, x| f.step(Softmax { axis, log: false, flatten }, &[x]))
}

/// QLinearAveragePool and QLinearGlobalAveragePool, with the channels second or last.
pub(crate) fn import_pool(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let last = node.flag("channels_last", false)?;
    let average = match node.op_type() {
        "QLinearGlobalAveragePool" => None,
        _ => Some(pool::average(node)?),
    };
    around(node, |f, mut x| {
        if last {
            x = f.step(MoveAxis { from: -1, to: 1 }, &[x]);
        }
        let y = match average {
            Some(average) => f.step(average, &[x]),
            None => f.step(GlobalPool { kind: GlobalPoolKind::Average }, &[x]),
        };
        if last { f.step(MoveAxis { from: 1, to: -1 }, &[y]) } else { y }
    })
}

/// An operator of one input between its real numbers and their quantised form.
fn around(
    node: &NodeView<'_>,
    op: impl FnOnce(&mut Fragment, Wire) -> Wire,
) -> Result<Fragment, ImportError> {
    node.counts(4..=5, 1..=1)?;
    let mut f = Fragment::new();
    let x = real(node, &mut f, 0);
    let y = op(&mut f, x);
    let y = quantised(node, &mut f, y, 3, 0);
    Ok(f.giving(y))
}

/// QLinearConcat: scale and zero point of the output, then three inputs for each part.
pub(crate) fn import_concat(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(5..=usize::MAX, 1..=1)?;
    if node.inputs() % 3 != 2 {
        return Err(node.refuse(format!("{} inputs are not two and three for each part", node.inputs())));
    }
    let axis = node.int("axis")?.ok_or_else(|| node.refuse_attribute("axis", "is missing"))?;
    let mut f = Fragment::new();
    let parts: Vec<Wire> = (2..node.inputs()).step_by(3).map(|index| real(node, &mut f, index)).collect();
    let y = f.step(Concat { axis }, &parts);
    let y = quantised(node, &mut f, y, 0, 2);
    Ok(f.giving(y))
}

/// DynamicQuantizeMatMul: the first factor is quantised on the way.
pub(crate) fn import_dynamic_matmul(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(3..=5, 1..=1)?;
    let mut f = Fragment::new();
    let (a, b, scale) = (f.input(0), f.input(1), f.input(2));
    let parts = f.steps(DynamicQuantizeLinear, &[Some(a)], 3);
    let [a, a_scale, a_zero] = parts[..] else { unreachable!("three outputs were asked for") };
    let zero = node.has_input(3).then(|| f.input(3));
    let y = scaled_product(&mut f, [Some(a), Some(b), Some(a_zero), zero], a_scale, scale);
    let y = with_bias(node, &mut f, y, 4);
    Ok(f.giving(y))
}

/// MatMulIntegerToFloat.
pub(crate) fn import_matmul_to_float(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(4..=7, 1..=1)?;
    let mut f = Fragment::new();
    let [a, b, a_scale, b_scale] = [0, 1, 2, 3].map(|index| f.input(index));
    let zeros = [4, 5].map(|index| node.has_input(index).then(|| f.input(index)));
    let y = scaled_product(&mut f, [Some(a), Some(b), zeros[0], zeros[1]], a_scale, b_scale);
    let y = with_bias(node, &mut f, y, 6);
    Ok(f.giving(y))
}

fn scaled_product(f: &mut Fragment, factors: [Option<Wire>; 4], a_scale: Wire, b_scale: Wire) -> Wire {
    let whole = f.steps(MatMulInteger, &factors, 1)[0];
    let scale = f.mul(a_scale, b_scale);
    let product = f.like(whole, scale);
    f.mul(product, scale)
}

fn with_bias(node: &NodeView<'_>, f: &mut Fragment, y: Wire, index: usize) -> Wire {
    if !node.has_input(index) {
        return y;
    }
    let bias = f.input(index);
    f.add(y, bias)
}

/// DynamicQuantizeLSTM: an LSTM whose weights are dequantised beforehand. Onnxruntime also rounds the data of each step to
/// eight bits; here it is not rounded, and results are a little more exact.
pub(crate) fn import_lstm(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(12..=12, 0..=3)?;
    let lstm = rnn::lstm(node)?;
    let directions = lstm.direction.count() as i64;
    let mut f = Fragment::new();
    let x = f.input(0);
    let weights = [(1, 8), (2, 10)].map(|(weights, scale)| {
        let [weights, scale, zero] = [weights, scale, scale + 1].map(|index| f.input(index));
        let shape = f.ints(&[directions, 1, -1]);
        let [scale, zero] =
            [scale, zero].map(|vector| f.step(super::Reshape { allow_zero: false }, &[vector, shape]));
        let [weights, zero] = [weights, zero].map(|integers| f.like(integers, scale));
        let centred = f.sub(weights, zero);
        let real = f.mul(centred, scale);
        Some(f.transpose(real, &[0, 2, 1]))
    });
    let mut inputs = [Some(x)].to_vec();
    inputs.extend(weights);
    inputs.extend((3..8).map(|index| node.has_input(index).then(|| f.input(index))));
    let outputs = f.steps(lstm, &inputs, node.outputs());
    outputs.into_iter().enumerate().for_each(|(index, output)| f.give(index, output));
    Ok(f)
}
