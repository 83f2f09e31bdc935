//! The bus: a request whose run never ends by itself. It is parked at the stop, lets passengers board, computes their batch by
//! a run of the model, and tells them.
//!
//! It is a request so that it needs nothing of its own: an executor runs it, a waker brings it back, and dropping its handle
//! ends it without waiting. When its own run ends, however that came about, it goes out of service and tells its passengers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};

use crate::batch::stop::{Next, Passenger, Stop};
use crate::batch::ticket::Rows;
use crate::device::{CompiledModel, Work};
use crate::executor::{Budget, Lend};
use crate::pipeline::Pipeline;
use crate::port::Port;
use crate::request::{
    Bindings, BoxError, CancelToken, Failure, InferError, InferErrorKind, PrepareError, Request, Settled,
    Task,
};
use crate::tensor::{Dim, MAX_RANK, Shape, Tensor};
use crate::turn::Turn;

/// What the request of a bus is made of.
pub(super) struct BusModel {
    pub(super) number: usize,
    pub(super) stop: Arc<Stop>,
    pub(super) model: Arc<dyn CompiledModel>,
    pub(super) pipeline: Arc<Pipeline>,
}

impl CompiledModel for BusModel {
    fn inputs(&self) -> &[Port] {
        &[]
    }

    fn outputs(&self) -> &[Port] {
        &[]
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        let batch = Request::new(self.model.clone(), self.pipeline.clone())?;
        // A batch without a bound of its own may be asked for as large as one likes.
        let room = self.stop.size().min(1024);
        Ok(Box::new(Bus {
            number: self.number,
            stop: self.stop.clone(),
            batch,
            tasks: Vec::with_capacity(room),
            seats: Vec::with_capacity(room),
            rows: Vec::with_capacity(room),
            riding: None,
            alarm: None,
            in_service: true,
        }))
    }
}

struct Bus {
    number: usize,
    stop: Arc<Stop>,
    /// The request that computes the batches.
    batch: Request,
    /// Passengers who have not boarded yet. Empty between polls, like `rows`; kept for their memory.
    tasks: Vec<Task>,
    /// Those who are aboard.
    seats: Vec<Passenger>,
    /// The inputs of those in the seats.
    rows: Vec<Rows>,
    /// The end of the run under way, and the right to stop it.
    riding: Option<(Settled, CancelToken)>,
    alarm: Option<u64>,
    in_service: bool,
}

impl Bus {
    /// Waits at the stop; ready when passengers are aboard and their run has started.
    fn wait(&mut self, turn: &Turn<'_>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.forget_alarm();
            match self.stop.next(self.number, cx.waker(), &mut self.tasks) {
                Next::Go => {
                    let lend = Lend { parallel: turn.parallel(), budget: Budget::Unlimited };
                    self.tasks.drain(..).for_each(|task| task.run(&lend));
                }
                Next::Wait(due) => {
                    self.alarm = due.map(|due| self.stop.timer().wake_at(due, cx.waker().clone()));
                    return Poll::Pending;
                }
            }
            self.stop.depart(&mut self.seats);
            self.take_along(cx.waker());
            // All of them may have been cancelled before they were aboard, or since.
            if self.seats.is_empty() {
                continue;
            }
            let started = self.start();
            for ((ticket, _), rows) in self.seats.iter().zip(self.rows.drain(..)) {
                ticket.put_back(rows);
            }
            match started {
                Ok(()) => return Poll::Ready(()),
                Err(error) => self.arrive(Err(error)),
            }
        }
    }

    /// Collects the rows of the passengers. Who has got off has none, and no seat either.
    fn take_along(&mut self, waker: &Waker) {
        let Bus { seats, rows, .. } = self;
        seats.retain(|(ticket, trip)| match ticket.take_along(*trip, waker) {
            Some(taken) => {
                rows.push(taken);
                true
            }
            None => false,
        });
    }

    fn start(&mut self) -> Result<(), InferError> {
        for index in 0..self.batch.inputs().len() {
            let count = rows(&self.batch.inputs()[index], self.stop.size(), self.seats.len());
            let tensor = self.batch.input_mut(index)?;
            set_rows(tensor, count)?;
            let (range, row) = (tensor.byte_range(), tensor.byte_len() / count.max(1));
            let mut lease = tensor.lease_write().map_err(device)?;
            let (filled, empty) = lease.bytes_mut()[range].split_at_mut(row * self.rows.len());
            for (seat, rows) in filled.chunks_exact_mut(row.max(1)).zip(&self.rows) {
                seat.copy_from_slice(&rows[index]);
            }
            empty.fill(0);
        }
        let run = self.batch.start()?;
        let token = run.token();
        run.detach();
        self.riding = Some((self.batch.observer().settled(), token));
        Ok(())
    }

    /// The run is over: gives each passenger its rows, or the error.
    fn arrive(&mut self, ended: Result<(), InferError>) {
        for (at, (ticket, trip)) in self.seats.drain(..).enumerate() {
            ticket.end(trip, |outputs| {
                ended.clone()?;
                for (index, output) in outputs.iter_mut().enumerate() {
                    let tensor = self.batch.output(index)?;
                    let lease = tensor.lease_read().map_err(device)?;
                    let rows = &lease.bytes()[tensor.byte_range()];
                    let row = rows.get(at * output.len()..).and_then(|rows| rows.get(..output.len()));
                    let row = row.ok_or_else(|| device("the batch has fewer rows than passengers"))?;
                    output.copy_from_slice(row);
                }
                Ok(())
            });
        }
    }

    /// Waits for the run under way; ready when there is none any more.
    fn ride(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((settled, token)) = &mut self.riding else { return Poll::Ready(()) };
        let Poll::Ready(outcome) = Pin::new(settled).poll(cx) else {
            if self.seats.iter().all(|(ticket, trip)| !ticket.is_on(*trip)) {
                token.cancel();
            }
            return Poll::Pending;
        };
        self.riding = None;
        let error = outcome.and_then(|outcome| outcome.error);
        self.arrive(error.map_or(Ok(()), Err));
        Poll::Ready(())
    }

    /// Takes nobody along any more.
    fn go_out_of_service(&mut self) {
        self.forget_alarm();
        if !core::mem::replace(&mut self.in_service, false) {
            return;
        }
        let left_behind = self.stop.close(self.number);
        self.seats.extend(left_behind);
        self.arrive(Err(InferError::new(InferErrorKind::Abandoned, "no batch will be computed any more")));
    }

    fn forget_alarm(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            self.stop.timer().forget(alarm);
        }
    }
}

impl Work for Bus {
    fn give_up(&mut self) {
        if let Some((_, token)) = self.riding.take() {
            token.cancel();
        }
        self.go_out_of_service();
    }

    fn poll_stage(
        &mut self,
        _stage: usize,
        _io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            if turn.stop_requested() {
                return Poll::Ready(Err(Failure::stopped()));
            }
            ready!(self.ride(cx));
            ready!(self.wait(turn, cx));
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.go_out_of_service();
    }
}

/// How many rows a batch of so many passengers has: a model of a fixed size computes empty seats as well.
fn rows(port: &Port, size: usize, passengers: usize) -> usize {
    match port.shape.dims().and_then(|dims| dims.first()) {
        Some(Dim::Fixed(_)) => size,
        _ => passengers,
    }
}

fn set_rows(tensor: &mut Tensor, rows: usize) -> Result<(), InferError> {
    let mut extents: heapless::Vec<usize, MAX_RANK> = tensor.shape().iter().copied().collect();
    extents[0] = rows;
    tensor.set_shape(Shape::new(&extents).map_err(device)?).map_err(device)
}

fn device(error: impl Into<BoxError>) -> InferError {
    InferError::new(InferErrorKind::Device, error)
}
