//! Models built in code, for tests that need the CPU device and no file.

use std::sync::Arc;

use inferry_core::{ElementType, Tensor};
use inferry_engine::Model;
use inferry_engine::graph::{Fact, Graph, Node, ShapeFact, ValueId};
use inferry_engine::op::{Binary, Cast, Concat, Identity, MatMul, Op, Unary};

/// `sum = a + b`, each of `len` f32: the smallest model that computes.
pub fn add(len: usize) -> Model {
    let mut graph = Graph::default();
    let inputs = ["a", "b"].map(|name| graph.add_value(name, Some(Fact::fixed(ElementType::F32, &[len]))));
    graph.inputs = inputs.to_vec();
    let sum = node(&mut graph, Binary::Add, &inputs, "sum");
    graph.outputs = vec![sum];
    Model { graph, ..Model::default() }
}

/// `layers` times a product with a square matrix and a relu, over `width` rows of `width` f32: work enough to be forked over
/// threads, and to be stopped in the middle.
///
/// # Panics
/// When there is no memory for the matrices.
pub fn dense(layers: usize, width: usize) -> Model {
    let mut graph = Graph::default();
    let mut value = graph.add_value("x", Some(Fact::fixed(ElementType::F32, &[width, width])));
    graph.inputs = vec![value];
    for layer in 0..layers {
        // Rotates the columns, so that values stay small and every layer matters.
        let rotation = |at: usize| f32::from(u8::from((at / width + 1 + layer) % width == at % width));
        let weights: Vec<f32> = (0..width * width).map(rotation).collect();
        let weights = Tensor::from_slice(&weights, [width, width]).expect("as many values as elements");
        let weights = graph.add_constant(format!("weights{layer}"), weights);
        let product = node(&mut graph, MatMul, &[value, weights], &format!("product{layer}"));
        let name = if layer + 1 == layers { "y".to_owned() } else { format!("y{layer}") };
        value = node(&mut graph, Unary::Relu, &[product], &name);
    }
    graph.outputs = vec![value];
    Model { graph, ..Model::default() }
}

/// `total = x + sum`, each of `len` f32, and `y` the same once more: with `sum` and `total` joined, an accumulator.
pub fn accumulate(len: usize) -> Model {
    let mut graph = Graph::default();
    let inputs = ["x", "sum"].map(|name| graph.add_value(name, Some(Fact::fixed(ElementType::F32, &[len]))));
    graph.inputs = inputs.to_vec();
    let total = node(&mut graph, Binary::Add, &inputs, "total");
    let y = node(&mut graph, Identity, &[total], "y");
    graph.outputs = vec![total, y];
    Model { graph, ..Model::default() }
}

/// `all` is `heard` and then `x`, each of any number of f32: an output that grows when it is fed back.
pub fn append() -> Model {
    let mut graph = Graph::default();
    let any = || Some(Fact::new(ElementType::F32, ShapeFact::of_rank(1)));
    let inputs = ["heard", "x"].map(|name| graph.add_value(name, any()));
    graph.inputs = inputs.to_vec();
    let all = node(&mut graph, Concat { axis: 0 }, &inputs, "all");
    graph.outputs = vec![all];
    Model { graph, ..Model::default() }
}

/// `y` is two f32 of `x` as integers: ports of which one does not take what the other gives.
pub fn mixed() -> Model {
    let mut graph = Graph::default();
    let x = graph.add_value("x", Some(Fact::fixed(ElementType::F32, &[2])));
    graph.inputs = vec![x];
    let y = node(&mut graph, Cast { to: ElementType::I64, saturate: true }, &[x], "y");
    graph.outputs = vec![y];
    Model { graph, ..Model::default() }
}

fn node(graph: &mut Graph, op: impl Op, inputs: &[ValueId], output: &str) -> ValueId {
    let id = graph.add_value(output, None);
    graph.nodes.push(Node {
        name: format!("{output}/node").into(),
        op: Arc::new(op),
        inputs: inputs.iter().map(|id| Some(*id)).collect(),
        outputs: vec![Some(id)],
    });
    id
}
