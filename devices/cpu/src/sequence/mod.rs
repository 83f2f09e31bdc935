//! Sequences and optionals in a run: what each of their operators does.
//!
//! ```text
//!  Prepare ─▶ jobs, one after the other ─▶ finish ─▶ done
//!  (which tensors are    (kernels that copy    (the object that
//!   read, which made)     what is to be moved)  they make up)
//! ```
//!
//! A sequence is a list of counted tensors, so most of these operators move no elements: they exchange a list for another.
//! Where elements do move (a tensor goes in or comes out, a tensor is cut or put together), kernels move them, in tiles
//! like any others, so that a copy of a gigabyte can be interrupted too. These steps take memory in each run, for what they
//! make is as large as the numbers say; steps on tensors alone pay nothing for it.
//!
//! Which object lies where is the plan's business.

mod jobs;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::Kind;
use inferry_engine::op::{self, Op};

use crate::arena::{Item, Lent, Object, OutOfMemory, Place, Region};
use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::late::LateOperand;
use crate::pack::Packs;
use crate::plan::{Label, NodeCause, NodeError};

/// A node that reads or makes a sequence or an optional.
pub(crate) struct ObjectStep {
    /// What it does; `None` hands its input on.
    pub(crate) op: Option<Arc<dyn Op>>,
    pub(crate) reads: Box<[Option<LateOperand>]>,
    pub(crate) write: LateOperand,
    pub(crate) label: Label,
    /// Which of the work's [`ObjectState`]s is this step's.
    pub(crate) state: usize,
}

/// Where such a step stands.
#[derive(Default)]
pub(crate) struct ObjectState {
    /// It has been prepared and is not finished.
    under_way: bool,
    jobs: Vec<Job>,
    /// The job under way.
    next: usize,
    outcome: Outcome,
}

/// Elements to be moved.
pub(crate) struct Job {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) reads: Vec<Place>,
    pub(crate) writes: Vec<Place>,
}

/// What the step makes when its jobs are done.
#[derive(Default)]
enum Outcome {
    /// Only a tensor, which the jobs have written.
    #[default]
    Written,
    /// This object.
    Object(Object),
    /// The tensor that was held first, as an optional.
    Held,
    /// All tensors that were held, as a sequence.
    AllHeld,
    /// The tensor that was held first, in a sequence before the one at a position.
    Inserted(Object, usize),
}

/// True for operators that run as such steps, whatever their inputs are.
pub(crate) fn runs(op: &dyn Op) -> bool {
    op.downcast::<op::SequenceConstruct>().is_some()
        || op.downcast::<op::SequenceEmpty>().is_some()
        || op.downcast::<op::SequenceInsert>().is_some()
        || op.downcast::<op::SequenceErase>().is_some()
        || op.downcast::<op::SequenceAt>().is_some()
        || op.downcast::<op::SequenceLength>().is_some()
        || op.downcast::<op::SplitToSequence>().is_some()
        || op.downcast::<op::ConcatFromSequence>().is_some()
        || op.downcast::<op::Optional>().is_some()
        || op.downcast::<op::OptionalHasElement>().is_some()
        || op.downcast::<op::OptionalGetElement>().is_some()
}

impl ObjectState {
    /// Forgets a run that was given up.
    pub(crate) fn begin(&mut self) {
        *self = ObjectState::default();
    }

    /// True before the step is prepared.
    pub(crate) fn is_idle(&self) -> bool {
        !self.under_way
    }

    /// The job to go on with; `None` when all are done.
    pub(crate) fn job(&self) -> Option<&Job> {
        self.jobs.get(self.next)
    }

    /// The job under way is done.
    pub(crate) fn job_done(&mut self) {
        self.next += 1;
    }
}

impl ObjectStep {
    /// Finds out what there is to do.
    pub(crate) fn prepare(
        &self,
        state: &mut ObjectState,
        lent: &mut Lent<'_>,
        isa: Isa,
        packs: &Packs,
    ) -> Result<(), NodeError> {
        state.begin();
        state.outcome = self
            .outcome(&mut state.jobs, lent, isa, packs)
            .map_err(|cause| NodeError { inputs: self.inputs(lent), cause })?;
        state.under_way = true;
        Ok(())
    }

    /// Makes what the step makes of what its jobs have moved.
    pub(crate) fn finish(&self, state: &mut ObjectState, lent: &mut Lent<'_>) {
        let object = match core::mem::take(&mut state.outcome) {
            Outcome::Written => None,
            Outcome::Object(object) => Some(object),
            Outcome::Held => lent.let_go().next().map(Object::Tensor),
            Outcome::AllHeld => Some(Object::sequence(lent.let_go().collect())),
            Outcome::Inserted(object, position) => {
                let Object::Sequence(mut items) = object else { unreachable!("prepared from a sequence") };
                let mut held = lent.let_go();
                if let Some(item) = held.next() {
                    Arc::make_mut(&mut items).insert(position, item);
                }
                drop(held);
                Some(Object::Sequence(items))
            }
        };
        lent.let_go();
        if let (Some(object), Region::Object(to)) = (object, self.write.place.region) {
            lent.put_object(to, object);
        }
        state.begin();
    }

    fn outcome(
        &self,
        jobs: &mut Vec<Job>,
        lent: &mut Lent<'_>,
        isa: Isa,
        packs: &Packs,
    ) -> Result<Outcome, NodeCause> {
        let Some(op) = &self.op else { return Ok(Outcome::Object(self.object(lent, 0))) };
        let op = &**op;
        if op.downcast::<op::SequenceEmpty>().is_some() {
            return Ok(Outcome::Object(Object::sequence(Vec::new())));
        }
        if op.downcast::<op::SequenceConstruct>().is_some() {
            for operand in self.reads.iter().flatten() {
                jobs.push(jobs::take_in(lent, operand)?);
            }
            return Ok(Outcome::AllHeld);
        }
        if op.downcast::<op::SequenceInsert>().is_some() {
            let count = self.items(lent, 0)?.len();
            let position = self.position(lent, 2, count, true)?.unwrap_or(count);
            jobs.push(jobs::take_in(lent, self.operand(1))?);
            return Ok(Outcome::Inserted(self.object(lent, 0), position));
        }
        if op.downcast::<op::SequenceErase>().is_some() {
            let count = self.items(lent, 0)?.len();
            let last = count.checked_sub(1).ok_or_else(|| wrong("there is no tensor to erase"))?;
            let position = self.position(lent, 1, count, false)?.unwrap_or(last);
            let Object::Sequence(mut items) = self.object(lent, 0) else { return Err(nothing()) };
            Arc::make_mut(&mut items).remove(position);
            return Ok(Outcome::Object(Object::Sequence(items)));
        }
        if op.downcast::<op::SequenceAt>().is_some() {
            let count = self.items(lent, 0)?.len();
            let position =
                self.position(lent, 1, count, false)?.ok_or_else(|| wrong("a position is missing"))?;
            let item = self.items(lent, 0)?[position].clone();
            jobs.push(jobs::take_out(lent, item, &self.write)?);
            return Ok(Outcome::Written);
        }
        if op.downcast::<op::SequenceLength>().is_some() {
            let count = self.items(lent, 0)?.len() as i64;
            lent.put(self.write.place, 0, &count.to_ne_bytes());
            return Ok(Outcome::Written);
        }
        if let Some(split) = op.downcast::<op::SplitToSequence>() {
            *jobs = jobs::cut(lent, split, self.operand(0), self.reads.get(1).and_then(Option::as_ref))?;
            return Ok(Outcome::AllHeld);
        }
        if let Some(join) = op.downcast::<op::ConcatFromSequence>() {
            let items = self.items(lent, 0)?.to_vec();
            jobs.push(jobs::join(lent, join, items, &self.write, isa, packs)?);
            return Ok(Outcome::Written);
        }
        self.optional(op, jobs, lent)
    }

    fn optional(&self, op: &dyn Op, jobs: &mut Vec<Job>, lent: &mut Lent<'_>) -> Result<Outcome, NodeCause> {
        let input = self.reads.first().and_then(Option::as_ref);
        if op.downcast::<op::OptionalHasElement>().is_some() {
            let there = input.is_some_and(|operand| match operand.place.region {
                Region::Object(object) => !matches!(lent.object(object), Object::Absent),
                _ => true,
            });
            lent.put(self.write.place, 0, &[u8::from(there)]);
            return Ok(Outcome::Written);
        }
        if op.downcast::<op::OptionalGetElement>().is_some() {
            return match self.object(lent, 0) {
                Object::Absent => Err(nothing()),
                Object::Tensor(item) => {
                    jobs.push(jobs::take_out(lent, item, &self.write)?);
                    Ok(Outcome::Written)
                }
                sequence => Ok(Outcome::Object(sequence)),
            };
        }
        match input.map(|operand| (operand, operand.place.region)) {
            None => Ok(Outcome::Object(Object::Absent)),
            Some((_, Region::Object(_))) => Ok(Outcome::Object(self.object(lent, 0))),
            Some((operand, _)) => {
                jobs.push(jobs::take_in(lent, operand)?);
                Ok(Outcome::Held)
            }
        }
    }

    fn operand(&self, input: usize) -> &LateOperand {
        self.reads[input].as_ref().expect("the operator has seen its inputs")
    }

    /// The object of an input, to keep.
    fn object(&self, lent: &mut Lent<'_>, input: usize) -> Object {
        let operand = self.operand(input);
        match operand.place.region {
            Region::Object(object) => lent.object_of(object, operand.last),
            region => unreachable!("{region:?} is no object"),
        }
    }

    /// The tensors of a sequence.
    fn items<'l>(&self, lent: &'l Lent<'_>, input: usize) -> Result<&'l [Item], NodeCause> {
        match self.operand(input).place.region {
            Region::Object(object) => match lent.object(object) {
                Object::Sequence(items) => Ok(items),
                _ => Err(nothing()),
            },
            region => unreachable!("{region:?} is no object"),
        }
    }

    /// The position that an input says, of one of `count` tensors; also behind the last of them when `behind`.
    fn position(
        &self,
        lent: &mut Lent<'_>,
        input: usize,
        count: usize,
        behind: bool,
    ) -> Result<Option<usize>, NodeCause> {
        let Some(operand) = self.reads.get(input).and_then(Option::as_ref) else { return Ok(None) };
        let [position] = jobs::integers(lent, operand)[..] else {
            return Err(wrong(format!("input {input} must be one number")));
        };
        let from_end =
            || usize::try_from(position.unsigned_abs()).ok().and_then(|back| count.checked_sub(back));
        let found = if position < 0 { from_end() } else { usize::try_from(position).ok() };
        let most = if behind { count + 1 } else { count };
        match found.filter(|position| *position < most) {
            Some(position) => Ok(Some(position)),
            None => Err(wrong(format!("there is no position {position} in a sequence of {count} tensors"))),
        }
    }

    fn inputs(&self, lent: &Lent<'_>) -> String {
        let show = |operand: &Option<LateOperand>| match operand {
            Some(operand) => shown(operand, lent),
            None => "-".to_string(),
        };
        self.reads.iter().map(show).collect::<Vec<_>>().join(", ")
    }
}

/// What errors say of an operand.
pub(crate) fn shown(operand: &LateOperand, lent: &Lent<'_>) -> String {
    match operand.place.region {
        Region::Object(object) => match lent.object(object) {
            Object::Absent => "nothing".to_string(),
            Object::Tensor(item) => format!("optional({}{})", item.element(), item.shape()),
            Object::Sequence(items) => format!("sequence of {} {} tensors", items.len(), operand.element),
        },
        _ => format!("{}{}", operand.element, operand.shape(lent)),
    }
}

/// What is there, in the words of a port.
pub(crate) fn holds(object: &Object) -> Option<Kind> {
    match object {
        Object::Absent => None,
        Object::Tensor(_) => Some(Kind::Tensor),
        Object::Sequence(_) => Some(Kind::Sequence),
    }
}

fn wrong(problem: impl Into<String>) -> NodeCause {
    NodeCause::Sequence(problem.into())
}

fn nothing() -> NodeCause {
    wrong("there is nothing where something is wanted")
}

fn no_memory(OutOfMemory(bytes): OutOfMemory) -> NodeCause {
    NodeCause::OutOfMemory(bytes)
}
