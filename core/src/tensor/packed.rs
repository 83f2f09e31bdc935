//! Integers of four bits, two a byte: the first of a pair lies in the lower half.
//!
//! Nobody computes with them where they lie. Who reads or makes them does it by the byte, an element each.

use super::ElementType;

/// The elements of a packed tensor, in row-major order: -8 to 7 for [`ElementType::I4`], 0 to 15 for [`ElementType::U4`].
/// `packed` are the bytes of the tensor; of an odd number of elements the upper half of the last byte is one more.
///
/// ```
/// # use inferry_core::ElementType;
/// # use inferry_core::tensor::unpack;
/// assert!(unpack(ElementType::I4, &[0x2f, 0x07]).eq([-1, 2, 7, 0]));
/// assert!(unpack(ElementType::U4, &[0x2f]).eq([15, 2]));
/// ```
pub fn unpack(element: ElementType, packed: &[u8]) -> impl Iterator<Item = i8> + Clone {
    let signed = element == ElementType::I4;
    packed.iter().flat_map(move |byte| {
        [*byte << 4, *byte & 0xf0].map(|high| if signed { high as i8 >> 4 } else { (high >> 4) as i8 })
    })
}

/// The bytes of elements: the low four bits of each, and zero for what is missing of the last byte.
///
/// ```
/// # use inferry_core::tensor::pack;
/// assert!(pack([-1, 2, 7]).eq([0x2f, 0x07]));
/// ```
pub fn pack(elements: impl IntoIterator<Item = i8>) -> impl Iterator<Item = u8> {
    let mut elements = elements.into_iter();
    core::iter::from_fn(move || {
        let low = elements.next()? as u8 & 0xf;
        let high = elements.next().map_or(0, |high| (high as u8) << 4);
        Some(low | high)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_pair_comes_back() {
        for byte in 0..=u8::MAX {
            for element in [ElementType::I4, ElementType::U4] {
                assert!(pack(unpack(element, &[byte])).eq([byte]));
            }
        }
        let odd: Vec<u8> = pack([1, 2, 3]).collect();
        assert!(unpack(ElementType::U4, &odd).take(3).eq([1, 2, 3]));
    }
}
