//! The bus stop: an executor that runs nothing itself, but keeps tasks until a batch is full or late.
//!
//! A bus asks it what to do next ([`Stop::next`]) and leaves its waker; whoever makes a batch full, or begins one, wakes a
//! bus. The lock is held for a few instructions, and never while a task runs or a waker is called.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::task::Waker;

use crate::batch::ticket::Ticket;
use crate::clock::Timer;
use crate::executor::{Executor, Submitted};
use crate::request::{Task, TaskId};
use crate::sync::Lock;

/// A passenger who is aboard: its ticket, and the number of its trip.
pub(super) type Passenger = (Arc<Ticket>, u64);

/// The stop. See the [module](self).
pub(super) struct Stop {
    size: usize,
    limit: u64,
    timer: Arc<dyn Timer>,
    line: Lock<Line>,
}

struct Line {
    /// The oldest first, each with the moment when it came.
    tasks: VecDeque<(Task, u64)>,
    /// Those whose rows are there already. Who infers on its caller's stack comes here without a task.
    aboard: VecDeque<(Passenger, u64)>,
    /// The wakers of the buses that wait, by number.
    buses: Vec<Option<Waker>>,
    /// The bus that lets passengers board. One at a time: with two, one would leave with passengers of the other, which then
    /// left half empty, and a batch that was full would be two that are not, one of which waits for the limit.
    boarding: Option<usize>,
    open: usize,
}

/// What a bus shall do.
pub(super) enum Next {
    /// Run the tasks that it was given, then take [`Stop::depart`] along.
    Go,
    /// Come back when woken, or at this moment.
    Wait(Option<u64>),
}

impl Stop {
    pub(super) fn new(size: usize, limit: u64, timer: Arc<dyn Timer>, buses: usize) -> Stop {
        // What a full batch needs is reserved: how many wait at once is a matter of timing, and a warm run allocates nothing.
        let room = size.min(1024);
        let line = Line {
            tasks: VecDeque::with_capacity(room),
            aboard: VecDeque::with_capacity(room),
            buses: (0..buses).map(|_| None).collect(),
            boarding: None,
            open: buses,
        };
        Stop { size, limit, timer, line: Lock::new(line) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn timer(&self) -> &dyn Timer {
        &*self.timer
    }

    /// What the bus of this number, which can be woken by `waker`, does next. Tasks are put into `tasks`.
    pub(super) fn next(&self, bus: usize, waker: &Waker, tasks: &mut Vec<Task>) -> Next {
        let (now, waker) = (self.timer.now(), waker.clone());
        let (next, unused) = self.line.with(|line| {
            if line.boarding.is_some() {
                // Who boards wakes the next when somebody is left.
                return (Next::Wait(None), line.buses[bus].replace(waker));
            }
            let due = line.oldest().map(|came| came.saturating_add(self.limit));
            if line.count() < self.size && due.is_none_or(|due| due > now) {
                return (Next::Wait(due), line.buses[bus].replace(waker));
            }
            let room = self.size.saturating_sub(line.aboard.len()).min(line.tasks.len());
            tasks.extend(line.tasks.drain(..room).map(|(task, _)| task));
            line.boarding = Some(bus);
            (Next::Go, line.buses[bus].take())
        });
        drop(unused);
        next
    }

    /// The passengers of the bus that has let them board, put into `seats`.
    pub(super) fn depart(&self, seats: &mut Vec<Passenger>) {
        let other = self.line.with(|line| {
            let count = self.size.min(line.aboard.len());
            seats.extend(line.aboard.drain(..count).map(|(passenger, _)| passenger));
            line.boarding = None;
            line.next_bus()
        });
        other.into_iter().for_each(Waker::wake);
    }

    /// A passenger has put its rows on its ticket. False when no bus comes any more.
    pub(super) fn board(&self, ticket: Arc<Ticket>, trip: u64) -> bool {
        let now = self.timer.now();
        let (bus, unused) = self.line.with(|line| {
            if line.open == 0 {
                return (None, Some(ticket));
            }
            line.aboard.push_back(((ticket, trip), now));
            (line.due_bus(self.size), None)
        });
        bus.into_iter().for_each(Waker::wake);
        unused.is_none()
    }

    /// A passenger goes no further: when it waits with its rows, it does not make a batch full any more.
    pub(super) fn leave(&self, ticket: &Arc<Ticket>) {
        let left = self.line.with(|line| {
            let place = line.aboard.iter().position(|((other, _), _)| Arc::ptr_eq(other, ticket))?;
            line.aboard.remove(place)
        });
        drop(left);
    }

    /// A bus goes out of service; after the last one nobody is let in any more. Gives those who wait with their rows.
    pub(super) fn close(&self, bus: usize) -> Vec<Passenger> {
        let (waker, next, tasks, aboard) = self.line.with(|line| {
            let waker = line.buses[bus].take();
            line.open -= 1;
            // What it was to see to is left to the others.
            line.boarding = line.boarding.filter(|boarding| *boarding != bus);
            match line.open {
                0 => (waker, None, mem::take(&mut line.tasks), mem::take(&mut line.aboard)),
                _ => (waker, line.next_bus(), VecDeque::new(), VecDeque::new()),
            }
        });
        next.into_iter().for_each(Waker::wake);
        // Dropped tasks abandon their runs.
        drop((waker, tasks));
        aboard.into_iter().map(|(passenger, _)| passenger).collect()
    }
}

impl Line {
    /// When the one came who has waited longest.
    fn oldest(&self) -> Option<u64> {
        let task = self.tasks.front().map(|(_, came)| *came);
        let passenger = self.aboard.front().map(|(_, came)| *came);
        [task, passenger].into_iter().flatten().min()
    }

    fn count(&self) -> usize {
        self.tasks.len() + self.aboard.len()
    }

    /// A bus to wake for those who came while nobody could see to them.
    fn next_bus(&mut self) -> Option<Waker> {
        if self.count() > 0 { self.buses.iter_mut().find_map(Option::take) } else { None }
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
        let (submitted, bus) = self.line.with(|line| {
            if line.open == 0 {
                return (Submitted::Refused(task), None);
            }
            line.tasks.push_back((task, now));
            (Submitted::Taken, line.due_bus(self.size))
        });
        bus.into_iter().for_each(Waker::wake);
        submitted
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        self.line.with(|line| {
            let position = line.tasks.iter().position(|(task, _)| task.id() == id)?;
            line.tasks.remove(position).map(|(task, _)| task)
        })
    }
}
