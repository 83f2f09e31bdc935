//! LayerNormalization and InstanceNormalization: rows brought to mean 0 and variance 1, then scaled and shifted.
//!
//! A row is read three times, out of the cache: for the mean, for the squares of the distances from it (squares of the numbers
//! themselves would cancel), and for the result. In a layer normalisation each element of a row has its own scale; in an
//! instance normalisation a row is a channel, with one scale.
#![allow(unsafe_code)]

use inferry_core::ElementType;
use inferry_engine::op::{InstanceNormalization, LayerNormalization, Op};

use crate::isa::Isa;
use crate::kernel::arguments::{axis, broadcasts, form};
use crate::kernel::fold::{Sum, fold_row};
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::vector::{load, store};
use crate::kernel::walk::Walk;
use crate::kernel::{BuildError, Builder, Built};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`LayerNormalization`].
pub(crate) fn layer_normalization(op: &LayerNormalization, node: &Builder<'_>) -> Built {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let axis = axis(op.axis, x.shape.rank())?;
    for vector in [Some(scale), node.optional(2)].into_iter().flatten() {
        broadcasts(&vector.shape, &x.shape)?;
        if vector.element != x.element {
            return Err(form(alloc::format!("a scale or bias of {} for {}", vector.element, x.element)));
        }
    }
    match x.element {
        ElementType::F32 => layers::<f32>(op, node, axis),
        ElementType::F64 => layers::<f64>(op, node, axis),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// Builds the kernel of an [`InstanceNormalization`].
pub(crate) fn instance_normalization(op: &InstanceNormalization, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    if x.shape.rank() < 2 {
        return Err(form(alloc::format!("instance normalization of {}", x.shape)));
    }
    for index in [1, 2] {
        let vector = node.input(index)?;
        if vector.shape.count() != x.shape[1] || vector.element != x.element {
            return Err(form(alloc::format!("a scale or bias of {}{}", vector.element, vector.shape)));
        }
    }
    match x.element {
        ElementType::F32 => instances::<f32>(op, node),
        ElementType::F64 => instances::<f64>(op, node),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// What a row needs of its element type.
trait Row: Number {
    /// Mean and variance.
    fn moments(isa: Isa, row: &[Self]) -> [f64; 2];

    /// `(x - mean) * factor * scale + bias`.
    fn scaled(isa: Isa, row: &[Self], moments: [f64; 2], scale: Scale<'_, Self>, to: &mut [Self]);
}

/// What a normalised row is multiplied by, and what is added.
#[derive(Clone, Copy)]
enum Scale<'a, T> {
    /// The same for the whole row.
    One(T, T),
    /// One of each for each element.
    Each(&'a [T], Option<&'a [T]>),
}

const PICOSECONDS: u64 = 400;

fn layers<T: Row>(op: &LayerNormalization, node: &Builder<'_>, axis: usize) -> Built {
    let shape = node.input(0)?.shape.clone();
    let row: usize = shape[axis..].iter().product();
    let rows: usize = shape[..axis].iter().product();
    let epsilon = f64::from(op.epsilon);
    let isa = node.isa;
    // Usually the scale is as long as a row; one that broadcasts otherwise is looked up element by element.
    let plain = |index: usize| node.optional(index).is_none_or(|vector| vector.shape[..] == shape[axis..]);
    let has_bias = node.optional(2).is_some();
    let general = (!plain(1) || !plain(2)).then(|| {
        let of = |index: usize| node.optional(index).map_or(&[][..], |vector| &vector.shape);
        Walk::broadcast(&shape, [of(1), of(2)])
    });
    // Which output holds the mean and which the inverse deviation, where they are asked for.
    let statistics = [1, 2].map(|output| Some(output).filter(|output| *output < node.outputs.len()));
    let phase = spread_rows(rows, row, PICOSECONDS);
    simple(phase, move |io| {
        let first = io.tiles().start * (phase.unit / row.max(1));
        let to = io.rows::<T>();
        let x = io.input::<T>(0);
        let scale = io.input::<T>(1);
        let bias = has_bias.then(|| io.input::<T>(2));
        for (index, to) in to.chunks_exact_mut(row.max(1)).enumerate() {
            let at = (first + index) * row;
            let from = &x[at..at + row];
            let [mean, variance] = T::moments(isa, from);
            let deviation = 1.0 / libm::sqrt(variance + epsilon);
            match &general {
                None => T::scaled(isa, from, [mean, deviation], Scale::Each(scale, bias), to),
                Some(walk) => {
                    for (column, (to, x)) in to.iter_mut().zip(from).enumerate() {
                        let [s, b] = walk.at(at + column);
                        let value = (x.to_f64() - mean) * deviation * scale[s].to_f64();
                        *to = T::from_f64(value + bias.map_or(0.0, |bias| bias[b].to_f64()));
                    }
                }
            }
            for (output, value) in statistics.into_iter().zip([mean, deviation]) {
                if let Some(output) = output {
                    // SAFETY: the statistics of a row belong to the tile of the row.
                    let to = unsafe { io.shared::<f32>(output).range(first + index..first + index + 1) };
                    to[0] = value as f32;
                }
            }
        }
    })
}

fn instances<T: Row>(op: &InstanceNormalization, node: &Builder<'_>) -> Built {
    let shape = &node.input(0)?.shape;
    let channels = shape[1];
    let row: usize = shape[2..].iter().product();
    let epsilon = f64::from(op.epsilon);
    let isa = node.isa;
    let phase = spread_rows(shape[0] * channels, row, PICOSECONDS);
    simple(phase, move |io| {
        let first = io.tiles().start * (phase.unit / row.max(1));
        let to = io.rows::<T>();
        let (x, scale, bias) = (io.input::<T>(0), io.input::<T>(1), io.input::<T>(2));
        for (index, to) in to.chunks_exact_mut(row.max(1)).enumerate() {
            let channel = (first + index) % channels;
            let from = &x[(first + index) * row..][..row];
            let [mean, variance] = T::moments(isa, from);
            let deviation = 1.0 / libm::sqrt(variance + epsilon);
            T::scaled(isa, from, [mean, deviation], Scale::One(scale[channel], bias[channel]), to);
        }
    })
}

impl Row for f64 {
    fn moments(_isa: Isa, row: &[f64]) -> [f64; 2] {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        [mean, row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / row.len() as f64]
    }

    fn scaled(_isa: Isa, row: &[f64], [mean, deviation]: [f64; 2], scale: Scale<'_, f64>, to: &mut [f64]) {
        for (index, (to, x)) in to.iter_mut().zip(row).enumerate() {
            let (a, b) = match scale {
                Scale::One(a, b) => (a, b),
                Scale::Each(a, b) => (a[index], b.map_or(0.0, |b| b[index])),
            };
            *to = (x - mean) * deviation * a + b;
        }
    }
}

impl Row for f32 {
    fn moments(isa: Isa, row: &[f32]) -> [f64; 2] {
        dispatch(isa, Moments(row))
    }

    fn scaled(isa: Isa, row: &[f32], moments: [f64; 2], scale: Scale<'_, f32>, to: &mut [f32]) {
        dispatch(isa, Scaled { row, moments, scale, to });
    }
}

struct Moments<'a>(&'a [f32]);

impl Vectorized for Moments<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f64; 2] {
        let row = self.0;
        let count = row.len() as f64;
        // Distances from about the mean are small numbers, whose sum says exactly what the mean is off by.
        let around = (fold_row(s, Sum, 0.0, row) / count) as f32;
        let center = s.splat(around);
        let (mut sums, mut squares) = ([s.zero(); 2], [s.zero(); 2]);
        let vectors = row.chunks_exact(S::LANES);
        let rest = vectors.remainder();
        for vector in vectors {
            let distance = s.sub(s.load(vector), center);
            // Two sums take turns, so that neither waits for the other.
            sums = [sums[1], s.add(sums[0], distance)];
            squares = [squares[1], s.fma(distance, distance, squares[0])];
        }
        let mut sum = f64::from(s.sum(s.add(sums[0], sums[1])));
        let mut square = f64::from(s.sum(s.add(squares[0], squares[1])));
        for x in rest {
            let distance = f64::from(x - around);
            sum += distance;
            square += distance * distance;
        }
        let off = sum / count;
        [f64::from(around) + off, (square / count - off * off).max(0.0)]
    }
}

/// What brings a row to mean 0 and deviation 1.
struct Normal<S: Simd> {
    around: S::F32,
    factor: S::F32,
    rest: S::F32,
}

impl<S: Simd> Normal<S> {
    #[inline(always)]
    fn of(&self, s: S, x: &[f32]) -> S::F32 {
        s.fma(s.sub(load(s, x), self.around), self.factor, self.rest)
    }
}

struct Scaled<'a> {
    row: &'a [f32],
    moments: [f64; 2],
    scale: Scale<'a, f32>,
    to: &'a mut [f32],
}

impl Vectorized for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [mean, deviation] = self.moments;
        let (around, factor) = (mean as f32, s.splat(deviation as f32));
        // What the nearest f32 to the mean is off by comes off after the multiplication, at no cost.
        let rest = s.splat(((f64::from(around) - mean) * deviation) as f32);
        let around = s.splat(around);
        let normal = Normal { around, factor, rest };
        match self.scale {
            Scale::One(a, b) => {
                let (a, b) = (s.splat(a), s.splat(b));
                for (to, x) in self.to.chunks_mut(S::LANES).zip(self.row.chunks(S::LANES)) {
                    store(s, s.fma(normal.of(s, x), a, b), to);
                }
            }
            Scale::Each(a, Some(b)) => {
                let scales = a.chunks(S::LANES).zip(b.chunks(S::LANES));
                let row = self.row.chunks(S::LANES).zip(scales);
                for (to, (x, (a, b))) in self.to.chunks_mut(S::LANES).zip(row) {
                    store(s, s.fma(normal.of(s, x), load(s, a), load(s, b)), to);
                }
            }
            Scale::Each(a, None) => {
                let row = self.row.chunks(S::LANES).zip(a.chunks(S::LANES));
                for (to, (x, a)) in self.to.chunks_mut(S::LANES).zip(row) {
                    store(s, s.mul(normal.of(s, x), load(s, a)), to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    fn normalised(row: &[f32], epsilon: f64) -> (Vec<f64>, f64, f64) {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let deviation = 1.0 / (variance + epsilon).sqrt();
        (row.iter().map(|x| (f64::from(*x) - mean) * deviation).collect(), mean, deviation)
    }

    #[test]
    fn layers_have_a_scale_for_each_element() {
        for (shape, axis, row) in [([3, 4, 37], -1, 37), ([3, 4, 37], 1, 148), ([2, 1, 5], 2, 5)] {
            let shape = Shape::from(shape);
            let x: Vec<f32> = noise(shape.count(), 5).iter().map(|x| 100.0 + x).collect();
            let (scale, bias) = (noise(row, 6), noise(row, 7));
            let (mut wanted, mut means, mut deviations) = (Vec::new(), Vec::new(), Vec::new());
            for from in x.chunks(row) {
                let (values, mean, deviation) = normalised(from, 1e-5);
                let scaled = values.iter().zip(&scale).zip(&bias);
                wanted.extend(scaled.map(|((x, a), b)| (x * f64::from(*a) + f64::from(*b)) as f32));
                means.push(mean as f32);
                deviations.push(deviation as f32);
            }
            let op = LayerNormalization { axis, epsilon: 1e-5 };
            let first = if axis < 0 { (3 + axis) as usize } else { axis as usize };
            let vector = Shape::new(&shape[first..]).unwrap();
            let mut statistic = shape.clone();
            statistic[first..].fill(1);
            for isa in Isa::detect_for_tests() {
                let inputs = [
                    Some(tensor(&x, shape.clone())),
                    Some(tensor(&scale, vector.clone())),
                    Some(tensor(&bias, vector.clone())),
                ];
                let f32s = |shape: &Shape| (ElementType::F32, shape.clone());
                let outputs = [f32s(&shape), f32s(&statistic), f32s(&statistic)];
                let results = run(&op, &inputs, &outputs, isa);
                assert_close(&results[0].to_vec::<f32>().unwrap(), &wanted, 2e-6, 2e-6);
                assert_close(&results[1].to_vec::<f32>().unwrap(), &means, 0.0, 1e-6);
                assert_close(&results[2].to_vec::<f32>().unwrap(), &deviations, 0.0, 1e-5);
                // Without a bias, and with a scale that broadcasts along the row.
                let one = [inputs[0].clone(), Some(tensor(&[2.0f32], [1]))];
                let result = run(&op, &one, &outputs[..1], isa)[0].to_vec::<f32>().unwrap();
                let wanted: Vec<f32> =
                    x.chunks(row).flat_map(|row| normalised(row, 1e-5).0).map(|x| (2.0 * x) as f32).collect();
                assert_close(&result, &wanted, 2e-6, 2e-6);
            }
        }
    }

    #[test]
    fn instances_have_one_for_each_channel() {
        let shape = Shape::from([2, 3, 5, 7]);
        let x = noise(shape.count(), 8);
        let (scale, bias) = (noise(3, 9), noise(3, 10));
        let mut wanted = Vec::new();
        for (index, row) in x.chunks(35).enumerate() {
            let (a, b) = (f64::from(scale[index % 3]), f64::from(bias[index % 3]));
            wanted.extend(normalised(row, 1e-2).0.into_iter().map(|x| (x * a + b) as f32));
        }
        let inputs = [Some(tensor(&x, shape.clone())), Some(tensor(&scale, [3])), Some(tensor(&bias, [3]))];
        for isa in Isa::detect_for_tests() {
            let op = InstanceNormalization { epsilon: 1e-2 };
            let result = run(&op, &inputs, &[(ElementType::F32, shape.clone())], isa);
            assert_close(&result[0].to_vec::<f32>().unwrap(), &wanted, 1e-6, 1e-5);
        }
    }

    #[test]
    fn f64_is_normalised_in_f64() {
        let x = [Some(tensor(&[1.0f64, 2.0, 3.0, 6.0], [1, 4])), Some(tensor(&[1.0f64; 4], [4]))];
        let op = LayerNormalization { axis: -1, epsilon: 0.0 };
        let result = run(&op, &x, &[(ElementType::F64, [1, 4].into())], Isa::portable());
        let root = 3.5f64.sqrt();
        let wanted = [-2.0 / root, -1.0 / root, 0.0, 3.0 / root];
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(result[0].to_vec::<f64>().unwrap().iter().zip(&wanted).all(close));
    }
}
