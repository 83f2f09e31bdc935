//! Fork-join over helpers: no body is lost or computed twice, no helper is inside after the loop, nobody sleeps for ever.

use inferry_core::Parallel;
use inferry_core::crew::{Crew, Rest, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::parts::model;

/// Sleeps at once: every interleaving of falling asleep and being woken is tried.
struct Tired(Mutex<()>, Condvar);

impl Rest for Tired {
    fn look(&self, done: &dyn Fn() -> bool, _: bool) -> bool {
        done()
    }

    fn sleep(&self, word: &Word, value: u32) {
        let guard = self.0.lock().unwrap();
        if word.load(Ordering::SeqCst) == value {
            drop(self.1.wait(guard).unwrap());
        }
    }

    fn wake(&self, _: &Word, _: u32) {
        drop(self.0.lock().unwrap());
        self.1.notify_all();
    }
}

/// Cells that loom watches: two accesses that are not ordered are an error.
struct Cells([UnsafeCell<u32>; 2]);

// SAFETY: loom says so when two threads are in one cell.
unsafe impl Sync for Cells {}

/// A crew with a helper, given to `owner`; ends when both have.
fn with_helper(owner: impl FnOnce(&Crew<Tired, 1>)) {
    let crew =
        Arc::new((Crew::<Tired, 1>::new(Tired(Mutex::new(()), Condvar::new())), AtomicBool::new(false)));
    let helper = thread::spawn({
        let crew = crew.clone();
        move || crew.0.serve(&|| crew.1.load(Ordering::SeqCst))
    });
    owner(&crew.0);
    crew.1.store(true, Ordering::SeqCst);
    crew.0.ring(1);
    helper.join().unwrap();
}

#[test]
fn a_loop_is_computed_whole_and_seen_by_who_forked() {
    model(|| {
        with_helper(|crew| {
            let cells = Cells([UnsafeCell::new(0), UnsafeCell::new(0)]);
            let whole = &cells;
            // SAFETY: each number is called once.
            crew.for_each(2, &|index| whole.0[index].with_mut(|cell| unsafe { *cell += 1 }));
            // SAFETY: the loop is over.
            let sum: u32 = cells.0.iter().map(|cell| cell.with(|cell| unsafe { *cell })).sum();
            assert_eq!(sum, 2);
        });
    });
}

#[test]
fn a_second_loop_in_the_same_place_is_not_mixed_up_with_the_first() {
    model(|| {
        with_helper(|crew| {
            for round in 1..=2 {
                let cells = Cells([UnsafeCell::new(0), UnsafeCell::new(0)]);
                let whole = &cells;
                // SAFETY: each number is called once.
                crew.for_each(2, &|index| whole.0[index].with_mut(|cell| unsafe { *cell += round }));
                // SAFETY: the loop is over.
                let sum: u32 = cells.0.iter().map(|cell| cell.with(|cell| unsafe { *cell })).sum();
                assert_eq!(sum, 2 * round);
            }
        });
    });
}
