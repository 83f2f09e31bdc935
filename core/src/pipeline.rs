//! Which executor runs what.
//!
//! A [`Pipeline`] gives every stage of a model its executor, and the completion callback one at the end. Stages of one
//! request run in order and never overlap; stages of different requests overlap as far as their executors do. The
//! pipeline owns no threads: executors arrive running and outlive every request.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::device::{CompiledModel, StageKind};
use crate::executor::{Executor, Inline};

/// The executors of a model's stages, and of its callbacks.
#[derive(Clone)]
pub struct Pipeline {
    stages: Box<[Arc<dyn Executor>]>,
    delivery: Option<Arc<dyn Executor>>,
}

impl Pipeline {
    /// Stage `i` on `stages[i]`. Callbacks are called where the last stage ended; see [`Pipeline::deliver_on`].
    pub fn new(stages: impl IntoIterator<Item = Arc<dyn Executor>>) -> Pipeline {
        Pipeline { stages: stages.into_iter().collect(), delivery: None }
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

    /// The executors of the stages.
    pub fn stages(&self) -> &[Arc<dyn Executor>] {
        &self.stages
    }

    /// The executor of the callbacks, when they have their own.
    pub fn delivery(&self) -> Option<&Arc<dyn Executor>> {
        self.delivery.as_ref()
    }
}
