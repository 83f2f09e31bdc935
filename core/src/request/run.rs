//! One run, as a future; and what it gives.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::port::{Port, PortKey};
use crate::request::ledger::{OWNER, Outcome};
use crate::request::life::Phase;
use crate::request::refusal::BindError;
use crate::request::{CancelToken, Cause, InferError, Request, RunId, Settled, Verdict, cancel};
use crate::tensor::Tensor;
use crate::value::Value;

/// A run that has been started. A future: it is ready when the run has settled, that is, when the outputs can be read and
/// the callback has returned.
///
/// It borrows the request, so that nobody touches the tensors meanwhile. Dropping it cancels the run;
/// [`Run::detach`] lets the run go on.
#[must_use = "dropping a run cancels it; `detach` lets it go on"]
#[derive(Debug)]
pub struct Run<'a> {
    /// `None` once the run is over or detached.
    request: Option<&'a mut Request>,
    run: RunId,
}

impl<'a> Run<'a> {
    pub(super) fn new(request: &'a mut Request, run: RunId) -> Run<'a> {
        Run { request: Some(request), run }
    }

    /// The run's number.
    pub fn id(&self) -> RunId {
        self.run
    }

    /// Cancels the run. True when it will end as cancelled; false when its stages are over already.
    pub fn cancel(&self) -> bool {
        self.request
            .as_ref()
            .is_some_and(|request| cancel::cancel(request.handle.shared(), Some(self.run), Cause::Asked))
    }

    /// For others to cancel this run, and never a later one.
    pub fn token(&self) -> CancelToken {
        let shared = self.request.as_ref().expect("a run that is not over has its request").handle.shared();
        CancelToken { shared: shared.clone(), run: self.run }
    }

    /// Lets the run go on by itself. The request is busy until it settles.
    pub fn detach(mut self) {
        if let Some(request) = self.request.take() {
            request.handle.shared().ledger.close(OWNER);
        }
    }
}

impl Run<'_> {
    /// Lets go of the borrow and keeps the handle's slot: whoever owns the request polls it by its number.
    pub(crate) fn keep(mut self) -> RunId {
        self.request = None;
        self.run
    }
}

/// A run without a borrow, for owners of a request that keep the run beside it.
impl Request {
    pub(crate) fn poll_kept(&mut self, run: RunId, cx: &mut Context<'_>) -> Poll<Result<(), InferError>> {
        let outcome = core::task::ready!(self.handle.shared().ledger.poll(OWNER, cx));
        debug_assert_eq!(outcome.run, run, "the handle's slot was given to another run");
        Poll::Ready(Outputs::of(self, outcome).map(drop))
    }

    pub(crate) fn drop_kept(&mut self, run: RunId) {
        drop(Run::new(self, run));
    }
}

impl<'a> Future for Run<'a> {
    type Output = Result<Outputs<'a>, InferError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let request = self.request.as_ref().expect("a run polled after it was ready");
        let Poll::Ready(outcome) = request.handle.shared().ledger.poll(OWNER, cx) else {
            return Poll::Pending;
        };
        let request = self.request.take().expect("looked at above");
        Poll::Ready(Outputs::of(request, outcome))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            let shared = request.handle.shared();
            shared.ledger.close(OWNER);
            cancel::cancel(shared, Some(self.run), Cause::Dropped);
        }
    }
}

/// The outputs of a run that is done. Borrows the request: the next run is started when this is no longer needed.
#[derive(Debug)]
pub struct Outputs<'a> {
    request: &'a mut Request,
    run: RunId,
}

impl<'a> Outputs<'a> {
    pub(super) fn of(request: &'a mut Request, outcome: Outcome) -> Result<Outputs<'a>, InferError> {
        request.handle.shared().ledger.close(OWNER);
        match outcome.error {
            None => Ok(Outputs { request, run: outcome.run }),
            Some(error) => Err(error),
        }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// An output's tensor. Fails with [`BindError::Busy`] when the callback has begun another run already.
    pub fn get(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.request.output(key)
    }

    /// Takes an output's tensor out and binds a fresh one.
    pub fn take(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.request.take_output(key)
    }

    /// An output's value, whatever its kind: a tensor, the tensors of a sequence, or nothing.
    pub fn value(&self, key: impl PortKey) -> Result<Value, BindError> {
        self.request.value(key)
    }

    /// Takes an output's value out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        self.request.take_value(key)
    }

    /// The ports, in the order of [`Outputs::get`] by index.
    pub fn ports(&self) -> &[Port] {
        self.request.outputs()
    }
}

/// Waits until a request is idle; made by [`Request::quiet`].
#[must_use = "a future does nothing unless polled"]
pub struct Quiet<'a> {
    request: &'a mut Request,
    /// The newest run when it was last looked at.
    newest: Option<Settled>,
}

impl<'a> Quiet<'a> {
    pub(super) fn new(request: &'a mut Request) -> Quiet<'a> {
        Quiet { request, newest: None }
    }
}

impl Future for Quiet<'_> {
    type Output = Option<Verdict>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Phase::Idle { last } = self.request.handle.shared().life().phase {
                return Poll::Ready(last);
            }
            if self.newest.is_none() {
                self.newest = Some(self.request.observer().settled());
            }
            // When that run has settled, another may have begun.
            let newest = self.newest.as_mut().expect("set above");
            if Pin::new(newest).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.newest = None;
        }
    }
}
