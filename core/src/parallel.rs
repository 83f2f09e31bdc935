//! Fork-join inside a stage.
//!
//! A kernel that has independent blocks of work hands them to [`Parallel::for_each`] and goes on when all are done. The
//! host decides what stands behind it: a stream's own threads, or the calling thread ([`Serial`]). This is not a way to
//! run requests: those enter an [`Executor`](crate::executor::Executor). [`Pieces`] lets the bodies share one long loop
//! evenly, however late some of them begin.

use core::ops::Range;

use crate::sync::{AtomicUsize, Ordering};

/// Runs a counted loop of independent bodies and returns when every one has returned.
pub trait Parallel: Sync {
    /// How many bodies can run at the same time; at least 1.
    fn width(&self) -> usize;

    /// Calls `body(0)`, …, `body(count - 1)`, each exactly once, in any order, on any of the threads behind `self`, and
    /// returns when all have returned. `body` must not wait for another body. A panic in a body is raised again here.
    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync));
}

/// No threads: the caller runs every body in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn width(&self) -> usize {
        1
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        for index in 0..count {
            body(index);
        }
    }
}

/// A range that several bodies work off together: each takes the next piece until none is left.
#[derive(Debug)]
pub struct Pieces {
    next: AtomicUsize,
    end: usize,
    size: usize,
}

impl Pieces {
    /// The range `all` in pieces of `size` (at least 1; the last may be smaller).
    pub fn new(all: Range<usize>, size: usize) -> Pieces {
        Pieces { next: AtomicUsize::new(all.start), end: all.end, size: size.max(1) }
    }

    /// The next piece, given to nobody else; `None` when all have been taken.
    pub fn take(&self) -> Option<Range<usize>> {
        // Relaxed: the counter only hands out numbers; what the bodies write is ordered by the join that follows. A
        // compare-and-swap, so that latecomers cannot count past the end and wrap.
        let step = |next: usize| (next < self.end).then(|| next.saturating_add(self.size).min(self.end));
        let start = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        Some(start..start.saturating_add(self.size).min(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn pieces_cover_the_range_once() {
        let pieces = Pieces::new(3..14, 4);
        let taken: Vec<_> = core::iter::from_fn(|| pieces.take()).collect();
        assert_eq!(taken, [3..7, 7..11, 11..14]);
        assert_eq!(pieces.take(), None);
        assert_eq!(Pieces::new(5..5, 1).take(), None);
    }

    #[test]
    fn pieces_taken_by_two_threads_are_disjoint() {
        let pieces = Pieces::new(0..10_000, 3);
        let take_all = || core::iter::from_fn(|| pieces.take()).flatten().collect::<Vec<_>>();
        let (mut a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(take_all);
            (take_all(), other.join().unwrap())
        });
        a.extend(b);
        a.sort_unstable();
        assert_eq!(a, (0..10_000).collect::<Vec<_>>());
    }
}
