//! The executor of no threads: whoever brings a task runs it, and what comes meanwhile waits until it has ended.
//!
//! ```text
//!  start ─▶ task A runs ─ starts B (queued) ─ wakes C (queued) ─ ends ─▶ B runs ─▶ C runs ─▶ start returns
//! ```
//!
//! So the stack does not grow with the length of a chain, runs that are started on one thread begin in the order of their
//! starts, and a stage that starts another request is not overtaken by it in the middle, unless it waits for it: a wait first
//! runs what is queued. The queue belongs to the thread and
//! not to the executor: two trampolines in one thread take turns like one. Nothing here is shared between threads, so
//! there is no lock; a task can be withdrawn only by the thread in whose queue it stands.

use std::cell::RefCell;
use std::collections::VecDeque;

use inferry_core::executor::Lend;
use inferry_core::request::TaskId;
use inferry_core::{Executor, Submitted, Task};

/// The executor of no threads. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trampoline;

#[derive(Default)]
struct Local {
    /// A task is being run further up the stack.
    jumping: bool,
    /// The oldest first.
    tasks: VecDeque<Task>,
}

thread_local! {
    static LOCAL: RefCell<Local> = RefCell::default();
}

impl Executor for Trampoline {
    fn name(&self) -> &str {
        "inline"
    }

    /// Runs the task before it returns, unless one is being run by this thread already: this executor has no other place.
    fn submit(&self, task: Task) -> Submitted {
        let queued = LOCAL.try_with(|local| {
            let mut local = local.borrow_mut();
            if local.jumping {
                local.tasks.push_back(task);
                return None;
            }
            local.jumping = true;
            Some(task)
        });
        match queued {
            Ok(None) => {}
            Ok(Some(task)) => run_until_empty(task),
            // The closure was dropped with the task in it, which has abandoned its run: this thread is being torn down.
            Err(_) => {}
        }
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        let taken = LOCAL.try_with(|local| {
            let tasks = &mut local.borrow_mut().tasks;
            let position = tasks.iter().position(|task| task.id() == id)?;
            tasks.remove(position)
        });
        taken.ok().flatten()
    }
}

/// Runs what waits in the calling thread's queue. For a thread that is about to block in the middle of a task: what it would
/// wait for may stand there, and nobody else will run it.
pub(crate) fn run_queued() {
    while let Some(task) = next() {
        task.run(&Lend::SERIAL);
    }
}

fn next() -> Option<Task> {
    LOCAL.try_with(|local| local.borrow_mut().tasks.pop_front()).ok().flatten()
}

fn run_until_empty(first: Task) {
    /// Ends the jumping, also when a destructor of somebody else's panics through it. What is still queued is abandoned
    /// then, so that nobody waits for it in vain.
    struct Jump;
    impl Drop for Jump {
        fn drop(&mut self) {
            let left = LOCAL.try_with(|local| {
                let mut local = local.borrow_mut();
                local.jumping = false;
                local.tasks.drain(..).collect::<Vec<_>>()
            });
            drop(left);
        }
    }
    let _jump = Jump;
    let mut due = Some(first);
    while let Some(task) = due {
        task.run(&Lend::SERIAL);
        due = next();
    }
}
