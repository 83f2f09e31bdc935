//! What is known flows from inputs to outputs: types, shapes, and constants.
//!
//! ```text
//! x: f32[1, 3, 8, 8]                              x: f32[1, 3, 8, 8]
//! s = Shape(x)                             ─▶
//! y: f32[N, M] = Reshape(x, Concat(...s))         y: f32[1, 192] = Reshape(x, i64[2] {1, 192})
//! ```
//!
//! Nodes are visited in their order. Each operator infers the facts of its outputs; a node whose inputs are all constant
//! is computed ([fold](super::fold)) and goes; an If with a constant condition becomes its branch
//! ([inline_if](super::inline_if)) before the other branch, which may not even fit, is looked at. Bodies are visited with
//! what is known of their captures, and those of loops until it holds in every trip ([settle](super::settle)). Running it again after another pass, or with better known inputs, only adds to what is
//! known. It does not remove nodes that nobody reads: `drop_dead` does.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::{Pace, Phase, finish};

use super::fold::{Budget, fold};
use super::inline_if::inline;
use super::settle::settle;
use super::{Evaluate, PassError, Work};
use crate::graph::{Body, Dim, Fact, Graph, Node, ShapeFact, ValueId};
use crate::op::{If, Inputs, Loop};

/// Infers the facts of every value and folds what is constant.
///
/// # Errors
/// What an operator refuses. The graph is then left without its nodes and of no further use.
pub fn propagate(graph: &mut Graph, evaluate: &dyn Evaluate) -> Result<(), PassError> {
    finish(propagate_paced(graph, evaluate, &mut Pace::silent()))
}

/// As [`propagate`], with interruptions.
///
/// # Errors
/// As [`propagate`].
pub async fn propagate_paced(
    graph: &mut Graph,
    evaluate: &dyn Evaluate,
    pace: &mut Pace,
) -> Result<(), PassError> {
    let mut budget = Budget::of(graph);
    follow(graph, Means { evaluate, budget: &mut budget, pace, counts: false }).await
}

/// As [`propagate_paced`]; counts the nodes as done.
pub(super) async fn counted(
    graph: &mut Graph,
    evaluate: &dyn Evaluate,
    pace: &mut Pace,
) -> Result<(), PassError> {
    let mut budget = Budget::of(graph);
    follow(graph, Means { evaluate, budget: &mut budget, pace, counts: true }).await
}

/// Roughly the nanoseconds that inference takes for a node.
const NODE_NS: u64 = 1_000;

/// What following a graph takes along.
pub(super) struct Means<'a> {
    evaluate: &'a dyn Evaluate,
    pub(super) budget: &'a mut Budget,
    pace: &'a mut Pace,
    /// Whether the nodes of this graph count as progress.
    counts: bool,
}

impl Means<'_> {
    /// The same for a graph inside of a node.
    pub(super) fn inner(&mut self) -> Means<'_> {
        Means { evaluate: self.evaluate, budget: self.budget, pace: self.pace, counts: false }
    }
}

/// [`propagate`] with these means.
pub(super) fn follow<'a>(graph: &'a mut Graph, means: Means<'a>) -> Work<'a, Result<(), PassError>> {
    Box::pin(follow_here(graph, means))
}

async fn follow_here(graph: &mut Graph, mut means: Means<'_>) -> Result<(), PassError> {
    if let Some(id) = graph.inputs.iter().find(|id| graph.fact(**id).is_none()) {
        return Err(PassError::Unknown(graph.value(*id).name.as_ref().into()));
    }
    let mut queue: VecDeque<Node> = core::mem::take(&mut graph.nodes).into();
    let mut done = Vec::with_capacity(queue.len());
    let all = queue.len();
    while let Some(mut node) = queue.pop_front() {
        if means.counts {
            // Branches that take the place of their node make the queue longer.
            means.pace.reach(Phase::Optimise, all.saturating_sub(queue.len()));
        }
        means.pace.spend(NODE_NS).await;
        means.budget.visit();
        if let Some(branch) = inline(graph, &node) {
            branch.into_iter().rev().for_each(|node| queue.push_front(node));
            continue;
        }
        let only = if node.op.bodies().is_empty() {
            None
        } else {
            follow_bodies(graph, &mut node, &mut means).await?
        };
        match only {
            Some(body) => adopt(graph, &node, body),
            None if infer(graph, &node, &mut means).await? => continue,
            None => {}
        }
        done.push(node);
    }
    graph.nodes = done;
    Ok(())
}

/// Infers the facts of a node's outputs; true when they are constant, so that the node can go.
async fn infer(graph: &mut Graph, node: &Node, means: &mut Means<'_>) -> Result<bool, PassError> {
    let inputs: Vec<Option<&Fact>> = node.inputs.iter().map(|id| graph.fact((*id)?)).collect();
    let facts = Inputs::new(&inputs, node.outputs.len()).infer(&*node.op);
    let facts = facts.map_err(|source| PassError::Op { node: graph.describe(node), source })?;
    let folded = fold(graph, node, &facts, means.evaluate, means.budget).await?;
    if let Some(tensors) = folded {
        for (id, tensor) in node.outputs.iter().zip(tensors) {
            if let Some(id) = id {
                graph.value_mut(*id).fact = Some(Fact::constant(tensor));
            }
        }
        return Ok(true);
    }
    for (id, fact) in node.outputs.iter().zip(facts) {
        if let Some(id) = id {
            learn(graph, *id, fact);
        }
    }
    Ok(false)
}

/// Takes the facts of a node's outputs from the one of its bodies that can run.
fn adopt(graph: &mut Graph, node: &Node, body: usize) {
    let inner = &node.op.bodies()[body].graph;
    for (id, output) in node.outputs.iter().zip(&inner.outputs) {
        if let (Some(id), Some(fact)) = (*id, inner.fact(*output)) {
            learn(graph, id, fact.clone());
        }
    }
}

/// Writes down what is known of a value that a node computes.
fn learn(graph: &mut Graph, id: ValueId, mut fact: Fact) {
    // A constant is a value that no node writes.
    fact.constant = None;
    let value = graph.value_mut(id);
    if let Some(declared) = value.fact.take() {
        keep_names(&mut fact.shape, &declared.shape);
    }
    value.fact = Some(fact);
}

/// Extents that could not be inferred keep the names that the model gives them, and a shape of which nothing could be
/// inferred the number of dimensions. What else is declared is not believed: a number may be wrong in a file that runs.
fn keep_names(shape: &mut ShapeFact, declared: &ShapeFact) {
    let Some(names) = declared.dims() else { return };
    let dims = shape.0.get_or_insert_with(|| vec![Dim::Unknown; names.len()]);
    if dims.len() != names.len() {
        return;
    }
    for (dim, name) in dims.iter_mut().zip(names) {
        if matches!((&dim, name), (Dim::Unknown, Dim::Symbol(_))) {
            *dim = name.clone();
        }
    }
}

/// Tells the bodies what is known of their captures, and follows them.
///
/// A branch of an If that cannot run on such captures is left as it is: perhaps the condition never leads there. Then this
/// gives the branch that can run: in every run that does not fail, the outputs are what that branch gives.
async fn follow_bodies(
    graph: &Graph,
    node: &mut Node,
    means: &mut Means<'_>,
) -> Result<Option<usize>, PassError> {
    if let Some(looped) = node.op.downcast::<Loop>() {
        let body = settle(graph, node, looped, means).await?;
        node.op = Arc::new(Loop { body, ..looped.clone() });
        return Ok(None);
    }
    let mut bodies: Vec<Body> = node.op.bodies().to_vec();
    let mut misfits = Vec::new();
    for (index, body) in bodies.iter_mut().enumerate() {
        match follow_body(graph, node, body, means.inner()).await {
            Ok(()) => {}
            Err(error) => {
                body.clone_from(&node.op.bodies()[index]);
                misfits.push((index, error));
            }
        }
    }
    let choice = node.op.downcast::<If>().is_some();
    let only = match &misfits[..] {
        [] => None,
        [(index, _)] if choice && bodies.len() == 2 => Some(1 - index),
        _ => {
            let (_, source) = misfits.swap_remove(0);
            return Err(PassError::Body { node: graph.describe(node), source: Box::new(source) });
        }
    };
    if let Some(op) = node.op.with_bodies(bodies) {
        node.op = op;
    }
    Ok(only)
}

async fn follow_body(graph: &Graph, node: &Node, body: &mut Body, means: Means<'_>) -> Result<(), PassError> {
    take_captures(graph, node, body);
    follow(&mut body.graph, means).await
}

/// Tells a body what is known of its captures.
pub(super) fn take_captures(graph: &Graph, node: &Node, body: &mut Body) {
    let formal = body.graph.inputs.len().saturating_sub(body.captures.len());
    for (capture, input) in body.captures.iter().enumerate() {
        let inner = body.graph.inputs[formal + capture];
        if let Some(fact) = node.inputs.get(*input).copied().flatten().and_then(|id| graph.fact(id)) {
            body.graph.value_mut(inner).fact = Some(fact.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Symbol;
    use crate::op::{Binary, Concat, Gather, Reshape, ShapeOf, Unary};
    use crate::passes::NoArithmetic;
    use crate::passes::testing::{Build, Integers};
    use alloc::string::{String, ToString};
    use inferry_core::ElementType;

    fn symbol(name: &str) -> Dim {
        Dim::Symbol(Symbol(name.into()))
    }

    fn facts(graph: &Graph, id: ValueId) -> String {
        graph.fact(id).unwrap().to_string()
    }

    /// `y = Reshape(x, [Shape(x)[0], 3 * 4])`
    fn flatten(batch: Dim) -> (Build, ValueId) {
        let mut build = Build::default();
        let dims = ShapeFact(Some(vec![batch, Dim::Fixed(3), Dim::Fixed(4)]));
        let x = build.input_of("x", Fact::new(ElementType::F32, dims));
        let s = build.node_of(ShapeOf { start: 0, end: None }, &[Some(x)], "s", None);
        let zero = build.constant("zero", &[0i64], [1]);
        let n = build.node_of(Gather { axis: 0 }, &[Some(s), Some(zero)], "n", None);
        let (three, four) = (build.constant("three", &[3i64], [1]), build.constant("four", &[4i64], [1]));
        let m = build.node_of(Binary::Mul, &[Some(three), Some(four)], "m", None);
        let target = build.node_of(Concat { axis: 0 }, &[Some(n), Some(m)], "target", None);
        let declared = ShapeFact(Some(vec![symbol("N"), Dim::Fixed(99)]));
        let fact = Some(Fact::new(ElementType::F32, declared));
        let y = build.node_of(Reshape { allow_zero: false }, &[Some(x), Some(target)], "y", fact);
        (build, y)
    }

    #[test]
    fn shape_arithmetic_of_fixed_shapes_folds_away() {
        let (build, y) = flatten(Dim::Fixed(2));
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &Integers).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(facts(&graph, y), "f32[2, 12]");
    }

    #[test]
    fn names_are_kept_where_nothing_is_inferred_and_declared_numbers_are_not_believed() {
        let (build, y) = flatten(symbol("batch"));
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &Integers).unwrap();
        // What can be computed is: 3 * 4.
        assert_eq!(graph.nodes.len(), 4);
        assert_eq!(facts(&graph, y), "f32[N, ?]");
    }

    #[test]
    fn a_device_without_arithmetic_leaves_the_nodes() {
        let (build, y) = flatten(Dim::Fixed(2));
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &NoArithmetic).unwrap();
        // Only Shape knows its answer by itself.
        assert_eq!(graph.nodes.len(), 4);
    }

    #[test]
    fn a_node_that_fails_is_left_for_the_run() {
        let mut build = Build::default();
        let (one, zero) = (build.constant("one", &[1i64], [1]), build.constant("zero", &[0i64], [1]));
        let y = build.node_of(Binary::Div, &[Some(one), Some(zero)], "y", None);
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &Integers).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(facts(&graph, y), "i64[1]");
    }

    #[test]
    fn an_operator_that_refuses_its_inputs_is_named() {
        let mut build = Build::default();
        let (a, b) = (build.input("a", &[2]), build.input("b", &[3]));
        let y = build.node_of(Binary::Add, &[Some(a), Some(b)], "y", None);
        let error = propagate(&mut build.finish(&[y]), &Integers).unwrap_err();
        assert!(error.to_string().starts_with("node Add that writes \"y\": "), "{error}");
    }

    /// `y = If(condition, x) { then: Relu(x) } else { x }`, with the shape that the then-branch asks of `x`.
    fn conditional(condition: Option<bool>) -> (Graph, ValueId) {
        let mut build = Build::default();
        let x = build.input("x", &[2, 3]);
        let condition = match condition {
            Some(value) => build.constant("c", &[value], inferry_core::Shape::scalar()),
            None => build.input_of("c", Fact::fixed(ElementType::Bool, &[])),
        };
        let branch = |relu: bool| {
            let mut inner = Graph::default();
            let captured = inner.add_value("x", None);
            inner.inputs = vec![captured];
            inner.outputs = vec![captured];
            if relu {
                let z = inner.add_value("z", None);
                let (inputs, outputs) = (vec![Some(captured)], vec![Some(z)]);
                inner.nodes.push(Node {
                    name: "relu".into(),
                    op: alloc::sync::Arc::new(Unary::Relu),
                    inputs,
                    outputs,
                });
                inner.outputs = vec![z];
            }
            Body { graph: inner, captures: vec![1] }
        };
        let op = If { bodies: vec![branch(true), branch(false)] };
        let y = build.node_of(op, &[Some(condition), Some(x)], "y", None);
        (build.finish(&[y]), y)
    }

    #[test]
    fn bodies_learn_what_is_known_of_their_captures() {
        let (mut graph, y) = conditional(None);
        propagate(&mut graph, &Integers).unwrap();
        assert_eq!(facts(&graph, y), "f32[2, 3]");
        let body = &graph.nodes[0].op.bodies()[0].graph;
        assert_eq!(facts(body, body.outputs[0]), "f32[2, 3]");
    }

    #[test]
    fn a_constant_condition_leaves_the_branch_that_it_takes() {
        let (mut graph, y) = conditional(Some(true));
        propagate(&mut graph, &Integers).unwrap();
        crate::graph::verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!((graph.nodes[0].op.name(), graph.nodes[0].outputs[0]), ("Relu", Some(y)));
        assert_eq!(&*graph.value(y).name, "y");
        let (mut graph, y) = conditional(Some(false));
        propagate(&mut graph, &Integers).unwrap();
        crate::graph::verify(&graph).unwrap();
        // The branch hands on what it captures, and the graph's output keeps its name.
        assert_eq!((graph.nodes[0].op.name(), graph.nodes[0].outputs[0]), ("Identity", Some(y)));
    }

    /// The same with a then-branch that wants three dimensions.
    fn misfit(condition: Option<bool>) -> (Graph, ValueId) {
        let (mut graph, y) = conditional(condition);
        let mut bodies = graph.nodes[0].op.bodies().to_vec();
        let transpose = crate::op::Transpose { perm: Some(vec![0, 1, 2]) };
        bodies[0].graph.nodes[0].op = alloc::sync::Arc::new(transpose);
        graph.nodes[0].op = graph.nodes[0].op.with_bodies(bodies).unwrap();
        (graph, y)
    }

    #[test]
    fn a_branch_that_does_not_fit_matters_only_when_it_is_taken() {
        let (mut graph, _) = misfit(Some(false));
        assert_eq!(propagate(&mut graph, &Integers), Ok(()));
        let (mut graph, _) = misfit(Some(true));
        assert!(propagate(&mut graph, &Integers).is_err());
        // Where nobody knows yet, the outputs are those of the branch that fits.
        let (mut graph, y) = misfit(None);
        assert_eq!(propagate(&mut graph, &Integers), Ok(()));
        crate::graph::verify(&graph).unwrap();
        assert_eq!(facts(&graph, y), "f32[2, 3]");
        assert_eq!(graph.nodes[0].op.bodies()[0].graph.nodes.len(), 1);
    }
}
