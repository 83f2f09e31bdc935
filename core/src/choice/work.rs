//! The work of one request of a choice: the work of the device that it is on, until a run begins and there is a better one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, ready};

use super::{Best, ChosenFailure, Seat};
use crate::device::Work;
use crate::profile::NodeProfile;
use crate::request::{Bindings, Failure, InferErrorKind, PrepareError, check_shape};
use crate::turn::Turn;

/// The work of one request. See the [module](self).
pub(super) struct ChoiceWork {
    best: Arc<Best>,
    seat: Seat,
    work: Box<dyn Work>,
    /// The device's stage that comes next, or is under way.
    next: usize,
    /// The tensors have been looked at.
    entered: bool,
}

impl ChoiceWork {
    pub(super) fn new(best: Arc<Best>) -> Result<ChoiceWork, PrepareError> {
        let seat = best.seat();
        let work = seat.candidate.model.prepare()?;
        Ok(ChoiceWork { best, seat, work, next: 0, entered: false })
    }

    /// Goes over to a better device. One that cannot make a request now is asked again at the next run.
    fn change_over(&mut self) {
        let seat = self.best.seat();
        if let Ok(work) = seat.candidate.model.prepare() {
            (self.seat, self.work) = (seat, work);
        }
    }

    /// The tensors fit the ports of the choice. Those of the device may know more.
    fn enter(&self, io: &mut Bindings) -> Result<(), Failure> {
        let model = &self.seat.candidate.model;
        let (inputs, outputs) = io.split();
        for (port, bound) in model.inputs().iter().zip(inputs) {
            check_shape(port, bound.tensor())
                .map_err(|error| Failure::new(InferErrorKind::InvalidInput, error))?;
        }
        for (port, bound) in model.outputs().iter().zip(outputs) {
            if let Some(shape) = port.shape.fixed() {
                bound.set_shape(&shape).map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
            }
        }
        Ok(())
    }

    fn stages(&self) -> usize {
        self.seat.candidate.model.stages().len()
    }
}

impl Work for ChoiceWork {
    fn begin(&mut self) {
        if self.best.is_better_than(self.seat.candidate.rank) {
            self.change_over();
        }
        (self.next, self.entered) = (0, false);
        self.work.begin();
    }

    fn give_up(&mut self) {
        self.work.give_up();
    }

    fn profile(&self) -> Vec<NodeProfile> {
        let device = &self.seat.candidate.device;
        self.work.profile().into_iter().map(|node| node.on(device.clone())).collect()
    }

    fn release_memory(&mut self) {
        self.work.release_memory();
    }

    fn is_over(&self) -> bool {
        self.next == self.stages()
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let end = self.seat.steps.get(stage).map_or(0, |steps| steps.end);
        while self.next < end {
            let entered = core::mem::replace(&mut self.entered, true);
            let polled = match if entered { Ok(()) } else { self.enter(io) } {
                Ok(()) => ready!(self.work.poll_stage(self.next, io, turn, cx)),
                Err(failure) => Err(failure),
            };
            polled.map_err(|failure| {
                failure.inside(|source| {
                    let candidate = &self.seat.candidate;
                    let stage = candidate.model.stages()[self.next].name;
                    ChosenFailure { device: candidate.device.clone(), stage, source }
                })
            })?;
            self.next = if self.work.is_over() { self.stages() } else { self.next + 1 };
            // Between two stages that stand on one.
            if self.next < end {
                ready!(turn.poll_between(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}
