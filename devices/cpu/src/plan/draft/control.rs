//! Control flow in the draft: bodies become blocks, or vanish when the condition is known.
//!
//! What a body captures is bound to the values outside, so a block reads its parent's bytes in place. What it results in is
//! computed into the bytes of the outer node's output when a step of the block writes it; a result that is captured,
//! constant or given twice is copied there. Results whose shapes differ between the branches go to slots.

use alloc::vec::Vec;

use inferry_core::Kind;
use inferry_core::steps::Pace;
use inferry_engine::graph::{Body, Node};

use super::{Bytes, Draft, DraftStep, Facts, Inside, RootKind, Scope, Value};
use crate::plan::PlanError;

impl Draft {
    /// Drafts the body that always runs in place of the node.
    pub(super) async fn inline(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
        (taken, facts): (usize, &Facts),
        pace: &mut Pace,
    ) -> Result<Vec<Value>, PlanError> {
        let body = &node.op.bodies()[taken];
        let inputs = captures(scope, node, body);
        let path = scope.label(index, node).name.as_ref().into();
        let place = Inside { block: scope.block, path, planning: scope.planning };
        self.inside((&body.graph, facts), inputs, place, pace).await
    }

    /// Drafts a choice between two bodies.
    pub(super) async fn branch(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
        bodies: &[Result<Facts, PlanError>],
        pace: &mut Pace,
    ) -> Result<Vec<Value>, PlanError> {
        let condition = node.inputs.first().copied().flatten().expect("a choice has a condition");
        let condition = self.placed(scope, index, condition)?.bytes.expect("placed");
        let blocks = [self.block(), self.block()];
        let step = DraftStep::Branch { condition, blocks: blocks.map(|block| block as u32) };
        self.step(scope.block, step);
        let mut results = Vec::with_capacity(node.outputs.len());
        for (kind, element, shape) in scope.outputs_of_choice(node) {
            results.push(self.result(scope, index, kind, element, shape)?);
        }
        let depth = self.depth;
        let mut deepest = depth;
        for (taken, (facts, block)) in bodies.iter().zip(blocks).enumerate() {
            self.depth = depth + 1;
            match facts {
                Ok(facts) => self.body(scope, index, node, (taken, facts), block, &results, pace).await?,
                Err(broken) => self.blocks[block].1 = Some(broken.clone()),
            }
            deepest = deepest.max(self.depth);
        }
        self.depth = deepest;
        Ok(results)
    }

    /// Drafts one body into its block, with its results in the bytes of the outer node's outputs.
    #[allow(clippy::too_many_arguments)]
    async fn body(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
        (taken, facts): (usize, &Facts),
        block: usize,
        results: &[Value],
        pace: &mut Pace,
    ) -> Result<(), PlanError> {
        let body = &node.op.bodies()[taken];
        let inputs = captures(scope, node, body);
        let own = self.roots.len();
        let label = scope.label(index, node);
        let path = scope.label(index, node).name.as_ref().into();
        let place = Inside { block, path, planning: scope.planning };
        let made = match self.inside((&body.graph, facts), inputs, place, pace).await {
            Ok(made) => made,
            // A kernel that cannot be built matters only when the condition leads here.
            Err(broken) => {
                self.blocks[block].1 = Some(broken);
                return Ok(());
            }
        };
        for ((from, result), id) in made.into_iter().zip(results).zip(&node.outputs) {
            if id.is_none() {
                continue;
            }
            let bytes = match (from.bytes, &from.constant) {
                (Some(bytes), _) => bytes,
                (None, Some(tensor)) => {
                    self.constant(tensor, scope.planning.packs).map_err(|cause| scope.error(index, cause))?
                }
                (None, None) => unreachable!("a result is computed or constant"),
            };
            match (bytes, result.bytes.expect("made above")) {
                (Bytes::Root(root), Bytes::Root(to)) => {
                    let root = self.resolve(root);
                    if root >= own && self.roots[root].kind == RootKind::Computed {
                        self.roots[root].kind = RootKind::Is(to);
                    } else {
                        self.copy(block, Bytes::Root(root), to, label.clone());
                    }
                }
                (bytes, Bytes::Object(_)) => {
                    let from = Value { bytes: Some(bytes), ..from };
                    self.wrap(block, from, result.clone(), label.clone());
                }
                (bytes, _) => {
                    let from = Value { bytes: Some(bytes), ..from };
                    self.copy_late(block, from, result.clone(), label.clone());
                }
            }
        }
        Ok(())
    }
}

impl Scope<'_> {
    fn outputs_of_choice(
        &self,
        node: &Node,
    ) -> Vec<(Kind, inferry_core::ElementType, Option<inferry_core::Shape>)> {
        let fact = |id: &Option<inferry_engine::graph::ValueId>| match id {
            Some(id) => {
                let fact = self.facts.values[id.index()].as_ref().expect("inferred before");
                (fact.kind, fact.element, fact.shape.fixed())
            }
            // Nobody asked for it: no bytes.
            None => (Kind::Tensor, inferry_core::ElementType::U8, Some([0].into())),
        };
        node.outputs.iter().map(fact).collect()
    }
}

/// What the body's inputs are outside.
fn captures(scope: &Scope<'_>, node: &Node, body: &Body) -> Vec<Value> {
    let value = |input: &usize| scope.value(node.inputs[*input].expect("captures are there"));
    body.captures.iter().map(value).collect()
}
