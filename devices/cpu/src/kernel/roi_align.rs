//! RoiAlign: regions of images, brought to one size by sampling.
//!
//! Every element of the output is the mean (or the largest) of a few samples, each of which is a mix of the four elements
//! around it. Where they lie is the same in all channels: a tile finds it once for a few of them.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;

use inferry_engine::op::{Op, RoiAlign};

use crate::io::Io;
use crate::kernel::arguments::form;
use crate::kernel::fault::Fault;
use crate::kernel::number::{Number, by_float};
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`RoiAlign`].
pub(crate) fn roi_align(op: &RoiAlign, node: &Builder<'_>) -> Built {
    let (x, rois, batch) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (element, shape) = node.output(0);
    let [rows, columns] = op.output;
    let fits = x.shape.rank() == 4
        && rois.shape.rank() == 2
        && rois.shape[1] == 4
        && batch.shape.count() == rois.shape[0]
        && [x.element, rois.element] == [*element; 2]
        && shape[..] == [rois.shape[0], x.shape[1], rows, columns];
    if !fits || op.sampling_ratio > MOST_SAMPLES {
        return Err(form(format!("RoiAlign of {} by {} is not {shape}", x.shape, rois.shape)));
    }
    let size = Size { images: x.shape[0], channels: x.shape[1], rows: x.shape[2], columns: x.shape[3] };
    let samples = if op.sampling_ratio > 0 { op.sampling_ratio * op.sampling_ratio } else { 4 };
    let cost = (rows * columns).saturating_mul(samples) as u64 * (10 + 3 * CHANNELS as u64);
    let phases = [Phase::tiles(shape[0] * size.channels.div_ceil(CHANNELS), cost)];
    let op = *op;
    by_float!(op.name(), x.element, T => Ok(Box::new(Align::<T> { op, size, phases, of: core::marker::PhantomData })))
}

/// Channels that a tile fills.
const CHANNELS: usize = if cfg!(test) { 2 } else { 16 };

/// More samples than this along one dimension of an output's element come of no image, and would take for ever.
const MOST_SAMPLES: usize = 1 << 12;

/// Extents of `x`.
#[derive(Clone, Copy)]
struct Size {
    images: usize,
    channels: usize,
    rows: usize,
    columns: usize,
}

struct Align<T> {
    op: RoiAlign,
    size: Size,
    phases: [Phase; 1],
    of: core::marker::PhantomData<T>,
}

/// A region in the coordinates of `x`, along one dimension.
#[derive(Clone, Copy)]
struct Span {
    start: f64,
    /// Of an output's element.
    step: f64,
    samples: usize,
}

/// The two elements along a dimension that a sample lies between, and the share of each.
type Between = [(usize, f64); 2];

impl<T: Number> Kernel for Align<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        let blocks = self.size.channels.div_ceil(CHANNELS);
        for tile in io.tiles() {
            let (roi, first) = (tile / blocks, tile % blocks * CHANNELS);
            if let Err(fault) = self.region(io, roi, first..(first + CHANNELS).min(self.size.channels)) {
                return io.fail(fault);
            }
        }
    }
}

impl<T: Number> Align<T> {
    /// Fills some channels of a region.
    fn region(&self, io: &Io<'_>, roi: usize, channels: core::ops::Range<usize>) -> Result<(), Fault> {
        let Size { images, rows, columns, .. } = self.size;
        let index = io.input::<i64>(2)[roi];
        let image = usize::try_from(index).ok().filter(|image| *image < images);
        let image = image.ok_or(Fault::Index { input: 2, index, extent: images })?;
        let corners = &io.input::<T>(1)[roi * 4..roi * 4 + 4];
        let [height, width] = self.op.output;
        let down = self.span(corners[1].to_f64(), corners[3].to_f64(), height)?;
        let across = self.span(corners[0].to_f64(), corners[2].to_f64(), width)?;
        let plane = rows * columns;
        let x = &io.input::<T>(0)[image * self.size.channels * plane..];
        let to = io.shared::<T>(0);
        for place in 0..height * width {
            let mut results = [0.0; CHANNELS];
            for sample in 0..down.samples * across.samples {
                let (row, column) = (sample / across.samples, sample % across.samples);
                let row = down.between(place / width, row, rows);
                let taps = row.zip(across.between(place % width, column, columns)).map(|(row, column)| {
                    let tap =
                        |(y, down): (usize, f64), (x, across): (usize, f64)| (y * columns + x, down * across);
                    [
                        tap(row[0], column[0]),
                        tap(row[0], column[1]),
                        tap(row[1], column[0]),
                        tap(row[1], column[1]),
                    ]
                });
                for (result, channel) in results.iter_mut().zip(channels.clone()) {
                    let x = &x[channel * plane..(channel + 1) * plane];
                    // A sample outside is a zero.
                    let parts = taps.map_or([0.0; 4], |taps| taps.map(|(at, share)| share * x[at].to_f64()));
                    let largest = parts.into_iter().fold(f64::NEG_INFINITY, f64::max);
                    *result = match self.op.max {
                        false => *result + parts.iter().sum::<f64>(),
                        true if sample == 0 => largest,
                        true => result.max(largest),
                    };
                }
            }
            let samples = if self.op.max { 1 } else { (down.samples * across.samples).max(1) };
            for (result, channel) in results.iter().zip(channels.clone()) {
                let at = (roi * self.size.channels + channel) * height * width + place;
                // SAFETY: these channels of this region belong to one tile.
                let to = unsafe { to.range(at..at + 1) };
                to[0] = T::from_f64(result / samples as f64);
            }
        }
        Ok(())
    }

    /// Where a region lies along a dimension in which the output has `extent` elements.
    fn span(&self, low: f64, high: f64, extent: usize) -> Result<Span, Fault> {
        let RoiAlign { half_pixel, spatial_scale, sampling_ratio, .. } = self.op;
        let scale = f64::from(spatial_scale);
        let shift = if half_pixel { 0.5 } else { 0.0 };
        let (start, end) = (low * scale - shift, high * scale - shift);
        let len = if half_pixel { end - start } else { (end - start).max(1.0) };
        let step = len / extent as f64;
        // A cast makes 0 of what is negative.
        let samples = if sampling_ratio > 0 { sampling_ratio } else { libm::ceil(step) as usize };
        if samples > MOST_SAMPLES {
            let times = MOST_SAMPLES;
            return Err(Fault::Value(format!(
                "a region of {len} elements is over {times} times as large as the output"
            )));
        }
        Ok(Span { start, step, samples })
    }
}

impl Span {
    /// What sample `sample` of element `place` of the output lies between, among `extent` elements; `None` outside.
    fn between(&self, place: usize, sample: usize, extent: usize) -> Option<Between> {
        let at = self.start + self.step * (place as f64 + (sample as f64 + 0.5) / self.samples as f64);
        let last = extent.checked_sub(1)?;
        // Also what is no number lies outside.
        if !(-1.0..=extent as f64).contains(&at) {
            return None;
        }
        let at = at.clamp(0.0, last as f64);
        let low = at as usize;
        let share = at - low as f64;
        Some([(low, 1.0 - share), ((low + 1).min(last), share)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, fault_of, run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::{ElementType, Tensor};

    const PLAIN: RoiAlign =
        RoiAlign { max: false, half_pixel: true, output: [2, 2], sampling_ratio: 2, spatial_scale: 1.0 };

    /// `channels` planes of 6 by 6, each a ramp: `10 * row + column + 100 * channel`.
    fn ramp(channels: usize) -> Tensor {
        let value = |at: usize| (10 * (at / 6 % 6) + at % 6 + 100 * (at / 36)) as f32;
        let values: Vec<f32> = (0..channels * 36).map(value).collect();
        tensor(&values, [1, channels, 6, 6])
    }

    #[test]
    fn the_mean_over_a_ramp_is_its_value_in_the_middle() {
        // Elements from 1 to 5 along each dimension: the outputs' middles are at 1.5 and 3.5 (counted from centres).
        let rois = tensor(&[1f32, 1., 5., 5., 2., 2., 10., 10.], [2, 4]);
        let batch = tensor(&[0i64, 0], [2]);
        for sampling_ratio in [0, 1, 2, 3] {
            let op = RoiAlign { sampling_ratio, ..PLAIN };
            let found = run_one::<f32>(&op, &[&ramp(5), &rois, &batch], [2, 5, 2, 2]);
            for channel in 0..5 {
                let wanted = [16.5, 18.5, 36.5, 38.5].map(|value| value + 100.0 * channel as f32);
                assert_close(&found[channel * 4..channel * 4 + 4], &wanted, 1e-4, 0.0);
            }
            let half = RoiAlign { spatial_scale: 0.5, ..op };
            let again = run_one::<f32>(&half, &[&ramp(5), &rois, &batch], [2, 5, 2, 2]);
            assert_close(&again[20..], &found[..20], 1e-4, 0.0);
        }
        // Without the shift the middles lie half an element further.
        let op = RoiAlign { half_pixel: false, ..PLAIN };
        let found = run_one::<f32>(&op, &[&ramp(1), &rois, &batch], [2, 1, 2, 2]);
        assert_close(&found[..4], &[22., 24., 42., 44.], 1e-4, 0.0);
    }

    #[test]
    fn the_largest_of_the_parts_of_samples() {
        // One sample at the centre of element (1, 1), whose only part is that element.
        let rois = tensor(&[1f64, 1., 2., 2.], [1, 4]);
        let op = RoiAlign { max: true, output: [1, 1], sampling_ratio: 1, ..PLAIN };
        let x = tensor(&[1f64, 2., 3., 4.], [1, 1, 2, 2]);
        assert_eq!(run_one::<f64>(&op, &[&x, &rois, &tensor(&[0i64], [1])], [1, 1, 1, 1]), [4.0]);
        // Outside there are zeros, which are larger than what is negative.
        let far = tensor(&[70f64, 70., 72., 72.], [1, 4]);
        let x = tensor(&[-1f64; 4], [1, 1, 2, 2]);
        assert_eq!(run_one::<f64>(&op, &[&x, &far, &tensor(&[0i64], [1])], [1, 1, 1, 1]), [0.0]);
    }

    #[test]
    fn regions_that_make_no_sense_fail() {
        let outputs = [(ElementType::F32, [1, 1, 2, 2].into())];
        let roi = tensor(&[1f32, 1., 5., 5.], [1, 4]);
        let fault = fault_of(&PLAIN, &[&ramp(1), &roi, &tensor(&[1i64], [1])], &outputs);
        assert_eq!(fault, Fault::Index { input: 2, index: 1, extent: 1 });
        let huge = tensor(&[0f32, 0., 1e9, 5.], [1, 4]);
        let op = RoiAlign { sampling_ratio: 0, ..PLAIN };
        assert!(matches!(
            fault_of(&op, &[&ramp(1), &huge, &tensor(&[0i64], [1])], &outputs),
            Fault::Value(_)
        ));
        let odd = tensor(&[f32::NAN, 3., 2., f32::NEG_INFINITY], [1, 4]);
        run_one::<f32>(&PLAIN, &[&ramp(1), &odd, &tensor(&[0i64], [1])], [1, 1, 2, 2]);
    }
}
