//! Helpers that compute tiles for others: fork-join over agents of one memory.
//!
//! ```text
//!  an agent that runs a request            helpers
//!  for_each(count, body)
//!    job.open ── bell ───────────────────▶ look at the jobs, enter an open one
//!    body(next++) until none is left       body(next++) until none is left
//!    job.close, wait until all have left ◀── leave
//! ```
//!
//! A *job* is a place that an agent takes for one loop. Its word counts the helpers inside and says whether more may enter; both
//! are one atomic, so after the owner has closed it and read a count of zero nobody can look at the loop's body any more. The
//! *bell* is a word that changes whenever a job opens: a helper that has found nothing spins for a moment, and then waits in
//! the kernel until the bell changes. Nobody holds a lock, and only an owner whose loop is still being computed waits for
//! others.
//!
//! Helpers serve whoever forks. In flavours without threads there are none, and [`lend`] lends the calling thread.
#![allow(unsafe_code)]

use inferry_core::parallel::{Parallel, Serial};

/// Calls `run` with the threads to fork over.
#[cfg(not(inferry_threads))]
pub(crate) fn lend(run: impl FnOnce(&dyn Parallel)) {
    run(&Serial);
}

/// Calls `run` with the threads to fork over.
#[cfg(inferry_threads)]
pub(crate) fn lend(run: impl FnOnce(&dyn Parallel)) {
    if CREW.width() > 1 { run(&CREW) } else { run(&Serial) }
}

#[cfg(any(inferry_threads, test))]
pub(crate) use threads::*;

#[cfg(any(inferry_threads, test))]
mod threads {
    use core::cell::UnsafeCell;
    use core::hint::spin_loop;
    pub(crate) use core::sync::atomic::AtomicU32 as Word;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use inferry_core::parallel::{Parallel, Serial};

    use crate::host::{wait, wake};

    /// How many agents can fork at the same time; one more computes alone.
    const JOBS: usize = 32;

    /// How often a word is looked at before waiting in the kernel: some tens of microseconds, about what waking costs.
    const SPINS: u32 = 20_000;

    /// The bit of a job's word that says that helpers may enter; the others count those inside.
    const OPEN: u32 = 1 << 31;

    /// All helpers of this memory.
    #[cfg(inferry_threads)]
    pub(super) static CREW: Crew = Crew::new();

    /// Serves [`CREW`] on this agent, for ever.
    #[cfg(inferry_threads)]
    pub(crate) fn serve() -> ! {
        CREW.serve(&|| false);
        unreachable!("a helper is never dismissed")
    }

    /// Helpers, and the loops that they are called to.
    pub(crate) struct Crew {
        jobs: [Job; JOBS],
        /// Changes whenever a job opens.
        bell: Word,
        helpers: Word,
        /// Helpers that wait in the kernel, or are about to.
        asleep: Word,
    }

    /// A place for one loop.
    struct Job {
        /// An agent has it.
        taken: Word,
        /// [`OPEN`] and the number of helpers inside.
        inside: Word,
        next: AtomicUsize,
        count: AtomicUsize,
        body: UnsafeCell<Option<Body>>,
    }

    /// A loop's body without its lifetime.
    #[derive(Clone, Copy)]
    struct Body(*const (dyn Fn(usize) + Sync));

    // SAFETY: `body` is written by the owner while the job is closed and nobody is inside, and read by helpers that have
    // entered; the acquire of an entry sees the release of the opening. All else is atomic.
    unsafe impl Sync for Job {}

    impl Crew {
        pub(crate) const fn new() -> Crew {
            Crew {
                jobs: [const { Job::new() }; JOBS],
                bell: Word::new(0),
                helpers: Word::new(0),
                asleep: Word::new(0),
            }
        }

        /// Computes tiles on this agent until `dismissed`, which is asked when there is nothing to do.
        pub(crate) fn serve(&self, dismissed: &dyn Fn() -> bool) {
            self.helpers.fetch_add(1, Ordering::Relaxed);
            while !dismissed() {
                let heard = self.bell.load(Ordering::SeqCst);
                for job in &self.jobs {
                    job.help();
                }
                self.rest(heard);
            }
            self.helpers.fetch_sub(1, Ordering::Relaxed);
        }

        /// Until the bell is not what was heard, or without cause.
        fn rest(&self, heard: u32) {
            if spin_until(|| self.bell.load(Ordering::Relaxed) != heard) {
                return;
            }
            // The owner rings and then looks who sleeps; we say that we sleep and then look at the bell (`wait` compares).
            // In the one order of all four that there is, one of the two sees the other.
            self.asleep.fetch_add(1, Ordering::SeqCst);
            if self.bell.load(Ordering::SeqCst) == heard {
                wait(&self.bell, heard);
            }
            self.asleep.fetch_sub(1, Ordering::SeqCst);
        }

        fn ring(&self, most: usize) {
            self.bell.fetch_add(1, Ordering::SeqCst);
            if self.asleep.load(Ordering::SeqCst) > 0 {
                wake(&self.bell, most as u32);
            }
        }
    }

    impl Parallel for Crew {
        fn width(&self) -> usize {
            1 + self.helpers.load(Ordering::Relaxed) as usize
        }

        fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
            let job = self.jobs.iter().find(|job| job.taken.swap(1, Ordering::Acquire) == 0);
            let (Some(job), true) = (job, count > 1) else {
                if let Some(job) = job {
                    job.taken.store(0, Ordering::Release);
                }
                return Serial.for_each(count, body);
            };
            job.open(count, body);
            self.ring(count - 1);
            job.work(body);
            job.close();
            job.taken.store(0, Ordering::Release);
        }
    }

    impl Job {
        const fn new() -> Job {
            Job {
                taken: Word::new(0),
                inside: Word::new(0),
                next: AtomicUsize::new(0),
                count: AtomicUsize::new(0),
                body: UnsafeCell::new(None),
            }
        }

        fn open(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
            // SAFETY: only the lifetime changes. `close` returns when nobody is inside and nobody can enter, and the caller's
            // borrow lasts longer than that.
            let body: &'static (dyn Fn(usize) + Sync) = unsafe { core::mem::transmute(body) };
            // SAFETY: the job is ours (`taken`), closed, and empty: no helper reads it.
            unsafe { *self.body.get() = Some(Body(body)) };
            self.next.store(0, Ordering::Relaxed);
            self.count.store(count, Ordering::Relaxed);
            self.inside.store(OPEN, Ordering::Release);
        }

        /// Closes the door and waits until all have left.
        fn close(&self) {
            let mut inside = self.inside.fetch_and(!OPEN, Ordering::AcqRel) & !OPEN;
            while inside != 0 {
                if !spin_until(|| self.inside.load(Ordering::Acquire) == 0) {
                    inside = self.inside.load(Ordering::Acquire);
                    if inside != 0 {
                        wait(&self.inside, inside);
                    }
                }
                inside = self.inside.load(Ordering::Acquire);
            }
        }

        /// A helper comes by.
        fn help(&self) {
            let enter = |inside: u32| (inside & OPEN != 0).then(|| inside + 1);
            if self.inside.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_err() {
                return;
            }
            // SAFETY: written before the job was opened, and not written again while we are counted inside.
            if let Some(Body(body)) = unsafe { *self.body.get() } {
                // SAFETY: the owner of the loop stays in `for_each`, which borrows the body, until we have left.
                self.work(unsafe { &*body });
            }
            // The last one out of a closed job wakes the owner. After this the job is not ours to look at; its word may be
            // opened for another loop, and then a wake for nothing is harmless.
            if self.inside.fetch_sub(1, Ordering::Release) == 1 {
                wake(&self.inside, 1);
            }
        }

        /// Calls the body with numbers that nobody else has, until there are none left.
        fn work(&self, body: &(dyn Fn(usize) + Sync)) {
            let count = self.count.load(Ordering::Relaxed);
            // Cannot wrap: each agent inside counts past the end once.
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                body(index);
            }
        }
    }

    /// Looks again and again, but not for long; true when it came about.
    fn spin_until(done: impl Fn() -> bool) -> bool {
        for _ in 0..SPINS {
            if done() {
                return true;
            }
            spin_loop();
        }
        false
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use core::sync::atomic::{AtomicBool, AtomicU64};
        use std::thread;
        use std::vec::Vec;

        /// Calls `use_it` with a crew of so many helpers.
        fn with_crew(helpers: u32, use_it: impl FnOnce(&Crew) + Send) {
            let (crew, over) = (Crew::new(), AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(|| crew.serve(&|| over.load(Ordering::Relaxed)));
                }
                while crew.helpers.load(Ordering::Relaxed) < helpers {
                    thread::yield_now();
                }
                use_it(&crew);
                over.store(true, Ordering::Relaxed);
                crew.ring(usize::MAX);
            });
        }

        #[test]
        fn every_number_is_called_once() {
            with_crew(3, |crew| {
                assert_eq!(crew.width(), 4);
                for count in [0, 1, 2, 3, 4, 100] {
                    let calls: Vec<Word> = (0..count).map(|_| Word::new(0)).collect();
                    crew.for_each(count, &|index| {
                        calls[index].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1), "{count}");
                }
            });
        }

        #[test]
        fn agents_fork_at_the_same_time_and_within_each_other() {
            with_crew(2, |crew| {
                let sum = AtomicU64::new(0);
                let fork = || {
                    for _ in 0..200 {
                        crew.for_each(4, &|_| {
                            crew.for_each(3, &|index| {
                                sum.fetch_add(index as u64, Ordering::Relaxed);
                            });
                        });
                    }
                };
                thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(fork))));
                assert_eq!(sum.load(Ordering::Relaxed), 3 * 200 * 4 * 3);
            });
        }

        #[test]
        fn what_the_bodies_wrote_is_seen_after_the_loop() {
            with_crew(2, |crew| {
                for round in 1..500usize {
                    let cells: Vec<AtomicUsize> = (0..8).map(|_| AtomicUsize::new(0)).collect();
                    crew.for_each(8, &|index| cells[index].store(round, Ordering::Relaxed));
                    assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == round));
                }
            });
        }

        #[test]
        fn more_loops_than_there_are_places_for_are_computed_alone() {
            let crew = Crew::new();
            crew.jobs.iter().for_each(|job| job.taken.store(1, Ordering::Relaxed));
            let calls = Word::new(0);
            crew.for_each(5, &|_| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(calls.load(Ordering::Relaxed), 5);
        }
    }
}
