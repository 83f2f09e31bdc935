//! The crew of this memory: agents that compute tiles for others.
//!
//! All agents that serve stand behind one [`Crew`] of the core and help whoever forks. They look for work in a loop, and then sleep
//! in the kernel: `Atomics.wait` in an agent's JavaScript. In flavours without threads there are none, and [`lend`] lends the
//! calling thread.

#[cfg(any(inferry_threads, test))]
use inferry_core::crew::{Crew, Rest, Word};
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

/// How many agents can fork at the same time; one more computes alone.
#[cfg(inferry_threads)]
const JOBS: usize = 32;

/// How often a word is looked at before waiting in the kernel. Waking takes tens of microseconds, and parts of a run that nobody
/// can help with often take as long.
#[cfg(any(inferry_threads, test))]
const LOOKS: u32 = 100_000;

/// All helpers of this memory.
#[cfg(inferry_threads)]
static CREW: Crew<Kernel, JOBS> = Crew::new(Kernel);

/// Serves [`CREW`] on this agent, for ever.
#[cfg(inferry_threads)]
pub(crate) fn serve() -> ! {
    CREW.serve(&|| false);
    unreachable!("a helper is never dismissed")
}

/// Sleeps by `Atomics.wait`.
#[cfg(any(inferry_threads, test))]
struct Kernel;

#[cfg(any(inferry_threads, test))]
impl Rest for Kernel {
    fn look(&self, done: &dyn Fn() -> bool, _: bool) -> bool {
        (0..LOOKS).any(|_| {
            core::hint::spin_loop();
            done()
        })
    }

    fn sleep(&self, word: &Word, value: u32) {
        crate::host::wait(word, value);
    }

    fn wake(&self, word: &Word, most: u32) {
        crate::host::wake(word, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::thread;

    #[test]
    fn a_helper_that_sleeps_comes_to_a_loop() {
        let (crew, over) = (Crew::<Kernel, 1>::new(Kernel), Word::new(0));
        let load = |word: &Word| word.load(Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| crew.serve(&|| load(&over) == 1));
            while crew.helpers() == 0 {
                thread::yield_now();
            }
            let met = std::sync::Barrier::new(2);
            for _ in 0..3 {
                // Returns only if both have come.
                crew.for_each(2, &|_| {
                    met.wait();
                });
            }
            over.store(1, Ordering::SeqCst);
            crew.ring(1);
        });
    }
}
