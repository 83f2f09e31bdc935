//! Floats of eight bits, in the four kinds of the ONNX standard.
//!
//! | type | exponent | mantissa | bias | infinity | not a number | largest |
//! |---|---|---|---|---|---|---|
//! | [`F8E4M3Fn`] | 4 | 3 | 7 | none | `s.1111.111` | 448 |
//! | [`F8E4M3Fnuz`] | 4 | 3 | 8 | none | `1.0000.000` | 240 |
//! | [`F8E5M2`] | 5 | 2 | 15 | `s.11111.00` | `s.11111.01` and more | 57344 |
//! | [`F8E5M2Fnuz`] | 5 | 2 | 16 | none | `1.00000.00` | 57344 |
//!
//! The last letters say *finite* (no infinities) and *unsigned zero* (what would be the negative zero is the only NaN). A number
//! is rounded once, from `f64`, to the nearest, ties to even. There is no arithmetic: a device widens them.

use core::fmt;

/// How the bits of a float are laid out.
struct Format {
    /// Bits of the mantissa.
    mantissa: u32,
    bias: i32,
    /// The bits of the largest number.
    largest: u8,
    /// The bits of infinity, if there is one.
    infinity: Option<u8>,
    /// Whether the negative zero is the only NaN.
    unsigned_zero: bool,
}

const SIGN: u8 = 0x80;

impl Format {
    const fn nan(&self, sign: u8) -> u8 {
        if self.unsigned_zero { SIGN } else { sign | 0x7f }
    }

    fn encode(&self, number: f64, saturate: bool) -> u8 {
        let sign = if number.is_sign_negative() { SIGN } else { 0 };
        if number.is_nan() {
            return self.nan(sign);
        }
        let bits = number.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
        // What is below the smallest number of f64 is nothing here either.
        let fraction = if exponent == -1023 { 0 } else { 1 << 52 | bits & ((1 << 52) - 1) };
        let least = 1 - self.bias;
        let step = exponent.max(least);
        let shift = 52 - self.mantissa + (step - exponent) as u32;
        let rounded = round(fraction, shift);
        // The leading bit of a normal number counts as one more in the exponent.
        let magnitude = (((step - least) as u64) << self.mantissa) + rounded;
        match u8::try_from(magnitude)
            .ok()
            .filter(|magnitude| *magnitude <= self.largest && number.is_finite())
        {
            Some(0) if self.unsigned_zero => 0,
            Some(magnitude) => sign | magnitude,
            None if saturate => sign | self.largest,
            None => self.infinity.map_or(self.nan(sign), |infinity| sign | infinity),
        }
    }

    fn decode(&self, bits: u8) -> f32 {
        let (sign, magnitude) = (bits & SIGN, bits & !SIGN);
        let number = if self.unsigned_zero && bits == SIGN {
            return f32::NAN;
        } else if magnitude <= self.largest {
            let (exponent, fraction) =
                (i32::from(magnitude >> self.mantissa), magnitude & ((1 << self.mantissa) - 1));
            let leading = if exponent > 0 { 1 << self.mantissa } else { 0 };
            // Exact: a small integer times a power of two within the normal numbers of f32.
            let scale = exponent.max(1) - self.bias - self.mantissa as i32;
            f32::from(fraction | leading) * f32::from_bits(((scale + 127) as u32) << 23)
        } else if self.infinity == Some(magnitude) {
            f32::INFINITY
        } else {
            f32::NAN
        };
        if sign == 0 { number } else { -number }
    }
}

/// `value / 2^shift`, to the nearest, ties to even.
fn round(value: u64, shift: u32) -> u64 {
    // A fraction has 53 bits.
    if shift > 54 {
        return 0;
    }
    let (whole, rest, half) = (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1));
    whole + u64::from(rest > half || (rest == half && whole & 1 == 1))
}

macro_rules! floats {
    ($($name:ident $text:literal, $format:expr;)*) => { $(
        #[doc = concat!("A float of eight bits, ", $text, ". See the [module](self).")]
        #[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(transparent)]
        pub struct $name(u8);

        impl $name {
            const FORMAT: Format = $format;

            /// The float with these bits.
            pub const fn from_bits(bits: u8) -> $name {
                $name(bits)
            }

            /// Its bits.
            pub const fn to_bits(self) -> u8 {
                self.0
            }

            /// The float nearest to a number. What is beyond the largest, infinities too, becomes the largest with `saturate`;
            /// else infinity, or NaN where there is none.
            pub fn from_f64(number: f64, saturate: bool) -> $name {
                $name($name::FORMAT.encode(number, saturate))
            }

            /// Its value, exactly.
            pub fn to_f32(self) -> f32 {
                $name::FORMAT.decode(self.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                self.to_f32() == other.to_f32()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.to_f32(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.to_f32(), f)
            }
        }
    )* };
}

floats! {
    F8E4M3Fn "E4M3FN",
        Format { mantissa: 3, bias: 7, largest: 0x7e, infinity: None, unsigned_zero: false };
    F8E4M3Fnuz "E4M3FNUZ",
        Format { mantissa: 3, bias: 8, largest: 0x7f, infinity: None, unsigned_zero: true };
    F8E5M2 "E5M2",
        Format { mantissa: 2, bias: 15, largest: 0x7b, infinity: Some(0x7c), unsigned_zero: false };
    F8E5M2Fnuz "E5M2FNUZ",
        Format { mantissa: 2, bias: 16, largest: 0x7f, infinity: None, unsigned_zero: true };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// What the standard's cases want of these numbers, saturated and not.
    #[test]
    fn numbers_are_rounded_as_the_standard_wants() {
        let numbers = [
            0.478_925_47,
            0.499_684_87,
            0.819_105_45,
            1e6,
            1e-7,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1e-7,
            -1e6,
        ];
        let all = |encode: fn(f64, bool) -> u8, saturate| numbers.map(|number| encode(number, saturate));
        let fn_ = |number, saturate| F8E4M3Fn::from_f64(number, saturate).to_bits();
        assert_eq!(all(fn_, true), [0x2f, 0x30, 0x35, 0x7e, 0, 0x7f, 0x7e, 0xfe, 0x80, 0xfe]);
        assert_eq!(all(fn_, false), [0x2f, 0x30, 0x35, 0x7f, 0, 0x7f, 0x7f, 0xff, 0x80, 0xff]);
        let fnuz = |number, saturate| F8E4M3Fnuz::from_f64(number, saturate).to_bits();
        assert_eq!(all(fnuz, true), [0x37, 0x38, 0x3d, 0x7f, 0, 0x80, 0x7f, 0xff, 0, 0xff]);
        assert_eq!(all(fnuz, false), [0x37, 0x38, 0x3d, 0x80, 0, 0x80, 0x80, 0x80, 0, 0x80]);
        let e5m2 = |number, saturate| F8E5M2::from_f64(number, saturate).to_bits();
        assert_eq!(all(e5m2, true), [0x38, 0x38, 0x3b, 0x7b, 0, 0x7f, 0x7b, 0xfb, 0x80, 0xfb]);
        assert_eq!(all(e5m2, false), [0x38, 0x38, 0x3b, 0x7c, 0, 0x7f, 0x7c, 0xfc, 0x80, 0xfc]);
        let e5m2_fnuz = |number, saturate| F8E5M2Fnuz::from_f64(number, saturate).to_bits();
        assert_eq!(all(e5m2_fnuz, true), [0x3c, 0x3c, 0x3f, 0x7f, 0, 0x80, 0x7f, 0xff, 0, 0xff]);
        assert_eq!(all(e5m2_fnuz, false), [0x3c, 0x3c, 0x3f, 0x80, 0, 0x80, 0x80, 0x80, 0, 0x80]);
    }

    /// Every float comes back; and what lies between two goes to the nearer, the middle to the even one.
    fn check(decode: fn(u8) -> f32, encode: fn(f64, bool) -> u8) {
        for bits in 0..=u8::MAX {
            let value = decode(bits);
            let again = encode(f64::from(value), false);
            assert!(
                again == bits || (value.is_nan() && decode(again).is_nan()),
                "{bits:x} {value} {again:x}"
            );
        }
        let positive: Vec<u8> = (0..SIGN).filter(|bits| decode(*bits).is_finite()).collect();
        for pair in positive.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|bits| f64::from(decode(bits)));
            assert!(low < high);
            let middle = (low + high) / 2.0;
            let even = if pair[0] & 1 == 0 { pair[0] } else { pair[1] };
            let near = middle * 1e-9;
            assert_eq!(
                [middle - near, middle, middle + near].map(|x| encode(x, false)),
                [pair[0], even, pair[1]]
            );
        }
        let largest = decode(*positive.last().unwrap());
        let [least, half] = [f64::from(decode(1)), f64::from(decode(1)) / 2.0];
        assert_eq!(
            [least, half, half * 1.001, f64::MIN_POSITIVE / 4.0].map(|x| encode(x, true)),
            [1, 0, 1, 0]
        );
        assert_eq!(decode(encode(f64::from(largest) * 4.0, true)), largest);
    }

    #[test]
    fn every_float_comes_back() {
        check(
            |bits| F8E4M3Fn::from_bits(bits).to_f32(),
            |x, saturate| F8E4M3Fn::from_f64(x, saturate).to_bits(),
        );
        check(
            |bits| F8E4M3Fnuz::from_bits(bits).to_f32(),
            |x, saturate| F8E4M3Fnuz::from_f64(x, saturate).to_bits(),
        );
        check(|bits| F8E5M2::from_bits(bits).to_f32(), |x, saturate| F8E5M2::from_f64(x, saturate).to_bits());
        check(
            |bits| F8E5M2Fnuz::from_bits(bits).to_f32(),
            |x, saturate| F8E5M2Fnuz::from_f64(x, saturate).to_bits(),
        );
    }

    #[test]
    fn the_largest_are_what_they_are() {
        assert_eq!(F8E4M3Fn::from_bits(0x7e).to_f32(), 448.0);
        assert_eq!(F8E4M3Fnuz::from_bits(0x7f).to_f32(), 240.0);
        assert_eq!(F8E5M2::from_bits(0x7b).to_f32(), 57344.0);
        assert_eq!(F8E5M2Fnuz::from_bits(0x7f).to_f32(), 57344.0);
        assert_eq!(F8E5M2::from_bits(0xfc).to_f32(), f32::NEG_INFINITY);
        assert_eq!(F8E4M3Fn::from_bits(0x80).to_f32().to_bits(), (-0.0f32).to_bits());
    }
}
