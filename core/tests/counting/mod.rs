//! An allocator that counts, for the tests of three packages.
//!
//! It counts what every thread of the process takes but the first one's: there the test harness keeps its books while the
//! test runs, on a busy machine at any moment of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread is counted, which its first allocation finds out.
    static COUNTED: Cell<Option<bool>> = const { Cell::new(None) };
}

fn count() {
    let counted = COUNTED.get().unwrap_or_else(|| {
        // A program takes memory before its `main`, so the first to come is the harness.
        let counted = THREADS.fetch_add(1, Ordering::SeqCst) > 0;
        COUNTED.set(Some(counted));
        counted
    });
    TAKEN.fetch_add(counted.into(), Ordering::SeqCst);
}

// SAFETY: everything is handed to the system's allocator; only calls are counted, in a cell that takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a test on a thread that is counted; with `--test-threads=1` the harness would run it on its own.
pub(crate) fn counted(test: impl FnOnce() + Send + 'static) {
    let test = move || {
        let before = taken();
        drop(black_box(Box::new(0_u8)));
        assert!(taken() > before, "this thread is not counted");
        test();
    };
    if let Err(panic) = thread::spawn(test).join() {
        resume_unwind(panic);
    }
}

/// How many allocations there have been.
pub(crate) fn taken() -> usize {
    TAKEN.load(Ordering::SeqCst)
}
