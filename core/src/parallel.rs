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
    /// How many bodies can run at the same time at this moment; at least 1.
    fn width(&self) -> usize;

    /// The most that [`width`](Parallel::width) will ever be. Who keeps memory for each thread keeps it for so many, and then needs
    /// none later.
    fn max_width(&self) -> usize {
        self.width()
    }

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
///
/// Every other body takes from the end. So two threads that work off one such range after the other mostly have the same half of
/// each, and with it what they read and wrote before in their own cache.
#[derive(Debug)]
pub struct Pieces {
    /// Pieces taken from the front, and in the upper half of the word from the back.
    taken: AtomicUsize,
    all: Range<usize>,
    size: usize,
}

/// Bits of a count of pieces.
const HALF: u32 = usize::BITS / 2;

impl Pieces {
    /// The range `all` in pieces of `size` (at least 1; one of them may be smaller). They are larger where there would be
    /// too many to count: 2^16 where addresses have 32 bits.
    pub fn new(all: Range<usize>, size: usize) -> Pieces {
        let least = all.len().div_ceil((1 << HALF) - 1);
        Pieces { taken: AtomicUsize::new(0), all, size: size.max(least).max(1) }
    }

    /// The next piece for the body of this number, given to nobody else; `None` when all have been taken.
    pub fn take(&self, body: usize) -> Option<Range<usize>> {
        let count = self.all.len().div_ceil(self.size);
        let split = |taken: usize| (taken & ((1 << HALF) - 1), taken >> HALF);
        let back = body % 2 == 1;
        let step = |taken: usize| {
            let (first, last) = split(taken);
            (first + last < count).then(|| taken + if back { 1 << HALF } else { 1 })
        };
        // Relaxed: the counter only hands out numbers; what the bodies write is ordered by the join that follows.
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        let (first, last) = split(taken);
        let piece = if back { count - 1 - last } else { first };
        let start = self.all.start + piece * self.size;
        Some(start..start.saturating_add(self.size).min(self.all.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn pieces_cover_the_range_once() {
        let pieces = Pieces::new(3..14, 4);
        let taken: Vec<_> = core::iter::from_fn(|| pieces.take(0)).collect();
        assert_eq!(taken, [3..7, 7..11, 11..14]);
        assert_eq!(pieces.take(1), None);
        assert_eq!(Pieces::new(5..5, 1).take(0), None);
        let pieces = Pieces::new(3..14, 4);
        assert_eq!([1, 0, 3, 2].map(|body| pieces.take(body)), [Some(11..14), Some(3..7), Some(7..11), None]);
    }

    #[test]
    fn more_pieces_than_can_be_counted_are_larger() {
        let pieces = Pieces::new(0..usize::MAX, 1);
        let first = pieces.take(0).unwrap();
        assert!(first.len() > 1 && first.len() <= 1 << HALF | 1);
        assert_eq!(pieces.take(1).unwrap().end, usize::MAX);
    }

    #[test]
    fn pieces_taken_by_two_threads_are_disjoint() {
        let pieces = Pieces::new(0..10_000, 3);
        let take_all = |body| core::iter::from_fn(|| pieces.take(body)).flatten().collect::<Vec<_>>();
        let (mut a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| take_all(1));
            (take_all(0), other.join().unwrap())
        });
        a.extend(b);
        a.sort_unstable();
        assert_eq!(a, (0..10_000).collect::<Vec<_>>());
    }
}
