//! Jobs over a fixed number of requests: submit more than can run, and get each result once.
//!
//! A [`JobPool`] has some requests of one model, its *slots*, and a queue before them. A *job* is the inputs of a run and some
//! data of the user's, which goes with it:
//!
//! ```text
//!  submit(inputs, user) ─▶ queue ─▶ slot: a run ─▶ handler(user, outputs) ─▶ result ─▶ next().await
//!                    by priority;                 of a run that is done     every job has one,
//!                    full: block, reject,                                   in either order
//!                    drop the oldest, keep the latest
//! ```
//!
//! Every job that was accepted ends exactly once: with what the *handler* made of its outputs, or with the error of its run,
//! of the handler, of a cancel, or of a newer job that took its place in the queue. What goes wrong in one job, a
//! panic included, is that job's, and its slot goes on with the next. The handler may submit further jobs; [`JobPool::quiet`]
//! waits for these, too. Jobs are independent: [variables](crate::state) begin anew in each.
//!
//! Jobs begin by themselves, on whatever stack submits one or ends one before; nobody needs to poll. Where the executor has
//! no place of its own, one submit may so compute what others have queued. [`RequestPool`](crate::pool::RequestPool) is for
//! who wants to hold a request. A warm pool takes no memory of its own for a job.
//!
//! # Results that nobody takes
//!
//! A result that is kept ([`Results::Ordered`], [`Results::Unordered`]) has a place from its job's submit until it is
//! taken, and there are `slots + waiting + untaken` places ([`JobSettings::untaken`]). When none is left, a submit waits for
//! somebody to take a result where the policy is to wait, and is refused ([`Refusal::Untaken`]) where it is any other: a
//! newer job takes the place of one in the queue, never that of a result. So memory stays bounded, and one thing can
//! deadlock: whoever waits in a submit for room that only he himself would make, by taking results later. Submit and take
//! from two tasks, or take between submits, or give `untaken` room for all, or let the handler do what there is to do and
//! drop the results.
//!
//! This module has no threads and no clock; a host adds waits that block.

mod board;
mod drive;
mod queue;
mod state;
#[cfg(test)]
mod tests;
mod wait;

pub use board::Results;
pub use queue::{Overflow, Priority};
pub use wait::{AllDone, NextResult, Submit};

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use crate::device::CompiledModel;
use crate::jobs::drive::Inner;
use crate::jobs::wait::NewJob;
use crate::pipeline::Pipeline;
use crate::pool::Tensors;
use crate::port::{self, PortKey, Side};
use crate::request::{
    BindError, BoxError, Completion, InferError, InferErrorKind, PrepareError, RunId, check,
};
use crate::tensor::Tensor;

/// What a pool is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// Requests, at least 1: so many runs can be under way.
    pub slots: usize,
    /// So many jobs can wait for a slot.
    pub waiting: usize,
    /// What becomes of a job when so many wait.
    pub overflow: Overflow,
    /// What becomes of the results.
    pub results: Results,
    /// So many results can lie there that nobody has taken, besides those of the jobs that wait or run: more jobs than
    /// `slots + waiting + untaken` are never between their submit and the taking of their results.
    pub untaken: usize,
}

impl JobSettings {
    /// So many slots, as many jobs that wait, and submits that wait when there is no room; results are dropped, or else
    /// 1024 of them can lie untaken.
    pub fn new(slots: usize) -> JobSettings {
        let slots = slots.max(1);
        let (overflow, results) = (Overflow::Block, Results::Dropped);
        JobSettings { slots, waiting: slots, overflow, results, untaken: 1024 }
    }

    /// So many jobs can wait for a slot.
    #[must_use]
    pub fn waiting(self, waiting: usize) -> JobSettings {
        JobSettings { waiting, ..self }
    }

    /// What becomes of a job for which there is no room.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> JobSettings {
        JobSettings { overflow, ..self }
    }

    /// What becomes of the results.
    #[must_use]
    pub fn results(self, results: Results) -> JobSettings {
        JobSettings { results, ..self }
    }

    /// So many results can lie there that nobody has taken. Who submits all jobs before taking the first result needs room
    /// for all.
    #[must_use]
    pub fn untaken(self, untaken: usize) -> JobSettings {
        JobSettings { untaken, ..self }
    }

    /// The most jobs between submit and take.
    fn most_open(&self) -> usize {
        self.slots.max(1).saturating_add(self.waiting).saturating_add(self.untaken)
    }
}

/// The number of a job: jobs of one pool are numbered from 0 in the order in which they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(crate) u64);

impl JobId {
    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// A job that is over.
#[derive(Debug)]
pub struct Finished<U, R> {
    /// Which.
    pub id: JobId,
    /// What came with it.
    pub user: U,
    /// What the handler made of it, or why not.
    pub result: Result<R, InferError>,
    /// Nanoseconds from the start of its run to the end; `None` when it had none, or the pipeline no clock.
    pub latency: Option<u64>,
}

/// Why a job ended without a run of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There was no room for it any more.
    #[error("a newer job took its place in the queue")]
    Displaced,
    /// Its run ended without calling back: the pool is gone.
    #[error("the job was not delivered")]
    NotDelivered,
}

/// Why a job was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The queue is full.
    #[error("the queue is full")]
    Full,
    /// As many results as can be kept wait to be taken.
    #[error("there is no room for its result: take those that are there")]
    Untaken,
    /// The pool was closed.
    #[error("the pool has been closed")]
    Closed,
    /// An input is missing, is not there, or does not fit.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Refusal {
    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        match self {
            Refusal::Full | Refusal::Untaken => InferErrorKind::Busy,
            Refusal::Closed => InferErrorKind::Disposed,
            Refusal::Bind(error) => error.kind(),
        }
    }
}

/// A job was not accepted: why, and the user's data back.
pub struct SubmitError<U> {
    /// What should have gone with the job.
    pub user: U,
    /// Why.
    pub why: Refusal,
}

impl<U> fmt::Debug for SubmitError<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubmitError({:?})", self.why)
    }
}

impl<U> fmt::Display for SubmitError<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.why, f)
    }
}

impl<U> core::error::Error for SubmitError<U> {}

/// There is no such slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slot #{asked}; there are {slots}")]
pub struct NoSuchSlot {
    /// The index.
    pub asked: usize,
    /// How many there are.
    pub slots: usize,
}

/// What a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotStatus {
    /// It waits for a job.
    Idle,
    /// It has this job.
    Running(JobId),
    /// Its job is being delivered, or has been, and its run is not quite over.
    Ending,
}

/// What is made of a job whose run is done.
pub(crate) type Handler<U, R> = dyn Fn(JobDone<'_, U, R>) -> Result<R, BoxError> + Send + Sync;

/// A job whose run is done, as the handler sees it.
pub struct JobDone<'a, U: Send + 'static, R: Send + 'static> {
    /// Which.
    id: JobId,
    /// What came with the job, and goes on with its result.
    pub user: &'a mut U,
    done: Completion<'a>,
    pool: &'a Arc<Inner<U, R>>,
}

/// Jobs over requests of one model. Cheap to clone; clones are the same pool. See the [module](self).
///
/// When the last clone is dropped, jobs that wait are dropped and those that run are cancelled; nothing waits.
pub struct JobPool<U: Send + 'static, R: Send + 'static>(Arc<Owner<U, R>>);

/// What the handles share, and nobody else has.
struct Owner<U: Send + 'static, R: Send + 'static>(Arc<Inner<U, R>>);

impl<U: Send + 'static, R: Send + 'static> Drop for Owner<U, R> {
    fn drop(&mut self) {
        self.0.close(true);
    }
}

impl<U: Send + 'static, R: Send + 'static> Clone for JobPool<U, R> {
    fn clone(&self) -> Self {
        JobPool(self.0.clone())
    }
}

impl<U: Send + 'static, R: Send + 'static> JobPool<U, R> {
    /// A pool for `model`, whose requests run on the executors of `pipeline`. `handler` is called for every job whose run is
    /// done, before the job is over, for several at a time; what it returns is the job's result, and an error or panic of it
    /// the job's error.
    pub fn new(
        model: Arc<dyn CompiledModel>,
        pipeline: Arc<Pipeline>,
        settings: JobSettings,
        handler: impl Fn(JobDone<'_, U, R>) -> Result<R, BoxError> + Send + Sync + 'static,
    ) -> Result<JobPool<U, R>, PrepareError> {
        let inner = Inner::new(model, pipeline, settings, Box::new(handler))?;
        Ok(JobPool(Arc::new(Owner(inner))))
    }

    /// Submits a job: every input of the model, by index, name or port, and the user's data. The future gives its number
    /// when it has been accepted, which is at its first poll unless it has to wait for room: in the queue, or for its result
    /// (see the [module](self): who submits and takes in one task can wait for himself).
    pub fn submit<K: PortKey>(&self, inputs: impl IntoIterator<Item = (K, Tensor)>, user: U) -> Submit<U, R> {
        self.submit_as(Priority::Normal, inputs, user)
    }

    /// As [`JobPool::submit`], with a priority.
    pub fn submit_as<K: PortKey>(
        &self,
        priority: Priority,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Submit<U, R> {
        let job = new_job(self.inner(), priority, inputs, user);
        Submit { pool: self.clone(), job: Some(job), place: None }
    }

    /// Submits a job now, or gives it back: never waits, and jumps no line.
    pub fn try_submit<K: PortKey>(
        &self,
        priority: Priority,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Result<JobId, SubmitError<U>> {
        let job = new_job(self.inner(), priority, inputs, user)?;
        if self.inner().state.with(|state| !state.submitters.is_empty()) {
            return Err(self.inner().refuse(job, Refusal::Full));
        }
        self.inner().admit(job)
    }

    /// The next result: `None` when nothing is queued, runs or waits to be taken. Who takes first gets it. With
    /// [`Results::Dropped`] there is never one, and this waits for the end of all.
    #[allow(clippy::should_implement_trait, reason = "a future, and `Iterator::next` is none")]
    pub fn next(&self) -> NextResult<'_, U, R> {
        NextResult { pool: self, place: None }
    }

    /// The next result, if it is there already.
    pub fn try_next(&self) -> Option<Finished<U, R>> {
        let taken = self.inner().state.with(|state| state.take_result())?;
        self.inner().room();
        Some(taken)
    }

    /// Waits until nothing is queued, runs or is being delivered: jobs that handlers submitted included. Gives the first
    /// error of any job since it was last given.
    #[doc(alias = "wait_all")]
    pub fn quiet(&self) -> AllDone<'_, U, R> {
        AllDone { pool: self, place: None }
    }

    /// Cancels a job. True when it will end as cancelled: one that waits ends at once. False when it is over or being
    /// delivered.
    pub fn cancel(&self, job: JobId) -> bool {
        self.inner().cancel(job)
    }

    /// Cancels all jobs that wait or run.
    pub fn cancel_all(&self) {
        self.inner().clear();
        self.inner().cancel_running();
    }

    /// Refuses new jobs for good, and cancels those that wait. What runs goes on.
    pub fn close(&self) {
        self.inner().close(false);
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.inner().settings.slots.max(1)
    }

    /// How many slots are idle at this moment.
    pub fn idle(&self) -> usize {
        self.inner().state.with(|state| state.idle())
    }

    /// How many jobs wait for a slot at this moment.
    pub fn queued(&self) -> usize {
        self.inner().state.with(|state| state.queued())
    }

    /// What a slot is doing at this moment.
    pub fn slot(&self, index: usize) -> Result<SlotStatus, NoSuchSlot> {
        let slot = self.inner().state.with(|state| state.slot(index));
        match slot.ok_or(NoSuchSlot { asked: index, slots: self.slots() })? {
            (_, true) => Ok(SlotStatus::Idle),
            (Some(job), false) => Ok(SlotStatus::Running(job)),
            (None, false) => Ok(SlotStatus::Ending),
        }
    }

    /// The compiled model.
    pub fn model(&self) -> &Arc<dyn CompiledModel> {
        &self.inner().model
    }

    fn inner(&self) -> &Arc<Inner<U, R>> {
        &self.0.0
    }
}

impl<U: Send + 'static, R: Send + 'static> fmt::Debug for JobPool<U, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobPool({} idle of {}, {} queued)", self.idle(), self.slots(), self.queued())
    }
}

impl<U: Send + 'static, R: Send + 'static> JobDone<'_, U, R> {
    /// The job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Its run.
    pub fn run(&self) -> RunId {
        self.done.run()
    }

    /// The tensor of an output, where the slot keeps it: the next job of the slot writes over it.
    pub fn output(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.done.output(key)
    }

    /// The tensor of an input.
    pub fn input(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.done.input(key)
    }

    /// A copy of the value that its run gave to a variable. The next job begins anew.
    pub fn variable(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.done.variable(key)
    }

    /// Takes an output out and leaves a fresh tensor in its place.
    pub fn take_output(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.done.take_output(key)
    }

    /// Takes all outputs out and leaves fresh tensors in their places.
    pub fn take_outputs(&mut self) -> Result<Tensors, BindError> {
        let model = self.pool.model.clone();
        let outputs = 0..model.outputs().len();
        let taken = outputs.map(|index| self.done.take_value(index)).collect::<Result<_, _>>()?;
        Ok(Tensors::new(model, taken))
    }

    /// Submits a further job, without waiting: a handler that waited would keep its own slot from getting idle.
    pub fn submit<K: PortKey>(
        &self,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Result<JobId, SubmitError<U>> {
        let job = new_job(self.pool, Priority::Normal, inputs, user)?;
        self.pool.admit(job)
    }
}

/// Sorts and checks the inputs of a job. What a slot's last job left bound must not be taken for an input.
fn new_job<U: Send + 'static, R: Send + 'static, K: PortKey>(
    pool: &Arc<Inner<U, R>>,
    priority: Priority,
    inputs: impl IntoIterator<Item = (K, Tensor)>,
    user: U,
) -> Result<NewJob<U>, SubmitError<U>> {
    let ports = pool.model.inputs();
    let mut job = NewJob { inputs: pool.spare_list(), user, priority };
    for (key, tensor) in inputs {
        let found = port::find(Side::Input, ports, key).map_err(BindError::from);
        let fits = found.and_then(|port| check(port, &tensor).map(|()| port.index));
        match fits {
            Ok(index) => job.inputs.push((index, tensor)),
            Err(error) => return Err(pool.refuse(job, error.into())),
        }
    }
    match ports.iter().find(|port| job.inputs.iter().all(|(index, _)| *index != port.index)) {
        Some(port) => Err(pool.refuse(job, BindError::Missing { port: port.into() }.into())),
        None => Ok(job),
    }
}
