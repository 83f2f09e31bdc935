//! What is known of every value once the input shapes are: types, shapes, and the constants that follow from shapes.
//!
//! One walk along the nodes, into the bodies of control flow too. Passes have folded what does not hang on input shapes; what
//! is computed here is the arithmetic on shapes that has become constant now, so only small values are. A body that cannot
//! run on these shapes is no error yet: the condition may never lead there.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;
use inferry_core::{ElementType, Kind, Shape, Tensor};
use inferry_engine::graph::{Body, Fact, Graph, Node, ShapeFact};
use inferry_engine::op::{If, Inputs};
use inferry_engine::passes::Evaluate;

use super::{NodeCause, NodeError, PlanError, Planning, Walk, Work};
use crate::evaluate::Evaluator;
use crate::stored;

/// Constants larger than this are left to the run: folding them would cost memory for ever.
const LARGEST_FOLD: usize = 64 << 10;

/// The facts of one graph.
pub(super) struct Facts {
    /// By value; `None` for values that nothing writes.
    pub(super) values: Vec<Option<Fact>>,
    /// By node: what its bodies are, for control flow.
    pub(super) bodies: Vec<Bodies>,
}

/// What control flow does at a node.
pub(super) enum Bodies {
    /// Nothing: an ordinary node, or one whose body is planned apart.
    None,
    /// It always runs this body.
    Always(usize, Facts),
    /// It runs one of the bodies; one that cannot run says why.
    Choice(Vec<Result<Facts, PlanError>>),
}

/// The facts of a model's graph for inputs of these shapes.
pub(super) async fn of_graph(
    graph: &Graph,
    inputs: &[Shape],
    planning: Planning<'_>,
    walk: Walk,
    pace: &mut Pace,
) -> Result<Facts, PlanError> {
    let known = |(index, shape): (usize, &Shape)| match graph.fact(graph.inputs[index]) {
        Some(fact) if fact.kind != Kind::Tensor => fact.clone(),
        Some(fact) => Fact::fixed(fact.element, shape),
        None => Fact::fixed(ElementType::F32, shape),
    };
    let inputs = inputs.iter().enumerate().map(known);
    of_nodes(graph, inputs.collect(), planning, walk, pace).await
}

fn of_body<'a>(
    graph: &'a Graph,
    inputs: Vec<Fact>,
    planning: Planning<'a>,
    pace: &'a mut Pace,
) -> Work<'a, Facts> {
    Box::pin(of_nodes(graph, inputs, planning, Walk::INNER, pace))
}

async fn of_nodes(
    graph: &Graph,
    inputs: Vec<Fact>,
    planning: Planning<'_>,
    walk: Walk,
    pace: &mut Pace,
) -> Result<Facts, PlanError> {
    let mut values: Vec<Option<Fact>> = vec![None; graph.values().len()];
    for (index, value) in graph.values().iter().enumerate() {
        values[index] = value.fact.as_ref().filter(|fact| fact.constant.is_some()).cloned();
    }
    for (id, fact) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = Some(fact);
    }
    let mut bodies = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        walk.node(index, pace).await;
        let (outputs, inside) = of_step(node, index, &values, planning, pace).await?;
        for (id, fact) in node.outputs.iter().zip(outputs) {
            if let Some(id) = id {
                values[id.index()] = Some(fact);
            }
        }
        bodies.push(inside);
    }
    Ok(Facts { values, bodies })
}

/// What is known of the outputs of a node, and what control flow does there.
async fn of_step(
    node: &Node,
    index: usize,
    values: &[Option<Fact>],
    planning: Planning<'_>,
    pace: &mut Pace,
) -> Result<(Vec<Fact>, Bodies), PlanError> {
    let inputs: Vec<Option<&Fact>> = node.inputs.iter().map(|id| values[(*id)?.index()].as_ref()).collect();
    let at = |cause| node_error(node, index, &inputs, cause);
    let (outputs, inside) = match node.op.downcast::<If>() {
        Some(choice) => of_choice(&choice.bodies, &inputs, planning, at, &label(node, index), pace).await?,
        // Of the body of a loop nothing more is known than in any trip of any run: it is planned apart.
        None => (of_node(node, &inputs, planning).map_err(at)?, Bodies::None),
    };
    Ok((outputs, inside))
}

fn of_node(node: &Node, inputs: &[Option<&Fact>], planning: Planning<'_>) -> Result<Vec<Fact>, NodeCause> {
    let mut outputs = Inputs::new(inputs, node.outputs.len()).infer(&*node.op)?;
    let known = |fact: &Fact| fact.constant.is_some();
    if outputs.iter().all(known) || !node.op.is_pure() || !inputs.iter().flatten().all(|fact| known(fact)) {
        return Ok(outputs);
    }
    let small =
        |fact: &Fact| (stored::bytes(fact.element, &fact.shape.fixed()?)? <= LARGEST_FOLD).then_some(());
    // What is sized by its data grows with its inputs.
    let all_small = match node.op.data_sized() {
        true => inputs.iter().flatten().all(|fact| small(fact).is_some()),
        false => outputs.iter().all(|fact| small(fact).is_some()),
    };
    if !all_small {
        return Ok(outputs);
    }
    let constants: Vec<Option<&Tensor>> =
        inputs.iter().map(|fact| fact.as_ref()?.constant.as_ref()).collect();
    match Evaluator(planning.isa).evaluate(&*node.op, &constants, &outputs) {
        Some(Ok(tensors)) => outputs = tensors.into_iter().map(Fact::constant).collect(),
        Some(Err(reason)) => return Err(NodeCause::Fold(reason)),
        None => {}
    }
    Ok(outputs)
}

/// The facts of a node with bodies of which one runs, and what is known of its results.
async fn of_choice(
    bodies: &[Body],
    inputs: &[Option<&Fact>],
    planning: Planning<'_>,
    at: impl Fn(NodeCause) -> PlanError,
    label: &str,
    pace: &mut Pace,
) -> Result<(Vec<Fact>, Bodies), PlanError> {
    let of = async |body: &Body, pace: &mut Pace| {
        let captured = body.captures.iter().map(|input| {
            inputs[*input].cloned().ok_or(at(inferry_engine::op::OpError::Missing { input: *input }.into()))
        });
        let facts = of_body(&body.graph, captured.collect::<Result<_, _>>()?, planning, pace).await;
        facts.map_err(|error| error.within(label))
    };
    let results = |body: &Body, facts: &Facts| -> Vec<Fact> {
        let fact = |id: &inferry_engine::graph::ValueId| facts.values[id.index()].clone();
        body.graph.outputs.iter().map(|id| fact(id).unwrap_or_else(nothing)).collect()
    };
    let condition = inputs.first().copied().flatten().and_then(truth);
    if let Some(condition) = condition {
        let taken = if condition { 0 } else { 1 };
        let facts = of(&bodies[taken], pace).await?;
        return Ok((results(&bodies[taken], &facts), Bodies::Always(taken, facts)));
    }
    let mut facts: Vec<Result<Facts, PlanError>> = Vec::with_capacity(bodies.len());
    for body in bodies {
        facts.push(of(body, pace).await);
    }
    let mut joined: Option<Vec<Fact>> = None;
    for (body, facts) in bodies.iter().zip(&facts) {
        let Ok(facts) = facts else { continue };
        let these = results(body, facts);
        joined = Some(match joined {
            None => these.into_iter().map(without_value).collect(),
            Some(others) => join(others, these).map_err(&at)?,
        });
    }
    match joined {
        Some(joined) => Ok((joined, Bodies::Choice(facts))),
        // No body can run at all: the first says why.
        None => {
            Err(facts.into_iter().find_map(Result::err).unwrap_or_else(|| at(NodeCause::Open { output: 0 })))
        }
    }
}

/// What holds of a result whichever body ran.
fn join(first: Vec<Fact>, second: Vec<Fact>) -> Result<Vec<Fact>, NodeCause> {
    let pairs = first.into_iter().zip(second).enumerate();
    let both = |(output, (a, b)): (usize, (Fact, Fact))| {
        a.either(&b).ok_or(NodeCause::Branches { output, first: a.element, second: b.element })
    };
    pairs.map(both).collect()
}

fn without_value(fact: Fact) -> Fact {
    Fact { constant: None, ..fact }
}

fn nothing() -> Fact {
    Fact::new(ElementType::F32, ShapeFact::unknown())
}

/// The value of a constant condition.
fn truth(fact: &Fact) -> Option<bool> {
    let tensor = fact.constant.as_ref()?;
    let bytes = tensor.lease_read().ok()?;
    bytes.bytes()[tensor.byte_range()].first().map(|byte| *byte != 0)
}

/// The error of a node: which, and on which inputs.
pub(super) fn node_error(node: &Node, index: usize, inputs: &[Option<&Fact>], cause: NodeCause) -> PlanError {
    let list: Vec<_> = inputs.iter().map(|fact| fact.map_or("-".to_string(), ToString::to_string)).collect();
    PlanError::Node { node: label(node, index), problem: NodeError { inputs: list.join(", "), cause } }
}

/// The node's name, or its operator and position.
pub(crate) fn label(node: &Node, index: usize) -> alloc::string::String {
    match &*node.name {
        "" => alloc::format!("{} #{index}", node.op.name()),
        name => name.to_string(),
    }
}
