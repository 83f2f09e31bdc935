//! How elements are stored inside the device: as in a tensor of the host, except strings, which are [numbers](crate::text).

use inferry_core::{ElementType, Shape};

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
