//! Loops: the plan of a body, run once a trip.
//!
//! ```text
//!  Decide ─▶ (Plan) ─▶ Trip ─▶ Rows ─▶ Decide … ─▶ Deliver ─▶ done
//!  (is there            (the    (what is scanned
//!   a trip?)             plan)   goes to its rows)
//! ```
//!
//! A body is a graph whose inputs change from trip to trip, so it is planned apart, for the shapes that a trip begins with,
//! and the last plans are kept. A loop has memory of its own: what the body computes lies there, and what is carried goes
//! from its outputs to its inputs by exchanging two buffers. Captures are read where they lie outside. Sequences and
//! optionals go in and out by handing their lists on. Every arrow above is a place to be interrupted, and so is every block
//! of tiles of a trip and every piece of a copy.
//!
//! What it does *not* do: it decides no shapes (the body's plan does) and computes nothing.

mod results;
mod state;

pub(crate) use state::LoopState;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::steps::{Step, Steps};
use inferry_core::{ElementType, Shape};
use inferry_engine::graph::Fact;
use inferry_engine::op::{Loop, Op};

use crate::arena::{Lent, OutOfMemory, Place, Region};
use crate::compile::{Planned, Shared};
use crate::execute::{Common, Halt, Machine, Pace, Progress, run};
use crate::late::LateOperand;
use crate::plan::{Label, NodeCause, NodeError, Plan};
use crate::plans::Plans;
use crate::sequence::shown;

use self::results::misfit;
use self::state::{At, Seat};

/// A loop and where its operands lie.
pub(crate) struct LoopStep {
    /// A [`Loop`].
    pub(crate) op: Arc<dyn Op>,
    /// The trip count, the condition, what is carried and what is captured, as the node has them.
    pub(crate) reads: Box<[Option<LateOperand>]>,
    /// What is carried, and what is scanned; `None` for what nobody reads.
    pub(crate) writes: Box<[Option<LateOperand>]>,
    pub(crate) label: Label,
    /// Which of the work's [`LoopState`]s is this step's.
    pub(crate) state: usize,
    /// Plans of the body, shared by all requests.
    pub(crate) plans: Arc<Plans>,
}

impl LoopStep {
    fn looped(&self) -> &Loop {
        self.op.downcast().expect("a step of a loop")
    }

    fn carried(&self) -> usize {
        self.looped().carried
    }

    /// What is carried into the first trip.
    fn entering(&self, index: usize) -> &LateOperand {
        self.reads[Loop::LEADING + index].as_ref().expect("what is carried enters")
    }

    fn captures(&self) -> impl Iterator<Item = &LateOperand> {
        let input = |input: &usize| self.reads[*input].as_ref().expect("captures are there");
        self.looped().body.captures.iter().map(input)
    }

    /// The type of an output of the body.
    fn given(&self, output: usize) -> ElementType {
        self.fact(output).map_or(ElementType::Bool, |fact| fact.element)
    }

    fn fact(&self, output: usize) -> Option<&Fact> {
        let graph = &self.looped().body.graph;
        graph.fact(graph.outputs[output])
    }

    /// Goes on from where the loop stands; `enter` begins it anew.
    pub(crate) fn advance(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        common: &mut Common<'_>,
        pace: &mut Pace<'_>,
        enter: bool,
    ) -> Result<Progress, Halt> {
        if enter {
            self.enter(state, lent)?;
        }
        loop {
            match state.at {
                At::Decide => {
                    if let Progress::Paused = pace.look()? {
                        return Ok(Progress::Paused);
                    }
                    state.at = match state.goes_on && state.trip < state.count {
                        true => self.set_out(state, lent, common)?,
                        false => At::Deliver { output: 0, done: 0 },
                    };
                }
                At::Plan => {
                    match state.planned.as_mut().map(|planned| planned.step(pace.turn())) {
                        Some(Step::Pending) => return Ok(Progress::Paused),
                        Some(Step::Stopped) => return Err(Halt::Stopped),
                        Some(Step::Done(kept)) => {
                            let measured = common.shared.options.profile.is_some();
                            let kept = kept.map_err(Halt::Broken)?;
                            state.take_seat(kept, measured).map_err(|error| self.no_memory(error))?;
                        }
                        None => {}
                    }
                    state.planned = None;
                    state.at = At::Decide;
                }
                At::Trip => match self.travel(state, lent, common, pace)? {
                    Progress::Done => state.at = At::Rows { scan: 0, done: 0 },
                    Progress::Paused => return Ok(Progress::Paused),
                },
                At::Rows { scan, done } if scan < self.looped().scanned() => {
                    let row = if self.looped().listed { Self::list } else { Self::row };
                    state.at = row(self, state, lent, scan, done).map_err(|cause| self.halt(lent, cause))?;
                    if let (At::Rows { done: 1.., .. }, Progress::Paused) = (state.at, pace.look()?) {
                        return Ok(Progress::Paused);
                    }
                }
                At::Rows { .. } => {
                    let (_, condition) = state.result(self, 0).map_err(|error| self.no_memory(error))?;
                    state.goes_on = condition.first().is_some_and(|byte| *byte != 0);
                    state.carry(self).map_err(|error| self.no_memory(error))?;
                    state.trip += 1;
                    state.at = At::Decide;
                }
                At::Deliver { output, .. } if output == self.writes.len() => return Ok(Progress::Done),
                At::Deliver { output, done } => {
                    state.at =
                        self.deliver(state, lent, output, done).map_err(|cause| self.halt(lent, cause))?;
                    if let (At::Deliver { done: 1.., .. }, Progress::Paused) = (state.at, pace.look()?) {
                        return Ok(Progress::Paused);
                    }
                }
            }
        }
    }

    /// Reads how long the loop may go on, and the shapes that the first trip begins with.
    fn enter(&self, state: &mut LoopState, lent: &mut Lent<'_>) -> Result<(), Halt> {
        let count = match &self.reads[0] {
            None => Ok(i64::MAX),
            Some(operand) => match <[u8; 8]>::try_from(lent.read(operand.place)) {
                Ok(bytes) => Ok(i64::from_ne_bytes(bytes)),
                Err(_) => Err(("the trip count", operand)),
            },
        };
        let goes_on = match &self.reads[1] {
            None => Ok(true),
            Some(operand) => match lent.read(operand.place) {
                [byte] => Ok(*byte != 0),
                _ => Err(("the condition", operand)),
            },
        };
        let single = |(what, operand): (&str, &LateOperand)| {
            self.halt(lent, misfit(what, operand.shape(lent), "that of one number"))
        };
        state.count = u64::try_from(count.map_err(single)?).unwrap_or(0);
        state.goes_on = goes_on.map_err(single)?;
        state.trip = 0;
        state.planned = None;
        state.at = At::Decide;
        state.shapes.clear();
        state.shapes.extend(self.looped().leading());
        let carried = (0..self.carried()).map(|index| self.entering(index));
        state.shapes.extend(carried.chain(self.captures()).map(|operand| operand.shape(lent)));
        state.forget(self);
        Ok(())
    }

    /// Planning of the body, step by step.
    fn plan(&self, shared: Arc<Shared>, shapes: Arc<[Shape]>) -> Planned {
        let (op, plans, path) = (self.op.clone(), self.plans.clone(), self.label.name.clone());
        Steps::new(move |mut pace| async move {
            let looped: &Loop = op.downcast().expect("a step of a loop");
            let graph = &looped.body.graph;
            let plan = Plan::of_body(graph, &shapes, &path, shared.planning(), &mut pace).await?;
            Ok(plans.keep(shapes, plan))
        })
    }

    /// Finds the plan of the next trip and makes room for it.
    fn set_out(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        common: &mut Common<'_>,
    ) -> Result<At, Halt> {
        let seated = state.seats.first().is_some_and(|seat| *seat.kept.shapes == *state.shapes);
        if !seated {
            let known = state.seats.iter().find(|seat| *seat.kept.shapes == *state.shapes);
            let known = known.map(|seat| seat.kept.clone());
            let Some(kept) = known.or_else(|| self.plans.find(state.shapes.iter())) else {
                state.planned = Some(self.plan(common.shared.clone(), state.shapes[..].into()));
                return Ok(At::Plan);
            };
            let measured = common.shared.options.profile.is_some();
            state.take_seat(kept, measured).map_err(|error| self.no_memory(error))?;
        }
        let Some(left) = common.trips.checked_sub(1) else {
            return Err(self.halt(lent, NodeCause::Trips(common.shared.options.limits.trips)));
        };
        common.trips = left;
        state.make_room(self).map_err(|error| self.no_memory(error))?;
        self.hand_in(state, lent);
        let number = i64::try_from(state.trip).unwrap_or(i64::MAX).to_ne_bytes();
        let memory = &mut state.memory;
        memory.staged_input(0, number.len()).map_err(|error| self.no_memory(error))?.copy_from_slice(&number);
        memory.staged_input(1, 1).map_err(|error| self.no_memory(error))?.fill(1);
        state.position.begin();
        Ok(At::Trip)
    }

    /// Puts the sequences and optionals that the next trip takes where its plan has them.
    fn hand_in(&self, state: &mut LoopState, lent: &mut Lent<'_>) {
        let first = state.trip == 0;
        let (inputs, memory, carried) = state.objects();
        for (index, object) in inputs.iter().enumerate() {
            let (Some(object), Some(index)) = (*object, index.checked_sub(Loop::LEADING)) else { continue };
            let outside = |operand: &LateOperand, lent: &mut Lent<'_>| match operand.place.region {
                Region::Object(object) => lent.object_of(object, operand.last),
                region => unreachable!("{region:?} is no object"),
            };
            memory.objects[object as usize] = match self.carried() {
                count if index < count && first => outside(self.entering(index), lent),
                count if index < count => core::mem::take(&mut carried[index]),
                count => match self.captures().nth(index - count) {
                    // The next trip takes it too.
                    Some(LateOperand { place: Place { region: Region::Object(object), .. }, .. }) => {
                        lent.object(*object).clone()
                    }
                    _ => unreachable!("what the body takes as an object is one outside"),
                },
            };
        }
    }

    /// Goes on with the trip under way.
    fn travel(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        common: &mut Common<'_>,
        pace: &mut Pace<'_>,
    ) -> Result<Progress, Halt> {
        let first = state.trip == 0;
        let Seat { kept, states } = &mut state.seats[0];
        let own = core::iter::repeat_n(None, Loop::LEADING);
        let carried = (0..self.carried()).map(|index| first.then(|| self.entering(index).place));
        let captured = self.captures().map(|operand| Some(operand.place));
        let inputs = own.chain(carried).chain(captured);
        let mut inner = lent.nest(&mut state.memory, &kept.plan.constants, inputs, kept.plan.outputs.len());
        let mut machine = Machine { plan: &kept.plan, states, common };
        run(&mut machine, &mut state.position, &mut inner, pace)
    }

    fn no_memory(&self, error: OutOfMemory) -> Halt {
        Halt::Memory(self.label.clone(), error)
    }

    fn halt(&self, lent: &Lent<'_>, cause: NodeCause) -> Halt {
        let show = |operand: &Option<LateOperand>| match operand {
            Some(operand) => shown(operand, lent),
            None => "-".to_string(),
        };
        let inputs = self.reads.iter().map(show).collect::<Vec<String>>().join(", ");
        Halt::Node(self.label.clone(), NodeError { inputs, cause })
    }
}
