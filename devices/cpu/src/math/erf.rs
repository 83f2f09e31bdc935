//! The error function.

use super::polynomial;
use crate::simd::Simd;

/// `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // From here on it is 1. As the second operand a NaN stays.
    let edge = s.splat(3.925);
    let x = s.min(edge, s.max(s.neg(edge), x));
    // x times a quotient of polynomials of x^2, whose coefficients are nearly all positive: nothing cancels.
    let square = s.mul(x, x);
    let above = polynomial(
        s,
        square,
        [
            core::f32::consts::FRAC_2_SQRT_PI,
            0.185_141_58,
            0.054_249_436,
            0.003_839_469_5,
            0.000_376_966_05,
            4.614_722e-6,
            -1.282_930_2e-8,
        ],
    );
    let below = polynomial(
        s,
        square,
        [1.0, 0.497_410_86, 0.113_880_45, 0.015_432_477, 0.001_301_973_2, 6.245_072e-5],
    );
    let result = s.div(s.mul(x, above), below);
    let one = s.splat(1.0);
    s.min(one, s.max(s.neg(one), result))
}
