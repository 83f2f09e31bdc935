//! Views: the numbers of a tensor, typed, for as long as the view holds its lease.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::element::Element;
use super::storage::{ReadLease, WriteLease};
use super::{Tensor, TensorError};

/// The elements of a dense tensor, to read. Holds a reader's lease until dropped.
#[derive(Debug)]
pub struct Slice<'a, T> {
    lease: ReadLease,
    range: core::ops::Range<usize>,
    of: PhantomData<(&'a Tensor, T)>,
}

/// The elements of a dense tensor, to write. Holds the writer's lease until dropped.
#[derive(Debug)]
pub struct SliceMut<'a, T> {
    lease: WriteLease,
    range: core::ops::Range<usize>,
    of: PhantomData<(&'a mut Tensor, T)>,
}

impl Tensor {
    /// The elements in row-major order, for a dense tensor of `T`.
    pub fn as_slice<T: Element>(&self) -> Result<Slice<'_, T>, TensorError> {
        let range = self.dense_range::<T>()?;
        let lease = self.storage.read()?;
        bytemuck::checked::try_cast_slice::<u8, T>(&lease.bytes()[range.clone()])
            .map_err(|_| TensorError::Bits { element: self.element })?;
        Ok(Slice { lease, range, of: PhantomData })
    }

    /// The elements in row-major order, to write, for a dense tensor of `T`.
    pub fn as_slice_mut<T: Element>(&mut self) -> Result<SliceMut<'_, T>, TensorError> {
        let range = self.dense_range::<T>()?;
        let mut lease = self.storage.write()?;
        bytemuck::checked::try_cast_slice_mut::<u8, T>(&mut lease.bytes_mut()[range.clone()])
            .map_err(|_| TensorError::Bits { element: self.element })?;
        Ok(SliceMut { lease, range, of: PhantomData })
    }

    /// The elements in row-major order, copied out, whatever the layout.
    pub fn to_vec<T: Element>(&self) -> Result<alloc::vec::Vec<T>, TensorError> {
        Ok(self.as_slice::<T>()?.to_vec())
    }

    fn dense_range<T: Element>(&self) -> Result<core::ops::Range<usize>, TensorError> {
        if self.element != T::TYPE {
            return Err(TensorError::Element { asked: T::TYPE, actual: self.element });
        }
        if !self.is_dense() {
            return Err(TensorError::NotDense { shape: self.shape().clone() });
        }
        Ok(self.offset..self.offset + self.layout.span(self.element.size()))
    }
}

impl<T: Element> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::checked::cast_slice(&self.lease.bytes()[self.range.clone()])
    }
}

impl<T: Element> Deref for SliceMut<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::checked::cast_slice(&self.lease.bytes()[self.range.clone()])
    }
}

impl<T: Element> DerefMut for SliceMut<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::checked::cast_slice_mut(&mut self.lease.bytes_mut()[self.range.clone()])
    }
}
