//! A pool of jobs, as a user of this host holds it: the core's, and the ways to wait for it by blocking.

use std::sync::Arc;
use std::task::Poll;

use inferry_core::jobs::{
    self as core_jobs, AllDone, Finished, JobDone, JobId, JobPool, JobSettings, NextResult, NoSuchSlot,
    Priority, SlotStatus, Submit, SubmitError,
};
use inferry_core::request::{BoxError, InferError, PrepareError};
use inferry_core::{CompiledModel, PortKey, Tensor};

use crate::here::{self, Id};
use crate::place::Place;
use crate::wait::wait;

/// Jobs over a fixed number of requests of one model; made by [`CompiledModel::jobs`](crate::CompiledModel::jobs). Cheap to
/// clone; clones are the same pool.
///
/// `U` is what goes with a job, `R` what the handler makes of it. A job begins by itself as soon as a slot is idle, and ends
/// once, with a result or an error of its own. When the last clone is dropped, jobs that wait are dropped and those that
/// run are cancelled; nothing waits.
///
/// Where results are kept, at most `slots + waiting + untaken` jobs ([`JobSettings`]) are between their submit and the
/// taking of their results; `untaken` is 1024 unless said otherwise. Past that a submit blocks until somebody takes a
/// result, or is refused if the policy is not to wait. So a loop that submits everything before it takes the first result
/// must ask for room for all ([`JobSettings::untaken`]), or it waits for itself; see [`inferry_core::jobs`].
pub struct Jobs<U: Send + 'static, R: Send + 'static> {
    core: JobPool<U, R>,
    place: Arc<Place>,
    id: Id,
}

impl<U: Send + 'static, R: Send + 'static> Clone for Jobs<U, R> {
    fn clone(&self) -> Self {
        Jobs { core: self.core.clone(), place: self.place.clone(), id: self.id }
    }
}

impl<U: Send + 'static, R: Send + 'static> Jobs<U, R> {
    pub(crate) fn new(
        model: Arc<dyn CompiledModel>,
        place: Arc<Place>,
        settings: JobSettings,
        handler: impl Fn(JobDone<'_, U, R>) -> Result<R, BoxError> + Send + Sync + 'static,
    ) -> Result<Jobs<U, R>, PrepareError> {
        let id = Id::unique();
        let marked = move |done: JobDone<'_, U, R>| {
            let _inside = here::enter_callback(id);
            handler(done)
        };
        let core = JobPool::new(model, place.pipeline.clone(), settings, marked)?;
        // A start that finds no threads delivers on the stream: late, but nothing is lost.
        let _ = place.expect_callbacks();
        Ok(Jobs { core, place, id })
    }

    /// Submits a job: every input by index, name or port, and what goes with it. A future, which is ready at once unless it
    /// has to wait for room; [`Jobs::submit`] blocks instead.
    pub fn submit_async<K: PortKey>(
        &self,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Submit<U, R> {
        self.core.submit(inputs, user)
    }

    /// As [`Jobs::submit_async`], with a priority.
    pub fn submit_async_as<K: PortKey>(
        &self,
        priority: Priority,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Submit<U, R> {
        self.core.submit_as(priority, inputs, user)
    }

    /// Submits a job. Where the queue is full, or as many results as can be kept have not been taken, and
    /// [`Overflow::Block`](crate::Overflow::Block) asks for it, blocks the calling thread until there is room.
    ///
    /// # Deadlocks
    /// This cannot know that nobody will take results: a thread that blocks here and would be the only one to take them blocks
    /// for ever. [`Jobs::try_submit`] says [`Untaken`](crate::Refusal::Untaken) instead.
    ///
    /// # Errors
    /// What cannot be a job, as [`InvalidInput`](crate::InferErrorKind::InvalidInput) and the like; no room, as
    /// [`Busy`](crate::InferErrorKind::Busy); and [`WouldDeadlock`](crate::InferErrorKind::WouldDeadlock) where there would
    /// never be room: in the handler, and on a thread that the jobs need. With any of them the job is gone; to get it
    /// back, use [`Jobs::try_submit`].
    pub fn submit<K: PortKey>(
        &self,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Result<JobId, InferError> {
        self.submit_as(Priority::Normal, inputs, user)
    }

    /// As [`Jobs::submit`], with a priority.
    pub fn submit_as<K: PortKey>(
        &self,
        priority: Priority,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Result<JobId, InferError> {
        let submitted = self.block(&mut self.core.submit_as(priority, inputs, user))?;
        submitted.map_err(|error| InferError::new(error.why.kind(), error.why))
    }

    /// Submits a job now, or gives what goes with it back: never waits.
    pub fn try_submit<K: PortKey>(
        &self,
        priority: Priority,
        inputs: impl IntoIterator<Item = (K, Tensor)>,
        user: U,
    ) -> Result<JobId, SubmitError<U>> {
        self.core.try_submit(priority, inputs, user)
    }

    /// The next result, as a future: `None` when nothing is queued, runs or waits to be taken.
    pub fn next_async(&self) -> NextResult<'_, U, R> {
        self.core.next()
    }

    /// The results as they come, blocking the calling thread for each: ends when nothing is queued, runs or waits to be taken.
    /// It ends at once where the wait could never end; see [`Jobs::wait_all`].
    pub fn iter(&self) -> JobResults<'_, U, R> {
        JobResults { jobs: self }
    }

    /// The next result, if it is there already.
    pub fn try_next(&self) -> Option<Finished<U, R>> {
        self.core.try_next()
    }

    /// Becomes ready when nothing is queued, runs or is being delivered; see [`Jobs::wait_all`].
    pub fn quiet(&self) -> AllDone<'_, U, R> {
        self.core.quiet()
    }

    /// Blocks the calling thread until nothing is queued, runs or is being delivered: jobs that handlers submit meanwhile
    /// included.
    ///
    /// # Errors
    /// The first error of any job since the last wait told one; and
    /// [`WouldDeadlock`](crate::InferErrorKind::WouldDeadlock) in the handler and on a thread that the jobs need.
    pub fn wait_all(&self) -> Result<(), InferError> {
        self.block(&mut self.core.quiet())?
    }

    /// Cancels a job. True when it will end as cancelled; false when it is over or being delivered.
    pub fn cancel(&self, job: JobId) -> bool {
        self.core.cancel(job)
    }

    /// Cancels all jobs that wait or run.
    pub fn cancel_all(&self) {
        self.core.cancel_all();
    }

    /// Refuses new jobs for good, and cancels those that wait. What runs goes on.
    pub fn close(&self) {
        self.core.close();
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.core.slots()
    }

    /// How many slots are idle at this moment.
    pub fn idle(&self) -> usize {
        self.core.idle()
    }

    /// How many jobs wait for a slot at this moment.
    pub fn queued(&self) -> usize {
        self.core.queued()
    }

    /// What a slot is doing at this moment.
    pub fn slot(&self, index: usize) -> Result<SlotStatus, NoSuchSlot> {
        self.core.slot(index)
    }

    /// The core's pool.
    pub fn core(&self) -> &core_jobs::JobPool<U, R> {
        &self.core
    }

    fn block<F: Future + Unpin>(&self, future: &mut F) -> Result<F::Output, InferError> {
        match wait(future, None, || self.place.may_wait(self.id, true))? {
            Poll::Ready(output) => Ok(output),
            Poll::Pending => unreachable!("there was no limit"),
        }
    }
}

impl<U: Send + 'static, R: Send + 'static> std::fmt::Debug for Jobs<U, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.core.fmt(f)
    }
}

/// The results of jobs as they come; made by [`Jobs::iter`].
pub struct JobResults<'a, U: Send + 'static, R: Send + 'static> {
    jobs: &'a Jobs<U, R>,
}

impl<U: Send + 'static, R: Send + 'static> Iterator for JobResults<'_, U, R> {
    type Item = Finished<U, R>;

    fn next(&mut self) -> Option<Finished<U, R>> {
        self.jobs.block(&mut self.jobs.core.next()).ok()?
    }
}

impl<'a, U: Send + 'static, R: Send + 'static> IntoIterator for &'a Jobs<U, R> {
    type Item = Finished<U, R>;
    type IntoIter = JobResults<'a, U, R>;

    fn into_iter(self) -> JobResults<'a, U, R> {
        self.iter()
    }
}
