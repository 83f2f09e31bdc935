//! Numbers of any type as `f64`, for operators that are too rare for a loop of their own for each type.
//!
//! A reader is chosen once, when the kernel is built, and called through a pointer for each element. Integers of 64 bits
//! lose what does not fit into 53.

use inferry_core::ElementType;

use crate::kernel::BuildError;

/// Gives element `index` of a tensor's bytes.
pub(crate) type Read = fn(bytes: &[u8], index: usize) -> f64;

/// The reader of an element type.
pub(crate) fn reader(op: &'static str, element: ElementType) -> Result<Read, BuildError> {
    Ok(match element {
        ElementType::F32 => |bytes, index| f64::from(f32::from_ne_bytes(at(bytes, index))),
        ElementType::F64 => |bytes, index| f64::from_ne_bytes(at(bytes, index)),
        ElementType::I32 => |bytes, index| f64::from(i32::from_ne_bytes(at(bytes, index))),
        ElementType::I64 => |bytes, index| i64::from_ne_bytes(at(bytes, index)) as f64,
        element => return Err(BuildError::Element { op, element }),
    })
}

fn at<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    bytes.as_chunks::<N>().0[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_read_as_what_it_is() {
        let read = |element, bytes: &[u8]| reader("X", element).unwrap()(bytes, 1);
        assert_eq!(read(ElementType::F32, bytemuck::bytes_of(&[1.0f32, -2.5])), -2.5);
        assert_eq!(read(ElementType::F64, bytemuck::bytes_of(&[1.0f64, 1e300])), 1e300);
        assert_eq!(read(ElementType::I32, bytemuck::bytes_of(&[1i32, -7])), -7.0);
        assert_eq!(read(ElementType::I64, bytemuck::bytes_of(&[1i64, 1 << 40])), (1i64 << 40) as f64);
        assert!(reader("X", ElementType::String).is_err());
    }
}
