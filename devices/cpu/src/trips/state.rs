//! What a work remembers of a loop, from trip to trip and from run to run.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape};
use inferry_engine::op::Loop;

use super::LoopStep;
use crate::arena::{Item, Memory, Meter, Object, OutOfMemory};
use crate::compile::Planned;
use crate::execute::{Position, States};
use crate::plan::{Plan, PlannedOutput};
use crate::plans::Kept;
use crate::stored::width;

/// How many plans a work keeps the late kernels of.
const SEATS: usize = 64;

/// What a work remembers of a loop: its memory, and where it stands.
#[derive(Default)]
pub(crate) struct LoopState {
    pub(super) memory: Memory,
    /// Plans of the body and what belongs to them, the last used first.
    pub(super) seats: Vec<Seat>,
    /// The plan that is being made for the next trip.
    pub(super) planned: Option<Planned>,
    pub(super) position: Position,
    pub(super) at: At,
    /// Trips made.
    pub(super) trip: u64,
    /// Trips to be made at most.
    pub(super) count: u64,
    pub(super) goes_on: bool,
    /// The shapes that the next trip begins with.
    pub(super) shapes: Vec<Shape>,
    /// The shapes of the rows of what is scanned, once there is one.
    pub(super) rows: Vec<Option<Shape>>,
    /// The sequences and optionals that the next trip takes, by carried value.
    pub(super) carried: Vec<Object>,
    /// What becomes a sequence: the tensors so far, and the one that is being copied.
    pub(super) lists: Vec<Vec<Item>>,
    pub(super) copying: Option<Item>,
}

/// A plan of the body, and what a work keeps for it.
pub(super) struct Seat {
    pub(super) kept: Kept,
    pub(super) states: States,
}

/// Where a loop stands.
#[derive(Clone, Copy, Default)]
pub(super) enum At {
    #[default]
    Decide,
    /// The body is planned for the shapes of the next trip.
    Plan,
    Trip,
    /// So many bytes of the row of scan `scan` are where they belong.
    Rows {
        scan: usize,
        done: usize,
    },
    /// So many bytes of output `output` are where they belong.
    Deliver {
        output: usize,
        done: usize,
    },
}

impl LoopState {
    /// A state with the memory that is known to be needed.
    pub(crate) fn new(step: &LoopStep, measured: bool, meter: &Meter) -> Result<LoopState, OutOfMemory> {
        let mut state = LoopState { memory: Memory::new(meter.clone()), ..LoopState::default() };
        if let Some(kept) = step.plans.latest() {
            state.take_seat(kept, measured)?;
            state.make_room(step)?;
        }
        Ok(state)
    }

    /// Forgets the run before, and lets go of what it held.
    pub(crate) fn begin(&mut self) {
        self.memory.begin();
        self.carried.clear();
        self.lists.clear();
        self.copying = None;
        self.seats.iter_mut().for_each(|seat| seat.states.begin());
    }

    /// Forgets what the loop held when it was entered before.
    pub(super) fn forget(&mut self, step: &LoopStep) {
        let scanned = step.looped().scanned();
        self.rows.clear();
        self.rows.resize(scanned, None);
        self.carried.clear();
        self.carried.resize(step.carried(), Object::Absent);
        self.lists.clear();
        self.copying = None;
        if step.looped().listed {
            self.lists.resize(scanned, Vec::new());
        }
        self.memory.begin();
    }

    /// The objects that the plan of the next trip takes, its memory, and what is carried.
    pub(super) fn objects(&mut self) -> (&[Option<u32>], &mut Memory, &mut [Object]) {
        (&self.seats[0].kept.plan.inputs, &mut self.memory, &mut self.carried)
    }

    /// The plans of the body that have been run, and what was measured of them.
    pub(crate) fn measured(&self) -> impl Iterator<Item = (&Plan, &States)> {
        self.seats.iter().map(|seat| (&*seat.kept.plan, &seat.states))
    }

    /// Makes this the plan of the next trip.
    pub(super) fn take_seat(&mut self, kept: Kept, measured: bool) -> Result<(), OutOfMemory> {
        self.memory.reserve(kept.plan.room)?;
        self.position.reserve(&kept.plan);
        match self.seats.iter().position(|seat| Arc::ptr_eq(&seat.kept.plan, &kept.plan)) {
            Some(found) => self.seats[..=found].rotate_right(1),
            None => {
                let states = States::new(&kept.plan, measured, self.memory.meter())?;
                self.seats.truncate(SEATS - 1);
                self.seats.insert(0, Seat { kept, states });
            }
        }
        Ok(())
    }

    /// Room for what a trip takes and gives, as far as it does not lie outside.
    pub(super) fn make_room(&mut self, step: &LoopStep) -> Result<(), OutOfMemory> {
        let (shapes, plan) = (&self.seats[0].kept.shapes, &self.seats[0].kept.plan);
        let bytes = |shape: &Shape, element: ElementType| shape.count() * width(element);
        self.memory.staged_input(0, size_of::<i64>())?;
        self.memory.staged_input(1, 1)?;
        for index in 0..step.carried() {
            let element = step.entering(index).element;
            self.memory
                .staged_input(Loop::LEADING + index, bytes(&shapes[Loop::LEADING + index], element))?;
        }
        for (output, planned) in plan.outputs.iter().enumerate() {
            let len = match planned {
                PlannedOutput::Shape(shape) => bytes(shape, step.given(output)),
                PlannedOutput::Slot(_) | PlannedOutput::Object(_) => 0,
            };
            self.memory.staged_output(output, len)?;
        }
        self.memory.reserve_ports(shapes.len(), plan.outputs.len());
        Ok(())
    }

    /// The shape and the bytes that the body's output `output` has after a trip.
    pub(super) fn result(&mut self, step: &LoopStep, output: usize) -> Result<(Shape, &[u8]), OutOfMemory> {
        match &self.seats[0].kept.plan.outputs[output] {
            PlannedOutput::Shape(shape) => {
                let len = shape.count() * width(step.given(output));
                Ok((shape.clone(), self.memory.staged_output(output, len)?))
            }
            PlannedOutput::Slot(slot) => {
                let (shape, bytes) = self.memory.slot(*slot);
                Ok((shape.clone(), bytes))
            }
            PlannedOutput::Object(_) => unreachable!("what has a shape and bytes is a tensor"),
        }
    }

    /// What the trip gave to carry is what the next one takes.
    pub(super) fn carry(&mut self, step: &LoopStep) -> Result<(), OutOfMemory> {
        let carried = step.carried();
        let outputs = &self.seats[0].kept.plan.outputs[1..=carried];
        for (index, planned) in outputs.iter().enumerate() {
            let input = Loop::LEADING + index;
            match planned {
                PlannedOutput::Shape(shape) => {
                    self.memory.carry(1 + index, input);
                    self.shapes[input].clone_from(shape);
                }
                PlannedOutput::Slot(slot) => {
                    self.shapes[input].clone_from(self.memory.slot(*slot).0);
                    // Two values may be the same result.
                    let again = outputs[index + 1..].contains(planned);
                    self.memory.carry_slot(*slot, input, again)?;
                }
                PlannedOutput::Object(object) => {
                    let again = outputs[index + 1..].contains(planned);
                    let object = &mut self.memory.objects[*object as usize];
                    self.carried[index] = if again { object.clone() } else { core::mem::take(object) };
                }
            }
        }
        Ok(())
    }
}
