//! A queue of tasks whose links are inside the requests: pushing takes no memory and no lock.
//!
//! Any number of threads push; one thread takes everything at once, in the order it came. A request has one task, so it is
//! in at most one inbox, once. Nothing is popped singly, so an address that comes back cannot confuse anyone. The inbox
//! wakes nobody: [`Inbox::push`] says whether it was empty, and the executor wakes its thread.
#![allow(unsafe_code)]

use core::ptr;

use crate::request::shared::Shared;
use crate::request::task::Task;
use crate::sync::{Arc, AtomicPtr, Ordering};

/// A lock-free queue of tasks, many to one.
pub struct Inbox {
    /// The task that came last; each links to the one before it.
    newest: AtomicPtr<Shared>,
}

/// The tasks that were in an inbox, oldest first. Those that are not taken from here are abandoned when it is dropped.
pub struct Taken {
    oldest: *const Shared,
}

// SAFETY: it owns tasks, which are `Send`.
unsafe impl Send for Taken {}

impl Inbox {
    /// An empty inbox.
    #[cfg(not(loom))]
    pub const fn new() -> Inbox {
        Inbox { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// An empty inbox.
    #[cfg(loom)]
    pub fn new() -> Inbox {
        Inbox { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Puts a task in; true when the inbox was empty, so that somebody has to be woken. Safe in an interrupt.
    pub fn push(&self, task: Task) -> bool {
        let added = Arc::into_raw(task.into_arc()).cast_mut();
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: the count that was the task's keeps the request alive, and the link belongs to the task, which is
            // here. Release below publishes the link to whoever takes.
            unsafe { &*added }.link.store(newest, Ordering::Relaxed);
            match self.newest.compare_exchange_weak(newest, added, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return newest.is_null(),
                Err(seen) => newest = seen,
            }
        }
    }

    /// True when there is nothing to take at this moment.
    pub fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Acquire).is_null()
    }

    /// Takes everything out.
    pub fn take(&self) -> Taken {
        let mut newest: *const Shared = self.newest.swap(ptr::null_mut(), Ordering::AcqRel);
        let mut oldest: *const Shared = ptr::null();
        // The list runs from the newest to the oldest: turn it round.
        while !newest.is_null() {
            // SAFETY: every request in the list is kept alive by the count of its task, and since the swap the list is
            // ours alone.
            let link = unsafe { &(*newest).link };
            let before = link.load(Ordering::Relaxed);
            link.store(oldest.cast_mut(), Ordering::Relaxed);
            oldest = newest;
            newest = before;
        }
        Taken { oldest }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox::new()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl Iterator for Taken {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        if self.oldest.is_null() {
            return None;
        }
        // SAFETY: `push` made this pointer from the `Arc` of a task and gave the count to the list.
        let shared = unsafe { Arc::from_raw(self.oldest) };
        self.oldest = shared.link.load(Ordering::Relaxed);
        // SAFETY: the task that was pushed was the only one, and gave its right to the list without using it.
        Some(unsafe { Task::new(shared) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
