//! A ticket: the rows of one request in a batch, and whether they have been computed.
//!
//! It is shared by the request's work and the bus that carries it, and used again by each run. Each use is a *trip* with a
//! number; who comes with an earlier number finds nothing. Rows are filled and read outside of the lock: whoever is about to
//! takes them out and puts them back. When somebody else's are in the way, because the passenger has got off and
//! is on its next trip, they are dropped. Wakers are called and dropped outside of the lock, too.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;
use core::task::{Context, Waker};

use crate::port::Port;
use crate::request::{Failure, InferError};
use crate::sync::Lock;

/// One row for each port.
pub(super) type Rows = Vec<Vec<u8>>;

/// The rows of one request. See the [module](self).
pub(super) struct Ticket {
    state: Lock<State>,
    inputs: Sizes,
    outputs: Sizes,
}

/// The bytes of a row of each port.
type Sizes = Vec<usize>;

struct State {
    trip: u64,
    /// Empty while somebody has taken them out.
    inputs: Rows,
    outputs: Rows,
    ended: Option<Result<(), InferError>>,
    passenger: Option<Waker>,
    /// Of the bus that this trip is made with.
    bus: Option<Waker>,
}

/// What a passenger sees on its ticket.
pub(super) enum Seen {
    OnTheWay,
    /// Its outputs, to be given back by [`Ticket::keep`].
    There(Rows),
    Failed(Failure),
}

impl Ticket {
    /// Room for one row of each port, whose shapes are fixed.
    pub(super) fn new(inputs: &[Port], outputs: &[Port]) -> Ticket {
        let bytes = |port: &Port| port.shape.fixed().map_or(0, |shape| shape.count()) * port.element.size();
        let [inputs, outputs] = [inputs, outputs].map(|ports| ports.iter().map(bytes).collect::<Sizes>());
        let state = State {
            trip: 0,
            inputs: fresh(&inputs),
            outputs: fresh(&outputs),
            ended: None,
            passenger: None,
            bus: None,
        };
        Ticket { state: Lock::new(state), inputs, outputs }
    }

    /// Begins a trip with the rows that `fill` writes; gives its number.
    pub(super) fn fill(
        &self,
        fill: impl FnOnce(&mut [Vec<u8>]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let (rows, trip, before) = self.state.with(|state| {
            state.trip += 1;
            (mem::take(&mut state.inputs), state.trip, state.ended.take())
        });
        drop(before);
        let mut rows = or_fresh(rows, &self.inputs);
        let filled = fill(&mut rows);
        drop(self.state.with(|state| mem::replace(&mut state.inputs, rows)));
        filled.map(|()| trip)
    }

    /// Takes the outputs out when they are there; else keeps the waker.
    pub(super) fn look(&self, cx: &Context<'_>) -> Seen {
        let waker = cx.waker().clone();
        let (seen, unused) = self.state.with(|state| match &state.ended {
            Some(Ok(())) => (Seen::There(mem::take(&mut state.outputs)), Some(waker)),
            Some(Err(error)) => (Seen::Failed(Failure::new(error.kind(), error.clone())), Some(waker)),
            None => (Seen::OnTheWay, state.passenger.replace(waker)),
        });
        drop(unused);
        seen
    }

    /// Puts the outputs back that [`Ticket::look`] gave.
    pub(super) fn keep(&self, rows: Rows) {
        drop(self.state.with(|state| mem::replace(&mut state.outputs, rows)));
    }

    /// The passenger goes no further: whoever carries the ticket finds nothing, and is told.
    pub(super) fn tear(&self) {
        let (passenger, bus) = self.state.with(|state| {
            state.trip += 1;
            (state.passenger.take(), state.bus.take())
        });
        drop(passenger);
        if let Some(bus) = bus {
            bus.wake();
        }
    }

    /// A bus takes the passenger along: the inputs of the trip, to be given back by [`Ticket::put_back`]. `None` when the trip
    /// was given up.
    pub(super) fn take_along(&self, trip: u64, bus: &Waker) -> Option<Rows> {
        let bus = bus.clone();
        let (rows, unused) = self.state.with(|state| match state.trip == trip {
            true => (Some(mem::take(&mut state.inputs)), state.bus.replace(bus)),
            false => (None, Some(bus)),
        });
        drop(unused);
        rows
    }

    pub(super) fn put_back(&self, inputs: Rows) {
        let unused = self.state.with(|state| match state.inputs.is_empty() {
            true => mem::replace(&mut state.inputs, inputs),
            false => inputs,
        });
        drop(unused);
    }

    /// Whether the passenger is still on this trip.
    pub(super) fn is_on(&self, trip: u64) -> bool {
        self.state.with(|state| state.trip == trip)
    }

    /// Ends a trip with the outputs that `write` writes, or with an error, and wakes the passenger.
    pub(super) fn end(&self, trip: u64, write: impl FnOnce(&mut [Vec<u8>]) -> Result<(), InferError>) {
        let taken = |state: &mut State| (state.trip == trip).then(|| mem::take(&mut state.outputs));
        let Some(rows) = self.state.with(taken) else { return };
        let mut rows = or_fresh(rows, &self.outputs);
        let ended = write(&mut rows);
        let (unused, passenger, bus) = self.state.with(|state| {
            if state.trip != trip {
                return ((rows, Some(ended)), None, None);
            }
            let unused = (mem::replace(&mut state.outputs, rows), state.ended.replace(ended));
            (unused, state.passenger.take(), state.bus.take())
        });
        drop((unused, bus));
        if let Some(passenger) = passenger {
            passenger.wake();
        }
    }
}

/// The rows, unless somebody has dropped them.
fn or_fresh(rows: Rows, sizes: &[usize]) -> Rows {
    if rows.len() == sizes.len() { rows } else { fresh(sizes) }
}

fn fresh(sizes: &[usize]) -> Rows {
    sizes.iter().map(|size| vec![0; *size]).collect()
}
