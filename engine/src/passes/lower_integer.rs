//! Compute integer convolutions and products in `f32`, where that is exact.
//!
//! Before: `y = QLinearConv(x, sx, zx, w, sw, zw, sy, zy, b)`. After: `f = DequantizeLinear(x, 1, zx)`,
//! `c = Conv(f, w - zw, b)`, `m = Mul(c, sx·sw / sy)`, `y = QuantizeLinear(m, 1, zy)`; ConvInteger, MatMulInteger and
//! QLinearMatMul likewise, the first two with a Cast to i32 at the end. A Cast of that back to f32, as dynamic quantisation has it,
//! reads the sum instead, so that the scale, the bias and the activation behind it can be fused with the product.
//!
//! An `f32` holds every integer up to 2^24, and sums of integers are exact as long as no partial sum leaves that range.
//! The weights are constant, so the largest sum that any input can give is known: 255 times the sum of the magnitudes of an
//! output channel's weights, plus its bias. Where that could be too large, or the weights are computed in the run, the
//! operator stays for the integer kernels of the device.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};

use crate::graph::{Fact, Graph, Node, ValueId};
use crate::op::{
    Binary, Cast, Conv, ConvInteger, DequantizeLinear, MatMul, MatMulInteger, Op, QLinearConv, QLinearMatMul,
    QuantizeLinear,
};

/// The first integer whose successor an `f32` cannot hold.
const EXACT: f32 = 16_777_216.0;
/// The largest distance of a byte from its zero point.
const REACH: f32 = 255.0;

/// Rewrites every node for which the result is exact.
pub fn lower_integer(graph: &mut Graph) {
    let nodes = core::mem::take(&mut graph.nodes);
    // Each integer result of a lowered node, and the sum that it was cast from.
    let mut sums: Vec<(ValueId, ValueId)> = Vec::new();
    for mut node in nodes {
        if let Some(cast) = node.op.downcast::<Cast>()
            && cast.to == ElementType::F32
            && let Some((_, sum)) = sums.iter().find(|(whole, _)| node.inputs[0] == Some(*whole))
        {
            // A Cast to what it is already, which `bypass` removes.
            node.inputs[0] = Some(*sum);
        }
        match lower(graph, &node) {
            Some(lowered) => {
                sums.extend(cast_sum(&lowered));
                graph.nodes.extend(lowered);
            }
            None => graph.nodes.push(node),
        }
    }
}

/// The integers at the end of lowered nodes, and what they were cast from.
fn cast_sum(lowered: &[Node]) -> Option<(ValueId, ValueId)> {
    let last = lowered.last().filter(|node| node.op.downcast::<Cast>().is_some())?;
    Some(((*last.outputs.first()?)?, (*last.inputs.first()?)?))
}

fn lower(graph: &mut Graph, node: &Node) -> Option<Vec<Node>> {
    let input = |index: usize| node.inputs.get(index).copied().flatten();
    let mut lowering = Lowering { graph, node, nodes: Vec::new() };
    if let Some(op) = node.op.downcast::<ConvInteger>() {
        let weights = lowering.weights(input(1)?, input(3), Layout::FirstIsChannel, None)?;
        let x = lowering.centred(input(0)?, input(2))?;
        let conv = Conv { window: op.window.clone(), group: op.group };
        let sum = lowering.push(conv, &[x, weights.centred])?;
        lowering.finish(Cast { to: ElementType::I32, saturate: true }, &[sum]);
    } else if node.op.downcast::<MatMulInteger>().is_some() {
        let weights = lowering.weights(input(1)?, input(3), Layout::LastIsChannel, None)?;
        let a = lowering.centred(input(0)?, input(2))?;
        let sum = lowering.push(MatMul, &[a, weights.centred])?;
        lowering.finish(Cast { to: ElementType::I32, saturate: true }, &[sum]);
    } else if let Some(op) = node.op.downcast::<QLinearConv>() {
        let weights = lowering.weights(input(3)?, input(5), Layout::FirstIsChannel, input(8))?;
        let rank = lowering.graph.fact(input(0)?)?.shape.rank()?;
        let scale = lowering.requantise([input(1)?, input(4)?, input(6)?], rank.checked_sub(2)?)?;
        let x = lowering.centred(input(0)?, input(2))?;
        let conv = Conv { window: op.window.clone(), group: op.group };
        let operands: Vec<ValueId> = [x, weights.centred].into_iter().chain(weights.bias).collect();
        let sum = lowering.push(conv, &operands)?;
        lowering.quantise(sum, scale, input(7)?)?;
    } else if node.op.downcast::<QLinearMatMul>().is_some() {
        let weights = lowering.weights(input(3)?, input(5), Layout::LastIsChannel, None)?;
        let scale = lowering.requantise([input(1)?, input(4)?, input(6)?], 0)?;
        let a = lowering.centred(input(0)?, input(2))?;
        let sum = lowering.push(MatMul, &[a, weights.centred])?;
        lowering.quantise(sum, scale, input(7)?)?;
    } else {
        return None;
    }
    Some(lowering.nodes)
}

/// Which dimension of the weights counts the output channels.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    FirstIsChannel,
    LastIsChannel,
}

/// Weights without their zero point, and the bias, as constants of `f32`.
struct Weights {
    centred: ValueId,
    bias: Option<ValueId>,
}

/// The nodes that replace one.
struct Lowering<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    nodes: Vec<Node>,
}

impl Lowering<'_> {
    /// Weights minus zero point; `None` when they are not constant or a sum could be inexact.
    fn weights(
        &mut self,
        weights: ValueId,
        zero: Option<ValueId>,
        layout: Layout,
        bias: Option<ValueId>,
    ) -> Option<Weights> {
        let tensor = self.graph.constant(weights)?;
        let shape = tensor.shape().clone();
        let values = self.graph.fact(weights)?.integers()?;
        let (channels, inner) = match layout {
            Layout::FirstIsChannel => (*shape.first()?, 1),
            Layout::LastIsChannel if shape.rank() == 2 => (shape[1], shape[1]),
            Layout::LastIsChannel => return None,
        };
        let zeros = match zero {
            Some(zero) => self.graph.fact(zero)?.integers()?,
            None => alloc::vec![0],
        };
        let bias = match bias {
            Some(bias) => Some(self.graph.fact(bias)?.integers()?),
            None => None,
        };
        let block = values.len() / channels.max(1);
        let channel_of = |index: usize| match layout {
            Layout::FirstIsChannel => index / block.max(1),
            Layout::LastIsChannel => index % inner,
        };
        let fits = |values: &[i64]| values.len() == 1 || values.len() == channels;
        if channels == 0 || !fits(&zeros) || bias.as_ref().is_some_and(|bias| bias.len() != channels) {
            return None;
        }
        let mut largest: Vec<f32> = match &bias {
            Some(bias) => bias.iter().map(|bias| bias.unsigned_abs() as f32).collect(),
            None => alloc::vec![0.0; channels],
        };
        let mut centred = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let channel = channel_of(index);
            let value = (value - if zeros.len() == 1 { zeros[0] } else { zeros[channel] }) as f32;
            largest[channel] += value.abs() * REACH;
            centred.push(value);
        }
        if largest.iter().any(|sum| *sum >= EXACT) {
            return None;
        }
        let centred = Tensor::from_slice(&centred, shape).ok()?;
        let centred = self.graph.add_constant("", centred);
        let bias = match bias {
            Some(bias) => {
                let bias: Vec<f32> = bias.iter().map(|bias| *bias as f32).collect();
                Some(self.graph.add_constant("", Tensor::from_slice(&bias, Shape::from([channels])).ok()?))
            }
            None => None,
        };
        Some(Weights { centred, bias })
    }

    /// The input minus its zero point, as `f32`. One zero point for the whole tensor only.
    fn centred(&mut self, x: ValueId, zero: Option<ValueId>) -> Option<ValueId> {
        if let Some(zero) = zero
            && self.graph.fact(zero)?.shape.fixed()?.count() != 1
        {
            return None;
        }
        let one = self.graph.add_constant("", Tensor::scalar(1.0f32));
        let zero = match zero {
            // A vector of one zero point would have to go with a vector of one scale.
            Some(zero) if self.graph.fact(zero)?.shape.rank()? > 0 => Some(
                self.graph.add_constant("", self.graph.constant(zero)?.clone().reshaped(Shape::scalar())?),
            ),
            zero => zero,
        };
        let shape = self.graph.fact(x)?.shape.clone();
        let output = self.graph.add_value("", Some(Fact::new(ElementType::F32, shape)));
        self.nodes.push(Node {
            name: self.node.name.clone(),
            op: Arc::new(DequantizeLinear { axis: 1, block_size: 0 }),
            inputs: [Some(x), Some(one)].into_iter().chain(zero.map(Some)).collect(),
            outputs: alloc::vec![Some(output)],
        });
        Some(output)
    }

    /// `x scale * weight scale / output scale`, one number or one a channel, with `trailing` dimensions of 1 behind it.
    fn requantise(&mut self, scales: [ValueId; 3], trailing: usize) -> Option<ValueId> {
        let values = |id: ValueId| self.graph.constant(id)?.to_vec::<f32>().ok();
        let [x, weights, y] = [values(scales[0])?, values(scales[1])?, values(scales[2])?];
        let ([x], [y]) = (&x[..], &y[..]) else { return None };
        let factors: Vec<f32> = weights.iter().map(|scale| x * scale / y).collect();
        let mut shape = alloc::vec![1; trailing + 1];
        shape[0] = factors.len();
        let shape = Shape::new(if factors.len() == 1 { &[] } else { &shape }).ok()?;
        Some(self.graph.add_constant("", Tensor::from_slice(&factors, shape).ok()?))
    }

    fn quantise(&mut self, sum: ValueId, scale: ValueId, zero: ValueId) -> Option<()> {
        let zero = match self.graph.constant(zero)?.clone() {
            zero if zero.len() == 1 => self.graph.add_constant("", zero.reshaped(Shape::scalar())?),
            _ => return None,
        };
        let to = self.graph.fact(zero)?.element;
        let scaled = self.push(Binary::Mul, &[sum, scale])?;
        let one = self.graph.add_constant("", Tensor::scalar(1.0f32));
        self.finish(QuantizeLinear { axis: 1, block_size: 0, to, saturate: true }, &[scaled, one, zero]);
        Some(())
    }

    /// A node in between, with the shape of the node's output and `f32`.
    fn push(&mut self, op: impl Op, inputs: &[ValueId]) -> Option<ValueId> {
        let shape = self.graph.fact((*self.node.outputs.first()?)?)?.shape.clone();
        let output = self.graph.add_value("", Some(Fact::new(ElementType::F32, shape)));
        self.write(op, inputs, output);
        Some(output)
    }

    /// The node that writes what the original wrote.
    fn finish(&mut self, op: impl Op, inputs: &[ValueId]) {
        if let Some(output) = self.node.outputs[0] {
            self.write(op, inputs, output);
        }
    }

    fn write(&mut self, op: impl Op, inputs: &[ValueId], output: ValueId) {
        self.nodes.push(Node {
            name: self.node.name.clone(),
            op: Arc::new(op),
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: alloc::vec![Some(output)],
        });
    }
}

/// The same numbers under another shape.
trait Reshaped: Sized {
    fn reshaped(self, shape: Shape) -> Option<Self>;
}

impl Reshaped for Tensor {
    fn reshaped(self, shape: Shape) -> Option<Tensor> {
        let lease = self.lease_read().ok()?;
        Tensor::from_bytes(self.element(), shape, &lease.bytes()[self.byte_range()]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Padding, Window};

    fn graph(weights: &[i8], zero: i8) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_value("x", Some(Fact::fixed(ElementType::U8, &[1, 2, 4, 4])));
        let channels = weights.len() / 2;
        let weights = graph.add_constant("w", Tensor::from_slice(weights, [channels, 2, 1, 1]).unwrap());
        let x_zero = graph.add_constant("zx", Tensor::scalar(7u8));
        let w_zero = graph.add_constant("zw", Tensor::scalar(zero));
        let y = graph.add_value("y", Some(Fact::fixed(ElementType::I32, &[1, channels, 4, 4])));
        graph.inputs.push(x);
        graph.outputs.push(y);
        let window = Window { padding: Padding::Valid, ..Window::default() };
        graph.nodes.push(Node {
            name: "conv".into(),
            op: Arc::new(ConvInteger { window, group: 1 }),
            inputs: [x, weights, x_zero, w_zero].map(Some).to_vec(),
            outputs: alloc::vec![Some(y)],
        });
        graph
    }

    #[test]
    fn weights_lose_their_zero_point_and_the_result_is_cast() {
        let mut graph = graph(&[1, 2, 3, -4], 1);
        lower_integer(&mut graph);
        let names: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["DequantizeLinear", "Conv", "Cast"]);
        let weights = graph.constant(graph.nodes[1].inputs[1].unwrap()).unwrap();
        assert_eq!(weights.to_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, -5.0]);
        assert_eq!(graph.nodes[2].outputs[0], Some(graph.outputs[0]));
    }

    #[test]
    fn a_sum_that_is_wanted_as_float_is_not_made_an_integer_in_between() {
        let mut graph = graph(&[1, 2, 3, -4], 1);
        let whole = graph.outputs[0];
        let float = graph.add_value("float", Some(Fact::fixed(ElementType::F32, &[1, 2, 4, 4])));
        graph.nodes.push(Node {
            name: "cast".into(),
            op: Arc::new(Cast { to: ElementType::F32, saturate: true }),
            inputs: alloc::vec![Some(whole)],
            outputs: alloc::vec![Some(float)],
        });
        graph.outputs = alloc::vec![float];
        lower_integer(&mut graph);
        crate::passes::bypass(&mut graph);
        crate::passes::drop_dead(&mut graph);
        let names: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["DequantizeLinear", "Conv"]);
        assert_eq!(graph.nodes[1].outputs[0], Some(float));
    }

    #[test]
    fn sums_that_an_f32_cannot_hold_stay_integers() {
        let mut graph = graph(&[1; 4], 0);
        // 2 * 255 * 127 fits; a bias cannot be given to ConvInteger, so make the sum large by its length.
        let long = alloc::vec![127i8; 1200];
        let weights = Tensor::from_slice(&long, [1, 1200, 1, 1]).unwrap();
        let weights = graph.add_constant("w", weights);
        graph.nodes[0].inputs[1] = Some(weights);
        lower_integer(&mut graph);
        assert_eq!(graph.nodes[0].op.name(), "ConvInteger");
    }
}
