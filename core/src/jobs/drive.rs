//! How jobs come to slots, and how their ends are found out.
//!
//! A slot is a request with its own callback:
//!
//! ```text
//!            pump                     its run was started               the callback takes the job
//!  Idle ───────────────▶ Starting ───────────────────────▶ Running ─────────────────────────────▶ (no job)
//!   ▲    takes job and request                                                                        │
//!   └───────────────────────────── collect: the run has settled ──────────────────────────────────────┘
//! ```
//!
//! A job is over when its callback has handed in a result; its slot is idle when its run has settled, which is later. One
//! thread at a time pumps, so that an executor that runs at once does not nest; who comes meanwhile may leave, because the
//! pump stops under the lock under which it has seen that there is nothing left to start. Requests are started, results dropped, handlers called and wakers woken outside of the
//! lock.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::task::Wake;
use core::mem;
use core::task::{Context, Waker};

use crate::device::CompiledModel;
use crate::jobs::queue::QUEUED;
use crate::jobs::state::{Door, Inputs, Job, State};
use crate::jobs::wait::{NewJob, WaitList};
use crate::jobs::{Finished, Handler, JobDone, JobError, JobId, JobSettings, Refusal, SubmitError};
use crate::pipeline::Pipeline;
use crate::request::{
    BindError, BoxError, CancelToken, Cause, Completion, InferError, InferErrorKind, Next, PrepareError,
    Request, RunId, Verdict,
};
use crate::sync::Lock;
use crate::unwind;

/// What the handles, the callbacks and the wakers of a pool share.
pub(super) struct Inner<U: Send + 'static, R: Send + 'static> {
    pub(super) model: Arc<dyn CompiledModel>,
    handler: Box<Handler<U, R>>,
    pub(super) settings: JobSettings,
    pub(super) state: Lock<State<U, R>>,
}

impl<U: Send + 'static, R: Send + 'static> Inner<U, R> {
    pub(super) fn new(
        model: Arc<dyn CompiledModel>,
        pipeline: Arc<Pipeline>,
        settings: JobSettings,
        handler: Box<Handler<U, R>>,
    ) -> Result<Arc<Inner<U, R>>, PrepareError> {
        let count = settings.slots.max(1);
        let requests = (0..count).map(|_| Request::new(model.clone(), pipeline.clone()));
        let state = State::new(settings, requests.collect::<Result<_, _>>()?);
        let inner = Arc::new(Inner { model, handler, settings, state: Lock::new(state) });
        for index in 0..count {
            let request = inner.state.with(|state| state.slots[index].request.take());
            let mut request = request.expect("just put there");
            inner.listen(index, &mut request)?;
            inner.state.with(|state| state.slots[index].request = Some(request));
        }
        Ok(inner)
    }

    /// Sets the callback of a slot.
    fn listen(self: &Arc<Self>, index: usize, request: &mut Request) -> Result<(), BindError> {
        let pool = Arc::downgrade(self);
        request.set_callback(move |done| Ok(called_back(&pool, index, done)))
    }

    /// A list for the inputs of a job.
    pub(super) fn spare_list(&self) -> Inputs {
        self.state.with(|state| state.spare.pop()).unwrap_or_default()
    }

    /// Takes a job in, or gives it back with the reason.
    pub(super) fn admit(self: &Arc<Self>, mut job: NewJob<U>) -> Result<JobId, SubmitError<U>> {
        loop {
            match self.state.with(|state| state.admit(job)) {
                Door::In(id) => {
                    self.pump();
                    return Ok(id);
                }
                Door::Refused(job, why) => return Err(self.refuse(job, why)),
                Door::Displaced(old, new) => {
                    let error: BoxError = JobError::Displaced.into();
                    self.end_unstarted(old, InferError::new(InferErrorKind::Abandoned, error));
                    job = new;
                }
            }
        }
    }

    /// Gives a job that was refused back to whoever submitted it.
    pub(super) fn refuse(&self, job: NewJob<U>, why: Refusal) -> SubmitError<U> {
        let NewJob { mut inputs, user, .. } = job;
        inputs.clear();
        self.recycle(inputs);
        SubmitError { user, why }
    }

    /// Starts jobs on idle slots until there are none of either.
    pub(super) fn pump(self: &Arc<Self>) {
        if self.state.with(|state| mem::replace(&mut state.pumping, true)) {
            return;
        }
        let right = Pumping(self);
        let next = |state: &mut State<U, R>| {
            let next = state.next_start();
            // Under the same lock as the look: what came meanwhile is not overlooked.
            state.pumping = next.is_some();
            next
        };
        while let Some((index, request, inputs)) = self.state.with(next) {
            self.start(index, request, inputs);
            self.room();
        }
        mem::forget(right);
        self.room();
        self.wake_if_quiet();
    }

    /// Starts the job of a slot.
    fn start(self: &Arc<Self>, index: usize, request: Request, mut inputs: Inputs) {
        let mut launch = Launch { pool: self, index, request: Some(request), started: None };
        let request = launch.request.as_mut().expect("put there above");
        // What an earlier job made it remember is nobody else's.
        let reset = request.reset_variables();
        debug_assert!(reset.is_ok(), "the slot was idle");
        let is_deaf = self.state.with(|state| mem::take(&mut state.slots[index].deaf));
        let mut bound = if is_deaf { self.listen(index, request) } else { Ok(()) };
        for (input, tensor) in inputs.drain(..) {
            bound = bound.and_then(|()| request.set_input(input, tensor).map(drop));
        }
        self.recycle(inputs);
        launch.started = Some(bound.map_err(InferError::from).and_then(|()| {
            let run = request.start()?;
            let token = run.token();
            run.detach();
            Ok(token)
        }));
        drop(launch);
        self.collect();
    }

    /// Finds the slots whose runs have settled.
    fn collect(self: &Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        while let Some(over) = self.state.with(|state| state.settled(&mut cx)) {
            // Nobody called back: the run was never delivered.
            if let Some((id, user)) = over.left {
                let error = match over.cancelled {
                    true => cancelled(RunId::NONE),
                    false => over.outcome.and_then(|outcome| outcome.error).unwrap_or_else(abandoned),
                };
                let result = Err(error);
                self.hand_in(Finished { id, user, result, latency: None });
            }
        }
    }

    /// A job is over.
    fn hand_in(&self, finished: Finished<U, R>) {
        let error = finished.result.as_ref().err().cloned();
        let unused = self.state.with(|state| {
            let unused_error = match (&state.first_error, error) {
                (None, Some(error)) => {
                    state.first_error = Some(error);
                    None
                }
                (_, error) => error,
            };
            let JobId(id) = finished.id;
            (unused_error, state.board.put(id, finished))
        });
        drop(unused);
        self.wake_all(|state| &mut state.readers);
    }

    fn end_unstarted(&self, job: Job<U>, error: InferError) {
        let Job { id, mut inputs, user } = job;
        inputs.clear();
        self.recycle(inputs);
        self.hand_in(Finished { id, user, result: Err(error), latency: None });
    }

    fn recycle(&self, inputs: Inputs) {
        debug_assert!(inputs.is_empty(), "tensors are not dropped under the lock");
        let most = self.settings.waiting.min(QUEUED) + self.settings.slots + 1;
        let unused = self.state.with(|state| {
            if state.spare.len() < most {
                state.spare.push(inputs);
                return None;
            }
            Some(inputs)
        });
        drop(unused);
    }

    /// Cancels a job; true when it will end as cancelled.
    pub(super) fn cancel(self: &Arc<Self>, id: JobId) -> bool {
        let (queued, running) = self.state.with(|state| match state.queue.remove(|job| job.id == id) {
            Some(job) => (Some(job), None),
            None => (None, state.mark_cancelled(id)),
        });
        if let Some(job) = queued {
            self.end_unstarted(job, cancelled(RunId::NONE));
            self.room();
            self.wake_if_quiet();
            return true;
        }
        let Some(token) = running else { return false };
        if let Some(token) = token {
            token.cancel();
        }
        true
    }

    /// Refuses new jobs, and ends those that have not begun; with `all`, those that have, too.
    pub(super) fn close(self: &Arc<Self>, all: bool) {
        self.state.with(|state| state.closed = true);
        self.clear();
        // Nothing comes to a slot any more: what runs now is all that will.
        if all {
            self.cancel_running();
        }
        self.wake_all(|state| &mut state.submitters);
        self.wake_if_quiet();
    }

    /// Ends all jobs that wait, as cancelled.
    pub(super) fn clear(self: &Arc<Self>) {
        while let Some(job) = self.state.with(|state| state.queue.pop()) {
            self.end_unstarted(job, cancelled(RunId::NONE));
        }
        self.room();
    }

    pub(super) fn cancel_running(self: &Arc<Self>) {
        for index in 0..self.settings.slots.max(1) {
            let id = self.state.with(|state| state.slots[index].job.as_ref().map(|(id, _)| *id));
            if let Some(id) = id {
                self.cancel(id);
            }
        }
    }

    /// Tells the first in line that there is room, if there is.
    pub(super) fn room(&self) {
        let waker = self.state.with(|state| if state.has_room() { state.submitters.first() } else { None });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_if_quiet(&self) {
        if self.state.with(|state| state.is_quiet()) {
            self.wake_all(|state| &mut state.waiters);
            self.wake_all(|state| &mut state.readers);
        }
    }

    /// Wakes all who wait at this moment.
    fn wake_all(&self, list: impl Fn(&mut State<U, R>) -> &mut WaitList) {
        let mut left = self.state.with(|state| list(state).len());
        while left > 0 {
            let Some(waker) = self.state.with(|state| list(state).pop()) else { return };
            waker.wake();
            left -= 1;
        }
    }
}

impl<U: Send + 'static, R: Send + 'static> Wake for Inner<U, R> {
    /// A run has settled.
    fn wake(self: Arc<Self>) {
        self.collect();
        self.pump();
    }
}

/// A slot that is being started: it gets its request back, also when a panic of a stage that runs at once passes through.
struct Launch<'a, U: Send + 'static, R: Send + 'static> {
    pool: &'a Arc<Inner<U, R>>,
    index: usize,
    request: Option<Request>,
    started: Option<Result<CancelToken, InferError>>,
}

impl<U: Send + 'static, R: Send + 'static> Drop for Launch<'_, U, R> {
    fn drop(&mut self) {
        let (request, started) = (self.request.take(), self.started.take());
        let settled = request.as_ref().map(|request| request.observer().settled());
        let (failed, cancel) = self.pool.state.with(|state| {
            let slot = &mut state.slots[self.index];
            slot.request = request;
            if let Some(Err(error)) = started {
                slot.busy = false;
                let error = if slot.cancelled { cancelled(RunId::NONE) } else { error };
                return (slot.job.take().map(|job| (job, error)), None);
            }
            slot.settled = settled;
            slot.token = started.and_then(Result::ok);
            (None, slot.token.clone().filter(|_| slot.cancelled))
        });
        if let Some(((id, user), error)) = failed {
            self.pool.hand_in(Finished { id, user, result: Err(error), latency: None });
        }
        if let Some(token) = cancel {
            token.cancel();
        }
    }
}

/// The right to pump, given back when a panic passes through.
struct Pumping<'a, U: Send + 'static, R: Send + 'static>(&'a Arc<Inner<U, R>>);

impl<U: Send + 'static, R: Send + 'static> Drop for Pumping<'_, U, R> {
    fn drop(&mut self) {
        self.0.state.with(|state| state.pumping = false);
        // The run that panicked has settled, or will, and nobody watches it yet. Jobs that wait begin with the next
        // submit: to start one from here could panic within a panic.
        self.0.collect();
    }
}

/// The callback of every slot: the end of a job.
fn called_back<U: Send + 'static, R: Send + 'static>(
    pool: &Weak<Inner<U, R>>,
    index: usize,
    done: Completion<'_>,
) -> Next {
    let Some(pool) = pool.upgrade() else { return Next::Rest };
    let taken = pool.state.with(|state| {
        let slot = &mut state.slots[index];
        slot.job.take().map(|job| (job, slot.cancelled))
    });
    let Some(((id, user), was_cancelled)) = taken else { return Next::Rest };
    let run = done.run();
    let error = if was_cancelled { Some(cancelled(run)) } else { done.error().cloned() };
    let latency = done.latency();
    let mut end = End { pool: &pool, index, id, run, user: Some(user), latency };
    let result = match (error, end.user.as_mut()) {
        (Some(error), _) => Err(error),
        (None, None) => unreachable!("put in above"),
        (None, Some(user)) => {
            let done = JobDone { id, user, done, pool: &pool };
            let answer = unwind::contained(|| (pool.handler)(done));
            match answer {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(error)) => Err(InferError::callback_failed(run, error, None)),
                Err(message) => Err(InferError::callback_panicked(run, message, None)),
            }
        }
    };
    end.hand_in(result);
    Next::Rest
}

/// Sees that a job ends, also when a panic of its handler passes through.
struct End<'a, U: Send + 'static, R: Send + 'static> {
    pool: &'a Inner<U, R>,
    index: usize,
    id: JobId,
    run: RunId,
    user: Option<U>,
    latency: Option<u64>,
}

impl<U: Send + 'static, R: Send + 'static> End<'_, U, R> {
    fn hand_in(&mut self, result: Result<R, InferError>) {
        if let Some(user) = self.user.take() {
            self.pool.hand_in(Finished { id: self.id, user, result, latency: self.latency });
        }
    }
}

impl<U: Send + 'static, R: Send + 'static> Drop for End<'_, U, R> {
    fn drop(&mut self) {
        if self.user.is_some() {
            let message = "see the output of the thread that ran it".into();
            self.pool.state.with(|state| state.slots[self.index].deaf = true);
            self.hand_in(Err(InferError::callback_panicked(self.run, message, None)));
        }
    }
}

fn cancelled(run: RunId) -> InferError {
    InferError::ended(run, Verdict::Cancelled(Cause::Asked), None)
}

fn abandoned() -> InferError {
    let error: BoxError = JobError::NotDelivered.into();
    InferError::new(InferErrorKind::Abandoned, error)
}
