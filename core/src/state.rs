//! Models with a memory: pairs of an input and an output that a request keeps to itself.
//!
//! A recurrent network in ONNX hands its memory out at one port (`stateN`) and wants it back at another (`state`).
//! [`Stateful`] joins the two into a variable: both ports leave the model's lists, and every request has a value of its
//! own, which each run that is done replaces by exchanging two tensors. Before the first run the value is the initial one:
//! zeros, unless the [`Variable`] says otherwise.
//!
//! ```text
//!               ┌────────────── exchanged after a run that is done ──────────────┐
//!               ▼                                                                │
//!  input ─▶ [ state ]──▶ device ─▶ [ stateN ] ────────────────────────────────────┘ ─▶ output
//! ```
//!
//! A variable is a third [`Side`] of a model, so that it is named, checked and reported like a port. The device does not
//! know of it: it sees all of its ports. This module does not hold values; a request does, in its `Bindings`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::device::{CompiledModel, StageInfo, Work};
use crate::port::{self, Port, PortError, Side};
use crate::remote::ContextId;
use crate::request::{BindError, PrepareError, check, least_shape};
use crate::tensor::{Dim, PartialShape, Tensor, TensorError};
use crate::value::Kind;

/// A pair of an input and an output that are to be one variable, by their names.
///
/// `("state", "stateN")` is one that begins with zeros.
#[derive(Clone, Debug)]
pub struct Variable {
    input: Arc<str>,
    output: Arc<str>,
    name: Arc<str>,
    initial: Option<Tensor>,
}

impl Variable {
    /// What `output` gives is what `input` gets in the next run. The variable is named like the input.
    pub fn new(input: impl Into<Arc<str>>, output: impl Into<Arc<str>>) -> Variable {
        let input = input.into();
        Variable { name: input.clone(), input, output: output.into(), initial: None }
    }

    /// Another name for the variable.
    #[must_use]
    pub fn named(self, name: impl Into<Arc<str>>) -> Variable {
        Variable { name: name.into(), ..self }
    }

    /// Its value before the first run and after a reset, instead of zeros. An extent that the input does not know is 0 in
    /// those zeros, so an input of `[2, ?, 128]` will mostly want a value from here. It is copied.
    #[must_use]
    pub fn starting_at(self, value: Tensor) -> Variable {
        Variable { initial: Some(value), ..self }
    }
}

impl<I: Into<Arc<str>>, O: Into<Arc<str>>> From<(I, O)> for Variable {
    fn from((input, output): (I, O)) -> Variable {
        Variable::new(input, output)
    }
}

/// Why ports could not be joined into variables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// There is no such port, or another variable has it already.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Two variables of one name.
    #[error("there are two variables named {name:?}")]
    Twice {
        /// The name.
        name: Arc<str>,
    },
    /// The input does not take what the output gives.
    #[error("the variable {name:?} cannot go from output {output} to input {input}")]
    Ports {
        /// The variable.
        name: Arc<str>,
        /// The output, as errors show ports.
        output: Box<Port>,
        /// The input.
        input: Box<Port>,
    },
    /// The initial value is not one that the input takes.
    #[error("the variable cannot start like this")]
    Initial(#[source] BindError),
    /// There was no memory for the initial value, or it is being written.
    #[error("the variable {name:?} has no initial value")]
    Value {
        /// The variable.
        name: Arc<str>,
        /// Why.
        source: TensorError,
    },
}

/// A model some of whose ports are joined into variables.
pub struct Stateful {
    model: Arc<dyn CompiledModel>,
    inputs: Box<[Port]>,
    outputs: Box<[Port]>,
    state: StateMap,
}

/// Which ports of a device a model's own ports and variables are; see [`CompiledModel::state`].
#[derive(Debug)]
pub struct StateMap {
    /// The device's index of every input, and of every output.
    pub(crate) inputs: Box<[usize]>,
    pub(crate) outputs: Box<[usize]>,
    pub(crate) variables: Box<[Port]>,
    pub(crate) joints: Box<[Joint]>,
}

/// The two ends of a variable.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    /// The device's index.
    pub(crate) input: usize,
    /// The device's index.
    pub(crate) output: usize,
    /// What the device knows of the output's shape before a run.
    pub(crate) output_shape: PartialShape,
    /// Dense and never written; requests share it.
    pub(crate) initial: Tensor,
}

impl StateMap {
    /// The variables, with their types and shapes.
    pub fn variables(&self) -> &[Port] {
        &self.variables
    }
}

impl Stateful {
    /// Joins ports of `model`. Weights and all else stay shared with it, and variables that it has already stay.
    pub fn new<V: Into<Variable>>(
        model: Arc<dyn CompiledModel>,
        variables: impl IntoIterator<Item = V>,
    ) -> Result<Stateful, VariableError> {
        let all = |ports: &[Port]| (0..ports.len()).collect::<Vec<_>>();
        let (mut inputs, mut outputs) = (model.inputs().to_vec(), model.outputs().to_vec());
        let (mut ports, mut joints) = (Vec::new(), Vec::new());
        let (mut from, mut to) = (all(&inputs), all(&outputs));
        if let Some(state) = model.state() {
            (from, to) = (state.inputs.to_vec(), state.outputs.to_vec());
            (ports, joints) = (state.variables.to_vec(), state.joints.to_vec());
        }
        for variable in variables {
            let variable = variable.into();
            let input = port::find(Side::Input, &inputs, &*variable.input)?.clone();
            let output = port::find(Side::Output, &outputs, &*variable.output)?.clone();
            if ports.iter().any(|port: &Port| port.name == variable.name) {
                return Err(VariableError::Twice { name: variable.name });
            }
            let (place, other) = (input.index, output.index);
            inputs.remove(place);
            outputs.remove(other);
            renumber(&mut inputs);
            renumber(&mut outputs);
            let (port, initial) = joined(variable, &input, &output, ports.len())?;
            let (input, end) = (from.remove(place), to.remove(other));
            joints.push(Joint { input, output: end, output_shape: output.shape, initial });
            ports.push(port);
        }
        let (variables, joints) = (ports.into(), joints.into());
        let state = StateMap { inputs: from.into(), outputs: to.into(), variables, joints };
        Ok(Stateful { model, inputs: inputs.into(), outputs: outputs.into(), state })
    }
}

fn renumber(ports: &mut [Port]) {
    ports.iter_mut().enumerate().for_each(|(index, port)| port.index = index);
}

/// The variable as a port, and its initial value.
fn joined(
    variable: Variable,
    input: &Port,
    output: &Port,
    index: usize,
) -> Result<(Port, Tensor), VariableError> {
    let name = variable.name;
    let tensors = input.kind == Kind::Tensor && output.kind == Kind::Tensor;
    if !tensors || input.element != output.element || !could_be(&input.shape, &output.shape) {
        let (output, input) = (Box::new(output.clone()), Box::new(input.clone()));
        return Err(VariableError::Ports { name, output, input });
    }
    let port = Port { side: Side::Variable, index, name: name.clone(), ..input.clone() };
    let shape =
        variable.initial.as_ref().map_or_else(|| least_shape(&port.shape), |value| value.shape().clone());
    if let Some(value) = &variable.initial {
        check(&port, value).map_err(VariableError::Initial)?;
    }
    let copied = Tensor::try_zeros(port.element, shape).and_then(|mut copy| {
        variable.initial.map_or(Ok(()), |value| value.copy_to(&mut copy))?;
        Ok(copy)
    });
    Ok((port, copied.map_err(|source| VariableError::Value { name, source })?))
}

/// True when there is a shape that both admit.
fn could_be(input: &PartialShape, output: &PartialShape) -> bool {
    let (Some(inputs), Some(outputs)) = (input.dims(), output.dims()) else { return true };
    let fits = |(input, output): (&Dim, &Dim)| match (input.fixed(), output.fixed()) {
        (Some(extent), _) => output.admits(extent),
        (_, Some(extent)) => input.admits(extent),
        (None, None) => true,
    };
    inputs.len() == outputs.len() && inputs.iter().zip(outputs).all(fits)
}

impl CompiledModel for Stateful {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn context(&self) -> Option<&ContextId> {
        self.model.context()
    }

    fn stages(&self) -> &[StageInfo] {
        self.model.stages()
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        self.model.prepare()
    }

    fn state(&self) -> Option<&StateMap> {
        Some(&self.state)
    }
}
