//! The bus stop: an executor that runs nothing itself, but keeps tasks until a batch is full or late.
//!
//! A bus asks it what to do next ([`Stop::next`]) and leaves its waker; whoever makes a batch full, or begins one, wakes a
//! bus. The lock is held for a few instructions, and never while a task runs or a waker is called.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use inferry_core::request::TaskId;
use inferry_core::{Executor, Submitted, Task};

use super::Timer;
use super::ticket::Ticket;

/// A passenger who is aboard: its ticket, and the number of its trip.
pub(super) type Passenger = (Arc<Ticket>, u64);

/// The stop. See the [module](self).
pub(super) struct Stop {
    size: usize,
    limit: u64,
    timer: Arc<dyn Timer>,
    line: Mutex<Line>,
}

struct Line {
    /// The oldest first, each with the moment when it came.
    tasks: VecDeque<(Task, u64)>,
    /// Those whose rows are there already. Who infers on its caller's stack comes here without a task.
    aboard: VecDeque<(Passenger, u64)>,
    /// The wakers of the buses that wait, by number.
    buses: Vec<Option<Waker>>,
    open: usize,
}

/// What a bus shall do.
pub(super) enum Next {
    /// Run these tasks, then take [`Stop::depart`] along.
    Go(Vec<Task>),
    /// Come back when woken, or at this moment.
    Wait(Option<u64>),
}

impl Stop {
    pub(super) fn new(size: usize, limit: u64, timer: Arc<dyn Timer>, buses: usize) -> Stop {
        let line = Line {
            tasks: VecDeque::new(),
            aboard: VecDeque::new(),
            buses: (0..buses).map(|_| None).collect(),
            open: buses,
        };
        Stop { size, limit, timer, line: Mutex::new(line) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn timer(&self) -> &dyn Timer {
        &*self.timer
    }

    /// What the bus of this number, which can be woken by `waker`, does next.
    pub(super) fn next(&self, bus: usize, waker: &Waker) -> Next {
        let now = self.timer.now();
        let mut line = self.locked();
        let oldest = [line.tasks.front().map(|(_, came)| *came), line.aboard.front().map(|(_, came)| *came)];
        let due = oldest.into_iter().flatten().min().map(|came| came.saturating_add(self.limit));
        if line.count() >= self.size || due.is_some_and(|due| due <= now) {
            let room = self.size.saturating_sub(line.aboard.len()).min(line.tasks.len());
            let tasks = line.tasks.drain(..room).map(|(task, _)| task).collect();
            let old = line.buses[bus].take();
            drop(line);
            drop(old);
            return Next::Go(tasks);
        }
        let old = line.buses[bus].replace(waker.clone());
        drop(line);
        drop(old);
        Next::Wait(due)
    }

    /// The passengers of the bus that has let them board.
    pub(super) fn depart(&self) -> Vec<Passenger> {
        let mut line = self.locked();
        let count = self.size.min(line.aboard.len());
        let aboard = line.aboard.drain(..count).map(|(passenger, _)| passenger).collect();
        // Who came meanwhile woke nobody: another bus, if one waits, sees to their limit.
        let other = if line.count() > 0 { line.buses.iter_mut().find_map(Option::take) } else { None };
        drop(line);
        other.into_iter().for_each(Waker::wake);
        aboard
    }

    /// A passenger has put its rows on its ticket.
    pub(super) fn board(&self, ticket: Arc<Ticket>, trip: u64) {
        let now = self.timer.now();
        let mut line = self.locked();
        line.aboard.push_back(((ticket, trip), now));
        let bus = line.due_bus(self.size);
        drop(line);
        bus.into_iter().for_each(Waker::wake);
    }

    /// A bus goes out of service; after the last one nobody is let in any more.
    pub(super) fn close(&self, bus: usize) {
        let mut line = self.locked();
        let waker = line.buses[bus].take();
        line.open -= 1;
        // Dropped tasks abandon their runs.
        let left = match line.open {
            0 => (std::mem::take(&mut line.tasks), std::mem::take(&mut line.aboard)),
            _ => Default::default(),
        };
        drop(line);
        drop((waker, left));
    }

    fn locked(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn count(&self) -> usize {
        self.tasks.len() + self.aboard.len()
    }

    /// A bus to wake after somebody has come: the first begins the time limit, a full batch goes at once.
    fn due_bus(&mut self, size: usize) -> Option<Waker> {
        let count = self.count();
        if count != 1 && count < size {
            return None;
        }
        self.buses.iter_mut().find_map(Option::take)
    }
}

impl Executor for Stop {
    fn name(&self) -> &str {
        "batch"
    }

    fn submit(&self, task: Task) -> Submitted {
        let now = self.timer.now();
        let mut line = self.locked();
        if line.open == 0 {
            return Submitted::Refused(task);
        }
        line.tasks.push_back((task, now));
        let bus = line.due_bus(self.size);
        drop(line);
        bus.into_iter().for_each(Waker::wake);
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        let mut line = self.locked();
        let position = line.tasks.iter().position(|(task, _)| task.id() == id)?;
        line.tasks.remove(position).map(|(task, _)| task)
    }
}
