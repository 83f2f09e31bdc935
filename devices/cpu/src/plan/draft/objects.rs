//! Sequences and optionals in the draft: values without bytes, and the steps that read or make them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Kind, Shape};
use inferry_engine::graph::Node;
use inferry_engine::op::{Identity, Op, Optional, OptionalGetElement, SequenceAt};

use super::{Bytes, Draft, DraftStep, LateDraft, RootKind, Scope, Value, bytes_of};
use crate::arena::OutOfMemory;
use crate::plan::{Label, NodeCause, PlanError};

impl Draft {
    /// Drafts an operator on sequences or optionals, all of which have one output.
    pub(super) fn object_step(
        &mut self,
        scope: &Scope<'_>,
        index: usize,
        node: &Node,
        inputs: Vec<Option<Value>>,
    ) -> Result<Vec<Value>, PlanError> {
        let handed_on = node.op.downcast::<Identity>().is_some()
            || node.op.downcast::<OptionalGetElement>().is_some()
            || node.op.downcast::<SequenceAt>().is_some_and(|at| at.or_tensor);
        if let (true, Some(Some(value))) = (handed_on, inputs.first())
            && (!value.is_object() || node.op.downcast::<Identity>().is_some())
        {
            return Ok(vec![value.clone()]);
        }
        let facts = scope.output_facts(index, node)?;
        let fact =
            facts.into_iter().next().ok_or_else(|| scope.error(index, NodeCause::Open { output: 0 }))?;
        let value = self.result(scope, index, fact.kind, fact.element, fact.shape.fixed())?;
        let reads = inputs.into_iter().map(|value| Some(LateDraft::new(value?, false))).collect();
        let write = Box::new(LateDraft::new(value.clone(), false));
        let (op, label) = (Some(node.op.clone()), scope.label(index, node));
        self.step(scope.block, DraftStep::Object { op, reads, write, label });
        Ok(vec![value])
    }

    /// A value of any kind that a step will write.
    pub(super) fn result(
        &mut self,
        scope: &Scope<'_>,
        index: usize,
        kind: Kind,
        element: ElementType,
        shape: Option<Shape>,
    ) -> Result<Value, PlanError> {
        if kind != Kind::Tensor {
            return Ok(Value { element, shape: None, constant: None, bytes: Some(self.object()) });
        }
        let bytes = match &shape {
            None => self.slot(),
            Some(shape) => {
                let bytes = bytes_of(element, shape)?;
                scope
                    .planning
                    .allows(bytes)
                    .map_err(|OutOfMemory(bytes)| scope.error(index, NodeCause::OutOfMemory(bytes)))?;
                Bytes::Root(self.root(RootKind::Computed, bytes))
            }
        };
        Ok(Value { element, shape, constant: None, bytes: Some(bytes) })
    }

    /// Makes `to`, an object, of a value of any kind.
    pub(super) fn wrap(&mut self, block: usize, from: Value, to: Value, label: Label) {
        let op: Option<Arc<dyn Op>> = match from.is_object() {
            true => None,
            false => Some(Arc::new(Optional { nothing: None })),
        };
        let (reads, write) = (vec![Some(LateDraft::new(from, false))], Box::new(LateDraft::new(to, false)));
        self.step(block, DraftStep::Object { op, reads, write, label });
    }
}
