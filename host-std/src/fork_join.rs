//! Fork-join over the threads of a stream.
//!
//! A stream that is wider than one thread owns a rayon pool in which it is worker 0 itself; the others sleep unless a stage
//! forks. Bodies are spread by halving the count with `join`, which lives on the stacks of the workers: `scope`, `spawn` and
//! `broadcast` would take memory at every fork. This runs no requests, and a stream of one thread has none of it.

use std::io;
use std::thread;

use inferry_core::{Parallel, Pieces};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The threads of one stream. See the [module](self).
pub(crate) struct ForkJoin {
    pool: ThreadPool,
}

impl ForkJoin {
    /// Makes the calling thread worker 0 of a pool of `width` threads. A thread can do that once in its life: rayon keeps
    /// the record of such a worker for ever, so streams are kept as long as their runtime.
    pub(crate) fn here(name: &str, width: usize) -> io::Result<ForkJoin> {
        let name = name.to_owned();
        let pool = ThreadPoolBuilder::new()
            .num_threads(width)
            .use_current_thread()
            .thread_name(move |worker| format!("{name}.{worker}"))
            .build()
            .map_err(io::Error::other)?;
        // A worker takes memory when it starts and when it first looks for work, which may be long after this: see to it
        // that they all have, so that the first runs are not the ones to pay.
        pool.broadcast(|_| ());
        Ok(ForkJoin { pool })
    }
}

impl Parallel for ForkJoin {
    fn width(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        // On a worker of the pool, where it is called as a rule, `install` is a plain call.
        self.pool.install(|| halve(0, count, body));
    }
}

/// So many threads for a moment, the caller among them: for what is done while a model is loaded, when the threads of streams may
/// not have begun, or run other models.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Briefly(pub(crate) usize);

impl Parallel for Briefly {
    fn width(&self) -> usize {
        self.0.max(1)
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let bodies = Pieces::new(0..count, 1);
        let work = || {
            while let Some(piece) = bodies.take() {
                piece.for_each(body);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.width().min(count) {
                // Without another thread the caller does it all.
                let helper = thread::Builder::new().name("inferry-load".into());
                if helper.spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
    }
}

fn halve(first: usize, count: usize, body: &(dyn Fn(usize) + Sync)) {
    match count {
        0 => {}
        1 => body(first),
        _ => {
            let half = count / 2;
            rayon::join(|| halve(first, half, body), || halve(first + half, count - half, body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Runs `test` on a thread of its own, which becomes worker 0.
    fn on_a_stream(width: usize, test: impl FnOnce(ForkJoin) + Send + 'static) {
        let thread = thread::spawn(move || test(ForkJoin::here("test", width).unwrap()));
        thread.join().unwrap();
    }

    #[test]
    fn every_body_runs_once() {
        on_a_stream(3, |fork_join| {
            assert_eq!(fork_join.width(), 3);
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
    fn threads_for_a_moment_run_every_body_once() {
        for (width, count) in [(1, 3), (3, 0), (3, 1), (2, 100)] {
            let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            Briefly(width).for_each(count, &|body| {
                runs[body].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{width} {count}");
        }
        let barrier = Barrier::new(2);
        Briefly(2).for_each(2, &|_| {
            barrier.wait();
        });
    }

    #[test]
    fn two_bodies_run_at_the_same_time() {
        on_a_stream(2, |fork_join| {
            // Returns only if both have arrived.
            let barrier = Barrier::new(2);
            fork_join.for_each(2, &|_| {
                barrier.wait();
            });
        });
    }

    #[test]
    fn a_panic_in_a_body_is_raised_where_it_was_forked() {
        on_a_stream(2, |fork_join| {
            let raised = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                fork_join.for_each(8, &|body| assert_ne!(body, 5));
            }));
            assert!(raised.is_err());
            fork_join.for_each(2, &|_| {});
        });
    }
}
