//! Exact arithmetic on bytes: ConvInteger, MatMulInteger and their quantized relatives.
//!
//! Most models never get here: where weights are constant and sums stay below 2^24, the pass `lower_integer` turns these
//! operators into float ones, which are as exact and faster. What is left are weights that are computed in the run, sums too
//! wide for an `f32`, and zero points of rows and columns.
//!
//! A byte is read as unsigned and, if its type is signed, with its highest bit flipped, which adds 128. A zero point is read
//! in the same way, so that the difference of the two is right for both types, and one loop serves every combination. Sums
//! are `i32` and wrap beyond it, as the standard allows.

mod conv;
mod matmul;

pub(super) use conv::{conv_integer, qlinear_conv};
pub(super) use matmul::{matmul_integer, qlinear_matmul};

use alloc::format;

use inferry_core::ElementType;

use super::arguments::form;
use super::{BuildError, Builder, Operand};
use crate::io::Io;

/// How the bytes of a tensor stand for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    /// What is flipped: nothing for u8, the sign for i8.
    flip: u8,
}

impl Bytes {
    fn of(op: &'static str, element: ElementType) -> Result<Bytes, BuildError> {
        match element {
            ElementType::U8 => Ok(Bytes { flip: 0 }),
            ElementType::I8 => Ok(Bytes { flip: 0x80 }),
            element => Err(BuildError::Element { op, element }),
        }
    }

    /// The number, or 128 more if the type is signed.
    #[inline(always)]
    fn raised(self, byte: u8) -> i32 {
        i32::from(byte ^ self.flip)
    }

    /// The byte for a raised number, held within the type.
    #[inline(always)]
    fn held(self, raised: f64) -> u8 {
        // A cast holds; NaN becomes 0, the smallest.
        raised as u8 ^ self.flip
    }
}

/// Numbers that belong to a tensor: one for all, or one for each index of an axis.
#[derive(Clone, Copy, Debug)]
struct Parameter {
    input: Option<usize>,
    count: usize,
}

impl Parameter {
    /// Input `input`, which has one number or as many as one of `counts`.
    fn new(
        op: &'static str,
        node: &Builder<'_>,
        input: usize,
        counts: &[usize],
    ) -> Result<Parameter, BuildError> {
        let Some(operand) = node.optional(input) else { return Ok(Parameter { input: None, count: 1 }) };
        let count = operand.shape.count();
        if count != 1 && !counts.contains(&count) {
            return Err(form(format!("{op}: input {input} is {}, which goes with no axis", operand.shape)));
        }
        Ok(Parameter { input: Some(input), count })
    }

    /// As [`Parameter::new`], for zero points of a tensor.
    fn zero(
        op: &'static str,
        node: &Builder<'_>,
        [tensor, input]: [usize; 2],
        counts: &[usize],
    ) -> Result<Parameter, BuildError> {
        let of = node.input(tensor)?.element;
        match node.optional(input) {
            Some(Operand { element, .. }) if *element != of => {
                Err(form(format!("{op}: input {input} is {element}, a zero point of {of}")))
            }
            _ => Parameter::new(op, node, input, counts),
        }
    }

    /// As [`Parameter::new`], for a scale, which must be there.
    fn scale(
        op: &'static str,
        node: &Builder<'_>,
        input: usize,
        counts: &[usize],
    ) -> Result<Parameter, BuildError> {
        match node.input(input)?.element {
            ElementType::F32 => Parameter::new(op, node, input, counts),
            element => Err(BuildError::Element { op, element }),
        }
    }

    /// The raised zero point that goes with `index`.
    #[inline(always)]
    fn raised(self, io: &Io<'_>, bytes: Bytes, index: usize) -> i32 {
        bytes.raised(self.input.map_or(0, |input| io.input::<u8>(input)[index % self.count]))
    }

    /// The scale that goes with `index`.
    #[inline(always)]
    fn factor(self, io: &Io<'_>, index: usize) -> f32 {
        self.input.map_or(1.0, |input| io.input::<f32>(input)[index % self.count])
    }
}

/// From sums to the bytes of a quantized result.
#[derive(Clone, Copy, Debug)]
struct Requantise {
    bytes: Bytes,
    scales: [Parameter; 2],
    scale: Parameter,
    zero: Parameter,
}

impl Requantise {
    /// With the scales of the factors in the inputs `scales`, which go with rows or columns as `counts` say.
    fn new(
        op: &'static str,
        node: &Builder<'_>,
        scales: [usize; 2],
        counts: [&[usize]; 2],
    ) -> Result<Requantise, BuildError> {
        let element = node.output(0).0;
        if node.input(7)?.element != element {
            return Err(form(format!("{op}: a zero point of {} for {element}", node.input(7)?.element)));
        }
        Ok(Requantise {
            bytes: Bytes::of(op, element)?,
            scales: [
                Parameter::scale(op, node, scales[0], counts[0])?,
                Parameter::scale(op, node, scales[1], counts[1])?,
            ],
            scale: Parameter::scale(op, node, 6, &[])?,
            zero: Parameter::new(op, node, 7, &[])?,
        })
    }

    /// The byte for a sum of products whose factors have the scales of these indices.
    #[inline(always)]
    fn byte(self, io: &Io<'_>, sum: i32, left: usize, right: usize) -> u8 {
        let scale =
            self.scales[0].factor(io, left) * self.scales[1].factor(io, right) / self.scale.factor(io, 0);
        let rounded = libm::rint(f64::from(sum as f32 * scale));
        self.bytes.held(rounded + f64::from(self.zero.raised(io, self.bytes, 0)))
    }
}

#[cfg(test)]
mod testing {
    use alloc::vec::Vec;

    use inferry_core::{ElementType, Shape, Tensor};

    use crate::kernel::testing::tensor;

    /// Numbers of either type that look random, the smallest and the largest among them.
    pub(super) fn numbers(element: ElementType, count: usize, seed: u32) -> Vec<i64> {
        let mut state = seed;
        let low = if element == ElementType::I8 { -128 } else { 0 };
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match state >> 28 {
                0 => low,
                1 => low + 255,
                _ => low + i64::from(state >> 16 & 255),
            }
        };
        (0..count).map(|_| next()).collect()
    }

    /// A tensor of bytes of this type.
    pub(super) fn bytes(element: ElementType, values: &[i64], shape: &[usize]) -> Tensor {
        let shape = Shape::new(shape).unwrap();
        match element {
            ElementType::I8 => {
                tensor(&values.iter().map(|value| i8::try_from(*value).unwrap()).collect::<Vec<_>>(), shape)
            }
            _ => tensor(&values.iter().map(|value| u8::try_from(*value).unwrap()).collect::<Vec<_>>(), shape),
        }
    }

    /// The elements of a tensor of small integers.
    pub(super) fn values(tensor: &Tensor) -> Vec<i64> {
        match tensor.element() {
            ElementType::I8 => tensor.to_vec::<i8>().unwrap().into_iter().map(i64::from).collect(),
            ElementType::U8 => tensor.to_vec::<u8>().unwrap().into_iter().map(i64::from).collect(),
            _ => tensor.to_vec::<i32>().unwrap().into_iter().map(i64::from).collect(),
        }
    }

    /// What a sum becomes by the definition.
    pub(super) fn quantised(element: ElementType, sum: i64, scale: f32, zero: i64) -> i64 {
        let low = if element == ElementType::I8 { -128.0 } else { 0.0 };
        let rounded = f64::from(sum as f32 * scale).round_ties_even() + zero as f64;
        rounded.clamp(low, low + 255.0) as i64
    }
}
