//! Fork-join over threads that help: a [`Parallel`] whose helpers stay awake while there is a run.
//!
//! ```text
//!  a thread that runs a request            helpers
//!  for_each(count, body)
//!    job.open ── bell ───────────────────▶ look at the jobs, enter an open one
//!    body(next++) until none is left       body(next++) until none is left
//!    job.close, wait until all have left ◀── leave
//! ```
//!
//! A *job* is a place that a thread takes for one loop. Its word counts the helpers inside and says whether more may enter; both
//! are one atomic, so after the owner has closed it and read a count of zero nobody can look at the loop's body any more. The
//! *bell* is a word that changes whenever a job opens: a helper that has found nothing looks at it for a moment, and then
//! sleeps until it changes. An owner never waits for a helper that has not come: it does what is left itself. Nobody holds a
//! lock, nothing is allocated, and only an owner whose loop is still being computed waits for others.
//!
//! How a thread looks for a moment, sleeps and is woken is the host's: [`Rest`]. The order of the words below is a loom model
//! (`tests/loom/crew.rs`).
//!
//! What it does *not* do: run requests, or contain panics. A host where bodies may panic catches them in the body.
#![allow(unsafe_code)]

use crate::parallel::{Parallel, Serial};
use crate::sync::{AtomicCount, Ordering, UnsafeCell, fence};

/// A word that threads sleep on.
pub use crate::sync::AtomicHalf as Word;

/// How threads of a host rest.
pub trait Rest: Sync {
    /// Looks whether `done`, again and again, for about as long as it takes to wake a thread when that is expected `soon`, and
    /// hardly at all when not; true when it came about.
    fn look(&self, done: &dyn Fn() -> bool, soon: bool) -> bool;

    /// Sleeps until woken, unless `word` is not `value` any more. May return without cause.
    fn sleep(&self, word: &Word, value: u32);

    /// Wakes at least `most` of those who sleep on `word`, or all.
    fn wake(&self, word: &Word, most: u32);
}

/// The bit of a job's word that says that helpers may enter.
const OPEN: u32 = 1 << 31;
/// The bit that says that the owner sleeps until the last helper has left.
const AWAITED: u32 = 1 << 30;

/// Helpers, and the loops that they are called to; at most `JOBS` at a time, one more is computed by its thread alone.
pub struct Crew<R, const JOBS: usize> {
    rest: R,
    jobs: [Job; JOBS],
    /// Changes whenever a job opens.
    bell: Word,
    helpers: Word,
    /// Helpers that look for a job: they come without being woken.
    looking: Word,
    /// Helpers that sleep, or are about to.
    asleep: Word,
}

/// A place for one loop.
struct Job {
    /// A thread has it.
    taken: Word,
    /// [`OPEN`], [`AWAITED`] and the number of helpers inside.
    inside: Word,
    next: AtomicCount,
    count: AtomicCount,
    body: UnsafeCell<Option<Body>>,
}

/// A loop's body without its lifetime.
#[derive(Clone, Copy)]
struct Body(*const (dyn Fn(usize) + Sync));

// SAFETY: `body` is written by the owner while the job is closed and nobody is inside, and read by helpers that have
// entered; the acquire of an entry sees the release of the opening. All else is atomic.
unsafe impl Sync for Job {}
// SAFETY: as above; between loops a job holds no body that anybody reads.
unsafe impl Send for Job {}

impl<R: Rest, const JOBS: usize> Crew<R, JOBS> {
    /// A crew without helpers.
    #[cfg(not(loom))]
    pub const fn new(rest: R) -> Self {
        let jobs = [const { Job::new() }; JOBS];
        let [bell, helpers, looking, asleep] = [const { Word::new(0) }; 4];
        Crew { rest, jobs, bell, helpers, looking, asleep }
    }

    /// A crew without helpers.
    #[cfg(loom)]
    pub fn new(rest: R) -> Self {
        let jobs = core::array::from_fn(|_| Job::new());
        let [bell, helpers, looking, asleep] = core::array::from_fn(|_| Word::new(0));
        Crew { rest, jobs, bell, helpers, looking, asleep }
    }

    /// Computes bodies on this thread until `dismissed`, which is asked again and again, and after whatever ends a sleep.
    pub fn serve(&self, dismissed: &dyn Fn() -> bool) {
        self.helpers.fetch_add(1, Ordering::Relaxed);
        let mut before = None;
        while !dismissed() {
            // Acquire: a job that this ring was for is open.
            let heard = self.bell.load(Ordering::Acquire);
            let helped = self.jobs.iter().filter(|job| job.help(&self.rest)).count() > 0;
            // Who forks forks again, also when the job was over before we came.
            let soon = helped || before.is_some_and(|before| before != heard);
            self.rest(heard, soon, dismissed);
            before = Some(heard);
        }
        self.helpers.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many threads serve.
    pub fn helpers(&self) -> usize {
        self.helpers.load(Ordering::Relaxed) as usize
    }

    /// How threads of this crew rest.
    pub fn resting(&self) -> &R {
        &self.rest
    }

    /// Has so many helpers look up, or all there are: at a new job, or at what would dismiss them. Those that look already are not
    /// woken but counted.
    pub fn ring(&self, most: usize) {
        self.bell.fetch_add(1, Ordering::Release);
        // See `rest`.
        fence(Ordering::SeqCst);
        let missing = most.saturating_sub(self.looking.load(Ordering::Relaxed) as usize);
        if missing > 0 && self.asleep.load(Ordering::Relaxed) > 0 {
            self.rest.wake(&self.bell, u32::try_from(missing).unwrap_or(u32::MAX));
        }
    }

    /// Until the bell is not what was heard, until dismissed, or without cause.
    fn rest(&self, heard: u32, soon: bool, dismissed: &dyn Fn() -> bool) {
        let rang = || self.bell.load(Ordering::Relaxed) != heard;
        self.looking.fetch_add(1, Ordering::Relaxed);
        let done = self.rest.look(&|| rang() || dismissed(), soon);
        if done {
            self.looking.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        // The owner rings and then counts who looks and who sleeps; we say that we sleep and look no more, and then look at the
        // bell once more. Of the two fences one is first, so one of the two sees the other.
        self.asleep.fetch_add(1, Ordering::Relaxed);
        self.looking.fetch_sub(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !rang() && !dismissed() {
            self.rest.sleep(&self.bell, heard);
        }
        self.asleep.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<R: Rest, const JOBS: usize> Parallel for Crew<R, JOBS> {
    fn width(&self) -> usize {
        1 + self.helpers()
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let free = |job: &&Job| job.taken.swap(1, Ordering::Acquire) == 0;
        let Some(job) = (count > 1).then(|| self.jobs.iter().find(free)).flatten() else {
            return Serial.for_each(count, body);
        };
        let closing = Closing { job, rest: &self.rest };
        job.open(count, body);
        self.ring(count - 1);
        job.work(body);
        drop(closing);
    }
}

/// Ends a loop, also when its body panics: what it borrows must outlive whoever is inside.
struct Closing<'a> {
    job: &'a Job,
    rest: &'a dyn Rest,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.job.close(self.rest);
        self.job.taken.store(0, Ordering::Release);
    }
}

/// A helper inside a job leaves it, also when the body panics.
struct Leaving<'a> {
    job: &'a Job,
    rest: &'a dyn Rest,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // After this the job is not ours to look at; its word may be opened for another loop, and then a wake for nothing is
        // harmless.
        let inside = self.job.inside.fetch_sub(1, Ordering::Release);
        if inside == AWAITED | 1 {
            self.rest.wake(&self.job.inside, 1);
        }
    }
}

impl Job {
    #[cfg(not(loom))]
    const fn new() -> Job {
        Job {
            taken: Word::new(0),
            inside: Word::new(0),
            next: AtomicCount::new(0),
            count: AtomicCount::new(0),
            body: UnsafeCell::new(None),
        }
    }

    #[cfg(loom)]
    fn new() -> Job {
        Job {
            taken: Word::new(0),
            inside: Word::new(0),
            next: AtomicCount::new(0),
            count: AtomicCount::new(0),
            body: UnsafeCell::new(None),
        }
    }

    fn open(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes. `close` returns when nobody is inside and nobody can enter, and the caller's
        // borrow lasts longer than that.
        let body: &'static (dyn Fn(usize) + Sync) = unsafe { core::mem::transmute(body) };
        // SAFETY: the job is ours (`taken`), closed, and empty: no helper reads it.
        self.body.with_mut(|place| unsafe { *place = Some(Body(body)) });
        self.next.store(0, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        self.inside.store(OPEN, Ordering::Release);
    }

    /// Closes the door and waits until all have left.
    fn close(&self, rest: &dyn Rest) {
        let inside = self.inside.fetch_and(!OPEN, Ordering::AcqRel) & !OPEN;
        // Acquire: what the helpers wrote is seen.
        let left = || self.inside.load(Ordering::Acquire) & !AWAITED == 0;
        if inside == 0 || rest.look(&left, true) {
            return;
        }
        self.inside.fetch_or(AWAITED, Ordering::Relaxed);
        loop {
            let inside = self.inside.load(Ordering::Acquire);
            if inside & !AWAITED == 0 {
                return;
            }
            rest.sleep(&self.inside, inside);
        }
    }

    /// A helper comes by; true when it was let in.
    fn help(&self, rest: &dyn Rest) -> bool {
        let enter = |inside: u32| (inside & OPEN != 0).then(|| inside + 1);
        if self.inside.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_err() {
            return false;
        }
        let leaving = Leaving { job: self, rest };
        // SAFETY: written before the job was opened, and not written again while we are counted inside.
        if let Some(Body(body)) = self.body.with(|place| unsafe { *place }) {
            // SAFETY: the owner of the loop stays in `for_each`, which borrows the body, until we have left.
            self.work(unsafe { &*body });
        }
        drop(leaving);
        true
    }

    /// Calls the body with numbers that nobody else has, until there are none left.
    fn work(&self, body: &(dyn Fn(usize) + Sync)) {
        let count = self.count.load(Ordering::Relaxed);
        // Cannot wrap: each thread inside counts past the end once.
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            body(index);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicBool;
    use std::sync::{Condvar, Mutex};
    use std::thread;
    use std::vec::Vec;

    /// Sleeps soon, so that all ways are taken.
    #[derive(Default)]
    struct Restless(Mutex<()>, Condvar);

    impl Rest for Restless {
        fn look(&self, done: &dyn Fn() -> bool, soon: bool) -> bool {
            (0..if soon { 10 } else { 1 }).any(|_| done())
        }

        fn sleep(&self, word: &Word, value: u32) {
            let guard = self.0.lock().unwrap();
            if word.load(Ordering::SeqCst) == value {
                drop(self.1.wait(guard).unwrap());
            }
        }

        fn wake(&self, _: &Word, _: u32) {
            drop(self.0.lock().unwrap());
            self.1.notify_all();
        }
    }

    type Small = Crew<Restless, 2>;

    /// Calls `use_it` with a crew of so many helpers.
    fn with_crew(helpers: usize, use_it: impl FnOnce(&Small) + Send) {
        let (crew, over) = (Small::new(Restless::default()), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|| crew.serve(&|| over.load(Ordering::Relaxed)));
            }
            while crew.helpers() < helpers {
                thread::yield_now();
            }
            let used = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| use_it(&crew)));
            over.store(true, Ordering::Relaxed);
            crew.ring(usize::MAX);
            used.unwrap();
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
    fn threads_fork_at_the_same_time_and_within_each_other() {
        with_crew(2, |crew| {
            let sum = AtomicCount::new(0);
            let fork = || {
                for _ in 0..200 {
                    crew.for_each(4, &|_| {
                        crew.for_each(3, &|index| {
                            sum.fetch_add(index, Ordering::Relaxed);
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
                let cells: Vec<AtomicCount> = (0..8).map(|_| AtomicCount::new(0)).collect();
                crew.for_each(8, &|index| cells[index].store(round, Ordering::Relaxed));
                assert!(cells.iter().all(|cell| cell.load(Ordering::Relaxed) == round));
            }
        });
    }

    #[test]
    fn more_loops_than_there_are_places_for_are_computed_alone() {
        let crew = Small::new(Restless::default());
        crew.jobs.iter().for_each(|job| job.taken.store(1, Ordering::Relaxed));
        let calls = Word::new(0);
        crew.for_each(5, &|_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_loop_that_panics_gives_its_place_back() {
        with_crew(1, |crew| {
            let owner = thread::current().id();
            for _ in 0..4 {
                let fell = AtomicBool::new(false);
                // A helper waits with its number until the owner has had one. Only its own panics are the owner's: a host that
                // cannot rule them out in helpers catches them there.
                let body = |_| match thread::current().id() == owner {
                    true => {
                        fell.store(true, Ordering::Relaxed);
                        panic!("as it should");
                    }
                    false => {
                        while !fell.load(Ordering::Relaxed) {
                            thread::yield_now();
                        }
                    }
                };
                let whole = std::panic::AssertUnwindSafe(|| crew.for_each(3, &body));
                assert!(std::panic::catch_unwind(whole).is_err());
            }
            assert!(crew.jobs.iter().all(|job| job.taken.load(Ordering::Relaxed) == 0));
        });
    }
}
