//! How elements are stored inside the device: as in a tensor of the host, except strings, which are [numbers](crate::text), and
//! the integers of four bits, which have a byte each, so that every kernel that only moves elements moves them too.

use inferry_core::tensor::{TensorError, pack, unpack};
use inferry_core::{ElementType, Shape, Tensor};

use crate::text::Text;

/// Bytes of one element.
pub(crate) const fn width(element: ElementType) -> usize {
    match element {
        ElementType::String => size_of::<Text>(),
        plain => plain.size(),
    }
}

/// Bytes of a value; `None` when no memory has so many.
pub(crate) fn bytes(element: ElementType, shape: &Shape) -> Option<usize> {
    let bytes = shape.checked_len()?.checked_mul(width(element))?;
    (bytes <= isize::MAX as usize - 64).then_some(bytes)
}

/// Bytes to ask for before a kernel is built: a value's own or, where it has no elements, those of a table as long as its
/// longest extent, which kernels keep and nothing else bounds. `None` when no memory has so many, or no stride reaches so far.
pub(crate) fn room(element: ElementType, shape: &Shape) -> Option<usize> {
    let own = bytes(element, shape)?;
    if own > 0 {
        return Some(own);
    }
    let extents = || shape.iter().copied().filter(|extent| *extent > 0);
    extents().try_fold(size_of::<u64>(), usize::checked_mul).filter(|reach| *reach <= isize::MAX as usize)?;
    Some(extents().max().unwrap_or(0) * size_of::<u64>())
}

/// A packed tensor with a byte for each element, as a tensor of `u8`.
pub(crate) fn unpacked(tensor: &Tensor) -> Result<Tensor, TensorError> {
    let bytes = Tensor::try_zeros(ElementType::U8, tensor.shape())?;
    let lease = tensor.lease_read()?;
    let mut to = bytes.lease_write()?;
    unpack_to(tensor.element(), &lease.bytes()[tensor.byte_range()], &mut to.bytes_mut()[..tensor.len()]);
    drop(to);
    Ok(bytes)
}

/// Gives each packed element a byte.
pub(crate) fn unpack_to(element: ElementType, packed: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(unpack(element, packed)).for_each(|(to, value)| *to = value as u8);
}

/// The way back.
pub(crate) fn pack_to(from: &[u8], packed: &mut [u8]) {
    packed.iter_mut().zip(pack(from.iter().map(|byte| *byte as i8))).for_each(|(to, pair)| *to = pair);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_of_nothing_takes_the_room_of_a_table() {
        let room = |shape: &[usize]| room(ElementType::F32, &Shape::new(shape).unwrap());
        assert_eq!(room(&[2, 3]), Some(24));
        assert_eq!(room(&[0]), Some(0));
        assert_eq!(room(&[0, 1_000, 3]), Some(8_000));
        assert_eq!(room(&[0, usize::MAX / 4]), None, "no memory has such a table");
        assert_eq!(room(&[usize::MAX / 64, 0, 64]), None, "no stride reaches so far");
    }

    #[test]
    fn packed_elements_have_a_byte_each() {
        let packed = Tensor::from_bytes(ElementType::I4, [3], &[0x8f, 0x07]).unwrap();
        let bytes = unpacked(&packed).unwrap();
        assert_eq!(bytes.to_vec::<u8>().unwrap(), [255, 248, 7]);
        let mut again = [0; 2];
        pack_to(&bytes.to_vec::<u8>().unwrap(), &mut again);
        assert_eq!(again, [0x8f, 0x07]);
    }
}
