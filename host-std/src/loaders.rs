//! Threads that pack weights while a model is loaded.
//!
//! The threads of streams may not have begun then, or run other models; these are the process's, of rayon's global pool, which
//! begin when a model first has enough to pack and sleep in between. This computes nothing of a run.

use std::error::Error;
use std::sync::OnceLock;

use inferry_core::{Parallel, Serial};
use rayon::ThreadPoolBuilder;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

/// At most so many of the process's threads for loading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaders(pub(crate) usize);

impl Parallel for Loaders {
    fn width(&self) -> usize {
        self.0.max(1)
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        match there_are_threads() {
            true => (0..count).into_par_iter().with_max_len(1).for_each(body),
            false => Serial.for_each(count, body),
        }
    }
}

/// Whether the pool could be made, now or by somebody else before.
fn there_are_threads() -> bool {
    static MADE: OnceLock<bool> = OnceLock::new();
    *MADE.get_or_init(|| {
        match ThreadPoolBuilder::new().thread_name(|n| format!("inferry-load-{n}")).build_global() {
            Ok(()) => true,
            // One that is there already is no error of the operating system.
            Err(error) => error.source().is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_body_runs_once() {
        for (width, count) in [(1, 3), (3, 0), (3, 1), (2, 100)] {
            let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            Loaders(width).for_each(count, &|body| {
                runs[body].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "{width} {count}");
        }
    }
}
