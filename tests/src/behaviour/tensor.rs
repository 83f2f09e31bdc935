//! Tensors by themselves: making them, and seeing them as numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inferry_core::tensor::{LayoutError, Storage, TensorError};
use inferry_core::{Dim, ElementType, PartialShape, Shape, Tensor};

use crate::world::World;

/// A fresh tensor knows its size, has dense strides, and shows its elements as what they are only.
pub async fn a_fresh_tensor_is_dense_and_typed(_: &impl World) {
    let mut tensor = Tensor::zeros(ElementType::F32, [4, 3, 2]);
    assert_eq!((tensor.len(), tensor.byte_len()), (24, 96));
    assert_eq!(tensor.layout().strides(), [24, 8, 4]);
    assert_eq!(*tensor.as_slice::<f32>().unwrap(), [0.0; 24]);
    assert!(matches!(tensor.as_slice::<i64>(), Err(TensorError::Element { .. })));
    assert!(matches!(tensor.as_slice_mut::<i32>(), Err(TensorError::Element { .. })));
}

/// Another type is refused also when it has the same width: half precision is not 16 bits of integer, nor a sign dropped.
pub async fn a_typed_access_is_exact(_: &impl World) {
    let half = Tensor::zeros(ElementType::F16, [2]);
    assert!(half.as_slice::<u16>().is_err() && half.as_slice::<i16>().is_err());
    let byte = Tensor::from_slice(&[1_u8, 2], [2]).unwrap();
    assert_eq!(byte.to_vec::<u8>().unwrap(), [1, 2]);
    assert!(byte.as_slice::<i8>().is_err() && byte.as_slice::<bool>().is_err());
    assert_eq!(byte.lease_read().unwrap().bytes(), [1, 2], "raw bytes have no type");
}

/// From a port comes a tensor of its type and shape; an extent that is open is 0.
pub async fn a_port_gives_type_and_shape(world: &impl World) {
    let dims: [(&[Dim], &[usize]); 2] =
        [(&[Dim::Fixed(2), Dim::Fixed(3)], &[2, 3]), (&[Dim::Any, Dim::Fixed(3)], &[0, 3])];
    for (dims, expected) in dims {
        let request = world.place("ports", crate::device::plain_f32(dims)).request();
        let tensor = request.input(0).unwrap();
        assert_eq!((tensor.element(), &tensor.shape()[..]), (ElementType::F32, expected));
    }
    assert!(PartialShape::new(&[Dim::Any]).unwrap().fixed().is_none());
}

/// A tensor without elements has data that can be looked at.
pub async fn a_tensor_without_elements_has_data(_: &impl World) {
    let tensor = Tensor::zeros(ElementType::F32, [0]);
    assert!(tensor.is_empty() && tensor.as_slice::<f32>().unwrap().is_empty());
    let tensor = Tensor::zeros(ElementType::F32, [0, 0, 0, 0]);
    assert_eq!((tensor.shape().rank(), tensor.byte_len()), (4, 0));
    assert!(tensor.is_dense());
    assert_eq!(Tensor::scalar(7_i32).to_vec::<i32>().unwrap(), [7]);
}

/// Memory of somebody's own is used in place and given back with the last that uses it.
pub async fn memory_of_ones_own_is_given_back(_: &impl World) {
    struct Owner(Vec<f32>, Arc<AtomicUsize>);
    impl AsMut<[f32]> for Owner {
        fn as_mut(&mut self) -> &mut [f32] {
            &mut self.0
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let values = vec![1.0, 2.0, 3.0, 4.0];
    let address = values.as_ptr().addr();
    let storage = Storage::exclusive::<f32, _>(Owner(values, dropped.clone()));
    let tensor = Tensor::from_storage(storage, ElementType::F32, [2, 2]).unwrap();
    assert_eq!(tensor.layout().strides(), [8, 4]);
    assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr().addr(), address);
    let other = tensor.clone();
    drop(tensor);
    assert_eq!(other.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(other);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

/// Memory that comes from elsewhere is the tensor's memory, dense unless said otherwise.
pub async fn borrowed_memory_is_used_in_place(_: &impl World) {
    static VALUES: [i32; 6] = [1, 2, 3, 4, 5, 6];
    let tensor = Tensor::from_static(&VALUES, [2, 3]).unwrap();
    assert_eq!(tensor.as_slice::<i32>().unwrap().as_ptr().addr(), VALUES.as_ptr().addr());
    assert_eq!(tensor.layout().strides(), [12, 4]);
    let shared: Arc<[f32]> = Arc::new([1.0, 2.0]);
    let tensor =
        Tensor::from_storage(Storage::shared::<f32, _>(shared.clone()), ElementType::F32, [2]).unwrap();
    assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr().addr(), shared.as_ptr().addr());
}

/// Padded rows show the right elements.
pub async fn a_strided_tensor_shows_its_elements(_: &impl World) {
    let storage = Storage::exclusive::<i32, _>((0..12).collect::<Vec<i32>>());
    let tensor = Tensor::from_storage_strided(storage, ElementType::I32, [3, 2], &[16, 4], 4).unwrap();
    assert!(!tensor.is_dense());
    assert_eq!(tensor.to_vec::<i32>().unwrap(), [1, 2, 5, 6, 9, 10]);
    assert_eq!(tensor.view::<i32>().unwrap().get(&[2, 1]), Some(&10));
    assert!(matches!(tensor.as_slice::<i32>(), Err(TensorError::NotDense { .. })));
}

/// Memory that does not hold the elements is refused, to read and to write; none at all is fine for no elements.
pub async fn memory_that_is_not_there_is_refused(_: &impl World) {
    for storage in [Storage::exclusive::<f32, _>(Vec::new()), Storage::from_static::<f32>(&[])] {
        let refused = Tensor::from_storage(storage.clone(), ElementType::F32, [1]);
        assert!(matches!(refused, Err(TensorError::Layout(LayoutError::Storage { .. }))), "{refused:?}");
        assert!(Tensor::from_storage(storage, ElementType::F32, [0]).is_ok());
    }
}

/// Strides of another rank, that overlap, run between elements or are zero are refused; wider ones are not.
pub async fn strides_are_checked(_: &impl World) {
    let strided = |strides: &[usize]| {
        let storage = Storage::exclusive::<f32, _>(vec![0.0; 24]);
        Tensor::from_storage_strided(storage, ElementType::F32, [2, 3], strides, 0)
    };
    for bad in [&[4][..], &[12, 4, 4], &[8, 4], &[12, 2], &[13, 4], &[0, 0], &[12, 0]] {
        assert!(matches!(strided(bad), Err(TensorError::Layout(_))), "{bad:?}");
    }
    for good in [&[12, 4][..], &[24, 8], &[24, 4]] {
        assert!(strided(good).is_ok(), "{good:?}");
    }
}

/// Sizes that no memory has are an error and not a crash.
pub async fn a_size_that_overflows_is_an_error(_: &impl World) {
    for shape in [[usize::MAX, 2], [usize::MAX / 4, 2], [usize::MAX, 1]] {
        assert!(Tensor::try_zeros(ElementType::F64, shape).is_err(), "{shape:?}");
    }
    assert_eq!(Tensor::zeros(ElementType::F64, [usize::MAX, 0]).len(), 0);
}

/// Read-only memory can be read and not written.
pub async fn read_only_memory_is_read(_: &impl World) {
    static VALUES: [f32; 2] = [1.0, 2.0];
    let mut tensor = Tensor::from_static(&VALUES, [2]).unwrap();
    assert_eq!(*tensor.as_slice::<f32>().unwrap(), VALUES);
    assert_eq!(tensor.as_slice_mut::<f32>().map(drop).unwrap_err(), TensorError::ReadOnly);
}

/// A slice is copied into a tensor, memory that is handed over is shared; and what is not dense cannot be seen as a slice.
pub async fn copies_and_shares_are_told_apart(_: &impl World) {
    let mut values = [1.0_f32, 2.0];
    let copied = Tensor::from_slice(&values, [2]).unwrap();
    values[0] = 9.0;
    assert_eq!(values, [9.0, 2.0]);
    assert_eq!(copied.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    let mut shared = copied.clone();
    shared.as_slice_mut::<f32>().unwrap()[0] = 5.0;
    assert_eq!(copied.to_vec::<f32>().unwrap(), [5.0, 2.0]);
    let inner = Tensor::zeros(ElementType::F32, [2, 2]).region(&[0..2, 0..1]).unwrap();
    assert!(inner.as_slice::<f32>().is_err() && inner.view::<f32>().is_ok());
}

/// Texts are elements like others: they begin empty, are copied deeply, shared by regions, and are no bytes.
pub async fn texts_are_elements_like_others(_: &impl World) {
    let mut tensor = Tensor::zeros(ElementType::String, [2, 2]);
    assert!(tensor.strings().unwrap().iter().all(str::is_empty));
    tensor.strings_mut().unwrap().get_mut(&[1, 0]).unwrap().push_str("cat");
    let row = tensor.region(&[1..2, 0..2]).unwrap();
    assert_eq!(row.strings().unwrap().get(&[0, 0]), Some("cat"));
    let mut copy = Tensor::zeros(ElementType::String, [0]);
    tensor.copy_to(&mut copy).unwrap();
    tensor.strings_mut().unwrap().get_mut(&[1, 0]).unwrap().clear();
    assert_eq!(copy.strings().unwrap().iter().collect::<Vec<_>>(), ["", "", "cat", ""]);
    assert!(copy.as_slice::<u8>().is_err());
    assert!(matches!(Tensor::from_bytes(ElementType::String, [1], &[0; 24]), Err(TensorError::Strings)));
    copy.set_shape([1]).unwrap();
    assert_eq!(copy.shape(), &Shape::from([1]));
}
