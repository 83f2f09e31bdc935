//! A run that has been started: awaited, or waited for by blocking.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use inferry_core::request::{self as core_request, CancelToken, InferError, Outputs, RunId};

use crate::request::Host;
use crate::timer::{self, Note};
use crate::wait::wait;

/// A run that has been started. A future, for any async runtime; or [`wait`](Run::wait) for it.
///
/// It is ready when the outputs can be read *and* the callback has returned. It borrows the request, so that nobody touches
/// the tensors meanwhile. Dropping it cancels the run; [`Run::detach`] lets the run go on.
#[must_use = "dropping a run cancels it; `detach` lets it go on"]
pub struct Run<'a> {
    core: core_request::Run<'a>,
    host: &'a Host,
    deadline: Option<Note>,
}

/// How a wait with a limit ended.
#[must_use = "dropping a run that is not over cancels it"]
#[derive(Debug)]
pub enum Waited<'a> {
    /// The run is done, and these are its outputs.
    Finished(Outputs<'a>),
    /// The limit came first. The run goes on: wait again, cancel it, or detach it.
    TimedOut(Run<'a>),
}

impl<'a> Run<'a> {
    pub(crate) fn new(core: core_request::Run<'a>, host: &'a Host) -> Run<'a> {
        Run { core, host, deadline: None }
    }

    /// Blocks the calling thread until the run is over: the outputs can be read, and the callback has returned.
    ///
    /// # Errors
    /// Why the run is not done; and [`WouldDeadlock`](crate::InferErrorKind::WouldDeadlock), which cancels the run, where
    /// the wait could never end: in its own callback, and on a thread that the run itself needs.
    pub fn wait(mut self) -> Result<Outputs<'a>, InferError> {
        match self.block(None)? {
            Poll::Ready(ended) => ended,
            Poll::Pending => unreachable!("there was no limit"),
        }
    }

    /// As [`Run::wait`], for at most `limit`. A limit of zero looks without waiting.
    pub fn wait_for(self, limit: Duration) -> Result<Waited<'a>, InferError> {
        match Instant::now().checked_add(limit) {
            Some(until) => self.wait_deadline(until),
            None => self.wait().map(Waited::Finished),
        }
    }

    /// As [`Run::wait`], until `until` at the latest.
    pub fn wait_deadline(mut self, until: Instant) -> Result<Waited<'a>, InferError> {
        match self.block(Some(until))? {
            Poll::Ready(ended) => ended.map(Waited::Finished),
            Poll::Pending => Ok(Waited::TimedOut(self)),
        }
    }

    /// Stops the run at `moment` unless it is over before, whether or not somebody waits for it: it then ends as
    /// [`Timeout`](crate::InferErrorKind::Timeout). To stop waiting without stopping the run is [`Run::wait_for`].
    pub fn deadline(mut self, moment: Instant) -> Run<'a> {
        self.deadline = Some(timer::at(moment, self.core.token()));
        self
    }

    /// As [`Run::deadline`], so long from now.
    pub fn time_limit(self, limit: Duration) -> Run<'a> {
        match Instant::now().checked_add(limit) {
            Some(moment) => self.deadline(moment),
            None => self,
        }
    }

    /// The run's number.
    pub fn id(&self) -> RunId {
        self.core.id()
    }

    /// Cancels the run. True when it will end as cancelled; false when its stages are over already. Does not wait.
    pub fn cancel(&self) -> bool {
        self.core.cancel()
    }

    /// For others to cancel this run, and never a later one.
    pub fn token(&self) -> CancelToken {
        self.core.token()
    }

    /// Lets the run go on by itself. The request is busy until it settles. A deadline stays.
    pub fn detach(self) {
        if let Some(deadline) = self.deadline {
            // Forgotten here, the note is taken out by the timer when its moment comes.
            std::mem::forget(deadline);
        }
        self.core.detach();
    }

    fn block(&mut self, until: Option<Instant>) -> Result<Poll<<Self as Future>::Output>, InferError> {
        let host = self.host;
        wait(self, until, || host.may_wait())
    }
}

impl<'a> Future for Run<'a> {
    type Output = Result<Outputs<'a>, InferError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.core).poll(cx);
        if ended.is_ready() {
            self.deadline = None;
        }
        ended
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.core.fmt(f)
    }
}
