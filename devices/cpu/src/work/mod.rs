//! The work of one request: its memory, the plan it runs, and where the run stands.
//!
//! ```text
//!  Start ─▶ Gather ─▶ Steps ─▶ Scatter ─▶ done
//!   ╰▶ Plan  (strided   (the     (strided outputs, and those whose
//!  (once)     inputs)    plan)    shape is known only now)
//! ```
//!
//! Each arrow is also a place to be interrupted; within Gather, Steps and Scatter there are many more. A turn that ends early
//! leaves the position where it is, and the next poll goes on there. A run that was given up is forgotten by `begin`.
//! Memory grows to what the largest run needed and stays, so that a repeated shape takes none.

mod boundary;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use inferry_core::device::Work;
use inferry_core::request::{Bindings, Bound, Failure, InferErrorKind};
use inferry_core::{ElementType, NodeProfile, Step, Turn};

use self::boundary::stored_len;
use crate::arena::{Aside, Item, Memory, Meter, OutOfMemory};
use crate::compile::{Planned, Shared};
use crate::execute::{Common, Halt, Machine, Position, Progress, States, advance};
use crate::kernel::BuildError;
use crate::kernel::fault::{Fault, Faults};
use crate::plan::{NodeCause, NodeError, PlanError, PlannedOutput};
use crate::plans::Kept;
use crate::profile;
use crate::text::Texts;
use crate::transfer::Transfer;

/// The work of one request on the CPU. See the [module](self).
pub(crate) struct CpuWork {
    shared: Arc<Shared>,
    /// The plan of the run before, or of this one.
    kept: Option<Kept>,
    /// The plan that is being made for this run.
    planned: Option<Planned>,
    memory: Memory,
    aside: Aside,
    states: States,
    at: At,
    position: Position,
    /// Trips that the loops of the run may still make.
    trips: u64,
    /// The tensors of an input that is a sequence, while they are gathered.
    items: Vec<Item>,
}

/// Where a run stands.
#[derive(Clone, Copy)]
enum At {
    Start,
    /// The plan is being made.
    Plan,
    /// Input `port` is being gathered.
    Gather(Place),
    Steps,
    /// Output `port` is being scattered.
    Scatter(Place),
}

/// Where a copy between a port and the memory stands.
#[derive(Clone, Copy, Default)]
struct Place {
    port: usize,
    /// Which of its tensors, for a sequence.
    item: usize,
    transfer: Transfer,
}

impl CpuWork {
    /// A work with the memory that is known to be needed.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<CpuWork, OutOfMemory> {
        let limits = shared.options.limits;
        let texts = Texts::new(shared.packs.words().clone(), limits.strings);
        let mut work = CpuWork {
            kept: None,
            planned: None,
            memory: Memory::new(Meter::of(limits.memory)),
            aside: Aside { faults: Faults::none(), texts },
            states: States::default(),
            at: At::Start,
            position: Position::default(),
            trips: 0,
            items: Vec::new(),
            shared,
        };
        work.memory.reserve_ports(work.shared.inputs.len(), work.shared.outputs.len());
        if let Some(kept) = work.shared.only_plan() {
            work.take(kept)?;
        }
        Ok(work)
    }

    /// Makes `kept` the plan of this work, with memory for it.
    fn take(&mut self, kept: Kept) -> Result<(), OutOfMemory> {
        self.memory.reserve(kept.plan.room)?;
        self.position.reserve(&kept.plan);
        // Of the plan before nothing is kept while room is made for this one.
        self.states = States::default();
        self.states = States::new(&kept.plan, self.shared.options.profile.is_some(), self.memory.meter())?;
        self.kept = Some(kept);
        Ok(())
    }

    fn turn(&mut self, io: &mut Bindings, turn: &Turn<'_>) -> Result<Progress, Failure> {
        loop {
            match self.at {
                At::Start => self.start(io, turn)?,
                At::Plan => match self.plan(turn)? {
                    Progress::Done => self.at = At::Start,
                    Progress::Paused => return Ok(Progress::Paused),
                },
                At::Gather(Place { port, .. }) if port == io.inputs().len() => {
                    self.position.begin();
                    self.at = At::Steps;
                }
                At::Gather(place) => self.at = At::Gather(self.gather(io, place)?),
                At::Steps => match self.steps(io, turn)? {
                    Progress::Done => self.at = At::Scatter(Place::default()),
                    Progress::Paused => return Ok(Progress::Paused),
                },
                At::Scatter(Place { port, .. }) if port == io.outputs().len() => {
                    self.at = At::Start;
                    return Ok(Progress::Done);
                }
                At::Scatter(place) => self.at = At::Scatter(self.scatter(io, place)?),
            }
            // The steps look for themselves; a piece of a transfer is a block like any other.
            if let At::Gather(Place { transfer, item, .. }) | At::Scatter(Place { transfer, item, .. }) =
                self.at
                && (transfer.is_under_way() || item > 0)
            {
                if turn.stop_requested() {
                    return Err(Failure::stopped());
                }
                if turn.used_up() {
                    return Ok(Progress::Paused);
                }
            }
        }
    }

    /// Finds the plan and gives the outputs their shapes.
    fn start(&mut self, io: &mut Bindings, turn: &Turn<'_>) -> Result<(), Failure> {
        if turn.stop_requested() {
            return Err(Failure::stopped());
        }
        self.aside.begin();
        let (inputs, outputs) = io.split();
        let shapes = inputs.iter().map(|bound| bound.tensor().shape());
        if !self.kept.as_ref().is_some_and(|kept| shapes.clone().eq(kept.shapes.iter())) {
            let Some(kept) = self.shared.plans.find(shapes.clone()) else {
                self.planned = Some(self.shared.clone().plan_steps(shapes.cloned().collect()));
                self.at = At::Plan;
                return Ok(());
            };
            self.take(kept).map_err(no_memory)?;
        }
        let plan = &self.kept.as_ref().expect("taken above").plan;
        for (bound, planned) in outputs.iter_mut().zip(&plan.outputs) {
            if let PlannedOutput::Shape(shape) = planned {
                self.shared.fits(bound.tensor().element(), shape).map_err(no_memory)?;
                bound.set_shape(shape).map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
            }
        }
        for (port, bound) in outputs.iter().enumerate() {
            if is_staged(bound) {
                self.memory.staged_output(port, stored_len(bound.tensor())).map_err(no_memory)?;
            }
        }
        self.memory.begin();
        self.items.clear();
        self.at = At::Gather(Place::default());
        Ok(())
    }

    /// Goes on with the plan.
    fn plan(&mut self, turn: &Turn<'_>) -> Result<Progress, Failure> {
        let Some(planned) = &mut self.planned else { return Ok(Progress::Done) };
        let result = match planned.step(turn) {
            Step::Pending => return Ok(Progress::Paused),
            Step::Stopped => Err(Failure::stopped()),
            Step::Done(result) => result.map_err(unplanned),
        };
        self.planned = None;
        self.take(result?).map_err(no_memory)?;
        Ok(Progress::Done)
    }

    fn steps(&mut self, io: &mut Bindings, turn: &Turn<'_>) -> Result<Progress, Failure> {
        let plan = &self.kept.as_ref().expect("taken at the start").plan;
        let (inputs, outputs) = io.split();
        let inputs = inputs.iter().map(|bound| {
            let range = bound.tensor().byte_range();
            (!is_staged(bound)).then(|| bound.bytes().get(range).unwrap_or_default())
        });
        let outputs = outputs.iter_mut().map(|bound| {
            let range = bound.tensor().byte_range();
            if is_staged(bound) { None } else { Some(bound.bytes_mut().get_mut(range).unwrap_or_default()) }
        });
        let mut lent = self.memory.lend(&mut self.aside, &plan.constants, inputs, outputs);
        let mut common = Common { shared: &self.shared, trips: self.trips };
        let mut machine = Machine { plan, states: &mut self.states, common: &mut common };
        let progress = advance(&mut machine, &mut self.position, &mut lent, turn);
        self.trips = common.trips;
        progress.map_err(halted)
    }
}

impl Work for CpuWork {
    fn begin(&mut self) {
        self.at = At::Start;
        self.planned = None;
        self.trips = self.shared.options.limits.trips;
        self.states.begin();
    }

    fn give_up(&mut self) {
        self.planned = None;
    }

    fn profile(&self) -> Vec<NodeProfile> {
        match &self.kept {
            Some(kept) if self.shared.options.profile.is_some() => {
                profile::profile(&kept.plan, &self.states, &self.shared.nodes)
            }
            _ => Vec::new(),
        }
    }

    fn release_memory(&mut self) {
        // Without a plan the next run makes room again.
        self.kept = None;
        self.planned = None;
        self.states = States::default();
        self.memory.release();
        self.aside.texts.release();
        self.at = At::Start;
    }

    fn poll_stage(
        &mut self,
        _stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match self.turn(io, turn) {
            Ok(Progress::Done) => Poll::Ready(Ok(())),
            Ok(Progress::Paused) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(failure) => {
                self.at = At::Start;
                Poll::Ready(Err(failure))
            }
        }
    }
}

/// True when kernels cannot use the bound tensor in place.
fn is_staged(bound: &Bound) -> bool {
    // The tensors of a sequence or an optional are copied one by one.
    let element = bound.tensor().element();
    bound.parts().is_none()
        && (!bound.tensor().is_dense() || element == ElementType::String || element.is_packed())
}

fn kind(fault: &Fault) -> InferErrorKind {
    match fault {
        Fault::Texts { .. } | Fault::Memory { .. } => InferErrorKind::OutOfMemory,
        _ => InferErrorKind::Operator,
    }
}

fn no_memory(error: OutOfMemory) -> Failure {
    Failure::new(InferErrorKind::OutOfMemory, error)
}

fn unplanned(error: PlanError) -> Failure {
    match error {
        PlanError::Node { node, problem } => refused(problem).at(node),
        error @ PlanError::TooLarge => Failure::new(InferErrorKind::OutOfMemory, error),
    }
}

/// A node that cannot run, or for which there is no memory.
fn refused(error: NodeError) -> Failure {
    match error.cause {
        NodeCause::OutOfMemory(_) => Failure::new(InferErrorKind::OutOfMemory, error),
        // Shapes or types that came only now showed that there is no kernel.
        NodeCause::Build(BuildError::Element { .. } | BuildError::Operator(_)) => {
            Failure::new(InferErrorKind::Unsupported, error)
        }
        _ => Failure::operator(error),
    }
}

fn halted(halt: Halt) -> Failure {
    match halt {
        Halt::Stopped => Failure::stopped(),
        Halt::Node(label, error) => refused(error).at(&*label.name),
        Halt::Fault(label, fault) => Failure::new(kind(&fault), fault).at(&*label.name),
        Halt::Broken(error) => unplanned(error),
        Halt::Memory(label, error) => no_memory(error).at(&*label.name),
    }
}
