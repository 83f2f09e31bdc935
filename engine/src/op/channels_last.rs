//! Convolution and pooling of bytes whose channels lie innermost: what passes make of quantised models.
//!
//! No exporter writes these operators. The pass `channels_last` makes them, so that activations stay bytes from layer to layer
//! and each pixel's channels lie together, as byte kernels want them: `x` is `[N, spatial..., C]`. With no spatial
//! dimension, a convolution is a product of matrices. What an operator computes is said in real numbers: the real value of a
//! byte `q` is `(q - zero) * scale`, sums of products are exact, and where a result is rounded, it is said.
//!
//! Nothing is computed here; which of the extents are padded or blocked is the business of kernels.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, BYTE, FLOAT32, Types, shape_error};
use super::{Inputs, Op, OpError, Window};
use crate::graph::{Dim, Fact, ShapeFact};

/// Real numbers that a quantised value can have: `scale * n` for the integers `low <= n <= high`. Rounding is to the nearest,
/// ties to even.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounding {
    /// Distance between neighbours.
    pub scale: f32,
    /// The least integer: that of the type, less the zero point, or a limit that an activation sets.
    pub low: f32,
    /// The greatest integer.
    pub high: f32,
}

/// How a result becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// To which real numbers it is rounded.
    pub rounding: Rounding,
    /// The byte that stands for zero.
    pub zero: i32,
    /// `U8` or `I8`.
    pub element: ElementType,
}

/// `x, w, scale, bias, slope?, residual?, x_scale?, x_zero?`: convolution of bytes `[N, spatial..., C]` with weights `[M, C / group, kernel...]`, and
/// what follows it, into `[N, spatial..., M]`.
///
/// `v = scale[m] * sum((x - zero) * w) + bias[m]`, rounded if there is a `rounding`; negative `v` times `slope[m]`; plus the real value of
/// the residual's byte; rounded to the `target`, or held within the `limits` as an `f32` if there is none. Weights are whole numbers
/// without zero point, i8 or, where they reach from -255 to 255, i16. `scale`, `bias` and `slope` are f32 `[M]`; a bias of i32 is added to
/// the sum, before it is scaled.
///
/// Where only the run knows how `x` was quantised, `x_scale` (one f32) is a further factor of the sum, and `x_zero` (one number of the type
/// of `x`) is there instead of `zero`. They come together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByteConv {
    /// Kernel, strides, dilations and padding; one number for each spatial dimension.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub group: usize,
    /// The byte of `x` that stands for zero.
    pub zero: i32,
    /// Whether `x` is `[N, C, spatial...]`, with its channels apart, as an image from outside is.
    pub apart: bool,
    /// How the sum is rounded before anything else happens to it.
    pub rounding: Option<Rounding>,
    /// Scale and zero point of the residual.
    pub residual: (f32, i32),
    /// What the result becomes.
    pub target: Option<Target>,
    /// The least and the greatest result, if there is no target.
    pub limits: Option<[f32; 2]>,
}

/// What [`ByteConv`] takes for weights.
const WEIGHTS: Types = Types {
    wanted: "i8 or i16 is needed",
    has: |element| matches!(element, ElementType::I8 | ElementType::I16),
};

/// What it takes for a bias.
const BIAS: Types = Types {
    wanted: "f32 or i32 is needed",
    has: |element| matches!(element, ElementType::F32 | ElementType::I32),
};

impl Op for ByteConv {
    fn name(&self) -> &'static str {
        "ByteConv"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(8, 1)?;
        let (x, w) = (inputs.typed(0, &BYTE)?, inputs.typed(1, &WEIGHTS)?);
        match (inputs.typed_optional(6, &FLOAT32)?, inputs.typed_optional(7, &BYTE)?) {
            (None, None) => {}
            (Some(_), Some(zero)) if zero.element == x.element => {}
            (Some(_), Some(zero)) => {
                return shape_error(format!("a zero point of {} for {}", zero.element, x.element));
            }
            (scale, _) => return Err(OpError::Missing { input: if scale.is_none() { 6 } else { 7 } }),
        }
        let (Some(x), Some(w)) = (x.shape.dims(), w.shape.dims()) else {
            return rules::one(self.element(), ShapeFact::unknown());
        };
        let ([images, rest @ ..], [features, depth, kernel @ ..]) = (x, w) else {
            return shape_error(format!("data of {} and weights of {} dimensions", x.len(), w.len()));
        };
        let parts = if self.apart { rest.split_first() } else { rest.split_last() };
        let Some((channels, spatial)) = parts else { return shape_error("data without channels".into()) };
        if let (Some(channels), Some(depth), Some(features)) =
            (channels.fixed(), depth.fixed(), features.fixed())
            && (self.group == 0
                || depth.checked_mul(self.group) != Some(channels)
                || features % self.group != 0)
        {
            return shape_error(format!(
                "{channels} channels, {features} x {depth} in {} groups",
                self.group
            ));
        }
        for (index, types, wanted) in [(2, FLOAT32, true), (3, BIAS, true), (4, FLOAT32, false)] {
            match inputs.typed_optional(index, &types)? {
                Some(vector) => rules::check_vector(index, vector, features)?,
                None if wanted => return Err(OpError::Missing { input: index }),
                None => {}
            }
        }
        let mut shape = alloc::vec![images.clone()];
        shape.extend(self.window.infer(spatial, kernel, false)?);
        shape.push(features.clone());
        let shape = ShapeFact(Some(shape));
        if let Some(residual) = inputs.typed_optional(5, &BYTE)? {
            same(&residual.shape, &shape)?;
        }
        rules::one(self.element(), shape)
    }
}

impl ByteConv {
    fn element(&self) -> ElementType {
        self.target.map_or(ElementType::F32, |target| target.element)
    }
}

/// Refuses two shapes that cannot be the same.
fn same(given: &ShapeFact, wanted: &ShapeFact) -> Result<(), OpError> {
    let (Some(a), Some(b)) = (given.dims(), wanted.dims()) else { return Ok(()) };
    let differ = |(a, b): (&Dim, &Dim)| a.fixed().is_some() && b.fixed().is_some() && a != b;
    if a.len() != b.len() || a.iter().zip(b).any(differ) {
        return shape_error(format!("a residual of {given} for {wanted}"));
    }
    Ok(())
}

/// `x`: the largest byte, or real number, in each window of `[N, spatial..., C]`, channel by channel. Padding never wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByteMaxPool {
    /// Kernel (always given), strides, dilations and padding.
    pub window: Window,
    /// Whether a last window that is only partly filled counts.
    pub ceil: bool,
}

/// What [`ByteMaxPool`] takes.
const POOLED: Types = Types {
    wanted: "u8, i8 or f32 is needed",
    has: |element| matches!(element, ElementType::U8 | ElementType::I8 | ElementType::F32),
};

impl Op for ByteMaxPool {
    fn name(&self) -> &'static str {
        "ByteMaxPool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &POOLED)?;
        let Some(dims) = x.shape.dims() else { return rules::one(x.element, ShapeFact::unknown()) };
        let [images, spatial @ .., channels] = dims else {
            return shape_error(format!("a pool of {} dimensions", dims.len()));
        };
        let kernel = self.window.kernel.as_deref().unwrap_or_default();
        let kernel: Vec<Dim> = kernel.iter().copied().map(Dim::Fixed).collect();
        let mut shape = alloc::vec![images.clone()];
        shape.extend(self.window.infer(spatial, &kernel, self.ceil)?);
        shape.push(channels.clone());
        rules::one(x.element, ShapeFact(Some(shape)))
    }
}

/// `x`: the mean of each channel of `[N, spatial..., C]`, whose bytes are `(q - zero) * scale`, rounded to `target`; the spatial
/// extents become 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByteMean {
    /// Distance between neighbouring real values of `x`.
    pub scale: f32,
    /// The byte of `x` that stands for zero.
    pub zero: i32,
    /// What the mean becomes.
    pub target: Target,
}

impl Op for ByteMean {
    fn name(&self) -> &'static str {
        "ByteMean"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &BYTE)?;
        let Some(dims) = x.shape.dims() else { return rules::one(self.target.element, ShapeFact::unknown()) };
        let [images, spatial @ .., channels] = dims else {
            return shape_error(format!("a mean of {} dimensions", dims.len()));
        };
        let mut shape = alloc::vec![images.clone()];
        shape.extend(spatial.iter().map(|_| Dim::Fixed(1)));
        shape.push(channels.clone());
        rules::one(self.target.element, ShapeFact(Some(shape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Padding;
    use crate::op::testing::{check, fact, infer};

    fn conv(apart: bool, target: bool) -> ByteConv {
        let rounding = Rounding { scale: 1.0, low: 0.0, high: 255.0 };
        let padding = Padding::Explicit(alloc::vec![1; 4]);
        ByteConv {
            window: Window { padding, ..Window::default() },
            group: 1,
            zero: 0,
            apart,
            rounding: None,
            residual: (1.0, 0),
            target: target.then_some(Target { rounding, zero: 0, element: ElementType::U8 }),
            limits: None,
        }
    }

    const WEIGHTS: &str = "i8[5, 4, 3, 3]";

    #[test]
    fn channels_are_innermost() {
        let inputs = |x| [x, WEIGHTS, "f32[5]", "i32[5]"];
        check(conv(false, true), &inputs("u8[2, 6, 7, 4]"), "u8[2, 6, 7, 5]");
        check(conv(false, false), &inputs("i8[2, 6, ?, 4]"), "f32[2, 6, ?, 5]");
        check(conv(true, true), &inputs("u8[2, 4, 6, 7]"), "u8[2, 6, 7, 5]");
        let window = Window { kernel: Some(alloc::vec![2, 2]), ..Window::default() };
        for element in ["i8", "f32"] {
            let (x, y) = (format!("{element}[1, 4, 5, 9]"), format!("{element}[1, 3, 4, 9]"));
            check(ByteMaxPool { window: window.clone(), ceil: false }, &[&x], &y);
        }
        let mean = ByteMean { scale: 1.0, zero: 0, target: conv(false, true).target.unwrap() };
        check(mean, &["i8[?, 4, 5, 9]"], "u8[?, 1, 1, 9]");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for inputs in [
            &["f32[1, 6, 7, 4]", WEIGHTS, "f32[5]", "f32[5]"][..],
            &["u8[1, 6, 7, 3]", WEIGHTS, "f32[5]", "f32[5]"],
            &["u8[1, 6, 7, 4]", WEIGHTS, "f32[4]", "f32[5]"],
            &["u8[1, 6, 7, 4]", WEIGHTS, "f32[5]"],
            &["u8[1, 6, 4]", WEIGHTS, "f32[5]", "f32[5]"],
            &["u8[1, 6, 7, 4]", WEIGHTS, "f32[5]", "f32[5]", "f32[5]", "u8[1, 6, 6, 5]"],
            &["u8[1, 6, 7, 4]", WEIGHTS, "f32[5]", "f32[5]", "f32[5]", "u8[1, 6, 7, 5]", "f32[]"],
            &["u8[1, 6, 7, 4]", WEIGHTS, "f32[5]", "f32[5]", "f32[5]", "u8[1, 6, 7, 5]", "f32[]", "i8[]"],
        ] {
            let facts: Vec<_> = inputs.iter().map(|text| fact(text)).collect();
            assert!(infer(&conv(false, true), &facts, 1).is_err(), "{inputs:?}");
        }
    }
}
