//! Other shapes over the same memory: regions, parts, and changing the shape of a handle.
//!
//! Nothing here moves or converts an element. All of it is about which bytes of a storage a handle means.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::{Layout, LayoutError, Room, Shape, Tensor, TensorError};

impl Tensor {
    /// The elements within a range of each dimension: a region of interest. It shares the memory and keeps it alive, and
    /// has the strides of this tensor; a region of a region is one too. Empty ranges are allowed.
    pub fn region(&self, ranges: &[Range<usize>]) -> Result<Tensor, TensorError> {
        let (layout, offset) = self.layout.region(ranges)?;
        let room = Room::Within(layout.shape().clone());
        Ok(Tensor { layout, offset: self.offset + offset, storage: self.storage.clone(), room, ..*self })
    }

    /// Cuts this tensor along `dim` into `cuts.len() + 1` parts that can be written at the same time: each has a lease of
    /// its own. Part `k` begins at `cuts[k - 1]` and ends before `cuts[k]`; the cuts ascend. While any part, or a clone of
    /// it, lives, the whole is in use.
    ///
    /// # Errors
    /// [`TensorError::InUse`] and [`TensorError::ReadOnly`] as for the writer's lease, and [`LayoutError::Interleaved`]
    /// when dimensions outside `dim` have more than one element: then the bytes of the parts alternate, and no lease on
    /// bytes could keep them apart.
    ///
    /// ```
    /// # use inferry_core::{ElementType, Tensor};
    /// let mut picture = Tensor::zeros(ElementType::U8, [4, 6]);
    /// let mut halves = picture.split_mut(0, &[2]).unwrap();
    /// let (upper, lower) = halves.split_at_mut(1);
    /// let (mut upper, mut lower) = (upper[0].as_slice_mut::<u8>().unwrap(), lower[0].as_slice_mut::<u8>().unwrap());
    /// (upper[0], lower[0]) = (1, 2);
    /// assert!(picture.as_slice::<u8>().is_err());
    /// ```
    pub fn split_mut(&mut self, dim: usize, cuts: &[usize]) -> Result<Vec<Tensor>, TensorError> {
        self.here()?;
        let shape = self.shape();
        let rank = shape.rank();
        let extent = *shape.get(dim).ok_or(LayoutError::Dimension { dim, rank })?;
        if shape[..dim].iter().any(|outer| *outer > 1) {
            return Err(LayoutError::Interleaved { dim, shape: shape.clone() }.into());
        }
        let mut ranges: Vec<Range<usize>> = shape.iter().map(|extent| 0..*extent).collect();
        let mut layouts = Vec::with_capacity(cuts.len() + 1);
        let mut spans = Vec::with_capacity(cuts.len() + 1);
        let mut start = 0;
        for end in cuts.iter().copied().chain([extent]) {
            ranges[dim] = start..end;
            let (layout, offset) = self.layout.region(&ranges)?;
            // An empty part lies nowhere; let it begin where the part before it ends.
            let begin = if layout.shape().contains(&0) { None } else { Some(self.offset + offset) };
            let begin =
                begin.unwrap_or_else(|| spans.last().map_or(self.offset, |span: &Range<usize>| span.end));
            spans.push(begin..begin + layout.span(self.element.size()));
            layouts.push(layout);
            start = end;
        }
        let parts = self.lease_write()?.split(&spans);
        let part = |(layout, storage): (Layout, _)| {
            let room = Room::Within(layout.shape().clone());
            Tensor { element: self.element, layout, offset: 0, storage, room }
        };
        Ok(layouts.into_iter().zip(parts).map(part).collect())
    }

    /// Gives this handle another shape. Other handles on the same memory keep theirs.
    ///
    /// - An owned tensor becomes dense. It stays where it is when its memory suffices; otherwise it takes new, zeroed
    ///   memory and leaves the old to whoever else holds it. The elements are not kept in a meaningful order.
    /// - A dense tensor over borrowed memory can take any shape of at most the bytes it was made with.
    /// - A region or a strided tensor keeps its strides; no extent may exceed the one it was made with, and only leading
    ///   dimensions of extent 1 may be added.
    ///
    /// # Errors
    /// [`TensorError::Room`] when the shape does not fit, [`TensorError::TooLarge`] and [`TensorError::OutOfMemory`]. The
    /// tensor is then unchanged.
    pub fn set_shape(&mut self, shape: impl Into<Shape>) -> Result<(), TensorError> {
        let (shape, element) = (shape.into(), self.element);
        if let Room::Within(limits) = &self.room {
            let within = self.layout.within(limits, &shape, element.size());
            self.layout = within
                .ok_or_else(|| TensorError::Room { asked: shape, room: Box::new(self.room.clone()) })?;
            return Ok(());
        }
        let Some(layout) = Layout::of(element, shape.clone()) else {
            return Err(TensorError::TooLarge { element, shape });
        };
        let available = match self.room {
            Room::Bytes(bytes) => bytes,
            _ => self.storage.len(),
        };
        if layout.span(element.size()) <= available {
            self.layout = layout;
        } else if self.room == Room::Growing {
            *self = Tensor::try_zeros(element, shape)?;
        } else {
            return Err(TensorError::Room { asked: shape, room: Box::new(self.room.clone()) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::vec;

    use super::super::{ElementType, InUse, Storage};
    use super::*;

    fn counting(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let values: Vec<i32> = (0..shape.count() as i32).collect();
        Tensor::from_slice(&values, shape).unwrap()
    }

    fn address(tensor: &Tensor) -> usize {
        tensor.storage.address() + tensor.offset
    }

    /// Tries shapes one after the other; true where the tensor took it.
    fn takes<const N: usize>(tensor: &mut Tensor, shapes: [&[usize]; N]) -> [bool; N] {
        shapes.map(|shape| {
            let before = tensor.shape().clone();
            match tensor.set_shape(Shape::new(shape).unwrap()) {
                Ok(()) => *tensor.shape() == *shape,
                Err(_) => {
                    assert_eq!(*tensor.shape(), before);
                    false
                }
            }
        })
    }

    #[test]
    fn a_region_shows_the_parents_elements_and_keeps_them_alive() {
        let parent = counting([1, 3, 6, 5]);
        let region = parent.region(&[0..1, 0..3, 1..5, 2..4]).unwrap();
        assert_eq!((region.offset(), region.is_dense()), (7 * 4, false));
        assert_eq!(region.layout().strides(), parent.layout().strides());
        drop(parent);
        let inner = region.region(&[0..1, 1..2, 2..4, 0..2]).unwrap();
        drop(region);
        assert_eq!(inner.to_vec::<i32>().unwrap(), [47, 48, 52, 53]);
    }

    #[test]
    fn writing_through_a_region_writes_the_parent() {
        let parent = counting([3, 3]);
        let mut region = parent.region(&[1..3, 1..2]).unwrap();
        for value in region.view_mut::<i32>().unwrap().iter_mut() {
            *value = -*value;
        }
        assert_eq!(parent.to_vec::<i32>().unwrap(), [0, 1, 2, 3, -4, 5, 6, -7, 8]);
    }

    #[test]
    fn an_empty_region_is_a_tensor_without_elements() {
        let parent = counting([3, 3]);
        let mut empty = parent.region(&[3..3, 0..3]).unwrap();
        assert_eq!((empty.len(), empty.is_dense()), (0, true));
        assert_eq!(empty.as_slice::<i32>().unwrap().len(), 0);
        assert_eq!(empty.view_mut::<i32>().unwrap().iter_mut().count(), 0);
    }

    #[test]
    fn parts_are_written_at_the_same_time_and_then_the_whole_is_free_again() {
        let mut whole = counting([4, 2]);
        let mut parts = whole.split_mut(0, &[1, 1, 3]).unwrap();
        let shapes: Vec<_> = parts.iter().map(|part| part.shape().clone()).collect();
        assert_eq!(shapes, [[1, 2], [0, 2], [2, 2], [1, 2]].map(Shape::from));
        assert_eq!(whole.as_slice::<i32>().unwrap_err(), InUse { written: true }.into());
        let last = parts.pop().unwrap();
        let mut slices: Vec<_> = parts.iter_mut().map(|part| part.as_slice_mut::<i32>().unwrap()).collect();
        slices[0].fill(10);
        slices[2].fill(20);
        drop(slices);
        drop(parts);
        assert!(whole.lease_read().is_err(), "one part still lives");
        drop(last);
        assert_eq!(whole.to_vec::<i32>().unwrap(), [10, 10, 20, 20, 20, 20, 6, 7]);
    }

    #[test]
    fn parts_of_parts_and_of_regions_and_of_strings() {
        let whole = counting([1, 4, 3]);
        let mut columns = whole.region(&[0..1, 0..4, 1..3]).unwrap();
        let mut halves = columns.split_mut(1, &[2]).unwrap();
        let quarters = halves[1].split_mut(1, &[1]).unwrap();
        assert_eq!(quarters[1].to_vec::<i32>().unwrap(), [10, 11]);
        assert_eq!(halves[0].to_vec::<i32>().unwrap(), [1, 2, 4, 5]);

        let mut words = Tensor::from_strings(&["a", "b", "c"], [3]).unwrap();
        let mut parts = words.split_mut(0, &[1]).unwrap();
        parts[1].strings_mut().unwrap().iter_mut().for_each(|word| word.push('!'));
        drop(parts);
        assert_eq!(words.strings().unwrap().iter().collect::<Vec<_>>(), ["a", "b!", "c!"]);
    }

    #[test]
    fn splits_that_cannot_be_are_refused_and_leave_the_whole_free() {
        let mut whole = counting([4, 2]);
        let refused = |result: Result<Vec<Tensor>, TensorError>| result.map(|_| ()).unwrap_err();
        let interleaved = LayoutError::Interleaved { dim: 1, shape: [4, 2].into() };
        assert_eq!(refused(whole.split_mut(1, &[1])), interleaved.into());
        assert_eq!(refused(whole.split_mut(2, &[1])), LayoutError::Dimension { dim: 2, rank: 2 }.into());
        let descending = LayoutError::Range { dim: 0, start: 3, end: 1, extent: 4 };
        assert_eq!(refused(whole.split_mut(0, &[3, 1])), descending.into());
        assert_eq!(
            refused(whole.split_mut(0, &[5])),
            LayoutError::Range { dim: 0, start: 0, end: 5, extent: 4 }.into()
        );
        let reader = whole.lease_read().unwrap();
        assert_eq!(refused(whole.split_mut(0, &[1])), InUse { written: false }.into());
        drop(reader);
        assert!(whole.as_slice_mut::<i32>().is_ok());
        let mut fixed = Tensor::from_static(&[1.0f32, 2.0], [2]).unwrap();
        assert_eq!(refused(fixed.split_mut(0, &[1])), TensorError::ReadOnly);
    }

    #[test]
    fn an_owned_tensor_grows_into_new_memory_and_shrinks_in_place() {
        let mut tensor = counting([2, 3]);
        let (old, first) = (tensor.clone(), address(&tensor));
        tensor.set_shape([2]).unwrap();
        assert_eq!((address(&tensor), tensor.len()), (first, 2));
        tensor.set_shape([40]).unwrap();
        assert_eq!(tensor.to_vec::<i32>().unwrap(), [0; 40]);
        assert!(!tensor.shares_storage(&old));
        assert_eq!(old.to_vec::<i32>().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert!(matches!(tensor.set_shape([usize::MAX, 2]), Err(TensorError::TooLarge { .. })));
        assert!(matches!(tensor.set_shape([isize::MAX as usize / 8]), Err(TensorError::OutOfMemory(_))));
        assert_eq!(tensor.len(), 40);
        let mut words = Tensor::from_strings(&["a"], [1]).unwrap();
        words.set_shape([2, 2]).unwrap();
        assert_eq!(words.strings().unwrap().iter().collect::<Vec<_>>(), [""; 4]);
    }

    #[test]
    fn borrowed_memory_bounds_the_shape_by_its_bytes() {
        let storage = Storage::exclusive::<f32, _>(vec![0.0f32; 100]);
        let mut tensor = Tensor::from_storage(storage, ElementType::F32, [2, 3]).unwrap();
        let first = address(&tensor);
        let taken = takes(&mut tensor, [&[7], &[4], &[3, 2], &[2, 4], &[1, 1, 6], &[0, 9], &[2, 3]]);
        assert_eq!(taken, [false, true, true, false, true, true, true]);
        assert_eq!(address(&tensor), first);
    }

    #[test]
    fn regions_and_strided_tensors_are_bounded_extent_by_extent() {
        let mut region = counting([6, 8]).region(&[1..5, 2..5]).unwrap();
        let shapes: [&[usize]; 11] = [
            &[2, 3],
            &[4, 3],
            &[0, 0],
            &[4, 3],
            &[5, 3],
            &[4, 4],
            &[12],
            &[1, 4, 3],
            &[1, 1, 4, 2],
            &[2, 4, 3],
            &[4, 3, 1],
        ];
        let taken = takes(&mut region, shapes);
        assert_eq!(taken, [true, true, true, true, false, false, false, true, true, false, false]);
        region.set_shape([1, 2, 2]).unwrap();
        assert_eq!(region.to_vec::<i32>().unwrap(), [10, 11, 18, 19]);
        region.set_shape([4, 1]).unwrap();
        assert_eq!(region.to_vec::<i32>().unwrap(), [10, 18, 26, 34]);

        let storage = Storage::shared::<i16, _>(Arc::<[i16]>::from(vec![0i16; 32]));
        let mut strided =
            Tensor::from_storage_strided(storage, ElementType::I16, [3, 2], &[16, 4], 0).unwrap();
        let taken = takes(&mut strided, [&[4, 2], &[3, 3], &[2, 2], &[3, 1], &[3, 2], &[6]]);
        assert_eq!(taken, [false, false, true, true, true, false]);
        assert_eq!(strided.layout().strides(), [16, 4]);
    }

    #[test]
    fn a_scalar_region_takes_leading_ones_only() {
        let mut scalar = Tensor::scalar(7i64).region(&[]).unwrap();
        assert_eq!(takes(&mut scalar, [&[1], &[1, 1], &[2], &[]]), [true, true, false, true]);
    }
}
