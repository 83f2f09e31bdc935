//! What a request refuses before a run exists, as types that name the port and say what was asked and what exists.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::port::{Port, PortError, Side};
use crate::remote::ContextId;
use crate::request::error::{BoxError, InferErrorKind};
use crate::tensor::{Dim, ElementType, InUse, PartialShape, Shape};
use crate::value::{Kind, Value};

/// A port as errors name it: `input #0 "image"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName {
    /// Input, output or variable.
    pub side: Side,
    /// Position among the ports of its side.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
}

impl From<&Port> for PortName {
    fn from(port: &Port) -> Self {
        PortName { side: port.side, index: port.index, name: port.name.clone() }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} \"{}\"", self.side, self.index, self.name)
    }
}

/// Why a tensor could not be bound to a port, or the tensor of a port not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A run is under way and owns the tensors.
    #[error("the request is busy with a run")]
    Busy,
    /// A run is under way; it has been cancelled and is not over yet.
    #[error("the request is busy with a run that has been cancelled")]
    Cancelling,
    /// No port is what was asked for.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A run that brings its own inputs left one out.
    #[error("{port} was not given")]
    Missing {
        /// The port.
        port: PortName,
    },
    /// The tensor has another element type than the port.
    #[error("{port} takes {wanted}, not {given}")]
    Element {
        /// The port.
        port: PortName,
        /// The tensor's type.
        given: ElementType,
        /// The port's type.
        wanted: ElementType,
    },
    /// The port takes another kind of value: a tensor where a sequence is wanted, nothing where something is.
    #[error("{port} takes {wanted}, not {given}")]
    Kind {
        /// The port.
        port: PortName,
        /// What it was given or asked for, in words.
        given: Given,
        /// What the port takes.
        wanted: Kind,
    },
    /// The tensor's shape is not one the port takes.
    #[error("{port} takes the shape {wanted}, not {given}")]
    Shape {
        /// The port.
        port: PortName,
        /// The tensor's shape.
        given: Box<Shape>,
        /// The port's shape.
        wanted: Box<PartialShape>,
    },
    /// The tensor may only be read, so it cannot be an output.
    #[error("{port} cannot be written to read-only memory")]
    ReadOnly {
        /// The port.
        port: PortName,
    },
    /// Not as many items as the port's batch has.
    #[error("{port} takes a batch of {wanted} items, not of {given}")]
    Items {
        /// The port.
        port: PortName,
        /// How many there were.
        given: usize,
        /// The port's first extent; at least 1 where it is not fixed.
        wanted: Dim,
    },
    /// An item of a batch does not fit.
    #[error("item {item} of the batch does not fit")]
    Item {
        /// Which, from 0.
        item: usize,
        /// Why.
        source: Box<BindError>,
    },
    /// The port was given the items of a batch, so it has no one tensor.
    #[error("{port} is bound to the items of a batch, not to a tensor")]
    Batched {
        /// The port.
        port: PortName,
    },
    /// A view or another run holds the bytes of the bound tensor.
    #[error("{port} cannot be used")]
    InUse {
        /// The port.
        port: PortName,
        /// Who holds it.
        source: InUse,
    },
    /// Two ports of one run would share bytes of which one writes.
    #[error("{port} shares its storage with {other}")]
    Shared {
        /// The output.
        port: PortName,
        /// The other port.
        other: PortName,
    },
    /// The tensor is on a device, and the model does not compute there.
    #[error("{port} cannot be a tensor in {given}: {}", Reach(.model.as_ref()))]
    Remote {
        /// The port.
        port: PortName,
        /// Where the tensor is.
        given: ContextId,
        /// Where the model can use tensors besides the host, if anywhere.
        model: Option<ContextId>,
    },
    /// A fresh tensor of the port's size could not be had.
    #[error("a tensor for {port} is too large")]
    TooLarge {
        /// The port.
        port: PortName,
    },
}

/// A kind of value, as errors say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// One tensor.
    Tensor,
    /// So many tensors.
    Sequence(usize),
    /// Nothing.
    Absent,
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Given {
        match value {
            Value::Tensor(_) => Given::Tensor,
            Value::Sequence(tensors) => Given::Sequence(tensors.len()),
            Value::Absent => Given::Absent,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Tensor => f.write_str("a tensor"),
            Given::Sequence(count) => write!(f, "a sequence of {count} tensors"),
            Given::Absent => f.write_str("nothing"),
        }
    }
}

struct Reach<'a>(Option<&'a ContextId>);

impl fmt::Display for Reach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(context) => write!(f, "the model uses tensors of the host and in {context}"),
            None => f.write_str("the model uses tensors of the host"),
        }
    }
}

impl BindError {
    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        match self {
            BindError::Busy => InferErrorKind::Busy,
            BindError::Cancelling => InferErrorKind::Cancelled,
            BindError::Port(error) if error.out_of_range => InferErrorKind::OutOfRange,
            BindError::Port(_) => InferErrorKind::NotFound,
            BindError::Missing { .. }
            | BindError::Element { .. }
            | BindError::Shape { .. }
            | BindError::Items { .. }
            | BindError::Item { .. }
            | BindError::Batched { .. }
            | BindError::Kind { .. }
            | BindError::ReadOnly { .. }
            | BindError::Remote { .. } => InferErrorKind::InvalidInput,
            BindError::InUse { .. } | BindError::Shared { .. } => InferErrorKind::InUse,
            BindError::TooLarge { .. } => InferErrorKind::OutOfMemory,
        }
    }
}

/// Why a device could not give a request its working memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// There was no memory.
    #[error("no memory for the {bytes} bytes of a request")]
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: usize,
    },
    /// The pipeline does not have the stages of the model.
    #[error("the pipeline has {given} stages, the model {wanted}")]
    Stages {
        /// Stages of the pipeline.
        given: usize,
        /// Stages of the model; at most [`MAX_STAGES`](crate::request::MAX_STAGES) are possible.
        wanted: usize,
    },
    /// A tensor for a port could not be made.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The device failed.
    #[error("the device could not prepare a request")]
    Device(#[source] BoxError),
}

impl PrepareError {
    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        match self {
            PrepareError::OutOfMemory { .. } => InferErrorKind::OutOfMemory,
            PrepareError::Stages { .. } => InferErrorKind::InvalidInput,
            PrepareError::Bind(error) => error.kind(),
            PrepareError::Device(_) => InferErrorKind::Device,
        }
    }
}

/// Why a run did not start. The request is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A run is under way.
    #[error("the request is busy with a run")]
    Busy,
    /// A run is under way; it has been cancelled and is not over yet.
    #[error("the request is busy with a run that has been cancelled")]
    Cancelling,
    /// The request was stopped.
    #[error("the request has been stopped")]
    Stopped,
    /// A bound tensor does not fit, or is held by somebody else.
    #[error(transparent)]
    Bind(BindError),
    /// The device's memory had to be rebuilt after a panic, and could not be.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The executor of the first stage did not take the run.
    #[error("the executor \"{executor}\" refused the run")]
    Refused {
        /// The executor's name.
        executor: String,
    },
}

impl StartError {
    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        match self {
            StartError::Busy => InferErrorKind::Busy,
            StartError::Cancelling => InferErrorKind::Cancelled,
            StartError::Stopped => InferErrorKind::Disposed,
            StartError::Bind(error) => error.kind(),
            StartError::Prepare(error) => error.kind(),
            StartError::Refused { .. } => InferErrorKind::Abandoned,
        }
    }
}
