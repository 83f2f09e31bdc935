//! From a draft to a plan: lifetimes, offsets, places.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;

use super::check;
use super::draft::{Bytes, Draft, DraftStep, LateDraft, RootKind};
use super::memory::{Lifetime, arrange};
use super::{Block, BranchStep, KernelStep, Plan, PlanError, PlannedOutput, Step};
use crate::arena::{Place, Region, Room};
use crate::late::{LateOperand, LateStep};
use crate::sequence::ObjectStep;
use crate::trips::LoopStep;

/// Gives every root and workspace its place.
pub(super) async fn finish(draft: Draft, pace: &mut Pace) -> Result<Plan, PlanError> {
    let layout = Layout::of(&draft, pace).await?;
    if cfg!(debug_assertions) {
        check::check(&draft, &layout);
    }
    let operands = draft.steps.iter().map(|step| reads(step).count().max(writes(step).count())).max();
    let last = last_reads(&draft);
    let Draft {
        steps,
        blocks,
        constants,
        inputs,
        outputs,
        slots,
        objects,
        lates,
        loops,
        object_steps,
        depth,
        ..
    } = draft;
    let (mut late, mut looped, mut object) = (0, 0, 0);
    let mut finished: Vec<Option<Step>> = Vec::with_capacity(steps.len());
    for (moment, step) in steps.into_iter().enumerate() {
        let place = |bytes: Bytes| layout.place(bytes);
        let operand = |draft: LateDraft| {
            let LateDraft { bytes, element, shape, constant, by_value } = draft;
            let last = matches!(bytes, Bytes::Object(object) if last[object as usize] == Some(moment));
            LateOperand { place: place(bytes), element, shape, constant, by_value, last }
        };
        finished.push(Some(match step {
            DraftStep::Kernel { kernel, reads, writes, label } => Step::Kernel(KernelStep {
                kernel,
                reads: reads.into_iter().map(|bytes| bytes.map(place)).collect(),
                writes: writes.into_iter().map(place).collect(),
                workspace: layout.workspaces[moment],
                label,
            }),
            DraftStep::Branch { condition, blocks } => {
                Step::Branch(BranchStep { condition: place(condition), blocks })
            }
            DraftStep::Loop { op, reads, writes, label, plans } => {
                looped += 1;
                let reads = reads.into_iter().map(|draft| draft.map(operand)).collect();
                let writes = writes.into_iter().map(|draft| draft.map(operand)).collect();
                Step::Loop(LoopStep { op, reads, writes, label, state: looped - 1, plans })
            }
            DraftStep::Object { op, reads, write, label } => {
                object += 1;
                let reads = reads.into_iter().map(|draft| draft.map(operand)).collect();
                let write = operand(*write);
                Step::Object(Box::new(ObjectStep { op, reads, write, label, state: object - 1 }))
            }
            DraftStep::Late { op, reads, writes, label } => {
                let reads: Box<[_]> = reads.into_iter().map(|draft| draft.map(operand)).collect();
                let writes: Box<[_]> = writes.into_iter().map(operand).collect();
                late += 1;
                Step::Late(LateStep { op, reads, writes, label, state: late - 1 })
            }
        }));
    }
    let mut take = |moment: usize| finished[moment].take().expect("a step is in one block");
    let blocks: Vec<Block> = blocks
        .into_iter()
        .map(|(steps, broken)| Block { steps: steps.into_iter().map(&mut take).collect(), broken })
        .collect();
    let (slots, objects) = (slots as usize, objects as usize);
    let room = Room { arena: layout.arena, slots, objects, operands: operands.unwrap_or(0) };
    Ok(Plan { blocks, constants, inputs, outputs, room, lates, loops, object_steps, depth })
}

/// For each object: the step that reads it once, and after which nobody does. None for an output, which is read when the run
/// is over.
fn last_reads(draft: &Draft) -> Vec<Option<usize>> {
    let mut last = vec![None; draft.objects as usize];
    for (moment, step) in draft.steps.iter().enumerate() {
        let objects = || reads(step).filter_map(Bytes::object);
        for object in objects() {
            let once = objects().filter(|other| *other == object).count() == 1;
            last[object as usize] = once.then_some(moment);
        }
    }
    for output in &draft.outputs {
        if let PlannedOutput::Object(object) = output {
            last[*object as usize] = None;
        }
    }
    last
}

/// Where everything of a draft lies.
pub(super) struct Layout {
    /// By root; of roots that are merged, the place of the root they are merged into.
    pub(super) roots: Vec<Place>,
    /// By step.
    pub(super) workspaces: Vec<Place>,
    pub(super) arena: usize,
}

impl Layout {
    async fn of(draft: &Draft, pace: &mut Pace) -> Result<Layout, PlanError> {
        // The lifetimes of the computed roots, then those of the workspaces.
        let mut lives: Vec<Option<Lifetime>> = vec![None; draft.roots.len()];
        for (moment, step) in draft.steps.iter().enumerate() {
            for bytes in reads(step).chain(writes(step)) {
                let Bytes::Root(root) = bytes else { continue };
                let root = draft.resolve(root);
                let bytes = draft.roots[root].bytes;
                let life = lives[root].get_or_insert(Lifetime { begin: moment, end: moment, bytes });
                life.end = moment;
            }
        }
        let computed = |root: &usize| draft.roots[*root].kind == RootKind::Computed;
        let in_arena: Vec<usize> = (0..draft.roots.len()).filter(computed).collect();
        let unused = Lifetime { begin: 0, end: 0, bytes: 0 };
        let mut values: Vec<Lifetime> = in_arena.iter().map(|root| lives[*root].unwrap_or(unused)).collect();
        values.extend(draft.steps.iter().enumerate().map(|(moment, step)| {
            let bytes = if let DraftStep::Kernel { kernel, .. } = step { kernel.workspace() } else { 0 };
            Lifetime { begin: moment, end: moment, bytes }
        }));
        let (offsets, arena) = arrange(&values, pace).await.ok_or(PlanError::TooLarge)?;
        let place =
            |index: usize| Place { region: Region::Arena, start: offsets[index], len: values[index].bytes };
        let mut roots: Vec<Place> = (0..draft.roots.len()).map(|root| elsewhere(draft, root)).collect();
        for (index, root) in in_arena.iter().enumerate() {
            roots[*root] = place(index);
        }
        let roots = (0..roots.len()).map(|root| roots[draft.resolve(root)]).collect();
        let workspaces = (0..draft.steps.len()).map(|moment| place(in_arena.len() + moment)).collect();
        Ok(Layout { roots, workspaces, arena })
    }

    fn place(&self, bytes: Bytes) -> Place {
        match bytes {
            Bytes::Root(root) => self.roots[root],
            Bytes::Slot(slot) => Place { region: Region::Slot(slot), start: 0, len: 0 },
            Bytes::Object(object) => Place { region: Region::Object(object), start: 0, len: 0 },
        }
    }
}

/// The place of a root that does not lie in the arena.
fn elsewhere(draft: &Draft, root: usize) -> Place {
    let region = match draft.roots[root].kind {
        RootKind::Input(port) => Region::Input(port),
        RootKind::Output(port) => Region::Output(port),
        RootKind::Constant(index) => Region::Constant(index),
        RootKind::Computed | RootKind::Is(_) => Region::Arena,
    };
    Place { region, start: 0, len: draft.roots[root].bytes }
}

/// What a step reads.
pub(super) fn reads(step: &DraftStep) -> Box<dyn Iterator<Item = Bytes> + '_> {
    match step {
        DraftStep::Kernel { reads, .. } => Box::new(reads.iter().copied().flatten()),
        DraftStep::Branch { condition, .. } => Box::new(core::iter::once(*condition)),
        DraftStep::Late { reads, .. } | DraftStep::Loop { reads, .. } | DraftStep::Object { reads, .. } => {
            Box::new(reads.iter().flatten().map(|draft| draft.bytes))
        }
    }
}

/// What a step writes.
pub(super) fn writes(step: &DraftStep) -> Box<dyn Iterator<Item = Bytes> + '_> {
    match step {
        DraftStep::Kernel { writes, .. } => Box::new(writes.iter().copied()),
        DraftStep::Branch { .. } => Box::new(core::iter::empty()),
        DraftStep::Late { writes, .. } => Box::new(writes.iter().map(|draft| draft.bytes)),
        DraftStep::Loop { writes, .. } => Box::new(writes.iter().flatten().map(|draft| draft.bytes)),
        DraftStep::Object { write, .. } => Box::new(core::iter::once(write.bytes)),
    }
}
