//! How a thread of this crate sleeps, and how it is woken.
//!
//! A [`Sleeper`] belongs to one thread. Others [`wake`](Sleeper::wake) it, any number of times, before or while it sleeps: one
//! wake is remembered, so a wake that comes before the sleep is not lost. It knows nothing of queues or requests.
//!
//! Before it goes to sleep for real the thread [yields](Yields) for some microseconds: in a chain of short runs the next wake is some
//! hundred nanoseconds away, while putting a thread to sleep and waking it takes microseconds. Yielding, and not spinning: where
//! all cores are busy a spinning thread keeps away the one that it waits for. Measured 2026 on two virtual cores shared
//! with other work, for a round trip between two threads: parking at once 6 to 9 µs, 100 spins 13 to 19 µs, five yields
//! 3 to 5 µs. `benches/handoff.rs` measures again.
//!
//! A yield gives a whole time slice, milliseconds, to a stranger that wants to compute; a thread that sleeps and is woken goes before
//! it. So after a yield that took so long a thread does not yield for a while: beside two compilers a round trip between two
//! processors took 1 ms with eight yields each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread yields before it sleeps.
const SHORTLY: Duration = Duration::from_micros(4);

/// Looking again and again, while others may have the processor.
#[derive(Debug, Default)]
pub(crate) struct Yields {
    /// So many times more it does not yield: somebody else wants the processor.
    unwanted: AtomicU32,
}

impl Yields {
    /// A yield that takes so long went to a stranger: threads of a run give the processor back sooner.
    const STRANGER: Duration = Duration::from_micros(200);
    /// How often it does not yield after one of those.
    const AFTER: u32 = 100;

    /// Looks whether `done` for so long; true when it came about. It may take longer, when the processor is not given back.
    pub(crate) fn look(&self, long: Duration, done: &dyn Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        // Two threads that count down together count less: no harm.
        let unwanted = self.unwanted.load(Ordering::Relaxed);
        if unwanted > 0 {
            self.unwanted.store(unwanted - 1, Ordering::Relaxed);
            return false;
        }
        let start = Instant::now();
        let mut before = Duration::ZERO;
        loop {
            thread::yield_now();
            if done() {
                return true;
            }
            let now = start.elapsed();
            if now - before > Self::STRANGER {
                self.unwanted.store(Self::AFTER, Ordering::Relaxed);
                return false;
            }
            if now > long {
                return false;
            }
            before = now;
        }
    }
}

/// The sleep of one thread. See the [module](self).
pub(crate) struct Sleeper {
    woken: AtomicBool,
    yields: Yields,
    thread: Thread,
}

impl Sleeper {
    /// A sleeper for the calling thread.
    pub(crate) fn here() -> Sleeper {
        Sleeper { woken: AtomicBool::new(false), yields: Yields::default(), thread: thread::current() }
    }

    /// Ends the sleep under way, or the next one.
    pub(crate) fn wake(&self) {
        // Release: what was written before the wake is seen after the sleep.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Sleeps until woken, at most until `until`; true when it was woken. Only for the thread it belongs to.
    pub(crate) fn sleep(&self, until: Option<Instant>) -> bool {
        if self.doze() {
            return true;
        }
        // The thread's own token may be left over from a wake that was seen without parking, or be somebody else's: only
        // the flag counts.
        while !self.was_woken() {
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }

    /// Yields, but does not sleep; true when it was woken. Only for the thread it belongs to.
    pub(crate) fn doze(&self) -> bool {
        debug_assert_eq!(thread::current().id(), self.thread.id(), "a thread sleeps for itself");
        self.yields.look(SHORTLY, &|| self.was_woken())
    }

    /// True when there is a wake that [`sleep`](Sleeper::sleep) will take.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Takes a wake, if there was one.
    fn was_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        Sleeper::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Sleeper::wake(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wake_before_the_sleep_is_not_lost() {
        let sleeper = Sleeper::here();
        sleeper.wake();
        sleeper.wake();
        assert!(sleeper.sleep(None));
        assert!(!sleeper.sleep(Some(Instant::now())), "two wakes before one sleep are one");
    }

    #[test]
    fn a_sleep_ends_at_its_limit() {
        let sleeper = Sleeper::here();
        let start = Instant::now();
        assert!(!sleeper.sleep(Some(start + Duration::from_millis(5))));
        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn who_yields_looks_at_least_once_and_not_for_ever() {
        let yields = Yields::default();
        assert!(yields.look(Duration::ZERO, &|| true));
        assert!(!yields.look(Duration::ZERO, &|| false));
        yields.unwanted.store(1, Ordering::Relaxed);
        assert!(
            !yields.look(Duration::from_secs(3600), &|| false),
            "not while somebody else wants the processor"
        );
        assert_eq!(yields.unwanted.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn somebody_elses_unpark_does_not_end_a_sleep() {
        let sleeper = Sleeper::here();
        thread::current().unpark();
        assert!(!sleeper.sleep(Some(Instant::now() + Duration::from_millis(2))));
    }
}
