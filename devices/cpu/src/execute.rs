//! A plan as a resumable sequence of blocks of tiles.
//!
//! The resume point is a [`Position`]: a stack of frames (one a nested block of the plan), each with the step, the phase of
//! its kernel and the next tile. [`advance`] runs from there until the end, until somebody asks the run to stop, or until
//! the turn's slice is used up; it looks between any two blocks of tiles, and a block is as many tiles as are estimated to
//! take half a millisecond. With more threads behind the turn, a block that is worth it is spread over them.
//!
//! Which bytes a step touches is the plan's business, whether it may is the arena's.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{Parallel, Turn};

use crate::arena::{Bound, Lent, Meter, OutOfMemory, Width, Workspace};
use crate::compile::Shared;
use crate::kernel::fault::Fault;
use crate::kernel::{Kernel, Phase};
use crate::late::LateState;
use crate::plan::{Label, NodeError, Plan, PlanError, Step};
use crate::profile::Times;
use crate::sequence::{ObjectState, ObjectStep};
use crate::trips::LoopState;

/// Estimated nanoseconds of work that a thread does between two looks at the turn. The estimates are rough, so that this
/// is well below the 2 ms that a look may be late.
const BLOCK: u64 = 500_000;

/// Estimated nanoseconds of work below which waking other threads costs more than it saves.
const WORTH_A_FORK: u64 = 30_000;

/// True when so many tiles of a phase are worth spreading over several threads.
pub(crate) fn worth_a_fork(phase: &Phase, tiles: usize) -> bool {
    !phase.serial && tiles > 1 && phase.cost.saturating_mul(tiles as u64) >= WORTH_A_FORK
}

/// Into how many pieces a forked block is cut for each thread, so that they finish together.
const PIECES: usize = 4;

/// Where a run stands.
#[derive(Default)]
pub(crate) struct Position {
    /// The blocks entered, the innermost last.
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Frame {
    block: u32,
    step: u32,
    phase: u32,
    tile: usize,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Every step has run.
    Done,
    /// The slice is used up.
    Paused,
}

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was asked to.
    Stopped,
    /// A node cannot run.
    Node(Label, NodeError),
    /// A node failed on the numbers that it was given.
    Fault(Label, Fault),
    /// A block cannot run.
    Broken(PlanError),
    /// There is no memory for a step.
    Memory(Label, OutOfMemory),
}

/// A plan, and what belongs to it in a run besides memory.
pub(crate) struct Machine<'a, 'c> {
    pub(crate) plan: &'a Plan,
    pub(crate) states: &'a mut States,
    pub(crate) common: &'a mut Common<'c>,
}

/// What the plans of a model and of its loops' bodies have in common in a run.
pub(crate) struct Common<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// Trips that the loops of the run may still make together.
    pub(crate) trips: u64,
}

/// What a work remembers of the steps of a plan.
#[derive(Default)]
pub(crate) struct States {
    pub(crate) lates: Vec<LateState>,
    pub(crate) loops: Vec<LoopState>,
    pub(crate) objects: Vec<ObjectState>,
    pub(crate) times: Times,
}

impl States {
    /// Room for the steps of a plan; `measured` when their times are kept. What the bodies of loops take counts.
    pub(crate) fn new(plan: &Plan, measured: bool, meter: &Meter) -> Result<States, OutOfMemory> {
        let mut states = States::default();
        states.lates.resize_with(plan.lates, LateState::default);
        states.loops.resize_with(plan.loops, LoopState::default);
        states.objects.resize_with(plan.object_steps, ObjectState::default);
        for step in plan.blocks.iter().flat_map(|block| &block.steps) {
            if let Step::Loop(step) = step {
                states.loops[step.state] = LoopState::new(step, measured, meter)?;
            }
        }
        if measured {
            states.times.reserve(plan);
        }
        Ok(states)
    }

    /// Forgets what was measured in the run before.
    pub(crate) fn begin(&mut self) {
        self.times.begin();
        self.loops.iter_mut().for_each(LoopState::begin);
        self.objects.iter_mut().for_each(ObjectState::begin);
    }
}

impl Position {
    /// Makes room for the blocks of a plan.
    pub(crate) fn reserve(&mut self, plan: &Plan) {
        self.frames.clear();
        self.frames.reserve(plan.depth);
    }

    /// Back to the first step.
    pub(crate) fn begin(&mut self) {
        self.frames.clear();
        self.frames.push(Frame::default());
    }
}

/// Runs on from `position`. After an error the position means nothing.
pub(crate) fn advance(
    machine: &mut Machine<'_, '_>,
    position: &mut Position,
    lent: &mut Lent<'_>,
    turn: &Turn<'_>,
) -> Result<Progress, Halt> {
    let parallel = turn.parallel();
    let mut pace = Pace { turn, parallel, most: parallel.max_width().max(1), first: true };
    run(machine, position, lent, &mut pace)
}

/// As [`advance`], for a plan within a turn that others share.
pub(crate) fn run(
    machine: &mut Machine<'_, '_>,
    position: &mut Position,
    lent: &mut Lent<'_>,
    pace: &mut Pace<'_>,
) -> Result<Progress, Halt> {
    let Machine { plan, states: States { lates, loops, objects, times }, common } = machine;
    let shared: &Shared = common.shared;
    let clock = shared.options.profile.as_deref();
    while let Some(frame) = position.frames.last_mut() {
        let Some(step) = plan.blocks[frame.block as usize].steps.get(frame.step as usize) else {
            position.frames.pop();
            if let Some(outer) = position.frames.last_mut() {
                outer.next();
            }
            continue;
        };
        if let Step::Branch(step) = step {
            let taken = lent.read(step.condition).first().is_some_and(|byte| *byte != 0);
            let block = step.blocks[usize::from(!taken)];
            if let Some(broken) = &plan.blocks[block as usize].broken {
                return Err(Halt::Broken(broken.clone()));
            }
            position.frames.push(Frame { block, ..Frame::default() });
            continue;
        }
        if let Step::Loop(step) = step {
            // The frame only says whether the loop has begun; it stands where its own state says.
            let enter = core::mem::replace(&mut frame.phase, 1) == 0;
            match step.advance(&mut loops[step.state], lent, common, pace, enter)? {
                Progress::Done => frame.next(),
                Progress::Paused => return Ok(Progress::Paused),
            }
            continue;
        }
        if let Step::Object(step) = step {
            let (block, number) = (frame.block, frame.step);
            let began = clock.map(|clock| clock.now());
            let progress = run_object(step, &mut objects[step.state], frame, lent, shared, pace);
            if let (Some(clock), Some(began)) = (clock, began) {
                times.add(block, number, clock.now().saturating_sub(began));
            }
            match progress? {
                Progress::Done => frame.next(),
                Progress::Paused => return Ok(Progress::Paused),
            }
            continue;
        }
        let (kernel, label, until, bound) = match step {
            Step::Kernel(step) => {
                let kernel = &*step.kernel;
                let until = kernel.phases().len();
                let (reads, writes) = (step.reads.iter().copied(), step.writes.iter().copied());
                let workspace = Workspace::Planned(step.workspace);
                let bound = lent.bind(reads, writes, workspace, kernel.scratch(), pace.width_for(kernel));
                (kernel, &step.label, until, bound)
            }
            Step::Late(step) => {
                let state = &mut lates[step.state];
                if (frame.phase, frame.tile) == (0, 0) {
                    step.prepare(state, lent, shared.isa, &shared.packs)
                        .map_err(|error| Halt::Node(step.label.clone(), error))?;
                }
                let kernel = state.kernel();
                let mut until = kernel.phases().len();
                match kernel.measures_after() {
                    0 => {}
                    phases if (frame.phase as usize) < phases => until = phases,
                    phases if (frame.phase as usize, frame.tile) == (phases, 0) => step
                        .make_measured(state, lent)
                        .map_err(|error| Halt::Node(step.label.clone(), error))?,
                    _ => {}
                }
                let reads = step.reads.iter().map(|operand| Some(operand.as_ref()?.place));
                let writes = step.writes.iter().map(|operand| operand.place);
                let workspace = Workspace::Side(kernel.workspace());
                let bound = lent.bind(reads, writes, workspace, kernel.scratch(), pace.width_for(kernel));
                (kernel, &step.label, until, bound)
            }
            Step::Branch(_) | Step::Loop(_) | Step::Object(_) => unreachable!("taken above"),
        };
        let mut bound = bound.map_err(|error| Halt::Memory(label.clone(), error))?;
        let (block, step) = (frame.block, frame.step);
        let began = clock.map(|clock| clock.now());
        let progress = pace.run(kernel, label, frame, until, &mut bound);
        if let (Some(clock), Some(began)) = (clock, began) {
            times.add(block, step, clock.now().saturating_sub(began));
        }
        match progress? {
            // How large the outputs are is known now; the same step goes on.
            Progress::Done if until < kernel.phases().len() => {}
            Progress::Done => frame.next(),
            Progress::Paused => return Ok(Progress::Paused),
        }
    }
    Ok(Progress::Done)
}

/// Goes on with a step that reads or makes sequences: its jobs, one after the other.
fn run_object(
    step: &ObjectStep,
    state: &mut ObjectState,
    frame: &mut Frame,
    lent: &mut Lent<'_>,
    shared: &Shared,
    pace: &mut Pace<'_>,
) -> Result<Progress, Halt> {
    if state.is_idle() {
        step.prepare(state, lent, shared.isa, &shared.packs)
            .map_err(|error| Halt::Node(step.label.clone(), error))?;
    }
    while let Some(job) = state.job() {
        let kernel = &*job.kernel;
        let (reads, writes) = (job.reads.iter().copied().map(Some), job.writes.iter().copied());
        let workspace = Workspace::Side(kernel.workspace());
        let bound = lent.bind(reads, writes, workspace, kernel.scratch(), pace.width_for(kernel));
        let mut bound = bound.map_err(|error| Halt::Memory(step.label.clone(), error))?;
        if let Progress::Paused = pace.run(kernel, &step.label, frame, kernel.phases().len(), &mut bound)? {
            return Ok(Progress::Paused);
        }
        (frame.phase, frame.tile) = (0, 0);
        state.job_done();
    }
    step.finish(state, lent);
    Ok(Progress::Done)
}

impl Frame {
    fn next(&mut self) {
        *self = Frame { block: self.block, step: self.step + 1, ..Frame::default() };
    }
}

/// How a turn goes on: block by block, looking in between.
pub(crate) struct Pace<'a> {
    turn: &'a Turn<'a>,
    parallel: &'a dyn Parallel,
    /// How many threads there will be at most.
    most: usize,
    /// No block has run in this turn yet: one does, however short the slice.
    first: bool,
}

impl Pace<'_> {
    /// For how many threads a kernel's operands have to be bound: threads come and go from kernel to kernel.
    #[inline]
    fn width_for(&self, kernel: &dyn Kernel) -> Width {
        let forks = |phase: &Phase| worth_a_fork(phase, phase.tiles);
        match self.most > 1 && kernel.phases().iter().any(forks) {
            true => Width { now: self.parallel.width().clamp(1, self.most), most: self.most },
            false => Width::ONE,
        }
    }

    /// Runs a kernel on from where the frame stands, up to phase `until`.
    fn run(
        &mut self,
        kernel: &dyn Kernel,
        label: &Label,
        frame: &mut Frame,
        until: usize,
        bound: &mut Bound<'_>,
    ) -> Result<Progress, Halt> {
        let width = bound.width();
        while let Some(phase) = kernel.phases()[..until].get(frame.phase as usize) {
            while frame.tile < phase.tiles {
                if let Progress::Paused = self.look()? {
                    return Ok(Progress::Paused);
                }
                let left = phase.tiles - frame.tile;
                let fork = width > 1 && worth_a_fork(phase, left);
                // Most phases of small models have one tile: no need to divide.
                let tiles = if left == 1 { 1 } else { block(phase, if fork { width } else { 1 }).min(left) };
                let end = frame.tile + tiles;
                if fork {
                    let piece = tiles.div_ceil(width * PIECES);
                    bound.fork(kernel, (frame.phase as usize, *phase), frame.tile..end, piece, self.parallel);
                } else {
                    bound.run(kernel, frame.phase as usize, *phase, frame.tile..end);
                }
                if let Some(fault) = bound.fault() {
                    return Err(Halt::Fault(label.clone(), fault.clone()));
                }
                frame.tile = end;
            }
            (frame.phase, frame.tile) = (frame.phase + 1, 0);
        }
        Ok(Progress::Done)
    }

    /// The turn itself.
    pub(crate) fn turn(&self) -> &Turn<'_> {
        self.turn
    }

    /// Asks the turn whether to go on with another block.
    #[inline]
    pub(crate) fn look(&mut self) -> Result<Progress, Halt> {
        if self.turn.stop_requested() {
            return Err(Halt::Stopped);
        }
        if !core::mem::take(&mut self.first) && self.turn.used_up() {
            return Ok(Progress::Paused);
        }
        Ok(Progress::Done)
    }
}

/// How many tiles make a block for so many threads.
#[inline]
fn block(phase: &Phase, threads: usize) -> usize {
    let tiles = (BLOCK / phase.cost.max(1)).max(1) as usize;
    tiles.saturating_mul(threads)
}
