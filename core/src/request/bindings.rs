//! The tensors of a request, one a port, and their leases during a run.
//!
//! Everything that can be wrong with a tensor is checked here: the port exists, the element type and the shape fit, the
//! bytes are nobody else's. Types and shapes are looked at when a tensor is bound and again when a run starts, since a
//! tensor may have been exchanged in place meanwhile. From the start of a run until its stages are over every input holds
//! a reader's lease and every output the writer's, so a view made meanwhile fails with
//! [`InUse`](crate::tensor::InUse) instead of seeing half a result. Nothing here knows who runs what.

use alloc::boxed::Box;
use alloc::string::String;

use crate::port::{self, Port, PortKey, Side};
use crate::request::refusal::BindError;
use crate::tensor::{Dim, LeaseError, PartialShape, ReadLease, Shape, Tensor, TensorError, WriteLease};

/// The tensors bound to the ports of a model.
///
/// A device gets it with every poll of a stage. Tests of devices make their own: [`Bindings::new`], [`Bindings::set`], then
/// [`Bindings::hold`] before the first poll.
#[derive(Debug)]
pub struct Bindings {
    input_ports: Box<[Port]>,
    output_ports: Box<[Port]>,
    inputs: Box<[Bound]>,
    outputs: Box<[Bound]>,
}

/// A tensor bound to a port; during a run, with the lease on its bytes.
#[derive(Debug)]
pub struct Bound {
    tensor: Tensor,
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    Free,
    Read(ReadLease),
    Write(WriteLease),
}

impl Bindings {
    /// A fresh tensor of zeros for every port; an extent that is not known before a run is 0.
    pub fn new(inputs: &[Port], outputs: &[Port]) -> Result<Bindings, BindError> {
        let side = |ports: &[Port]| ports.iter().map(Bound::fresh).collect::<Result<Box<[_]>, _>>();
        let (input_ports, output_ports) = (inputs.into(), outputs.into());
        Ok(Bindings { inputs: side(inputs)?, outputs: side(outputs)?, input_ports, output_ports })
    }

    /// The inputs, in the order of the ports.
    pub fn inputs(&self) -> &[Bound] {
        &self.inputs
    }

    /// The outputs, in the order of the ports.
    pub fn outputs(&self) -> &[Bound] {
        &self.outputs
    }

    /// Both sides at once: what a stage reads, and what it writes.
    pub fn split(&mut self) -> (&[Bound], &mut [Bound]) {
        (&self.inputs, &mut self.outputs)
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
        for bound in self.inputs.iter_mut().chain(&mut self.outputs) {
            bound.hold = Hold::Free;
        }
    }

    fn try_hold(&mut self) -> Result<(), BindError> {
        for (port, bound) in self.input_ports.iter().zip(&mut self.inputs) {
            check(port, &bound.tensor)?;
            let lease = bound.tensor.lease_read();
            bound.hold = Hold::Read(lease.map_err(|source| BindError::InUse { port: port.into(), source })?);
        }
        for (index, port) in self.output_ports.iter().enumerate() {
            check(port, &self.outputs[index].tensor)?;
            match self.outputs[index].tensor.lease_write() {
                Ok(lease) => self.outputs[index].hold = Hold::Write(lease),
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
        let ports = self.input_ports.iter().chain(&self.output_ports[..output]);
        let mut others = self.inputs.iter().chain(&self.outputs[..output]).zip(ports);
        let tensor = &self.outputs[output].tensor;
        let (_, other) = others.find(|(other, _)| other.tensor.shares_storage(tensor))?;
        Some(BindError::Shared { port: (&self.output_ports[output]).into(), other: other.into() })
    }

    /// The ports of a side, in the model's order.
    pub fn ports(&self, side: Side) -> &[Port] {
        match side {
            Side::Input => &self.input_ports,
            Side::Output => &self.output_ports,
        }
    }

    /// The tensor bound to a port.
    pub(crate) fn tensor(&self, side: Side, key: impl PortKey) -> Result<&Tensor, BindError> {
        let index = self.index(side, key)?;
        Ok(match side {
            Side::Input => &self.inputs[index].tensor,
            Side::Output => &self.outputs[index].tensor,
        })
    }

    /// The tensor bound to a port, to exchange in place or to view for writing.
    pub(crate) fn tensor_mut(&mut self, side: Side, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        let index = self.index(side, key)?;
        Ok(&mut self.side_mut(side)[index].tensor)
    }

    /// Binds `tensor`; gives the one that was bound.
    pub fn set(&mut self, side: Side, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        let index = self.index(side, key)?;
        check(&self.ports(side)[index], &tensor)?;
        Ok(core::mem::replace(&mut self.side_mut(side)[index].tensor, tensor))
    }

    /// Takes the tensor of a port out and binds a fresh one.
    pub(crate) fn take(&mut self, side: Side, key: impl PortKey) -> Result<Tensor, BindError> {
        let index = self.index(side, key)?;
        let fresh = Bound::fresh(&self.ports(side)[index])?;
        Ok(core::mem::replace(&mut self.side_mut(side)[index], fresh).tensor)
    }

    fn side_mut(&mut self, side: Side) -> &mut [Bound] {
        match side {
            Side::Input => &mut self.inputs,
            Side::Output => &mut self.outputs,
        }
    }

    fn index(&self, side: Side, key: impl PortKey) -> Result<usize, BindError> {
        Ok(port::find(side, self.ports(side), key)?.index)
    }
}

impl Bound {
    /// The tensor: its element type, shape and strides. Views of it fail while it is held; see [`Bound::bytes`].
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// During a run, the bytes of the storage, of which the first element is at [`Tensor::offset`]; otherwise none.
    pub fn bytes(&self) -> &[u8] {
        match &self.hold {
            Hold::Free => &[],
            Hold::Read(lease) => lease.bytes(),
            Hold::Write(lease) => lease.bytes(),
        }
    }

    /// During a run, the bytes of an output's storage, to write; otherwise none.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.hold {
            Hold::Free | Hold::Read(_) => &mut [],
            Hold::Write(lease) => lease.bytes_mut(),
        }
    }

    /// During a run, the strings of the storage of a tensor of strings; otherwise none.
    pub fn strings(&self) -> &[String] {
        match &self.hold {
            Hold::Free => &[],
            Hold::Read(lease) => lease.strings(),
            Hold::Write(lease) => lease.strings(),
        }
    }

    /// During a run, the strings of an output's storage, to write; otherwise none.
    pub fn strings_mut(&mut self) -> &mut [String] {
        match &mut self.hold {
            Hold::Free | Hold::Read(_) => &mut [],
            Hold::Write(lease) => lease.strings_mut(),
        }
    }

    /// Gives an output of this run the shape that the run found out; see [`Tensor::set_shape`] for when that takes new
    /// memory, and when it cannot be done. The numbers are unspecified afterwards.
    pub fn set_shape(&mut self, shape: &Shape) -> Result<(), TensorError> {
        if self.tensor.shape() == shape {
            return Ok(());
        }
        let before = self.tensor.clone();
        self.tensor.set_shape(shape.clone())?;
        if !self.tensor.shares_storage(&before) && matches!(self.hold, Hold::Write(_)) {
            // The old memory may be others' as well; the new is only ours, so the lease is granted.
            self.hold = Hold::Write(self.tensor.lease_write()?);
        }
        Ok(())
    }

    fn fresh(port: &Port) -> Result<Bound, BindError> {
        let tensor = Tensor::try_zeros(port.element, least_shape(&port.shape))
            .map_err(|_| BindError::TooLarge { port: port.into() })?;
        Ok(Bound { tensor, hold: Hold::Free })
    }
}

fn check(port: &Port, tensor: &Tensor) -> Result<(), BindError> {
    if tensor.element() != port.element {
        let (given, wanted) = (tensor.element(), port.element);
        return Err(BindError::Element { port: port.into(), given, wanted });
    }
    if port.side == Side::Output && tensor.is_read_only() {
        return Err(BindError::ReadOnly { port: port.into() });
    }
    // An output whose shape only the run knows takes any tensor: the run gives it its shape.
    let free = port.side == Side::Output && port.shape.fixed().is_none();
    if !free && !port.shape.admits(tensor.shape()) {
        let (given, wanted) = (Box::new(tensor.shape().clone()), Box::new(port.shape.clone()));
        return Err(BindError::Shape { port: port.into(), given, wanted });
    }
    Ok(())
}

/// The known extents, and 0 for the others; `[0]` when not even the rank is known.
fn least_shape(shape: &PartialShape) -> Shape {
    let Some(dims) = shape.dims() else { return Shape::from([0]) };
    let extents: heapless::Vec<usize, { crate::tensor::MAX_RANK }> =
        dims.iter().map(|dim| if let Dim::Fixed(extent) = dim { *extent } else { 0 }).collect();
    Shape::new(&extents).expect("a shape of the same rank")
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
