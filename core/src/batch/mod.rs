//! Automatic batching: requests of one item, computed several at a time, none of which knows of the others.
//!
//! A model that was made for a batch of N gets a second face ([`batched`]) whose ports have a batch of 1. Its first stage stands on a pseudo-executor, the *stop*, which runs nothing: it keeps the tasks until
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
//! that is cancelled on the way gets off; the others do not notice. Nothing is computed for those who got off before the bus
//! left, and a bus that everybody has got off turns back: its run is cancelled. A bus whose own run was ended takes nobody
//! along any more, and after the last of them a start is an error. Once warm, a round takes no memory.
//!
//! Time comes from a [`Timer`] that the host lends; this sets no threads going. Nor does it look into the model: the rows of a
//! batch must not depend on each other, which is the caller's promise.

mod bus;
mod stop;
#[cfg(all(test, not(loom)))]
mod tests;
mod ticket;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::batch::bus::BusModel;
use crate::batch::stop::Stop;
use crate::batch::ticket::{Seen, Ticket};
use crate::clock::Timer;
use crate::device::{CompiledModel, StageInfo, StageKind, Work};
use crate::executor::{Executor, Inline};
use crate::pipeline::Pipeline;
use crate::port::Port;
use crate::request::{Bindings, Failure, PortName, PrepareError, Request};
use crate::tensor::{Dim, ElementType, PartialShape, gather, scatter};
use crate::turn::Turn;
use crate::value::Kind;

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
    /// A port has no batch of this size in its first dimension, other dimensions that are not fixed, or elements that are
    /// strings or share bytes.
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

/// The face of a batched model, and the pipeline that its requests need. `buses` batches, at least 1, can be under way at
/// the same time, on the executors of `pipeline`.
///
/// # Errors
/// [`BatchError`]: a port without such a batch, a model with variables.
pub fn batched(
    model: &Arc<dyn CompiledModel>,
    pipeline: &Arc<Pipeline>,
    buses: usize,
    batching: Batching,
    timer: Arc<dyn Timer>,
) -> Result<(Arc<dyn CompiledModel>, Pipeline), BatchError> {
    let buses = buses.max(1);
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
    // Rows of packed elements may end within a byte.
    let rows = port.element != ElementType::String && !port.element.is_packed();
    if !admits || !fixed || !rows || port.kind != Kind::Tensor {
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

impl CompiledModel for Batched {
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
        if self.stop.board(self.ticket.clone(), self.trip) {
            return Ok(());
        }
        Err(Failure::device("no batch will be computed any more"))
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
        let rows = match self.ticket.look(cx) {
            Seen::OnTheWay => return Poll::Pending,
            Seen::Failed(failure) => return Poll::Ready(Err(failure)),
            Seen::There(rows) => rows,
        };
        let mut scattered = Ok(());
        for (output, row) in io.split().1.iter_mut().zip(&rows) {
            let (layout, range) = (output.tensor().layout().clone(), output.tensor().byte_range());
            let size = output.tensor().element().size();
            scattered = scattered.and(scatter(&layout, size, row, &mut output.bytes_mut()[range]));
        }
        self.ticket.keep(rows);
        Poll::Ready(scattered.map_err(Failure::device))
    }

    /// Gets off, wherever it is.
    fn leave(&self) {
        self.ticket.tear();
        self.stop.leave(&self.ticket);
    }
}

impl Work for Passenger {
    fn give_up(&mut self) {
        self.leave();
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
        self.leave();
    }
}
