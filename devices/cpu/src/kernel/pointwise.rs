//! Functions of one number as values: chosen when a kernel is built, applied in place to rows of freshly computed numbers.
//!
//! ```text
//!  accumulators ── store ──▶ a few rows in L1 ── Pointwise::rows, in place ──▶ the same rows
//! ```
//!
//! One call is a function of its own over a whole block of rows, so that what is paid for choosing the function is paid once
//! for hundreds of numbers. It reads no operands: what needs those is an [`Epilogue`](super::epilogue::Epilogue).
#![allow(unsafe_code)]

use inferry_engine::op::Unary;

use super::functions as f;
use super::vector::Map;
use crate::simd::{Simd, Vectorized};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pointwise {
    /// One of those that [`has_vector_form`] knows.
    Unary(Unary),
    /// A straight line between two limits.
    Line(f::Line),
    /// The number times a line between limits, and a line of that.
    Gate(f::Gate),
    /// The number times its sigmoid.
    Swish,
    /// QuantizeLinear and DequantizeLinear at once.
    Requantize(f::Requantize),
}

/// Whether [`Pointwise`] has a vector form of a function. The others are rare.
pub(crate) fn has_vector_form(function: Unary) -> bool {
    use Unary::*;
    matches!(
        function,
        Abs | Neg
            | Exp
            | Log
            | Sqrt
            | Reciprocal
            | Erf
            | Sigmoid
            | Tanh
            | Relu
            | HardSwish
            | HardSigmoid { .. }
            | LeakyRelu { .. }
            | Gelu { .. }
    )
}

/// Rows of numbers somewhere in memory.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// The first number of the first row.
    pub(crate) start: *mut f32,
    pub(crate) count: usize,
    /// Numbers from one row to the next.
    pub(crate) step: usize,
    /// Numbers of a row.
    pub(crate) len: usize,
}

impl Pointwise {
    /// Applies the function to these numbers.
    #[inline(always)]
    pub(crate) fn in_place<S: Simd>(self, s: S, values: &mut [f32]) {
        let rows = Rows { start: values.as_mut_ptr(), count: 1, step: 0, len: values.len() };
        // SAFETY: the numbers of the slice.
        unsafe { self.rows(s, rows) }
    }

    /// Applies the function to all numbers of the rows.
    ///
    /// # Safety
    /// The numbers can be read and written, and nobody else touches them now.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(self, s: S, rows: Rows) {
        macro_rules! mapped {
            ($map:expr) => {
                s.call(MapRows($map, rows))
            };
        }
        match self {
            Pointwise::Line(line) => mapped!(line),
            Pointwise::Gate(gate) => mapped!(gate),
            Pointwise::Swish => mapped!(f::Swish {}),
            Pointwise::Requantize(requantize) => mapped!(requantize),
            Pointwise::Unary(function) => match function {
                Unary::Abs => mapped!(f::Abs {}),
                Unary::Neg => mapped!(f::Neg {}),
                Unary::Exp => mapped!(f::Exp {}),
                Unary::Log => mapped!(f::Log {}),
                Unary::Sqrt => mapped!(f::Sqrt {}),
                Unary::Reciprocal => mapped!(f::Reciprocal {}),
                Unary::Erf => mapped!(f::Erf {}),
                Unary::Sigmoid => mapped!(f::Sigmoid {}),
                Unary::Tanh => mapped!(f::Tanh {}),
                Unary::LeakyRelu { alpha } => mapped!(f::LeakyRelu { alpha }),
                Unary::Gelu { tanh: false } => mapped!(f::Gelu {}),
                Unary::Gelu { tanh: true } => mapped!(f::GeluTanh {}),
                // Relu, HardSwish and HardSigmoid have become lines and gates.
                _ => unreachable!("`has_vector_form` has been asked"),
            },
        }
    }
}

/// # Safety of its making
/// As [`Pointwise::rows`].
struct MapRows<M>(M, Rows);

impl<M: Map> Vectorized for MapRows<M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MapRows(map, Rows { start, count, step, len }) = self;
        for row in 0..count {
            let start = start.wrapping_add(row * step);
            let mut at = 0;
            // SAFETY: the rows belong to the caller; vectors end where the row does.
            unsafe {
                while at + S::LANES <= len {
                    s.store_ptr(map.map(s, s.load_ptr(start.add(at))), start.add(at));
                    at += S::LANES;
                }
                if at < len {
                    let rest = map.map(s, s.load_ptr_partial(start.add(at), len - at));
                    s.store_ptr_partial(rest, start.add(at), len - at);
                }
            }
        }
    }
}
