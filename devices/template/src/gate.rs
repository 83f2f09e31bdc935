//! Gates: places where a test holds runs, so that it never has to guess how far they are.
//!
//! An operator *arrives* at its gate and goes on when it may *pass*. A test waits for arrivals, does what it wants to do at
//! that moment, and lets runs pass one by one or opens the gate for good.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::place;

/// A gate. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// So many may still pass a gate that is not open.
    passes: usize,
    arrivals: usize,
    /// Tests that wait for arrivals.
    watchers: Vec<Waker>,
    /// Parked requests that wait to pass, by a number of their own. Such a waker keeps its request alive, and the request the
    /// model, which owns the gate: who stops waiting must take it back ([`Gate::leave`]).
    parked: Vec<(usize, Waker)>,
}

impl Gate {
    /// A gate that nobody passes yet.
    pub fn closed() -> Gate {
        Gate::default()
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Lets one pass: who waits, or who arrives next.
    pub fn let_one_pass(&self) {
        self.change(|state| state.passes += 1);
    }

    /// How many have arrived so far.
    pub fn arrivals(&self) -> usize {
        self.state().arrivals
    }

    /// Becomes ready when `count` have arrived since the gate was made.
    pub async fn arrived(&self, count: usize) {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.arrivals >= count {
                return Poll::Ready(());
            }
            state.watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Blocks the calling thread until `count` have arrived since the gate was made.
    pub fn wait_arrived(&self, count: usize) {
        let state = self.state();
        drop(self.0.changed.wait_while(state, |state| state.arrivals < count));
    }

    /// Says that somebody has arrived: what the operators do, and callbacks of tests.
    pub fn arrive(&self) {
        self.change(|state| state.arrivals += 1);
    }

    /// Blocks the calling thread until it passes.
    pub fn block(&self) {
        self.pass(|| false);
    }

    /// Takes back what [`Gate::let_one_pass`] allowed and nobody used.
    pub fn take_passes(&self) {
        self.state().passes = 0;
    }

    /// Passes, or leaves the waker of `who` to be woken at the next change.
    pub(crate) fn poll_pass(&self, who: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.pass() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let before = match state.parked.iter_mut().find(|(other, _)| *other == who) {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                state.parked.push((who, waker));
                None
            }
        };
        // Dropping a waker may free a request, and with it this gate's model: not under its lock.
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Takes back the waker that `who` has left, if it is still here.
    pub(crate) fn leave(&self, who: usize) {
        let mut state = self.state();
        let at = state.parked.iter().position(|(other, _)| *other == who);
        let left = at.map(|at| state.parked.swap_remove(at));
        drop(state);
        drop(left);
    }

    /// Blocks until it passes; false when `give_up`, which is asked every millisecond, says so first.
    pub(crate) fn pass(&self, give_up: impl Fn() -> bool) -> bool {
        let mut state = self.state();
        while !state.pass() {
            if give_up() {
                return false;
            }
            if let Some(simulation) = place::simulation() {
                drop(state);
                simulation.others();
                state = self.state();
                continue;
            }
            let waited = self.0.changed.wait_timeout(state, Duration::from_millis(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let watchers = std::mem::take(&mut state.watchers);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        self.0.changed.notify_all();
        watchers.into_iter().chain(parked.into_iter().map(|(_, waker)| waker)).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pass(&mut self) -> bool {
        if !self.open && self.passes == 0 {
            return false;
        }
        self.passes = self.passes.saturating_sub(1);
        true
    }
}
