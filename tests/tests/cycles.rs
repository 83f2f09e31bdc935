//! Ten thousand requests made, started and dropped, and a thousand runtimes: memory and threads stay as they were.
//!
//! The allocator counts the bytes that are taken and not given back. One test, so that nothing else runs in this process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;

use inferry::{CompiledModel, Options, Runtime};
use inferry_behaviour::native::compile_for;
use inferry_template::{Chip, Form, Graph, Op};

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn ten_thousand_short_lives_leave_memory_and_threads_as_they_were() {
    let runtime = Runtime::new().unwrap();
    for options in [Options::inline(), Options::throughput().threads(2)] {
        let graph = Graph::new([Op::Yield, Op::Add(1.0)]);
        let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("cycles"));
        requests(&model, 100);
        let (held, threads) = (HELD.load(Ordering::Relaxed), threads());
        requests(&model, 5_000);
        same(held, threads);
    }
    let threads = threads();
    runtimes(10);
    // A thread that nobody joins may take a moment to end: it is no part of what there was before.
    same(HELD.load(Ordering::Relaxed), threads);
    let held = HELD.load(Ordering::Relaxed);
    runtimes(1_000);
    same(held, threads);
}

/// Requests that are dropped at once, in flight, and after a run.
fn requests(model: &CompiledModel, count: usize) {
    for life in 0..count {
        let mut request = model.request().unwrap();
        match life % 3 {
            0 => {}
            1 => request.start().unwrap().detach(),
            _ => drop(request.start().unwrap().wait().unwrap()),
        }
    }
}

fn runtimes(count: usize) {
    for _ in 0..count {
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let graph = Graph::new([Op::Echo]);
        let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("runtimes"));
        model.request().unwrap().start().unwrap().wait().unwrap();
    }
}

/// Waits until what was dropped in flight is gone. It may take a moment, and not for ever.
fn same(held: isize, before: Option<usize>) {
    // A list that grew once is not a leak; a request that stays is some kilobytes, five thousand are megabytes.
    const SLACK: isize = 64 * 1024;
    for _ in 0..10_000_000 {
        if HELD.load(Ordering::Relaxed) - held < SLACK && threads() == before {
            return;
        }
        thread::yield_now();
    }
    panic!(
        "{} bytes more, {:?} threads instead of {before:?}",
        HELD.load(Ordering::Relaxed) - held,
        threads()
    );
}

/// The threads of this process, where the system tells.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok())
}
