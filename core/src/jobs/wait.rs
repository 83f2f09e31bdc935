//! Waiting for a pool of jobs: for room, for the next result, for the end of all.
//!
//! Who waits has a place in a list, taken at the first pending poll and left when the future is dropped. Wakers are woken and
//! dropped outside of the lock.

use alloc::collections::VecDeque;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::jobs::drive::Inner;
use crate::jobs::state::{Door, Inputs, State};
use crate::jobs::{Finished, JobId, JobPool, Priority, Refusal, SubmitError};
use crate::request::InferError;

/// Wakers in the order in which they came. There is room for a few from the beginning: whether anybody has to wait is a matter
/// of timing, and a warm pool takes no memory.
pub(super) struct WaitList {
    places: VecDeque<(u64, Waker)>,
    next: u64,
}

impl WaitList {
    pub(super) fn new() -> WaitList {
        WaitList { places: VecDeque::with_capacity(4), next: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Waker> {
        self.places.pop_front().map(|(_, waker)| waker)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The waker of the first, who keeps the place.
    pub(super) fn first(&self) -> Option<Waker> {
        self.places.front().map(|(_, waker)| waker.clone())
    }

    fn is_first(&self, place: Option<u64>) -> bool {
        self.places.front().is_none_or(|(first, _)| Some(*first) == place)
    }

    /// Takes a place, or renews the waker of the one that was taken. Gives the waker that is not needed.
    fn wait(&mut self, place: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        if let Some(number) = place
            && let Some((_, mine)) = self.places.iter_mut().find(|(other, _)| other == number)
        {
            return Some(core::mem::replace(mine, waker));
        }
        // Woken, and without a place since: at the end again.
        *place = Some(self.next);
        self.places.push_back((self.next, waker));
        self.next += 1;
        None
    }

    fn leave(&mut self, place: Option<u64>) -> Option<Waker> {
        let at = self.places.iter().position(|(other, _)| Some(*other) == place)?;
        self.places.remove(at).map(|(_, waker)| waker)
    }
}

/// Submits a job when there is room for it and its result; made by [`JobPool::submit`]. Who waits first is served first. Dropping it leaves the
/// line, and the job is not submitted.
#[must_use = "a future does nothing unless polled"]
pub struct Submit<U: Send + 'static, R: Send + 'static> {
    pub(super) pool: JobPool<U, R>,
    pub(super) job: Option<Result<NewJob<U>, SubmitError<U>>>,
    pub(super) place: Option<u64>,
}

/// A job that has no number yet.
pub(super) struct NewJob<U> {
    pub(super) inputs: Inputs,
    pub(super) user: U,
    pub(super) priority: Priority,
}

// Nothing in it is pinned.
impl<U: Send + 'static, R: Send + 'static> Unpin for Submit<U, R> {}

impl<U: Send + 'static, R: Send + 'static> Future for Submit<U, R> {
    type Output = Result<JobId, SubmitError<U>>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let inner = this.pool.inner().clone();
        let job = match this.job.take().expect("a submit polled after it was ready") {
            Ok(job) => job,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let waker = cx.waker().clone();
        if !inner.settings.overflow.waits() {
            return Poll::Ready(inner.admit(job));
        }
        // Without a turn there is no room, whatever the queue says.
        let place = &mut this.place;
        let (answer, unused) = inner.state.with(|state| {
            let turn = state.submitters.is_first(*place);
            match if turn { state.admit(job) } else { Door::Refused(job, Refusal::Full) } {
                Door::Refused(job, Refusal::Full | Refusal::Untaken) => {
                    (Err(job), state.submitters.wait(place, waker))
                }
                other => (Ok(other), state.submitters.leave(place.take())),
            }
        });
        drop(unused);
        let answer = match answer {
            Err(job) => {
                this.job = Some(Ok(job));
                return Poll::Pending;
            }
            Ok(Door::In(id)) => {
                inner.pump();
                Ok(id)
            }
            Ok(Door::Refused(job, why)) => Err(inner.refuse(job, why)),
            Ok(Door::Displaced(..)) => unreachable!("nothing is displaced where a submit waits"),
        };
        // The next in line may have room as well.
        inner.room();
        Poll::Ready(answer)
    }
}

impl<U: Send + 'static, R: Send + 'static> Drop for Submit<U, R> {
    fn drop(&mut self) {
        let place = self.place.take();
        if place.is_some() {
            let inner = self.pool.inner();
            drop(inner.state.with(|state| state.submitters.leave(place)));
            // It may have been woken for room that it leaves to the next.
            inner.room();
        }
    }
}

/// Waits for the next result; made by [`JobPool::next`].
#[must_use = "a future does nothing unless polled"]
pub struct NextResult<'a, U: Send + 'static, R: Send + 'static> {
    pub(super) pool: &'a JobPool<U, R>,
    pub(super) place: Option<u64>,
}

impl<U: Send + 'static, R: Send + 'static> Future for NextResult<'_, U, R> {
    type Output = Option<Finished<U, R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.pool.inner().clone();
        let look = |state: &mut State<U, R>| match state.take_result() {
            Some(finished) => Poll::Ready(Some(finished)),
            None if state.is_quiet() => Poll::Ready(None),
            None => Poll::Pending,
        };
        let next = poll_place(&inner, look, |state| &mut state.readers, &mut self.place, cx);
        if matches!(next, Poll::Ready(Some(_))) {
            inner.room();
        }
        next
    }
}

impl<U: Send + 'static, R: Send + 'static> Drop for NextResult<'_, U, R> {
    fn drop(&mut self) {
        let place = self.place;
        drop(self.pool.inner().state.with(|state| state.readers.leave(place)));
    }
}

/// Waits until nothing is queued or runs; made by [`JobPool::quiet`].
#[must_use = "a future does nothing unless polled"]
pub struct AllDone<'a, U: Send + 'static, R: Send + 'static> {
    pub(super) pool: &'a JobPool<U, R>,
    pub(super) place: Option<u64>,
}

impl<U: Send + 'static, R: Send + 'static> Future for AllDone<'_, U, R> {
    type Output = Result<(), InferError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.pool.inner().clone();
        let look = |state: &mut State<U, R>| match state.is_quiet() {
            true => Poll::Ready(state.take_first_error().map_or(Ok(()), Err)),
            false => Poll::Pending,
        };
        poll_place(&inner, look, |state| &mut state.waiters, &mut self.place, cx)
    }
}

impl<U: Send + 'static, R: Send + 'static> Drop for AllDone<'_, U, R> {
    fn drop(&mut self) {
        let place = self.place;
        drop(self.pool.inner().state.with(|state| state.waiters.leave(place)));
    }
}

/// Looks, and keeps a place in a list while there is nothing to see.
fn poll_place<U: Send + 'static, R: Send + 'static, T>(
    inner: &Inner<U, R>,
    look: impl Fn(&mut State<U, R>) -> Poll<T>,
    list: impl Fn(&mut State<U, R>) -> &mut WaitList,
    place: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    let waker = cx.waker().clone();
    let (seen, unused) = inner.state.with(|state| match look(state) {
        Poll::Ready(seen) => (Poll::Ready(seen), list(state).leave(place.take())),
        Poll::Pending => (Poll::Pending, list(state).wait(place, waker)),
    });
    drop(unused);
    seen
}
