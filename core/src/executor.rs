//! Who runs the stages of a request.
//!
//! An [`Executor`] takes [`Task`]s and runs each one later, once, by [`Task::run`], lending it what the place has to offer
//! ([`Lend`]). A thread with a queue is one; an event loop is one; [`Inline`] is the executor that has no place of its
//! own and lets whoever brings a task run it. This module starts no threads and has no queue: see
//! [`Inbox`](crate::request::Inbox) for one without locks.

use crate::clock::Clock;
use crate::parallel::{Parallel, Serial};
use crate::request::{Task, TaskId};
use crate::turn::Slice;

/// Runs tasks.
pub trait Executor: Send + Sync {
    /// The name, for errors and traces.
    fn name(&self) -> &str {
        "executor"
    }

    /// Takes a task to run later, hands it back to be run by the caller, or refuses it.
    ///
    /// Never blocks and never runs the task: it may be called from any thread, from a waker, and from an interrupt if
    /// the executor is to serve interrupts. A task that is dropped instead of run ends its run as
    /// [`Abandoned`](crate::request::Verdict::Abandoned).
    fn submit(&self, task: Task) -> Submitted;

    /// Gives back a task that has been submitted and not begun, so that a cancelled run need not wait for its turn.
    /// `None` when it is not there (any more), or when the queue cannot remove: the run then ends when its turn comes.
    fn withdraw(&self, _task: TaskId) -> Option<Task> {
        None
    }

    /// True where a wait for a task of this executor could never end: on the threads that run its tasks. A host refuses to
    /// block there. An executor that is always driven by somebody else may leave this as it is.
    fn is_here(&self) -> bool {
        false
    }
}

/// What became of a task that was submitted.
#[derive(Debug)]
#[must_use = "a task that is handed back must be run"]
pub enum Submitted {
    /// It will run.
    Taken,
    /// The caller shall run it, now, on its own stack.
    RunHere(Task),
    /// It will not run: the executor is closed or full. A start gives an error, a later hop fails the run.
    Refused(Task),
}

/// The executor without a place of its own: whoever submits a task runs it.
///
/// A pipeline of nothing but `Inline` runs within `start`, callback included, on the caller's stack. A stage that was
/// parked goes on in the thread that wakes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Executor for Inline {
    fn name(&self) -> &str {
        "inline"
    }

    fn submit(&self, task: Task) -> Submitted {
        Submitted::RunHere(task)
    }
}

/// How long the stages that an executor runs may compute at a time.
#[derive(Clone, Copy)]
pub enum Budget<'a> {
    /// As long as they like: a thread of its own.
    Unlimited,
    /// So many nanoseconds a turn.
    Nanos {
        /// The host's clock.
        clock: &'a dyn Clock,
        /// The length of a turn.
        length: u64,
    },
    /// So many looks at the slice a turn; see [`Slice::Looks`].
    Looks(u32),
}

/// What an executor lends the tasks that it runs: threads to fork over, and a budget for each turn.
#[derive(Clone, Copy)]
pub struct Lend<'a> {
    /// The threads to fork over.
    pub parallel: &'a dyn Parallel,
    /// The budget of each turn.
    pub budget: Budget<'a>,
}

impl Lend<'static> {
    /// The calling thread, for as long as it takes.
    pub const SERIAL: Lend<'static> = Lend { parallel: &Serial, budget: Budget::Unlimited };
}

impl<'a> Lend<'a> {
    /// The slice of a turn that begins now.
    pub fn slice(&self) -> Slice<'a> {
        match self.budget {
            Budget::Unlimited => Slice::Unlimited,
            Budget::Nanos { clock, length } => {
                Slice::Until { clock, until: clock.now().saturating_add(length) }
            }
            Budget::Looks(limit) => Slice::Looks(limit),
        }
    }
}
