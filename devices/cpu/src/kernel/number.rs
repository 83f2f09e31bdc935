//! The arithmetic of every numeric element type, spelled once for all of them.
//!
//! Integers are exact and wrap when they overflow. What has no result gives one all the same, since a kernel cannot fail: an
//! integer divided by zero is 0. Floats follow IEEE 754; the larger and the smaller of two numbers are NaN when either is.

use inferry_core::ElementType;

use crate::io::Plain;

/// A number that kernels compute with.
pub(crate) trait Number: Plain + Copy + PartialOrd + Default + 'static {
    /// Its element type.
    const TYPE: ElementType;
    /// The number 1.
    const ONE: Self;
    /// Less than or equal to every number.
    const LOWEST: Self;
    /// Greater than or equal to every number.
    const HIGHEST: Self;

    /// `self + other`
    fn add(self, other: Self) -> Self;
    /// `self - other`
    fn sub(self, other: Self) -> Self;
    /// `self * other`
    fn mul(self, other: Self) -> Self;
    /// `self / other`, for integers cut towards zero, and 0 where `other` is.
    fn div(self, other: Self) -> Self;
    /// What is left of `self / other`, with the sign of `self` (C's fmod).
    fn fmod(self, other: Self) -> Self;
    /// What is left of `self / other`, with the sign of `other` (Python's `%`).
    fn modulo(self, other: Self) -> Self;
    /// The smaller of two.
    fn least(self, other: Self) -> Self;
    /// The larger of two.
    fn most(self, other: Self) -> Self;
    /// The magnitude.
    fn magnitude(self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    /// The nearest number of this type; integers cut off the fraction.
    fn from_f64(value: f64) -> Self;
    /// The nearest `f64`.
    fn to_f64(self) -> f64;
    /// The whole number towards zero that an `i64` can hold.
    fn to_i64(self) -> i64;
    /// A count.
    fn from_index(index: usize) -> Self;
    /// `self` to the power of an integer.
    fn powi(self, exponent: i64) -> Self;
}

macro_rules! integers {
    ($($rust:ident => $variant:ident),*) => { $(
        impl Number for $rust {
            const TYPE: ElementType = ElementType::$variant;
            const ONE: Self = 1;
            const LOWEST: Self = $rust::MIN;
            const HIGHEST: Self = $rust::MAX;

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            #[inline(always)]
            #[allow(unused_comparisons, reason = "unsigned numbers are never negative")]
            fn modulo(self, other: Self) -> Self {
                let rest = self.fmod(other);
                if rest != 0 && (rest < 0) != (other < 0) { rest.wrapping_add(other) } else { rest }
            }
            #[inline(always)]
            fn least(self, other: Self) -> Self {
                Ord::min(self, other)
            }
            #[inline(always)]
            fn most(self, other: Self) -> Self {
                Ord::max(self, other)
            }
            #[inline(always)]
            #[allow(unused_comparisons, reason = "unsigned numbers are never negative")]
            fn magnitude(self) -> Self {
                if self < 0 { (0 as Self).wrapping_sub(self) } else { self }
            }
            #[inline(always)]
            #[allow(unused_comparisons, reason = "unsigned numbers are never negative")]
            fn sign(self) -> Self {
                if self < 0 { (0 as Self).wrapping_sub(1) } else { (self > 0) as Self }
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_index(index: usize) -> Self {
                index as Self
            }
            #[inline]
            fn powi(self, exponent: i64) -> Self {
                if exponent < 0 {
                    // 1 / self^|exponent|, cut towards zero: only ±1 leaves something.
                    let odd = exponent & 1 != 0;
                    return if self == 1 {
                        1
                    } else if self.add(1) == 0 && Self::LOWEST != 0 {
                        if odd { self } else { 1 }
                    } else {
                        0
                    };
                }
                let (mut result, mut base, mut rest) = (1 as Self, self, exponent);
                while rest > 0 {
                    if rest & 1 != 0 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    rest >>= 1;
                }
                result
            }
        }
    )* };
}

integers! { i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64 }

macro_rules! floats {
    ($($rust:ident => $variant:ident, $fmod:path, $pow:path;)*) => { $(
        impl Number for $rust {
            const TYPE: ElementType = ElementType::$variant;
            const ONE: Self = 1.0;
            const LOWEST: Self = $rust::NEG_INFINITY;
            const HIGHEST: Self = $rust::INFINITY;

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                $fmod(self, other)
            }
            #[inline(always)]
            fn modulo(self, other: Self) -> Self {
                let rest = $fmod(self, other);
                if rest != 0.0 && (rest < 0.0) != (other < 0.0) { rest + other } else { rest }
            }
            #[inline(always)]
            fn least(self, other: Self) -> Self {
                if self < other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn most(self, other: Self) -> Self {
                if self > other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self
                }
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn from_index(index: usize) -> Self {
                index as Self
            }
            #[inline]
            fn powi(self, exponent: i64) -> Self {
                $pow(self, exponent as Self)
            }
        }
    )* };
}

floats! {
    f32 => F32, libm::fmodf, libm::powf;
    f64 => F64, libm::fmod, libm::pow;
}

/// `$body` with `$T` standing for the Rust type of a numeric element type; an error for the others (f16 and bf16 are
/// widened before they come here).
macro_rules! by_number {
    ($op:expr, $element:expr, $T:ident => $body:expr) => {
        $crate::kernel::number::by_number!(
            @ $op, $element, $T => $body; I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64, F32 f32, F64 f64
        )
    };
    (@ $op:expr, $element:expr, $T:ident => $body:expr; $($variant:ident $rust:ident),*) => {
        match $element {
            $( inferry_core::ElementType::$variant => {
                type $T = $rust;
                $body
            } )*
            element => Err($crate::kernel::BuildError::Element { op: $op, element }),
        }
    };
}

pub(crate) use by_number;

/// `$body` with `$T` standing for the Rust type of f32 or f64; an error for the others (f16 and bf16 are widened before
/// they come here).
macro_rules! by_float {
    ($op:expr, $element:expr, $T:ident => $body:expr) => {
        match $element {
            inferry_core::ElementType::F32 => {
                type $T = f32;
                $body
            }
            inferry_core::ElementType::F64 => {
                type $T = f64;
                $body
            }
            element => Err($crate::kernel::BuildError::Element { op: $op, element }),
        }
    };
}

pub(crate) use by_float;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_never_panic() {
        assert_eq!(i8::MIN.div(-1), i8::MIN);
        assert_eq!(i8::MIN.fmod(-1), 0);
        assert_eq!(Number::div(7i32, 0), 0);
        assert_eq!(Number::modulo(7u8, 0), 0);
        assert_eq!(i32::MIN.magnitude(), i32::MIN);
        assert_eq!(Number::mul(200u8, 2), 144);
    }

    #[test]
    fn remainders_take_one_sign_or_the_other() {
        // numpy.mod and numpy.fmod of the examples of the standard.
        let a = [-4, 7, 5, 4, -7, 8];
        let b = [2, -3, 8, -2, 3, 5];
        let each = |f: fn(i32, i32) -> i32| core::array::from_fn::<_, 6, _>(|n| f(a[n], b[n]));
        assert_eq!(each(Number::modulo), [0, -2, 5, 0, 2, 3]);
        assert_eq!(each(Number::fmod), [0, 1, 5, 0, -1, 3]);
        assert_eq!(Number::modulo(-4.3f64, 2.1), -4.3 % 2.1 + 2.1);
    }

    #[test]
    fn powers_of_integers() {
        assert_eq!(3i32.powi(4), 81);
        assert_eq!((-2i64).powi(63), i64::MIN);
        assert_eq!(2i8.powi(9), 0);
        assert_eq!([1i32, -1, -1, 2, 0].map(|base| base.powi(-3)), [1, -1, -1, 0, 0]);
        assert_eq!((-1i32).powi(-2), 1);
        assert_eq!(255u8.powi(-1), 0);
    }

    #[test]
    fn not_a_number_wins() {
        assert!(Number::least(f32::NAN, 1.0).is_nan() && Number::least(1.0, f32::NAN).is_nan());
        assert!(Number::most(f32::NAN, 1.0).is_nan() && Number::most(1.0, f32::NAN).is_nan());
    }
}
