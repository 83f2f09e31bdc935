//! Threads that run tasks: the executors of this host.
//!
//! [`Streams`] are one or more threads, the *streams*, before one queue. Whoever is free takes the oldest task, so a task is
//! bound to a stream as late as possible, and tasks begin in the order in which they came:
//!
//! ```text
//!  start, a hop, a wake ─▶ queue ─▶ stream 0 ─┐ fork-join: a stream without a task
//!                            │  └─▶ stream 1 ─┘ computes with one that has some
//!                            └─ withdraw: a cancelled run that has not begun leaves the queue and ends at once
//! ```
//!
//! The same type computes (as many streams as shall run side by side), calls callbacks, and blocks for a device that can
//! only be waited for. The queue is behind a mutex that is held for a few instructions, and never while a task runs or
//! is dropped; `docs/decisions.md` says why it is not the lock-free inbox. A warm submit takes no memory.
//!
//! The threads start when they are first needed. A task keeps the streams that it stands before alive (by its pipeline), so
//! the queue is empty when they are dropped: then the threads end. This does not set priorities; who wants them changes
//! what [`Queue`] takes next.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use inferry_core::executor::{Budget, Lend};
use inferry_core::request::TaskId;
use inferry_core::{Executor, Parallel, Submitted, Task};

use crate::fork_join::ForkJoin;
use crate::here::{self, Id};
use crate::sleep::Sleeper;

/// One or more threads before one queue. See the [module](self).
pub(crate) struct Streams {
    id: Id,
    name: String,
    count: usize,
    /// Of the streams, and of the helpers that only compute with them.
    all_threads: usize,
    shared: Arc<Shared>,
    threads: OnceLock<Result<Vec<JoinHandle<()>>, ThreadError>>,
}

/// Threads could not be started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the threads \"{name}\" could not be started: {problem}")]
pub struct ThreadError {
    /// What the threads are called.
    pub name: String,
    /// What the operating system said.
    pub problem: String,
}

/// What the streams and those who submit share.
struct Shared {
    queue: Mutex<Queue>,
    fork_join: ForkJoin,
    /// Written with the queue locked.
    closed: AtomicBool,
}

struct Queue {
    /// The oldest first.
    tasks: VecDeque<Task>,
    /// The streams that wait for a task; the one that has waited shortest last, since it is the quickest to wake.
    idle: Vec<Arc<Sleeper>>,
}

impl Streams {
    /// `count` streams (at least 1), with so many threads for each that compute with them. No thread starts yet.
    pub(crate) fn new(name: impl Into<String>, count: usize, width: usize) -> Streams {
        let count = count.max(1);
        let all_threads = count.saturating_mul(width.max(1));
        let queue = Queue { tasks: VecDeque::with_capacity(16), idle: Vec::with_capacity(count) };
        let (queue, closed) = (Mutex::new(queue), AtomicBool::new(false));
        let shared = Arc::new(Shared { queue, fork_join: ForkJoin::new(all_threads), closed });
        Streams { id: Id::unique(), name: name.into(), count, all_threads, shared, threads: OnceLock::new() }
    }

    /// The threads that have nothing to do, to compute with the calling one.
    pub(crate) fn fork_join(&self) -> &ForkJoin {
        &self.shared.fork_join
    }

    /// Starts the threads, unless they have been started, and waits until they are ready to run tasks.
    pub(crate) fn start(&self) -> Result<(), ThreadError> {
        let threads = self.threads.get_or_init(|| {
            self.spawn_all().map_err(|error| {
                // Those that did start find a closed queue and end.
                self.shared.close();
                ThreadError { name: self.name.clone(), problem: error.to_string() }
            })
        });
        threads.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn spawn_all(&self) -> io::Result<Vec<JoinHandle<()>>> {
        let (ready, all_ready) = mpsc::channel();
        let threads = (0..self.all_threads).map(|thread| self.spawn(thread, ready.clone()));
        let threads = threads.collect::<io::Result<_>>()?;
        drop(ready);
        all_ready.iter().for_each(drop);
        Ok(threads)
    }

    /// The streams come first, and then the helpers.
    fn spawn(&self, thread: usize, ready: mpsc::Sender<()>) -> io::Result<JoinHandle<()>> {
        let (shared, id, is_stream) = (self.shared.clone(), self.id, thread < self.count);
        let named = thread::Builder::new().name(format!("{}-{thread}", self.name));
        named.spawn(move || {
            here::become_thread_of(id);
            let me = Arc::new(Sleeper::here());
            drop(ready);
            match is_stream {
                true => shared.run_stream(&me),
                false => shared.fork_join.serve(&|| shared.closed.load(Ordering::Acquire)),
            }
        })
    }
}

impl Executor for Streams {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&self, task: Task) -> Submitted {
        if self.start().is_err() {
            return Submitted::Refused(task);
        }
        let mut queue = self.shared.queue();
        queue.tasks.push_back(task);
        let idle = queue.idle.pop();
        drop(queue);
        if let Some(stream) = idle {
            stream.wake();
        }
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        let mut queue = self.shared.queue();
        let position = queue.tasks.iter().position(|task| task.id() == id)?;
        queue.tasks.remove(position)
    }

    fn is_here(&self) -> bool {
        here::executor() == Some(self.id)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.shared.close();
        // A thread of ours joins nobody: not itself, and no other that might just be joining it. They end by themselves.
        if here::executor().is_some() {
            return;
        }
        for thread in self.threads.take().and_then(Result::ok).into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held, of which none is known, would leave nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs tasks until the queue is closed and empty.
    fn run_stream(&self, me: &Arc<Sleeper>) {
        let lend = Lend { parallel: &self.fork_join, budget: Budget::Unlimited };
        loop {
            let mut queue = self.queue();
            let task = queue.tasks.pop_front();
            if task.is_none() {
                if self.closed.load(Ordering::Acquire) {
                    return;
                }
                queue.idle.push(me.clone());
            }
            drop(queue);
            match task {
                // What panics in a run is caught by the core; this is for wakers and destructors of others.
                Some(task) => drop(catch_unwind(AssertUnwindSafe(|| task.run(&lend)))),
                None => self.idle(me),
            }
        }
    }

    /// Until somebody wakes us, who has taken us off the list of those who are idle.
    fn idle(&self, me: &Sleeper) {
        if self.fork_join.max_width() == 1 {
            me.sleep(None);
        } else if !me.doze() {
            self.fork_join.serve(&|| me.is_woken());
            me.sleep(None);
        }
    }

    fn close(&self) {
        let mut queue = self.queue();
        self.closed.store(true, Ordering::Release);
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        idle.iter().for_each(|stream| stream.wake());
        self.fork_join.ring();
    }
}
