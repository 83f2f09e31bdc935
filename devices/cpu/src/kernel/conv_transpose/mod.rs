//! ConvTranspose: each input number adds a scaled kernel to the output.
//!
//! With constant weights and one or two spatial dimensions it is computed as [products](super::conv::transposed). Otherwise
//! one tile is an output channel of an image. It is filled with the bias, then every input channel of its group adds its
//! share, row by row: for a tap of the kernel, the input row lands on every `stride`-th place of an output row. The inner
//! loop runs along rows without looking at borders, which are taken off its range beforehand. Any number of spatial
//! dimensions; f32 (half precision is widened by a pass, f64 has no kernel).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{ConvTranspose, Resolved};

use super::arguments::form;
use super::conv::transposed;
use super::epilogue::{Epilogue, Tail};
use super::simple::{simple, spread_rows};
use super::{BuildError, Builder, Built};
use crate::io::Io;

/// Builds ConvTranspose.
pub(crate) fn conv_transpose(op: &ConvTranspose, node: &Builder<'_>) -> Built {
    build_conv_transpose(op, node, None)
}

/// Builds ConvTranspose with an epilogue. The node's inputs are those of ConvTranspose alone.
pub(crate) fn build_conv_transpose(
    op: &ConvTranspose,
    node: &Builder<'_>,
    epilogue: Option<Box<dyn Epilogue>>,
) -> Built {
    let problem = Problem::new(op, node)?;
    let tail = match transposed::build(&problem, node, Tail::new(epilogue)) {
        Ok(kernel) => return Ok(kernel),
        Err(tail) => tail,
    };
    let work = problem.taps() * problem.channels_in_group() * problem.plane(&problem.input);
    let picoseconds = (work as u64 * 400 / problem.plane(&problem.window.output).max(1) as u64).max(100);
    let plane = problem.plane(&problem.window.output);
    let phase = spread_rows(problem.images * problem.outputs, plane, picoseconds);
    simple(phase, move |io: &mut Io<'_>| {
        let start = io.tiles().start * phase.unit;
        let (x, w) = (io.input::<f32>(0), io.input::<f32>(1));
        let bias = if problem.biased { Some(io.input::<f32>(2)) } else { None };
        for (index, out) in io.rows::<f32>().chunks_mut(plane.max(1)).enumerate() {
            let offset = start + index * plane;
            let (image, channel) = ((offset / plane) / problem.outputs, (offset / plane) % problem.outputs);
            problem.fill(x, w, bias, image, channel, out);
            if let Some([low, high]) = tail.clip {
                // Comparisons that keep NaN.
                for value in out.iter_mut() {
                    *value = if low > *value { low } else { *value };
                    *value = if high < *value { high } else { *value };
                }
            }
            tail.apply(io, offset, channel, out);
        }
    })
}

/// The shapes of a transposed convolution.
pub(super) struct Problem {
    pub(super) images: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) groups: usize,
    /// Spatial extents of the input.
    pub(super) input: Vec<usize>,
    pub(super) window: Resolved,
    pub(super) biased: bool,
}

impl Problem {
    fn new(op: &ConvTranspose, node: &Builder<'_>) -> Result<Problem, BuildError> {
        let (x, w) = (node.input(0)?, node.input(1)?);
        let (element, shape) = node.output(0);
        for operand in node.inputs.iter().flatten() {
            if operand.element != ElementType::F32 || *element != ElementType::F32 {
                return Err(BuildError::Element { op: "ConvTranspose", element: operand.element });
            }
        }
        let misfit = || form(format!("ConvTranspose of {} by {} in {} groups", x.shape, w.shape, op.group));
        let ([images, inputs, spatial @ ..], [taken, share, kernel @ ..]) = (&x.shape[..], &w.shape[..])
        else {
            return Err(misfit());
        };
        if op.group == 0 || inputs != taken || inputs % op.group != 0 || spatial.is_empty() {
            return Err(misfit());
        }
        let window = op
            .window
            .resolve_transposed(spatial, kernel, &op.output_padding, op.output_shape.as_deref())
            .map_err(|error| form(format!("{error}")))?;
        let outputs = share * op.group;
        let fits = shape[..2] == [*images, outputs] && shape[2..] == window.output[..];
        let biased = node.optional(2).is_some();
        if !fits || node.optional(2).is_some_and(|bias| bias.shape[..] != [outputs]) {
            return Err(misfit());
        }
        Ok(Problem {
            images: *images,
            inputs: *inputs,
            outputs,
            groups: op.group,
            input: spatial.to_vec(),
            window,
            biased,
        })
    }

    fn plane(&self, extents: &[usize]) -> usize {
        extents.iter().product()
    }

    fn taps(&self) -> usize {
        self.window.kernel.iter().product()
    }

    fn channels_in_group(&self) -> usize {
        self.inputs / self.groups
    }

    /// Computes one channel of one image.
    fn fill(
        &self,
        x: &[f32],
        w: &[f32],
        bias: Option<&[f32]>,
        image: usize,
        channel: usize,
        out: &mut [f32],
    ) {
        out.fill(bias.map_or(0.0, |bias| bias[channel]));
        let (share, plane, taps) = (self.outputs / self.groups, self.plane(&self.input), self.taps());
        let group = channel / share;
        let first = group * self.channels_in_group();
        for input in first..first + self.channels_in_group() {
            let x = &x[(image * self.inputs + input) * plane..][..plane];
            let w = &w[(input * share + channel % share) * taps..][..taps];
            self.add(x, w, out);
        }
    }

    /// Adds one input channel times its kernel.
    fn add(&self, x: &[f32], w: &[f32], out: &mut [f32]) {
        let last = self.input.len() - 1;
        let (row_in, row_out) = (self.input[last], self.window.output[last]);
        let taps = self.window.kernel[last];
        if row_in == 0 || row_out == 0 || taps == 0 {
            return;
        }
        for (row, x) in x.chunks_exact(row_in).enumerate() {
            for (outer_tap, w) in w.chunks_exact(taps).enumerate() {
                let Some(target) = self.target_row(row, outer_tap) else { continue };
                let out = &mut out[target * row_out..][..row_out];
                for (tap, weight) in w.iter().enumerate() {
                    self.add_row(x, *weight, tap, out);
                }
            }
        }
    }

    /// The output row on which input row `row` lands with the tap `tap` of the outer dimensions, if any.
    fn target_row(&self, mut row: usize, mut tap: usize) -> Option<usize> {
        let (mut target, mut scale) = (0, 1);
        for dim in (0..self.input.len() - 1).rev() {
            let (at, k) = (row % self.input[dim], tap % self.window.kernel[dim]);
            (row, tap) = (row / self.input[dim], tap / self.window.kernel[dim]);
            let place = at * self.window.strides[dim] + k * self.window.dilations[dim];
            let place =
                place.checked_sub(self.window.begins[dim]).filter(|at| *at < self.window.output[dim])?;
            target += place * scale;
            scale *= self.window.output[dim];
        }
        Some(target)
    }

    /// `out[i * stride + shift] += x[i] * weight`, where that lies inside.
    fn add_row(&self, x: &[f32], weight: f32, tap: usize, out: &mut [f32]) {
        let last = self.input.len() - 1;
        let (stride, begin) = (self.window.strides[last], self.window.begins[last]);
        let shift = tap * self.window.dilations[last];
        let first = begin.saturating_sub(shift).div_ceil(stride);
        if first >= x.len() {
            return;
        }
        let Some(out) = out.get_mut(first * stride + shift - begin..) else { return };
        if stride == 1 {
            out.iter_mut().zip(&x[first..]).for_each(|(out, x)| *out += x * weight);
        } else {
            out.iter_mut().step_by(stride).zip(&x[first..]).for_each(|(out, x)| *out += x * weight);
        }
    }
}

#[cfg(test)]
mod tests;
