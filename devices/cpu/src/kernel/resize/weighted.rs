//! Weighted sums by the definition: any number of dimensions, any type, one output element at a time.
//!
//! Each element is the sum over all combinations of the taps of the dimensions that change. This is what the rows of
//! [`image`](super::image) are tested against, and what everything else runs on.

use alloc::vec::Vec;

use inferry_engine::op::Resize;

use super::coordinates::{Line, Taps};
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::dense_stride;
use crate::kernel::{Builder, Built};

/// Builds the kernel of a [`Resize`] of weighted elements.
pub(super) fn build<T: Number>(op: &Resize, lines: &[Line], node: &Builder<'_>) -> Built {
    let sums = Sums::new(op, lines);
    let taps: usize = sums.changed.iter().map(|changed| changed.taps.count).product();
    let phase = spread(node.output(0).1.count(), 10_000 + 2_000 * taps as u64);
    simple(phase, move |io| {
        let from = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            *to = T::from_f64(sums.element(from, start + index));
        }
    })
}

struct Sums {
    /// Extents of input and output, and the stride of the input, innermost first.
    dims: Vec<Dim>,
    changed: Vec<Changed>,
    extrapolation: f64,
    /// Products of taps that make up an element.
    combinations: usize,
}

struct Dim {
    output: usize,
    stride: usize,
    /// Which of the dimensions that change this is.
    changed: Option<usize>,
}

struct Changed {
    taps: Taps,
    extent: usize,
    stride: usize,
}

impl Sums {
    fn new(op: &Resize, lines: &[Line]) -> Sums {
        let extents: Vec<usize> = lines.iter().map(|line| line.input).collect();
        let (mut dims, mut changed) = (Vec::new(), Vec::new());
        for (dim, line) in lines.iter().enumerate().rev() {
            let stride = dense_stride(&extents, dim) as usize;
            let which = (!line.is_plain()).then_some(changed.len());
            if which.is_some() {
                changed.push(Changed { taps: line.taps(op), extent: line.input, stride });
            }
            dims.push(Dim { output: line.output, stride, changed: which });
        }
        let combinations = changed.iter().map(|changed| changed.taps.count).product();
        Sums { dims, changed, extrapolation: f64::from(op.extrapolation), combinations }
    }

    fn element<T: Number>(&self, from: &[T], mut output: usize) -> f64 {
        let mut positions = [0; inferry_core::tensor::MAX_RANK];
        let mut base = 0;
        for dim in &self.dims {
            let position = output % dim.output;
            output /= dim.output;
            match dim.changed {
                Some(which) => positions[which] = position,
                None => base += position * dim.stride,
            }
        }
        let places = || self.changed.iter().zip(positions);
        if places().any(|(changed, position)| changed.taps.outside[position]) {
            return self.extrapolation;
        }
        let mut sum = 0.0;
        for mut rest in 0..self.combinations {
            let (mut at, mut weight) = (base, 1.0);
            for (changed, position) in places() {
                let tap = rest % changed.taps.count;
                rest /= changed.taps.count;
                at += changed.taps.element(position, tap, changed.extent) * changed.stride;
                weight *= f64::from(changed.taps.weights_of(position)[tap]);
            }
            sum += weight * from[at].to_f64();
        }
        sum
    }
}
