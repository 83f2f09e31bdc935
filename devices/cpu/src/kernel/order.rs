//! The order of numbers of any type, by unsigned keys: the larger number has the larger key.
//!
//! So that sorting and picking are written once and not for every element type. Both zeros have one key; NaN is above every
//! number, as it is in numpy's order.

use inferry_core::ElementType;

use crate::kernel::BuildError;

/// The key of element `at` of the bytes of a tensor.
pub(crate) type Key = fn(&[u8], usize) -> u64;

/// How the elements of a type are ordered.
pub(crate) fn key(op: &'static str, element: ElementType) -> Result<Key, BuildError> {
    macro_rules! numbers {
        ($($variant:ident $rust:ident |$value:ident| $key:expr;)*) => {
            match element {
                $( ElementType::$variant => |bytes, at| {
                    let $value: $rust = load(bytes, at);
                    $key
                }, )*
                element => return Err(BuildError::Element { op, element }),
            }
        };
    }
    Ok(numbers! {
        Bool u8 |value| u64::from(value);
        U8 u8 |value| u64::from(value);
        U16 u16 |value| u64::from(value);
        U32 u32 |value| u64::from(value);
        U64 u64 |value| value;
        I8 i8 |value| signed(i64::from(value));
        I16 i16 |value| signed(i64::from(value));
        I32 i32 |value| signed(i64::from(value));
        I64 i64 |value| signed(value);
        F32 f32 |value| u64::from(of_f32(value));
        F64 f64 |value| of_f64(value);
    })
}

/// The key of an `f32`.
#[inline(always)]
pub(crate) fn of_f32(value: f32) -> u32 {
    if value.is_nan() {
        return u32::MAX;
    }
    // Adding zero makes the negative zero positive.
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn of_f64(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn signed(value: i64) -> u64 {
    value as u64 ^ 1 << 63
}

fn load<T: bytemuck::AnyBitPattern>(bytes: &[u8], at: usize) -> T {
    bytemuck::pod_read_unaligned(&bytes[at * size_of::<T>()..][..size_of::<T>()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::NoUninit;

    fn ascend<T: NoUninit>(element: ElementType, values: &[T]) {
        let key = key("test", element).unwrap();
        let keys: alloc::vec::Vec<u64> =
            (0..values.len()).map(|at| key(bytemuck::cast_slice(values), at)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{element}: {keys:x?}");
    }

    #[test]
    fn keys_are_in_the_order_of_the_numbers() {
        ascend(
            ElementType::F32,
            &[f32::NEG_INFINITY, -1.5, -1e-45, 0.0, 1e-45, 2.0, f32::INFINITY, f32::NAN],
        );
        ascend(ElementType::F64, &[f64::NEG_INFINITY, -1.5, -0.0, 1e-300, 2.0, f64::INFINITY, -f64::NAN]);
        ascend(ElementType::I8, &[i8::MIN, -1, 0, 1, i8::MAX]);
        ascend(ElementType::I64, &[i64::MIN, -1, 0, 1, i64::MAX]);
        ascend(ElementType::U64, &[0, 1, u64::MAX]);
        ascend(ElementType::Bool, &[0u8, 1]);
        assert_eq!(of_f32(-0.0), of_f32(0.0));
        assert_eq!(of_f64(-0.0), of_f64(0.0));
        assert!(key("test", ElementType::String).is_err());
    }
}
