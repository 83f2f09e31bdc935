//! Fork-join over threads that have nothing else to do.
//!
//! ```text
//!  a thread that runs a request      idle streams, and helpers where there are more threads than streams
//!  for_each(count, body) ──────────▶ serve: compute bodies with it, until a request comes
//! ```
//!
//! The streams before one queue have one [`Crew`]. A stream without a request serves it, so a lone request is computed by all
//! threads and as many requests as there are streams by one each, with no setting in between. How wide a loop may be is asked
//! anew for each ([`Parallel::width`]): the threads that no request has, shared out over the requests. A stream that helps goes
//! back to its own queue at the end of the loop that it is in, some hundred microseconds.
//!
//! This runs no requests, and threads that are alone have none of it.
//!
//! # Evidence
//!
//! The parts of a run that are worth forking are some tens of microseconds long, and so are the parts between them, while a thread that
//! sleeps takes fifty to wake here. So a thread that has helped looks for the next part for a while before it sleeps, as does who
//! forked for those who are still inside. `docs/decisions.md` has what that gained over a pool that works by stealing.

use std::any::Any;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use inferry_core::Parallel;
use inferry_core::crew::{Crew, Rest, Word};

use crate::sleep::Yields;

/// How long a thread looks for the next part, or for those who are still at the last.
const LONG: Duration = Duration::from_micros(100);
/// Looks before it gives the processor to whoever wants it: about as long as it takes another core to see what was written.
const SPINS: u32 = 200;
/// So many loops at a time: of requests side by side, and of bodies that fork themselves. One more is computed by its thread alone.
const LOOPS: usize = 16;

/// The threads that compute one request together. See the [module](self).
pub(crate) struct ForkJoin {
    crew: Crew<Bed, LOOPS>,
    /// Those that serve when they have nothing else to do.
    threads: usize,
    /// Other threads that run requests.
    guests: AtomicUsize,
}

impl ForkJoin {
    /// For so many threads, each of which serves unless it runs a request; no more compute at a time.
    pub(crate) fn new(threads: usize) -> ForkJoin {
        let bed = Bed { parked: Mutex::new(Vec::with_capacity(threads)), yields: Yields::default() };
        ForkJoin { crew: Crew::new(bed), threads, guests: AtomicUsize::new(0) }
    }

    /// Computes with whoever forks until `dismissed`; who says so to a thread that sleeps unparks it, or [rings](ForkJoin::ring).
    pub(crate) fn serve(&self, dismissed: &dyn Fn() -> bool) {
        self.crew.serve(dismissed);
    }

    /// Has all who serve look whether they are dismissed.
    pub(crate) fn ring(&self) {
        self.crew.ring(usize::MAX);
    }

    /// The calling thread, which is none of these, runs a request until the result is dropped.
    pub(crate) fn guest(&self) -> impl Drop {
        struct Guest<'a>(&'a AtomicUsize);
        impl Drop for Guest<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.guests.fetch_add(1, Ordering::Relaxed);
        Guest(&self.guests)
    }
}

impl Parallel for ForkJoin {
    fn width(&self) -> usize {
        // Counted by who does not serve: a stream that runs short requests writes nothing that others read.
        let helpers = self.crew.helpers();
        let busy = (self.threads.saturating_sub(helpers) + self.guests.load(Ordering::Relaxed)).max(1);
        1 + helpers.min(self.threads.saturating_sub(busy)) / busy
    }

    fn max_width(&self) -> usize {
        self.threads
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let panic = Mutex::new(None::<Box<dyn Any + Send>>);
        self.crew.for_each(count, &|index| {
            // A helper has nobody to unwind to: the first panic is kept for who forked.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(index))) {
                locked(&panic).get_or_insert(payload);
            }
        });
        if let Some(payload) = panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
    }
}

/// Where those who serve sleep, and who forked while it waits for them: each with the address of the word that it sleeps on.
struct Bed {
    parked: Mutex<Vec<(usize, Thread)>>,
    yields: Yields,
}

impl Rest for Bed {
    fn look(&self, done: &dyn Fn() -> bool, soon: bool) -> bool {
        if !soon {
            return done();
        }
        let spins = (0..SPINS).any(|_| {
            spin_loop();
            done()
        });
        // Where all cores are busy a spinning thread keeps away the one that it waits for.
        spins || self.yields.look(LONG, done)
    }

    fn sleep(&self, word: &Word, value: u32) {
        let (address, me) = (address(word), thread::current());
        let id = me.id();
        let mut parked = locked(&self.parked);
        // Who changes the word looks for sleepers with the lock taken after that: before this look, or when we stand there.
        if word.load(Ordering::SeqCst) != value {
            return;
        }
        parked.push((address, me));
        drop(parked);
        thread::park();
        // Unless it was a wake that took us out.
        locked(&self.parked).retain(|(_, thread)| thread.id() != id);
    }

    fn wake(&self, word: &Word, most: u32) {
        let address = address(word);
        for _ in 0..most {
            let mut parked = locked(&self.parked);
            // Who lay down last is the quickest to wake.
            let Some(last) = parked.iter().rposition(|(word, _)| *word == address) else { return };
            let (_, thread) = parked.remove(last);
            drop(parked);
            thread.unpark();
        }
    }
}

fn address(word: &Word) -> usize {
    std::ptr::from_ref(word).addr()
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    /// Calls `use_it` with so many threads that serve, of one more.
    fn with_helpers(helpers: usize, use_it: impl FnOnce(&ForkJoin) + Send) {
        let (fork_join, over) = (ForkJoin::new(helpers + 1), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|| fork_join.serve(&|| over.load(Ordering::Acquire)));
            }
            while fork_join.crew.helpers() < helpers {
                thread::yield_now();
            }
            let used = catch_unwind(AssertUnwindSafe(|| use_it(&fork_join)));
            over.store(true, Ordering::Release);
            fork_join.ring();
            used.unwrap();
        });
    }

    #[test]
    fn every_body_runs_once() {
        with_helpers(2, |fork_join| {
            for count in [0, 1, 2, 7, 100] {
                let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                fork_join.for_each(count, &|body| {
                    runs[body].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{count}");
            }
        });
    }

    #[test]
    fn two_bodies_run_at_the_same_time() {
        with_helpers(1, |fork_join| {
            // Returns only if both have arrived; the second time the helper sleeps.
            for asleep in [false, true] {
                while asleep && locked(&fork_join.crew.resting().parked).is_empty() {
                    thread::yield_now();
                }
                let barrier = Barrier::new(2);
                fork_join.for_each(2, &|_| {
                    barrier.wait();
                });
            }
        });
    }

    #[test]
    fn the_threads_that_no_request_has_are_shared_out() {
        with_helpers(3, |fork_join| {
            // One of four threads does not serve: it runs a request.
            assert_eq!((fork_join.max_width(), fork_join.width()), (4, 4));
            let one = fork_join.guest();
            assert_eq!(fork_join.width(), 2, "two threads are left for two requests");
            let (_two, _three, _four) = (fork_join.guest(), fork_join.guest(), fork_join.guest());
            assert_eq!(fork_join.width(), 1, "more requests than threads");
            drop(one);
        });
    }

    #[test]
    fn a_panic_in_a_body_is_raised_where_it_was_forked() {
        with_helpers(1, |fork_join| {
            for _ in 0..3 {
                let raised = catch_unwind(AssertUnwindSafe(|| {
                    fork_join.for_each(8, &|body| assert_ne!(body, 5));
                }));
                assert!(raised.is_err());
            }
            fork_join.for_each(2, &|_| {});
        });
    }

    #[test]
    fn a_thread_that_sleeps_can_be_dismissed_by_an_unpark() {
        let (fork_join, over) = (ForkJoin::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            let helper = scope.spawn(|| fork_join.serve(&|| over.load(Ordering::Acquire)));
            while locked(&fork_join.crew.resting().parked).is_empty() {
                thread::yield_now();
            }
            over.store(true, Ordering::Release);
            helper.thread().unpark();
        });
        assert!(locked(&fork_join.crew.resting().parked).is_empty());
    }
}
