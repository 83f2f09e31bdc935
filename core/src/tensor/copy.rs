//! Copying elements between layouts: dense or strided on either side.
//!
//! The functions on bytes are for devices, which hold leases and know offsets; [`Tensor::copy_to`] is for everybody
//! else. A copy moves the longest runs that lie together on both sides. It never converts between element types.

use alloc::boxed::Box;

use super::layout::{Layout, LayoutError};
use super::walk::Walk;
use super::{ElementType, Tensor, TensorError};

/// Copies the elements that lie as `layout` says, the first at the first byte of `from`, to `dense` in row-major order
/// without gaps. `dense` may be longer than the elements.
///
/// A long gather can be cut into pieces with [`Layout::region`] along the outermost dimension.
pub fn gather(
    layout: &Layout,
    element_size: usize,
    from: &[u8],
    dense: &mut [u8],
) -> Result<(), LayoutError> {
    copy_bytes(element_size, layout, from, &dense_like(layout, element_size)?, dense)
}

/// The way back from [`gather`]: copies dense elements to where `layout` says; the bytes between them stay as they are.
pub fn scatter(layout: &Layout, element_size: usize, dense: &[u8], to: &mut [u8]) -> Result<(), LayoutError> {
    copy_bytes(element_size, &dense_like(layout, element_size)?, dense, layout, to)
}

/// Copies elements from one layout to another of the same shape; each slice begins with its first element.
pub fn copy_bytes(
    element_size: usize,
    from_layout: &Layout,
    from: &[u8],
    to_layout: &Layout,
    to: &mut [u8],
) -> Result<(), LayoutError> {
    if from_layout.shape() != to_layout.shape() {
        return Err(LayoutError::Shapes {
            from: Box::new(from_layout.shape().clone()),
            to: Box::new(to_layout.shape().clone()),
        });
    }
    room(from_layout.span(element_size), from.len())?;
    room(to_layout.span(element_size), to.len())?;
    match (from_layout.is_packed(), to_layout.is_packed()) {
        (false, false) => {}
        (true, true) => {
            let span = from_layout.span(element_size);
            to[..span].copy_from_slice(&from[..span]);
            return Ok(());
        }
        _ => return Err(LayoutError::Packed),
    }
    let mut walk = Walk::new([from_layout, to_layout], element_size);
    // Runs of one small element are copied a lane at a time, with the size known to the compiler.
    if let (1 | 2 | 4 | 8, Some(lane)) = (walk.run, walk.axes.last().copied()) {
        let run = walk.run;
        walk.axes.pop();
        let [from_stride, to_stride] = lane.strides;
        let [from_reach, to_reach] = lane.strides.map(|stride| stride * (lane.extent - 1) + run);
        for [from_at, to_at] in walk.starts() {
            let from = from[from_at..from_at + from_reach].chunks(from_stride);
            let to = to[to_at..to_at + to_reach].chunks_mut(to_stride);
            match run {
                1 => copy_lane::<1>(from, to),
                2 => copy_lane::<2>(from, to),
                4 => copy_lane::<4>(from, to),
                _ => copy_lane::<8>(from, to),
            }
        }
    } else {
        for [from_at, to_at] in walk.starts() {
            to[to_at..to_at + walk.run].copy_from_slice(&from[from_at..from_at + walk.run]);
        }
    }
    Ok(())
}

impl Tensor {
    /// Copies all elements to `target`, which takes this tensor's shape as by [`Tensor::set_shape`]. Any layout to any
    /// layout; strings are copied one by one. Memory is taken only when `target` has to grow.
    ///
    /// # Errors
    /// Another element type, a target that is read-only or cannot take the shape, and leases held elsewhere: also when
    /// both tensors share one storage. A target that was refused is unchanged.
    pub fn copy_to(&self, target: &mut Tensor) -> Result<(), TensorError> {
        self.here()?;
        target.here()?;
        if self.element != target.element {
            return Err(TensorError::Element { asked: self.element, actual: target.element });
        }
        let mut shaped = target.clone();
        if shaped.shape() != self.shape() {
            shaped.set_shape(self.shape())?;
        }
        let mut to = shaped.lease_write()?;
        let from = self.lease_read()?;
        if self.element == ElementType::String {
            let to = &mut to.strings_mut()[shaped.string_range()];
            copy_strings(&self.layout, &from.strings()[self.string_range()], &shaped.layout, to);
        } else {
            let to = &mut to.bytes_mut()[shaped.byte_range()];
            let from = &from.bytes()[self.byte_range()];
            copy_bytes(self.element.size(), &self.layout, from, &shaped.layout, to)?;
        }
        drop(to);
        *target = shaped;
        Ok(())
    }

    /// Copies all elements of `source` to this tensor: [`Tensor::copy_to`] seen from the other side.
    pub fn copy_from(&mut self, source: &Tensor) -> Result<(), TensorError> {
        source.copy_to(self)
    }
}

fn copy_lane<'a, const N: usize>(
    from: impl Iterator<Item = &'a [u8]>,
    to: impl Iterator<Item = &'a mut [u8]>,
) {
    for (to, from) in to.zip(from) {
        to[..N].copy_from_slice(&from[..N]);
    }
}

fn copy_strings(
    from_layout: &Layout,
    from: &[alloc::string::String],
    to_layout: &Layout,
    to: &mut [alloc::string::String],
) {
    let size = ElementType::String.size();
    let walk = Walk::new([from_layout, to_layout], size);
    let count = walk.run / size;
    for [from_at, to_at] in walk.starts() {
        to[to_at / size..][..count].clone_from_slice(&from[from_at / size..][..count]);
    }
}

fn dense_like(layout: &Layout, element_size: usize) -> Result<Layout, LayoutError> {
    Layout::dense(layout.shape().clone(), element_size)
        .ok_or_else(|| LayoutError::TooLarge { shape: layout.shape().clone() })
}

fn room(needed: usize, available: usize) -> Result<(), LayoutError> {
    if needed > available { Err(LayoutError::Storage { needed, available }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::super::{Element, InUse, Shape, Storage};
    use super::*;

    /// What a copy has to do, an element at a time.
    fn naive(size: usize, from_layout: &Layout, from: &[u8], to_layout: &Layout, to: &mut [u8]) {
        let shape = from_layout.shape();
        let mut index = vec![0; shape.rank()];
        for mut flat in 0..shape.count() {
            for (at, extent) in index.iter_mut().zip(shape.iter()).rev() {
                *at = flat % extent;
                flat /= extent;
            }
            let from_at = from_layout.offset_of(&index).unwrap();
            let to_at = to_layout.offset_of(&index).unwrap();
            to[to_at..to_at + size].copy_from_slice(&from[from_at..from_at + size]);
        }
    }

    /// A layout of this shape: for each dimension, innermost first, so many elements more than its neighbours need.
    fn padded(shape: &[usize], gaps: &[usize], size: usize) -> Layout {
        let mut strides = vec![0; shape.len()];
        let mut stride = size;
        for (dim, gap) in (0..shape.len()).rev().zip(gaps) {
            stride += gap * size;
            strides[dim] = stride;
            stride *= shape[dim].max(1);
        }
        Layout::strided(Shape::new(shape).unwrap(), &strides, size).unwrap()
    }

    fn shapes() -> impl Strategy<Value = Vec<usize>> {
        // Mostly small, with ones and now and then a zero; at most a few thousand elements.
        prop::collection::vec(prop_oneof![1 => Just(0), 3 => Just(1), 8 => 2usize..5], 0..=6)
    }

    fn gaps() -> impl Strategy<Value = Vec<usize>> {
        // Mostly none, so that dimensions which lie together and such which do not take turns.
        prop::collection::vec(prop_oneof![3 => Just(0), 1 => 1usize..4], 6)
    }

    fn numbered(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn a_copy_between_layouts_is_a_loop_over_indices(
            shape in shapes(), from_gaps in gaps(), to_gaps in gaps(), size in prop::sample::select(vec![1usize, 2, 4, 8, 24]),
        ) {
            let (from, to) = (padded(&shape, &from_gaps, size), padded(&shape, &to_gaps, size));
            let source = numbered(from.span(size));
            let mut expected = vec![0xEE; to.span(size)];
            let mut actual = expected.clone();
            naive(size, &from, &source, &to, &mut expected);
            copy_bytes(size, &from, &source, &to, &mut actual).unwrap();
            prop_assert_eq!(&actual, &expected);

            let mut dense = vec![0; shape.iter().product::<usize>() * size];
            gather(&from, size, &source, &mut dense).unwrap();
            let mut back = vec![0xEE; to.span(size)];
            scatter(&to, size, &dense, &mut back).unwrap();
            prop_assert_eq!(back, expected);
        }

        #[test]
        fn views_and_regions_agree_with_indices(shape in shapes(), gaps in gaps(), cuts in prop::collection::vec((0.0..1.0, 0.0..1.0), 6)) {
            let layout = padded(&shape, &gaps, 4);
            let storage = Storage::exclusive::<u32, _>((0..layout.span(4) as u32 / 4).collect::<Vec<_>>());
            let tensor = Tensor::from_storage_strided(storage, ElementType::U32, shape_of(&shape), layout.strides(), 0).unwrap();
            let ranges: Vec<_> = shape.iter().zip(cuts).map(|(extent, (a, b))| {
                let place = |share: f64| (share * (extent + 1) as f64) as usize;
                place(a).min(place(b))..place(a).max(place(b))
            }).collect();
            let mut region = tensor.region(&ranges).unwrap();
            let mut expected = Vec::new();
            each_index(region.shape(), |index| {
                let outer: Vec<_> = index.iter().zip(&ranges).map(|(at, range)| at + range.start).collect();
                expected.push(layout.offset_of(&outer).unwrap() as u32 / 4);
            });
            prop_assert_eq!(&region.to_vec::<u32>().unwrap(), &expected);
            let mut view = region.view_mut::<u32>().unwrap();
            prop_assert_eq!(view.iter_mut().map(|element| *element).collect::<Vec<_>>(), &expected[..]);
            each_index(&view.shape().clone(), |index| assert_eq!(view.get(index).copied(), Some(expected.remove(0))));
        }
    }

    fn shape_of(dims: &[usize]) -> Shape {
        Shape::new(dims).unwrap()
    }

    fn each_index(shape: &Shape, mut visit: impl FnMut(&[usize])) {
        let mut index = vec![0; shape.rank()];
        for mut flat in 0..shape.count() {
            for (at, extent) in index.iter_mut().zip(shape.iter()).rev() {
                *at = flat % extent;
                flat /= extent;
            }
            visit(&index);
        }
    }

    /// Source and destination of shape [3, 4], each dense, padded at rows, padded everywhere, or a region.
    fn tensors<T: Element>(values: &[T]) -> Vec<Tensor> {
        let size = size_of::<T>();
        let with_layout = |layout: Layout| {
            let storage = Storage::zeroed(layout.span(size)).unwrap();
            let mut tensor =
                Tensor::from_storage_strided(storage, T::TYPE, layout.shape(), layout.strides(), 0).unwrap();
            tensor.view_mut::<T>().unwrap().iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            tensor
        };
        let mut region = Tensor::zeros(T::TYPE, [5, 6]).region(&[1..4, 1..5]).unwrap();
        region.view_mut::<T>().unwrap().iter_mut().zip(values).for_each(|(to, from)| *to = *from);
        vec![
            Tensor::from_slice(values, [3, 4]).unwrap(),
            with_layout(padded(&[3, 4], &[0, 3], size)),
            with_layout(padded(&[3, 4], &[1, 2], size)),
            region,
        ]
    }

    fn copies_between_all_layouts<T: Element>(values: [T; 12]) {
        for source in tensors(&values) {
            let owned_but_empty = Tensor::zeros(T::TYPE, [0]);
            for mut target in tensors(&[T::default(); 12]).into_iter().chain([owned_but_empty]) {
                source.copy_to(&mut target).unwrap();
                assert_eq!(target.to_vec::<T>().unwrap(), values, "{source:?} to {target:?}");
                assert_eq!(target.shape(), source.shape());
            }
        }
    }

    #[test]
    fn every_element_type_is_copied_between_all_layouts() {
        let up: [u8; 12] = core::array::from_fn(|at| at as u8 + 1);
        copies_between_all_layouts(up.map(|at| at % 2 == 0));
        copies_between_all_layouts(up);
        copies_between_all_layouts(up.map(|at| -(at as i8)));
        copies_between_all_layouts(up.map(|at| at as u16 * 1000));
        copies_between_all_layouts(up.map(|at| at as i16 * -1000));
        copies_between_all_layouts(up.map(|at| at as u32 * 100_000_000));
        copies_between_all_layouts(up.map(|at| at as i32 * -100_000_000));
        copies_between_all_layouts(up.map(|at| at as u64 * (1 << 56)));
        copies_between_all_layouts(up.map(|at| i64::MIN + at as i64));
        copies_between_all_layouts(up.map(|at| f16::from_f32(at as f32 / 2.0)));
        copies_between_all_layouts(up.map(|at| bf16::from_f32(at as f32 / 2.0)));
        copies_between_all_layouts(up.map(|at| at as f32 / 3.0));
        copies_between_all_layouts(up.map(|at| at as f64 / 3.0));
    }

    #[test]
    fn a_scatter_leaves_the_bytes_between_the_elements() {
        let parent = Tensor::from_slice(&[9u8; 12], [3, 4]).unwrap();
        let mut middle = parent.region(&[1..2, 1..3]).unwrap();
        middle.copy_from(&Tensor::from_slice(&[1u8, 2], [1, 2]).unwrap()).unwrap();
        assert_eq!(parent.to_vec::<u8>().unwrap(), [9, 9, 9, 9, 9, 1, 2, 9, 9, 9, 9, 9]);
    }

    #[test]
    fn a_target_takes_the_shape_of_the_source_when_it_can() {
        let source = Tensor::from_slice(&[1i16, 2, 3, 4], [2, 2]).unwrap();
        let mut owned = Tensor::zeros(ElementType::I16, [1]);
        source.copy_to(&mut owned).unwrap();
        assert_eq!(
            (owned.shape().clone(), owned.to_vec::<i16>().unwrap()),
            ([2, 2].into(), vec![1, 2, 3, 4])
        );

        let borrowed = |len: usize| {
            let storage = Storage::exclusive::<i16, _>(vec![7i16; len]);
            Tensor::from_storage(storage, ElementType::I16, [len]).unwrap()
        };
        let mut roomy = borrowed(5);
        roomy.copy_from(&source).unwrap();
        assert_eq!(roomy.to_vec::<i16>().unwrap(), [1, 2, 3, 4]);
        let mut small = borrowed(3);
        assert!(matches!(small.copy_from(&source), Err(TensorError::Room { .. })));
        assert_eq!(small.to_vec::<i16>().unwrap(), [7; 3]);
    }

    #[test]
    fn copies_that_cannot_be_are_refused_and_change_nothing() {
        let source = Tensor::from_slice(&[1.0f32, 2.0], [2]).unwrap();
        let mut wrong = Tensor::zeros(ElementType::I32, [3]);
        let other_type = TensorError::Element { asked: ElementType::F32, actual: ElementType::I32 };
        assert_eq!(source.copy_to(&mut wrong), Err(other_type));

        let mut target = Tensor::zeros(ElementType::F32, [3]);
        let reader = target.lease_read().unwrap();
        // The longer source makes the target take new memory, which nobody else holds.
        assert!(Tensor::zeros(ElementType::F32, [99]).copy_to(&mut target.clone()).is_ok());
        assert_eq!(source.copy_to(&mut target), Err(InUse { written: false }.into()));
        drop(reader);
        assert_eq!(*target.shape(), [3]);

        let whole = Tensor::from_slice(&[1u8, 2, 3, 4], [1, 4]).unwrap();
        let (front, mut back) = (whole.region(&[0..1, 0..2]).unwrap(), whole.region(&[0..1, 2..4]).unwrap());
        assert_eq!(front.copy_to(&mut back), Err(InUse { written: true }.into()));

        let mut fixed = Tensor::from_static(&[1.0f32, 2.0], [2]).unwrap();
        assert_eq!(source.copy_to(&mut fixed), Err(TensorError::ReadOnly));
    }

    #[test]
    fn bytes_that_are_too_few_are_an_error() {
        let layout = padded(&[2, 2], &[0, 1], 4);
        let short = LayoutError::Storage { needed: 20, available: 19 };
        assert_eq!(gather(&layout, 4, &[0; 19], &mut [0; 16]), Err(short.clone()));
        assert_eq!(scatter(&layout, 4, &[0; 16], &mut [0; 19]), Err(short));
        let short = LayoutError::Storage { needed: 16, available: 15 };
        assert_eq!(gather(&layout, 4, &[0; 20], &mut [0; 15]), Err(short));
        let other = Layout::dense([4].into(), 4).unwrap();
        let shapes = LayoutError::Shapes { from: Box::new([2, 2].into()), to: Box::new([4].into()) };
        assert_eq!(copy_bytes(4, &layout, &[0; 20], &other, &mut [0; 16]), Err(shapes));
    }
}
