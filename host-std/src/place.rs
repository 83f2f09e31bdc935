//! Where the requests of a compiled model run: its streams, the thread of its device, the threads of its callbacks.
//!
//! A [`Place`] makes the pipeline of a model and answers the question whether a thread may wait for one of its requests.
//! It owns shares of the threads, so a request that still runs keeps what it runs on.

use std::sync::Arc;

use inferry_core::request::InferError;
use inferry_core::{Executor, InferErrorKind, Pipeline, Trace};

use crate::clock::SystemClock;
use crate::fork_join::ForkJoin;
use crate::here::{self, Id};
use crate::streams::{Streams, ThreadError};
use crate::trampoline;

/// The pipeline of a compiled model, and what blocking has to know of its threads.
pub(crate) struct Place {
    /// `None`: on the stack of whoever starts, or a pipeline of the user's own.
    compute: Option<Arc<Streams>>,
    callbacks: Option<Arc<Streams>>,
    pub(crate) pipeline: Arc<Pipeline>,
}

/// A thread would wait for something that it has to do itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Deadlock {
    #[error("a callback cannot wait for its own run: it is over only when the callback has returned")]
    OwnCallback,
    #[error(
        "a thread that runs stages or callbacks cannot wait for a request that needs the same threads; await it, or \
         give it a callback"
    )]
    OwnThreads,
}

impl Place {
    /// `stages`: the executor of each stage. `compute`: `None` is the stack of whoever starts. `callbacks`: `None` is where
    /// the last stage ended.
    pub(crate) fn new(
        stages: Vec<Arc<dyn Executor>>,
        compute: Option<Arc<Streams>>,
        callbacks: Option<Arc<Streams>>,
        trace: Option<Arc<dyn Trace>>,
    ) -> Place {
        let pipeline = Pipeline::new(stages);
        let pipeline = match &callbacks {
            Some(callbacks) => pipeline.deliver_on(callbacks.clone()),
            None => pipeline,
        };
        Place { compute, callbacks, ..Place::over(pipeline, trace) }
    }

    /// A place of the user's own.
    pub(crate) fn over(pipeline: Pipeline, trace: Option<Arc<dyn Trace>>) -> Place {
        let pipeline = match pipeline.clock() {
            Some(_) => pipeline,
            None => pipeline.timed(Arc::new(SystemClock)),
        };
        let pipeline = match trace {
            Some(trace) => pipeline.traced(trace),
            None => pipeline,
        };
        Place { compute: None, callbacks: None, pipeline: Arc::new(pipeline) }
    }

    /// How many executors the stages have between them: so many runs can surely be carried forward at a time.
    pub(crate) fn executors(&self) -> usize {
        let stages = self.pipeline.stages();
        let is_new = |at: &usize| stages[..*at].iter().all(|before| !Arc::ptr_eq(before, &stages[*at]));
        (0..stages.len()).filter(is_new).count()
    }

    /// The threads that may compute with a thread that runs a request of this place on its own stack.
    pub(crate) fn fork_join(&self) -> Option<&ForkJoin> {
        self.compute.as_ref().map(|compute| compute.fork_join())
    }

    /// Starts the threads of callbacks, which would otherwise start with the first one.
    pub(crate) fn expect_callbacks(&self) -> Result<(), ThreadError> {
        self.callbacks.as_ref().map_or(Ok(()), |callbacks| callbacks.start())
    }

    /// Whether the calling thread may wait for `request`, which may have a callback.
    pub(crate) fn may_wait(&self, request: Id, has_callback: bool) -> Result<(), InferError> {
        let refuse = |why: Deadlock| Err(InferError::new(InferErrorKind::WouldDeadlock, why));
        if here::is_in_callback_of(request) {
            return refuse(Deadlock::OwnCallback);
        }
        trampoline::run_queued();
        let delivery = self.pipeline.delivery().filter(|_| has_callback);
        match self.pipeline.stages().iter().chain(delivery).any(|executor| executor.is_here()) {
            true => refuse(Deadlock::OwnThreads),
            false => Ok(()),
        }
    }
}
