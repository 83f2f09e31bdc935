//! What is bound to a port that is no plain tensor: the tensors of a sequence, or of something that may be absent.
//!
//! Each tensor in it is a [`Bound`] of its own, so that a device reads and writes it as it does any other. The tensors of an
//! input stay the caller's, and are held for reading during a run; those of an output are made by the run. Whether a value
//! may be bound to a port at all is checked here too.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::port::{Port, PortKey, Side};
use crate::remote::ContextId;
use crate::request::bindings::Bindings;
use crate::request::bound::{Bound, Hold, check_tensor};
use crate::request::refusal::BindError;
use crate::tensor::{ElementType, Shape, Tensor, TensorError};
use crate::value::{Kind, Value};

/// A value of several tensors, or of none.
#[derive(Debug)]
pub struct Parts {
    /// Tensor, sequence, or neither when there is nothing.
    holds: Option<Kind>,
    items: Vec<Bound>,
}

impl Parts {
    /// An empty sequence, nothing, or a tensor without elements, whichever the port takes.
    pub(super) fn fresh(kind: Kind) -> Parts {
        let holds = if kind.is_optional() { None } else { Some(kind) };
        Parts { holds, items: Vec::new() }
    }

    fn new(value: Value) -> Parts {
        let holds = match &value {
            Value::Tensor(_) => Some(Kind::Tensor),
            Value::Sequence(_) => Some(Kind::Sequence),
            Value::Absent => None,
        };
        let tensors = match value {
            Value::Tensor(tensor) => Vec::from([tensor]),
            Value::Sequence(tensors) => tensors,
            Value::Absent => Vec::new(),
        };
        Parts { holds, items: tensors.into_iter().map(Bound::new).collect() }
    }

    /// What it holds now: [`Kind::Tensor`], [`Kind::Sequence`], or `None` when there is nothing.
    pub fn holds(&self) -> Option<Kind> {
        self.holds
    }

    /// The tensors in it: one, any number, or none.
    pub fn items(&self) -> &[Bound] {
        &self.items
    }

    /// For an output: lets go of what it held. What it shall hold from now on is as in [`Parts::holds`].
    pub fn begin(&mut self, holds: Option<Kind>) {
        self.items.clear();
        self.holds = holds;
    }

    /// For an output: adds a tensor, to be written.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn add(&mut self, element: ElementType, shape: Shape) -> Result<&mut Bound, TensorError> {
        let tensor = Tensor::try_zeros(element, shape)?;
        let lease = tensor.lease_write()?;
        self.items.push(Bound { hold: Hold::Write(lease), ..Bound::new(tensor) });
        Ok(self.items.last_mut().expect("just added"))
    }

    /// For an output: the tensor that was added last.
    pub fn latest(&mut self) -> Option<&mut Bound> {
        self.items.last_mut()
    }

    fn value(&self) -> Value {
        let mut tensors = self.items.iter().map(|item| item.tensor.clone());
        match self.holds {
            None => Value::Absent,
            Some(Kind::Sequence) => Value::Sequence(tensors.collect()),
            Some(_) => tensors.next().map_or(Value::Absent, Value::Tensor),
        }
    }

    /// Holds the tensors of an input for a run.
    pub(super) fn hold(&mut self, context: Option<&ContextId>, port: &Port) -> Result<(), BindError> {
        check(context, port, &self.value())?;
        self.items.iter_mut().try_for_each(|item| item.hold_read(port))
    }

    /// Gives the leases back.
    pub(super) fn release(&mut self) {
        self.items.iter_mut().for_each(Bound::release);
    }

    /// True when one of the tensors lies in the storage of `tensor`.
    pub(super) fn shares(&self, tensor: &Tensor) -> bool {
        self.items.iter().any(|item| item.tensor.shares_storage(tensor))
    }
}

impl Bindings {
    /// Binds a value to an input of any kind.
    pub fn set_value(&mut self, key: impl PortKey, value: Value) -> Result<(), BindError> {
        let (port, slot) = self.locate(Side::Input, key)?;
        check(self.context(), port, &value)?;
        let plain = port.kind == Kind::Tensor;
        let bound = &mut self.inputs.bound[slot];
        match value {
            Value::Tensor(tensor) if plain => *bound = Bound::new(tensor),
            value => bound.parts = Some(Box::new(Parts::new(value))),
        }
        Ok(())
    }

    /// What is bound to an input or output of any kind.
    pub fn value(&self, side: Side, key: impl PortKey) -> Result<Value, BindError> {
        let (port, slot) = self.locate(side, key)?;
        let bound = match side {
            Side::Input | Side::Variable => &self.inputs.bound[slot],
            Side::Output => &self.outputs.bound[slot],
        };
        match &bound.parts {
            Some(parts) => Ok(parts.value()),
            None => Ok(Value::Tensor(self.tensor(side, port.index)?.clone())),
        }
    }

    /// Takes the value of an output of any kind out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        let (port, slot) = self.locate(Side::Output, key)?;
        let (index, kind) = (port.index, port.kind);
        match &mut self.outputs.bound[slot].parts {
            Some(parts) => Ok(core::mem::replace(&mut **parts, Parts::fresh(kind)).value()),
            None => Ok(Value::Tensor(self.take(Side::Output, index)?)),
        }
    }
}

/// Whether a port takes a value.
fn check(context: Option<&ContextId>, port: &Port, value: &Value) -> Result<(), BindError> {
    if !port.kind.admits(value) {
        return Err(BindError::Kind { port: port.into(), given: value.into(), wanted: port.kind });
    }
    let check = |(item, tensor): (usize, &Tensor)| {
        let fits = check_tensor(context, port, tensor);
        match value {
            Value::Sequence(_) => fits.map_err(|source| BindError::Item { item, source: Box::new(source) }),
            _ => fits,
        }
    };
    value.tensors().iter().enumerate().try_for_each(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::port;
    use alloc::string::ToString;

    fn of(kind: Kind) -> Bindings {
        let port = |side, name: &str| Port { kind, ..port(side, 0, name, [2, 3]) };
        Bindings::new(&[port(Side::Input, "x")], &[port(Side::Output, "y")]).unwrap()
    }

    fn tensor(rows: usize) -> Tensor {
        Tensor::zeros(ElementType::F32, [rows, 3])
    }

    #[test]
    fn a_value_of_another_kind_is_refused_by_name() {
        let refused = |kind, value: Value| of(kind).set_value("x", value).unwrap_err().to_string();
        let expected = "input #0 \"x\" takes a sequence of tensors, not a tensor";
        assert_eq!(refused(Kind::Sequence, tensor(2).into()), expected);
        let expected = "input #0 \"x\" takes a tensor or nothing, not a sequence of 2 tensors";
        assert_eq!(refused(Kind::OptionalTensor, Vec::from([tensor(2), tensor(2)]).into()), expected);
        assert_eq!(refused(Kind::Tensor, Value::Absent), "input #0 \"x\" takes a tensor, not nothing");
        let error = of(Kind::Sequence).set(Side::Input, "x", tensor(2)).unwrap_err().to_string();
        assert_eq!(error, "input #0 \"x\" takes a sequence of tensors, not a tensor");
        assert!(matches!(of(Kind::Sequence).tensor(Side::Output, 0), Err(BindError::Kind { .. })));
    }

    #[test]
    fn the_tensors_of_a_sequence_are_checked_one_by_one() {
        let mut io = of(Kind::Sequence);
        let wrong = Tensor::zeros(ElementType::I64, [2, 3]);
        let error = io.set_value("x", Vec::from([tensor(2), wrong]).into()).unwrap_err();
        assert!(matches!(error, BindError::Item { item: 1, .. }), "{error}");
        let error = io.set_value("x", Vec::from([tensor(4)]).into()).unwrap_err();
        assert!(matches!(error, BindError::Item { item: 0, .. }), "{error}");
    }

    #[test]
    fn a_run_holds_the_tensors_of_an_input_and_makes_those_of_an_output() {
        let mut io = of(Kind::OptionalSequence);
        io.hold().unwrap();
        assert!(io.inputs()[0].parts().unwrap().holds().is_none());
        io.release();
        let items = [tensor(2), tensor(2)];
        io.set_value(0, items.to_vec().into()).unwrap();
        io.hold().unwrap();
        assert!(items[1].clone().as_slice_mut::<f32>().is_err(), "it is being read");
        let (inputs, outputs) = io.split();
        assert_eq!(inputs[0].parts().unwrap().items()[1].bytes().len(), 24);
        let parts = outputs[0].parts_mut().unwrap();
        parts.begin(Some(Kind::Sequence));
        parts.add(ElementType::F32, [1, 3].into()).unwrap().bytes_mut().fill(0);
        io.release();
        assert!(items[1].clone().as_slice_mut::<f32>().is_ok());
        let Value::Sequence(made) = io.value(Side::Output, "y").unwrap() else { panic!("a sequence") };
        assert_eq!(made[0].to_vec::<f32>().unwrap(), [0.0; 3]);
        assert_eq!(io.take_value("y").unwrap().tensors().len(), 1);
        assert!(io.take_value("y").unwrap().is_absent());
    }
}
