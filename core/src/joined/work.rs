//! The work of one request of a joined model: the works of the parts, what goes between them, and where the run stands.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::task::{Context, Poll, ready};

use super::{PartFailure, Slot, Wired, Wiring};
use crate::device::Work;
use crate::port::Side;
use crate::profile::NodeProfile;
use crate::request::{BindError, Bindings, Bound, Failure, InferErrorKind, PrepareError};
use crate::turn::Turn;

/// The work of one request. See the [module](self).
pub(super) struct JoinedWork {
    wiring: Arc<Wiring>,
    parts: Box<[PartWork]>,
    /// What lies between the parts, by the numbers of the wiring; empty when the memory has been given back.
    values: Vec<Bound>,
    /// The step that comes next, or is under way.
    next: usize,
    /// The part of which a stage has been polled and the last one is not over.
    under_way: Option<usize>,
}

struct PartWork {
    work: Box<dyn Work>,
    /// Ports with nothing bound to them but while a stage of this part is polled.
    io: Bindings,
}

impl JoinedWork {
    pub(super) fn new(wiring: Arc<Wiring>) -> Result<JoinedWork, PrepareError> {
        let prepare = |part: &Wired| {
            let io = Bindings::vacant(part.model.inputs(), part.model.outputs());
            Ok(PartWork { work: part.model.prepare()?, io })
        };
        let parts = wiring.parts.iter().map(prepare).collect::<Result<_, PrepareError>>()?;
        let mut work = JoinedWork { parts, values: Vec::new(), next: 0, under_way: None, wiring };
        work.make_room()?;
        Ok(work)
    }

    /// Takes memory for what lies between the parts, unless it is there. Nobody else ever sees these tensors, so their leases
    /// are held as long as they live.
    fn make_room(&mut self) -> Result<(), BindError> {
        if self.values.is_empty() {
            let values = self.wiring.values.iter().map(Bound::owned).collect::<Result<_, _>>()?;
            self.values = values;
        }
        Ok(())
    }

    fn poll_step(
        &mut self,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (part, stage) = self.wiring.steps[self.next];
        let wired = &self.wiring.parts[part];
        let lent = Lent::new(wired, &mut self.parts[part], &mut self.values, io);
        let polled = if self.under_way.replace(part) == Some(part) {
            lent.part.work.poll_stage(stage, &mut lent.part.io, turn, cx)
        } else {
            match lent.part.io.check_inputs() {
                Ok(()) => lent.part.work.poll_stage(stage, &mut lent.part.io, turn, cx),
                Err(error) => Poll::Ready(Err(Failure::new(InferErrorKind::InvalidInput, error))),
            }
        };
        drop(lent);
        let ended = ready!(polled);
        Poll::Ready(ended.map_err(|failure| {
            failure.inside(|source| {
                let stage = wired.model.stages()[stage].name;
                Box::new(PartFailure { part, device: wired.device.clone(), stage, source })
            })
        }))
    }

    /// The step that was polled is over.
    fn advance(&mut self) {
        let (part, _) = self.wiring.steps[self.next];
        let is_over = self.parts[part].work.is_over();
        let of_part = |step: &usize| self.wiring.steps.get(*step).is_some_and(|(other, _)| *other == part);
        self.next += 1;
        while is_over && of_part(&self.next) {
            self.next += 1;
        }
        if !of_part(&self.next) {
            self.under_way = None;
        }
    }
}

impl Work for JoinedWork {
    fn begin(&mut self) {
        self.next = 0;
        self.under_way = None;
        // Those as well to which the run may not come: what they did in the run before is forgotten.
        self.parts.iter_mut().for_each(|part| part.work.begin());
    }

    fn give_up(&mut self) {
        if let Some(part) = self.under_way.take() {
            self.parts[part].work.give_up();
        }
    }

    fn profile(&self) -> Vec<NodeProfile> {
        let of_part = |(part, wired): (&PartWork, &Wired)| {
            let device = wired.device.clone();
            part.work.profile().into_iter().map(move |node| node.on(device.clone()))
        };
        self.parts.iter().zip(&self.wiring.parts).flat_map(of_part).collect()
    }

    fn is_over(&self) -> bool {
        self.next == self.wiring.steps.len()
    }

    fn release_memory(&mut self) {
        self.parts.iter_mut().for_each(|part| part.work.release_memory());
        self.values = Vec::new();
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.make_room().map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
        let end = self.wiring.stages[stage].end;
        while self.next < end {
            ready!(self.poll_step(io, turn, cx))?;
            self.advance();
            // Between two stages that have become one.
            if self.next < end {
                ready!(turn.poll_between(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A part that has what it reads and writes for itself. When this is dropped, also by a panic of the part, everything is back in
/// its place: the user's tensors must not be lost with a work that is in doubt.
struct Lent<'a> {
    wired: &'a Wired,
    part: &'a mut PartWork,
    values: &'a mut [Bound],
    whole: &'a mut Bindings,
}

impl<'a> Lent<'a> {
    fn new(
        wired: &'a Wired,
        part: &'a mut PartWork,
        values: &'a mut [Bound],
        whole: &'a mut Bindings,
    ) -> Lent<'a> {
        let mut lent = Lent { wired, part, values, whole };
        lent.exchange();
        lent
    }

    /// Exchanges what is bound to the part's ports for what is in their slots. No two ports of a part have the same slot, so
    /// doing it again takes it back.
    fn exchange(&mut self) {
        let Lent { wired, part, values, whole } = self;
        for (side, slots) in [(Side::Input, &wired.inputs), (Side::Output, &wired.outputs)] {
            for (port, slot) in slots.iter().enumerate() {
                let kept = match *slot {
                    Slot::Input(input) => whole.bound_mut(Side::Input, input),
                    Slot::Output(output) => whole.bound_mut(Side::Output, output),
                    Slot::Value(value) => &mut values[value],
                };
                mem::swap(part.io.bound_mut(side, port), kept);
            }
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.exchange();
    }
}
