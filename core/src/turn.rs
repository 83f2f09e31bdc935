//! What an executor lends a stage while the stage has its turn.
//!
//! A stage that computes for long looks at its [`Turn`] between blocks of work: has somebody asked the run to stop? Is
//! the slice of time used up? It may also fork over the threads behind the turn. A turn is borrowed for one call of
//! `poll_stage` and keeps nothing afterwards; it does not wait and cannot wake anybody.

use core::cell::Cell;
use core::task::{Context, Poll};

use crate::clock::Clock;
use crate::parallel::{Parallel, Serial};
use crate::request::Failure;
use crate::sync::{AtomicBool, Ordering};

/// Asks, from inside a stage, whether the run should end early.
///
/// The answer only ever changes from "go on" to "stop" during a run. What is behind it is the request's state word (or
/// a plain flag, in tests).
#[derive(Clone, Copy)]
pub struct Stop<'a> {
    source: &'a dyn StopSource,
}

/// What a [`Stop`] reads: implemented by the request's shared state.
pub trait StopSource: Sync {
    /// True once the run that is being executed has been cancelled.
    fn stopped(&self) -> bool;
}

impl StopSource for AtomicBool {
    fn stopped(&self) -> bool {
        self.load(Ordering::Relaxed)
    }
}

struct Never;

impl StopSource for Never {
    fn stopped(&self) -> bool {
        false
    }
}

impl<'a> Stop<'a> {
    /// A stop that follows `source`.
    pub fn new(source: &'a dyn StopSource) -> Self {
        Stop { source }
    }

    /// Nobody can stop this.
    pub fn never() -> Stop<'static> {
        Stop { source: &Never }
    }

    /// True when the stage should give up; its result will be discarded.
    #[inline]
    pub fn requested(&self) -> bool {
        self.source.stopped()
    }
}

/// How long a stage may compute before it should let others run.
#[derive(Clone, Copy)]
pub enum Slice<'a> {
    /// No limit: a thread of its own.
    Unlimited,
    /// Until the host's clock reads `until` (nanoseconds).
    Until {
        /// The clock that is read between blocks of work.
        clock: &'a dyn Clock,
        /// The moment at which the slice is used up.
        until: u64,
    },
    /// So many looks at the slice, for hosts without a clock and for tests that step through a run.
    Looks(u32),
}

/// One turn of a stage on an executor.
pub struct Turn<'a> {
    stop: Stop<'a>,
    slice: Slice<'a>,
    looks: Cell<u32>,
    parallel: &'a dyn Parallel,
}

impl<'a> Turn<'a> {
    /// A turn that can be stopped, is limited by `slice`, and forks over `parallel`.
    pub fn new(stop: Stop<'a>, slice: Slice<'a>, parallel: &'a dyn Parallel) -> Self {
        Turn { stop, slice, looks: Cell::new(0), parallel }
    }

    /// A turn without limits on the calling thread, for tests and tools.
    pub fn unlimited() -> Turn<'static> {
        Turn::new(Stop::never(), Slice::Unlimited, &Serial)
    }

    /// True when the run was cancelled and the stage should return.
    #[inline]
    pub fn stop_requested(&self) -> bool {
        self.stop.requested()
    }

    /// True when the stage should wake itself and return `Pending`, so that others can run. A stage asks after each
    /// block of work; with [`Slice::Looks`] the asking itself is what counts.
    #[inline]
    pub fn used_up(&self) -> bool {
        match self.slice {
            Slice::Unlimited => false,
            Slice::Until { clock, until } => clock.now() >= until,
            Slice::Looks(limit) => {
                self.looks.set(self.looks.get().saturating_add(1));
                self.looks.get() >= limit
            }
        }
    }

    /// Asked between two blocks, or two stages, of one call that polls: `Ready` to go on, [`Failure::stopped`] when the run
    /// was cancelled, or `Pending` with the waker called when the slice is used up.
    pub fn poll_between(&self, cx: &Context<'_>) -> Poll<Result<(), Failure>> {
        if self.stop_requested() {
            return Poll::Ready(Err(Failure::stopped()));
        }
        if self.used_up() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// True when there is no limit, so a stage may take larger blocks.
    pub fn is_unlimited(&self) -> bool {
        matches!(self.slice, Slice::Unlimited)
    }

    /// The threads to fork over.
    pub fn parallel(&self) -> &'a dyn Parallel {
        self.parallel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_looks_is_used_up_at_its_last_look() {
        let turn = Turn::new(Stop::never(), Slice::Looks(3), &Serial);
        assert_eq!([turn.used_up(), turn.used_up(), turn.used_up()], [false, false, true]);
    }

    #[test]
    fn a_stop_follows_its_source() {
        let flag = AtomicBool::new(false);
        let turn = Turn::new(Stop::new(&flag), Slice::Unlimited, &Serial);
        assert!(!turn.stop_requested());
        flag.store(true, Ordering::Relaxed);
        assert!(turn.stop_requested());
    }
}
