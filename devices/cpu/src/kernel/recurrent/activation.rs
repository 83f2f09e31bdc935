//! The functions of the gates, on vectors of `f32` and one by one in `f64`.

use inferry_engine::op::{Activation, Unary};

use crate::kernel::functions::{
    Elu, HardSigmoid, LeakyRelu, Relu, Sigmoid, Softplus, Softsign, Tanh, ThresholdedRelu,
};
use crate::kernel::number::Number;
use crate::kernel::vector::{Map, load, store};
use crate::math;
use crate::simd::{Simd, Vectorized};

/// Whether there is code for an activation: all that the standard names.
pub(super) fn is_known(activation: Activation) -> bool {
    let Activation::Unary(unary) = activation else { return true };
    matches!(
        unary,
        Unary::Sigmoid
            | Unary::Tanh
            | Unary::Relu
            | Unary::Softsign
            | Unary::Softplus
            | Unary::HardSigmoid { .. }
            | Unary::LeakyRelu { .. }
            | Unary::ThresholdedRelu { .. }
            | Unary::Elu { .. }
    )
}

/// A float that states consist of.
pub(super) trait Float: Number {
    /// Limits numbers to ±`clip` and applies the activation, in place.
    fn activate<S: Simd>(s: S, activation: Activation, clip: Option<f32>, values: &mut [Self]);
}

impl Float for f32 {
    #[inline(always)]
    fn activate<S: Simd>(s: S, activation: Activation, clip: Option<f32>, values: &mut [f32]) {
        if let Some(clip) = clip {
            values.iter_mut().for_each(|value| *value = value.clamp(-clip, clip));
        }
        match activation {
            Activation::Affine { alpha, beta } => s.call(InPlace(Affine { alpha, beta }, values)),
            Activation::ScaledTanh { alpha, beta } => s.call(InPlace(ScaledTanh { alpha, beta }, values)),
            Activation::Unary(unary) => match unary {
                Unary::Sigmoid => s.call(InPlace(Sigmoid {}, values)),
                Unary::Tanh => s.call(InPlace(Tanh {}, values)),
                Unary::Relu => s.call(InPlace(Relu {}, values)),
                Unary::Softsign => s.call(InPlace(Softsign {}, values)),
                Unary::Softplus => s.call(InPlace(Softplus {}, values)),
                Unary::HardSigmoid { alpha, beta } => s.call(InPlace(HardSigmoid { alpha, beta }, values)),
                Unary::LeakyRelu { alpha } => s.call(InPlace(LeakyRelu { alpha }, values)),
                Unary::ThresholdedRelu { alpha } => s.call(InPlace(ThresholdedRelu { alpha }, values)),
                Unary::Elu { alpha } => s.call(InPlace(Elu { alpha }, values)),
                _ => unreachable!("`is_known` has been asked"),
            },
        }
    }
}

impl Float for f64 {
    fn activate<S: Simd>(_: S, activation: Activation, clip: Option<f32>, values: &mut [f64]) {
        for value in values {
            let x = clip.map_or(*value, |clip| value.clamp(f64::from(-clip), f64::from(clip)));
            *value = activated(activation, x);
        }
    }
}

/// The definition.
pub(super) fn activated(activation: Activation, x: f64) -> f64 {
    let unary = match activation {
        Activation::Affine { alpha, beta } => return f64::from(alpha) * x + f64::from(beta),
        Activation::ScaledTanh { alpha, beta } => return f64::from(alpha) * libm::tanh(f64::from(beta) * x),
        Activation::Unary(unary) => unary,
    };
    match unary {
        Unary::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        Unary::Tanh => libm::tanh(x),
        Unary::Relu => x.most(0.0),
        Unary::Softsign => x / (1.0 + x.magnitude()),
        Unary::Softplus => x.most(0.0) + libm::log1p(libm::exp(-x.magnitude())),
        Unary::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Unary::LeakyRelu { alpha } if x < 0.0 => f64::from(alpha) * x,
        Unary::ThresholdedRelu { alpha } if x <= f64::from(alpha) => 0.0,
        Unary::Elu { alpha } if x < 0.0 => f64::from(alpha) * libm::expm1(x),
        Unary::LeakyRelu { .. } | Unary::ThresholdedRelu { .. } | Unary::Elu { .. } => x,
        _ => unreachable!("`is_known` has been asked"),
    }
}

/// A function of every number of a slice.
struct InPlace<'a, M>(M, &'a mut [f32]);

impl<M: Map> Vectorized for InPlace<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let InPlace(map, values) = self;
        for values in values.chunks_mut(S::LANES) {
            store(s, map.map(s, load(s, values)), values);
        }
    }
}

#[derive(Clone, Copy)]
struct Affine {
    alpha: f32,
    beta: f32,
}

impl Map for Affine {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        s.fma(x, s.splat(self.alpha), s.splat(self.beta))
    }
}

#[derive(Clone, Copy)]
struct ScaledTanh {
    alpha: f32,
    beta: f32,
}

impl Map for ScaledTanh {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        s.mul(s.splat(self.alpha), math::tanh(s, s.mul(x, s.splat(self.beta))))
    }
}
