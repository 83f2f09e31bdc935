//! What happens to runs, told while it happens.
//!
//! A [`Trace`] that a pipeline carries ([`Pipeline::traced`](crate::Pipeline::traced)) is told of every step of every run:
//!
//! ```text
//!  started ── queued ──▶ stage 0 ──▶ paused ──▶ stage 0 ──▶ stage 1 … ──▶ ended ──▶ callback ──▶ settled
//! ```
//!
//! It is told on the thread on which the step happens, with no clock: who listens has one, knows the thread, and decides what
//! to keep. The core writes nothing down. A pipeline without a trace pays one comparison a step.

use crate::request::{RunId, Verdict};

/// Told what happens to runs. Called between two steps of a run, on any thread: it should be quick, and must not touch the
/// request.
pub trait Trace: Send + Sync {
    /// Something has happened.
    fn event(&self, event: &TraceEvent<'_>);
}

/// What happened, and to which run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TraceEvent<'a> {
    /// The request: a number that no other request has at the same time.
    pub request: usize,
    /// Its run.
    pub run: RunId,
    /// What happened.
    pub what: Happening<'a>,
}

impl<'a> TraceEvent<'a> {
    pub(crate) fn new(request: usize, run: RunId, what: Happening<'a>) -> Self {
        TraceEvent { request, run, what }
    }
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening<'a> {
    /// It has been started, and waits for the executor of its first stage.
    Started,
    /// A stage begins, or goes on.
    StageBegins {
        /// Position of the stage.
        stage: usize,
        /// Its name.
        name: &'a str,
        /// The executor that runs it.
        executor: &'a str,
    },
    /// The stage has returned.
    StageEnds {
        /// Position of the stage.
        stage: usize,
        /// Its name.
        name: &'a str,
        /// How.
        how: StageEnd,
    },
    /// The stages are over.
    Ended {
        /// How the run ends.
        verdict: Verdict,
    },
    /// The callback is called.
    CallbackBegins,
    /// The callback has returned.
    CallbackEnds,
    /// The run is over for everybody.
    Settled {
        /// How it ended.
        verdict: Verdict,
    },
}

/// How a turn of a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageEnd {
    /// The stage is over.
    Ready,
    /// It waits to be woken, or has given way to others.
    Pending,
    /// It failed or panicked.
    Failed,
}
