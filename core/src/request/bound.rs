//! One tensor of a request, and its lease during a run.
//!
//! A [`Bound`] is what a device sees of a port: the tensor with its strides, and while a run is under way the bytes. Which
//! port it belongs to, and whether the tensor may be there, is the business of `bindings`; this file only knows how to
//! check a tensor against a port.

use alloc::boxed::Box;
use alloc::string::String;

use crate::port::{Port, Side};
use crate::remote::ContextId;
use crate::request::batch::Batch;
use crate::request::parts::Parts;
use crate::request::refusal::{BindError, Given};
use crate::tensor::{Dim, ElementType, PartialShape, ReadLease, Shape, Tensor, TensorError, WriteLease};
use crate::value::Kind;

/// A tensor bound to a port; during a run, with the lease on its bytes.
#[derive(Debug)]
pub struct Bound {
    pub(super) tensor: Tensor,
    pub(super) hold: Hold,
    /// What the tensor is gathered from in each run, when it was given in pieces.
    pub(super) batch: Option<Box<Batch>>,
    /// The value, when the port is no plain tensor.
    pub(super) parts: Option<Box<Parts>>,
}

#[derive(Debug)]
pub(super) enum Hold {
    Free,
    Read(ReadLease),
    Write(WriteLease),
}

impl Bound {
    /// The tensor: its element type, shape and strides. Views of it fail while it is held; see [`Bound::bytes`].
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// What is bound to a port that is no plain tensor: [`Bound::tensor`] means nothing there.
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.as_deref()
    }

    /// As [`Bound::parts`], for an output to write.
    pub fn parts_mut(&mut self) -> Option<&mut Parts> {
        self.parts.as_deref_mut()
    }

    /// During a run, the bytes of the storage, of which the first element is at [`Tensor::offset`]; otherwise none, and none of a
    /// tensor on a device ([`Tensor::as_remote`]).
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

    /// A tensor that nobody holds.
    pub(super) fn new(tensor: Tensor) -> Bound {
        Bound { tensor, hold: Hold::Free, batch: None, parts: None }
    }

    /// Nothing: what is bound where a tensor is about to be put.
    pub(super) fn vacant(element: ElementType) -> Bound {
        Bound::new(Tensor::zeros(element, [0]))
    }

    /// A fresh tensor for what `port` writes, with the writer's lease for as long as it lives: nobody else has a share in it.
    pub(crate) fn owned(port: &Port) -> Result<Bound, BindError> {
        let mut bound = Bound::fresh(port)?;
        if bound.parts.is_some() {
            return Ok(bound);
        }
        let lease = bound.tensor.lease_write();
        bound.hold = Hold::Write(lease.map_err(|_| BindError::ReadOnly { port: port.into() })?);
        Ok(bound)
    }

    /// A fresh tensor of zeros; an extent that is not known before a run is 0.
    pub(super) fn fresh(port: &Port) -> Result<Bound, BindError> {
        if port.kind != Kind::Tensor {
            let parts = Some(Box::new(Parts::fresh(port.kind)));
            return Ok(Bound { parts, ..Bound::vacant(port.element) });
        }
        fresh(port, least_shape(&port.shape)).map(Bound::new)
    }

    /// Takes a reader's lease, or the writer's.
    pub(super) fn hold_read(&mut self, port: &Port) -> Result<(), BindError> {
        let lease = self.tensor.lease_read();
        self.hold = Hold::Read(lease.map_err(|source| BindError::InUse { port: port.into(), source })?);
        Ok(())
    }

    /// True when it lies in the storage of `tensor`.
    pub(super) fn shares(&self, tensor: &Tensor) -> bool {
        self.tensor.shares_storage(tensor)
            || self.batch.as_ref().is_some_and(|batch| batch.shares(tensor))
            || self.parts.as_ref().is_some_and(|parts| parts.shares(tensor))
    }

    /// Gives the leases back.
    pub(super) fn release(&mut self) {
        self.hold = Hold::Free;
        if let Some(batch) = &mut self.batch {
            batch.release();
        }
        if let Some(parts) = &mut self.parts {
            parts.release();
        }
    }
}

/// Whether a port takes a tensor.
pub(crate) fn check(port: &Port, tensor: &Tensor) -> Result<(), BindError> {
    check_in(None, port, tensor)
}

/// As [`check`]; the tensor may also lie in this context.
pub(super) fn check_in(context: Option<&ContextId>, port: &Port, tensor: &Tensor) -> Result<(), BindError> {
    if port.kind != Kind::Tensor {
        return Err(no_tensor(port));
    }
    check_tensor(context, port, tensor)
}

/// The error for whoever takes a port for a tensor that is none.
pub(super) fn no_tensor(port: &Port) -> BindError {
    BindError::Kind { port: port.into(), given: Given::Tensor, wanted: port.kind }
}

/// As [`check_in`], for a tensor that may be one of several.
pub(super) fn check_tensor(
    context: Option<&ContextId>,
    port: &Port,
    tensor: &Tensor,
) -> Result<(), BindError> {
    if let Some(remote) = tensor.as_remote()
        && Some(remote.context()) != context
    {
        let (given, model) = (remote.context().clone(), context.cloned());
        return Err(BindError::Remote { port: port.into(), given, model });
    }
    if tensor.element() != port.element {
        let (given, wanted) = (tensor.element(), port.element);
        return Err(BindError::Element { port: port.into(), given, wanted });
    }
    if port.side == Side::Output && tensor.is_read_only() {
        return Err(BindError::ReadOnly { port: port.into() });
    }
    // An output whose shape only the run knows takes any tensor: the run gives it its shape.
    let free = port.side == Side::Output && port.shape.fixed().is_none();
    if free { Ok(()) } else { check_shape(port, tensor) }
}

/// Whether a port takes the shape of a tensor.
pub(crate) fn check_shape(port: &Port, tensor: &Tensor) -> Result<(), BindError> {
    if port.shape.admits(tensor.shape()) {
        return Ok(());
    }
    let (given, wanted) = (Box::new(tensor.shape().clone()), Box::new(port.shape.clone()));
    Err(BindError::Shape { port: port.into(), given, wanted })
}

/// The known extents, and 0 for the others; `[0]` when not even the rank is known.
pub(crate) fn least_shape(shape: &PartialShape) -> Shape {
    let Some(dims) = shape.dims() else { return Shape::from([0]) };
    let extents: heapless::Vec<usize, { crate::tensor::MAX_RANK }> =
        dims.iter().map(|dim| if let Dim::Fixed(extent) = dim { *extent } else { 0 }).collect();
    Shape::new(&extents).expect("a shape of the same rank")
}

/// A dense tensor of zeros for a port.
pub(super) fn fresh(port: &Port, shape: Shape) -> Result<Tensor, BindError> {
    Tensor::try_zeros(port.element, shape).map_err(|_| BindError::TooLarge { port: port.into() })
}
