//! Which executor runs what.
//!
//! A [`Pipeline`] gives every stage of a model its executor, and the completion callback one at the end. Stages of one
//! request run in order and never overlap; stages of different requests overlap as far as their executors do. The
//! pipeline owns no threads: executors arrive running and outlive every request.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::clock::Clock;
use crate::device::{CompiledModel, StageKind};
use crate::executor::{Executor, Inline};
use crate::trace::Trace;

/// The executors of a model's stages, and of its callbacks.
#[derive(Clone)]
pub struct Pipeline {
    stages: Box<[Arc<dyn Executor>]>,
    delivery: Option<Arc<dyn Executor>>,
    clock: Option<Arc<dyn Clock>>,
    trace: Option<Arc<dyn Trace>>,
}

impl Pipeline {
    /// Stage `i` on `stages[i]`. Callbacks are called where the last stage ended; see [`Pipeline::deliver_on`].
    pub fn new(stages: impl IntoIterator<Item = Arc<dyn Executor>>) -> Pipeline {
        Pipeline { stages: stages.into_iter().collect(), delivery: None, clock: None, trace: None }
    }

    /// An executor for every stage of `model`, chosen by what the stage does.
    pub fn by_kind(
        model: &dyn CompiledModel,
        mut choose: impl FnMut(StageKind) -> Arc<dyn Executor>,
    ) -> Pipeline {
        Pipeline::new(model.stages().iter().map(|stage| choose(stage.kind)).collect::<Vec<_>>())
    }

    /// Every stage of `model` on the stack of whoever starts a run.
    pub fn inline(model: &dyn CompiledModel) -> Pipeline {
        Pipeline::by_kind(model, |_| Arc::new(Inline))
    }

    /// The same with its callbacks called on an executor of their own.
    #[must_use]
    pub fn deliver_on(self, executor: Arc<dyn Executor>) -> Pipeline {
        Pipeline { delivery: Some(executor), ..self }
    }

    /// The same, reading this clock at the start and the end of each run: see
    /// [`Request::latency`](crate::Request::latency).
    #[must_use]
    pub fn timed(self, clock: Arc<dyn Clock>) -> Pipeline {
        Pipeline { clock: Some(clock), ..self }
    }

    /// The same, telling `trace` what happens to each run.
    #[must_use]
    pub fn traced(self, trace: Arc<dyn Trace>) -> Pipeline {
        Pipeline { trace: Some(trace), ..self }
    }

    /// The executors of the stages.
    pub fn stages(&self) -> &[Arc<dyn Executor>] {
        &self.stages
    }

    /// The executor of the callbacks, when they have their own.
    pub fn delivery(&self) -> Option<&Arc<dyn Executor>> {
        self.delivery.as_ref()
    }

    /// The clock, when runs are timed.
    pub fn clock(&self) -> Option<&Arc<dyn Clock>> {
        self.clock.as_ref()
    }

    /// Who is told what happens.
    pub fn trace(&self) -> Option<&Arc<dyn Trace>> {
        self.trace.as_ref()
    }
}
