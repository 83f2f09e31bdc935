//! How a run begins: checks, leases, the number, and the first hand-over.
//!
//! What can be refused is refused before the life changes, so a failed start leaves no trace. Only an executor's refusal
//! comes later: then the run has a number already, and settles as failed without being delivered.

use crate::executor::Lend;
use crate::request::ledger::{OWNER, Outcome};
use crate::request::life::{Command, Event, Phase, Refused, Route};
use crate::request::refusal::{BindError, StartError};
use crate::request::task::{self, Task};
use crate::request::{Request, RunId};
use crate::trace::Happening;

impl Request {
    /// Starts a run on the executors; runs here what they hand back.
    pub(super) fn begin_on_executors(&mut self, route: Route, lend: &Lend<'_>) -> Result<RunId, StartError> {
        let (run, task) = self.begin(route)?;
        let Some(task) = task else { return Ok(run) };
        match task.offer(0) {
            Ok(None) => {}
            Ok(Some(task)) => task.run(lend),
            Err(task) => return Err(self.refuse(task)),
        }
        Ok(run)
    }

    /// Starts a run; `None` when it was remembered during a delivery.
    pub(super) fn begin(&mut self, route: Route) -> Result<(RunId, Option<Task>), StartError> {
        let shared = self.handle.shared().clone();
        loop {
            let life = shared.life();
            let run = life.run.next();
            let begun = match life.phase {
                _ if life.closed => return Err(StartError::Stopped),
                Phase::Idle { .. } => {
                    self.handle.body()?.make_ready(&shared)?;
                    shared.ledger.open_owner(run);
                    task::start(&shared, run, route, |phase| matches!(phase, Phase::Idle { .. }))
                }
                // The deliverer owns the tensors and will check them when the run begins.
                Phase::Delivering { .. } if route == Route::Executors => {
                    shared.ledger.open_owner(run);
                    task::start(&shared, run, route, |phase| matches!(phase, Phase::Delivering { .. }))
                }
                _ => return Err(StartError::from_refusal(life.stop_cause().is_some())),
            };
            let refused = match begun {
                Ok(task) => {
                    // A start that is only remembered is told of when the run begins.
                    if task.is_some() {
                        shared.trace(run, Happening::Started);
                    }
                    return Ok((run, task));
                }
                Err(refused) => refused,
            };
            shared.ledger.close(OWNER);
            let idle = if let Ok(body) = self.handle.body() {
                body.io.release();
                true
            } else {
                false
            };
            match refused {
                Refused::Closed => return Err(StartError::Stopped),
                Refused::Cancelling => return Err(StartError::Cancelling),
                // The delivery that would have remembered the start has ended meanwhile: start from idle.
                Refused::Busy if idle => {}
                _ => return Err(StartError::Busy),
            }
        }
    }

    /// The first executor refused: the run settles, and the caller gets the error.
    fn refuse(&mut self, task: Task) -> StartError {
        let shared = self.handle.shared().clone();
        let executor = shared.pipeline.stages()[0].name().into();
        task.with_body(|body| body.io.release());
        let (life, command) = task.apply(Event::Refuse);
        let Command::Settle { run, verdict } = command else { unreachable!("{command:?} from Refuse") };
        shared.trace(run, Happening::Ended { verdict });
        shared.trace(run, Happening::Settled { verdict });
        let stage = shared.stage_name(0);
        let error = super::InferError::refused(run, stage, shared.pipeline.stages()[0].name());
        task.rest(life, Outcome { run, verdict, error: Some(error) });
        shared.ledger.close(OWNER);
        StartError::Refused { executor }
    }
}

impl StartError {
    fn from_refusal(cancelling: bool) -> StartError {
        if cancelling { StartError::Cancelling } else { StartError::Busy }
    }
}

/// The handle finds its tensors taken: a start says so in its own words.
impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Busy => StartError::Busy,
            BindError::Cancelling => StartError::Cancelling,
            error => StartError::Bind(error),
        }
    }
}
