//! Convolution by its definition, for any number of spatial dimensions and any numeric element type.
//!
//! What the fast paths are tested against, and the only path for three and more spatial dimensions and for f64. One output
//! element after the other; the taps are walked with a counter, and those in the padding are left out.

use alloc::vec;

use super::Problem;
use crate::kernel::Built;
use crate::kernel::epilogue::Tail;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread_rows};

/// Builds the kernel. The tail is for f32.
pub(super) fn build<T: Number>(problem: Problem, tail: Tail) -> Built {
    let plane = problem.plane_len();
    let taps: usize = problem.window.kernel.iter().product();
    let channels = problem.groups * problem.features;
    let work = 1500 * (problem.depth * taps).max(1) as u64;
    let phase = spread_rows(problem.images * channels, plane, work);
    simple(phase, move |io| {
        let first = io.tiles().start * phase.unit / plane.max(1);
        let (x, w) = (io.input::<T>(0), io.input::<T>(1));
        let bias = problem.bias.then(|| io.input::<T>(2));
        let rows = io.rows::<T>();
        for (index, out) in rows.chunks_exact_mut(plane.max(1)).enumerate() {
            let (image, channel) = ((first + index) / channels, (first + index) % channels);
            let bias = bias.map_or(T::default(), |bias| bias[channel]);
            channel_of(&problem, x, w, image, channel, bias, out);
            finish(&tail, io, (first + index) * plane, channel, out);
        }
    })
}

/// One channel of one image.
fn channel_of<T: Number>(
    problem: &Problem,
    x: &[T],
    w: &[T],
    image: usize,
    channel: usize,
    bias: T,
    out: &mut [T],
) {
    let window = &problem.window;
    let rank = problem.input.len();
    let taps: usize = window.kernel.iter().product();
    let extent: usize = problem.input.iter().product();
    let group = channel / problem.features;
    let mut place = vec![0; rank];
    for slot in out {
        let mut sum = bias;
        for input in 0..problem.depth {
            let x = &x[((image * problem.groups + group) * problem.depth + input) * extent..][..extent];
            let w = &w[(channel * problem.depth + input) * taps..][..taps];
            let mut tap = vec![0; rank];
            for w in w {
                if let Some(at) = position(problem, &place, &tap) {
                    sum = sum.add(x[at].mul(*w));
                }
                count_up(&mut tap, &window.kernel);
            }
        }
        *slot = sum;
        count_up(&mut place, &window.output);
    }
}

/// The index of the input element that `tap` meets at `place`; `None` in the padding.
fn position(problem: &Problem, place: &[usize], tap: &[usize]) -> Option<usize> {
    let window = &problem.window;
    let mut at = 0;
    for dim in 0..place.len() {
        let padded = place[dim] * window.strides[dim] + tap[dim] * window.dilations[dim];
        let index = padded.checked_sub(window.begins[dim]).filter(|index| *index < problem.input[dim])?;
        at = at * problem.input[dim] + index;
    }
    Some(at)
}

/// The next place in row-major order; the first after the last.
fn count_up(place: &mut [usize], extents: &[usize]) {
    for (index, extent) in place.iter_mut().zip(extents).rev() {
        *index += 1;
        if *index < *extent {
            return;
        }
        *index = 0;
    }
}

/// Limits and epilogue, for f32.
fn finish<T: Number>(tail: &Tail, io: &crate::io::Io<'_>, offset: usize, channel: usize, out: &mut [T]) {
    if let Ok(out) = bytemuck::try_cast_slice_mut::<T, f32>(out) {
        out.iter_mut().for_each(|value| *value = tail.clipped(*value));
        tail.apply(io, offset, channel, out);
    }
}

/// All results of a convolution, for tests of the fast paths.
#[cfg(test)]
pub(super) fn compute(problem: &Problem, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> alloc::vec::Vec<f32> {
    let channels = problem.groups * problem.features;
    let widen = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<alloc::vec::Vec<_>>();
    let (x, w) = (widen(x), widen(w));
    let mut all = vec![];
    for index in 0..problem.images * channels {
        let mut out = vec![0.0f64; problem.plane_len()];
        let bias = bias.map_or(0.0, |bias| f64::from(bias[index % channels]));
        channel_of(problem, &x, &w, index / channels, index % channels, bias, &mut out);
        all.extend(out.into_iter().map(|value| value as f32));
    }
    all
}
