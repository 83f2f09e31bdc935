//! Between what is bound to the ports and the memory of a work, a piece at a time.
//!
//! A tensor that kernels can use where it lies is not touched. Strided tensors are gathered before the run and scattered after
//! it, strings numbered and spelled out, and the tensors of sequences and optionals copied into the run and out of it.

use alloc::sync::Arc;

use inferry_core::request::{Bindings, Bound, Failure, InferErrorKind};
use inferry_core::{ElementType, Kind, Tensor};

use super::{CpuWork, Place, is_staged, kind, no_memory};
use crate::arena::{Item, Object, OutOfMemory};
use crate::kernel::fault::Fault;
use crate::plan::PlannedOutput;
use crate::sequence;
use crate::spell;
use crate::stored::width;
use crate::text::Texts;
use crate::transfer::{Elements, Transfer};

impl CpuWork {
    /// Goes on with what is bound to an input; says where to go on after that.
    pub(super) fn gather(&mut self, io: &Bindings, mut place: Place) -> Result<Place, Failure> {
        let bound = &io.inputs()[place.port];
        if bound.parts().is_some() {
            return self.gather_parts(bound, place);
        }
        if !is_staged(bound) {
            return Ok(place.next_port());
        }
        let dense = self.memory.staged_input(place.port, stored_len(bound.tensor())).map_err(no_memory)?;
        let more = bring_in(bound, dense, &mut place.transfer, &mut self.aside.texts);
        let more = more.map_err(|problem| self.not_taken(place.port, problem))?;
        Ok(if more { place } else { place.next_port() })
    }

    /// The same for a sequence or an optional.
    fn gather_parts(&mut self, bound: &Bound, mut place: Place) -> Result<Place, Failure> {
        let parts = bound.parts().expect("asked before");
        let plan = &self.kept.as_ref().expect("taken at the start").plan;
        let (object, port) = (plan.inputs[place.port], place.port);
        if let Some(item) = parts.items().get(place.item) {
            let tensor = item.tensor();
            if self.items.len() == place.item {
                let (element, shape) = (tensor.element(), tensor.shape().clone());
                let copy = Item::new(element, shape, self.memory.meter()).map_err(no_memory)?;
                self.items.push(copy);
            }
            let dense = self.items[place.item].bytes_mut();
            let more = bring_in(item, dense, &mut place.transfer, &mut self.aside.texts);
            let more = more.map_err(|problem| self.not_taken(port, problem))?;
            return Ok(if more { place } else { place.next_item() });
        }
        let mut items = core::mem::take(&mut self.items);
        let value = match parts.holds() {
            None => Object::Absent,
            Some(Kind::Sequence) => Object::sequence(items),
            Some(_) => items.pop().map_or(Object::Absent, Object::Tensor),
        };
        if let Some(object) = object {
            self.memory.objects[object as usize] = value;
        }
        Ok(place.next_port())
    }

    /// What is bound to input `port` cannot be taken.
    fn not_taken(&self, port: usize, problem: NotTaken) -> Failure {
        match problem {
            NotTaken::Fault(fault) => {
                let name = self.shared.inputs[port].name.clone();
                Failure::new(kind(&fault), StringsError { name, fault })
            }
            NotTaken::Copy(failure) => failure,
        }
    }

    /// Goes on with copying an output to where it was wanted, unless it was computed there.
    pub(super) fn scatter(&mut self, io: &mut Bindings, mut place: Place) -> Result<Place, Failure> {
        let planned = &self.kept.as_ref().expect("taken at the start").plan.outputs[place.port];
        let (_, outputs) = io.split();
        let bound = &mut outputs[place.port];
        let dense: &[u8] = match planned {
            PlannedOutput::Object(object) => {
                return self.scatter_parts(*object, bound, place);
            }
            PlannedOutput::Slot(slot) => {
                let (shape, dense) = self.memory.slot(*slot);
                self.shared.fits(bound.tensor().element(), shape).map_err(no_memory)?;
                bound.set_shape(shape).map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
                dense
            }
            PlannedOutput::Shape(_) if is_staged(bound) => {
                let len = stored_len(bound.tensor());
                self.memory.staged_output(place.port, len).map_err(no_memory)?
            }
            PlannedOutput::Shape(_) => return Ok(place.next_port()),
        };
        let more = bring_out(dense, bound, &mut place.transfer, &self.aside.texts)?;
        Ok(if more { place } else { place.next_port() })
    }

    /// The same for a sequence or an optional.
    fn scatter_parts(&mut self, object: u32, bound: &mut Bound, mut place: Place) -> Result<Place, Failure> {
        let value = &self.memory.objects[object as usize];
        let Some(parts) = bound.parts_mut() else {
            return Err(Failure::device("a sequence for a port of a tensor"));
        };
        if place.item == 0 && !place.transfer.is_under_way() {
            parts.begin(sequence::holds(value));
        }
        let Some(item) = value.items().get(place.item) else { return Ok(place.next_port()) };
        if parts.items().len() == place.item {
            let added = parts.add(item.element(), item.shape().clone());
            added.map_err(|error| Failure::new(InferErrorKind::OutOfMemory, error))?;
        }
        let Some(bound) = parts.latest() else { return Ok(place.next_port()) };
        let more = bring_out(item.bytes(), bound, &mut place.transfer, &self.aside.texts)?;
        Ok(if more { place } else { place.next_item() })
    }
}

impl Place {
    fn next_port(self) -> Place {
        Place { port: self.port + 1, ..Place::default() }
    }

    fn next_item(self) -> Place {
        Place { port: self.port, item: self.item + 1, transfer: Transfer::default() }
    }
}

/// Why an input cannot be taken.
enum NotTaken {
    Fault(Fault),
    Copy(Failure),
}

/// Copies the next piece of a tensor to dense bytes; true when there is more.
fn bring_in(
    bound: &Bound,
    dense: &mut [u8],
    transfer: &mut Transfer,
    texts: &mut Texts,
) -> Result<bool, NotTaken> {
    let tensor = bound.tensor();
    if tensor.element() == ElementType::String {
        return spell::number(bound, bytemuck::cast_slice_mut(dense), transfer, texts)
            .map_err(NotTaken::Fault);
    }
    let bound = &bound.bytes()[tensor.byte_range()];
    let elements = Elements::Gather { bound, dense };
    let more = transfer.piece(tensor.layout(), tensor.element(), elements);
    more.map_err(|error| NotTaken::Copy(Failure::device(error)))
}

/// Copies the next piece of dense bytes to a tensor; true when there is more.
fn bring_out(
    dense: &[u8],
    bound: &mut Bound,
    transfer: &mut Transfer,
    texts: &Texts,
) -> Result<bool, Failure> {
    if bound.tensor().element() == ElementType::String {
        let more = spell::out(bytemuck::cast_slice(dense), bound, transfer, texts);
        return more.map_err(|bytes| no_memory(OutOfMemory(bytes)));
    }
    let (layout, element) = (bound.tensor().layout().clone(), bound.tensor().element());
    let range = bound.tensor().byte_range();
    let elements = Elements::Scatter { dense, bound: &mut bound.bytes_mut()[range] };
    transfer.piece(&layout, element, elements).map_err(Failure::device)
}

/// How many bytes its elements take in the device.
pub(super) fn stored_len(tensor: &Tensor) -> usize {
    tensor.len() * width(tensor.element())
}

/// The strings of an input cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("input {name:?}: {fault}")]
struct StringsError {
    name: Arc<str>,
    fault: Fault,
}
