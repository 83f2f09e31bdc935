//! Stopping a run from outside.
//!
//! A [`Canceller`] stops whatever its request is doing; a [`CancelToken`] one particular run and never a later one. Both
//! can be kept, cloned, sent to any thread and used at any time; also from an interrupt, with the feature
//! `critical-section` and an executor that serves interrupts. How a stage sees that it should
//! stop is [`Turn::stop_requested`](crate::turn::Turn::stop_requested).
//!
//! The promise: when a cancel is *granted* (the call returned true), the run ends as cancelled, never as done. A cancel is
//! refused when the stages are over already or nothing runs, and then changes nothing about that run or a later one.
//! Cancelling does not wait; the run is over when a waiter says so.

use crate::request::life::{Command, Event};
use crate::request::shared::Shared;
use crate::request::{Cause, RunId, task};
use crate::sync::Arc;

/// Stops whatever a request is doing, a blocking `infer` in another thread included.
#[derive(Clone)]
pub struct Canceller {
    pub(super) shared: Arc<Shared>,
}

/// Stops one run of a request.
#[derive(Clone)]
pub struct CancelToken {
    pub(super) shared: Arc<Shared>,
    pub(super) run: RunId,
}

impl Canceller {
    /// Cancels the run under way; true when it will end as cancelled.
    ///
    /// Called while a callback runs, it also keeps the callback from restarting the request: after this call no run
    /// begins by itself.
    pub fn cancel(&self) -> bool {
        cancel(&self.shared, None, Cause::Asked)
    }

    /// As [`Canceller::cancel`], but the run ends as timed out.
    pub fn expire(&self) -> bool {
        cancel(&self.shared, None, Cause::Deadline)
    }
}

impl CancelToken {
    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Cancels the run; true when it will end as cancelled, false when it is over.
    pub fn cancel(&self) -> bool {
        cancel(&self.shared, Some(self.run), Cause::Asked)
    }

    /// As [`CancelToken::cancel`], but the run ends as timed out: for whoever keeps its deadline.
    pub fn expire(&self) -> bool {
        cancel(&self.shared, Some(self.run), Cause::Deadline)
    }
}

pub(super) fn cancel(shared: &Arc<Shared>, run: Option<RunId>, cause: Cause) -> bool {
    task::bring(shared, Event::Cancel { run, cause }).is_ok_and(|command| command != Command::Halted)
}
