//! What holds in every trip of a Loop.
//!
//! ```text
//! x: f32[1] enters, Concat(x, c: f32[1]) goes round      first round:   x: f32[1] ─▶ f32[2]
//!                                                        second round:  x: f32[?] ─▶ f32[?], and so it stays
//! ```
//!
//! The body is followed with what is known of the values that enter the loop; where a trip gives something else, that is
//! forgotten and the body is followed again from the start, until a trip adds nothing new. Each round takes knowledge away
//! only, so the rounds end; a few are enough for real models, and after those all that is carried is taken as unknown. The
//! condition is known to hold in the body, and the captures are the same in every trip.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::PassError;
use super::propagate::{Means, follow, take_captures};
use crate::graph::{Body, Fact, Graph, Node, ShapeFact};
use crate::op::loops::{carried, state_leading};
use crate::op::{Loop, OpError, Optional};

/// Rounds before everything that is carried is taken as unknown.
const ROUNDS: usize = 4;

/// The body of a loop with what is known in all of its trips.
pub(super) async fn settle(
    graph: &Graph,
    node: &Node,
    looped: &Loop,
    means: &mut Means<'_>,
) -> Result<Body, PassError> {
    let describe = || graph.describe(node);
    let inside = |source| PassError::Body { node: describe(), source: Box::new(source) };
    let refuse = |source| PassError::Op { node: describe(), source };
    let mut known: Vec<Fact> = Vec::with_capacity(looped.carried);
    for index in 0..looped.carried {
        let input = Loop::LEADING + index;
        let fact = node.inputs.get(input).copied().flatten().and_then(|id| graph.fact(id));
        // What enters is not what a later trip takes.
        known
            .push(Fact { constant: None, ..fact.ok_or_else(|| refuse(OpError::Missing { input }))?.clone() });
    }
    for round in 0.. {
        let last = round == ROUNDS || means.budget.is_tight();
        if last {
            known.iter_mut().for_each(|fact| fact.shape = ShapeFact::unknown());
        }
        let mut body = looped.body.clone();
        state_leading(looped, &mut body.graph);
        take_captures(graph, node, &mut body);
        for (index, fact) in known.iter().enumerate() {
            let id = body.graph.inputs[Loop::LEADING + index];
            body.graph.value_mut(id).fact = Some(fact.clone());
        }
        let before = *means.budget;
        follow(&mut body.graph, means.inner()).await.map_err(inside)?;
        let after = |index: usize| body.graph.fact(body.graph.outputs[1 + index]);
        let mut wider = Vec::with_capacity(known.len());
        for (index, before) in known.iter().enumerate() {
            let after =
                after(index).ok_or_else(|| refuse(OpError::Missing { input: Loop::LEADING + index }))?;
            wider.push(carried(index, before, after).map_err(refuse)?);
        }
        let settled = known
            .iter()
            .zip(&wider)
            .all(|(known, wider)| known.shape == wider.shape && known.kind == wider.kind);
        if settled || last {
            wrap(&mut body, &known);
            return Ok(body);
        }
        known = wider;
        // What was folded in a round that did not hold has been let go again.
        means.budget.refund(&before);
    }
    unreachable!("the rounds are counted")
}

/// What a trip gives as a tensor, and what may have entered as nothing, is an optional.
fn wrap(body: &mut Body, known: &[Fact]) {
    for (index, carried) in known.iter().enumerate() {
        let id = body.graph.outputs[1 + index];
        let Some(fact) = body.graph.fact(id).filter(|fact| fact.kind != carried.kind).cloned() else {
            continue;
        };
        let optional = body.graph.add_value("", Some(fact.of_kind(carried.kind)));
        let (inputs, outputs) = (vec![Some(id)], vec![Some(optional)]);
        let op = Arc::new(Optional { nothing: None });
        body.graph.nodes.push(Node { name: "".into(), op, inputs, outputs });
        body.graph.outputs[1 + index] = optional;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ValueId, verify};
    use crate::op::{Binary, Concat, Op, ShapeOf, Unary};
    use crate::passes::testing::{Build, Integers};
    use crate::passes::{drop_dead, propagate};
    use alloc::string::{String, ToString};
    use inferry_core::ElementType;

    /// `y... = Loop(n, -, x..., k)` over a body that is made by `fill` from the carried values and `k`; it gives what is
    /// carried next and what is scanned. `n` is 3.
    fn looped(
        enter: &[&[usize]],
        fill: impl Fn(&mut Graph, &[ValueId], ValueId) -> (Vec<ValueId>, Vec<ValueId>),
    ) -> Graph {
        let mut build = Build::default();
        let n = build.constant("n", &[3i64], inferry_core::Shape::scalar());
        let k = build.input("k", &[1]);
        let enter: Vec<ValueId> = enter.iter().map(|extents| build.input("x", extents)).collect();
        let mut inner = Graph::default();
        let names = ["i", "c"].into_iter().chain(enter.iter().map(|_| "v")).chain(["k"]);
        inner.inputs = names.map(|name| inner.add_value(name, None)).collect::<Vec<_>>();
        let formal = inner.inputs.clone();
        let (next, scanned) = fill(&mut inner, &formal[2..formal.len() - 1], formal[formal.len() - 1]);
        inner.outputs = [vec![formal[1]], next, scanned].concat();
        let outputs = inner.outputs.len() - 1;
        let body = Body { graph: inner, captures: vec![2 + enter.len()] };
        let op = Loop { body, carried: enter.len(), listed: false };
        let inputs: Vec<_> =
            [Some(n), None].into_iter().chain(enter.into_iter().map(Some)).chain([Some(k)]).collect();
        let y = build.node_of(op, &inputs, "y", None);
        let mut graph = build.finish(&[y]);
        for _ in 1..outputs {
            let id = graph.add_value("y", None);
            graph.nodes[0].outputs.push(Some(id));
            graph.outputs.push(id);
        }
        graph
    }

    fn add(graph: &mut Graph, op: impl Op, inputs: &[ValueId]) -> ValueId {
        let id = graph.add_value("", None);
        let inputs = inputs.iter().copied().map(Some).collect();
        graph.nodes.push(Node { name: "".into(), op: Arc::new(op), inputs, outputs: vec![Some(id)] });
        id
    }

    fn outputs(mut graph: Graph) -> (String, Graph) {
        propagate(&mut graph, &Integers).unwrap();
        verify(&graph).unwrap();
        let facts: Vec<String> =
            graph.outputs.iter().map(|id| graph.fact(*id).unwrap().to_string()).collect();
        (facts.join(" | "), graph)
    }

    #[test]
    fn what_stays_the_same_is_known_in_every_trip() {
        let graph = looped(&[&[4, 1]], |graph, carried, k| {
            let sum = add(graph, Binary::Add, &[carried[0], k]);
            let shape = add(graph, ShapeOf { start: 0, end: None }, &[sum]);
            (vec![sum], vec![sum, shape])
        });
        let (facts, graph) = outputs(graph);
        assert_eq!(facts, "f32[4, 1] | f32[3, 4, 1] | i64[3, 2]");
        // The shape is constant in the body.
        let inner = &graph.nodes[0].op.bodies()[0].graph;
        assert_eq!(inner.nodes.len(), 1);
        assert!(inner.constant(inner.outputs[3]).is_some());
    }

    #[test]
    fn what_grows_is_not_believed_to_be_as_it_enters() {
        let graph = looped(&[&[1, 1], &[7]], |graph, carried, k| {
            let longer = add(graph, Concat { axis: 0 }, &[carried[0], carried[0]]);
            let shape = add(graph, ShapeOf { start: 0, end: None }, &[longer]);
            let other = add(graph, Binary::Mul, &[carried[1], k]);
            (vec![longer, other], vec![shape])
        });
        let (facts, graph) = outputs(graph);
        assert_eq!(facts, "f32[?, 1] | f32[7] | i64[3, 2]");
        assert_eq!(graph.nodes[0].op.bodies()[0].graph.nodes.len(), 3, "the shape is computed in each trip");
    }

    #[test]
    fn values_that_change_one_after_the_other_come_to_rest() {
        // Each of six values becomes the next, and the first becomes a matrix.
        let enter: [&[usize]; 7] = [&[1], &[1], &[1], &[1], &[1], &[1], &[2, 2]];
        let graph = looped(&enter, |graph, carried, _| {
            let next = (0..7).map(|index| add(graph, Unary::Relu, &[carried[(index + 6) % 7]])).collect();
            (next, vec![])
        });
        let (facts, _) = outputs(graph);
        assert_eq!(facts, ["f32[...]"; 7].join(" | "));
    }

    #[test]
    fn a_value_that_changes_its_type_is_refused() {
        let mut graph = looped(&[&[1]], |graph, carried, _| {
            let shape = add(graph, ShapeOf { start: 0, end: None }, &[carried[0]]);
            (vec![shape], vec![])
        });
        let error = propagate(&mut graph, &Integers).unwrap_err().to_string();
        let expected = "node Loop that writes \"y\": carried value 0 is f32 before a trip and i64 after it";
        assert_eq!(error, expected);
    }

    #[test]
    fn loops_within_loops_take_no_more_rounds_than_there_is_work() {
        // Twenty loops, one inside the other, whose value grows in the innermost: four rounds each would never end.
        fn nest(depth: usize) -> Graph {
            let mut inner = Graph::default();
            inner.inputs = ["i", "c", "v"].map(|name| inner.add_value(name, None)).to_vec();
            let [i, c, v] = inner.inputs[..] else { unreachable!("three") };
            let next = match depth {
                0 => add(&mut inner, Concat { axis: 0 }, &[v, v]),
                _ => {
                    let body = Body { graph: nest(depth - 1), captures: vec![] };
                    add(&mut inner, Loop { body, carried: 1, listed: false }, &[i, c, v])
                }
            };
            inner.outputs = vec![c, next];
            inner
        }
        let mut build = Build::default();
        let n = build.input_of("n", Fact::fixed(ElementType::I64, &[]));
        let c = build.input_of("c", Fact::fixed(ElementType::Bool, &[]));
        let x = build.input("x", &[1, 5]);
        let body = Body { graph: nest(20), captures: vec![] };
        let y =
            build.node_of(Loop { body, carried: 1, listed: false }, &[Some(n), Some(c), Some(x)], "y", None);
        let (facts, mut graph) = outputs(build.finish(&[y]));
        assert!(facts == "f32[?, 5]" || facts == "f32[...]", "{facts}");
        drop_dead(&mut graph);
        verify(&graph).unwrap();
    }
}
