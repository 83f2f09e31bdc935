//! What the calling thread is: a thread of one of our executors, and inside of which callbacks.
//!
//! Waiting asks this, because a wait on the thread that has to bring its end about would never end; and dropping asks it,
//! because a thread cannot join itself. All of it is written by the thread it is about.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

/// An executor or a request of this process, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
    /// One that nothing else has.
    pub(crate) fn unique() -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Id(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

thread_local! {
    static EXECUTOR: Cell<Option<Id>> = const { Cell::new(None) };
    /// Several when callbacks that run on the starter's stack start other requests.
    static CALLBACKS: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// From now on the calling thread is one of this executor's.
pub(crate) fn become_thread_of(executor: Id) {
    EXECUTOR.set(Some(executor));
    // Taken now, so that the first callback on this thread takes none.
    CALLBACKS.with_borrow_mut(|callbacks| callbacks.reserve(4));
}

/// The executor that the calling thread belongs to.
pub(crate) fn executor() -> Option<Id> {
    // A thread that is being torn down belongs to nobody any more.
    EXECUTOR.try_with(Cell::get).ok().flatten()
}

/// Enters a callback of this request, until the result is dropped.
pub(crate) fn enter_callback(request: Id) -> impl Drop {
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            CALLBACKS.with_borrow_mut(Vec::pop);
        }
    }
    CALLBACKS.with_borrow_mut(|callbacks| callbacks.push(request));
    Inside
}

/// True inside of a callback of this request.
pub(crate) fn is_in_callback_of(request: Id) -> bool {
    CALLBACKS.with_borrow(|callbacks| callbacks.contains(&request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_nest() {
        let (outer, inner) = (Id::unique(), Id::unique());
        let first = enter_callback(outer);
        {
            let _second = enter_callback(inner);
            assert!(is_in_callback_of(outer) && is_in_callback_of(inner));
        }
        assert!(is_in_callback_of(outer) && !is_in_callback_of(inner));
        drop(first);
        assert!(!is_in_callback_of(outer));
    }

    #[test]
    fn a_thread_belongs_to_its_executor_only() {
        let id = Id::unique();
        std::thread::spawn(move || become_thread_of(id)).join().unwrap();
        assert_eq!(executor(), None);
    }
}
