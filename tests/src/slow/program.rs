//! Programs: steps over arrays, and the model that the engine has of them.

use std::sync::Arc;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::Model;
use inferry_engine::graph::{Dim, Fact, Graph, Node, ShapeFact, ValueId};
use inferry_engine::op::{self, ArgReduce, Binary, Op, Padding, ReduceKind, Unary, Variadic, Window};

use super::array::Array;

/// Values, each of which reads only those before it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The values.
    pub values: Vec<Value>,
    /// Which of them are wanted.
    pub outputs: Vec<usize>,
}

/// A value of a program, and what it should be.
#[derive(Clone, Debug)]
pub struct Value {
    /// What is done for it.
    pub step: Step,
    /// The values that it reads.
    pub reads: Vec<usize>,
    /// What it is.
    pub array: Array,
}

/// What is done for a value. Attributes are as the engine's operators have them, axes all from the front.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is given in the run.
    Input,
    /// It is part of the model.
    Constant,
    /// A function of each element.
    Unary(Unary),
    /// A function of two, which are broadcast.
    Binary(Binary),
    /// A function of several, which are broadcast.
    Variadic(Variadic),
    /// The second where the first holds, else the third.
    Choose,
    /// Held between two numbers.
    Clip(f64, f64),
    /// As another type.
    Cast(ElementType),
    /// Another shape; -1 is what is left.
    Reshape(Vec<i64>),
    /// Dimensions in another order.
    Transpose(Vec<usize>),
    /// Dimensions of one element, at these places of the result.
    Unsqueeze(Vec<usize>),
    /// Without these dimensions, of one element each.
    Squeeze(Vec<usize>),
    /// Broadcast to a shape.
    Expand(Vec<usize>),
    /// Repeated along each dimension.
    Tile(Vec<usize>),
    /// One after the other along a dimension.
    Concat(usize),
    /// Along each dimension from a start, so many, with a step.
    Slice(Vec<(usize, usize, i64)>),
    /// Zeros before and behind, along each dimension.
    Pad(Vec<(usize, usize)>),
    /// Slices picked along a dimension.
    Gather(usize, Vec<i64>),
    /// One number for all along some dimensions.
    Reduce {
        /// Which.
        kind: ReduceKind,
        /// The dimensions.
        axes: Vec<usize>,
        /// Whether they stay, with one element.
        keep: bool,
    },
    /// Where the largest or smallest is.
    Arg(ArgReduce),
    /// A product of matrices.
    MatMul,
    /// `alpha A B + beta C`.
    Gemm {
        /// The factor of the product.
        alpha: f32,
        /// The factor of the summand.
        beta: f32,
        /// Whether the matrices are transposed.
        transposed: [bool; 2],
    },
    /// A convolution of the first with the second, plus the third.
    Conv {
        /// Along each spatial dimension: stride, dilation, zeros before and behind.
        window: Vec<(usize, usize, usize, usize)>,
        /// How many groups of channels.
        group: usize,
    },
}

impl Program {
    /// The model of the same steps; with `open`, the extents of its inputs are not known before the run.
    pub fn model(&self, open: bool) -> Model {
        let mut graph = Graph::default();
        let mut ids: Vec<ValueId> = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            let Array { element, shape, .. } = &value.array;
            let id = match &value.step {
                Step::Constant => graph.add_constant("", value.array.tensor()),
                Step::Input => {
                    let dim = |extent: &usize| if open { Dim::Unknown } else { Dim::Fixed(*extent) };
                    let dims = ShapeFact(Some(shape.iter().map(dim).collect()));
                    let id = graph.add_value(format!("input{index}"), Some(Fact::new(*element, dims)));
                    graph.inputs.push(id);
                    id
                }
                step => {
                    let mut inputs: Vec<_> = value.reads.iter().map(|read| Some(ids[*read])).collect();
                    let (op, more) = step.op(*element);
                    inputs.extend(more.into_iter().map(|tensor| Some(graph.add_constant("", tensor))));
                    let id = graph.add_value(format!("value{index}"), None);
                    graph.nodes.push(Node {
                        name: format!("step{index}").into(),
                        op,
                        inputs,
                        outputs: vec![Some(id)],
                    });
                    id
                }
            };
            ids.push(id);
        }
        graph.outputs = self.outputs.iter().map(|value| ids[*value]).collect();
        Model { graph, ..Model::default() }
    }

    /// The inputs of a run, in the model's order.
    pub fn inputs(&self) -> Vec<Tensor> {
        let inputs = self.values.iter().filter(|value| matches!(value.step, Step::Input));
        inputs.map(|value| value.array.tensor()).collect()
    }
}

impl Step {
    /// The operator, and the constants that it reads after the operands. `element` is the type of the result.
    fn op(&self, element: ElementType) -> (Arc<dyn Op>, Vec<Tensor>) {
        let sizes = |sizes: &[usize]| ints(&sizes.iter().map(|size| *size as i64).collect::<Vec<_>>());
        match self {
            Step::Input | Step::Constant => unreachable!("no operator makes them"),
            Step::Unary(function) => (Arc::new(*function), vec![]),
            Step::Binary(function) => (Arc::new(*function), vec![]),
            Step::Variadic(function) => (Arc::new(*function), vec![]),
            Step::Choose => (Arc::new(op::Where), vec![]),
            Step::Clip(low, high) => {
                (Arc::new(op::Clip), vec![scalar(element, *low), scalar(element, *high)])
            }
            Step::Cast(to) => (Arc::new(op::Cast { to: *to, saturate: true }), vec![]),
            Step::Reshape(shape) => (Arc::new(op::Reshape { allow_zero: true }), vec![ints(shape)]),
            Step::Transpose(perm) => (Arc::new(op::Transpose { perm: Some(perm.clone()) }), vec![]),
            Step::Unsqueeze(axes) => (Arc::new(op::Unsqueeze), vec![sizes(axes)]),
            Step::Squeeze(axes) => (Arc::new(op::Squeeze), vec![sizes(axes)]),
            Step::Expand(shape) => (Arc::new(op::Expand), vec![sizes(shape)]),
            Step::Tile(repeats) => (Arc::new(op::Tile), vec![sizes(repeats)]),
            Step::Concat(axis) => (Arc::new(op::Concat { axis: *axis as i64 }), vec![]),
            Step::Slice(parts) => (Arc::new(op::Slice), slice(parts)),
            Step::Pad(pads) => {
                let pads: Vec<usize> =
                    pads.iter().map(|pad| pad.0).chain(pads.iter().map(|pad| pad.1)).collect();
                (Arc::new(op::Pad { mode: op::PadMode::Constant }), vec![sizes(&pads)])
            }
            Step::Gather(axis, indices) => (Arc::new(op::Gather { axis: *axis as i64 }), vec![ints(indices)]),
            Step::Reduce { kind, axes, keep } => {
                let reduce = op::Reduce { kind: *kind, keep_dims: *keep, noop_with_empty_axes: true };
                (Arc::new(reduce), vec![sizes(axes)])
            }
            Step::Arg(arg) => (Arc::new(*arg), vec![]),
            Step::MatMul => (Arc::new(op::MatMul), vec![]),
            Step::Gemm { alpha, beta, transposed: [trans_a, trans_b] } => {
                let gemm = op::Gemm { alpha: *alpha, beta: *beta, trans_a: *trans_a, trans_b: *trans_b };
                (Arc::new(gemm), vec![])
            }
            Step::Conv { window, group } => {
                let window = Window {
                    kernel: None,
                    strides: window.iter().map(|axis| axis.0).collect(),
                    dilations: window.iter().map(|axis| axis.1).collect(),
                    padding: Padding::Explicit(
                        window.iter().map(|axis| axis.2).chain(window.iter().map(|axis| axis.3)).collect(),
                    ),
                };
                (Arc::new(op::Conv { window, group: *group }), vec![])
            }
        }
    }
}

/// Starts, ends, axes and steps. An end before the first element is written as far below zero as can be.
fn slice(parts: &[(usize, usize, i64)]) -> Vec<Tensor> {
    let end = |(start, count, step): &(usize, usize, i64)| {
        let end = *start as i64 + *count as i64 * step;
        if end < 0 { i64::MIN } else { end }
    };
    let axes: Vec<i64> = (0..parts.len() as i64).collect();
    vec![
        ints(&parts.iter().map(|part| part.0 as i64).collect::<Vec<_>>()),
        ints(&parts.iter().map(end).collect::<Vec<_>>()),
        ints(&axes),
        ints(&parts.iter().map(|part| part.2).collect::<Vec<_>>()),
    ]
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()]).expect("a vector")
}

fn scalar(element: ElementType, value: f64) -> Tensor {
    let tensor = match element {
        ElementType::F32 => Tensor::from_slice(&[value as f32], Shape::scalar()),
        ElementType::F64 => Tensor::from_slice(&[value], Shape::scalar()),
        ElementType::I8 => Tensor::from_slice(&[value as i8], Shape::scalar()),
        ElementType::U8 => Tensor::from_slice(&[value as u8], Shape::scalar()),
        ElementType::I32 => Tensor::from_slice(&[value as i32], Shape::scalar()),
        _ => Tensor::from_slice(&[value as i64], Shape::scalar()),
    };
    tensor.expect("one number")
}
