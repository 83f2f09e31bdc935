//! Tensors: a block of numbers, and who may touch it now.
//!
//! A [`Tensor`] is an element type, a layout (shape and byte strides) and a share in a storage. Cloning a tensor copies the
//! handle, not the numbers; a region shares the storage of its parent and keeps it alive. Because several handles may
//! share bytes, access goes through a *lease*: any number of readers or one writer, taken by a view for its life and by
//! a request for the length of a run. A second party that asks for what is taken gets [`InUse`], so safe code never sees
//! bytes change under a reference.
//!
//! | to see the elements | gives | of which layouts |
//! |---|---|---|
//! | [`Tensor::as_slice`], [`Tensor::as_slice_mut`] | `[T]` | dense |
//! | [`Tensor::view`], [`Tensor::view_mut`] | an index or an iterator at a time | all |
//! | [`Tensor::strings`], [`Tensor::strings_mut`] | strings | all |
//! | [`Tensor::lease_read`], [`Tensor::lease_write`] | the bytes of the whole storage | all |
//!
//! Elements of four bits have no Rust type and lie two in a byte: such tensors are dense, have no regions, and are read and
//! written by their bytes.
//!
//! The memory may be owned, borrowed, shared with a foreign owner, or read-only: see [`Storage`]. A typed access asks for
//! exactly the type of the elements; nothing is reinterpreted. The shape belongs to the handle: changing it on one clone
//! does not change it on another.
//!
//! This module does no arithmetic on tensors: kernels do, in the devices.

mod copy;
mod element;
mod error;
pub mod float8;
mod layout;
mod packed;
mod print;
mod reshape;
mod shape;
mod storage;
mod strided;
mod strings;
mod view;
mod walk;

use crate::remote::ObjectId;
use crate::steps::Pace;

pub use copy::{copy_bytes, gather, scatter};
pub use element::{Element, ElementType};
pub use error::{InUse, LeaseError, OutOfMemory, Room, TensorError};
pub use float8::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};
pub use layout::{Layout, LayoutError};
pub use packed::{pack, unpack};
pub use shape::{Dim, MAX_RANK, PartialShape, RankTooHigh, Shape};
pub use storage::{ReadLease, Storage, WriteLease};
pub use strided::{Iter, IterMut, View, ViewMut};
pub use strings::{Strings, StringsMut};
pub use view::{Slice, SliceMut};

/// A block of numbers: element type, layout, and a share in the bytes. See the [module](self).
#[derive(Clone)]
pub struct Tensor {
    element: ElementType,
    layout: Layout,
    /// First byte of the first element within the storage.
    offset: usize,
    storage: Storage,
    /// How far `set_shape` may go.
    room: Room,
}

impl Tensor {
    /// A dense tensor whose elements are all zero (`false`, the empty string).
    ///
    /// # Panics
    /// When the size overflows or there is no memory for it; [`Tensor::try_zeros`] gives an error instead.
    pub fn zeros(element: ElementType, shape: impl Into<Shape>) -> Tensor {
        Tensor::try_zeros(element, shape).expect("a tensor of this size")
    }

    /// As [`Tensor::zeros`], with an error for a size that overflows or that there is no memory for.
    pub fn try_zeros(element: ElementType, shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let layout = Layout::of(element, shape.clone()).ok_or(TensorError::TooLarge { element, shape })?;
        let storage = match element {
            ElementType::String => Storage::strings(layout.shape().count())?,
            _ => Storage::zeroed(layout.span(element.size()))?,
        };
        Ok(Tensor { element, layout, offset: 0, storage, room: Room::Growing })
    }

    /// As [`Tensor::try_zeros`], with interruptions: a large tensor takes long to clear.
    ///
    /// # Errors
    /// As [`Tensor::try_zeros`].
    pub async fn zeros_paced(
        element: ElementType,
        shape: impl Into<Shape>,
        pace: &mut Pace,
    ) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let layout = Layout::of(element, shape.clone());
        let Some(layout) = layout.filter(|_| element != ElementType::String) else {
            return Tensor::try_zeros(element, shape);
        };
        let storage = Storage::zeroed_paced(layout.span(element.size()), pace).await?;
        Ok(Tensor { element, layout, offset: 0, storage, room: Room::Growing })
    }

    /// A dense tensor with these values in row-major order.
    pub fn from_slice<T: Element>(values: &[T], shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        filled(values.len(), &shape)?;
        Tensor::from_bytes(T::TYPE, shape, bytemuck::cast_slice(values))
    }

    /// A tensor of one element and no dimensions.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::from_slice(&[value], Shape::scalar()).expect("one value fills a scalar")
    }

    /// A dense tensor from a copy of the bytes of its elements, in row-major order and the byte order of the target.
    pub fn from_bytes(
        element: ElementType,
        shape: impl Into<Shape>,
        bytes: &[u8],
    ) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        if element == ElementType::String {
            return Err(TensorError::Strings);
        }
        let wanted = shape.checked_len().and_then(|count| element.bytes(count));
        if wanted != Some(bytes.len()) {
            let wanted = wanted.ok_or_else(|| TensorError::TooLarge { element, shape: shape.clone() })?;
            return Err(TensorError::Bytes { bytes: bytes.len(), wanted, element, shape });
        }
        if element == ElementType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return Err(TensorError::Bits { element });
        }
        let tensor = Tensor::try_zeros(element, shape)?;
        tensor.storage.write()?.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        Ok(tensor)
    }

    /// A dense read-only tensor over values that are there for ever. Nothing is copied.
    pub fn from_static<T: Element>(
        values: &'static [T],
        shape: impl Into<Shape>,
    ) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        filled(values.len(), &shape)?;
        Tensor::from_storage(Storage::from_static(values), T::TYPE, shape)
    }

    /// A dense tensor over borrowed memory: its elements are the first bytes of `storage`. Nothing is copied.
    ///
    /// A tensor over a storage of bool may hold bytes that are no bool; they are refused when they are looked at.
    pub fn from_storage(
        storage: Storage,
        element: ElementType,
        shape: impl Into<Shape>,
    ) -> Result<Tensor, TensorError> {
        Tensor::from_storage_at(storage, element, shape, 0)
    }

    /// As [`Tensor::from_storage`], for a tensor whose elements begin at byte `offset` of `storage`: one of several in a file.
    pub fn from_storage_at(
        storage: Storage,
        element: ElementType,
        shape: impl Into<Shape>,
        offset: usize,
    ) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        let layout = Layout::of(element, shape.clone());
        let layout = layout.ok_or(TensorError::TooLarge { element, shape })?;
        let room = Room::Bytes(layout.span(element.size()));
        let tensor = Tensor { element, layout, offset, storage, room };
        tensor.fits()?;
        Ok(tensor)
    }

    /// A tensor over borrowed memory whose elements lie at these byte strides, the first at byte `offset` of `storage`.
    /// See [`Layout::strided`] for what strides are allowed.
    pub fn from_storage_strided(
        storage: Storage,
        element: ElementType,
        shape: impl Into<Shape>,
        strides: &[usize],
        offset: usize,
    ) -> Result<Tensor, TensorError> {
        if element.is_packed() {
            return Err(LayoutError::Packed.into());
        }
        let layout = Layout::strided(shape.into(), strides, element.size())?;
        let room = match layout.is_dense(element.size()) {
            true => Room::Bytes(layout.span(element.size())),
            false => Room::Within(layout.shape().clone()),
        };
        let tensor = Tensor { element, layout, offset, storage, room };
        tensor.fits()?;
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

    /// True when there is never a writer's lease to be had.
    pub fn is_read_only(&self) -> bool {
        !self.storage.is_writable()
    }

    /// Bytes of all elements, without what lies between them; of strings, of their handles.
    pub fn byte_len(&self) -> usize {
        if self.layout.is_packed() { self.layout.span(1) } else { self.len() * self.element.size() }
    }

    /// First byte of the first element within the storage that a lease gives access to.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the elements lie within the storage that a lease gives access to: from the first to the end of the last.
    pub fn byte_range(&self) -> core::ops::Range<usize> {
        self.offset..self.offset + self.layout.span(self.element.size())
    }

    /// The object on a device in which the elements lie; `None` when they are here.
    pub(crate) fn object(&self) -> Option<&ObjectId> {
        self.storage.object()
    }

    /// An error unless the elements are here.
    fn here(&self) -> Result<(), TensorError> {
        match self.object() {
            Some(object) => Err(TensorError::Remote { context: object.context().clone() }),
            None => Ok(()),
        }
    }

    /// A reader's lease on the storage, for those who hold a tensor longer than a borrow: a run, a device.
    pub fn lease_read(&self) -> Result<ReadLease, InUse> {
        self.storage.read()
    }

    /// The writer's lease on the storage. A read-only tensor has none.
    pub fn lease_write(&self) -> Result<WriteLease, LeaseError> {
        self.storage.write()
    }

    /// True when both tensors are shares in one storage, whether or not their elements overlap.
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        self.storage.same(&other.storage)
    }

    /// Checks that the elements lie within the storage and at multiples of their alignment.
    fn fits(&self) -> Result<(), TensorError> {
        let Tensor { element, layout, offset, storage, .. } = self;
        if (*element == ElementType::String) != storage.holds_strings() {
            return Err(TensorError::Strings);
        }
        let needed = offset.saturating_add(layout.span(element.size()));
        if needed > storage.len() {
            return Err(LayoutError::Storage { needed, available: storage.len() }.into());
        }
        let over = (storage.address() + offset) % element.align();
        if over != 0 {
            return Err(TensorError::Unaligned { element: *element, align: element.align(), over });
        }
        Ok(())
    }
}

fn filled(values: usize, shape: &Shape) -> Result<(), TensorError> {
    if shape.checked_len() == Some(values) {
        return Ok(());
    }
    Err(TensorError::Count { values, wanted: shape.count(), shape: shape.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    #[test]
    fn a_fresh_tensor_is_dense_and_zero() {
        for element in ElementType::ALL {
            let tensor = Tensor::zeros(element, [4, 3, 2]);
            assert_eq!((tensor.len(), Some(tensor.byte_len())), (24, element.bytes(24)));
            if !element.is_packed() {
                assert_eq!(tensor.layout().strides(), [6, 2, 1].map(|stride| stride * element.size()));
            }
            assert!(tensor.is_dense() && !tensor.is_read_only() && !tensor.is_empty());
            assert!(tensor.lease_read().unwrap().bytes().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn scalars_and_tensors_without_elements_have_usable_data() {
        let scalar = Tensor::scalar(7i64);
        assert_eq!((scalar.len(), scalar.shape().rank()), (1, 0));
        assert_eq!(*scalar.as_slice::<i64>().unwrap(), [7]);
        assert_eq!(scalar.view::<i64>().unwrap()[[]], 7);
        for shape in [Shape::from([0]), [0, 0, 0, 0].into(), [3, 0, usize::MAX].into()] {
            let mut empty = Tensor::zeros(ElementType::F32, shape.clone());
            assert_eq!((empty.len(), empty.byte_len(), empty.is_dense()), (0, 0, true));
            assert_eq!(empty.shape().rank(), shape.rank());
            assert!(empty.as_slice_mut::<f32>().unwrap().is_empty());
            assert_eq!(empty.to_vec::<f32>().unwrap(), []);
        }
    }

    #[test]
    fn a_typed_access_asks_for_the_type_of_the_elements() {
        // Not even the family and width that others allow: the f16 that is read as bf16 is another number.
        fn allowed<T: Element>(tensor: &Tensor) -> bool {
            let allowed = tensor.as_slice::<T>().is_ok();
            assert_eq!(tensor.view::<T>().is_ok(), allowed);
            assert_eq!(tensor.to_vec::<T>().is_ok(), allowed);
            allowed
        }
        for element in ElementType::ALL {
            let tensor = Tensor::zeros(element, [2]);
            let allowed: Vec<ElementType> = [
                (allowed::<bool>(&tensor), ElementType::Bool),
                (allowed::<i8>(&tensor), ElementType::I8),
                (allowed::<i16>(&tensor), ElementType::I16),
                (allowed::<i32>(&tensor), ElementType::I32),
                (allowed::<i64>(&tensor), ElementType::I64),
                (allowed::<u8>(&tensor), ElementType::U8),
                (allowed::<u16>(&tensor), ElementType::U16),
                (allowed::<u32>(&tensor), ElementType::U32),
                (allowed::<u64>(&tensor), ElementType::U64),
                (allowed::<half::f16>(&tensor), ElementType::F16),
                (allowed::<half::bf16>(&tensor), ElementType::Bf16),
                (allowed::<f32>(&tensor), ElementType::F32),
                (allowed::<f64>(&tensor), ElementType::F64),
                (allowed::<F8E4M3Fn>(&tensor), ElementType::F8E4M3Fn),
                (allowed::<F8E4M3Fnuz>(&tensor), ElementType::F8E4M3Fnuz),
                (allowed::<F8E5M2>(&tensor), ElementType::F8E5M2),
                (allowed::<F8E5M2Fnuz>(&tensor), ElementType::F8E5M2Fnuz),
            ]
            .into_iter()
            .filter_map(|(allowed, asked)| allowed.then_some(asked))
            .collect();
            let untyped = element == ElementType::String || element.is_packed();
            assert_eq!(allowed, if untyped { vec![] } else { vec![element] });
        }
    }

    #[test]
    fn values_that_do_not_fill_the_shape_are_refused() {
        let count = |values, wanted, shape: Shape| TensorError::Count { values, wanted, shape };
        assert_eq!(Tensor::from_slice(&[1u8; 5], [2, 3]).unwrap_err(), count(5, 6, [2, 3].into()));
        let huge = Shape::from([usize::MAX, 2]);
        assert_eq!(Tensor::from_slice(&[1u8; 5], &huge).unwrap_err(), count(5, usize::MAX, huge));
        assert_eq!(Tensor::from_static(&[1u8; 5], [4]).unwrap_err(), count(5, 4, [4].into()));
        assert!(matches!(
            Tensor::from_bytes(ElementType::F32, [2], &[0; 7]),
            Err(TensorError::Bytes { bytes: 7, wanted: 8, .. })
        ));
        let bits = TensorError::Bits { element: ElementType::Bool };
        assert_eq!(Tensor::from_bytes(ElementType::Bool, [2], &[1, 2]).unwrap_err(), bits);
    }

    #[test]
    fn sizes_that_no_memory_has_are_refused() {
        for shape in [[usize::MAX, 2], [isize::MAX as usize / 4 + 1, 1]] {
            let too_large = TensorError::TooLarge { element: ElementType::F32, shape: shape.into() };
            assert_eq!(Tensor::try_zeros(ElementType::F32, shape).unwrap_err(), too_large);
            assert!(Tensor::from_bytes(ElementType::F32, shape, &[]).is_err());
        }
        let bytes = (isize::MAX as usize / 64) * 64;
        assert_eq!(Tensor::try_zeros(ElementType::U8, [bytes]).unwrap_err(), OutOfMemory { bytes }.into());
        assert!(matches!(
            Tensor::try_zeros(ElementType::String, [isize::MAX as usize / 24]),
            Err(TensorError::OutOfMemory(_))
        ));
    }

    #[test]
    fn borrowed_memory_must_hold_and_align_the_elements() {
        let storage = Storage::zeroed(64).unwrap();
        let strided = |element, shape: [usize; 2], strides: [usize; 2], offset| {
            Tensor::from_storage_strided(storage.clone(), element, shape, &strides, offset)
                .map(|tensor| tensor.byte_range())
        };
        assert_eq!(strided(ElementType::I16, [2, 3], [32, 4], 6), Ok(6..48));
        assert_eq!(strided(ElementType::I16, [3, 3], [24, 4], 6), Ok(6..64));
        let reach = |needed| Err(LayoutError::Storage { needed, available: 64 }.into());
        assert_eq!(strided(ElementType::I16, [3, 3], [24, 4], 8), reach(66));
        assert_eq!(strided(ElementType::U8, [1, 1], [1, 1], usize::MAX), reach(usize::MAX));
        let unaligned = |element, align, over| Err(TensorError::Unaligned { element, align, over });
        assert_eq!(strided(ElementType::F32, [1, 1], [4, 4], 6), unaligned(ElementType::F32, 4, 2));
        let bad = LayoutError::Stride { dim: 1, stride: 6, least: 4, element_size: 4 };
        assert_eq!(strided(ElementType::F32, [1, 1], [8, 6], 0), Err(bad.into()));
        let dense = Tensor::from_storage(storage.clone(), ElementType::U8, [65]);
        assert_eq!(dense.unwrap_err(), LayoutError::Storage { needed: 65, available: 64 }.into());
        let strings = Tensor::from_storage(storage.clone(), ElementType::String, [1]);
        assert_eq!(strings.unwrap_err(), TensorError::Strings);
    }

    #[test]
    fn handles_share_memory_and_not_their_shape() {
        let tensor = Tensor::from_slice(&[1u8, 2, 3, 4], [4]).unwrap();
        let mut other = tensor.clone();
        other.set_shape([2, 2]).unwrap();
        other.as_slice_mut::<u8>().unwrap()[3] = 9;
        assert!(tensor.shares_storage(&other));
        assert_eq!((tensor.shape().rank(), tensor.to_vec::<u8>().unwrap()), (1, vec![1, 2, 3, 9]));
        assert!(!tensor.shares_storage(&Tensor::zeros(ElementType::U8, [4])));
    }

    #[test]
    fn errors_name_what_was_asked_and_what_there_is() {
        let tensor = Tensor::zeros(ElementType::F32, [2, 3]);
        let said = |error: TensorError| std::format!("{error}");
        assert_eq!(said(tensor.as_slice::<i64>().unwrap_err()), "the tensor holds f32, not i64");
        assert_eq!(
            said(tensor.region(&[0..2, 1..4]).unwrap_err()),
            "range 1..4 of dimension 1 does not lie within its extent 3"
        );
        assert_eq!(
            said(tensor.region(&[0..2, 1..2]).unwrap().set_shape([2, 2]).unwrap_err()),
            "the tensor cannot take shape [2, 2]: it is a view within [2, 1]"
        );
        assert_eq!(
            said(Tensor::from_bytes(ElementType::F32, [2], &[0; 7]).unwrap_err()),
            "7 bytes do not fill the shape [2] of f32, which takes 8"
        );
    }
}
