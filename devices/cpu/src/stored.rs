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
    fn packed_elements_have_a_byte_each() {
        let packed = Tensor::from_bytes(ElementType::I4, [3], &[0x8f, 0x07]).unwrap();
        let bytes = unpacked(&packed).unwrap();
        assert_eq!(bytes.to_vec::<u8>().unwrap(), [255, 248, 7]);
        let mut again = [0; 2];
        pack_to(&bytes.to_vec::<u8>().unwrap(), &mut again);
        assert_eq!(again, [0x8f, 0x07]);
    }
}
