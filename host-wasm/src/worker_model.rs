//! A model as the core sees it when it runs in workers: one number in, and a stage that is parked until a worker answers.
//!
//! Its only input is the number of a *job*. What the job's tensors are is between the facade and the worker; whether they fit
//! the model's ports was checked before. So nothing here copies bytes, and the core's protocol does the rest: order, cancel,
//! callbacks, queues.

use std::sync::Arc;
use std::task::{Context, Poll};

use inferry_core::device::{CompiledModel, StageInfo, StageKind, Work};
use inferry_core::port::{Port, Side};
use inferry_core::request::{Bindings, Failure, InferErrorKind, PrepareError};
use inferry_core::{ElementType, Kind, Shape, Turn};

use crate::fleet::Answer;
use crate::js::FleetId;

/// A model that a fleet of workers has loaded.
pub(crate) struct WorkerModel {
    fleet: FleetId,
    model: u32,
    inputs: [Port; 1],
}

impl WorkerModel {
    pub(crate) fn new(fleet: FleetId, model: u32) -> Arc<WorkerModel> {
        let job = Port {
            side: Side::Input,
            index: 0,
            name: "job".into(),
            kind: Kind::Tensor,
            element: ElementType::U32,
            shape: Shape::from([]).into(),
        };
        Arc::new(WorkerModel { fleet, model, inputs: [job] })
    }
}

impl CompiledModel for WorkerModel {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &[]
    }

    fn stages(&self) -> &[StageInfo] {
        // It is parked while a worker has it: nothing blocks.
        &[StageInfo { name: "worker", kind: StageKind::Compute }]
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(WorkerWork { fleet: self.fleet, model: self.model, run: None }))
    }
}

struct WorkerWork {
    fleet: FleetId,
    model: u32,
    /// The number in the fleet, while there is a run.
    run: Option<u32>,
}

impl Work for WorkerWork {
    fn begin(&mut self) {
        self.give_up();
    }

    fn give_up(&mut self) {
        if let Some(run) = self.run.take() {
            self.fleet.with(|fleet| fleet.forget(run));
        }
    }

    fn poll_stage(
        &mut self,
        _: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let stop = turn.stop_requested();
        let run = match self.run {
            Some(run) => run,
            None if stop => return Poll::Ready(Err(Failure::stopped())),
            None => {
                let Some(job) = job(io) else {
                    return Poll::Ready(Err(Failure::device("the run has no job")));
                };
                let run = self.fleet.with(|fleet| fleet.begin(self.model, job));
                *self.run.insert(run.unwrap_or(u32::MAX))
            }
        };
        let polled = self.fleet.with(|fleet| {
            if stop {
                fleet.cancel(run);
            }
            fleet.poll(run, cx.waker())
        });
        let Poll::Ready(answer) = polled.unwrap_or(Poll::Ready(Answer::Closed)) else { return Poll::Pending };
        self.run = None;
        Poll::Ready(verdict(answer))
    }
}

impl Drop for WorkerWork {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The number in the only input.
fn job(io: &Bindings) -> Option<u32> {
    let bytes = io.inputs()[0].bytes().get(..4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn verdict(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Cancelled => Err(Failure::stopped()),
        Answer::Failed => Err(Failure::device("the worker reported an error")),
        Answer::Lost => Err(Failure::device("the worker was lost")),
        Answer::Closed => Err(Failure::new(InferErrorKind::Disposed, "the model was disposed")),
    }
}
