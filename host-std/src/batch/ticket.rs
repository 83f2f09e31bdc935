//! A ticket: the rows of one request in a batch, and whether they have been computed.
//!
//! It is shared by the request's work and the bus that carries it, and used again by each run. Each use is a *trip* with a
//! number; who comes with an earlier number finds nothing. Wakers are called and dropped outside of the lock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use inferry_core::Port;
use inferry_core::request::{Failure, InferError};

/// The rows of one request. See the [module](self).
pub(super) struct Ticket(Mutex<State>);

struct State {
    trip: u64,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    ended: Option<Result<(), InferError>>,
    waker: Option<Waker>,
}

/// What a passenger sees on its ticket.
pub(super) enum Seen {
    OnTheWay,
    Over(Result<(), Failure>),
}

impl Ticket {
    /// Room for one row of each port, whose shapes are fixed.
    pub(super) fn new(inputs: &[Port], outputs: &[Port]) -> Ticket {
        let rows = |ports: &[Port]| {
            let bytes =
                |port: &Port| port.shape.fixed().map_or(0, |shape| shape.count()) * port.element.size();
            ports.iter().map(|port| vec![0; bytes(port)]).collect()
        };
        let (inputs, outputs) = (rows(inputs), rows(outputs));
        Ticket(Mutex::new(State { trip: 0, inputs, outputs, ended: None, waker: None }))
    }

    /// Begins a trip with the rows that `fill` writes; gives its number.
    pub(super) fn fill(
        &self,
        fill: impl FnOnce(&mut [Vec<u8>]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut state = self.locked();
        state.trip += 1;
        state.ended = None;
        fill(&mut state.inputs)?;
        Ok(state.trip)
    }

    /// Lets `get_off` read the outputs when they are there; else keeps the waker.
    pub(super) fn look(
        &self,
        cx: &Context<'_>,
        get_off: impl FnOnce(&[Vec<u8>]) -> Result<(), Failure>,
    ) -> Seen {
        let mut state = self.locked();
        match &state.ended {
            Some(Ok(())) => Seen::Over(get_off(&state.outputs)),
            Some(Err(error)) => Seen::Over(Err(Failure::new(error.kind(), error.clone()))),
            None => {
                let old = state.waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Seen::OnTheWay
            }
        }
    }

    /// The passenger goes no further: whoever carries the ticket finds nothing.
    pub(super) fn tear(&self) {
        let mut state = self.locked();
        state.trip += 1;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
    }

    /// The inputs of a trip, unless it was given up.
    pub(super) fn inputs<R>(&self, trip: u64, read: impl FnOnce(&[Vec<u8>]) -> R) -> Option<R> {
        let state = self.locked();
        (state.trip == trip).then(|| read(&state.inputs))
    }

    /// Ends a trip with the outputs that `write` writes, or with an error, and wakes the passenger.
    pub(super) fn end(&self, trip: u64, write: impl FnOnce(&mut [Vec<u8>]) -> Result<(), InferError>) {
        let mut state = self.locked();
        if state.trip != trip {
            return;
        }
        state.ended = Some(write(&mut state.outputs));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
