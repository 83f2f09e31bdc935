//! The bus: a request whose run never ends by itself. It is parked at the stop, lets passengers board, computes their batch by
//! a run of the model, and tells them.
//!
//! It is a request so that it needs nothing of its own: an executor runs it, a waker brings it back, and dropping its handle
//! ends it without waiting.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use inferry_core::device::{CompiledModel, Work};
use inferry_core::executor::{Budget, Lend};
use inferry_core::request::{Bindings, Failure, InferError, PrepareError, Settled};
use inferry_core::{Dim, InferErrorKind, Pipeline, Port, Request, Shape, Turn};

use super::stop::{Next, Passenger, Stop};

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
        let (number, stop) = (self.number, self.stop.clone());
        Ok(Box::new(Bus { number, stop, batch, aboard: Vec::new(), riding: None, alarm: None }))
    }
}

struct Bus {
    number: usize,
    stop: Arc<Stop>,
    /// The request that computes the batches.
    batch: Request,
    aboard: Vec<Passenger>,
    /// The end of the run under way.
    riding: Option<Settled>,
    alarm: Option<u64>,
}

impl Bus {
    /// Waits at the stop; ready when passengers are aboard and their run has started.
    fn wait(&mut self, turn: &Turn<'_>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.forget_alarm();
            match self.stop.next(self.number, cx.waker()) {
                Next::Go(tasks) => {
                    let lend = Lend { parallel: turn.parallel(), budget: Budget::Unlimited };
                    tasks.into_iter().for_each(|task| task.run(&lend));
                }
                Next::Wait(due) => {
                    self.alarm = due.map(|due| self.stop.timer().wake_at(due, cx.waker().clone()));
                    return Poll::Pending;
                }
            }
            self.aboard = self.stop.depart();
            // All of them may have been cancelled before they were aboard.
            if self.aboard.is_empty() {
                continue;
            }
            match self.start() {
                Ok(()) => return Poll::Ready(()),
                Err(error) => self.arrive(Err(error)),
            }
        }
    }

    fn start(&mut self) -> Result<(), InferError> {
        for index in 0..self.batch.inputs().len() {
            let rows = rows(&self.batch.inputs()[index], self.stop.size(), self.aboard.len());
            let tensor = self.batch.input_mut(index)?;
            set_rows(tensor, rows)?;
            let (range, row) = (tensor.byte_range(), tensor.byte_len() / rows.max(1));
            let mut lease = tensor.lease_write().map_err(device)?;
            let (filled, rest) = lease.bytes_mut()[range].split_at_mut(row * self.aboard.len());
            for (at, (ticket, trip)) in self.aboard.iter().enumerate() {
                let to = &mut filled[at * row..][..row];
                // A passenger that has got off leaves an empty seat.
                if ticket.inputs(*trip, |inputs| to.copy_from_slice(&inputs[index])).is_none() {
                    to.fill(0);
                }
            }
            rest.fill(0);
        }
        self.batch.start()?.detach();
        self.riding = Some(self.batch.observer().settled());
        Ok(())
    }

    /// The run is over: gives each passenger its rows, or the error.
    fn arrive(&mut self, ended: Result<(), InferError>) {
        for (at, (ticket, trip)) in std::mem::take(&mut self.aboard).iter().enumerate() {
            ticket.end(*trip, |outputs| {
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

    fn forget_alarm(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            self.stop.timer().forget(alarm);
        }
    }
}

impl Work for Bus {
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
            if let Some(riding) = &mut self.riding {
                let outcome = ready!(Pin::new(riding).poll(cx));
                self.riding = None;
                let error = outcome.and_then(|outcome| outcome.error);
                self.arrive(error.map_or(Ok(()), Err));
            }
            ready!(self.wait(turn, cx));
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.forget_alarm();
        self.stop.close(self.number);
    }
}

/// How many rows a batch of so many passengers has: a model of a fixed size computes empty seats as well.
fn rows(port: &Port, size: usize, passengers: usize) -> usize {
    match port.shape.dims().and_then(|dims| dims.first()) {
        Some(Dim::Fixed(_)) => size,
        _ => passengers,
    }
}

fn set_rows(tensor: &mut inferry_core::Tensor, rows: usize) -> Result<(), InferError> {
    let mut extents = tensor.shape().to_vec();
    extents[0] = rows;
    tensor.set_shape(Shape::new(&extents).map_err(device)?).map_err(device)
}

fn device(error: impl Into<inferry_core::request::BoxError>) -> InferError {
    InferError::new(InferErrorKind::Device, error)
}
