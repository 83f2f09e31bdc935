//! What is over and has not been taken: in the order of the ends, or in that of the submits.
//!
//! A job has its place here from when it is accepted until its result is taken, and the places are counted: results that
//! nobody takes keep further jobs out instead of piling up. A pure structure, like the queue.

use alloc::collections::VecDeque;

/// What becomes of the result of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Results {
    /// It is dropped: whatever the handler did with it was all.
    #[default]
    Dropped,
    /// It is kept until it is taken; the first to end is the first to be taken.
    Unordered,
    /// It is kept until it is taken, in the order in which the jobs were submitted: one that is over waits for all that were
    /// submitted before it.
    Ordered,
}

/// The results.
pub(super) struct Board<T> {
    mode: Results,
    /// In order: a place for each job from `first` on.
    places: VecDeque<Option<T>>,
    first: u64,
    /// Jobs that were accepted and whose results have not been taken.
    open: usize,
    bound: usize,
}

impl<T> Board<T> {
    /// A board with so many places, and memory for so many of them from the beginning.
    pub(super) fn new(mode: Results, bound: usize, room: usize) -> Board<T> {
        let room = if mode == Results::Dropped { 0 } else { room };
        Board { mode, places: VecDeque::with_capacity(room), first: 0, open: 0, bound }
    }

    /// Whether there is a place for another job.
    pub(super) fn has_room(&self) -> bool {
        self.open < self.bound
    }

    /// A job was accepted: they are numbered from 0.
    pub(super) fn expect(&mut self, job: u64) {
        if self.mode != Results::Dropped {
            self.open += 1;
        }
        if self.mode == Results::Ordered {
            debug_assert_eq!(job, self.first + self.places.len() as u64);
            self.places.push_back(None);
        }
    }

    /// A job is over; gives back the result that nobody will take.
    pub(super) fn put(&mut self, job: u64, result: T) -> Option<T> {
        match self.mode {
            Results::Dropped => return Some(result),
            Results::Unordered => self.places.push_back(Some(result)),
            Results::Ordered => self.places[(job - self.first) as usize] = Some(result),
        }
        None
    }

    /// The next result, if it is there.
    pub(super) fn take(&mut self) -> Option<T> {
        self.places.front()?.as_ref()?;
        self.first += 1;
        self.open -= 1;
        self.places.pop_front().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_as_they_were_asked_for() {
        for (mode, expected) in [
            (Results::Dropped, [None, None, None]),
            (Results::Unordered, [Some(2), Some(0), Some(1)]),
            (Results::Ordered, [Some(0), Some(1), Some(2)]),
        ] {
            let mut board = Board::new(mode, 3, 2);
            (0..3).for_each(|job| board.expect(job));
            let left = board.put(2, 2);
            assert_eq!(left.is_some(), mode == Results::Dropped);
            assert_eq!(board.take().is_some(), mode == Results::Unordered);
            board.put(0, 0);
            board.put(1, 1);
            let skip = usize::from(mode == Results::Unordered);
            for result in &expected[skip..] {
                assert_eq!(board.take(), *result, "{mode:?}");
            }
            assert_eq!(board.take(), None);
        }
    }

    #[test]
    fn a_job_has_its_place_until_its_result_is_taken() {
        for mode in [Results::Unordered, Results::Ordered] {
            let mut board = Board::new(mode, 2, 2);
            board.expect(0);
            assert!(board.has_room());
            board.expect(1);
            assert!(!board.has_room(), "neither is over");
            board.put(0, 0);
            board.put(1, 1);
            assert!(!board.has_room(), "both are over, and neither is taken");
            assert_eq!(board.take(), Some(0));
            assert!(board.has_room());
        }
        let mut board: Board<()> = Board::new(Results::Dropped, 1, 1);
        (0..9).for_each(|job| board.expect(job));
        assert!(board.has_room(), "what is dropped takes no place");
    }
}
