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

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use inferry_core::device::Work;
use inferry_core::request::{Bindings, Bound, Failure, InferErrorKind};
use inferry_core::{ElementType, NodeProfile, Step, Tensor, Turn};

use crate::arena::{Aside, Memory, OutOfMemory};
use crate::compile::{Kept, Planned, Shared};
use crate::execute::{Halt, Machine, Position, Progress, advance};
use crate::kernel::BuildError;
use crate::kernel::fault::{Fault, Faults};
use crate::late::LateState;
use crate::plan::{NodeCause, NodeError, Plan, PlanError, PlannedOutput};
use crate::profile::Times;
use crate::spell;
use crate::stored::width;
use crate::text::{LIMIT, Texts};
use crate::transfer::{Elements, Transfer};

/// The work of one request on the CPU. See the [module](self).
pub(crate) struct CpuWork {
    shared: Arc<Shared>,
    /// The plan of the run before, or of this one.
    kept: Option<Kept>,
    /// The plan that is being made for this run.
    planned: Option<Planned>,
    memory: Memory,
    aside: Aside,
    lates: Vec<LateState>,
    at: At,
    position: Position,
    times: Times,
}

/// Where a run stands.
#[derive(Clone, Copy)]
enum At {
    Start,
    /// The plan is being made.
    Plan,
    /// Input `port` is being gathered.
    Gather {
        port: usize,
        transfer: Transfer,
    },
    Steps,
    /// Output `port` is being scattered.
    Scatter {
        port: usize,
        transfer: Transfer,
    },
}

impl CpuWork {
    /// A work with the memory that is known to be needed.
    pub(crate) fn new(shared: Arc<Shared>) -> Result<CpuWork, OutOfMemory> {
        let mut work = CpuWork {
            kept: None,
            planned: None,
            memory: Memory::default(),
            aside: Aside { faults: Faults::none(), texts: Texts::new(shared.packs.words().clone(), LIMIT) },
            lates: Vec::new(),
            at: At::Start,
            position: Position::default(),
            times: Times::default(),
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
        let Plan { arena, slots, operands, lates, .. } = *kept.plan;
        self.memory.reserve(arena, slots, operands)?;
        self.lates.clear();
        self.lates.resize_with(lates, LateState::default);
        self.position.reserve(&kept.plan);
        if self.shared.options.profile.is_some() {
            self.times.reserve(&kept.plan);
        }
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
                At::Gather { port, .. } if port == io.inputs().len() => {
                    self.position.begin();
                    self.at = At::Steps;
                }
                At::Gather { port, transfer } => self.gather(io, port, transfer)?,
                At::Steps => match self.steps(io, turn)? {
                    Progress::Done => self.at = At::Scatter { port: 0, transfer: Transfer::default() },
                    Progress::Paused => return Ok(Progress::Paused),
                },
                At::Scatter { port, .. } if port == io.outputs().len() => {
                    self.at = At::Start;
                    return Ok(Progress::Done);
                }
                At::Scatter { port, transfer } => self.scatter(io, port, transfer)?,
            }
            // The steps look for themselves; a piece of a transfer is a block like any other.
            if let At::Gather { transfer, .. } | At::Scatter { transfer, .. } = self.at
                && transfer.is_under_way()
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
            let Some(kept) = self.shared.kept(shapes.clone()) else {
                self.planned = Some(self.shared.clone().plan_steps(shapes.cloned().collect()));
                self.at = At::Plan;
                return Ok(());
            };
            self.take(kept).map_err(no_memory)?;
        }
        let plan = &self.kept.as_ref().expect("taken above").plan;
        for (bound, planned) in outputs.iter_mut().zip(&plan.outputs) {
            if let PlannedOutput::Shape(shape) = planned {
                bound.set_shape(shape).map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
            }
        }
        for (port, bound) in outputs.iter().enumerate() {
            if is_staged(bound) {
                self.memory.staged_output(port, stored_len(bound.tensor())).map_err(no_memory)?;
            }
        }
        self.at = At::Gather { port: 0, transfer: Transfer::default() };
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

    fn gather(&mut self, io: &Bindings, port: usize, mut transfer: Transfer) -> Result<(), Failure> {
        let bound = &io.inputs()[port];
        let tensor = bound.tensor();
        if tensor.element() == ElementType::String {
            let dense = self.memory.staged_input(port, stored_len(tensor)).map_err(no_memory)?;
            let numbers = bytemuck::cast_slice_mut(dense);
            let more = spell::number(bound, numbers, &mut transfer, &mut self.aside.texts);
            let more = more.map_err(|fault| self.unnumbered(port, fault))?;
            self.at = match more {
                true => At::Gather { port, transfer },
                false => At::Gather { port: port + 1, transfer: Transfer::default() },
            };
            return Ok(());
        }
        let more = is_staged(bound) && {
            let dense = self.memory.staged_input(port, stored_len(tensor)).map_err(no_memory)?;
            let bound = &bound.bytes()[tensor.byte_range()];
            let elements = Elements::Gather { bound, dense };
            transfer.piece(tensor.layout(), tensor.element(), elements).map_err(Failure::device)?
        };
        self.at = match more {
            true => At::Gather { port, transfer },
            false => At::Gather { port: port + 1, transfer: Transfer::default() },
        };
        Ok(())
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
        let mut machine = Machine {
            plan,
            isa: self.shared.isa,
            packs: &self.shared.packs,
            lates: &mut self.lates,
            times: self.shared.options.profile.as_deref().map(|clock| (clock, &mut self.times)),
        };
        advance(&mut machine, &mut self.position, &mut lent, turn).map_err(halted)
    }

    /// The strings of input `port` are too much.
    fn unnumbered(&self, port: usize, fault: Fault) -> Failure {
        let name = self.shared.inputs[port].name.clone();
        Failure::new(kind(&fault), StringsError { name, fault })
    }

    /// Copies an output to where it was wanted, unless it was computed there.
    fn scatter(&mut self, io: &mut Bindings, port: usize, mut transfer: Transfer) -> Result<(), Failure> {
        let planned = &self.kept.as_ref().expect("taken at the start").plan.outputs[port];
        let (_, outputs) = io.split();
        let bound = &mut outputs[port];
        let dense: Option<&[u8]> = match planned {
            PlannedOutput::Slot(slot) => {
                let (shape, dense) = self.memory.slot(*slot);
                bound.set_shape(shape).map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
                Some(dense)
            }
            PlannedOutput::Shape(_) if is_staged(bound) => {
                let len = stored_len(bound.tensor());
                Some(self.memory.staged_output(port, len).map_err(no_memory)?)
            }
            PlannedOutput::Shape(_) => None,
        };
        let more = match dense {
            Some(numbers) if bound.tensor().element() == ElementType::String => {
                let more = spell::out(bytemuck::cast_slice(numbers), bound, &mut transfer, &self.aside.texts);
                more.map_err(|bytes| no_memory(OutOfMemory(bytes)))?
            }
            Some(dense) => {
                let (layout, element) = (bound.tensor().layout().clone(), bound.tensor().element());
                let range = bound.tensor().byte_range();
                let elements = Elements::Scatter { dense, bound: &mut bound.bytes_mut()[range] };
                transfer.piece(&layout, element, elements).map_err(Failure::device)?
            }
            None => false,
        };
        self.at = match more {
            true => At::Scatter { port, transfer },
            false => At::Scatter { port: port + 1, transfer: Transfer::default() },
        };
        Ok(())
    }
}

impl Work for CpuWork {
    fn begin(&mut self) {
        self.at = At::Start;
        self.planned = None;
        self.times.begin();
    }

    fn give_up(&mut self) {
        self.planned = None;
    }

    fn profile(&self) -> Vec<NodeProfile> {
        match &self.kept {
            Some(kept) if self.shared.options.profile.is_some() => {
                self.times.profile(&kept.plan, &self.shared.nodes)
            }
            _ => Vec::new(),
        }
    }

    fn release_memory(&mut self) {
        // Without a plan the next run makes room again.
        self.kept = None;
        self.planned = None;
        self.lates = Vec::new();
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
    let element = bound.tensor().element();
    !bound.tensor().is_dense() || element == ElementType::String || element.is_packed()
}

/// How many bytes its elements take in the device.
fn stored_len(tensor: &Tensor) -> usize {
    tensor.len() * width(tensor.element())
}

/// The strings of an input cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("input {name:?}: {fault}")]
struct StringsError {
    name: Arc<str>,
    fault: Fault,
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
