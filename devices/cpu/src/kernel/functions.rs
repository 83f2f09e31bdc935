//! The elementwise functions of the standard on vectors of `f32`.
//!
//! Each is a type that carries its parameters. They keep NaN: where a minimum or maximum is taken, the number that may be NaN is
//! the second operand (see [`Simd::max`]).

use crate::kernel::vector::{Map, Zip};
use crate::math;
use crate::simd::Simd;

/// Functions of one number: a name, what it carries, and what it does to a vector.
macro_rules! maps {
    ($($name:ident { $($field:ident),* } |$s:ident, $x:ident| $body:expr;)*) => { $(
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) struct $name {
            $(pub(crate) $field: f32,)*
        }
        impl Map for $name {
            #[inline(always)]
            fn map<S: Simd>(self, $s: S, $x: S::F32) -> S::F32 {
                let $name { $($field),* } = self;
                $body
            }
        }
    )* };
}

/// Functions of two numbers.
macro_rules! zips {
    ($($name:ident |$s:ident, $a:ident, $b:ident| $body:expr;)*) => { $(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl Zip for $name {
            #[inline(always)]
            fn zip<S: Simd>(self, $s: S, $a: S::F32, $b: S::F32) -> S::F32 {
                $body
            }
        }
    )* };
}

maps! {
    Abs {} |s, x| s.abs(x);
    Neg {} |s, x| s.neg(x);
    Exp {} |s, x| math::exp(s, x);
    Log {} |s, x| math::log(s, x);
    Sqrt {} |s, x| s.sqrt(x);
    Reciprocal {} |s, x| s.div(s.splat(1.0), x);
    Erf {} |s, x| math::erf(s, x);
    Sigmoid {} |s, x| math::sigmoid(s, x);
    Tanh {} |s, x| math::tanh(s, x);
    Relu {} |s, x| s.max(s.zero(), x);
    HardSwish {} |s, x| {
        let gate = s.fma(x, s.splat(1.0 / 6.0), s.splat(0.5));
        s.mul(x, s.max(s.zero(), s.min(s.splat(1.0), gate)))
    };
    Softplus {} |s, x| math::softplus(s, x);
    Softsign {} |s, x| s.div(x, s.add(s.splat(1.0), s.abs(x)));
    Mish {} |s, x| {
        // tanh(ln(1 + e)) = (e^2 + 2e) / (e^2 + 2e + 2), which is 1 long before e^2 overflows.
        let e = math::exp(s, s.min(s.splat(30.0), x));
        let n = s.mul(e, s.add(e, s.splat(2.0)));
        s.mul(x, s.div(n, s.add(n, s.splat(2.0))))
    };
    Sin {} |s, x| math::sin(s, x);
    Cos {} |s, x| math::cos(s, x);
    Floor {} |s, x| s.floor(x);
    Ceil {} |s, x| s.neg(s.floor(s.neg(x)));
    Round {} |s, x| s.round(x);
    Sign {} |s, x| {
        let one = s.splat(1.0);
        s.select(s.gt(x, s.zero()), one, s.select(s.lt(x, s.zero()), s.neg(one), x))
    };
    Square {} |s, x| s.mul(x, x);
    Cube {} |s, x| s.mul(s.mul(x, x), x);
    LeakyRelu { alpha } |s, x| s.select(s.lt(x, s.zero()), s.mul(x, s.splat(alpha)), x);
    Elu { alpha } |s, x| s.select(s.lt(x, s.zero()), s.mul(s.splat(alpha), math::expm1(s, x)), x);
    Celu { alpha } |s, x| {
        let alpha = s.splat(alpha);
        let below = s.mul(alpha, math::expm1(s, s.div(x, alpha)));
        s.add(s.max(s.zero(), x), s.min(s.zero(), below))
    };
    Selu { alpha, gamma } |s, x| {
        let below = s.mul(s.splat(gamma * alpha), math::expm1(s, x));
        s.select(s.gt(x, s.zero()), s.mul(s.splat(gamma), x), below)
    };
    HardSigmoid { alpha, beta } |s, x| {
        let line = s.fma(x, s.splat(alpha), s.splat(beta));
        s.max(s.zero(), s.min(s.splat(1.0), line))
    };
    ThresholdedRelu { alpha } |s, x| s.select(s.gt(x, s.splat(alpha)), x, s.zero());
    Gelu {} |s, x| {
        let erf = math::erf(s, s.mul(x, s.splat(core::f32::consts::FRAC_1_SQRT_2)));
        s.mul(s.mul(x, s.splat(0.5)), s.add(s.splat(1.0), erf))
    };
    GeluTanh {} |s, x| {
        let cubed = s.mul(s.mul(x, x), x);
        let inner = s.mul(s.splat(0.797_884_6), s.fma(cubed, s.splat(0.044_715), x));
        s.mul(s.mul(x, s.splat(0.5)), s.add(s.splat(1.0), math::tanh(s, inner)))
    };
    Clamp { low, high } |s, x| s.min(s.splat(high), s.max(s.splat(low), x));
    Line { scale, shift, low, high } |s, x| {
        let line = s.fma(x, s.splat(scale), s.splat(shift));
        s.min(s.splat(high), s.max(s.splat(low), line))
    };
    Gate { scale, shift, low, high, by, plus } |s, x| {
        let line = s.fma(x, s.splat(scale), s.splat(shift));
        let gate = s.min(s.splat(high), s.max(s.splat(low), line));
        s.fma(s.mul(x, gate), s.splat(by), s.splat(plus))
    };
    Swish {} |s, x| s.mul(x, math::sigmoid(s, x));
    Requantize { scale, zero, low, high } |s, x| {
        let (scale, zero) = (s.splat(scale), s.splat(zero));
        let q = s.add(s.round(s.div(x, scale)), zero);
        s.mul(s.sub(s.min(s.splat(high), s.max(s.splat(low), q)), zero), scale)
    };
}

zips! {
    Add |s, a, b| s.add(a, b);
    Sub |s, a, b| s.sub(a, b);
    Mul |s, a, b| s.mul(a, b);
    Div |s, a, b| s.div(a, b);
    PRelu |s, a, b| s.select(s.lt(a, s.zero()), s.mul(a, b), a);
    Max |s, a, b| s.select(s.is_nan(a), a, s.max(a, b));
    Min |s, a, b| s.select(s.is_nan(a), a, s.min(a, b));
    Mean |s, a, b| s.mul(s.add(a, b), s.splat(0.5));
}
