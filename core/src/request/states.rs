//! The variables of a request: values that it keeps from one run to the next.
//!
//! The value of a variable is the tensor bound to its input, and nobody else has a handle on it: reading and setting copy.
//! A run that is done exchanges it for what it wrote to the variable's output; a run that failed or was cancelled does not,
//! so the value stays as it was. A reset binds the initial value, which all requests of a model share and nobody writes,
//! and puts the request's own tensor aside for the run after. None of it takes memory, unless a value grows.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::port::{Port, PortKey, Side};
use crate::request::bindings::Bindings;
use crate::request::bound::{Hold, check, least_shape};
use crate::request::refusal::BindError;
use crate::state::{Joint, StateMap};
use crate::tensor::{Tensor, TensorError};

/// What a request knows of its variables.
#[derive(Debug, Default)]
pub(super) struct Kept {
    ports: Box<[Port]>,
    cells: Box<[Cell]>,
}

#[derive(Debug)]
struct Cell {
    joint: Joint,
    /// The request's own tensor, while the shared initial value is bound to the input.
    spare: Option<Tensor>,
}

/// Tensors, and the device's indices of the ports that they go to.
type Placed = Vec<(usize, Tensor)>;

impl Kept {
    /// The variables at their initial values, and the tensors for their inputs and outputs.
    pub(super) fn new(state: &StateMap) -> Result<(Kept, Placed, Placed), BindError> {
        let mut cells = Vec::with_capacity(state.joints.len());
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (port, joint) in state.variables.iter().zip(&state.joints) {
            let fresh = |shape| Tensor::try_zeros(port.element, shape);
            let too_large = |_| BindError::TooLarge { port: port.into() };
            let spare = fresh(joint.initial.shape().clone()).map_err(too_large)?;
            let next = fresh(least_shape(&joint.output_shape)).map_err(too_large)?;
            inputs.push((joint.input, joint.initial.clone()));
            outputs.push((joint.output, next));
            cells.push(Cell { joint: joint.clone(), spare: Some(spare) });
        }
        Ok((Kept { ports: state.variables.clone(), cells: cells.into() }, inputs, outputs))
    }

    pub(super) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// The device's index of the input of a variable.
    pub(super) fn input_of(&self, variable: usize) -> usize {
        self.cells[variable].joint.input
    }
}

impl Bindings {
    /// Takes the leases on the ends of the variables.
    pub(super) fn hold_variables(&mut self) -> Result<(), BindError> {
        for (port, cell) in self.kept.ports.iter().zip(&mut self.kept.cells) {
            let input = &mut self.inputs.bound[cell.joint.input];
            check(port, &input.tensor)?;
            input.hold_read(port)?;
            let output = &mut self.outputs.bound[cell.joint.output];
            // What was a value of another shape may be here now.
            if let Some(shape) = cell.joint.output_shape.fixed() {
                output.tensor.set_shape(shape).map_err(|_| BindError::TooLarge { port: port.into() })?;
            }
            let lease = output.tensor.lease_write();
            output.hold = Hold::Write(lease.map_err(|_| BindError::ReadOnly { port: port.into() })?);
        }
        Ok(())
    }

    /// A run is done: what it wrote is the value now.
    pub(super) fn advance(&mut self) {
        for cell in &mut self.kept.cells {
            let value = &mut self.inputs.bound[cell.joint.input].tensor;
            let next = &mut self.outputs.bound[cell.joint.output].tensor;
            core::mem::swap(value, next);
            if let Some(spare) = cell.spare.take() {
                *next = spare;
            }
        }
    }

    /// Puts one variable back to its initial value.
    pub(crate) fn reset(&mut self, key: impl PortKey) -> Result<(), BindError> {
        let index = self.variable(key)?;
        self.reset_at(index);
        Ok(())
    }

    /// Puts all variables back.
    pub(crate) fn reset_all(&mut self) {
        (0..self.kept.cells.len()).for_each(|index| self.reset_at(index));
    }

    fn reset_at(&mut self, index: usize) {
        let Cell { joint, spare } = &mut self.kept.cells[index];
        if spare.is_none() {
            let value = &mut self.inputs.bound[joint.input].tensor;
            *spare = Some(core::mem::replace(value, joint.initial.clone()));
        }
    }

    /// Copies the value of a variable out.
    pub(crate) fn read_variable(&self, key: impl PortKey, to: &mut Tensor) -> Result<(), BindError> {
        let (port, slot) = self.locate(Side::Variable, key)?;
        self.inputs.bound[slot].tensor.copy_to(to).map_err(|error| refused(port, to, error))
    }

    /// A copy of the value of a variable.
    pub(crate) fn variable_value(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        let (port, slot) = self.locate(Side::Variable, key)?;
        let value = &self.inputs.bound[slot].tensor;
        let copy = Tensor::try_zeros(port.element, value.shape()).and_then(|mut copy| {
            value.copy_to(&mut copy)?;
            Ok(copy)
        });
        copy.map_err(|error| refused(port, value, error))
    }

    /// Copies a value into a variable.
    pub(crate) fn set_variable(&mut self, key: impl PortKey, value: &Tensor) -> Result<(), BindError> {
        let index = self.variable(key)?;
        let port = &self.kept.ports[index];
        check(port, value)?;
        let Cell { joint, spare } = &mut self.kept.cells[index];
        let bound = &mut self.inputs.bound[joint.input].tensor;
        // Copied before anything changes: a copy that fails leaves the value as it is.
        let own = spare.as_mut().unwrap_or(bound);
        value.copy_to(own).map_err(|error| refused(port, value, error))?;
        if let Some(own) = spare.take() {
            self.inputs.bound[joint.input].tensor = own;
        }
        Ok(())
    }

    fn variable(&self, key: impl PortKey) -> Result<usize, BindError> {
        Ok(crate::port::find(Side::Variable, self.ports(Side::Variable), key)?.index)
    }
}

/// Why a value could not be copied: `tensor` is the user's side of it.
fn refused(port: &Port, tensor: &Tensor, error: TensorError) -> BindError {
    let port = port.into();
    match error {
        TensorError::Element { asked, .. } => {
            BindError::Element { port, given: tensor.element(), wanted: asked }
        }
        TensorError::InUse(source) => BindError::InUse { port, source },
        TensorError::ReadOnly => BindError::ReadOnly { port },
        _ => BindError::TooLarge { port },
    }
}
