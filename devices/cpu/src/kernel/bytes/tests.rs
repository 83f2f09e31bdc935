//! Byte kernels against their definition, element by element. Scales are powers of two, so that every step is exact.

use std::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::op::{ByteConv, ByteMaxPool, ByteMean, Op, Padding, Rounding, Target, Window};

use crate::isa::Isa;
use crate::kernel::testing::{run_with_constants, tensor};
use crate::simd::{Dots, SIGNED, WORDS, dots};

struct Case {
    /// `[N, spatial..., C]`
    x: &'static [usize],
    /// Output channels, then the kernel.
    w: &'static [usize],
    group: usize,
    strides: &'static [usize],
    dilations: &'static [usize],
    /// Begins, then ends.
    pads: &'static [usize],
}

const fn plain(x: &'static [usize], w: &'static [usize]) -> Case {
    Case { x, w, group: 1, strides: &[], dilations: &[], pads: &[] }
}

const CASES: &[Case] = &[
    plain(&[1, 1], &[1]),
    plain(&[3, 40], &[37]),
    plain(&[17, 5], &[16]),
    plain(&[2, 5, 8], &[20, 1]),
    plain(&[1, 5, 7, 12], &[33, 1, 1]),
    plain(&[2, 3, 5, 3], &[5, 2, 3]),
    Case { strides: &[2, 2], ..plain(&[1, 6, 7, 8], &[18, 1, 1]) },
    Case { pads: &[1, 1, 1, 1], ..plain(&[1, 6, 19, 16], &[49, 3, 3]) },
    Case { pads: &[0, 2, 1, 0], ..plain(&[2, 8, 7, 24], &[21, 3, 3]) },
    // More pixels than are widened at a time.
    plain(&[300, 60], &[9]),
    Case { pads: &[3, 3, 3, 3], strides: &[2, 2], ..plain(&[2, 9, 8, 3], &[17, 7, 7]) },
    Case { pads: &[0, 2, 1, 0], dilations: &[2, 3], ..plain(&[1, 9, 10, 2], &[6, 2, 3]) },
    Case { group: 2, pads: &[1, 0, 0, 1], strides: &[1, 2], ..plain(&[2, 5, 6, 6], &[8, 2, 2]) },
    Case { group: 3, ..plain(&[1, 4, 4, 12], &[51, 1, 2]) },
    Case { pads: &[4, 3], strides: &[2], dilations: &[2], ..plain(&[2, 11, 3], &[4, 3]) },
    // Depthwise.
    Case { group: 5, pads: &[1, 1, 1, 1], ..plain(&[2, 4, 33, 5], &[5, 3, 3]) },
    Case { group: 40, pads: &[2, 2, 2, 2], strides: &[2, 2], ..plain(&[1, 9, 8, 40], &[40, 5, 5]) },
    Case {
        group: 16,
        pads: &[0, 3, 1, 0],
        strides: &[1, 3],
        dilations: &[2, 1],
        ..plain(&[1, 6, 9, 16], &[16, 2, 4])
    },
    Case { group: 18, pads: &[1, 1], ..plain(&[3, 7, 18], &[18, 3]) },
    // Two output channels for each input channel.
    Case { group: 4, ..plain(&[1, 5, 5, 4], &[8, 2, 2]) },
];

/// What a case does besides multiplying.
#[derive(Clone, Copy)]
struct Form {
    x: ElementType,
    /// The largest magnitude of weights.
    weights: i64,
    whole_bias: bool,
    rounding: bool,
    slope: bool,
    residual: Option<ElementType>,
    target: Option<ElementType>,
    limits: Option<[f32; 2]>,
    /// Scale and zero point of the image come with the run.
    of_run: bool,
}

use ElementType::{I8, U8};

const PLAIN: Form = Form {
    x: U8,
    weights: 128,
    whole_bias: false,
    rounding: false,
    slope: false,
    residual: None,
    target: Some(U8),
    limits: None,
    of_run: false,
};

/// As dynamic quantisation has it.
const DYNAMIC: Form = Form { of_run: true, target: None, ..PLAIN };

const FORMS: &[Form] = &[
    PLAIN,
    Form { x: I8, whole_bias: true, target: Some(I8), ..PLAIN },
    Form { weights: 255, rounding: true, slope: true, ..PLAIN },
    Form { rounding: true, residual: Some(U8), ..PLAIN },
    Form { x: I8, slope: true, residual: Some(I8), target: Some(I8), ..PLAIN },
    Form { target: None, slope: true, ..PLAIN },
    DYNAMIC,
    Form { weights: 150, slope: true, ..DYNAMIC },
    Form { x: I8, weights: 255, limits: Some([0.0, 6.0]), ..DYNAMIC },
    Form { x: I8, whole_bias: true, residual: Some(U8), target: Some(I8), ..DYNAMIC },
];

/// Numbers between `low` and `high` that look random, both among them.
fn numbers(count: usize, low: i64, high: i64, seed: u64) -> Vec<i64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state >> 60 {
            0 => low,
            1 => high,
            _ => low + (state >> 20) as i64 % (high - low + 1),
        }
    };
    (0..count).map(|_| next()).collect()
}

fn range(element: ElementType) -> (i64, i64) {
    if element == I8 { (-128, 127) } else { (0, 255) }
}

fn bytes(element: ElementType, values: &[i64], shape: &[usize]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    match element {
        I8 => tensor(&values.iter().map(|value| *value as i8).collect::<Vec<_>>(), shape),
        _ => tensor(&values.iter().map(|value| *value as u8).collect::<Vec<_>>(), shape),
    }
}

fn values(of: &Tensor) -> Vec<f64> {
    match of.element() {
        I8 => of.to_vec::<i8>().unwrap().into_iter().map(f64::from).collect(),
        U8 => of.to_vec::<u8>().unwrap().into_iter().map(f64::from).collect(),
        _ => of.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
    }
}

fn count(extents: &[usize]) -> usize {
    extents.iter().product()
}

/// The index of each dimension of a row-major place.
fn place(mut index: usize, extents: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> =
        extents.iter().rev().map(|extent| (index % extent, index /= extent).0).collect();
    place.reverse();
    place
}

impl Case {
    fn window(&self) -> Window {
        Window {
            kernel: None,
            strides: self.strides.to_vec(),
            dilations: self.dilations.to_vec(),
            padding: Padding::Explicit(self.pads.to_vec()),
        }
    }

    fn spatial(&self) -> &[usize] {
        &self.x[1..self.x.len() - 1]
    }

    fn channels(&self) -> usize {
        self.x[self.x.len() - 1]
    }

    fn output(&self) -> Vec<usize> {
        let resolved = self.window().resolve(self.spatial(), &self.w[1..], false).unwrap();
        [self.x[0]].into_iter().chain(resolved.output).chain([self.w[0]]).collect()
    }

    /// For each output the places in the image, by pixel and channel, and the weights that meet there.
    fn sum(&self, index: usize, each: impl Fn(usize, usize) -> i64) -> i64 {
        let resolved = self.window().resolve(self.spatial(), &self.w[1..], false).unwrap();
        let out = place(index, &self.output());
        let (image, feature) = (out[0], out[out.len() - 1]);
        let depth = self.channels() / self.group;
        let first = feature / (self.w[0] / self.group) * depth;
        let mut sum = 0;
        for tap in 0..count(&self.w[1..]) {
            let at = place(tap, &self.w[1..]);
            let pixel = (0..at.len()).try_fold(image, |pixel, dim| {
                let at = out[1 + dim] * resolved.strides[dim] + at[dim] * resolved.dilations[dim];
                let at = at.checked_sub(resolved.begins[dim]).filter(|at| *at < self.spatial()[dim])?;
                Some(pixel * self.spatial()[dim] + at)
            });
            let Some(pixel) = pixel else { continue };
            for channel in 0..depth {
                let weight = (feature * depth + channel) * count(&self.w[1..]) + tap;
                sum += each(pixel * self.channels() + first + channel, weight);
            }
        }
        sum
    }

    /// Runs the convolution in a form and compares it with its definition.
    fn check(&self, form: Form, apart: bool) {
        let (features, depth) = (self.w[0], self.channels() / self.group);
        let (low, high) = range(form.x);
        let x = numbers(count(self.x), low, high, 1);
        let w = numbers(
            features * depth * count(&self.w[1..]),
            -form.weights,
            form.weights.min(form.weights - 1),
            2,
        );
        let zero = numbers(1, low, high, 3)[0];
        let scale: Vec<f32> = (0..features).map(|m| [1.0 / 64.0, 1.0 / 256.0][m % 2]).collect();
        let bias = numbers(features, -900, 900, 4);
        let slope: Vec<f32> = (0..features).map(|m| [0.25, 0.5, -0.5][m % 3]).collect();
        let output = self.output();
        let residual = form.residual.map(|element| {
            let (low, high) = range(element);
            (element, numbers(count(&output), low, high, 5), 0.5, numbers(1, low, high, 6)[0])
        });
        let grid = |element| {
            let (low, high) = range(element);
            let zero = numbers(1, low, high, 7)[0];
            // An activation holds a little more than the type does.
            let rounding = Rounding { scale: 4.0, low: (low - zero) as f32, high: (high - zero - 9) as f32 };
            Target { rounding, zero: zero as i32, element }
        };
        let op = ByteConv {
            window: self.window(),
            group: self.group,
            // What the run brings counts.
            zero: if form.of_run { 5 } else { zero as i32 },
            apart,
            rounding: form.rounding.then_some(Rounding { scale: 2.0, low: -130.0, high: 125.0 }),
            residual: residual.as_ref().map_or((1.0, 0), |(_, _, scale, zero)| (*scale, *zero as i32)),
            target: form.target.map(grid),
            limits: form.limits,
        };
        let real = |index: usize| {
            let feature = index % features;
            let sum = self.sum(index, |at, weight| (x[at] - zero) * w[weight]);
            let scale = f64::from(scale[feature]) * if form.of_run { 0.5 } else { 1.0 };
            let mut value = match form.whole_bias {
                true => (sum + bias[feature]) as f64 * scale,
                false => sum as f64 * scale + bias[feature] as f64 / 4.0,
            };
            let round = |value: f64, to: Rounding| {
                let whole = (value / f64::from(to.scale)).round_ties_even();
                whole.clamp(f64::from(to.low), f64::from(to.high))
            };
            if let Some(rounding) = op.rounding {
                value = round(value, rounding) * f64::from(rounding.scale);
            }
            if form.slope && value < 0.0 {
                value *= f64::from(slope[feature]);
            }
            if let Some((_, bytes, scale, zero)) = &residual {
                value += (bytes[index] - zero) as f64 * f64::from(*scale);
            }
            if let Some([low, high]) = op.limits {
                value = value.clamp(f64::from(low), f64::from(high));
            }
            op.target.map_or(value, |target| round(value, target.rounding) + f64::from(target.zero))
        };
        let wanted: Vec<f64> = (0..count(&output)).map(real).collect();
        let shape = [&[features, depth], &self.w[1..]].concat();
        let weights = match form.weights {
            128 => bytes(I8, &w, &shape),
            _ => tensor(&w.iter().map(|w| *w as i16).collect::<Vec<_>>(), Shape::new(&shape).unwrap()),
        };
        let bias = match form.whole_bias {
            true => tensor(&bias.iter().map(|bias| *bias as i32).collect::<Vec<_>>(), [features]),
            false => tensor(&bias.iter().map(|bias| *bias as f32 / 4.0).collect::<Vec<_>>(), [features]),
        };
        let slope = form.slope.then(|| tensor(&slope, [features]));
        let residual = residual.map(|(element, values, ..)| bytes(element, &values, &output));
        let image = if apart { self.apart(form.x, &x) } else { bytes(form.x, &x, self.x) };
        let of_run = form.of_run.then(|| [tensor(&[0.5f32], []), bytes(form.x, &[zero], &[])]);
        let mut inputs =
            [Some(image), Some(weights), Some(tensor(&scale, [features])), Some(bias), slope, residual]
                .to_vec();
        inputs.extend(of_run.into_iter().flatten().map(Some));
        let element = form.target.unwrap_or(ElementType::F32);
        let all = Isa::detect_for_tests().into_iter();
        let ways = all.flat_map(|isa| [(isa, dots(isa)), (isa, Dots::Words)]);
        // The portable loops can be told to read signed bytes; in WebAssembly with vectors nothing is computed by them.
        let has_vectors = cfg!(all(target_arch = "wasm32", target_feature = "simd128"));
        let signed = (!has_vectors).then(|| (Isa::portable(), Dots::Signed));
        for (isa, way) in ways.chain(signed) {
            SIGNED.set(way == Dots::Signed);
            WORDS.set(way == Dots::Words);
            let output = (element, Shape::new(&output).unwrap());
            let results = run_with_constants(&op, &inputs, &[1, 2, 3, 4], &[output], isa);
            SIGNED.set(false);
            WORDS.set(false);
            let isa = (isa.level(), way);
            assert_eq!(values(&results[0]), wanted, "{isa:?} {:?} {:?} {:?}", self.x, self.w, op);
        }
    }

    /// The image with its channels second.
    fn apart(&self, element: ElementType, x: &[i64]) -> Tensor {
        let shape = [&[self.x[0], self.channels()], self.spatial()].concat();
        let pixels = count(self.spatial());
        let at = |index: usize| {
            let (rest, pixel) = (index / pixels, index % pixels);
            (rest / self.channels() * pixels + pixel) * self.channels() + rest % self.channels()
        };
        let values: Vec<i64> = (0..x.len()).map(|index| x[at(index)]).collect();
        bytes(element, &values, &shape)
    }
}

#[test]
fn convolutions_are_what_their_definition_says() {
    for case in CASES {
        for form in FORMS {
            case.check(*form, false);
        }
    }
}

#[test]
fn channels_of_an_image_may_lie_apart() {
    for case in CASES.iter().filter(|case| case.channels() <= 4 && case.group == 1 && case.x.len() > 2) {
        case.check(PLAIN, true);
        case.check(FORMS[1], true);
        case.check(DYNAMIC, true);
        case.check(Form { x: I8, ..DYNAMIC }, true);
    }
}

#[test]
fn an_output_without_elements_needs_no_work() {
    plain(&[0, 5, 5, 4], &[3, 2, 2]).check(PLAIN, false);
    plain(&[0, 5], &[3]).check(PLAIN, false);
    Case { group: 6, ..plain(&[0, 5, 5, 6], &[6, 2, 2]) }.check(PLAIN, false);
}

#[test]
fn the_largest_bytes_of_windows_are_found() {
    for (x, kernel, strides, pads, ceil) in [
        (&[1, 5, 5, 3][..], &[1, 1][..], &[2, 2][..], &[][..], false),
        (&[1, 3, 9, 7], &[4, 5], &[1, 2], &[3, 4, 2, 4], false),
        (&[1, 6, 7, 5], &[2, 3], &[], &[], false),
        (&[2, 8, 9, 64], &[3, 3], &[2, 2], &[1, 1, 1, 1], false),
        (&[1, 5, 6, 35], &[2, 2], &[2, 2], &[], true),
        (&[3, 11, 18], &[4], &[3], &[2, 1], false),
    ] {
        for element in [U8, I8, ElementType::F32] {
            let (low, high) = range(element);
            let numbers = numbers(count(x), low, high, 8);
            let image = match element {
                ElementType::F32 => {
                    let real: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
                    tensor(&real, Shape::new(x).unwrap())
                }
                _ => bytes(element, &numbers, x),
            };
            let padding = Padding::Explicit(pads.to_vec());
            let window = Window {
                kernel: Some(kernel.to_vec()),
                strides: strides.to_vec(),
                dilations: Vec::new(),
                padding,
            };
            let spatial = &x[1..x.len() - 1];
            let resolved = window.resolve(spatial, kernel, ceil).unwrap();
            let channels = x[x.len() - 1];
            let shape: Vec<usize> =
                [x[0]].into_iter().chain(resolved.output.clone()).chain([channels]).collect();
            let largest = |index: usize| {
                let out = place(index, &shape);
                let taps = (0..count(kernel)).filter_map(|tap| {
                    let tap = place(tap, kernel);
                    let pixel = (0..tap.len()).try_fold(out[0], |pixel, dim| {
                        let at = out[1 + dim] * resolved.strides[dim] + tap[dim];
                        let at = at.checked_sub(resolved.begins[dim]).filter(|at| *at < spatial[dim])?;
                        Some(pixel * spatial[dim] + at)
                    })?;
                    Some(numbers[pixel * channels + out[out.len() - 1]])
                });
                taps.max().unwrap() as f64
            };
            let wanted: Vec<f64> = (0..count(&shape)).map(largest).collect();
            let op = ByteMaxPool { window, ceil };
            for isa in Isa::detect_for_tests() {
                let output = (element, Shape::new(&shape).unwrap());
                let results = run_with_constants(&op, &[Some(image.clone())], &[], &[output], isa);
                assert_eq!(values(&results[0]), wanted, "{:?} {x:?}", isa.level());
            }
        }
    }
}

#[test]
fn means_are_rounded_to_the_nearest_byte() {
    for (x, element) in [(&[2usize, 4, 4, 5][..], U8), (&[1, 2, 8, 130], I8), (&[3, 16, 64], U8)] {
        let (low, high) = range(element);
        let numbers = numbers(count(x), low, high, 9);
        let (channels, pixels) = (x[x.len() - 1], count(&x[1..x.len() - 1]));
        let rounding = Rounding { scale: 0.5, low: -100.0, high: 155.0 };
        let op = ByteMean { scale: 0.25, zero: 7, target: Target { rounding, zero: 100, element: U8 } };
        let mean = |index: usize| {
            let (image, channel) = (index / channels, index % channels);
            let sum: i64 =
                (0..pixels).map(|pixel| numbers[(image * pixels + pixel) * channels + channel] - 7).sum();
            let value = (sum as f64 / pixels as f64 * 0.25 / 0.5).round_ties_even();
            value.clamp(-100.0, 155.0) + 100.0
        };
        let wanted: Vec<f64> = (0..x[0] * channels).map(mean).collect();
        let mut shape = alloc::vec![1; x.len()];
        (shape[0], shape[x.len() - 1]) = (x[0], channels);
        for isa in Isa::detect_for_tests() {
            let output = (U8, Shape::new(&shape).unwrap());
            let results = run_with_constants(&op, &[Some(bytes(element, &numbers, x))], &[], &[output], isa);
            assert_eq!(values(&results[0]), wanted, "{:?} {x:?}", isa.level());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let op = ByteConv {
        window: Window::default(),
        group: 1,
        zero: 0,
        apart: false,
        rounding: None,
        residual: (1.0, 0),
        target: None,
        limits: None,
    };
    let vector = tensor(&[1.0f32; 2], [2]);
    let x = bytes(U8, &[0; 12], &[1, 2, 2, 3]);
    for (weights, constant) in [(&[2, 3, 1, 1][..], false), (&[2, 4, 1, 1], true), (&[2, 3, 1], true)] {
        let w = bytes(I8, &alloc::vec![0; count(weights)], weights);
        let operands = [(&x, false), (&w, constant), (&vector, true), (&vector, true)];
        let inputs = operands.map(|(tensor, constant)| Some(crate::single::operand(tensor, constant)));
        let outputs = [(ElementType::F32, Shape::from([1, 2, 2, 2]))];
        let packs = crate::pack::Packs::default();
        let isa = Isa::portable();
        let node = crate::kernel::Builder { inputs: &inputs, outputs: &outputs, isa, packs: &packs };
        assert!(crate::kernel::build(&op as &dyn Op, &node).is_err());
    }
}
