//! BatchNormalization: each channel scaled and shifted.
//!
//! With the statistics of the training this is `x * factor + offset`, one pair for each channel. Where the four vectors are
//! constants, the pairs are worked out when the kernel is built; else a first phase does it. (A plan folds most of these
//! operators into the convolution before them; this is for the rest.)

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::{Element, ElementType, Shape};
use inferry_engine::op::{BatchNormalization, Op};

use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::number::Number;
use crate::kernel::simple::spread;
use crate::kernel::vector::{load, store};
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`BatchNormalization`].
pub(crate) fn batch_normalization(op: &BatchNormalization, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let channels = if x.shape.rank() < 2 { 1 } else { x.shape[1] };
    for index in 1..5 {
        let vector = node.input(index)?;
        if vector.element != x.element || vector.shape.count() != channels {
            return Err(form(alloc::format!(
                "input {index} is {}{} for {channels} channels of {}",
                vector.element,
                vector.shape,
                x.element
            )));
        }
    }
    match x.element {
        ElementType::F32 => build::<f32>(op, node, channels, vectors),
        ElementType::F64 => build::<f64>(op, node, channels, |_, x, a, b, to| {
            to.iter_mut().zip(x).for_each(|(to, x)| *to = x * a + b);
        }),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// `to = x * a + b` for a run of one channel.
type Line<T> = fn(Isa, &[T], T, T, &mut [T]);

fn build<T: Number + Element>(
    op: &BatchNormalization,
    node: &Builder<'_>,
    channels: usize,
    line: Line<T>,
) -> Built {
    let shape: &Shape = &node.input(0)?.shape;
    let inner: usize = shape.iter().skip(2).product();
    let epsilon = f64::from(op.epsilon);
    let constants: Option<Vec<Vec<T>>> =
        (1..5).map(|index| node.input(index).ok()?.constant?.to_vec().ok()).collect();
    let pairs = constants.map(|vectors| {
        let pair = |channel| pair(|index: usize| vectors[index - 1][channel], epsilon);
        (0..channels).map(pair).collect()
    });
    let main = spread(shape.count(), 150);
    let first = Phase::rows(channels, channels.max(1), channels as u64 * 20);
    let first = Phase { unit: 0, ..first };
    let phases: Box<[Phase]> = if pairs.is_some() { Box::new([main]) } else { Box::new([first, main]) };
    Ok(Box::new(BatchNorm { phases, pairs, channels, inner: inner.max(1), epsilon, line, isa: node.isa }))
}

/// Factor and offset of a channel, from its scale, bias, mean and variance (inputs 1 to 4).
fn pair<T: Number>(input: impl Fn(usize) -> T, epsilon: f64) -> [T; 2] {
    let factor = input(1).to_f64() / libm::sqrt(input(4).to_f64() + epsilon);
    [T::from_f64(factor), T::from_f64(input(2).to_f64() - input(3).to_f64() * factor)]
}

struct BatchNorm<T> {
    phases: Box<[Phase]>,
    pairs: Option<Box<[[T; 2]]>>,
    channels: usize,
    inner: usize,
    epsilon: f64,
    line: Line<T>,
    isa: Isa,
}

impl<T: Number> Kernel for BatchNorm<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        if self.pairs.is_some() { 0 } else { self.channels * size_of::<[T; 2]>() }
    }

    #[allow(unsafe_code)]
    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase + 1 < self.phases.len() {
            for (channel, to) in io.whole_workspace::<T>().chunks_exact_mut(2).take(self.channels).enumerate()
            {
                to.copy_from_slice(&pair(|index| io.input::<T>(index)[channel], self.epsilon));
            }
            return;
        }
        let pairs: &[[T; 2]] = match &self.pairs {
            Some(pairs) => pairs,
            // SAFETY: the phase before wrote the pairs, this one only reads them.
            None => pairs_of(unsafe { io.read_workspace::<T>() }),
        };
        let start = io.tiles().start * self.phases[phase].unit;
        let to = io.rows::<T>();
        let x = &io.input::<T>(0)[start..start + to.len()];
        if self.inner == 1 {
            // The channel is the last dimension: every element has the next pair.
            let pairs = pairs[..self.channels].iter().cycle().skip(start % self.channels);
            for ((to, x), [a, b]) in to.iter_mut().zip(x).zip(pairs) {
                *to = x.mul(*a).add(*b);
            }
            return;
        }
        let mut done = 0;
        while done < to.len() {
            let (run, skipped) = ((start + done) / self.inner, (start + done) % self.inner);
            let end = to.len().min(done + self.inner - skipped);
            let [a, b] = pairs[run % self.channels];
            (self.line)(self.isa, &x[done..end], a, b, &mut to[done..end]);
            done = end;
        }
    }
}

fn pairs_of<T: Number>(numbers: &[T]) -> &[[T; 2]] {
    numbers.as_chunks().0
}

fn vectors(isa: Isa, x: &[f32], a: f32, b: f32, to: &mut [f32]) {
    dispatch(isa, Scaled { x, a, b, to });
}

/// `to = x * a + b`
struct Scaled<'a> {
    x: &'a [f32],
    a: f32,
    b: f32,
    to: &'a mut [f32],
}

impl Vectorized for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (a, b) = (s.splat(self.a), s.splat(self.b));
        for (to, x) in self.to.chunks_mut(S::LANES).zip(self.x.chunks(S::LANES)) {
            store(s, s.fma(load(s, x), a, b), to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run_with_constants, tensor};

    #[test]
    fn each_channel_with_its_own_statistics() {
        for shape in [Shape::from([2, 3, 4, 5]), [4, 3].into(), [2, 3, 33].into(), [1, 3, 1, 1].into()] {
            let x = noise(shape.count(), 1);
            let (scale, bias) = (noise(3, 2), noise(3, 3));
            let (mean, variance) = (noise(3, 4), [0.5f32, 1.0, 2.0]);
            let inner: usize = shape.iter().skip(2).product();
            let wanted: Vec<f32> = x
                .iter()
                .enumerate()
                .map(|(index, x)| {
                    let channel = index / inner % 3;
                    (x - mean[channel]) / (variance[channel] + 1e-3).sqrt() * scale[channel] + bias[channel]
                })
                .collect();
            let vectors = [&scale[..], &bias, &mean, &variance].map(|vector| Some(tensor(vector, [3])));
            let mut inputs = alloc::vec![Some(tensor(&x, shape.clone()))];
            inputs.extend(vectors);
            let outputs = [(ElementType::F32, shape)];
            let op = BatchNormalization { epsilon: 1e-3 };
            for isa in Isa::detect_for_tests() {
                for constants in [&[][..], &[1, 2, 3, 4]] {
                    let result = run_with_constants(&op, &inputs, constants, &outputs, isa);
                    assert_close(&result[0].to_vec::<f32>().unwrap(), &wanted, 1e-6, 1e-6);
                }
            }
        }
    }
}
