//! Element types: what one number of a tensor is.
//!
//! Nothing is converted here; a tensor of `i64` is read as `i64`.

use core::fmt;

use half::{bf16, f16};

use super::float8::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};

/// The type of a tensor's elements.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// One byte, 0 or 1.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Text; not plain bytes, see `Tensor::strings`.
    String,
    /// Float of 8 bits: 4 of exponent, no infinities; see [`F8E4M3Fn`].
    F8E4M3Fn,
    /// Float of 8 bits: 4 of exponent, no infinities, one zero; see [`F8E4M3Fnuz`].
    F8E4M3Fnuz,
    /// Float of 8 bits: 5 of exponent; see [`F8E5M2`].
    F8E5M2,
    /// Float of 8 bits: 5 of exponent, no infinities, one zero; see [`F8E5M2Fnuz`].
    F8E5M2Fnuz,
    /// Signed, 4 bits: [packed](ElementType::is_packed).
    I4,
    /// Unsigned, 4 bits: [packed](ElementType::is_packed).
    U4,
}

impl ElementType {
    /// Every element type, in the order of the declaration.
    pub const ALL: [ElementType; 20] = [
        ElementType::Bool,
        ElementType::I8,
        ElementType::I16,
        ElementType::I32,
        ElementType::I64,
        ElementType::U8,
        ElementType::U16,
        ElementType::U32,
        ElementType::U64,
        ElementType::F16,
        ElementType::Bf16,
        ElementType::F32,
        ElementType::F64,
        ElementType::String,
        ElementType::F8E4M3Fn,
        ElementType::F8E4M3Fnuz,
        ElementType::F8E5M2,
        ElementType::F8E5M2Fnuz,
        ElementType::I4,
        ElementType::U4,
    ];

    /// Bytes of one element; for [`ElementType::String`], of the handle of one string, and for the packed types of the byte
    /// that two elements share (see [`ElementType::bytes`]).
    pub const fn size(self) -> usize {
        match self {
            ElementType::Bool | ElementType::I8 | ElementType::U8 => 1,
            ElementType::F8E4M3Fn | ElementType::F8E4M3Fnuz => 1,
            ElementType::F8E5M2 | ElementType::F8E5M2Fnuz => 1,
            ElementType::I4 | ElementType::U4 => 1,
            ElementType::I16 | ElementType::U16 | ElementType::F16 | ElementType::Bf16 => 2,
            ElementType::I32 | ElementType::U32 | ElementType::F32 => 4,
            ElementType::I64 | ElementType::U64 | ElementType::F64 => 8,
            ElementType::String => size_of::<alloc::string::String>(),
        }
    }

    /// Bytes of so many elements that lie without gaps; `None` when that overflows.
    pub const fn bytes(self, count: usize) -> Option<usize> {
        if self.is_packed() { Some(count.div_ceil(2)) } else { count.checked_mul(self.size()) }
    }

    /// True for the types of 4 bits. Two elements share a byte, the first in its lower half; of an odd number the last has a
    /// byte to itself, whose upper half is zero. Such tensors are always dense, and there is no Rust type for an element:
    /// their bytes are read and written through leases (see [`unpack`](super::unpack) and [`pack`](super::pack)).
    pub const fn is_packed(self) -> bool {
        matches!(self, ElementType::I4 | ElementType::U4)
    }

    /// The alignment in bytes that one element needs on this target.
    pub const fn align(self) -> usize {
        match self {
            ElementType::Bool | ElementType::I8 | ElementType::U8 => 1,
            ElementType::F8E4M3Fn | ElementType::F8E4M3Fnuz => 1,
            ElementType::F8E5M2 | ElementType::F8E5M2Fnuz => 1,
            ElementType::I4 | ElementType::U4 => 1,
            ElementType::I16 | ElementType::U16 | ElementType::F16 | ElementType::Bf16 => align_of::<u16>(),
            ElementType::I32 | ElementType::U32 | ElementType::F32 => align_of::<u32>(),
            // 4 on some 32-bit targets.
            ElementType::I64 | ElementType::U64 => align_of::<u64>(),
            ElementType::F64 => align_of::<f64>(),
            ElementType::String => align_of::<alloc::string::String>(),
        }
    }

    /// The short name, as in Rust: `f32`, `i64`, `bool`, `string`.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::Bool => "bool",
            ElementType::I8 => "i8",
            ElementType::I16 => "i16",
            ElementType::I32 => "i32",
            ElementType::I64 => "i64",
            ElementType::U8 => "u8",
            ElementType::U16 => "u16",
            ElementType::U32 => "u32",
            ElementType::U64 => "u64",
            ElementType::F16 => "f16",
            ElementType::Bf16 => "bf16",
            ElementType::F32 => "f32",
            ElementType::F64 => "f64",
            ElementType::String => "string",
            ElementType::F8E4M3Fn => "f8e4m3fn",
            ElementType::F8E4M3Fnuz => "f8e4m3fnuz",
            ElementType::F8E5M2 => "f8e5m2",
            ElementType::F8E5M2Fnuz => "f8e5m2fnuz",
            ElementType::I4 => "i4",
            ElementType::U4 => "u4",
        }
    }

    /// True for f16, bf16, f32 and f64, between which and integers there is arithmetic; not for the floats of 8 bits.
    pub const fn is_float(self) -> bool {
        matches!(self, ElementType::F16 | ElementType::Bf16 | ElementType::F32 | ElementType::F64)
    }

    /// True for the floats of 8 bits, which are stored and converted and nothing else.
    pub const fn is_float8(self) -> bool {
        use ElementType::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};
        matches!(self, F8E4M3Fn | F8E4M3Fnuz | F8E5M2 | F8E5M2Fnuz)
    }

    /// True for the signed and unsigned integers of 8 and more bits, not for bool.
    pub const fn is_integer(self) -> bool {
        use ElementType::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(self, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that is the element of a tensor: plain bytes of a fixed size.
pub trait Element:
    sealed::Sealed
    + bytemuck::NoUninit
    + bytemuck::CheckedBitPattern
    + Default
    + PartialEq
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// The element type that this Rust type stands for.
    const TYPE: ElementType;
}

macro_rules! elements {
    ($($rust:ty => $variant:ident),* $(,)?) => { $(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const TYPE: ElementType = ElementType::$variant;
        }
    )* };
}

elements! {
    bool => Bool, i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64, F8E4M3Fn => F8E4M3Fn, F8E4M3Fnuz => F8E4M3Fnuz, F8E5M2 => F8E5M2,
    F8E5M2Fnuz => F8E5M2Fnuz,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_alignments_agree_with_rust() {
        fn check<T: Element>() {
            assert_eq!(T::TYPE.size(), size_of::<T>(), "{}", T::TYPE);
            assert_eq!(T::TYPE.align(), align_of::<T>(), "{}", T::TYPE);
        }
        check::<bool>();
        check::<i8>();
        check::<u16>();
        check::<f16>();
        check::<bf16>();
        check::<i32>();
        check::<f32>();
        check::<u64>();
        check::<f64>();
        check::<F8E4M3Fn>();
        check::<F8E5M2Fnuz>();
    }

    #[test]
    fn two_packed_elements_share_a_byte() {
        assert_eq!([0, 1, 2, 5].map(|count| ElementType::I4.bytes(count).unwrap()), [0, 1, 1, 3]);
        assert_eq!(ElementType::F32.bytes(usize::MAX), None);
    }

    #[test]
    fn every_type_is_listed_once() {
        for (index, element) in ElementType::ALL.iter().enumerate() {
            assert_eq!(*element as usize, index);
        }
    }
}
