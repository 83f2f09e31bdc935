//! Slices: the numbers of a dense tensor, typed, for as long as the slice holds its lease.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut, Range};

use super::element::Element;
use super::storage::{ReadLease, Typed, WriteLease};
use super::{Tensor, TensorError};

/// The elements of a dense tensor, to read. Holds a reader's lease until dropped.
#[derive(Debug)]
pub struct Slice<'a, T> {
    values: Typed<T, ReadLease>,
    of: PhantomData<&'a Tensor>,
}

/// The elements of a dense tensor, to write. Holds the writer's lease until dropped.
#[derive(Debug)]
pub struct SliceMut<'a, T> {
    values: Typed<T, WriteLease>,
    of: PhantomData<&'a mut Tensor>,
}

impl Tensor {
    /// The elements in row-major order, for a dense tensor of `T`.
    pub fn as_slice<T: Element>(&self) -> Result<Slice<'_, T>, TensorError> {
        let range = self.dense_range::<T>()?;
        let values = Typed::read(self.storage.read()?, range);
        let values = values.map_err(|_| TensorError::Bits { element: self.element })?;
        Ok(Slice { values, of: PhantomData })
    }

    /// The elements in row-major order, to write, for a dense tensor of `T`.
    pub fn as_slice_mut<T: Element>(&mut self) -> Result<SliceMut<'_, T>, TensorError> {
        let range = self.dense_range::<T>()?;
        let values = Typed::write(self.storage.write()?, range);
        let values = values.map_err(|_| TensorError::Bits { element: self.element })?;
        Ok(SliceMut { values, of: PhantomData })
    }

    /// The elements in row-major order, copied out, whatever the layout.
    pub fn to_vec<T: Element>(&self) -> Result<alloc::vec::Vec<T>, TensorError> {
        if self.element == T::TYPE && self.is_dense() {
            return Ok(self.as_slice::<T>()?.to_vec());
        }
        Ok(self.view::<T>()?.iter().copied().collect())
    }

    fn dense_range<T: Element>(&self) -> Result<Range<usize>, TensorError> {
        self.expect::<T>()?;
        if !self.is_dense() {
            return Err(TensorError::NotDense { shape: self.shape().clone() });
        }
        Ok(self.byte_range())
    }
}

impl<T: Element> Deref for Slice<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Element> Deref for SliceMut<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Element> DerefMut for SliceMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}
