//! ConvInteger and QLinearConv: convolutions of bytes, for any number of spatial dimensions.
//!
//! A tile is a row of one channel of the output, or a part of a long one. Its sums lie in scratch; for each input channel and
//! tap, the row of the input under the tap is added to them, times the weight. Padding stands for the zero point, so it
//! adds nothing and is left out.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::{ConvInteger, QLinearConv, Window};

use super::{Bytes, Parameter, Requantise};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::conv::Problem;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds ConvInteger.
pub(crate) fn conv_integer(op: &ConvInteger, node: &Builder<'_>) -> Built {
    let at = Inputs { name: "ConvInteger", weights: 1, zeros: [2, 3], scales: None };
    Ok(Box::new(Convolution::new(&op.window, op.group, node, at)?))
}

/// Builds QLinearConv.
pub(crate) fn qlinear_conv(op: &QLinearConv, node: &Builder<'_>) -> Built {
    let at = Inputs { name: "QLinearConv", weights: 3, zeros: [2, 5], scales: Some([1, 4]) };
    let mut convolution = Convolution::new(&op.window, op.group, node, at)?;
    if let Some(bias) = node.optional(8) {
        if bias.element != ElementType::I32 {
            return Err(BuildError::Element { op: "QLinearConv", element: bias.element });
        }
        let channels = convolution.channels();
        if bias.shape.count() != channels {
            return Err(form(alloc::format!("a bias of {} for {channels} channels", bias.shape)));
        }
        convolution.bias = Some(8);
    }
    Ok(Box::new(convolution))
}

/// Which operator, and where among its inputs is what. The image is the first.
struct Inputs {
    name: &'static str,
    weights: usize,
    zeros: [usize; 2],
    scales: Option<[usize; 2]>,
}

struct Convolution {
    phases: Vec<Phase>,
    problem: Problem,
    weights: usize,
    bias: Option<usize>,
    /// Of the image and of the weights.
    bytes: [Bytes; 2],
    zeros: [Parameter; 2],
    /// `None` for sums as they are.
    requantise: Option<Requantise>,
    /// Rows of one channel of the output, and the extent of a row.
    rows: usize,
    row: usize,
    /// Columns of a tile.
    width: usize,
    isa: Isa,
}

/// A place in the spatial dimensions.
type Place = [usize; MAX_RANK];

impl Convolution {
    fn new(
        window: &Window,
        groups: usize,
        node: &Builder<'_>,
        at: Inputs,
    ) -> Result<Convolution, BuildError> {
        let op = at.name;
        let problem = Problem::new(window, groups, node, at.weights)?;
        problem.check_output(&node.output(0).1)?;
        let (row, outer) = problem.window.output.split_last().ok_or_else(|| form("no spatial dimensions"))?;
        let (row, rows) = (*row, outer.iter().product());
        let channels = [problem.groups * problem.features];
        let requantise = match at.scales {
            Some(scales) => Some(Requantise::new(op, node, scales, [&[], &channels])?),
            None if node.output(0).0 == ElementType::I32 => None,
            None => return Err(BuildError::Element { op, element: node.output(0).0 }),
        };
        let taps: usize = problem.window.kernel.iter().product();
        let work = (problem.depth * taps).max(1);
        let width = (2_000_000 / work).clamp(64, 1024).min(row.max(1));
        let tiles = problem.images * channels[0] * rows * row.div_ceil(width);
        Ok(Convolution {
            phases: if tiles == 0 {
                alloc::vec![]
            } else {
                alloc::vec![Phase::tiles(tiles, (work * (width + 8)) as u64 / 4)]
            },
            weights: at.weights,
            bias: None,
            bytes: [Bytes::of(op, node.input(0)?.element)?, Bytes::of(op, node.input(at.weights)?.element)?],
            zeros: [
                Parameter::zero(op, node, [0, at.zeros[0]], &[])?,
                Parameter::zero(op, node, [at.weights, at.zeros[1]], &channels)?,
            ],
            requantise,
            rows,
            row,
            width,
            isa: node.isa,
            problem,
        })
    }

    fn channels(&self) -> usize {
        self.problem.groups * self.problem.features
    }

    /// One tile; `sums` has [`Convolution::width`] elements.
    #[inline(always)]
    fn tile(&self, io: &Io<'_>, tile: usize, sums: &mut [i32]) {
        let parts = self.row.div_ceil(self.width);
        let (line, column) = (tile / parts, tile % parts * self.width);
        let (plane, row) = (line / self.rows, line % self.rows);
        let channel = plane % self.channels();
        let sums = &mut sums[..self.width.min(self.row - column)];
        sums.fill(self.bias.map_or(0, |bias| io.input::<i32>(bias)[channel]));
        self.accumulate(io, plane / self.channels(), channel, row, column, sums);
        let start = line * self.row + column;
        match self.requantise {
            // SAFETY: this part of the row is this tile's alone.
            None => unsafe { io.shared::<i32>(0).range(start..start + sums.len()) }.copy_from_slice(sums),
            Some(requantise) => {
                // SAFETY: as above.
                let to = unsafe { io.shared::<u8>(0).range(start..start + sums.len()) };
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = requantise.byte(io, *sum, 0, channel);
                }
            }
        }
    }

    /// Adds all products for the columns from `column` on of a row of a channel.
    #[inline(always)]
    fn accumulate(
        &self,
        io: &Io<'_>,
        image: usize,
        channel: usize,
        row: usize,
        column: usize,
        sums: &mut [i32],
    ) {
        let Problem { groups, depth, features, ref input, ref window, .. } = self.problem;
        let inner = input.len() - 1;
        let taps: usize = window.kernel.iter().product();
        let extent: usize = input.iter().product();
        let zero = self.zeros[0].raised(io, self.bytes[0], 0);
        let weight_zero = self.zeros[1].raised(io, self.bytes[1], channel);
        let place = place_of(row, &window.output[..inner]);
        let (x, w) = (io.input::<u8>(0), io.input::<u8>(self.weights));
        let images = (image * groups + channel / features) * depth;
        let bytes = self.bytes[0];
        for tap in 0..taps {
            let at = place_of(tap, &window.kernel);
            let Some(line) = self.input_row(&place, &at) else { continue };
            // The columns whose place `column * stride + shift - begin` lies within the row.
            let (stride, shift) = (window.strides[inner], at[inner] * window.dilations[inner]);
            let begin = window.begins[inner];
            let first = begin.saturating_sub(shift).div_ceil(stride).max(column);
            let end = (input[inner] + begin).saturating_sub(shift).div_ceil(stride).min(column + sums.len());
            if first >= end {
                continue;
            }
            let sums = &mut sums[first - column..end - column];
            let start = line * input[inner] + first * stride + shift - begin;
            for feature in 0..depth {
                let weight = self.bytes[1].raised(w[(channel * depth + feature) * taps + tap]) - weight_zero;
                let x = &x[(images + feature) * extent + start..];
                if stride == 1 {
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = sum.wrapping_add(weight.wrapping_mul(bytes.raised(*x) - zero));
                    }
                } else {
                    for (sum, x) in sums.iter_mut().zip(x.iter().step_by(stride)) {
                        *sum = sum.wrapping_add(weight.wrapping_mul(bytes.raised(*x) - zero));
                    }
                }
            }
        }
    }

    /// The row of the input that a tap meets from a row of the output; `None` in the padding.
    #[inline(always)]
    fn input_row(&self, place: &Place, tap: &Place) -> Option<usize> {
        let Problem { ref input, ref window, .. } = self.problem;
        let mut row = 0;
        for dim in 0..input.len() - 1 {
            let padded = place[dim] * window.strides[dim] + tap[dim] * window.dilations[dim];
            let index = padded.checked_sub(window.begins[dim]).filter(|index| *index < input[dim])?;
            row = row * input[dim] + index;
        }
        Some(row)
    }
}

/// The place of a row-major index.
#[inline(always)]
fn place_of(mut index: usize, extents: &[usize]) -> Place {
    let mut place = [0; MAX_RANK];
    for (slot, extent) in place.iter_mut().zip(extents).rev() {
        *slot = index % extent;
        index /= extent;
    }
    place
}

impl Kernel for Convolution {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        self.width * size_of::<i32>()
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Convolution, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Tiles(convolution, io) = self;
                let sums = io.scratch::<i32>();
                for tile in io.tiles() {
                    convolution.tile(io, tile, sums);
                }
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, numbers, quantised, values};
    use super::*;
    use crate::kernel::testing::{run_with_constants, tensor};
    use inferry_core::{Shape, Tensor};
    use inferry_engine::op::{Op, Padding};

    const TYPES: [ElementType; 2] = [ElementType::U8, ElementType::I8];

    struct Case {
        x: &'static [usize],
        w: &'static [usize],
        group: usize,
        strides: &'static [usize],
        dilations: &'static [usize],
        /// Begins, then ends.
        pads: &'static [usize],
    }

    const CASES: &[Case] = &[
        Case { x: &[1, 1, 3, 3], w: &[1, 1, 2, 2], group: 1, strides: &[], dilations: &[], pads: &[] },
        Case {
            x: &[2, 3, 5, 70],
            w: &[4, 3, 3, 3],
            group: 1,
            strides: &[],
            dilations: &[],
            pads: &[1, 1, 1, 1],
        },
        Case {
            x: &[1, 4, 7, 9],
            w: &[6, 2, 3, 2],
            group: 2,
            strides: &[2, 3],
            dilations: &[1, 2],
            pads: &[0, 3, 2, 1],
        },
        Case { x: &[1, 3, 11], w: &[3, 1, 4], group: 3, strides: &[2], dilations: &[2], pads: &[5, 4] },
        Case {
            x: &[1, 2, 3, 4, 5],
            w: &[3, 2, 2, 2, 2],
            group: 1,
            strides: &[1, 2, 1],
            dilations: &[],
            pads: &[1, 0, 2, 0, 1, 0],
        },
        Case { x: &[1, 2, 1300], w: &[2, 2, 3], group: 1, strides: &[], dilations: &[], pads: &[1, 1] },
    ];

    impl Case {
        fn window(&self) -> Window {
            Window {
                kernel: None,
                strides: self.strides.to_vec(),
                dilations: self.dilations.to_vec(),
                padding: Padding::Explicit(self.pads.to_vec()),
            }
        }

        fn output(&self) -> Vec<usize> {
            let resolved = self.window().resolve(&self.x[2..], &self.w[2..], false).unwrap();
            [self.x[0], self.w[0]].into_iter().chain(resolved.output).collect()
        }

        /// By the definition, element by element: the sum and its channel.
        fn expected(&self, x: &[i64], zx: i64, w: &[i64], zw: &[i64], bias: &[i64]) -> Vec<(i64, usize)> {
            let resolved = self.window().resolve(&self.x[2..], &self.w[2..], false).unwrap();
            let (output, input) = (self.output(), &self.x[2..]);
            let (depth, taps) = (self.w[1], self.w[2..].iter().product::<usize>());
            let mut all = Vec::new();
            for index in 0..output.iter().product() {
                let place = place_of(index, &output);
                let (image, channel) = (place[0], place[1]);
                let mut sum = bias[channel % bias.len()];
                for (feature, tap) in (0..depth).flat_map(|f| (0..taps).map(move |tap| (f, tap))) {
                    let at = place_of(tap, &self.w[2..]);
                    let place = (0..input.len()).map(|dim| {
                        let at = place[2 + dim] * resolved.strides[dim] + at[dim] * resolved.dilations[dim];
                        at.checked_sub(resolved.begins[dim]).filter(|at| *at < input[dim])
                    });
                    let Some(place) = place.collect::<Option<Vec<_>>>() else { continue };
                    let from = channel / (self.w[0] / self.group) * depth + feature;
                    let row = (image * self.x[1] + from, 0);
                    let at = place.iter().zip(input).fold(row.0, |at, (index, extent)| at * extent + index);
                    sum +=
                        (x[at] - zx) * (w[(channel * depth + feature) * taps + tap] - zw[channel % zw.len()]);
                }
                all.push((sum, channel));
            }
            all
        }
    }

    fn check(op: &dyn Op, inputs: Vec<Option<Tensor>>, output: (ElementType, Shape), wanted: &[i64]) {
        for isa in Isa::detect_for_tests() {
            let results = run_with_constants(op, &inputs, &[], core::slice::from_ref(&output), isa);
            assert_eq!(values(&results[0]), wanted, "{op:?} {output:?}");
        }
    }

    fn count(shape: &[usize]) -> usize {
        shape.iter().product()
    }

    #[test]
    fn sums_are_exact_for_every_type_window_and_zero_point() {
        for case in CASES {
            let op = ConvInteger { window: case.window(), group: case.group };
            let output = (ElementType::I32, Shape::new(&case.output()).unwrap());
            for (tx, tw) in TYPES.iter().flat_map(|x| TYPES.iter().map(move |w| (*x, *w))) {
                let (x, w) = (numbers(tx, count(case.x), 1), numbers(tw, count(case.w), 2));
                let zx = numbers(tx, 1, 3);
                let factors = [bytes(tx, &x, case.x), bytes(tw, &w, case.w)];
                for channels in [1, case.w[0]] {
                    let zw = numbers(tw, channels, 4);
                    let shape: &[usize] = if channels == 1 { &[] } else { &[channels] };
                    let zeros = [bytes(tx, &zx, &[]), bytes(tw, &zw, shape)];
                    let sums = case.expected(&x, zx[0], &w, &zw, &[0]);
                    let wanted: Vec<i64> = sums.into_iter().map(|of| of.0).collect();
                    let inputs = factors.iter().cloned().chain(zeros).map(Some).collect();
                    check(&op, inputs, output.clone(), &wanted);
                }
                let wanted: Vec<i64> =
                    case.expected(&x, 0, &w, &[0], &[0]).into_iter().map(|of| of.0).collect();
                check(&op, factors.into_iter().map(Some).collect(), output.clone(), &wanted);
            }
        }
    }

    #[test]
    fn quantized_convolutions_round_halves_to_even_and_hold() {
        for (case, index) in CASES.iter().flat_map(|case| (0..8).map(move |index| (case, index))) {
            let [tx, tw, ty] = [0, 1, 2].map(|bit| TYPES[index >> bit & 1]);
            let (x, w) = (numbers(tx, count(case.x), 5), numbers(tw, count(case.w), 6));
            let channels = case.w[0];
            let (zx, zw, zy) = (numbers(tx, 1, 7), numbers(tw, channels, 8), numbers(ty, 1, 9));
            let (sx, sy) = (0.25f32, 64.0f32);
            let sw: Vec<f32> = (0..channels).map(|n| 0.5 + n as f32 / 8.0).collect();
            let bias: Vec<i32> = (0..channels as i32).map(|n| 40_000 * n - 70_001).collect();
            let wide: Vec<i64> = bias.iter().map(|bias| i64::from(*bias)).collect();
            let wanted: Vec<i64> = case
                .expected(&x, zx[0], &w, &zw, &wide)
                .into_iter()
                .map(|(sum, channel)| quantised(ty, sum, sx * sw[channel] / sy, zy[0]))
                .collect();
            let inputs = [
                bytes(tx, &x, case.x),
                tensor(&[sx], Shape::scalar()),
                bytes(tx, &zx, &[]),
                bytes(tw, &w, case.w),
                tensor(&sw, [channels]),
                bytes(tw, &zw, &[channels]),
                tensor(&[sy], Shape::scalar()),
                bytes(ty, &zy, &[]),
                tensor(&bias, [channels]),
            ];
            let op = QLinearConv { window: case.window(), group: case.group };
            let output = (ty, Shape::new(&case.output()).unwrap());
            check(&op, inputs.into_iter().map(Some).collect(), output, &wanted);
        }
    }

    #[test]
    fn sums_wrap_beyond_32_bits_and_are_exact_below() {
        for depth in [33_025usize, 40_000] {
            let ones = alloc::vec![255i64; depth];
            let inputs =
                [&[1, depth, 1][..], &[1, depth, 1]].map(|shape| Some(bytes(ElementType::U8, &ones, shape)));
            let op = ConvInteger { window: Window::default(), group: 1 };
            let wanted = i64::from((depth as i64 * 65_025) as i32);
            check(&op, inputs.to_vec(), (ElementType::I32, Shape::from([1, 1, 1])), &[wanted]);
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let x: Vec<i64> = (2..=10).collect();
        let inputs = [
            bytes(ElementType::U8, &x, &[1, 1, 3, 3]),
            bytes(ElementType::U8, &[1, 1, 1, 1], &[1, 1, 2, 2]),
            bytes(ElementType::U8, &[1], &[]),
        ];
        let padding = Padding::Explicit(alloc::vec![1, 1, 1, 1]);
        let op = ConvInteger { window: Window { padding, ..Window::default() }, group: 1 };
        let wanted = [1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9];
        let output = (ElementType::I32, Shape::from([1, 1, 4, 4]));
        check(&op, inputs.into_iter().map(Some).collect(), output, &wanted);
    }
}
