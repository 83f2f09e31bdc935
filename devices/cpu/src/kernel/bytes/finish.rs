//! From sums to results: scale, bias, slope, residual, and the rounding to bytes.
//!
//! ```text
//!  sum (i32) ─▶ · factor + offset ─▶ [rounded, held] ─▶ [negative: · slope] ─▶ [+ residual] ─▶ rounded, held ─▶ byte
//! ```
//!
//! All scales are divided by that of the result beforehand, so that what is rounded at the end is the byte less its zero
//! point; limits of an activation are limits of that number. What belongs to a channel lies in vectors, filled up to whole
//! ones in each group.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Rounding, Target};

use crate::simd::Simd;

/// What is done to sums. See the [module](self).
pub(super) struct Finish {
    pub(super) factor: Vec<f32>,
    pub(super) offset: Vec<f32>,
    /// Empty when negative numbers are treated as the others.
    pub(super) slope: Vec<f32>,
    rounding: Option<Held>,
    residual: Option<Addend>,
    end: Option<End>,
    /// What real results are held within.
    limits: Option<[f32; 2]>,
}

/// A rounding in between: the limits, and what brings it to the scale of the result.
struct Held {
    low: f32,
    high: f32,
    factor: f32,
}

/// What is added: `byte * factor + offset`.
struct Addend {
    factor: f32,
    offset: f32,
    flip: u8,
}

/// The bytes of the result: the limits before the zero point is added, and what is flipped afterwards.
struct End {
    low: f32,
    high: f32,
    zero: i32,
    flip: u8,
}

/// What is flipped to read a signed byte as an unsigned one that is 128 more.
pub(super) fn flip(element: ElementType) -> u8 {
    if element == ElementType::I8 { 0x80 } else { 0 }
}

/// The zero point of bytes that are flipped.
pub(super) fn raised(zero: i32, flip: u8) -> i32 {
    zero + i32::from(flip)
}

/// Some sums, and where their results go.
pub(super) struct Block {
    /// `rows` rows of sums, `pitch` apart, of one vector each.
    pub(super) sums: *const i32,
    pub(super) pitch: usize,
    pub(super) rows: usize,
    /// The place of the first sum's channel among the vectors that belong to channels.
    pub(super) place: usize,
    /// Channels that there are: at most a vector.
    pub(super) count: usize,
    /// The first result: a byte or an `f32`, and how many from one row to the next.
    pub(super) out: *mut u8,
    /// The first byte of the residual, if there is one; rows are as far apart as those of the result.
    pub(super) residual: *const u8,
    pub(super) out_row: usize,
}

impl Finish {
    /// For channels with these real scales and biases (and slopes, if any), which are filled up already.
    pub(super) fn new(
        [scale, bias, slope]: [Vec<f32>; 3],
        rounding: Option<Rounding>,
        residual: Option<(f32, i32, ElementType)>,
        target: Option<Target>,
        limits: Option<[f32; 2]>,
    ) -> Finish {
        let unit = target.map_or(1.0, |target| target.rounding.scale);
        let first = rounding.map_or(unit, |rounding| rounding.scale);
        let addend = |(scale, zero, element): (f32, i32, ElementType)| {
            let (factor, flip) = (scale / unit, flip(element));
            Addend { factor, offset: -factor * raised(zero, flip) as f32, flip }
        };
        Finish {
            factor: scale.into_iter().map(|scale| scale / first).collect(),
            offset: bias.into_iter().map(|bias| bias / first).collect(),
            slope,
            rounding: rounding.map(|Rounding { scale, low, high }| Held { low, high, factor: scale / unit }),
            residual: residual.map(addend),
            end: target.map(|Target { rounding: Rounding { low, high, .. }, zero, element }| {
                let flip = flip(element);
                End { low, high, zero: raised(zero, flip), flip }
            }),
            limits,
        }
    }

    /// True when a residual is added.
    #[inline]
    pub(super) fn adds(&self) -> bool {
        self.residual.is_some()
    }

    /// Bytes of a result.
    #[inline]
    pub(super) fn size(&self) -> usize {
        if self.end.is_some() { 1 } else { size_of::<f32>() }
    }

    /// True when sums become real numbers or unsigned bytes with at most a slope in between, as most do.
    #[inline]
    fn is_plain(&self) -> bool {
        let between = self.rounding.is_some() || self.residual.is_some();
        !between && self.end.as_ref().is_none_or(|end| end.flip == 0)
    }

    /// As [`Finish::run`], for whole vectors where at most a slope comes in between.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn run_plain<S: Simd, const SLOPE: bool, const REAL: bool>(
        &self,
        simd: S,
        block: &Block,
        [factor, offset, slope]: [S::F32; 3],
    ) {
        let (low, high, zero) = match &self.end {
            Some(end) => (end.low, end.high, end.zero),
            None => {
                let [low, high] = self.limits.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
                (low, high, 0)
            }
        };
        let (low, high, zero) = (simd.splat(low), simd.splat(high), simd.splat_i32(zero));
        let (mut sums, mut out, mut row) = (block.sums, block.out, 0);
        while row < block.rows {
            // SAFETY: as this function.
            unsafe {
                let mut value = simd.fma(simd.to_f32(simd.load_ptr_i32(sums)), factor, offset);
                if SLOPE {
                    value = simd.select(simd.lt(value, simd.zero()), simd.mul(value, slope), value);
                }
                // In this order, what is no number stays so.
                value = simd.min(high, simd.max(low, value));
                if REAL {
                    simd.store_ptr(value, out.cast());
                } else {
                    simd.store_ptr_u8(simd.add_i32(simd.to_i32_round(value), zero), out);
                }
            }
            sums = sums.wrapping_add(block.pitch);
            out = out.wrapping_add(block.out_row * if REAL { size_of::<f32>() } else { 1 });
            row += 1;
        }
    }

    /// Finishes a block; `factors` are those of all channels.
    ///
    /// # Safety
    /// The sums and, if something is added, the residual can be read, the results written, and nobody else touches these now.
    /// The place of the block is that of a whole vector.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, simd: S, factors: &[f32], block: &Block) {
        debug_assert!(block.place + S::LANES <= factors.len().min(self.offset.len()));
        // SAFETY: the place is that of a whole vector; the caller vouches for the rest of the memory.
        unsafe {
            let factor = simd.load_ptr(factors.as_ptr().add(block.place));
            let offset = simd.load_ptr(self.offset.as_ptr().add(block.place));
            let slope = match self.slope.is_empty() {
                true => simd.splat(1.0),
                false => simd.load_ptr(self.slope.as_ptr().add(block.place)),
            };
            let whole = block.count == S::LANES;
            if whole && self.is_plain() {
                let numbers = [factor, offset, slope];
                return match (!self.slope.is_empty(), self.end.is_none()) {
                    (false, false) => self.run_plain::<S, false, false>(simd, block, numbers),
                    (false, true) => self.run_plain::<S, false, true>(simd, block, numbers),
                    (true, false) => self.run_plain::<S, true, false>(simd, block, numbers),
                    (true, true) => self.run_plain::<S, true, true>(simd, block, numbers),
                };
            }
            for row in 0..block.rows {
                let sum = simd.load_ptr_i32(block.sums.add(row * block.pitch));
                let mut value = simd.fma(simd.to_f32(sum), factor, offset);
                if let Some(held) = &self.rounding {
                    value =
                        simd.round(simd.min(simd.max(value, simd.splat(held.low)), simd.splat(held.high)));
                    value = simd.mul(value, simd.splat(held.factor));
                }
                if !self.slope.is_empty() {
                    let negative = simd.lt(value, simd.zero());
                    value = simd.select(negative, simd.mul(value, slope), value);
                }
                if let Some(addend) = &self.residual {
                    let at = block.residual.add(row * block.out_row);
                    let byte =
                        if whole { simd.load_ptr_u8(at) } else { simd.load_ptr_partial_u8(at, block.count) };
                    let byte = simd.xor_i32(byte, simd.splat_i32(i32::from(addend.flip)));
                    value = simd.add(value, simd.splat(addend.offset));
                    value = simd.fma(simd.to_f32(byte), simd.splat(addend.factor), value);
                }
                match &self.end {
                    Some(end) => {
                        value = simd.min(simd.max(value, simd.splat(end.low)), simd.splat(end.high));
                        let byte = simd.add_i32(simd.to_i32_round(value), simd.splat_i32(end.zero));
                        let byte = simd.xor_i32(byte, simd.splat_i32(i32::from(end.flip)));
                        let to = block.out.add(row * block.out_row);
                        if whole {
                            simd.store_ptr_u8(byte, to);
                        } else {
                            simd.store_ptr_partial_u8(byte, to, block.count);
                        }
                    }
                    None => {
                        if let Some([low, high]) = self.limits {
                            value = simd.min(simd.splat(high), simd.max(simd.splat(low), value));
                        }
                        let to = block.out.cast::<f32>().add(row * block.out_row);
                        if whole {
                            simd.store_ptr(value, to);
                        } else {
                            simd.store_ptr_partial(value, to, block.count);
                        }
                    }
                }
            }
        }
    }
}
