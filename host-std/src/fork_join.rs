//! Fork-join over the threads of a stream.
//!
//! A stream that is wider than one thread has a [`Crew`] of helpers, threads of their own that sleep unless a stage forks; the
//! stream's thread computes with them. This runs no requests, and a stream of one thread has none of it.
//!
//! # Evidence
//!
//! The parts of a run that are worth forking are some tens of microseconds long, and so are the parts between them, while a thread that
//! sleeps takes fifty to wake here. So a helper looks for the next part for a while before it sleeps, as does the stream for the
//! helpers that are still inside. `docs/decisions.md` has what that gained over a pool that works by stealing.

use std::any::Any;
use std::hint::spin_loop;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use inferry_core::Parallel;
use inferry_core::crew::{Crew, Rest, Word};

use crate::sleep::Yields;

/// How long a thread looks for the next part, or for those who are still at the last.
const LONG: Duration = Duration::from_micros(100);
/// Looks before it gives the processor to whoever wants it: about as long as it takes another core to see what was written.
const SPINS: u32 = 200;

/// The threads of one stream. See the [module](self).
pub(crate) struct ForkJoin {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Bodies may fork themselves; more than a few levels of that are computed by their thread alone.
    crew: Crew<Bed, 4>,
    dismissed: AtomicBool,
}

impl ForkJoin {
    /// Helpers for the calling thread: `width` threads together with it.
    pub(crate) fn here(name: &str, width: usize) -> io::Result<ForkJoin> {
        let shared = Arc::new(Shared { crew: Crew::new(Bed::default()), dismissed: AtomicBool::new(false) });
        let mut made = ForkJoin { shared, helpers: Vec::new() };
        for helper in 1..width {
            let shared = made.shared.clone();
            let thread = thread::Builder::new().name(format!("{name}.{helper}"));
            let serve = move || shared.crew.serve(&|| shared.dismissed.load(Ordering::Acquire));
            made.helpers.push(thread.spawn(serve)?);
        }
        Ok(made)
    }
}

impl Parallel for ForkJoin {
    fn width(&self) -> usize {
        1 + self.helpers.len()
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let panic = Mutex::new(None::<Box<dyn Any + Send>>);
        self.shared.crew.for_each(count, &|index| {
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

impl Drop for ForkJoin {
    fn drop(&mut self) {
        self.shared.dismissed.store(true, Ordering::Release);
        self.shared.crew.ring(usize::MAX);
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}

/// Where helpers sleep, and a stream that waits for them.
#[derive(Default)]
struct Bed {
    lock: Mutex<()>,
    woken: Condvar,
    yields: Yields,
}

impl Rest for Bed {
    fn look(&self, done: &dyn Fn() -> bool) -> bool {
        let spins = (0..SPINS).any(|_| {
            spin_loop();
            done()
        });
        // Where all cores are busy a spinning thread keeps away the one that it waits for.
        spins || self.yields.look(LONG, done)
    }

    fn sleep(&self, word: &Word, value: u32) {
        let guard = locked(&self.lock);
        // Who changes the word wakes with the lock taken after that: it comes before this look, or after the wait has begun.
        if word.load(Ordering::SeqCst) == value {
            drop(self.woken.wait(guard));
        }
    }

    fn wake(&self, _: &Word, _: u32) {
        drop(locked(&self.lock));
        self.woken.notify_all();
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn every_body_runs_once() {
        let fork_join = ForkJoin::here("test", 3).unwrap();
        assert_eq!(fork_join.width(), 3);
        for count in [0, 1, 2, 7, 100] {
            let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            fork_join.for_each(count, &|body| {
                runs[body].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{count}");
        }
    }

    #[test]
    fn two_bodies_run_at_the_same_time() {
        // Returns only if both have arrived; the second time the helper may sleep.
        let fork_join = ForkJoin::here("test", 2).unwrap();
        for pause in [0, 20] {
            thread::sleep(std::time::Duration::from_millis(pause));
            let barrier = Barrier::new(2);
            fork_join.for_each(2, &|_| {
                barrier.wait();
            });
        }
    }

    #[test]
    fn a_panic_in_a_body_is_raised_where_it_was_forked() {
        let fork_join = ForkJoin::here("test", 2).unwrap();
        for _ in 0..3 {
            let raised = catch_unwind(AssertUnwindSafe(|| {
                fork_join.for_each(8, &|body| assert_ne!(body, 5));
            }));
            assert!(raised.is_err());
        }
        fork_join.for_each(2, &|_| {});
    }

    #[test]
    fn helpers_end_with_their_stream() {
        let fork_join = ForkJoin::here("test", 3).unwrap();
        let shared = Arc::downgrade(&fork_join.shared);
        drop(fork_join);
        assert!(shared.upgrade().is_none());
    }
}
