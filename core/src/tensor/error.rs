//! What can be refused about tensors, as types.

use alloc::boxed::Box;

use super::element::ElementType;
use super::layout::LayoutError;
use super::shape::{RankTooHigh, Shape};
use crate::remote::ContextId;

/// The storage is held by another view or run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tensor's storage is {}", if *.written { "being written by another view or run" } else { "held by other readers" })]
pub struct InUse {
    /// True when a writer holds it, false when readers do.
    pub written: bool,
}

/// The writer's lease was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another view or run holds the storage.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The memory was given to be read only.
    #[error("the tensor's storage is read-only")]
    ReadOnly,
}

/// There was no memory to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a tensor of {bytes} bytes")]
pub struct OutOfMemory {
    /// Bytes that were asked for.
    pub bytes: usize,
}

/// Why numbers could not be made into a tensor, or a tensor be seen as numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A typed access, or a copy, with another element type.
    #[error("the tensor holds {actual}, not {asked}")]
    Element {
        /// The type that was asked for.
        asked: ElementType,
        /// The type of the tensor's elements.
        actual: ElementType,
    },
    /// The number of values does not fit the shape.
    #[error("{values} values do not fill the shape {shape} of {wanted} elements")]
    Count {
        /// Values given.
        values: usize,
        /// Elements of the shape.
        wanted: usize,
        /// The shape.
        shape: Shape,
    },
    /// The number of bytes does not fit the shape.
    #[error("{bytes} bytes do not fill the shape {shape} of {element}, which takes {wanted}")]
    Bytes {
        /// Bytes given.
        bytes: usize,
        /// Bytes of the shape.
        wanted: usize,
        /// Element type.
        element: ElementType,
        /// The shape.
        shape: Shape,
    },
    /// The shape has more bytes than memory can address.
    #[error("a tensor of {element} with shape {shape} is too large")]
    TooLarge {
        /// Element type.
        element: ElementType,
        /// The shape.
        shape: Shape,
    },
    /// There was no memory to be had.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// More dimensions than a tensor can have.
    #[error(transparent)]
    Rank(#[from] RankTooHigh),
    /// A flat slice was asked of elements that do not lie densely.
    #[error("the elements of shape {shape} do not lie densely in memory")]
    NotDense {
        /// The shape.
        shape: Shape,
    },
    /// Another view or run holds the storage.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The memory was given to be read only.
    #[error("the tensor's storage is read-only")]
    ReadOnly,
    /// Strides, regions or ranges that do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Bytes that are no value of the element type (a bool that is neither 0 nor 1).
    #[error("the bytes are no valid {element}")]
    Bits {
        /// Element type.
        element: ElementType,
    },
    /// Borrowed memory that does not lie as its element type must.
    #[error("{element} must lie at a multiple of {align} bytes; the first element is {over} bytes past one")]
    Unaligned {
        /// Element type.
        element: ElementType,
        /// The alignment of the element type, in bytes.
        align: usize,
        /// How far the first element lies past a multiple of it, in bytes.
        over: usize,
    },
    /// The elements are on a device: copy them with its [`RemoteContext`](crate::remote::RemoteContext).
    #[error("the tensor's elements are in {context}, where the host cannot look")]
    Remote {
        /// Where.
        context: ContextId,
    },
    /// Strings and plain bytes in each other's place.
    #[error("strings are not plain bytes: see `Tensor::from_strings` and `Tensor::strings`")]
    Strings,
    /// A shape that a borrowed, strided or region tensor cannot take.
    #[error("the tensor cannot take shape {asked}: {room}")]
    Room {
        /// The shape that was asked for.
        asked: Shape,
        /// What there is room for.
        room: Box<Room>,
    },
}

impl From<LeaseError> for TensorError {
    fn from(error: LeaseError) -> TensorError {
        match error {
            LeaseError::InUse(in_use) => in_use.into(),
            LeaseError::ReadOnly => TensorError::ReadOnly,
        }
    }
}

/// How far the shape of a tensor may be changed in place. See `Tensor::set_shape`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Room {
    /// Without limit: the tensor takes new storage when it has to.
    Growing,
    /// Any shape of at most so many bytes: the memory belongs to somebody else.
    Bytes(usize),
    /// No extent larger than here: the elements of a region or of a strided tensor have others between them.
    Within(Shape),
}

impl core::fmt::Display for Room {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Room::Growing => f.write_str("it is too large"),
            Room::Bytes(bytes) => write!(f, "its borrowed memory has {bytes} bytes"),
            Room::Within(shape) => write!(f, "it is a view within {shape}"),
        }
    }
}
