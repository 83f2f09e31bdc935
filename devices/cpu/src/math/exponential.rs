//! The exponential and what is made of it, and the logarithm.
//!
//! `exp(x) = 2^n * exp(r)` with the whole number `n` nearest to `x / ln 2`, so that `|r| <= ln 2 / 2` and a short polynomial
//! is exact enough. `ln 2` is split into a part whose products with `n` are exact and a small rest.

use core::f32::consts::LOG2_E;

use super::polynomial;
use crate::simd::Simd;

/// The first ten bits of ln 2, and what is left.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -0.000_212_194_44;

/// `e^x`
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Beyond these the result is 0 or infinite anyway. As the second operand a NaN stays.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (n, r) = reduce(s, x);
    let rest = polynomial(s, r, [0.499_999_94, 0.166_665_2, 0.041_668_42, 0.008_368_735, 0.001_381_217]);
    let power = s.add(s.fma(s.mul(r, r), rest, r), s.splat(1.0));
    // In two steps, because 2^n itself may be out of range where the result is a denormal number or just finite.
    let half = s.shr_i32(n, 1);
    s.mul(s.mul(power, power_of_two(s, half)), power_of_two(s, s.sub_i32(n, half)))
}

/// `e^x - 1`, exact also where that is small.
#[inline(always)]
pub fn expm1<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (n, r) = reduce(s, x);
    let minus_one = small_expm1(s, r);
    // 2^n (e^r - 1) + (2^n - 1); beyond 2^127 the power is taken in two steps again, below 2^-30 nothing is left of it.
    let n = s.max_i32(n, s.splat_i32(-30));
    let half = s.shr_i32(n, 1);
    let (a, b) = (power_of_two(s, half), power_of_two(s, s.sub_i32(n, half)));
    let small = s.fma(s.mul(a, b), minus_one, s.sub(s.mul(a, b), s.splat(1.0)));
    let large = s.mul(s.mul(s.add(minus_one, s.splat(1.0)), a), b);
    s.select(s.gt_i32(n, s.splat_i32(30)), large, small)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // (1 - e^-2t) / (1 + e^-2t) for t = |x|, by way of e^-2t - 1; from 9.1 on it is 1.
    let t = s.min(s.splat(9.1), s.abs(x));
    let (n, r) = reduce(s, s.mul(t, s.splat(-2.0)));
    let power = power_of_two(s, n);
    let minus_one = s.fma(power, small_expm1(s, r), s.sub(power, s.splat(1.0)));
    let magnitude = s.div(minus_one, s.add(minus_one, s.splat(2.0)));
    s.copysign(magnitude, x)
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let power = exp(s, s.neg(s.abs(x)));
    let one = s.splat(1.0);
    s.div(s.select(s.lt(x, s.zero()), power, one), s.add(power, one))
}

/// `ln(1 + e^x)`
#[inline(always)]
pub fn softplus<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let power = exp(s, s.neg(s.abs(x)));
    // ln(1 + p) = 2 artanh(p / (2 + p)), for 0 <= p <= 1.
    let t = s.div(power, s.add(power, s.splat(2.0)));
    let square = s.mul(t, t);
    let rest = polynomial(s, square, [0.666_664_2, 0.400_215_27, 0.280_018_06, 0.280_119_87]);
    let log = s.fma(s.mul(t, square), rest, s.add(t, t));
    s.add(s.max(s.zero(), x), log)
}

/// The natural logarithm; -inf of 0, NaN of negative numbers.
#[inline(always)]
pub fn log<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Denormal numbers are brought into range first.
    let tiny = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(tiny, s.mul(x, s.splat(8_388_608.0)), x);
    // x = 2^e * m with m between the square roots of 1/2 and 2.
    let bits = s.to_bits(scaled);
    let root = s.splat_i32(0x3f35_04f3);
    let exponent = s.shr_i32(s.sub_i32(bits, root), 23);
    let m = s.of_bits(s.sub_i32(bits, s.shl_i32(exponent, 23)));
    let exponent = s.sub_i32(exponent, s.select_i32(tiny, s.splat_i32(23), s.splat_i32(0)));
    let e = s.to_f32(exponent);
    // ln(1 + f) = f - f^2 / 2 + f^3 p(f)
    let f = s.sub(m, s.splat(1.0));
    let square = s.mul(f, f);
    let rest = polynomial(
        s,
        f,
        [
            0.333_333_3,
            -0.250_008_2,
            0.200_012_27,
            -0.166_233_58,
            0.142_017_54,
            -0.131_601_73,
            0.127_616_06,
            -0.076_345_56,
        ],
    );
    let small = s.fma(e, s.splat(LN_2_LOW), s.mul(s.mul(f, square), rest));
    let small = s.fma(square, s.splat(-0.5), small);
    let result = s.fma(e, s.splat(LN_2_HIGH), s.add(f, small));
    // 0, infinity, negative numbers and NaN.
    let infinity = s.splat(f32::INFINITY);
    let zero = s.eq(x, s.zero());
    let nothing = s.select(zero, s.neg(infinity), s.splat(f32::NAN));
    let special = s.select(s.eq(x, infinity), infinity, nothing);
    s.select(s.mask_and(s.gt(x, s.zero()), s.lt(x, infinity)), result, special)
}

/// The whole number `n` nearest to `x / ln 2`, and `x - n ln 2`.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F32) -> (S::I32, S::F32) {
    let n = s.round(s.mul(x, s.splat(LOG2_E)));
    let r = s.fma(n, s.splat(-LN_2_HIGH), x);
    let r = s.fma(n, s.splat(-LN_2_LOW), r);
    (s.to_i32_round(n), r)
}

/// `e^r - 1` for `|r| <= ln 2 / 2`.
#[inline(always)]
fn small_expm1<S: Simd>(s: S, r: S::F32) -> S::F32 {
    let rest =
        polynomial(s, r, [0.5, 0.166_666_67, 0.041_666_24, 0.008_333_286, 0.001_394_87, 0.000_199_077_04]);
    s.fma(s.mul(r, r), rest, r)
}

/// `2^n`, for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two<S: Simd>(s: S, n: S::I32) -> S::F32 {
    s.of_bits(s.shl_i32(s.add_i32(n, s.splat_i32(127)), 23))
}
