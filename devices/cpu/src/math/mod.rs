//! Functions of a vector of numbers: our own polynomials, the same for every instruction set.
//!
//! Each function takes the token of an instruction set and a vector, and is inlined into the loop that calls it. There are no
//! branches over numbers: special cases are selected at the end. All of them keep NaN, give the right infinities and
//! zeros, and take denormal numbers as they are.
//!
//! | function | largest error in units in the last place |
//! |---|---|
//! | [`exp`], [`log`] | 1 |
//! | [`expm1`] | 2 |
//! | [`tanh`], [`sigmoid`], [`softplus`], [`sin`], [`cos`] | 3 |
//! | [`erf`] | 7 |
//!
//! The errors are those that the tests below allow, over numbers of every exponent; without a fused multiply-add they are
//! larger than with it. The coefficients come from our own minimax fits (Remez exchange, relative error).
//!
//! What is *not* here: functions that models rarely use go through `libm`, one number at a time; powers with a general
//! exponent too, because `exp(y * log(x))` would lose half of the digits.

mod erf;
mod exponential;
mod trigonometry;

pub use erf::erf;
pub use exponential::{exp, expm1, log, sigmoid, softplus, tanh};
pub use trigonometry::{cos, sin};

use crate::simd::Simd;

/// `c[0] + c[1] * x + c[2] * x^2 + …`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F32, coefficients: [f32; N]) -> S::F32 {
    let mut sum = s.splat(coefficients[N - 1]);
    for coefficient in coefficients[..N - 1].iter().rev() {
        sum = s.fma(sum, x, s.splat(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::simd::{Vectorized, dispatch};
    use std::vec::Vec;

    /// Applies `$function` to every number of a slice, with any instruction set.
    macro_rules! applied {
        ($function:ident, $isa:expr, $values:expr) => {{
            struct Apply<'a>(&'a mut [f32]);
            impl Vectorized for Apply<'_> {
                type Output = ();
                #[inline(always)]
                fn run<S: Simd>(self, s: S) {
                    for chunk in self.0.chunks_mut(S::LANES) {
                        let result = $function(s, s.load_partial(chunk));
                        s.store_partial(result, chunk);
                    }
                }
            }
            let mut values = $values.to_vec();
            dispatch($isa, Apply(&mut values));
            values
        }};
    }

    /// Numbers of both signs and every exponent, infinities and NaN among them.
    fn sweep() -> Vec<f32> {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE, 1.0, -1.0];
        let steps = (0..u32::MAX).step_by(4099).map(f32::from_bits);
        special.into_iter().chain(steps).collect()
    }

    /// Distance in units in the last place of the nearest `f32`.
    fn ulps(value: f32, exact: f64) -> f64 {
        let near = exact as f32;
        if value.is_nan() && near.is_nan() || value == near {
            return 0.0;
        }
        if !value.is_finite() || !near.is_finite() {
            return f64::INFINITY;
        }
        // The distance to the next number, of which the largest has none.
        let near = near.abs().min(f32::from_bits(f32::MAX.to_bits() - 1));
        let unit = f64::from(near.next_up() - near);
        (f64::from(value) - exact).abs() / unit
    }

    #[track_caller]
    fn check(name: &str, values: &[f32], results: &[f32], exact: impl Fn(f64) -> f64, allowed: f64) {
        let mut worst = (0.0, 0.0, 0.0);
        for (x, y) in values.iter().zip(results) {
            let error = ulps(*y, exact(f64::from(*x)));
            if error > worst.0 {
                worst = (error, *x, *y);
            }
        }
        std::println!("{name}: {:.2} ulp at {:e}", worst.0, worst.1);
        let (error, x, y) = worst;
        assert!(error <= allowed, "{name}({x:e}) = {y:e}, not {:e}: {error} ulp", exact(f64::from(x)));
    }

    macro_rules! accurate {
        ($test:ident, $function:ident, $exact:expr, $ulps:expr) => {
            #[test]
            fn $test() {
                let values = sweep();
                for isa in Isa::detect_for_tests() {
                    let name = std::format!("{} {:?}", stringify!($function), isa.level());
                    check(&name, &values, &applied!($function, isa, values), $exact, $ulps);
                }
            }
        };
    }

    accurate!(exp_is_accurate, exp, f64::exp, 1.0);
    accurate!(expm1_is_accurate, expm1, f64::exp_m1, 2.0);
    accurate!(log_is_accurate, log, f64::ln, 1.0);
    accurate!(tanh_is_accurate, tanh, f64::tanh, 3.0);
    accurate!(sigmoid_is_accurate, sigmoid, |x: f64| 1.0 / (1.0 + (-x).exp()), 3.0);
    accurate!(softplus_is_accurate, softplus, |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p(), 3.0);
    accurate!(erf_is_accurate, erf, libm::erf, 7.0);
    accurate!(sin_is_accurate, sin, f64::sin, 3.0);
    accurate!(cos_is_accurate, cos, f64::cos, 3.0);

    #[test]
    fn results_stay_within_their_range() {
        let values: Vec<f32> = (-4000..4000).map(|n| n as f32 * 0.005).collect();
        for isa in Isa::detect_for_tests() {
            assert!(applied!(tanh, isa, values).iter().all(|y| y.abs() <= 1.0));
            assert!(applied!(erf, isa, values).iter().all(|y| y.abs() <= 1.0));
            assert!(applied!(sigmoid, isa, values).iter().all(|y| (0.0..=1.0).contains(y)));
        }
    }
}
