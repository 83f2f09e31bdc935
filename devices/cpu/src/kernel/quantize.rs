//! QuantizeLinear and DequantizeLinear: between real numbers and small integers.
//!
//! `integer = round(real / scale) + zero_point`, halves to even, held within the type; back, `real = (integer - zero_point) *
//! scale`. Bytes and `f32` go through vectors where the scale stays the same for a while; the rest goes one by one. Integers of
//! four bits are bytes held closer; floats of eight are the business of `quantize_float8`.
#![allow(unsafe_code)]

use inferry_core::ElementType;
use inferry_engine::op::{DequantizeLinear, Op, QuantizeLinear};

use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::number::{Number, by_float};
use crate::kernel::scales::Scales;
use crate::kernel::simple::{simple, spread};
use crate::kernel::small::float8;
use crate::kernel::{BuildError, Builder, Built, quantize_float8};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`QuantizeLinear`].
pub(crate) fn quantize(op: &QuantizeLinear, node: &Builder<'_>) -> Built {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let scales = Scales::new(x, scale, node.optional(2), op.axis, op.block_size)?;
    let wrong = Err(BuildError::Element { op: op.name(), element: x.element });
    if let Some(float) = float8(node.output(0).0) {
        return match (x.element, scale.element) {
            (ElementType::F32, ElementType::F32) => {
                quantize_float8::quantize::<f32>(scales, node, float, op.saturate)
            }
            (ElementType::F64, ElementType::F64) => {
                quantize_float8::quantize::<f64>(scales, node, float, op.saturate)
            }
            _ => wrong,
        };
    }
    match (x.element, scale.element) {
        (ElementType::F32, ElementType::F32) => to_integers::<f32>(scales, node),
        (ElementType::F64, ElementType::F64) => to_integers::<f64>(scales, node),
        (ElementType::I32, ElementType::F32) => to_integers::<i32>(scales, node),
        _ => wrong,
    }
}

fn to_integers<X: Real>(scales: Scales, node: &Builder<'_>) -> Built {
    match node.output(0).0 {
        ElementType::U8 => quantized::<X, u8>(scales, node, None),
        ElementType::I8 => quantized::<X, i8>(scales, node, None),
        ElementType::U16 => quantized::<X, u16>(scales, node, None),
        ElementType::I16 => quantized::<X, i16>(scales, node, None),
        // They have a byte each.
        ElementType::U4 => quantized::<X, u8>(scales, node, Some((0, 15))),
        ElementType::I4 => quantized::<X, i8>(scales, node, Some((-8, 7))),
        element => Err(BuildError::Element { op: "QuantizeLinear", element }),
    }
}

/// With limits closer than those of the type.
fn quantized<X: Real, Q: Quantum>(scales: Scales, node: &Builder<'_>, limits: Option<(Q, Q)>) -> Built {
    let has_zero = zero_point(node, node.output(0).0)?;
    let phase = spread(node.output(0).1.count(), 400);
    let isa = node.isa;
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<Q>();
        let (x, scale) = (io.input::<X>(0), io.input::<X::Scale>(1));
        let zeros = has_zero.then(|| io.input::<Q>(2));
        let zero = |at: usize| zeros.map_or(Q::default(), |zeros| zeros[at]);
        for segment in scales.segments(start..start + to.len()) {
            let to = &mut to[segment.elements.start - start..segment.elements.end - start];
            let x = &x[segment.elements];
            if segment.along {
                for (index, (to, x)) in to.iter_mut().zip(x).enumerate() {
                    *to = x.quantized(scale[segment.scale + index], zero(segment.scale + index));
                }
            } else {
                X::quantize_run(isa, x, scale[segment.scale], zero(segment.scale), to);
            }
            if let Some((low, high)) = limits {
                to.iter_mut().for_each(|to| *to = (*to).clamp(low, high));
            }
        }
    })
}

/// Builds the kernel of a [`DequantizeLinear`].
pub(crate) fn dequantize(op: &DequantizeLinear, node: &Builder<'_>) -> Built {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let scales = Scales::new(x, scale, node.optional(2), op.axis, op.block_size)?;
    if let Some(float) = float8(x.element) {
        return by_float!(op.name(), node.output(0).0, T => quantize_float8::dequantize::<T>(scales, node, float));
    }
    match x.element {
        ElementType::U8 | ElementType::U4 => from_integers::<u8>(scales, node),
        ElementType::I8 | ElementType::I4 => from_integers::<i8>(scales, node),
        ElementType::U16 => from_integers::<u16>(scales, node),
        ElementType::I16 => from_integers::<i16>(scales, node),
        ElementType::I32 => from_integers::<i32>(scales, node),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn from_integers<Q: Integer>(scales: Scales, node: &Builder<'_>) -> Built {
    match node.output(0).0 {
        ElementType::F32 => dequantized::<Q, f32>(scales, node, f32::dequantized, Q::dequantize_run),
        ElementType::F64 => {
            dequantized::<Q, f64>(scales, node, f64::dequantized, |_, x, scale, zero, to: &mut [f64]| {
                to.iter_mut()
                    .zip(x)
                    .for_each(|(to, x)| *to = f64::dequantized(x.whole(), zero.whole(), scale));
            })
        }
        element => Err(BuildError::Element { op: "DequantizeLinear", element }),
    }
}

fn dequantized<Q: Integer, R: Number>(
    scales: Scales,
    node: &Builder<'_>,
    one: fn(i32, i32, R) -> R,
    run: fn(Isa, &[Q], R, Q, &mut [R]),
) -> Built {
    let has_zero = zero_point(node, node.input(0)?.element)?;
    let phase = spread(node.output(0).1.count(), 300);
    let isa = node.isa;
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<R>();
        let (x, scale) = (io.input::<Q>(0), io.input::<R>(1));
        let zeros = has_zero.then(|| io.input::<Q>(2));
        let zero = |at: usize| zeros.map_or(Q::default(), |zeros| zeros[at]);
        for segment in scales.segments(start..start + to.len()) {
            let to = &mut to[segment.elements.start - start..segment.elements.end - start];
            let x = &x[segment.elements];
            if segment.along {
                for (index, (to, x)) in to.iter_mut().zip(x).enumerate() {
                    let at = segment.scale + index;
                    *to = one(x.whole(), zero(at).whole(), scale[at]);
                }
            } else {
                run(isa, x, scale[segment.scale], zero(segment.scale), to);
            }
        }
    })
}

/// Whether there is a zero point, which must be of type `element`.
fn zero_point(node: &Builder<'_>, element: ElementType) -> Result<bool, BuildError> {
    match node.optional(2) {
        Some(zero) if zero.element != element => {
            Err(form(alloc::format!("a zero point of {} for {element}", zero.element)))
        }
        zero => Ok(zero.is_some()),
    }
}

/// What can be quantized.
pub(crate) trait Real: Number {
    /// The type of its scale.
    type Scale: Number;

    /// The integer for one number.
    fn quantized<Q: Quantum>(self, scale: Self::Scale, zero: Q) -> Q;

    /// The integers for some numbers of one scale.
    fn quantize_run<Q: Quantum>(_isa: Isa, x: &[Self], scale: Self::Scale, zero: Q, to: &mut [Q]) {
        to.iter_mut().zip(x).for_each(|(to, x)| *to = x.quantized(scale, zero));
    }
}

impl Real for f32 {
    type Scale = f32;

    #[inline(always)]
    fn quantized<Q: Quantum>(self, scale: f32, zero: Q) -> Q {
        Q::held(libm::rint(f64::from(self / scale)), zero)
    }

    fn quantize_run<Q: Quantum>(isa: Isa, x: &[f32], scale: f32, zero: Q, to: &mut [Q]) {
        dispatch(isa, Quantize { x, scale, zero, to });
    }
}

impl Real for f64 {
    type Scale = f64;

    #[inline(always)]
    fn quantized<Q: Quantum>(self, scale: f64, zero: Q) -> Q {
        Q::held(libm::rint(self / scale), zero)
    }
}

impl Real for i32 {
    type Scale = f32;

    #[inline(always)]
    fn quantized<Q: Quantum>(self, scale: f32, zero: Q) -> Q {
        (self as f32).quantized(scale, zero)
    }
}

/// From an integer, its zero point and the scale.
trait Dequantized {
    fn dequantized(whole: i32, zero: i32, scale: Self) -> Self;
}

impl Dequantized for f32 {
    #[inline(always)]
    fn dequantized(whole: i32, zero: i32, scale: f32) -> f32 {
        whole.wrapping_sub(zero) as f32 * scale
    }
}

impl Dequantized for f64 {
    #[inline(always)]
    fn dequantized(whole: i32, zero: i32, scale: f64) -> f64 {
        f64::from(whole.wrapping_sub(zero)) * scale
    }
}

/// An integer that stands for a real number.
pub(crate) trait Integer: Number {
    /// As `i32`.
    fn whole(self) -> i32;

    /// `LANES` integers, widened.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load<S: Simd>(s: S, at: *const Self) -> S::I32;

    /// The `f32` for some integers of one scale.
    fn dequantize_run(isa: Isa, x: &[Self], scale: f32, zero: Self, to: &mut [f32]) {
        dispatch(isa, Dequantize { x, scale, zero, to });
    }
}

/// An integer that real numbers are quantized to.
pub(crate) trait Quantum: Integer + Ord {
    /// `rounded + zero`, held within the type. NaN counts as the smallest number.
    #[inline(always)]
    fn held(rounded: f64, zero: Self) -> Self {
        let rounded = if rounded.is_nan() { f64::NEG_INFINITY } else { rounded };
        Self::from_f64(rounded + f64::from(zero.whole()))
    }

    /// Writes `LANES` integers, held within the type.
    ///
    /// # Safety
    /// They can be written.
    unsafe fn store<S: Simd>(s: S, value: S::I32, at: *mut Self);
}

macro_rules! integers {
    ($($rust:ident |$s:ident, $from:ident| $load:expr;)*) => { $(
        impl Integer for $rust {
            #[inline(always)]
            fn whole(self) -> i32 {
                self as i32
            }
            #[inline(always)]
            unsafe fn load<S: Simd>($s: S, $from: *const Self) -> S::I32 {
                // SAFETY: the caller vouches for `LANES` integers.
                unsafe { $load }
            }
        }
    )* };
}

integers! {
    u8 |s, from| s.load_ptr_u8(from);
    i8 |s, from| s.load_ptr_i8(from);
    u16 |s, from| load_wide(s, from);
    i16 |s, from| load_wide(s, from);
    i32 |s, from| s.load_ptr_i32(from);
}

macro_rules! quanta {
    ($($rust:ident |$s:ident, $value:ident, $to:ident| $store:expr;)*) => { $(
        impl Quantum for $rust {
            #[inline(always)]
            unsafe fn store<S: Simd>($s: S, $value: S::I32, $to: *mut Self) {
                // SAFETY: the caller vouches for room for `LANES` integers.
                unsafe { $store }
            }
        }
    )* };
}

quanta! {
    u8 |s, value, to| s.store_ptr_u8(value, to);
    i8 |s, value, to| s.store_ptr_i8(value, to);
    u16 |s, value, to| store_wide(s, value, to, |value| value.clamp(0, 65_535) as u16);
    i16 |s, value, to| store_wide(s, value, to, |value| value.clamp(-32_768, 32_767) as i16);
}

/// Integers of 16 bits have no instruction of their own here; they are rare.
///
/// # Safety
/// `LANES` integers can be read.
#[inline(always)]
unsafe fn load_wide<S: Simd, T: Integer>(s: S, from: *const T) -> S::I32 {
    let mut lanes = [0; 64];
    for (index, lane) in lanes[..S::LANES].iter_mut().enumerate() {
        // SAFETY: the caller vouches for `LANES` integers.
        *lane = unsafe { from.add(index).read() }.whole();
    }
    s.load_i32(&lanes)
}

/// The way back.
///
/// # Safety
/// `LANES` integers can be written.
#[inline(always)]
unsafe fn store_wide<S: Simd, T>(s: S, value: S::I32, to: *mut T, held: fn(i32) -> T) {
    let mut lanes = [0; 64];
    s.store_i32(value, &mut lanes);
    for (index, lane) in lanes[..S::LANES].iter().enumerate() {
        // SAFETY: the caller vouches for room for `LANES` integers.
        unsafe { to.add(index).write(held(*lane)) };
    }
}

struct Quantize<'a, Q> {
    x: &'a [f32],
    scale: f32,
    zero: Q,
    to: &'a mut [Q],
}

impl<Q: Quantum> Vectorized for Quantize<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, zero) = (s.splat(self.scale), s.splat_i32(self.zero.whole()));
        // Further out than any type and zero point reach, and still exact as an i32. As the first operand NaN gives way.
        let (low, high) = (s.splat(-200_000.0), s.splat(200_000.0));
        let mut from = self.x.chunks_exact(S::LANES);
        let mut to = self.to.chunks_exact_mut(S::LANES);
        for (from, to) in from.by_ref().zip(to.by_ref()) {
            let real = s.min(s.max(s.div(s.load(from), scale), low), high);
            let whole = s.add_i32(s.to_i32_round(real), zero);
            // SAFETY: the chunk has `LANES` elements.
            unsafe { Q::store(s, whole, to.as_mut_ptr()) };
        }
        for (to, x) in to.into_remainder().iter_mut().zip(from.remainder()) {
            *to = x.quantized(self.scale, self.zero);
        }
    }
}

struct Dequantize<'a, Q> {
    x: &'a [Q],
    scale: f32,
    zero: Q,
    to: &'a mut [f32],
}

impl<Q: Integer> Vectorized for Dequantize<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (scale, zero) = (s.splat(self.scale), s.splat_i32(self.zero.whole()));
        let mut from = self.x.chunks_exact(S::LANES);
        let mut to = self.to.chunks_exact_mut(S::LANES);
        for (from, to) in from.by_ref().zip(to.by_ref()) {
            // SAFETY: the chunk has `LANES` elements.
            let whole = s.sub_i32(unsafe { Q::load(s, from.as_ptr()) }, zero);
            s.store(s.mul(s.to_f32(whole), scale), to);
        }
        for (to, x) in to.into_remainder().iter_mut().zip(from.remainder()) {
            *to = f32::dequantized(x.whole(), self.zero.whole(), self.scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run, tensor};
    use alloc::vec::Vec;
    use inferry_core::{Element, Shape, Tensor};

    fn quantized_to<Q: Element>(
        x: &Tensor,
        scale: &Tensor,
        zero: Option<&Tensor>,
        axis: i64,
        block: usize,
    ) -> Vec<Q> {
        let op = QuantizeLinear { axis, block_size: block, to: Q::TYPE, saturate: true };
        let inputs = [Some(x.clone()), Some(scale.clone()), zero.cloned()];
        let mut results = Isa::detect_for_tests()
            .into_iter()
            .map(|isa| run(&op, &inputs, &[(Q::TYPE, x.shape().clone())], isa)[0].to_vec::<Q>().unwrap());
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    fn dequantized_from(
        x: &Tensor,
        scale: &Tensor,
        zero: Option<&Tensor>,
        axis: i64,
        block: usize,
    ) -> Vec<f32> {
        let op = DequantizeLinear { axis, block_size: block };
        let inputs = [Some(x.clone()), Some(scale.clone()), zero.cloned()];
        let mut results = Isa::detect_for_tests().into_iter().map(|isa| {
            run(&op, &inputs, &[(ElementType::F32, x.shape().clone())], isa)[0].to_vec::<f32>().unwrap()
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    #[test]
    fn halves_go_to_even_and_types_hold() {
        let x = [0.0f32, 2.0, 3.0, 1000.0, -254.0, -1000.0, 1.0, 5.0, f32::INFINITY, f32::NAN, 1e30, -1e30];
        let x = tensor(&x.repeat(3), [36]);
        let scale = tensor(&[2.0f32], Shape::scalar());
        // The first six are the standard's own example.
        let wanted = [128, 129, 130, 255, 1, 0, 128, 130, 255, 0, 255, 0].repeat(3);
        let zero = tensor(&[128u8], Shape::scalar());
        assert_eq!(quantized_to::<u8>(&x, &scale, Some(&zero), 1, 0), wanted);
        let wanted = [0, 1, 2, 127, -127, -128, 0, 2, 127, -128, 127, -128].repeat(3);
        assert_eq!(quantized_to::<i8>(&x, &scale, None, 1, 0), wanted);
        let wanted = [0, 1, 2, 500, -127, -500, 0, 2, 32767, -32768, 32767, -32768].repeat(3);
        assert_eq!(quantized_to::<i16>(&x, &scale, None, 1, 0), wanted);
        let zero = tensor(&[32767u16], Shape::scalar());
        let wanted = [32767, 32768, 32769, 33267, 32640, 32267, 32767, 32769, 65535, 0, 65535, 0].repeat(3);
        assert_eq!(quantized_to::<u16>(&x, &scale, Some(&zero), 1, 0), wanted);
    }

    #[test]
    fn one_scale_for_each_index_of_an_axis() {
        let x = tensor(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1, 2, 4]);
        let scale = tensor(&[1.0f32, 2.0], [2]);
        let zero = tensor(&[10i8, -1], [2]);
        assert_eq!(quantized_to::<i8>(&x, &scale, Some(&zero), 1, 0), [11, 12, 13, 14, 1, 2, 3, 3]);
        let scale = tensor(&[1.0f32, 2.0, 0.5, 4.0], [4]);
        assert_eq!(quantized_to::<u8>(&x, &scale, None, -1, 0), [1, 1, 6, 1, 5, 3, 14, 2]);
    }

    #[test]
    fn one_scale_for_each_block() {
        let x = tensor(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
        let scale = tensor(&[1.0f32, 2.0, 0.5, 1.0], [2, 2]);
        assert_eq!(quantized_to::<u8>(&x, &scale, None, 1, 2), [1, 2, 2, 8, 10, 6]);
        let x = tensor(&[1i8, 2, 3, 4, 5, 6], [3, 2]);
        let zero = tensor(&[0i8, 1, 0, -1], [2, 2]);
        assert_eq!(dequantized_from(&x, &scale, Some(&zero), 0, 2), [1.0, 2.0, 3.0, 6.0, 2.5, 7.0]);
    }

    #[test]
    fn back_again_is_near_for_every_type() {
        let x = noise(300, 12);
        let scale = tensor(&[1.0f32 / 100.0], Shape::scalar());
        let real = tensor(&x, [300]);
        let eights = quantized_to::<i8>(&real, &scale, None, 0, 0);
        assert_close(&dequantized_from(&tensor(&eights, [300]), &scale, None, 0, 0), &x, 0.0051, 0.0);
        let zero = tensor(&[128u8], Shape::scalar());
        let eights = quantized_to::<u8>(&real, &scale, Some(&zero), 0, 0);
        assert_close(&dequantized_from(&tensor(&eights, [300]), &scale, Some(&zero), 0, 0), &x, 0.0051, 0.0);
        let zero = tensor(&[-7i16], Shape::scalar());
        let sixteens = quantized_to::<i16>(&real, &scale, Some(&zero), 0, 0);
        assert_close(
            &dequantized_from(&tensor(&sixteens, [300]), &scale, Some(&zero), 0, 0),
            &x,
            0.0051,
            0.0,
        );
        let whole: Vec<i32> = x.iter().map(|x| (x * 100.0) as i32).collect();
        assert_close(&dequantized_from(&tensor(&whole, [300]), &scale, None, 0, 0), &x, 0.011, 0.0);
    }
}
