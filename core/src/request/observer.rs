//! Watching a request from outside: what it is doing, and when a run is over.
//!
//! Any number of observers may watch one request, from any thread, whoever holds it. An observer cannot reach the tensors
//! and keeps only a few words of memory alive.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::request::ledger::{Outcome, SlotId};
use crate::request::life::Phase;
use crate::request::shared::Shared;
use crate::request::{RunId, Verdict};
use crate::sync::Arc;

/// What a request is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// It has never run.
    Fresh,
    /// A stage waits for its turn on an executor.
    Queued {
        /// The stage's number.
        stage: usize,
    },
    /// A stage is being computed.
    Running {
        /// The stage's number.
        stage: usize,
    },
    /// A stage waits for a device, a timer or a promise.
    Parked {
        /// The stage's number.
        stage: usize,
    },
    /// The stages are over and the run is being delivered to the callback.
    Delivering,
    /// No run is under way; this is how the latest ended.
    Settled(Verdict),
}

/// Watches a request.
#[derive(Clone)]
pub struct Observer {
    pub(super) shared: Arc<Shared>,
}

impl Observer {
    /// What the request is doing at this moment.
    pub fn status(&self) -> Status {
        status(&self.shared)
    }

    /// True once the request takes no new runs: it was stopped or dropped. A run may still be under way.
    pub fn is_stopped(&self) -> bool {
        self.shared.life().closed
    }

    /// The run under way, or the latest; [`RunId::NONE`] before the first.
    pub fn run(&self) -> RunId {
        self.shared.life().run
    }

    /// How the latest run that has settled ended.
    pub fn latest(&self) -> Option<Outcome> {
        self.shared.ledger.latest()
    }

    /// Waits for the newest run at this moment. It is ready at once when that is over.
    ///
    /// A run is over when its outputs can be read and its callback has returned; a next run that the callback began is
    /// another run. Gives `None` when the request has never run.
    pub fn settled(&self) -> Settled {
        loop {
            let run = self.shared.life().run;
            if run == RunId::NONE {
                return Settled { shared: self.shared.clone(), slot: None };
            }
            // `None` only when a later run has settled since the word was read: then there is a newer one to wait for.
            if let Some(slot) = self.shared.ledger.open(run) {
                return Settled { shared: self.shared.clone(), slot: Some(slot) };
            }
        }
    }
}

pub(super) fn status(shared: &Shared) -> Status {
    match shared.life().phase {
        Phase::Idle { last: None } => Status::Fresh,
        Phase::Idle { last: Some(verdict) } => Status::Settled(verdict),
        Phase::Queued { stage } => Status::Queued { stage: stage.into() },
        Phase::Running { stage, .. } | Phase::Woken { stage } => Status::Running { stage: stage.into() },
        Phase::Parked { stage } => Status::Parked { stage: stage.into() },
        Phase::Delivering { .. } => Status::Delivering,
    }
}

/// Waits for one run; made by [`Observer::settled`]. A future, and it may be polled again after it was ready.
#[must_use = "a future does nothing unless polled"]
pub struct Settled {
    shared: Arc<Shared>,
    slot: Option<SlotId>,
}

impl Future for Settled {
    type Output = Option<Outcome>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.slot {
            None => Poll::Ready(None),
            Some(slot) => self.shared.ledger.poll(slot, cx).map(Some),
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.shared.ledger.close(slot);
        }
    }
}
