//! The tensors of a request, one a port, and their leases during a run.
//!
//! Everything that can be wrong with a tensor is checked here: the port exists, the element type and the shape fit, the
//! bytes are nobody else's. Types and shapes are looked at when a tensor is bound and again when a run starts, since a
//! tensor may have been exchanged in place meanwhile. From the start of a run until its stages are over every input holds
//! a reader's lease and every output the writer's, so a view made meanwhile fails with
//! [`InUse`](crate::tensor::InUse) instead of seeing half a result. Nothing here knows who runs what.
//!
//! A device sees all of its ports. The user sees those that are not ends of a variable; the variables are in `states`, and
//! inputs that are given in pieces in `batch`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::device::CompiledModel;
use crate::port::{self, Port, PortKey, Side};
use crate::remote::ContextId;
use crate::request::bound::{Bound, Hold, check_in, check_shape, no_tensor};
use crate::request::refusal::BindError;
use crate::request::states::Kept;
use crate::tensor::{LeaseError, Tensor};
use crate::value::Kind;

/// The tensors bound to the ports of a model.
///
/// A device gets it with every poll of a stage. Tests of devices make their own: [`Bindings::new`], [`Bindings::set`], then
/// [`Bindings::hold`] before the first poll.
#[derive(Debug)]
pub struct Bindings {
    pub(super) inputs: Row,
    pub(super) outputs: Row,
    pub(super) kept: Kept,
    /// Where tensors may lie besides the host.
    context: Option<ContextId>,
}

/// One side: what the user sees of it, and what the device does.
#[derive(Debug)]
pub(super) struct Row {
    ports: Box<[Port]>,
    /// The device's index of each port.
    slots: Box<[usize]>,
    /// In the device's order.
    pub(super) bound: Box<[Bound]>,
}

impl Row {
    /// A fresh tensor for every port, between those that `others` brings for the device's other indices.
    fn new(ports: &[Port], slots: Box<[usize]>, others: Vec<(usize, Tensor)>) -> Result<Row, BindError> {
        let fresh = slots.iter().zip(ports).map(|(slot, port)| Ok((*slot, Bound::fresh(port)?)));
        let mut bound = fresh.collect::<Result<Vec<_>, BindError>>()?;
        bound.extend(others.into_iter().map(|(slot, tensor)| (slot, Bound::new(tensor))));
        bound.sort_by_key(|(slot, _)| *slot);
        let bound = bound.into_iter().map(|(_, bound)| bound).collect();
        Ok(Row { ports: ports.into(), slots, bound })
    }
}

impl Bindings {
    /// A fresh tensor of zeros for every port; an extent that is not known before a run is 0.
    pub fn new(inputs: &[Port], outputs: &[Port]) -> Result<Bindings, BindError> {
        let side = |ports: &[Port]| Row::new(ports, (0..ports.len()).collect(), Vec::new());
        Ok(Bindings { inputs: side(inputs)?, outputs: side(outputs)?, kept: Kept::default(), context: None })
    }

    /// As [`Bindings::new`] for the ports of a model, with its variables at their initial values.
    pub fn of(model: &dyn CompiledModel) -> Result<Bindings, BindError> {
        let context = model.context().cloned();
        let Some(state) = model.state() else {
            return Ok(Bindings { context, ..Bindings::new(model.inputs(), model.outputs())? });
        };
        let (kept, inputs, outputs) = Kept::new(state)?;
        let inputs = Row::new(model.inputs(), state.inputs.clone(), inputs)?;
        let outputs = Row::new(model.outputs(), state.outputs.clone(), outputs)?;
        Ok(Bindings { inputs, outputs, kept, context })
    }

    /// Ports with nothing bound to them: what is bound is exchanged for each poll ([`Bindings::bound_mut`]).
    pub(crate) fn vacant(inputs: &[Port], outputs: &[Port]) -> Bindings {
        let side = |ports: &[Port]| Row {
            ports: ports.into(),
            slots: (0..ports.len()).collect(),
            bound: ports.iter().map(|port| Bound::vacant(port.element)).collect(),
        };
        Bindings { inputs: side(inputs), outputs: side(outputs), kept: Kept::default(), context: None }
    }

    /// What is bound to a port of the device's, with its lease; the side of a variable is its input's.
    pub(crate) fn bound_mut(&mut self, side: Side, slot: usize) -> &mut Bound {
        &mut self.row_mut(side).bound[slot]
    }

    /// Whether the inputs are of shapes that their ports take.
    pub(crate) fn check_inputs(&self) -> Result<(), BindError> {
        let Row { ports, slots, bound } = &self.inputs;
        let plain = ports.iter().zip(slots.iter()).filter(|(port, _)| port.kind == Kind::Tensor);
        plain.into_iter().try_for_each(|(port, slot)| check_shape(port, bound[*slot].tensor()))
    }

    /// The inputs, in the order of the device's ports.
    pub fn inputs(&self) -> &[Bound] {
        &self.inputs.bound
    }

    /// The outputs, in the order of the device's ports.
    pub fn outputs(&self) -> &[Bound] {
        &self.outputs.bound
    }

    /// Both sides at once: what a stage reads, and what it writes.
    pub fn split(&mut self) -> (&[Bound], &mut [Bound]) {
        (&self.inputs.bound, &mut self.outputs.bound)
    }

    /// Takes the leases of a run, all or none, after checking that every tensor still fits its port.
    pub fn hold(&mut self) -> Result<(), BindError> {
        let held = self.try_hold();
        if held.is_err() {
            self.release();
        }
        held
    }

    /// Gives the leases back.
    pub fn release(&mut self) {
        for bound in self.inputs.bound.iter_mut().chain(&mut self.outputs.bound) {
            bound.release();
        }
    }

    fn try_hold(&mut self) -> Result<(), BindError> {
        self.hold_variables()?;
        let Row { ports, slots, bound } = &mut self.inputs;
        for (port, slot) in ports.iter().zip(slots.iter()) {
            let bound = &mut bound[*slot];
            if let Some(parts) = &mut bound.parts {
                parts.hold(self.context.as_ref(), port)?;
                continue;
            }
            match &mut bound.batch {
                Some(batch) => batch.hold(port)?,
                None => {
                    check_in(self.context.as_ref(), port, &bound.tensor)?;
                    bound.hold_read(port)?;
                }
            }
        }
        for index in 0..self.outputs.ports.len() {
            let port = &self.outputs.ports[index];
            let bound = &mut self.outputs.bound[self.outputs.slots[index]];
            if bound.parts.is_some() {
                continue;
            }
            check_in(self.context.as_ref(), port, &bound.tensor)?;
            match bound.tensor.lease_write() {
                Ok(lease) => bound.hold = Hold::Write(lease),
                Err(LeaseError::InUse(source)) => {
                    let in_use = BindError::InUse { port: port.into(), source };
                    return Err(self.shared(index).unwrap_or(in_use));
                }
                Err(_) => return Err(BindError::ReadOnly { port: port.into() }),
            }
        }
        Ok(())
    }

    /// The error for an output whose storage another port of this request uses.
    fn shared(&self, output: usize) -> Option<BindError> {
        let tensor = &self.outputs.bound[self.outputs.slots[output]].tensor;
        let sharer =
            |row: &'_ Row, count: usize| (0..count).find(|index| row.bound[row.slots[*index]].shares(tensor));
        let other = match sharer(&self.inputs, self.inputs.ports.len()) {
            Some(input) => &self.inputs.ports[input],
            None => &self.outputs.ports[sharer(&self.outputs, output)?],
        };
        Some(BindError::Shared { port: (&self.outputs.ports[output]).into(), other: other.into() })
    }

    /// The ports of a side, in the model's order.
    pub fn ports(&self, side: Side) -> &[Port] {
        match side {
            Side::Input => &self.inputs.ports,
            Side::Output => &self.outputs.ports,
            Side::Variable => self.kept.ports(),
        }
    }

    /// The tensor bound to a port, or the value of a variable.
    pub(crate) fn tensor(&self, side: Side, key: impl PortKey) -> Result<&Tensor, BindError> {
        let (port, slot) = self.locate(side, key)?;
        let bound = match side {
            Side::Input | Side::Variable => &self.inputs.bound[slot],
            Side::Output => &self.outputs.bound[slot],
        };
        if bound.batch.is_some() {
            return Err(BindError::Batched { port: port.into() });
        }
        if bound.parts.is_some() {
            return Err(no_tensor(port));
        }
        Ok(&bound.tensor)
    }

    /// The tensor bound to a port, to exchange in place or to view for writing.
    pub(crate) fn tensor_mut(&mut self, side: Side, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        let (port, slot) = self.locate(side, key)?;
        if port.kind != Kind::Tensor {
            return Err(no_tensor(port));
        }
        let port = port.into();
        let bound = &mut self.row_mut(side).bound[slot];
        if bound.batch.is_some() { Err(BindError::Batched { port }) } else { Ok(&mut bound.tensor) }
    }

    /// Binds `tensor`; gives the one that was bound.
    pub fn set(&mut self, side: Side, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        let (port, slot) = self.locate(side, key)?;
        check_in(self.context.as_ref(), port, &tensor)?;
        let bound = &mut self.row_mut(side).bound[slot];
        bound.batch = None;
        Ok(core::mem::replace(&mut bound.tensor, tensor))
    }

    /// Takes the tensor of a port out and binds a fresh one.
    pub(crate) fn take(&mut self, side: Side, key: impl PortKey) -> Result<Tensor, BindError> {
        let (port, slot) = self.locate(side, key)?;
        if port.kind != Kind::Tensor {
            return Err(no_tensor(port));
        }
        let fresh = Bound::fresh(port)?;
        Ok(core::mem::replace(&mut self.row_mut(side).bound[slot], fresh).tensor)
    }

    /// The port that `key` names, and the device's index of it.
    pub(super) fn locate(&self, side: Side, key: impl PortKey) -> Result<(&Port, usize), BindError> {
        let port = port::find(side, self.ports(side), key)?;
        let slot = match side {
            Side::Input => self.inputs.slots[port.index],
            Side::Output => self.outputs.slots[port.index],
            Side::Variable => self.kept.input_of(port.index),
        };
        Ok((port, slot))
    }

    /// Where tensors may lie besides the host.
    pub(super) fn context(&self) -> Option<&ContextId> {
        self.context.as_ref()
    }

    /// Where the tensors of a side are; a variable's value is bound to an input.
    fn row_mut(&mut self, side: Side) -> &mut Row {
        match side {
            Side::Input | Side::Variable => &mut self.inputs,
            Side::Output => &mut self.outputs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::port;
    use crate::tensor::ElementType;

    fn bindings() -> Bindings {
        Bindings::new(&[port(Side::Input, 0, "x", [2, 3])], &[port(Side::Output, 0, "y", [2, 3])]).unwrap()
    }

    #[test]
    fn a_tensor_of_another_type_or_shape_is_refused_by_name() {
        let mut io = bindings();
        let error = io.set(Side::Input, "x", Tensor::zeros(ElementType::I64, [2, 3])).unwrap_err();
        assert_eq!(alloc::format!("{error}"), "input #0 \"x\" takes f32, not i64");
        for shape in [[3, 2], [6, 1]] {
            let error = io.set(Side::Input, "x", Tensor::zeros(ElementType::F32, shape)).unwrap_err();
            assert!(matches!(error, BindError::Shape { .. }), "{error}");
        }
    }

    #[test]
    fn a_port_that_is_not_there_is_reported_with_those_that_are() {
        let io = bindings();
        let error = io.tensor(Side::Input, "image").unwrap_err();
        assert_eq!(alloc::format!("{error}"), "no input \"image\"; there is: \"x\" f32 [2, 3]");
        let error = io.tensor(Side::Output, 1).unwrap_err();
        assert_eq!(alloc::format!("{error}"), "no output #1; there is: \"y\" f32 [2, 3]");
    }

    #[test]
    fn views_of_tensors_that_a_run_holds_are_refused() {
        let mut io = bindings();
        let (input, output) =
            (io.tensor(Side::Input, 0).unwrap().clone(), io.tensor(Side::Output, 0).unwrap().clone());
        io.hold().unwrap();
        assert!(input.as_slice::<f32>().is_ok(), "reading what is read is fine");
        assert!(input.clone().as_slice_mut::<f32>().is_err());
        assert!(output.as_slice::<f32>().is_err());
        io.release();
        assert!(output.as_slice::<f32>().is_ok());
    }

    #[test]
    fn one_storage_as_input_and_output_is_refused_and_nothing_stays_held() {
        let mut io = bindings();
        let tensor = io.tensor(Side::Input, 0).unwrap().clone();
        io.set(Side::Output, 0, tensor.clone()).unwrap();
        let error = io.hold().unwrap_err();
        assert_eq!(alloc::format!("{error}"), "output #0 \"y\" shares its storage with input #0 \"x\"");
        assert!(tensor.clone().as_slice_mut::<f32>().is_ok());
    }

    #[test]
    fn a_tensor_exchanged_in_place_is_checked_again_when_a_run_starts() {
        let mut io = bindings();
        *io.tensor_mut(Side::Input, "x").unwrap() = Tensor::zeros(ElementType::F32, [7]);
        assert!(matches!(io.hold(), Err(BindError::Shape { .. })));
    }
}
