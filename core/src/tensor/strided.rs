//! Strided views: the elements of a tensor of any layout, by index and by iterator.
//!
//! For dense tensors [`Tensor::as_slice`] is the shorter way. A view holds its lease until dropped; it copies nothing.

use core::marker::PhantomData;
use core::ops::{Index, IndexMut};
use core::slice;

use super::element::Element;
use super::walk::{Starts, Walk};
use super::{ElementType, Layout, ReadLease, Shape, Tensor, TensorError, WriteLease};

/// The elements of a tensor, to read. Holds a reader's lease until dropped.
#[derive(Debug)]
pub struct View<'a, T> {
    lease: ReadLease,
    layout: &'a Layout,
    offset: usize,
    of: PhantomData<T>,
}

/// The elements of a tensor, to write. Holds the writer's lease until dropped.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    lease: WriteLease,
    layout: &'a Layout,
    offset: usize,
    of: PhantomData<T>,
}

impl Tensor {
    /// The elements of a tensor of `T`, whatever its layout.
    ///
    /// ```
    /// # use inferry_core::Tensor;
    /// let picture = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6], [2, 3]).unwrap();
    /// let right = picture.region(&[0..2, 1..3]).unwrap();
    /// let view = right.view::<u8>().unwrap();
    /// assert_eq!(view[[1, 0]], 5);
    /// assert_eq!(view.iter().sum::<u8>(), 2 + 3 + 5 + 6);
    /// ```
    pub fn view<T: Element>(&self) -> Result<View<'_, T>, TensorError> {
        self.expect::<T>()?;
        let view =
            View { lease: self.lease_read()?, layout: &self.layout, offset: self.offset, of: PhantomData };
        check::<T>(&self.layout, view.bytes())?;
        Ok(view)
    }

    /// The elements of a tensor of `T` to write, whatever its layout.
    pub fn view_mut<T: Element>(&mut self) -> Result<ViewMut<'_, T>, TensorError> {
        self.expect::<T>()?;
        let mut view = ViewMut {
            lease: self.lease_write()?,
            layout: &self.layout,
            offset: self.offset,
            of: PhantomData,
        };
        check::<T>(view.layout, view.bytes_mut())?;
        Ok(view)
    }

    pub(super) fn expect<T: Element>(&self) -> Result<(), TensorError> {
        if self.element == T::TYPE {
            return self.here();
        }
        Err(TensorError::Element { asked: T::TYPE, actual: self.element })
    }
}

impl<T: Element> View<'_, T> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// The element at an index, if it lies inside.
    #[inline]
    pub fn get(&self, index: &[usize]) -> Option<&T> {
        let at = self.layout.offset_of(index)?;
        Some(bytemuck::checked::from_bytes(&self.bytes()[at..at + size_of::<T>()]))
    }

    /// All elements in row-major order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.layout, self.bytes())
    }

    fn bytes(&self) -> &[u8] {
        &self.lease.bytes()[self.offset..][..self.layout.span(size_of::<T>())]
    }
}

impl<T: Element> ViewMut<'_, T> {
    /// The shape.
    pub fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// The element at an index, if it lies inside.
    #[inline]
    pub fn get(&self, index: &[usize]) -> Option<&T> {
        let at = self.layout.offset_of(index)?;
        Some(bytemuck::checked::from_bytes(&self.bytes()[at..at + size_of::<T>()]))
    }

    /// The element at an index to write, if it lies inside.
    #[inline]
    pub fn get_mut(&mut self, index: &[usize]) -> Option<&mut T> {
        let at = self.layout.offset_of(index)?;
        Some(bytemuck::checked::from_bytes_mut(&mut self.bytes_mut()[at..at + size_of::<T>()]))
    }

    /// All elements in row-major order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.layout, self.bytes())
    }

    /// All elements in row-major order, to write.
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        let walk = Walk::new([self.layout], size_of::<T>());
        let (starts, run, left) = (walk.starts(), walk.run, self.layout.shape().count());
        IterMut { rest: self.bytes_mut(), passed: 0, starts, run, elements: [].iter_mut(), left }
    }

    fn bytes(&self) -> &[u8] {
        &self.lease.bytes()[self.offset..][..self.layout.span(size_of::<T>())]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.lease.bytes_mut()[self.offset..][..self.layout.span(size_of::<T>())]
    }
}

impl<T: Element, const N: usize> Index<[usize; N]> for View<'_, T> {
    type Output = T;

    /// # Panics
    /// When the index has another rank or lies outside.
    #[inline]
    fn index(&self, index: [usize; N]) -> &T {
        self.get(&index).unwrap_or_else(|| outside(&index, self.shape()))
    }
}

impl<T: Element, const N: usize> Index<[usize; N]> for ViewMut<'_, T> {
    type Output = T;

    /// # Panics
    /// When the index has another rank or lies outside.
    #[inline]
    fn index(&self, index: [usize; N]) -> &T {
        self.get(&index).unwrap_or_else(|| outside(&index, self.shape()))
    }
}

impl<T: Element, const N: usize> IndexMut<[usize; N]> for ViewMut<'_, T> {
    /// # Panics
    /// When the index has another rank or lies outside.
    #[inline]
    fn index_mut(&mut self, index: [usize; N]) -> &mut T {
        if self.layout.offset_of(&index).is_none() {
            outside(&index, self.shape())
        }
        self.get_mut(&index).expect("checked above")
    }
}

impl<'v, T: Element> IntoIterator for &'v View<'_, T> {
    type Item = &'v T;
    type IntoIter = Iter<'v, T>;

    fn into_iter(self) -> Iter<'v, T> {
        self.iter()
    }
}

impl<'v, T: Element> IntoIterator for &'v mut ViewMut<'_, T> {
    type Item = &'v mut T;
    type IntoIter = IterMut<'v, T>;

    fn into_iter(self) -> IterMut<'v, T> {
        self.iter_mut()
    }
}

/// Iterator over the elements of a view in row-major order.
#[derive(Clone, Debug)]
pub struct Iter<'v, T> {
    bytes: &'v [u8],
    starts: Starts<1>,
    run: usize,
    /// What is left of the current run.
    elements: slice::Iter<'v, T>,
    left: usize,
}

impl<'v, T: Element> Iter<'v, T> {
    fn new(layout: &Layout, bytes: &'v [u8]) -> Self {
        let walk = Walk::new([layout], size_of::<T>());
        Iter {
            bytes,
            starts: walk.starts(),
            run: walk.run,
            elements: [].iter(),
            left: layout.shape().count(),
        }
    }
}

impl<'v, T: Element> Iterator for Iter<'v, T> {
    type Item = &'v T;

    #[inline]
    fn next(&mut self) -> Option<&'v T> {
        if self.elements.as_slice().is_empty() {
            let [start] = self.starts.next()?;
            self.elements = bytemuck::checked::cast_slice(&self.bytes[start..start + self.run]).iter();
        }
        self.left -= 1;
        self.elements.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Element> ExactSizeIterator for Iter<'_, T> {}

/// Iterator over the elements of a view in row-major order, to write.
#[derive(Debug)]
pub struct IterMut<'v, T> {
    /// The bytes from `passed` on. Row-major order goes forward through memory, so the ones before are done with.
    rest: &'v mut [u8],
    passed: usize,
    starts: Starts<1>,
    run: usize,
    /// What is left of the current run.
    elements: slice::IterMut<'v, T>,
    left: usize,
}

impl<'v, T: Element> Iterator for IterMut<'v, T> {
    type Item = &'v mut T;

    #[inline]
    fn next(&mut self) -> Option<&'v mut T> {
        if self.elements.len() == 0 {
            let [start] = self.starts.next()?;
            let (_, ahead) = core::mem::take(&mut self.rest).split_at_mut(start - self.passed);
            let (run, rest) = ahead.split_at_mut(self.run);
            (self.rest, self.passed) = (rest, start + self.run);
            self.elements = bytemuck::checked::cast_slice_mut(run).iter_mut();
        }
        self.left -= 1;
        self.elements.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Element> ExactSizeIterator for IterMut<'_, T> {}

/// Looks once through bytes that may not be values of `T`, so that no later access finds such a one.
fn check<T: Element>(layout: &Layout, bytes: &[u8]) -> Result<(), TensorError> {
    if T::TYPE != ElementType::Bool {
        return Ok(());
    }
    let walk = Walk::new([layout], size_of::<T>());
    for [start] in walk.starts() {
        bytemuck::checked::try_cast_slice::<u8, T>(&bytes[start..start + walk.run])
            .map_err(|_| TensorError::Bits { element: T::TYPE })?;
    }
    Ok(())
}

#[cold]
fn outside(index: &[usize], shape: &Shape) -> ! {
    panic!("index {index:?} does not lie within the shape {shape}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{InUse, Storage};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_strided_tensor_shows_its_elements_and_not_what_lies_between() {
        // Two rows of three, padded to four.
        let storage = Storage::exclusive::<u16, _>(vec![1u16, 2, 3, 99, 4, 5, 6, 99]);
        let mut tensor = Tensor::from_storage_strided(storage, ElementType::U16, [2, 3], &[8, 2], 0).unwrap();
        assert!(matches!(tensor.as_slice::<u16>(), Err(TensorError::NotDense { .. })));
        assert_eq!(tensor.view::<u16>().unwrap().iter().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let mut view = tensor.view_mut::<u16>().unwrap();
        view[[1, 2]] = 60;
        assert_eq!((view[[1, 2]], view.get(&[1, 3])), (60, None));
        assert_eq!(view.get_mut(&[1]), None);
        for value in &mut view {
            *value += 1;
        }
        assert_eq!(view.iter_mut().len(), 6);
        drop(view);
        assert_eq!(tensor.to_vec::<u16>().unwrap(), [2, 3, 4, 5, 6, 61]);
        let lease = tensor.lease_read().unwrap();
        let all: &[u16] = bytemuck::cast_slice(lease.bytes());
        assert_eq!(all, [2, 3, 4, 99, 5, 6, 61, 99]);
    }

    #[test]
    fn views_hold_their_lease() {
        let mut tensor = Tensor::zeros(ElementType::F32, [2]);
        let mut other = tensor.clone();
        let view = tensor.view_mut::<f32>().unwrap();
        assert_eq!(other.view::<f32>().unwrap_err(), InUse { written: true }.into());
        drop(view);
        let view = tensor.view::<f32>().unwrap();
        assert_eq!(other.view_mut::<f32>().unwrap_err(), InUse { written: false }.into());
        assert_eq!(other.view::<f32>().unwrap().iter().len(), 2);
        drop(view);
    }

    #[test]
    fn a_view_of_bool_minds_its_elements_and_not_the_gaps() {
        let bytes = Storage::exclusive::<u8, _>(vec![1u8, 7, 0, 7]);
        let tensor = Tensor::from_storage_strided(bytes.clone(), ElementType::Bool, [2], &[2], 0).unwrap();
        assert_eq!(tensor.to_vec::<bool>().unwrap(), [true, false]);
        let tensor = Tensor::from_storage_strided(bytes, ElementType::Bool, [2], &[2], 1).unwrap();
        assert_eq!(tensor.to_vec::<bool>().unwrap_err(), TensorError::Bits { element: ElementType::Bool });
    }

    #[test]
    #[should_panic = "index [2, 0] does not lie within the shape [2, 3]"]
    fn an_index_outside_panics_with_both() {
        let tensor = Tensor::zeros(ElementType::F32, [2, 3]);
        let _ = tensor.view::<f32>().unwrap()[[2, 0]];
    }
}
