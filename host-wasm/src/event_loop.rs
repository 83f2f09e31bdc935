//! An executor whose place is the queue of microtasks of its thread.
//!
//! A task that is submitted runs when whatever runs now has returned to the event loop: never inside of the call that brought
//! it. Callbacks of requests are delivered here, so that a user's function always begins on an empty stack and may call
//! everything. Tasks that tasks submit run in a later microtask: in between, those who waited for the first get their turn.

use std::cell::RefCell;

use inferry_core::request::Task;
use inferry_core::{Executor, Lend, Submitted};

use crate::js;

/// The event loop of this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventLoop;

thread_local! {
    static TASKS: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

impl Executor for EventLoop {
    fn name(&self) -> &str {
        "event loop"
    }

    fn submit(&self, task: Task) -> Submitted {
        let was_empty = TASKS.with_borrow_mut(|tasks| {
            tasks.push(task);
            tasks.len() == 1
        });
        if was_empty {
            js::microtask(run);
        }
        Submitted::Taken
    }
}

fn run() {
    for task in TASKS.take() {
        task.run(&Lend::SERIAL);
    }
}
