//! Tensors by themselves: regions, other shapes over the same memory, and copies.

use inferry_core::tensor::{Storage, TensorError};
use inferry_core::{ElementType, Shape, Tensor};

use crate::world::World;

fn counted(shape: &[usize]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let values: Vec<f32> = (0..shape.count()).map(|value| value as f32).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

fn borrowed(len: usize, shape: [usize; 1]) -> Tensor {
    let storage = Storage::exclusive::<f32, _>(vec![0.0; len]);
    Tensor::from_storage(storage, ElementType::F32, shape).unwrap()
}

/// An owned tensor grows into new memory, shrinks in place, and a shape that overflows leaves it as it was.
pub async fn an_owned_tensor_takes_any_shape(_: &impl World) {
    let mut tensor = counted(&[4]);
    let kept = tensor.clone();
    tensor.set_shape([2]).unwrap();
    assert!(tensor.shares_storage(&kept));
    tensor.set_shape([2, 2]).unwrap();
    assert!(tensor.shares_storage(&kept));
    tensor.set_shape([100]).unwrap();
    assert!(!tensor.shares_storage(&kept));
    assert_eq!(kept.len(), 4, "another handle keeps its own");
    assert!(matches!(tensor.set_shape([usize::MAX, 8]), Err(TensorError::TooLarge { .. })));
    assert_eq!(tensor.len(), 100);
}

/// A tensor over borrowed memory never grows beyond it, and may come back to what it was.
pub async fn borrowed_memory_bounds_the_shape(_: &impl World) {
    let mut tensor = borrowed(4, [4]);
    assert!(matches!(tensor.set_shape([5]), Err(TensorError::Room { .. })));
    for shape in [[2], [4], [0], [4]] {
        tensor.set_shape(shape).unwrap();
        assert_eq!(tensor.shape(), &Shape::from(shape));
    }
    tensor.set_shape([2, 2]).unwrap();
}

/// A strided tensor keeps its strides: no extent may exceed the one it was made with.
pub async fn strides_bound_each_extent(_: &impl World) {
    let storage = Storage::exclusive::<f32, _>(vec![0.0; 12]);
    let mut tensor = Tensor::from_storage_strided(storage, ElementType::F32, [3, 2], &[16, 4], 0).unwrap();
    assert!(tensor.set_shape([3, 3]).is_err() && tensor.set_shape([4, 2]).is_err());
    tensor.set_shape([2, 1]).unwrap();
    assert_eq!(tensor.layout().strides(), [16, 4]);
    tensor.set_shape([3, 2]).unwrap();
}

/// A region begins where it should, has its parent's strides, and shares its memory.
pub async fn a_region_lies_within_its_parent(_: &impl World) {
    let parent = counted(&[1, 3, 6, 5]);
    let region = parent.region(&[0..1, 0..3, 1..5, 2..4]).unwrap();
    assert_eq!(region.shape(), &Shape::from([1, 3, 4, 2]));
    assert_eq!(region.offset(), 7 * size_of::<f32>());
    assert_eq!(region.layout().strides(), parent.layout().strides());
    assert!(region.shares_storage(&parent));
}

/// Every element of a region is the parent's at that place; the parent may be gone.
pub async fn a_region_shows_its_parents_elements(_: &impl World) {
    let parent = counted(&[4, 6]);
    let region = parent.region(&[1..3, 2..5]).unwrap();
    {
        let (whole, part) = (parent.view::<f32>().unwrap(), region.view::<f32>().unwrap());
        for row in 0..2 {
            for column in 0..3 {
                let (mine, theirs) =
                    (part.get(&[row, column]).unwrap(), whole.get(&[row + 1, column + 2]).unwrap());
                assert_eq!(std::ptr::from_ref(mine).addr(), std::ptr::from_ref(theirs).addr());
            }
        }
    }
    drop(parent);
    assert_eq!(region.to_vec::<f32>().unwrap(), [8.0, 9.0, 10.0, 14.0, 15.0, 16.0]);
}

/// A region can be made smaller, empty, and what it was; not larger, and not of fewer dimensions.
pub async fn a_region_takes_smaller_shapes(_: &impl World) {
    let mut region = counted(&[4, 6]).region(&[1..3, 2..5]).unwrap();
    for shape in [[1, 2], [2, 3], [0, 0], [2, 3]] {
        region.set_shape(shape).unwrap();
    }
    assert!(region.set_shape([3, 3]).is_err() && region.set_shape([2, 4]).is_err());
    assert!(region.set_shape([6]).is_err());
    assert_eq!(region.to_vec::<f32>().unwrap(), [8.0, 9.0, 10.0, 14.0, 15.0, 16.0]);
}

/// Dimensions of one element may be put before a region, and nothing else.
pub async fn a_region_takes_leading_ones(_: &impl World) {
    let mut region = counted(&[4, 6]).region(&[1..3, 2..5]).unwrap();
    region.set_shape([1, 1, 2, 3]).unwrap();
    region.set_shape([2, 3]).unwrap();
    assert!(region.set_shape([2, 2, 3]).is_err() && region.set_shape([2, 3, 1]).is_err());
}

/// A region beyond its parent, or of another number of dimensions, is refused; an empty one is not.
pub async fn a_region_outside_is_refused(_: &impl World) {
    let parent = counted(&[4, 6]);
    #[allow(clippy::reversed_empty_ranges, reason = "that is the case to refuse")]
    for bad in [
        &[0..5, 0..6][..],
        &[0..4, 0..7],
        std::slice::from_ref(&(0..4)),
        &[0..4, 0..6, 0..1],
        &[3..2, 0..6],
        &[5..5, 0..6],
    ] {
        assert!(matches!(parent.region(bad), Err(TensorError::Layout(_))), "{bad:?}");
    }
    assert!(parent.region(&[2..2, 0..6]).unwrap().is_empty());
}

/// What lies densely: dimensions of one element do not count, nor does anything where there is no element.
pub async fn density_ignores_dimensions_of_one(_: &impl World) {
    let parent = counted(&[3, 4, 5]);
    for (ranges, dense) in [
        ([0..3, 0..4, 0..5], true),
        ([1..3, 0..4, 0..5], true),
        ([0..1, 1..3, 0..5], true),
        ([0..1, 2..3, 1..4], true),
        ([0..2, 1..3, 0..5], false),
        ([0..1, 0..4, 0..1], false),
        ([0..3, 0..1, 0..5], false),
        ([0..1, 0..1, 3..4], true),
        ([1..1, 0..4, 0..2], true),
    ] {
        assert_eq!(parent.region(&ranges).unwrap().is_dense(), dense, "{ranges:?}");
    }
    assert!(Tensor::scalar(1.0_f32).is_dense());
}

/// Every element type with strides, from dense and strided to dense, strided and empty: the elements are equal, and what lies
/// between the elements of the target stays. Types that share bytes have no strides, and are copied as they lie.
pub async fn elements_are_copied_between_all_layouts(_: &impl World) {
    let plain = ElementType::ALL.into_iter().filter(|element| *element != ElementType::String);
    let (packed, plain): (Vec<_>, Vec<_>) = plain.partition(|element| element.is_packed());
    for element in packed {
        let source = Tensor::from_bytes(element, [3, 3], &[0x21, 0x43, 0x65, 0x07, 0x08]).unwrap();
        for mut target in [Tensor::zeros(element, [3, 3]), Tensor::zeros(element, [0])] {
            source.copy_to(&mut target).unwrap();
            assert_eq!(target.shape(), source.shape());
            assert_eq!(
                target.lease_read().unwrap().bytes(),
                source.lease_read().unwrap().bytes(),
                "{element}"
            );
        }
    }
    for element in plain {
        let size = element.size();
        // 0 and 1 are values of every type that is looked at by its bytes.
        let bytes: Vec<u8> = (0..24 * size).map(|byte| (byte / size % 2) as u8).collect();
        let dense = || Tensor::from_bytes(element, [4, 6], &bytes).unwrap();
        for source in [dense().region(&[0..2, 0..6]).unwrap(), dense().region(&[1..3, 2..5]).unwrap()] {
            let shape = source.shape().clone();
            let strided = Tensor::zeros(element, [5, 9]).region(&[1..3, 1..1 + shape[1]]).unwrap();
            for mut target in [Tensor::zeros(element, shape.clone()), Tensor::zeros(element, [0]), strided] {
                source.copy_to(&mut target).unwrap();
                assert_eq!(target.shape(), &shape);
                assert_eq!(elements(&target), elements(&source), "{element}");
            }
        }
    }
}

/// The bytes of all elements in row-major order.
fn elements(tensor: &Tensor) -> Vec<u8> {
    let size = tensor.element().size();
    let mut dense = vec![0; tensor.len() * size];
    let lease = tensor.lease_read().unwrap();
    let bytes = &lease.bytes()[tensor.byte_range()];
    inferry_core::tensor::gather(tensor.layout(), size, bytes, &mut dense).unwrap();
    dense
}

/// A target that is too small grows when it owns its memory and is refused when it does not; so is one of another type, and
/// a refused target is as it was.
pub async fn a_copy_needs_type_and_room(_: &impl World) {
    let source = counted(&[2, 3]);
    let mut small = Tensor::zeros(ElementType::F32, [1]);
    source.copy_to(&mut small).unwrap();
    assert_eq!(small.to_vec::<f32>().unwrap(), source.to_vec::<f32>().unwrap());
    let mut fixed = borrowed(4, [4]);
    assert!(matches!(source.copy_to(&mut fixed), Err(TensorError::Room { .. })));
    assert_eq!((fixed.len(), fixed.to_vec::<f32>().unwrap()), (4, vec![0.0; 4]));
    let mut other = Tensor::zeros(ElementType::I32, [2, 3]);
    assert!(matches!(source.copy_to(&mut other), Err(TensorError::Element { .. })));
    static FIXED: [f32; 6] = [0.0; 6];
    let mut read_only = Tensor::from_static(&FIXED, [2, 3]).unwrap();
    assert_eq!(source.copy_to(&mut read_only), Err(TensorError::ReadOnly));
    let mut itself = source.clone();
    assert!(source.copy_to(&mut itself).is_err(), "a tensor over its own memory");
}
