//! A run on the caller's stack, as a future that does the work itself.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::executor::Lend;
use crate::request::ledger::OWNER;
use crate::request::life::{Event, Route};
use crate::request::task::{self, Task};
use crate::request::{InferError, Outputs, Request, RunId};

/// Runs all stages on the stack of whoever polls it; made by [`Request::infer`].
///
/// The callback is not called. Dropping it before the end cancels the run; if a stage of it waits for a device, that stage
/// is brought to its end by the executors of the pipeline.
#[must_use = "a future does nothing unless polled"]
pub struct Infer<'a> {
    request: Option<&'a mut Request>,
    lend: Lend<'a>,
    run: Option<RunId>,
    /// The right to begin the first stage, between the start and the poll.
    task: Option<Task>,
}

impl<'a> Infer<'a> {
    pub(super) fn new(request: &'a mut Request, lend: Lend<'a>) -> Infer<'a> {
        Infer { request: Some(request), lend, run: None, task: None }
    }
}

impl<'a> Future for Infer<'a> {
    type Output = Result<Outputs<'a>, InferError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let request = this.request.as_mut().expect("`infer` polled after it was ready");
        if this.run.is_none() {
            match request.begin(Route::Caller) {
                Ok((run, task)) => (this.run, this.task) = (Some(run), task),
                Err(error) => {
                    this.request = None;
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        let shared = request.handle.shared().clone();
        // The waker goes in before the work is looked at, so that a wake cannot fall between the two.
        let mut polled = shared.ledger.poll(OWNER, cx);
        if polled.is_pending() {
            let mut due = match this.task.take() {
                Some(task) => task.step(&this.lend),
                None => task::resume_caller(&shared, &this.lend),
            };
            while let Some(task) = due {
                due = task.step(&this.lend);
            }
            polled = shared.ledger.poll(OWNER, cx);
        }
        let Poll::Ready(outcome) = polled else { return Poll::Pending };
        let request = this.request.take().expect("looked at above");
        Poll::Ready(Outputs::of(request, outcome))
    }
}

impl Drop for Infer<'_> {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else { return };
        let shared = request.handle.shared();
        if let Some(task) = self.task.take() {
            drop(task.into_arc());
        }
        if self.run.is_some() {
            // Refused when the run is over: a panic passes through here.
            let _ = task::bring(shared, Event::Release);
            shared.ledger.close(OWNER);
        }
    }
}
