//! Where in the input an output position lies, and which elements around it count.
//!
//! Positions are computed in `f32`, as the peers do: which neighbour is the nearest depends on the rounding.

use alloc::vec::Vec;

use inferry_engine::op::{CoordinateMode, NearestMode, Resize, ResizeMode};

/// One dimension of a resampling.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) scale: f32,
    /// Begin and end of the region of interest, in parts of the extent.
    pub(super) roi: (f32, f32),
    pub(super) coordinates: CoordinateMode,
}

/// The weighted elements that make up each output position of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taps {
    /// How many elements, one after the other.
    pub(super) count: usize,
    /// Position of the first; it, and others, may lie outside the input, where the edge is repeated.
    pub(super) starts: Vec<isize>,
    /// `count` weights for each output position.
    pub(super) weights: Vec<f32>,
    /// Output positions that show the constant instead.
    pub(super) outside: Vec<bool>,
}

impl Line {
    /// True when every output position shows the input at the same place.
    pub(super) fn is_plain(&self) -> bool {
        self.input == self.output && self.scale == 1.0 && self.coordinates != CoordinateMode::TfCropAndResize
    }

    /// Where the output position lies, in elements of the input.
    fn place(&self, position: usize) -> f32 {
        let (x, scale) = (position as f32, self.scale);
        let last = self.input as f32 - 1.0;
        let half = (x + 0.5) / scale - 0.5;
        match self.coordinates {
            _ if self.is_plain() => x,
            CoordinateMode::HalfPixel => half,
            CoordinateMode::HalfPixelSymmetric => {
                // The output has a whole number of elements, the scale would give another: the centre must not move.
                let share = self.output as f32 / (scale * self.input as f32);
                self.input as f32 / 2.0 * (1.0 - share) + half
            }
            CoordinateMode::PytorchHalfPixel => {
                if self.output > 1 {
                    half
                } else {
                    0.0
                }
            }
            CoordinateMode::AlignCorners => {
                if self.output > 1 {
                    x * last / (self.length() - 1.0)
                } else {
                    0.0
                }
            }
            CoordinateMode::Asymmetric => x / scale,
            CoordinateMode::TfCropAndResize => {
                let (begin, end) = self.roi;
                if self.output > 1 {
                    begin * last + x * (end - begin) * last / (self.output as f32 - 1.0)
                } else {
                    0.5 * (begin + end) * last
                }
            }
        }
    }

    /// The extent of the output as the scale gives it, which may be no whole number; the output itself has what is whole of it.
    /// The standard and its test cases want it so, although other runtimes align the last element instead.
    fn length(&self) -> f32 {
        let (whole, length) = (self.output as f32, self.input as f32 * self.scale);
        // A scale that was made from extents gives them back almost.
        if (length - whole).abs() <= 1e-5 * whole { whole } else { length }
    }

    /// True when a place lies outside the input and the constant is shown there.
    fn beyond(&self, place: f32) -> bool {
        let cropped = self.coordinates == CoordinateMode::TfCropAndResize;
        cropped && !(0.0..=self.input as f32 - 1.0).contains(&place)
    }

    /// The nearest element; `None` outside.
    pub(super) fn nearest(&self, position: usize, mode: NearestMode) -> Option<usize> {
        let place = self.place(position);
        if self.beyond(place) || self.input == 0 {
            return None;
        }
        let at = match mode {
            NearestMode::RoundPreferFloor => libm::ceilf(place - 0.5),
            NearestMode::RoundPreferCeil => libm::floorf(place + 0.5),
            NearestMode::FloorOrCeil if self.scale < 1.0 => libm::ceilf(place),
            NearestMode::Floor | NearestMode::FloorOrCeil => libm::floorf(place),
            NearestMode::Ceil => libm::ceilf(place),
        };
        Some((at.max(0.0) as usize).min(self.input - 1))
    }

    /// The weighted elements of every output position.
    pub(super) fn taps(&self, op: &Resize) -> Taps {
        // Shrinking with antialias stretches the filter over all elements that fall into an output position.
        let stretch = if op.antialias && self.scale < 1.0 { self.scale } else { 1.0 };
        let reach = if matches!(op.mode, ResizeMode::Cubic { .. }) { 2.0 } else { 1.0 };
        let before = -(libm::floorf(-reach / stretch) + 1.0) as isize;
        let count = (2 * before + 2) as usize;
        let mut taps = Taps { count, starts: Vec::new(), weights: Vec::new(), outside: Vec::new() };
        for position in 0..self.output {
            let place = self.place(position);
            taps.outside.push(self.beyond(place));
            // Far outside all elements show the edge, wherever exactly that is.
            let place = place.clamp(-(count as f32), (self.input + count) as f32);
            let start = libm::floorf(place) as isize - before;
            let weight = |tap: usize| {
                let at = start + tap as isize;
                let excluded = op.exclude_outside && !(0..self.input as isize).contains(&at);
                if excluded { 0.0 } else { filter(op.mode, (at as f32 - place) * stretch) }
            };
            let first = taps.weights.len();
            taps.weights.extend((0..count).map(weight));
            let sum: f32 = taps.weights[first..].iter().sum();
            if (op.exclude_outside || stretch < 1.0) && sum != 0.0 {
                taps.weights[first..].iter_mut().for_each(|weight| *weight /= sum);
            }
            taps.starts.push(start);
        }
        taps
    }
}

/// The weight of an element at this distance.
fn filter(mode: ResizeMode, distance: f32) -> f32 {
    let x = distance.abs();
    match mode {
        ResizeMode::Cubic { coeff_a: a } if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        ResizeMode::Cubic { coeff_a: a } if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        ResizeMode::Cubic { .. } => 0.0,
        _ => (1.0 - x).max(0.0),
    }
}

impl Taps {
    /// The element of the input that tap `tap` of an output position reads.
    pub(super) fn element(&self, position: usize, tap: usize, extent: usize) -> usize {
        (self.starts[position] + tap as isize).clamp(0, extent as isize - 1) as usize
    }

    /// The weights of an output position.
    pub(super) fn weights_of(&self, position: usize) -> &[f32] {
        &self.weights[position * self.count..(position + 1) * self.count]
    }
}
