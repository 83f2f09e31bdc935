//! A simulated executor: a queue, and workers that the simulation lets take a step when their turn is drawn.
//!
//! A worker that is held stands for a thread that blocks within a stage: it does nothing until the task of that stage comes
//! back, and nobody else takes that task. Nothing here decides who goes next.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use inferry_core::request::TaskId;
use inferry_core::{Executor, Submitted, Task};

/// The queue, as the requests see it.
pub(super) struct Queue {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The oldest first.
    tasks: VecDeque<Task>,
    /// Tasks that were taken back; a worker that is held by one is free again.
    withdrawn: Vec<TaskId>,
}

/// A worker: what a thread is on a real machine.
pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    /// The stage that holds this worker.
    pub(super) held: Cell<Option<TaskId>>,
    /// Its step is on the stack of the simulation right now.
    pub(super) inside: Cell<bool>,
}

impl Queue {
    pub(super) fn new(name: &str) -> Arc<Queue> {
        Arc::new(Queue { name: name.into(), state: Mutex::default() })
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().expect("no panic while the queue is locked"))
    }
}

impl Executor for Queue {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&self, task: Task) -> Submitted {
        self.with(|state| state.tasks.push_back(task));
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        self.with(|state| {
            let place = state.tasks.iter().position(|task| task.id() == id)?;
            state.withdrawn.push(id);
            state.tasks.remove(place)
        })
    }
}

impl Worker {
    pub(super) fn new(queue: &Arc<Queue>) -> Worker {
        Worker { queue: queue.clone(), held: Cell::new(None), inside: Cell::new(false) }
    }

    /// Frees the worker when what held it was taken back.
    pub(super) fn refresh(&self) {
        if let Some(id) = self.held.get()
            && self.queue.with(|state| state.withdrawn.contains(&id))
        {
            self.held.set(None);
        }
    }

    /// True when there is a task for this worker; `others` are held by these.
    pub(super) fn can_step(&self, others: &[TaskId]) -> bool {
        !self.inside.get() && self.queue.with(|state| self.next(state, others).is_some())
    }

    /// Takes its next task.
    pub(super) fn take(&self, others: &[TaskId]) -> Option<Task> {
        self.queue.with(|state| self.next(state, others).and_then(|place| state.tasks.remove(place)))
    }

    fn next(&self, state: &State, others: &[TaskId]) -> Option<usize> {
        state.tasks.iter().position(|task| match self.held.get() {
            Some(held) => task.id() == held,
            None => !others.contains(&task.id()),
        })
    }
}
