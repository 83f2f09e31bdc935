//! Automatic batching: requests of one item, computed several at a time, none of which knows of the others.
//!
//! A model that was made for a batch of N gets a second face ([`CompiledModel::batched`](crate::CompiledModel::batched)) whose
//! ports have a batch of 1. Its first stage stands on a pseudo-executor, the *stop*, which runs nothing: it keeps the tasks until
//! N have come, or the oldest has waited for the time limit. Then a *bus*, itself a request that is parked in between, runs
//! them; each puts its rows aboard, and the bus computes them in one run of the model:
//!
//! ```text
//!  start ─▶ stop (keeps tasks) ─ full, or late ─▶ bus: board ─▶ run the batch ─▶ wake the passengers
//!                                                  │                                  │
//!  a request:          stage "board": rows in ◀────┘     stage "ride": parked, then rows out ─▶ delivery
//! ```
//!
//! A full batch starts at once, also right after a lone one. A run that is cancelled while it waits leaves the stop, and one
//! that is cancelled on the way gets off; the others do not notice. Time comes from a [`Timer`], so tests move it by hand. This
//! does not look into the model: the rows of a batch must not depend on each other, which is the caller's promise.

mod bus;
mod stop;
mod ticket;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use inferry_core::device::{self, StageInfo, StageKind, Work};
use inferry_core::request::{Bindings, Failure, PortName, PrepareError};
use inferry_core::tensor::{PartialShape, gather, scatter};
use inferry_core::{Clock, Dim, ElementType, Executor, Inline, Pipeline, Port, Request, Turn};

use bus::BusModel;
use stop::Stop;
use ticket::{Seen, Ticket};

/// A clock that wakes.
pub trait Timer: Clock {
    /// Wakes `waker` when [`Clock::now`] has reached `moment`. Gives the number of the alarm.
    fn wake_at(&self, moment: u64, waker: Waker) -> u64;

    /// Forgets an alarm that is not needed any more; one that has rung is forgotten already.
    fn forget(&self, alarm: u64);
}

/// How requests are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// How many requests make a full batch: the extent of the model's first dimension, where that is fixed.
    pub size: usize,
    /// How long the first request of a batch waits for others.
    pub limit: Duration,
}

/// Why a model cannot be batched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Nobody can wait for a batch of none.
    #[error("a batch has at least one item")]
    Empty,
    /// A port has no batch of this size in its first dimension, other dimensions that are not fixed, or strings.
    #[error("{port} of {element} {shape} holds no batch of {size}")]
    Port {
        /// The port.
        port: PortName,
        /// Its element type.
        element: ElementType,
        /// Its shape.
        shape: Box<PartialShape>,
        /// The size that was asked for.
        size: usize,
    },
    /// Variables belong to one request; in a batch they would be mixed up.
    #[error("a model with variables cannot be batched")]
    State,
    /// The request that computes the batches could not be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

/// The face of a batched model, and the pipeline that its requests need.
pub(crate) fn batched(
    model: &Arc<dyn device::CompiledModel>,
    pipeline: &Arc<Pipeline>,
    buses: usize,
    batching: Batching,
    timer: Arc<dyn Timer>,
) -> Result<(Arc<dyn device::CompiledModel>, Pipeline), BatchError> {
    if batching.size == 0 {
        return Err(BatchError::Empty);
    }
    if model.state().is_some() {
        return Err(BatchError::State);
    }
    let ports =
        |ports: &[Port]| ports.iter().map(|port| of_one(port, batching.size)).collect::<Result<_, _>>();
    let (inputs, outputs) = (ports(model.inputs())?, ports(model.outputs())?);
    let limit = u64::try_from(batching.limit.as_nanos()).unwrap_or(u64::MAX);
    let stop = Arc::new(Stop::new(batching.size, limit, timer, buses));
    let first = pipeline.stages()[0].clone();
    let drive = |number| {
        let bus = BusModel { number, stop: stop.clone(), model: model.clone(), pipeline: pipeline.clone() };
        let mut request = Request::new(Arc::new(bus), Arc::new(Pipeline::new([first.clone()])))?;
        request.start().map(|run| run.detach()).map_err(|error| PrepareError::Device(error.into()))?;
        Ok::<_, BatchError>(request)
    };
    let buses = (0..buses).map(drive).collect::<Result<_, _>>()?;
    // A passenger that is woken only copies rows: it does that where it is woken, on the bus.
    let stages: [Arc<dyn Executor>; 2] = [stop.clone(), Arc::new(Inline)];
    let mut place = Pipeline::new(stages);
    if let Some(delivery) = pipeline.delivery() {
        place = place.deliver_on(delivery.clone());
    }
    if let Some(clock) = pipeline.clock() {
        place = place.timed(clock.clone());
    }
    Ok((Arc::new(Batched { inputs, outputs, stop, _buses: buses }), place))
}

/// The port of one item of a batch.
fn of_one(port: &Port, size: usize) -> Result<Port, BatchError> {
    let refused = || BatchError::Port {
        port: port.into(),
        element: port.element,
        shape: Box::new(port.shape.clone()),
        size,
    };
    let dims = port.shape.dims().ok_or_else(refused)?;
    let (batch, rest) = dims.split_first().ok_or_else(refused)?;
    let admits = match batch {
        Dim::Fixed(extent) => *extent == size,
        Dim::Any => true,
        Dim::Between(least, most) => *least <= 1 && size <= *most,
    };
    let fixed = rest.iter().all(|dim| matches!(dim, Dim::Fixed(_)));
    if !admits || !fixed || port.element == ElementType::String {
        return Err(refused());
    }
    let mut dims = dims.to_vec();
    dims[0] = Dim::Fixed(1);
    Ok(Port { shape: PartialShape::new(&dims).map_err(|_| refused())?, ..port.clone() })
}

/// A model of one item, whose runs share the batches of another.
struct Batched {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    stop: Arc<Stop>,
    /// Dropped with the last request: they are cancelled then, and nobody waits for that.
    _buses: Vec<Request>,
}

impl device::CompiledModel for Batched {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn stages(&self) -> &[StageInfo] {
        const BOARD: StageInfo = StageInfo { name: "board", kind: StageKind::Compute };
        const RIDE: StageInfo = StageInfo { name: "ride", kind: StageKind::Compute };
        &[BOARD, RIDE]
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        let ticket = Ticket::new(&self.inputs, &self.outputs);
        Ok(Box::new(Passenger { ticket: Arc::new(ticket), trip: 0, stop: self.stop.clone() }))
    }
}

/// The work of one request of a batched model.
struct Passenger {
    ticket: Arc<Ticket>,
    /// The number of the run, so that a bus which still has an earlier one aboard leaves this one alone.
    trip: u64,
    stop: Arc<Stop>,
}

impl Passenger {
    fn board(&mut self, io: &Bindings) -> Result<(), Failure> {
        self.trip = self.ticket.fill(|rows| {
            for (input, row) in io.inputs().iter().zip(rows) {
                let (tensor, bytes) = (input.tensor(), input.bytes());
                gather(tensor.layout(), tensor.element().size(), &bytes[tensor.byte_range()], row)
                    .map_err(Failure::device)?;
            }
            Ok(())
        })?;
        self.stop.board(self.ticket.clone(), self.trip);
        Ok(())
    }

    fn ride(
        &mut self,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        if turn.stop_requested() {
            return Poll::Ready(Err(Failure::stopped()));
        }
        let get_off = |rows: &[Vec<u8>]| {
            for (output, row) in io.split().1.iter_mut().zip(rows) {
                let (layout, range) = (output.tensor().layout().clone(), output.tensor().byte_range());
                let size = output.tensor().element().size();
                scatter(&layout, size, row, &mut output.bytes_mut()[range]).map_err(Failure::device)?;
            }
            Ok(())
        };
        match self.ticket.look(cx, get_off) {
            Seen::OnTheWay => Poll::Pending,
            Seen::Over(ended) => Poll::Ready(ended),
        }
    }
}

impl Work for Passenger {
    fn give_up(&mut self) {
        self.ticket.tear();
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match stage {
            0 => Poll::Ready(self.board(io)),
            _ => self.ride(io, turn, cx),
        }
    }
}

impl Drop for Passenger {
    fn drop(&mut self) {
        self.ticket.tear();
    }
}
