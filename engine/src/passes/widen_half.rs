//! Half floats become f32 inside of the graph.
//!
//! ```text
//! x: f16[2]                              x: f16[2]
//! y: f16[2] = Mul(x, f16 {0.5, 2})  ─▶   a: f32[2] = Cast(x)
//!                                        b: f32[2] = Mul(a, f32 {0.5, 2})
//!                                        y: f16[2] = Cast(b)
//! ```
//!
//! For devices that read and write half floats (f16 and bf16) but have no arithmetic on them. Inputs and outputs keep
//! their types. Numbers are rounded where they leave the graph and not at every node, so results are a little more exact
//! than those of arithmetic in half floats; a Cast to a half float inside of the graph rounds no longer either. The types
//! of all values must have been inferred before; shapes stay as they are.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use half::{bf16, f16};
use inferry_core::steps::{Pace, finish};
use inferry_core::{Element, ElementType, Kind, Tensor};

use super::{PassError, Work};
use crate::graph::{Fact, Graph, Node, ShapeFact, ValueId};
use crate::op::{Cast, ConstantOfShape, Op};

/// Widens the graph and the bodies in it. A graph without half floats stays as it is.
///
/// # Errors
/// A value of which nothing is known.
pub fn widen_half(graph: &mut Graph) -> Result<(), PassError> {
    finish(paced(graph, &mut Pace::silent()))
}

/// As [`widen_half`], with interruptions.
pub(super) async fn paced(graph: &mut Graph, pace: &mut Pace) -> Result<(), PassError> {
    // The outside keeps the half floats: their values get a wide twin that the nodes use.
    let mut twin: Vec<Option<ValueId>> = vec![None; graph.values().len()];
    for id in graph.inputs.iter().chain(&graph.outputs).copied().collect::<Vec<_>>() {
        let fact = graph.fact(id).ok_or_else(|| PassError::Unknown(graph.value(id).name.to_string()))?;
        if widens(fact) && twin[id.index()].is_none() {
            let wide = widened(fact, pace).await;
            twin[id.index()] = Some(graph.add_value("", Some(wide)));
        }
    }
    let writers = graph.writers();
    let mut nodes: Vec<Node> = Vec::with_capacity(graph.nodes.len());
    for id in &graph.inputs {
        nodes.extend(twin[id.index()].map(|wide| cast(*id, wide, ElementType::F32)));
    }
    for mut node in core::mem::take(&mut graph.nodes) {
        node.op = widened_op(node.op, pace).await?;
        for id in node.inputs.iter_mut().chain(&mut node.outputs).flatten() {
            *id = twin.get(id.index()).copied().flatten().unwrap_or(*id);
        }
        nodes.push(node);
    }
    let mut narrowed: Vec<ValueId> = Vec::new();
    for id in &graph.outputs {
        // An output that no node writes is an input or constant, and is what it was.
        if let (Some(wide), Some(_), false) = (twin[id.index()], writers[id.index()], narrowed.contains(id)) {
            let element = graph.fact(*id).map_or(ElementType::F16, |fact| fact.element);
            nodes.push(cast(wide, *id, element));
            narrowed.push(*id);
        }
    }
    graph.nodes = nodes;
    widen_facts(graph, &twin, pace).await;
    keep_sequences(graph);
    Ok(())
}

/// Sequences and optionals stay as they are: what goes into them becomes half again, and what comes out of them wide.
fn keep_sequences(graph: &mut Graph) {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in core::mem::take(&mut graph.nodes) {
        let half = node.inputs.iter().chain(&node.outputs).flatten().find_map(|id| {
            let fact = graph.fact(*id)?;
            (fact.kind != Kind::Tensor && is_half(fact.element)).then_some(fact.element)
        });
        let (Some(half), true) = (half, node.op.bodies().is_empty()) else {
            nodes.push(node);
            continue;
        };
        let wide = |graph: &Graph, id: ValueId| {
            graph.fact(id).is_some_and(|fact| fact.kind == Kind::Tensor && fact.element == ElementType::F32)
        };
        let mut after = Vec::new();
        for id in node.inputs.iter_mut().flatten() {
            if !wide(graph, *id) {
                continue;
            }
            let narrow = narrowed(graph, *id, half);
            nodes.push(cast(*id, narrow, half));
            *id = narrow;
        }
        for id in node.outputs.iter_mut().flatten() {
            if !wide(graph, *id) {
                continue;
            }
            let narrow = narrowed(graph, *id, half);
            after.push(cast(narrow, *id, ElementType::F32));
            *id = narrow;
        }
        nodes.push(node);
        nodes.append(&mut after);
    }
    graph.nodes = nodes;
}

/// A value like this one, of half floats.
fn narrowed(graph: &mut Graph, id: ValueId, half: ElementType) -> ValueId {
    let shape = graph.fact(id).map_or(ShapeFact::unknown(), |fact| fact.shape.clone());
    graph.add_value("", Some(Fact::new(half, shape)))
}

fn cast(from: ValueId, to: ValueId, element: ElementType) -> Node {
    let op = Arc::new(Cast { to: element, saturate: true });
    Node { name: "".into(), op, inputs: vec![Some(from)], outputs: vec![Some(to)] }
}

/// All values but those with a twin.
async fn widen_facts(graph: &mut Graph, twin: &[Option<ValueId>], pace: &mut Pace) {
    for (index, value) in graph.values_mut().iter_mut().enumerate() {
        if let (Some(fact), None) = (&value.fact, twin.get(index).copied().flatten())
            && widens(fact)
        {
            value.fact = Some(widened(fact, pace).await);
        }
    }
}

/// A graph inside of a node: everything in it is wide, what comes in and what goes out too.
fn widen_body<'a>(graph: &'a mut Graph, pace: &'a mut Pace) -> Work<'a, Result<(), PassError>> {
    Box::pin(async move {
        for node in &mut graph.nodes {
            node.op = widened_op(node.op.clone(), pace).await?;
        }
        widen_facts(graph, &[], pace).await;
        keep_sequences(graph);
        Ok(())
    })
}

async fn widened_op(op: Arc<dyn Op>, pace: &mut Pace) -> Result<Arc<dyn Op>, PassError> {
    if let Some(cast) = op.downcast::<Cast>().filter(|cast| is_half(cast.to)) {
        return Ok(Arc::new(Cast { to: ElementType::F32, ..*cast }));
    }
    if let Some(filled) = op.downcast::<ConstantOfShape>().filter(|op| is_half(op.value.element())) {
        return Ok(Arc::new(ConstantOfShape { value: widened_tensor(&filled.value, pace).await }));
    }
    if op.bodies().is_empty() {
        return Ok(op);
    }
    let mut bodies = op.bodies().to_vec();
    for body in &mut bodies {
        widen_body(&mut body.graph, pace).await?;
    }
    Ok(op.with_bodies(bodies).unwrap_or(op))
}

/// Sequences and optionals are not computed with.
fn widens(fact: &Fact) -> bool {
    fact.kind == Kind::Tensor && is_half(fact.element)
}

fn is_half(element: ElementType) -> bool {
    matches!(element, ElementType::F16 | ElementType::Bf16)
}

async fn widened(fact: &Fact, pace: &mut Pace) -> Fact {
    match &fact.constant {
        Some(tensor) => Fact::constant(widened_tensor(tensor, pace).await),
        None => Fact::new(ElementType::F32, fact.shape.clone()),
    }
}

async fn widened_tensor(tensor: &Tensor, pace: &mut Pace) -> Tensor {
    match tensor.element() {
        ElementType::F16 => converted(tensor, f16::to_f32, pace).await,
        _ => converted(tensor, bf16::to_f32, pace).await,
    }
}

/// So many numbers are converted between two looks.
const PIECE: usize = 8 << 10;

async fn converted<T: Element>(tensor: &Tensor, convert: fn(T) -> f32, pace: &mut Pace) -> Tensor {
    let wide = Tensor::zeros_paced(ElementType::F32, tensor.shape(), pace).await;
    let mut wide = wide.expect("memory for twice as many bytes");
    let from = tensor.as_slice::<T>().expect("constants are dense and never written");
    let mut to = wide.as_slice_mut::<f32>().expect("just made");
    for (to, from) in to.chunks_mut(PIECE).zip(from.chunks(PIECE)) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = convert(*from));
        pace.spend(3 * from.len() as u64).await;
    }
    drop(to);
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::verify;
    use crate::op::{Binary, Unary};
    use crate::passes::testing::{Build, Integers};
    use crate::passes::{bypass, drop_dead, propagate};

    fn half(extents: &[usize]) -> Option<Fact> {
        Some(Fact::fixed(ElementType::F16, extents))
    }

    #[test]
    fn inputs_and_outputs_keep_their_types_and_everything_between_is_wide() {
        let mut build = Build::default();
        let x = build.input_of("x", Fact::fixed(ElementType::F16, &[2]));
        let c = build.constant("c", &[f16::from_f32(0.5), f16::from_f32(2.0)], [2]);
        let a = build.node_of(Binary::Mul, &[Some(x), Some(c)], "a", half(&[2]));
        let b = build.node_of(Cast { to: ElementType::F32, saturate: true }, &[Some(a)], "b", None);
        let d = build.node_of(Cast { to: ElementType::F16, saturate: true }, &[Some(b)], "d", None);
        let y = build.node_of(Unary::Relu, &[Some(d)], "y", None);
        // `a` is an output too, and read by a node; `x` is handed on.
        let mut graph = build.finish(&[y, a, a, x]);
        propagate(&mut graph, &Integers).unwrap();
        widen_half(&mut graph).unwrap();
        verify(&graph).unwrap();
        propagate(&mut graph, &Integers).unwrap();
        bypass(&mut graph);
        drop_dead(&mut graph);
        verify(&graph).unwrap();
        let expected = "x: f16[2]
----
%0: f32[2] = Cast { to: F32, saturate: true }(x)
%1: f32[2] = Mul(%0, c: f32[2] {0.5, 2})
%2: f32[2] = Relu(%1)
y: f16[2] = Cast { to: F16, saturate: true }(%2)
a: f16[2] = Cast { to: F16, saturate: true }(%1)
----
y
a
a
x
";
        assert_eq!(graph.to_string(), expected);
    }

    #[test]
    fn a_graph_without_half_floats_stays_as_it_is() {
        let mut build = Build::default();
        let x = build.input("x", &[2]);
        let y = build.node(Unary::Relu, &[x], &[2]);
        let mut graph = build.finish(&[y]);
        let before = graph.to_string();
        widen_half(&mut graph).unwrap();
        assert_eq!(graph.to_string(), before);
    }

    #[test]
    fn sequences_keep_their_type() {
        let mut build = Build::default();
        let sequence = Fact::new(ElementType::F16, ShapeFact::unknown()).of_kind(Kind::Sequence);
        let s = build.input_of("s", sequence);
        let zero = build.constant("zero", &[0i64], inferry_core::Shape::scalar());
        let at = crate::op::SequenceAt { or_tensor: false };
        let a = build.node_of(at, &[Some(s), Some(zero)], "a", None);
        let b = build.node_of(Unary::Relu, &[Some(a)], "b", None);
        let t = build.node_of(crate::op::SequenceInsert, &[Some(s), Some(b)], "t", None);
        let mut graph = build.finish(&[t]);
        propagate(&mut graph, &Integers).unwrap();
        widen_half(&mut graph).unwrap();
        propagate(&mut graph, &Integers).unwrap();
        verify(&graph).unwrap();
        let expected = "s: sequence(f16[...])
----
%0: f16[...] = SequenceAt { or_tensor: false }(s, zero: i64[] {0})
a: f32[...] = Cast { to: F32, saturate: true }(%0)
b: f32[...] = Relu(a)
%1: f16[...] = Cast { to: F16, saturate: true }(b)
t: sequence(f16[...]) = SequenceInsert(s, %1)
----
t
";
        assert_eq!(graph.to_string(), expected);
    }

    #[test]
    fn bodies_take_wide_captures() {
        let mut build = Build::default();
        let condition = build.input_of("c", Fact::fixed(ElementType::Bool, &[]));
        let x = build.input_of("x", Fact::fixed(ElementType::Bf16, &[2]));
        let body = || {
            let mut inner = Graph::default();
            let captured = inner.add_value("x", None);
            let k = inner.add_constant("k", Tensor::from_slice(&[bf16::ONE], [1]).unwrap());
            let z = inner.add_value("z", None);
            let (inputs, outputs) = (vec![Some(captured), Some(k)], vec![Some(z)]);
            inner.nodes.push(Node { name: "".into(), op: Arc::new(Binary::Add), inputs, outputs });
            (inner.inputs, inner.outputs) = (vec![captured], vec![z]);
            crate::graph::Body { graph: inner, captures: vec![1] }
        };
        let op = crate::op::If { bodies: vec![body(), body()] };
        let y = build.node_of(op, &[Some(condition), Some(x)], "y", None);
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &Integers).unwrap();
        widen_half(&mut graph).unwrap();
        verify(&graph).unwrap();
        propagate(&mut graph, &Integers).unwrap();
        assert_eq!(graph.fact(y).unwrap().to_string(), "bf16[2]");
        let inner = &graph.nodes[1].op.bodies()[0].graph;
        assert_eq!(inner.fact(inner.outputs[0]).unwrap().to_string(), "f32[2]");
    }
}
