//! Tensors: a block of numbers, and who may touch it now.
//!
//! A [`Tensor`] is an element type, a layout (shape and byte strides) and a share in a storage. Cloning a tensor copies the
//! handle, not the numbers; a region shares the storage of its parent and keeps it alive. Because several handles may
//! share bytes, access goes through a *lease*: any number of readers or one writer, taken by a view for its life and by
//! a request for the length of a run. A second party that asks for what is taken gets [`InUse`], so safe code never sees
//! bytes change under a reference.
//!
//! This module does no arithmetic on tensors: kernels do, in the devices.

mod element;
mod layout;
mod shape;
mod storage;
mod view;

pub use element::{Element, ElementType};
pub use layout::{Layout, LayoutError};
pub use shape::{Dim, MAX_RANK, PartialShape, RankTooHigh, Shape};
pub use storage::{InUse, ReadLease, WriteLease};
pub use view::{Slice, SliceMut};

use storage::Storage;

/// A block of numbers: element type, layout, and a share in the bytes. See the [module](self).
#[derive(Clone, Debug)]
pub struct Tensor {
    element: ElementType,
    layout: Layout,
    /// First byte of the first element within the storage.
    offset: usize,
    storage: Storage,
}

/// Why numbers could not be made into a tensor, or a tensor be seen as numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A typed access with another element type.
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
    /// The shape has more bytes than memory can address.
    #[error("a tensor of {element} with shape {shape} is too large")]
    TooLarge {
        /// Element type.
        element: ElementType,
        /// The shape.
        shape: Shape,
    },
    /// A flat slice was asked of elements that do not lie densely.
    #[error("the elements of shape {shape} do not lie densely in memory")]
    NotDense {
        /// The shape.
        shape: Shape,
    },
    /// Another view or run holds the storage.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// Strides or regions that do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Bytes that are no value of the element type (a bool that is neither 0 nor 1).
    #[error("the bytes are no valid {element}")]
    Bits {
        /// Element type.
        element: ElementType,
    },
}

impl Tensor {
    /// A dense tensor whose elements are all zero (`false`, the empty string).
    ///
    /// # Panics
    /// When the size overflows or memory runs out; [`Tensor::try_zeros`] gives an error for the former.
    pub fn zeros(element: ElementType, shape: impl Into<Shape>) -> Tensor {
        Tensor::try_zeros(element, shape).expect("a tensor of this size")
    }

    /// As [`Tensor::zeros`], with an error for a size that overflows.
    pub fn try_zeros(element: ElementType, shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let layout =
            Layout::dense(shape.clone(), element.size()).ok_or(TensorError::TooLarge { element, shape })?;
        let storage = Storage::zeroed(layout.span(element.size()));
        Ok(Tensor { element, layout, offset: 0, storage })
    }

    /// A dense tensor with these values in row-major order.
    pub fn from_slice<T: Element>(values: &[T], shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        if shape.checked_len() != Some(values.len()) {
            return Err(TensorError::Count { values: values.len(), wanted: shape.count(), shape });
        }
        Tensor::from_bytes(T::TYPE, shape, bytemuck::cast_slice(values))
    }

    /// A tensor of one element and no dimensions.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::from_slice(&[value], Shape::scalar()).expect("one value fills a scalar")
    }

    /// A dense tensor from the bytes of its elements in row-major order and native (little-endian) byte order.
    pub fn from_bytes(
        element: ElementType,
        shape: impl Into<Shape>,
        bytes: &[u8],
    ) -> Result<Tensor, TensorError> {
        let tensor = Tensor::try_zeros(element, shape)?;
        let span = tensor.layout.span(element.size());
        if bytes.len() != span || element == ElementType::String {
            let values = bytes.len() / element.size();
            return Err(TensorError::Count { values, wanted: tensor.len(), shape: tensor.shape().clone() });
        }
        if element == ElementType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(TensorError::Bits { element });
        }
        tensor.storage.write()?.bytes_mut()[..span].copy_from_slice(bytes);
        Ok(tensor)
    }

    /// The element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// The shape and the byte strides.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape().count()
    }

    /// True when there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when the elements lie row-major without gaps.
    pub fn is_dense(&self) -> bool {
        self.layout.is_dense(self.element.size())
    }

    /// First byte of the first element within the storage that a lease gives access to.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// A reader's lease on the storage, for those who hold a tensor longer than a borrow: a run, a device.
    pub fn lease_read(&self) -> Result<ReadLease, InUse> {
        self.storage.read()
    }

    /// The writer's lease on the storage.
    pub fn lease_write(&self) -> Result<WriteLease, InUse> {
        self.storage.write()
    }

    /// True when both tensors are shares in one storage, whether or not their elements overlap.
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        self.storage.same(&other.storage)
    }
}
