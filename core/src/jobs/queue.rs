//! What waits for a slot: three lines, one a priority, and what happens when they are full.
//!
//! A pure structure: it starts nothing and wakes nobody.

use alloc::collections::VecDeque;

/// Which job goes first. Jobs of one priority go in the order in which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// After all others.
    Low,
    /// Between.
    #[default]
    Normal,
    /// Before all others.
    High,
}

/// What becomes of a job for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Who submits it waits until there is room.
    #[default]
    Block,
    /// It is refused.
    Reject,
    /// It takes the place of the oldest job of the lowest priority; it is refused when all that wait have a higher one.
    DropOldest,
    /// Only the newest job waits: it takes the place of all that wait and have no higher priority. For pictures of a camera,
    /// of which only the newest matters.
    Latest,
}

impl Overflow {
    /// True when a submit waits until there is room.
    pub(super) fn waits(self) -> bool {
        self == Overflow::Block
    }
}

/// The most waiting jobs of a priority for which room is taken beforehand.
pub(super) const QUEUED: usize = 64;

/// The lines.
pub(super) struct Queue<T> {
    /// By priority.
    lines: [VecDeque<T>; 3],
    bound: usize,
    overflow: Overflow,
}

/// Whether a job can come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// After the oldest of the lowest priority has left; then ask again.
    Displace,
    Full,
}

impl<T> Queue<T> {
    pub(super) fn new(bound: usize, overflow: Overflow) -> Queue<T> {
        let line = || VecDeque::with_capacity(bound.min(QUEUED));
        Queue { lines: [line(), line(), line()], bound, overflow }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(VecDeque::len).sum()
    }

    /// Whether a job of this priority can come in while `idle` slots wait for jobs.
    pub(super) fn room(&self, priority: Priority, idle: usize) -> Room {
        let len = self.len();
        if len < idle {
            return Room::Free;
        }
        let movable: usize = self.lines[..=priority as usize].iter().map(VecDeque::len).sum();
        let full = len >= self.bound + idle;
        match self.overflow {
            Overflow::Latest if movable > 0 => Room::Displace,
            Overflow::DropOldest if full && movable > 0 => Room::Displace,
            _ if full => Room::Full,
            _ => Room::Free,
        }
    }

    pub(super) fn push(&mut self, priority: Priority, job: T) {
        self.lines[priority as usize].push_back(job);
    }

    /// The job that goes next.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.lines.iter_mut().rev().find_map(VecDeque::pop_front)
    }

    /// Takes out what has to make room first.
    pub(super) fn displace(&mut self) -> Option<T> {
        self.lines.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Takes out the job that `is` finds.
    pub(super) fn remove(&mut self, is: impl Fn(&T) -> bool) -> Option<T> {
        self.lines.iter_mut().find_map(|line| {
            let place = line.iter().position(&is)?;
            line.remove(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::Priority::{High, Low, Normal};
    use super::*;

    fn filled(overflow: Overflow) -> Queue<u8> {
        let mut queue = Queue::new(3, overflow);
        for (priority, job) in [(Normal, 1), (Low, 2), (Normal, 3)] {
            assert_eq!(queue.room(High, 1), Room::Free);
            queue.push(priority, job);
        }
        queue
    }

    #[test]
    fn the_highest_priority_goes_first_and_equals_in_order() {
        let mut queue = filled(Overflow::Block);
        queue.push(High, 4);
        assert_eq!(queue.remove(|job| *job == 3), Some(3));
        assert_eq!(queue.remove(|job| *job == 3), None);
        assert_eq!(core::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [4, 1, 2]);
    }

    #[test]
    fn a_full_queue_does_what_it_was_told() {
        for overflow in [Overflow::Block, Overflow::Reject] {
            let queue = filled(overflow);
            assert_eq!((queue.room(High, 0), queue.room(High, 1)), (Room::Full, Room::Free));
        }
        let mut queue = filled(Overflow::DropOldest);
        assert_eq!((queue.room(Low, 0), queue.room(Low, 1)), (Room::Displace, Room::Free));
        assert_eq!(queue.displace(), Some(2), "the lowest first");
        assert_eq!(queue.displace(), Some(1), "then the oldest");
        let mut high = Queue::new(1, Overflow::DropOldest);
        high.push(High, 1);
        assert_eq!(high.room(Normal, 0), Room::Full, "nobody makes room for a lower one");
        assert_eq!(high.room(High, 0), Room::Displace);
    }

    #[test]
    fn of_the_latest_only_one_waits() {
        let mut queue = Queue::new(4, Overflow::Latest);
        assert_eq!(queue.room(Normal, 0), Room::Free);
        queue.push(Normal, 1);
        assert_eq!(queue.room(Normal, 2), Room::Free, "two slots are idle: it does not have to wait");
        assert_eq!(queue.room(Normal, 1), Room::Displace);
        queue.push(High, 2);
        assert_eq!(queue.room(Normal, 0), Room::Displace);
        assert_eq!(queue.room(High, 0), Room::Displace);
        assert_eq!(queue.room(Low, 0), Room::Free, "it waits behind them");
    }

    #[test]
    fn without_places_a_job_needs_an_idle_slot() {
        let queue: Queue<u8> = Queue::new(0, Overflow::Reject);
        assert_eq!((queue.room(High, 0), queue.room(Low, 1)), (Room::Full, Room::Free));
    }
}
