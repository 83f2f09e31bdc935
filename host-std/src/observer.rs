//! Watching a request from outside, and waiting for it from any thread.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use inferry_core::request::{self as core_request, InferError, Outcome, RunId, Status};

use crate::here::Id;
use crate::place::Place;
use crate::request::Host;
use crate::wait::wait;

/// Watches a request. Can be cloned, sent to any thread, and kept longer than the request; it cannot reach the tensors.
#[derive(Clone)]
pub struct Observer {
    core: core_request::Observer,
    place: Arc<Place>,
    id: Id,
    has_callback: bool,
}

/// How a wait with a limit ended.
#[derive(Clone, Debug)]
pub enum Watch {
    /// The newest run is over.
    Finished(Outcome),
    /// The limit came first.
    TimedOut,
    /// There has never been a run to wait for.
    NeverStarted,
}

impl Observer {
    pub(crate) fn new(core: core_request::Observer, host: &Host) -> Observer {
        Observer { core, place: host.place.clone(), id: host.id, has_callback: host.has_callback }
    }

    /// What the request is doing at this moment.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// True once the request takes no new runs: it was stopped or dropped. A run may still be under way.
    pub fn is_stopped(&self) -> bool {
        self.core.is_stopped()
    }

    /// The run under way, or the latest.
    pub fn run(&self) -> RunId {
        self.core.run()
    }

    /// How the latest run that has settled ended.
    pub fn latest(&self) -> Option<Outcome> {
        self.core.latest()
    }

    /// Becomes ready when the newest run at this moment is over; at once when it is, or when there never was one.
    pub fn settled(&self) -> impl Future<Output = Option<Outcome>> + Send + Unpin + 'static {
        self.core.settled()
    }

    /// Blocks the calling thread until the newest run at this moment is over: its outputs can be read, and its callback has
    /// returned. Gives how it ended, or `None` when there never was a run. It may be asked again and again.
    ///
    /// # Errors
    /// Only where the wait could never end; see [`Run::wait`](crate::Run::wait). How the run failed is in the outcome.
    pub fn wait(&self) -> Result<Option<Outcome>, InferError> {
        match self.block(None)? {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending => unreachable!("there was no limit"),
        }
    }

    /// As [`Observer::wait`], for at most `limit`. A limit of zero looks without waiting.
    pub fn wait_for(&self, limit: Duration) -> Result<Watch, InferError> {
        Ok(match self.block(Instant::now().checked_add(limit))? {
            Poll::Ready(Some(outcome)) => Watch::Finished(outcome),
            Poll::Ready(None) => Watch::NeverStarted,
            Poll::Pending => Watch::TimedOut,
        })
    }

    fn block(&self, until: Option<Instant>) -> Result<Poll<Option<Outcome>>, InferError> {
        // The callback may only look at its own run, so a wait for nothing is no wait.
        let is_wait = until.is_none_or(|until| until > Instant::now());
        let may_wait = || if is_wait { self.place.may_wait(self.id, self.has_callback) } else { Ok(()) };
        wait(&mut self.core.settled(), until, may_wait)
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("status", &self.status()).finish_non_exhaustive()
    }
}
