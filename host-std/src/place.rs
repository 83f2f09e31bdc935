//! Where the requests of a compiled model run: its streams, the thread of its device, the threads of its callbacks.
//!
//! A [`Place`] makes the pipeline of a model and answers the question whether a thread may wait for one of its requests.
//! It owns shares of the threads, so a request that still runs keeps what it runs on.

use std::sync::Arc;

use inferry_core::device::{CompiledModel, StageKind};
use inferry_core::request::InferError;
use inferry_core::{Executor, InferErrorKind, Inline, Pipeline, Trace};

use crate::clock::SystemClock;
use crate::here::{self, Id};
use crate::streams::{Streams, ThreadError};

/// The executors of a compiled model, and its pipeline.
pub(crate) struct Place {
    /// `None`: on the stack of whoever starts.
    pub(crate) compute: Option<Arc<Streams>>,
    /// For stages that block; like `compute` when there are none, or no streams.
    pub(crate) wait: Option<Arc<Streams>>,
    /// `None`: where the last stage ended.
    pub(crate) callbacks: Option<Arc<Streams>>,
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
    pub(crate) fn new(
        model: &dyn CompiledModel,
        compute: Option<Arc<Streams>>,
        wait: Option<Arc<Streams>>,
        callbacks: Option<Arc<Streams>>,
        trace: Option<Arc<dyn Trace>>,
    ) -> Place {
        let executor = |streams: &Option<Arc<Streams>>| -> Arc<dyn Executor> {
            match streams {
                Some(streams) => streams.clone(),
                None => Arc::new(Inline),
            }
        };
        let pipeline = Pipeline::by_kind(model, |kind| match kind {
            StageKind::Wait => executor(&wait),
            _ => executor(&compute),
        });
        let pipeline = match &callbacks {
            Some(callbacks) => pipeline.deliver_on(callbacks.clone()),
            None => pipeline,
        };
        let pipeline = pipeline.timed(Arc::new(SystemClock));
        let pipeline = match trace {
            Some(trace) => pipeline.traced(trace),
            None => pipeline,
        };
        Place { compute, wait, callbacks, pipeline: Arc::new(pipeline) }
    }

    /// True when a blocking `infer` may compute on its caller's stack: nothing would be faster elsewhere.
    pub(crate) fn infers_on_callers_stack(&self) -> bool {
        match &self.compute {
            None => true,
            // On a stream's own thread it would wait for itself.
            Some(compute) => compute.width() == 1 || here::executor() == Some(compute.id()),
        }
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
        let Some(here) = here::executor() else { return Ok(()) };
        let callbacks = self.callbacks.as_ref().filter(|_| has_callback);
        let needed = [self.compute.as_ref(), self.wait.as_ref(), callbacks];
        match needed.into_iter().flatten().any(|streams| streams.id() == here) {
            true => refuse(Deadlock::OwnThreads),
            false => Ok(()),
        }
    }
}
