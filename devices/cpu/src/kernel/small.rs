//! Numbers of a byte and less that have no arithmetic: floats of eight bits and integers of four.
//!
//! They are converted, and that is all. What comes *from* them is looked up: a byte has 256 values, and a table of what they
//! become is made when the kernel is built. What goes *to* them goes through `f64` or `i64`, one element after the other.

use half::{bf16, f16};
use inferry_core::ElementType;
use inferry_core::tensor::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};

use crate::io::Plain;
use crate::kernel::simple::{simple, spread};
use crate::kernel::{BuildError, Built, by_size};

/// True for the types that this module converts.
pub(crate) fn is_small(element: ElementType) -> bool {
    element.is_float8() || element.is_packed()
}

/// Converts `count` elements, of which one side [is small](is_small).
pub(crate) fn cast(from: ElementType, to: ElementType, saturate: bool, count: usize) -> Built {
    if is_small(from) {
        let mut bits = [0; 256];
        for (byte, bits) in bits.iter_mut().enumerate() {
            *bits = converted(value(from, byte as u8), to, saturate)?;
        }
        return by_size!("Cast", to, T => look_up::<T>(bits.map(|bits| bits as T), count));
    }
    let read = reader(from)?;
    let size = from.size();
    // Asked once: what cannot be converted is no matter of the numbers.
    converted(Value::Whole(0), to, saturate)?;
    let phase = spread(count, 8000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to_bytes = io.rows::<u8>();
        let from = &io.input::<u8>(0)[start * size..(start + to_bytes.len()) * size];
        for (to_byte, from) in to_bytes.iter_mut().zip(from.chunks_exact(size)) {
            *to_byte = converted(read(from), to, saturate).unwrap_or(0) as u8;
        }
    })
}

fn look_up<T: Plain + Copy>(table: [T; 256], count: usize) -> Built {
    let phase = spread(count, 500);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        let from = &io.input::<u8>(0)[start..start + to.len()];
        to.iter_mut().zip(from).for_each(|(to, from)| *to = table[usize::from(*from)]);
    })
}

/// The float of eight bits nearest to a number, and the number that one is.
#[derive(Clone, Copy)]
pub(crate) struct Float8 {
    /// Its bits.
    pub(crate) encode: fn(f64, bool) -> u8,
    /// Its value.
    pub(crate) decode: fn(u8) -> f32,
}

/// How floats of this type are read and written; `None` for other types.
pub(crate) fn float8(element: ElementType) -> Option<Float8> {
    macro_rules! kinds {
        ($($name:ident),*) => {
            match element {
                $( ElementType::$name => Some(Float8 {
                    encode: |number, saturate| $name::from_f64(number, saturate).to_bits(),
                    decode: |bits| $name::from_bits(bits).to_f32(),
                }), )*
                _ => None,
            }
        };
    }
    kinds!(F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz)
}

/// A number on its way.
#[derive(Clone, Copy)]
enum Value {
    /// An integer, or a truth value; of unsigned ones of 64 bits the same bits.
    Whole(i64),
    Real(f64),
}

/// The value of a stored byte.
fn value(from: ElementType, byte: u8) -> Value {
    match float8(from) {
        Some(float) => Value::Real((float.decode)(byte).into()),
        None if from == ElementType::I4 => Value::Whole((byte as i8).into()),
        None => Value::Whole(byte.into()),
    }
}

/// The stored bits of a value as another type: integers keep their low bits, floats are cut off and held within an integer.
fn converted(value: Value, to: ElementType, saturate: bool) -> Result<u64, BuildError> {
    let real = match value {
        Value::Whole(whole) => whole as f64,
        Value::Real(real) => real,
    };
    if let Some(float) = float8(to) {
        return Ok((float.encode)(real, saturate).into());
    }
    macro_rules! whole {
        ($rust:ident) => {
            match value {
                Value::Whole(whole) => whole as $rust as u64,
                Value::Real(real) => real as $rust as u64,
            }
        };
    }
    Ok(match to {
        ElementType::Bool => u64::from(real != 0.0),
        ElementType::I8 => whole!(i8),
        ElementType::I16 => whole!(i16),
        ElementType::I32 => whole!(i32),
        ElementType::I64 => whole!(i64),
        ElementType::U8 => whole!(u8),
        ElementType::U16 => whole!(u16),
        ElementType::U32 => whole!(u32),
        ElementType::U64 => whole!(u64),
        ElementType::F16 => f16::from_f64(real).to_bits().into(),
        ElementType::Bf16 => bf16::from_f64(real).to_bits().into(),
        ElementType::F32 => (real as f32).to_bits().into(),
        ElementType::F64 => real.to_bits(),
        ElementType::I4 => match value {
            Value::Whole(whole) => ((whole as i8) << 4 >> 4) as u8 as u64,
            Value::Real(real) => (real as i64).clamp(-8, 7) as u8 as u64,
        },
        ElementType::U4 => match value {
            Value::Whole(whole) => whole as u64 & 0xf,
            Value::Real(real) => (real as i64).clamp(0, 15) as u64,
        },
        element => return Err(BuildError::Element { op: "Cast", element }),
    })
}

/// Reads an element of a type that is not small.
fn reader(from: ElementType) -> Result<fn(&[u8]) -> Value, BuildError> {
    macro_rules! types {
        ($($variant:ident $rust:ident |$value:ident| $made:expr;)*) => {
            match from {
                $( ElementType::$variant => |bytes| {
                    let $value: $rust = bytemuck::pod_read_unaligned(bytes);
                    $made
                }, )*
                element => return Err(BuildError::Element { op: "Cast", element }),
            }
        };
    }
    Ok(types! {
        Bool u8 |value| Value::Whole(value.into());
        I8 i8 |value| Value::Whole(value.into());
        I16 i16 |value| Value::Whole(value.into());
        I32 i32 |value| Value::Whole(value.into());
        I64 i64 |value| Value::Whole(value);
        U8 u8 |value| Value::Whole(value.into());
        U16 u16 |value| Value::Whole(value.into());
        U32 u32 |value| Value::Whole(value.into());
        U64 u64 |value| i64::try_from(value).map_or(Value::Real(value as f64), Value::Whole);
        F16 f16 |value| Value::Real(value.into());
        Bf16 bf16 |value| Value::Real(value.into());
        F32 f32 |value| Value::Real(value.into());
        F64 f64 |value| Value::Real(value);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::{Element, Tensor};
    use inferry_engine::op::Cast;

    fn to<T: Element>(x: &Tensor) -> Vec<T> {
        run_one(&Cast { to: T::TYPE, saturate: true }, &[x], x.shape().clone())
    }

    /// The bytes of `x` as a packed type.
    fn packed(x: &Tensor, element: ElementType) -> Vec<u8> {
        let outputs = [(element, x.shape().clone())];
        let op = Cast { to: element, saturate: true };
        let y = run(&op, &[Some(x.clone())], &outputs, Isa::portable()).remove(0);
        y.lease_read().unwrap().bytes()[y.byte_range()].to_vec()
    }

    #[test]
    fn floats_of_a_byte_are_rounded_and_widened() {
        let x = tensor(&[0.48f32, -1e6, f32::NAN, 0.0], [4]);
        let bits = |values: Vec<F8E4M3Fn>| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(to(&x)), [0x2f, 0xfe, 0x7f, 0]);
        let op = Cast { to: ElementType::F8E4M3Fn, saturate: false };
        assert_eq!(bits(run_one(&op, &[&x], [4])), [0x2f, 0xff, 0x7f, 0]);
        let small = tensor(&[0x2f, 0xfe, 0x7f, 0x80].map(F8E4M3Fn::from_bits), [4]);
        let wide = to::<f32>(&small);
        assert_eq!((wide[0], wide[1], wide[2].is_nan()), (0.46875, -448.0, true));
        assert_eq!(to::<i8>(&small), [0, -128, 0, 0]);
        assert_eq!(to::<bool>(&small), [true, true, true, false]);
        let other: Vec<F8E5M2Fnuz> = to(&small);
        assert_eq!(other[..2].iter().map(|value| value.to_f32()).collect::<Vec<_>>(), [0.5, -448.0]);
        assert_eq!(to::<half::f16>(&small)[1], half::f16::from_f32(-448.0));
        let whole: Vec<F8E5M2> = to(&tensor(&[u64::MAX, 3], [2]));
        assert_eq!(whole.iter().map(|value| value.to_f32()).collect::<Vec<_>>(), [57344.0, 3.0]);
    }

    #[test]
    fn integers_of_four_bits_are_held_or_keep_their_low_bits() {
        let x = tensor(&[-9.7f32, -1.9, 7.9, 300.0, f32::NAN], [5]);
        assert_eq!(packed(&x, ElementType::I4), [0xf8, 0x77, 0x00]);
        assert_eq!(packed(&x, ElementType::U4), [0x00, 0xf7, 0x00]);
        let x = tensor(&[-9i32, -1, 8, 0x123], [4]);
        assert_eq!(packed(&x, ElementType::I4), [0xf7, 0x38]);
        assert_eq!(packed(&x, ElementType::U4), [0xf7, 0x38]);
        let x = Tensor::from_bytes(ElementType::I4, [3], &[0x7f, 0x08]).unwrap();
        assert_eq!(to::<f32>(&x), [-1.0, 7.0, -8.0]);
        assert_eq!(to::<u16>(&x), [65535, 7, 65528]);
        let x = Tensor::from_bytes(ElementType::U4, [3], &[0x7f, 0x08]).unwrap();
        assert_eq!(to::<i8>(&x), [15, 7, 8]);
        assert_eq!(packed(&x, ElementType::I4), [0x7f, 0x08]);
    }
}
