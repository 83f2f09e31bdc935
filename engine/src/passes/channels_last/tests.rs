//! Small quantised graphs, and what becomes of them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use inferry_core::ElementType;

use super::channels_last;
use crate::graph::{Fact, Graph, ValueId, verify};
use crate::op::{
    Binary, ByteConv, Cast, Conv, ConvInteger, DequantizeLinear, DynamicQuantizeLinear, Gemm, GlobalPool,
    GlobalPoolKind, MatMul, MatMulInteger, MaxPool, Op, Padding, QLinearConv, QuantizeLinear, Unary, Window,
};
use crate::passes::lift_quantize;
use crate::passes::testing::Build;

/// A graph of which every scale is 0.5 and every zero point 3, unless it is said otherwise.
struct Sketch {
    build: Build,
    scale: ValueId,
    zero: ValueId,
}

const IMAGE: [usize; 4] = [1, 8, 5, 5];

impl Sketch {
    fn new() -> Sketch {
        let mut build = Build::default();
        let (scale, zero) = (build.constant("s", &[0.5f32], []), build.constant("z", &[3u8], []));
        Sketch { build, scale, zero }
    }

    fn quantise(&mut self, x: ValueId, extents: &[usize]) -> ValueId {
        let op = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
        let fact = Some(Fact::fixed(ElementType::U8, extents));
        self.build.node_of(op, &[x, self.scale, self.zero].map(Some), "", fact)
    }

    fn real(&mut self, bytes: ValueId, extents: &[usize]) -> ValueId {
        self.build.node(DequantizeLinear { axis: 1, block_size: 0 }, &[bytes, self.scale, self.zero], extents)
    }

    /// To bytes and back.
    fn round(&mut self, x: ValueId, extents: &[usize]) -> ValueId {
        let bytes = self.quantise(x, extents);
        self.real(bytes, extents)
    }

    /// Weights of bytes, with a scale for each of their first dimension.
    fn weights(&mut self, extents: &[usize]) -> ValueId {
        let values: Vec<i8> = (0..extents.iter().product::<usize>()).map(|index| index as i8).collect();
        let bytes = self.build.constant("w", &values, inferry_core::Shape::new(extents).unwrap());
        let scales: Vec<f32> = (0..extents[0]).map(|index| 1.0 + index as f32).collect();
        let scale = self.build.constant("sw", &scales, [extents[0]]);
        self.build.node(DequantizeLinear { axis: 0, block_size: 0 }, &[bytes, scale], extents)
    }

    /// A convolution from and to images of [`IMAGE`], with this weight.
    fn conv(&mut self, x: ValueId, w: ValueId) -> ValueId {
        let padding = Padding::Explicit(alloc::vec![1; 4]);
        self.build.node(Conv { window: Window { padding, ..Window::default() }, group: 1 }, &[x, w], &IMAGE)
    }

    /// Bytes, scale and zero point of a DynamicQuantizeLinear.
    fn dynamic(&mut self, x: ValueId, extents: &[usize]) -> [ValueId; 3] {
        let y = self.build.node_of(
            DynamicQuantizeLinear,
            &[Some(x)],
            "",
            Some(Fact::fixed(ElementType::U8, extents)),
        );
        let scale = self.build.graph.add_value("", Some(Fact::fixed(ElementType::F32, &[])));
        let zero = self.build.graph.add_value("", Some(Fact::fixed(ElementType::U8, &[])));
        self.build.graph.nodes.last_mut().unwrap().outputs.extend([Some(scale), Some(zero)]);
        [y, scale, zero]
    }

    /// A product of bytes with these weights as dynamic quantisation writes it, and a bias.
    fn dynamic_product(
        &mut self,
        op: impl Op,
        [x, scale, zero]: [ValueId; 3],
        w: ValueId,
        extents: &[usize],
    ) -> ValueId {
        let build = &mut self.build;
        let (of_weights, zero_of) =
            (build.constant("sw", &[0.25f32], []), build.constant("zw", &[120u8], []));
        let scales = build.node(Binary::Mul, &[scale, of_weights], &[]);
        let fact = Some(Fact::fixed(ElementType::I32, extents));
        let sums = build.node_of(op, &[x, w, zero, zero_of].map(Some), "", fact);
        let sums = build.node(Cast { to: ElementType::F32, saturate: true }, &[sums], extents);
        let real = build.node(Binary::Mul, &[sums, scales], extents);
        let bias = build.constant("b", &[1.0f32; 8], if extents.len() == 4 { [8, 1, 1] } else { [1, 1, 8] });
        build.node(Binary::Add, &[real, bias], extents)
    }

    /// The operators afterwards, with how many inputs they have.
    fn after(self, outputs: &[ValueId]) -> (Graph, Vec<String>) {
        let mut graph = self.build.finish(outputs);
        lift_quantize(&mut graph);
        channels_last(&mut graph);
        crate::passes::drop_dead(&mut graph);
        verify(&graph).unwrap();
        let show = |node: &crate::graph::Node| match node.op.name() {
            "ByteConv" => format!("ByteConv {}", node.inputs.len()),
            name => name.to_string(),
        };
        let shown = graph.nodes.iter().map(show).collect();
        (graph, shown)
    }
}

fn conv_of(graph: &Graph, index: usize) -> &ByteConv {
    graph.nodes[index].op.downcast::<ByteConv>().expect("a convolution of bytes")
}

#[test]
fn a_residual_block_becomes_convolutions_of_bytes_without_transposes_between() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &IMAGE);
    let x = sketch.round(input, &IMAGE);
    let w = sketch.weights(&[8, 8, 3, 3]);
    let a = sketch.conv(x, w);
    let a = sketch.build.node(Unary::Relu, &[a], &IMAGE);
    let a = sketch.round(a, &IMAGE);
    let b = sketch.conv(a, w);
    let b = sketch.round(b, &IMAGE);
    let sum = sketch.build.node(Binary::Add, &[b, x], &IMAGE);
    let y = sketch.build.node(Unary::Relu, &[sum], &IMAGE);
    let y = sketch.quantise(y, &IMAGE);
    let (graph, shown) = sketch.after(&[y]);
    assert_eq!(shown, ["QuantizeLinear", "Transpose", "ByteConv 4", "ByteConv 6", "Transpose"]);
    let (first, second) = (conv_of(&graph, 2), conv_of(&graph, 3));
    // Relu is a limit: nothing below the zero point.
    assert_eq!(first.target.unwrap().rounding.low, 0.0);
    assert_eq!((first.zero, first.rounding), (3, None));
    assert_eq!(second.rounding.unwrap().low, -3.0);
    assert_eq!((second.residual, second.target.unwrap().rounding.low), ((0.5, 3), 0.0));
    // The residual is the image with its channels innermost.
    assert_eq!(graph.nodes[3].inputs[5], graph.nodes[1].outputs[0]);
}

#[test]
fn a_sum_of_two_convolutions_is_taken_by_one_of_them() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &IMAGE);
    let x = sketch.round(input, &IMAGE);
    let w = sketch.weights(&[8, 8, 3, 3]);
    let (a, b) = (sketch.conv(x, w), sketch.conv(x, w));
    let (a, b) = (sketch.round(a, &IMAGE), sketch.round(b, &IMAGE));
    let sum = sketch.build.node(Binary::Add, &[a, b], &IMAGE);
    let y = sketch.quantise(sum, &IMAGE);
    assert_eq!(
        sketch.after(&[y]).1,
        ["QuantizeLinear", "Transpose", "ByteConv 4", "ByteConv 6", "Transpose"]
    );
}

#[test]
fn pools_between_take_bytes_and_vectors_need_no_transpose() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &[1, 3, 5, 5]);
    let x = sketch.round(input, &[1, 3, 5, 5]);
    let w = sketch.weights(&[8, 3, 3, 3]);
    let y = sketch.conv(x, w);
    let y = sketch.round(y, &IMAGE);
    let window = Window { kernel: Some(alloc::vec![2, 2]), ..Window::default() };
    let pool = MaxPool { window, ceil: false, storage_order: 0 };
    let y = sketch.build.node(pool, &[y], &[1, 8, 4, 4]);
    let y = sketch.round(y, &[1, 8, 4, 4]);
    let y = sketch.build.node(GlobalPool { kind: GlobalPoolKind::Average }, &[y], &[1, 8, 1, 1]);
    let y = sketch.round(y, &[1, 8, 1, 1]);
    let y = sketch.build.node(crate::op::Flatten { axis: 1 }, &[y], &[1, 8]);
    let y = sketch.round(y, &[1, 8]);
    let w = sketch.weights(&[6, 8]);
    let gemm = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: true };
    let y = sketch.build.node(gemm, &[y, w], &[1, 6]);
    let (graph, shown) = sketch.after(&[y]);
    let wanted =
        ["QuantizeLinear", "ByteConv 4", "ByteMaxPool", "ByteMean", "Transpose", "Flatten", "ByteConv 4"];
    assert_eq!(shown, wanted);
    // Three channels are read where they are; and what nobody quantises stays real.
    assert!(conv_of(&graph, 1).apart && conv_of(&graph, 6).target.is_none());
    assert_eq!(graph.constant(graph.nodes[6].inputs[2].unwrap()).unwrap().to_vec::<f32>().unwrap()[1], 1.0);
}

#[test]
fn functions_between_convolutions_need_no_transposes() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &IMAGE);
    let x = sketch.round(input, &IMAGE);
    let w = sketch.weights(&[8, 8, 3, 3]);
    let a = sketch.conv(x, w);
    let a = sketch.round(a, &IMAGE);
    let gate = sketch.build.node(Unary::Sigmoid, &[a], &IMAGE);
    let a = sketch.build.node(Binary::Mul, &[a, gate], &IMAGE);
    let a = sketch.round(a, &IMAGE);
    let y = sketch.conv(a, w);
    let y = sketch.round(y, &IMAGE);
    let (graph, shown) = sketch.after(&[y]);
    let between = ["DequantizeLinear", "Sigmoid", "Mul", "QuantizeLinear"];
    let wanted = [&["QuantizeLinear", "Transpose", "ByteConv 4"][..], &between, &["ByteConv 4"]].concat();
    assert_eq!(shown[..8], wanted);
    // An output of the graph is turned round while it is bytes.
    assert_eq!(shown[8..], ["Transpose", "DequantizeLinear"]);
    let last = graph.nodes[6].outputs[0].unwrap();
    assert_eq!(graph.fact(last).unwrap().to_string(), "u8[1, 5, 5, 8]");
}

#[test]
fn weights_of_a_product_are_turned_round_and_lose_their_zero_point() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &[2, 4, 2]);
    let x = sketch.round(input, &[2, 4, 2]);
    let bytes = sketch.build.constant("w", &[1u8, 2, 3, 4, 5, 250], [2, 3]);
    let w = sketch.real(bytes, &[2, 3]);
    let y = sketch.build.node(MatMul, &[x, w], &[2, 4, 3]);
    let bias = sketch.build.constant("b", &[1.0f32, 2.0, 3.0], [3]);
    let y = sketch.build.node(Binary::Add, &[y, bias], &[2, 4, 3]);
    let y = sketch.quantise(y, &[2, 4, 3]);
    let (graph, shown) = sketch.after(&[y]);
    assert_eq!(shown, ["QuantizeLinear", "ByteConv 4"]);
    let weights = graph.constant(graph.nodes[1].inputs[1].unwrap()).unwrap();
    assert_eq!(weights.shape()[..], [3, 2, 1]);
    assert_eq!(weights.to_vec::<i16>().unwrap(), [-2, 1, -1, 2, 0, 247]);
    let bias = graph.constant(graph.nodes[1].inputs[3].unwrap()).unwrap();
    assert_eq!(bias.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
}

#[test]
fn what_somebody_reads_in_between_is_still_there() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &IMAGE);
    let x = sketch.round(input, &IMAGE);
    let w = sketch.weights(&[8, 8, 3, 3]);
    let a = sketch.conv(x, w);
    let real = sketch.build.node(Unary::Relu, &[a], &IMAGE);
    let y = sketch.quantise(real, &IMAGE);
    let (graph, shown) = sketch.after(&[y, real]);
    let wanted = ["QuantizeLinear", "Transpose", "ByteConv 4", "QuantizeLinear", "Transpose", "Transpose"];
    assert_eq!(shown, wanted);
    let conv = conv_of(&graph, 2);
    assert!(conv.target.is_none() && conv.limits == Some([0.0, f32::INFINITY]));
}

#[test]
fn operators_that_are_quantised_themselves_are_taken_too() {
    let mut sketch = Sketch::new();
    let x = sketch.build.input_of("x", Fact::fixed(ElementType::U8, &IMAGE));
    let w = sketch.build.constant("w", &[5i8; 16], [2, 8, 1, 1]);
    let [sx, sw, sy] = [0.5, 0.25, 2.0].map(|scale: f32| sketch.build.constant("s", &[scale], []));
    let (zw, bias) = (sketch.build.constant("zw", &[0i8], []), sketch.build.constant("b", &[7i32, 8], [2]));
    let zero = sketch.zero;
    let op = QLinearConv { window: Window::default(), group: 1 };
    let fact = Some(Fact::fixed(ElementType::U8, &[1, 2, 5, 5]));
    let y = sketch.build.node_of(op, &[x, sx, zero, w, sw, zw, sy, zero, bias].map(Some), "", fact);
    let (graph, shown) = sketch.after(&[y]);
    assert_eq!(shown, ["Transpose", "ByteConv 4", "Transpose"]);
    assert_eq!(graph.nodes[1].inputs[3], Some(bias), "whole numbers are added before they are scaled");
}

#[test]
fn weights_that_change_from_run_to_run_stay() {
    let mut sketch = Sketch::new();
    let input = sketch.build.input("x", &IMAGE);
    let w = sketch.build.input("w", &[8, 8, 3, 3]);
    let (x, w) = (sketch.round(input, &IMAGE), sketch.round(w, &[8, 8, 3, 3]));
    let y = sketch.conv(x, w);
    let shown = sketch.after(&[y]).1;
    assert_eq!(shown.last().unwrap(), &Conv { window: Window::default(), group: 1 }.name());
}

#[test]
fn what_the_run_quantises_stays_with_its_channels_innermost() {
    let mut sketch = Sketch::new();
    let x = sketch.build.input("x", &IMAGE);
    let weights: Vec<u8> = (0..8 * 8 * 9).map(|index| (index % 251) as u8).collect();
    let w = sketch.build.constant("w", &weights, [8, 8, 3, 3]);
    let padding = Padding::Explicit(alloc::vec![1; 4]);
    let op = ConvInteger { window: Window { padding, ..Window::default() }, group: 1 };
    let bytes = sketch.dynamic(x, &IMAGE);
    let y = sketch.dynamic_product(op.clone(), bytes, w, &IMAGE);
    let y = sketch.build.node(Unary::Relu, &[y], &IMAGE);
    let window = Window { kernel: Some(alloc::vec![2, 2]), ..Window::default() };
    let pool = MaxPool { window, ceil: false, storage_order: 0 };
    let y = sketch.build.node(pool, &[y], &[1, 8, 4, 4]);
    let bytes = sketch.dynamic(y, &[1, 8, 4, 4]);
    let y = sketch.dynamic_product(op, bytes, w, &[1, 8, 4, 4]);
    let slope = sketch.build.constant("slope", &[0.5f32; 8], [8, 1, 1]);
    let y = sketch.build.node(Binary::PRelu, &[y, slope], &[1, 8, 4, 4]);
    let (graph, shown) = sketch.after(&[y]);
    let wanted = ["DynamicQuantizeLinear", "Transpose", "ByteConv 8", "ByteMaxPool", "DynamicQuantizeLinear"];
    assert_eq!(shown[..5], wanted);
    assert_eq!(shown[5..], ["ByteConv 8", "Transpose"]);
    let (first, second) = (conv_of(&graph, 2), conv_of(&graph, 5));
    assert_eq!((first.target, first.limits), (None, Some([0.0, f32::INFINITY])));
    assert_eq!((second.target, second.limits), (None, None));
    assert!(graph.nodes[5].inputs[4].is_some() && graph.nodes[5].inputs[5].is_none());
    let quantise = &graph.nodes[4].outputs;
    assert_eq!([0, 6, 7].map(|input| graph.nodes[5].inputs[input]), [0, 1, 2].map(|output| quantise[output]));
}

#[test]
fn several_products_share_what_the_run_quantises() {
    let mut sketch = Sketch::new();
    let x = sketch.build.input("x", &[2, 3, 4]);
    let w = sketch.build.constant("w", &[200u8; 32], [4, 8]);
    let bytes = sketch.dynamic(x, &[2, 3, 4]);
    let (a, b) = (
        sketch.dynamic_product(MatMulInteger, bytes, w, &[2, 3, 8]),
        sketch.dynamic_product(MatMulInteger, bytes, w, &[2, 3, 8]),
    );
    let (graph, shown) = sketch.after(&[a, b]);
    assert_eq!(shown, ["DynamicQuantizeLinear", "ByteConv 8", "ByteConv 8"]);
    let of = |input: usize| graph.constant(graph.nodes[1].inputs[input].unwrap()).unwrap();
    assert_eq!(of(1).to_vec::<i8>().unwrap(), [80; 32]);
    assert_eq!(of(2).to_vec::<f32>().unwrap(), [0.25; 8]);
}

#[test]
fn sums_that_are_wanted_as_they_are_stay_integers() {
    let mut sketch = Sketch::new();
    let x = sketch.build.input("x", &[2, 4]);
    let w = sketch.build.constant("w", &[200u8; 32], [4, 8]);
    let [x, _, zero] = sketch.dynamic(x, &[2, 4]);
    let fact = Some(Fact::fixed(ElementType::I32, &[2, 8]));
    let y = sketch.build.node_of(MatMulInteger, &[x, w, zero].map(Some), "", fact);
    assert_eq!(sketch.after(&[y]).1, ["DynamicQuantizeLinear", "MatMulInteger"]);
}
