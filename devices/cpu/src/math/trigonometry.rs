//! Sine and cosine.
//!
//! `x = n pi/2 + r` with `|r| <= pi/4`; `n` says which of two short polynomials of `r` is the result and with which sign.
//! Numbers beyond some thousands, where `n` times a piece of pi would no longer be exact, go through `libm` one by one.

use super::polynomial;
use crate::simd::Simd;

/// The sine of `x` radians.
#[inline(always)]
pub fn sin<S: Simd>(s: S, x: S::F32) -> S::F32 {
    if far(s, x) { each(s, x, libm::sinf) } else { quarter(s, x, 0) }
}

/// The cosine of `x` radians.
#[inline(always)]
pub fn cos<S: Simd>(s: S, x: S::F32) -> S::F32 {
    if far(s, x) { each(s, x, libm::cosf) } else { quarter(s, x, 1) }
}

/// The sine of `x + quarters * pi / 2`.
#[inline(always)]
fn quarter<S: Simd>(s: S, x: S::F32, quarters: i32) -> S::F32 {
    let n = s.round(s.mul(x, s.splat(core::f32::consts::FRAC_2_PI)));
    // pi/2 in pieces of eleven bits, so that their products with n are exact.
    let r = s.fma(n, s.splat(-1.570_312_5), x);
    let r = s.fma(n, s.splat(-0.000_483_751_3), r);
    let r = s.fma(n, s.splat(-7.549_533_6e-8), r);
    let r = s.fma(n, s.splat(-2.563_344e-12), r);
    let square = s.mul(r, r);
    let rest = polynomial(s, square, [-0.166_666_67, 0.008_333_329, -0.000_198_392_58, 2.717_311_4e-6]);
    let sine = s.fma(s.mul(r, square), rest, r);
    let rest = polynomial(s, square, [0.041_666_668, -0.001_388_888_3, 2.479_945_6e-5, -2.720_540_2e-7]);
    let cosine = s.fma(s.mul(square, square), rest, s.fma(square, s.splat(-0.5), s.splat(1.0)));
    let n = s.add_i32(s.to_i32_round(n), s.splat_i32(quarters));
    let odd = s.eq_i32(s.and_i32(n, s.splat_i32(1)), s.splat_i32(1));
    let sign = s.shl_i32(s.and_i32(n, s.splat_i32(2)), 30);
    let result = s.select(odd, cosine, sine);
    s.of_bits(s.xor_i32(s.to_bits(result), sign))
}

/// True when some number is too large for [`quarter`], infinite or NaN.
#[inline(always)]
fn far<S: Simd>(s: S, x: S::F32) -> bool {
    s.mask_bits(s.mask_not(s.lt(s.abs(x), s.splat(8000.0)))) != 0
}

/// `f` of each number.
#[inline(always)]
fn each<S: Simd>(s: S, x: S::F32, f: fn(f32) -> f32) -> S::F32 {
    let mut numbers = [0.0; 64];
    let numbers = &mut numbers[..S::LANES];
    s.store(x, numbers);
    numbers.iter_mut().for_each(|number| *number = f(*number));
    s.load(numbers)
}
