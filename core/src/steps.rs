//! Long work that can stand still: what makes a model ready, in steps of a bounded length.
//!
//! ```text
//!  host: Steps::step(turn) ─▶ poll ─▶ async fn … pace.spend(cost).await … ─▶ Pending: look at the turn ─▶ poll …
//! ```
//!
//! Reading a model, rewriting its graph and planning its memory are trees of functions rather than lists of tiles, so their
//! position is kept by the compiler: they are `async` functions. They wait for nothing. Now and then, when they have
//! [spent](Pace::spend) some tens of microseconds by their own estimate, they hand control back for one moment, and who
//! drives them looks at its [`Turn`]: a stop drops the work where it stands, a used-up slice leaves it there until the next
//! step. So loading is interrupted by the same looks as a run.
//!
//! What this is *not*: an executor. Wakers are never kept, nothing runs at the same time, and a future that waits for
//! anything else than its next turn must not be put in here.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use crate::sync::Lock;
use crate::turn::Turn;

/// Roughly the nanoseconds between two looks: small against a slice of a few milliseconds, also on a machine ten times as
/// slow as the estimates think, and large against the cost of a look.
const BETWEEN_LOOKS: u64 = 50_000;

/// What is being done to make a model ready, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Its file is read; counted in bytes.
    #[default]
    Parse,
    /// Its graph is rewritten; counted in nodes, once a pass.
    Optimise,
    /// Kernels are chosen and weights packed; counted in nodes, once a walk along them.
    Plan,
}

/// How far it has come. Within a phase `done` only grows, and `total` stays; a phase never comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it is done, at most `total`.
    pub done: usize,
    /// How much there is to do; 0 before the first step.
    pub total: usize,
}

/// What a step came to.
#[derive(Debug)]
#[must_use]
pub enum Step<T> {
    /// There is more to do: call again.
    Pending,
    /// The turn's stop was requested. The work and all that it held are gone.
    Stopped,
    /// The work is over.
    Done(T),
}

/// Work that is done step by step. Dropping it gives it up; nothing stays behind.
pub struct Steps<'a, T> {
    /// `None` when it is over.
    work: Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
    gauge: Arc<Gauge>,
}

impl<'a, T> Steps<'a, T> {
    /// The work that `make` describes; nothing of it is done yet.
    pub fn new<F: Future<Output = T> + Send + 'a>(make: impl FnOnce(Pace) -> F) -> Steps<'a, T> {
        let gauge = Arc::new(Gauge(Lock::new(Progress::default())));
        let pace = Pace { spent: 0, gauge: Some(gauge.clone()) };
        Steps { work: Some(Box::pin(make(pace))), gauge }
    }

    /// Goes on until the turn is used up or stopped, or the work over. Does one piece of work at least, unless it is stopped.
    ///
    /// After the end it gives [`Step::Stopped`].
    pub fn step(&mut self, turn: &Turn<'_>) -> Step<T> {
        let mut context = Context::from_waker(Waker::noop());
        while let Some(work) = &mut self.work {
            if turn.stop_requested() {
                self.work = None;
                break;
            }
            if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
                self.work = None;
                return Step::Done(result);
            }
            if turn.used_up() {
                return Step::Pending;
            }
        }
        Step::Stopped
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.gauge.0.with(|progress| *progress)
    }
}

impl<T> core::fmt::Debug for Steps<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Steps").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

/// Does such work here and now, to its end.
pub fn finish<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// What such work carries along: when it looks next, and where it tells how far it has come.
#[derive(Default)]
pub struct Pace {
    spent: u64,
    gauge: Option<Arc<Gauge>>,
}

/// What [`Steps`] shows.
struct Gauge(Lock<Progress>);

impl Pace {
    /// A pace that tells nobody, for work within other work.
    pub fn silent() -> Pace {
        Pace::default()
    }

    /// Says that about so many nanoseconds of work have been done, and looks when it is time to. Estimates of the right
    /// order are good enough.
    #[inline]
    pub fn spend(&mut self, nanoseconds: u64) -> Look {
        self.spent = self.spent.saturating_add(nanoseconds);
        let due = self.spent >= BETWEEN_LOOKS;
        if due {
            self.spent = 0;
        }
        Look { due }
    }

    /// Begins a phase; a look is due then. An earlier phase than that under way is not begun: passes run again while a plan
    /// is made.
    pub fn enter(&mut self, phase: Phase, total: usize) {
        let mut begun = false;
        self.tell(|progress| {
            begun = phase > progress.phase || progress.total == 0;
            if begun {
                *progress = Progress { phase, done: 0, total };
            }
        });
        if begun {
            self.spent = BETWEEN_LOOKS;
        }
    }

    /// So much of `phase` is done; what is less than before, more than the total, or of another phase does not count.
    pub fn reach(&mut self, phase: Phase, done: usize) {
        self.tell(|progress| {
            if phase == progress.phase {
                progress.done = progress.done.max(done.min(progress.total));
            }
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(gauge) = &self.gauge {
            gauge.0.with(change);
        }
    }
}

/// A possible interruption: ready at once unless a look is due, else at the next poll.
#[must_use = "only awaiting it interrupts the work"]
pub struct Look {
    due: bool,
}

impl Future for Look {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if core::mem::take(&mut self.due) { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::parallel::Serial;
    use crate::sync::AtomicBool;
    use crate::sync::Ordering;
    use crate::turn::{Slice, Stop};

    async fn count(to: usize, pace: &mut Pace) -> usize {
        pace.enter(Phase::Optimise, to);
        for done in 0..to {
            pace.spend(BETWEEN_LOOKS / 2).await;
            pace.reach(Phase::Optimise, done + 1);
        }
        to
    }

    fn looks(count: u32) -> Turn<'static> {
        Turn::new(Stop::never(), Slice::Looks(count), &Serial)
    }

    #[test]
    fn work_stands_still_between_steps_and_tells_how_far_it_came() {
        let mut steps = Steps::new(|mut pace| async move { count(5, &mut pace).await });
        assert_eq!(steps.progress(), Progress::default());
        let mut seen = alloc::vec::Vec::new();
        let result = loop {
            match steps.step(&looks(1)) {
                Step::Pending => seen.push(steps.progress().done),
                Step::Done(result) => break result,
                Step::Stopped => panic!("nobody stops it"),
            }
        };
        assert_eq!((result, &seen[..]), (5, &[0, 2, 4][..]));
        assert_eq!(steps.progress(), Progress { phase: Phase::Optimise, done: 5, total: 5 });
        assert!(matches!(steps.step(&looks(1)), Step::Stopped), "it is over");
    }

    #[test]
    fn a_stop_drops_the_work_where_it_stands() {
        let held = Arc::new(());
        let (inside, stop) = (held.clone(), AtomicBool::new(false));
        let mut steps = Steps::new(|mut pace| async move {
            let sum = count(9, &mut pace).await;
            drop(inside);
            sum
        });
        assert!(matches!(steps.step(&looks(2)), Step::Pending));
        assert_eq!(Arc::strong_count(&held), 2);
        stop.store(true, Ordering::Relaxed);
        let turn = Turn::new(Stop::new(&stop), Slice::Unlimited, &Serial);
        assert!(matches!(steps.step(&turn), Step::Stopped));
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn phases_do_not_come_back_and_counts_do_not_fall() {
        let mut steps = Steps::new(|mut pace| async move {
            pace.enter(Phase::Plan, 10);
            pace.reach(Phase::Plan, 7);
            pace.enter(Phase::Optimise, 3);
            pace.reach(Phase::Optimise, 1);
            pace.reach(Phase::Plan, 5);
            pace.reach(Phase::Plan, 99);
        });
        assert!(matches!(steps.step(&looks(1)), Step::Done(())));
        assert_eq!(steps.progress(), Progress { phase: Phase::Plan, done: 10, total: 10 });
    }

    #[test]
    fn a_look_is_due_where_a_phase_begins() {
        let mut steps = Steps::new(|mut pace| async move {
            for phase in [Phase::Parse, Phase::Optimise, Phase::Plan] {
                pace.enter(phase, 1);
                pace.spend(1).await;
                pace.reach(phase, 1);
            }
        });
        for phase in [Phase::Parse, Phase::Optimise, Phase::Plan] {
            assert!(matches!(steps.step(&looks(1)), Step::Pending));
            assert_eq!(steps.progress(), Progress { phase, done: 0, total: 1 });
        }
        assert!(matches!(steps.step(&looks(1)), Step::Done(())));
    }

    #[test]
    fn unlimited_work_is_done_at_once() {
        assert_eq!(finish(count(100, &mut Pace::silent())), 100);
        let mut steps = Steps::new(|mut pace| async move { count(100, &mut pace).await });
        assert!(matches!(steps.step(&Turn::unlimited()), Step::Done(100)));
    }
}
