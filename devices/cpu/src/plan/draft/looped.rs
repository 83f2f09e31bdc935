//! Loops in the draft: one step, whose body is planned apart.
//!
//! The step reads what enters the loop and what the body captures, and writes what comes out; a trip's values lie in memory
//! of the loop's own. So to the plan around it a loop is a node like any other. When all shapes are known beforehand and
//! stay the same from trip to trip, the body is planned here already, so that the first run takes no memory either.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::steps::Pace;
use inferry_core::{Kind, Shape};
use inferry_engine::graph::{Fact, Node};
use inferry_engine::op::Loop;

use super::{Bytes, Draft, DraftStep, LateDraft, Scope, Value};
use crate::plan::{Label, Plan, PlanError};
use crate::plans::Plans;

/// How many plans of a body are kept: a loop whose values grow has one a trip.
const PLANS: usize = 64;

impl Draft {
    /// Drafts a loop and gives its outputs.
    pub(super) async fn looped(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
        looped: &Loop,
        pace: &mut Pace,
    ) -> Result<Vec<Value>, PlanError> {
        let mut reads = Vec::with_capacity(node.inputs.len());
        for id in &node.inputs {
            reads.push(match id {
                Some(id) => Some(LateDraft::new(self.placed(scope, index, *id)?, false)),
                None => None,
            });
        }
        let outputs = scope.output_facts(index, node)?;
        let label = scope.label(index, node);
        self.wrap_entering(scope, looped, &mut reads, &label);
        let plans = Arc::new(Plans::new(PLANS));
        if let Some(shapes) = known_shapes(looped, &reads, &outputs) {
            let graph = &looped.body.graph;
            // Why the body cannot be planned matters only when there is a trip.
            if let Ok(plan) = Plan::of_body(graph, &shapes, &label.name, scope.planning, pace).await {
                plans.keep(shapes.into(), plan);
            }
        }
        let mut made = Vec::with_capacity(outputs.len());
        for (id, fact) in node.outputs.iter().zip(outputs) {
            made.push(match id {
                Some(_) => self.result(scope, index, fact.kind, fact.element, fact.shape.fixed())?,
                None => Value { element: fact.element, shape: None, constant: None, bytes: None },
            });
        }
        let writes =
            made.iter().map(|value| value.bytes.map(|_| LateDraft::new(value.clone(), false))).collect();
        self.step(scope.block, DraftStep::Loop { op: node.op.clone(), reads, writes, label, plans });
        Ok(made)
    }
}

impl Draft {
    /// What enters as a tensor and may be nothing after a trip is an optional from the start.
    fn wrap_entering(
        &mut self,
        scope: &Scope<'_>,
        looped: &Loop,
        reads: &mut [Option<LateDraft>],
        label: &Label,
    ) {
        let graph = &looped.body.graph;
        let formal = graph.inputs.iter().zip(reads).skip(Loop::LEADING).take(looped.carried);
        for (formal, entering) in formal {
            let optional = graph.fact(*formal).is_some_and(|fact| fact.kind.is_optional());
            let Some(read) = entering.take_if(|read| optional && read.bytes.object().is_none()) else {
                continue;
            };
            let LateDraft { bytes, element, shape, constant, .. } = read;
            let from = Value { element, shape, constant, bytes: Some(bytes) };
            let to = Value { element, shape: None, constant: None, bytes: Some(self.object()) };
            self.wrap(scope.block, from, to.clone(), label.clone());
            *entering = Some(LateDraft::new(to, false));
        }
    }
}

/// The shapes that the body takes, when they are the same in every trip.
fn known_shapes(looped: &Loop, reads: &[Option<LateDraft>], outputs: &[Fact]) -> Option<Vec<Shape>> {
    // A sequence or an optional has none, in every trip.
    let shape = |input: usize| match reads.get(input)?.as_ref()? {
        LateDraft { bytes: Bytes::Object(_), .. } => Some(Shape::scalar()),
        read => read.shape.clone(),
    };
    let stays = |index: usize| {
        let fact = outputs.get(index)?;
        let shape = shape(Loop::LEADING + index)?;
        (fact.kind != Kind::Tensor || fact.shape.fixed().as_ref() == Some(&shape)).then_some(shape)
    };
    let leading = looped.leading().into_iter().map(Some);
    let captured = looped.body.captures.iter().map(|input| shape(*input));
    leading.chain((0..looped.carried).map(stays)).chain(captured).collect()
}
