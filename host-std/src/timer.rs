//! Deadlines of runs, and other alarms: one thread for the whole process, which stops the runs that are late.
//!
//! [`at`] notes a run and a moment. When the moment has come before the note is dropped, the run is cancelled with the
//! deadline as the cause. The notes are few, so they lie in a plain vector: noting and forgetting take no memory once it has
//! grown. The thread starts with the first note and sleeps until the earliest moment. It knows runs by their tokens only,
//! so a note that is late hits no other run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Instant;

use inferry_core::request::CancelToken;

use crate::sleep::Sleeper;

/// Stops the run of `token` at `moment`, unless the note is dropped before.
///
/// # Panics
/// When the first note's thread cannot be started.
pub(crate) fn at(moment: Instant, token: CancelToken) -> Note {
    Note { id: note(moment, What::Expire(token)) }
}

/// Wakes `waker` at `moment`, unless the number that this gives is forgotten before.
///
/// # Panics
/// As [`at`].
pub(crate) fn wake_at(moment: Instant, waker: Waker) -> u64 {
    note(moment, What::Wake(waker))
}

/// Forgets what was noted under this number.
pub(crate) fn forget(id: u64) {
    let mut notes = notes();
    let position = notes.entries.iter().position(|entry| entry.id == id);
    let entry = position.map(|position| notes.entries.swap_remove(position));
    // What it holds may be the last that keeps a request: it is dropped outside of the lock.
    drop(notes);
    drop(entry);
}

fn note(moment: Instant, what: What) -> u64 {
    let sleeper = sleeper();
    let mut notes = notes();
    let id = notes.next;
    notes.next += 1;
    let is_earliest = notes.entries.iter().all(|entry| moment < entry.moment);
    notes.entries.push(Entry { id, moment, what });
    drop(notes);
    if is_earliest {
        sleeper.wake();
    }
    id
}

/// A deadline that has been noted; dropping it forgets the deadline.
#[derive(Debug)]
pub(crate) struct Note {
    id: u64,
}

impl Drop for Note {
    fn drop(&mut self) {
        forget(self.id);
    }
}

struct Notes {
    entries: Vec<Entry>,
    next: u64,
}

struct Entry {
    id: u64,
    moment: Instant,
    what: What,
}

enum What {
    Expire(CancelToken),
    Wake(Waker),
}

impl What {
    fn act(self) {
        match self {
            What::Expire(token) => drop(token.expire()),
            What::Wake(waker) => waker.wake(),
        }
    }
}

fn notes() -> MutexGuard<'static, Notes> {
    static NOTES: Mutex<Notes> = Mutex::new(Notes { entries: Vec::new(), next: 0 });
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sleep of the thread, which this starts when it does not run yet.
fn sleeper() -> &'static Sleeper {
    static SLEEPER: OnceLock<Arc<Sleeper>> = OnceLock::new();
    SLEEPER.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("inferry-timer".into());
        let started = thread.spawn(move || {
            let sleeper = Arc::new(Sleeper::here());
            let _ = send.send(sleeper.clone());
            keep_time(&sleeper)
        });
        started.expect("the thread that keeps deadlines could not be started");
        receive.recv().expect("the thread sends before anything else")
    })
}

fn keep_time(sleeper: &Sleeper) -> ! {
    loop {
        let mut notes = notes();
        let now = Instant::now();
        let due = notes.entries.iter().position(|entry| entry.moment <= now);
        let due = due.map(|position| notes.entries.swap_remove(position));
        let earliest = notes.entries.iter().map(|entry| entry.moment).min();
        drop(notes);
        match due {
            // Outside of the lock: to stop a run may call executors and wakers, and what panics there is not our end.
            Some(entry) => drop(catch_unwind(AssertUnwindSafe(move || entry.what.act()))),
            None => drop(sleeper.sleep(earliest)),
        }
    }
}
