//! Random numbers, by the counter: Philox 4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", 2011).
//!
//! The n-th number is a function of a key and n, with no state between numbers, so that tiles are independent and the same
//! key gives the same numbers however the work is cut. The key is the node's seed. A node without a seed takes a new key
//! for every run, from a count of such runs in this process.

use alloc::boxed::Box;

use inferry_core::ElementType;
use inferry_engine::op::{Distribution, Multinomial, Op, Random};

use crate::io::Io;
use crate::kernel::any::{Read, reader};
use crate::kernel::arguments::form;
use crate::kernel::number::Number;
use crate::kernel::simple::{spread, spread_rows};
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`Random`].
pub(crate) fn random(op: &Random, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    let distribution = op.distribution;
    let phase = spread(output.count(), 20_000);
    match element {
        ElementType::F32 => {
            keyed(op.seed, phase, 0, move |key, io| fill::<f32>(distribution, key, phase, io))
        }
        ElementType::F64 => {
            keyed(op.seed, phase, 0, move |key, io| fill::<f64>(distribution, key, phase, io))
        }
        element => Err(BuildError::Element { op: op.name(), element: *element }),
    }
}

fn fill<T: Number>(distribution: Distribution, key: u64, phase: Phase, io: &mut Io<'_>) {
    let start = io.tiles().start * phase.unit;
    for (index, to) in io.rows::<T>().iter_mut().enumerate() {
        let at = (start + index) as u64;
        *to = T::from_f64(match distribution {
            // Cut to 24 bits, a number below 1 stays below 1 as f32.
            Distribution::Uniform { low, high } => {
                let share = f64::from(word(key, at) >> 8) / f64::from(1u32 << 24);
                f64::from(low) + share * (f64::from(high) - f64::from(low))
            }
            Distribution::Normal { mean, scale } => f64::from(mean) + f64::from(scale) * normal(key, at),
        });
    }
}

/// Number `at` of a normal distribution, by Box and Muller: two uniform numbers make two normal ones.
fn normal(key: u64, at: u64) -> f64 {
    let first = (f64::from(word(key, at & !1)) + 1.0) / 4_294_967_296.0;
    let second = f64::from(word(key, at | 1)) / 4_294_967_296.0;
    let (radius, angle) = (libm::sqrt(-2.0 * libm::log(first)), core::f64::consts::TAU * second);
    radius * if at.is_multiple_of(2) { libm::cos(angle) } else { libm::sin(angle) }
}

/// Builds the kernel of a [`Multinomial`].
pub(crate) fn multinomial(op: &Multinomial, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let [_, classes] = x.shape[..] else { return Err(form("rows of classes are needed")) };
    let read = reader(op.name(), x.element)?;
    let samples = op.samples;
    let phase =
        spread_rows(node.output(0).1[0], samples, 30_000 + 30_000 * (classes / samples.max(1)) as u64);
    let scratch = classes * size_of::<f64>();
    keyed(op.seed, phase, scratch, move |key, io| {
        let start = io.tiles().start * phase.unit;
        let (to, x, worths) = (io.rows::<i64>(), io.input::<u8>(0), io.scratch::<f64>());
        let worths = &mut worths[..classes];
        for (index, to) in to.chunks_exact_mut(samples.max(1)).enumerate() {
            let row = start / samples + index;
            sums(x, read, row * classes, worths);
            for (sample, to) in to.iter_mut().enumerate() {
                let share = f64::from(word(key, (row * samples + sample) as u64)) / 4_294_967_296.0;
                let wanted = share * worths[classes - 1];
                *to = worths.partition_point(|sum| *sum <= wanted).min(classes - 1) as i64;
            }
        }
    })
}

/// What the classes from the first on are worth together: exponentials of their logarithms, the largest as 1.
fn sums(x: &[u8], read: Read, first: usize, sums: &mut [f64]) {
    let of = |class: usize| read(x, first + class);
    let largest = (0..sums.len()).map(of).fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for (class, to) in sums.iter_mut().enumerate() {
        sum += libm::exp(of(class) - largest);
        *to = sum;
    }
}

/// A kernel that is given its key: that of the seed, or a new one for each run, which a phase before writes down.
fn keyed(
    seed: Option<u64>,
    phase: Phase,
    scratch: usize,
    body: impl Fn(u64, &mut Io<'_>) + Send + Sync + 'static,
) -> Built {
    Ok(Box::new(Keyed { seed, phases: [Phase::serial(1, 1), phase], scratch, body }))
}

struct Keyed<F> {
    seed: Option<u64>,
    /// The first one writes the key and is left out when there is a seed.
    phases: [Phase; 2],
    scratch: usize,
    body: F,
}

impl<F: Fn(u64, &mut Io<'_>) + Send + Sync> Kernel for Keyed<F> {
    fn phases(&self) -> &[Phase] {
        &self.phases[usize::from(self.seed.is_some())..]
    }

    fn workspace(&self) -> usize {
        if self.seed.is_some() { 0 } else { size_of::<u64>() }
    }

    fn scratch(&self) -> usize {
        self.scratch
    }

    #[allow(unsafe_code)]
    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if let Some(seed) = self.seed {
            (self.body)(seed, io);
        } else if phase == 0 {
            io.whole_workspace::<u64>()[0] = fresh_key();
        } else {
            // SAFETY: the phase before wrote the key, this one only reads it.
            let key = unsafe { io.read_workspace::<u64>() };
            (self.body)(key[0], io);
        }
    }
}

/// Another key each time. Seeds have no such high bits, so that no run without a seed repeats one with a seed.
fn fresh_key() -> u64 {
    static RUNS: spin::Mutex<u32> = spin::Mutex::new(0);
    let mut runs = RUNS.lock();
    *runs = runs.wrapping_add(1);
    u64::from(*runs) | 0x9e37_79b9 << 32
}

/// The 32 bits of number `at`.
fn word(key: u64, at: u64) -> u32 {
    let counter = at / 4;
    philox([counter as u32, (counter >> 32) as u32, 0, 0], [key as u32, (key >> 32) as u32])[at as usize % 4]
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (u64::from(counter[0]) * 0xd251_1f53, u64::from(counter[2]) * 0xcd9e_8d57);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use crate::single;
    use alloc::vec::Vec;
    use inferry_core::Tensor;

    #[test]
    fn the_generator_gives_the_numbers_of_its_authors() {
        // The known answers that come with the paper's library.
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answer = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), answer);
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn uniform_and_normal_numbers_are_spread_as_they_should() {
        let shape = tensor(&[100i64, 100], [2]);
        let uniform = Distribution::Uniform { low: -1.0, high: 3.0 };
        let op = Random { distribution: uniform, seed: Some(7), element: ElementType::F64 };
        let values = run_one::<f64>(&op, &[&shape], [100, 100]);
        let (mean, variance) = moments(&values);
        assert!((mean - 1.0).abs() < 0.05 && (variance - 16.0 / 12.0).abs() < 0.05, "{mean} {variance}");
        assert!(values.iter().all(|value| (-1.0..3.0).contains(value)));
        let normal = Distribution::Normal { mean: 5.0, scale: 2.0 };
        let op = Random { distribution: normal, seed: Some(7), element: ElementType::F32 };
        let values: Vec<f64> =
            run_one::<f32>(&op, &[&shape], [100, 100]).into_iter().map(f64::from).collect();
        let (mean, variance) = moments(&values);
        assert!((mean - 5.0).abs() < 0.1 && (variance - 4.0).abs() < 0.2, "{mean} {variance}");
        let near = values.iter().filter(|value| (**value - 5.0).abs() < 2.0).count();
        assert!((6627..7027).contains(&near), "{near} of 10000 within one deviation");
    }

    #[test]
    fn classes_are_drawn_as_often_as_they_are_worth() {
        let worth = [0.1f32, 0.6, 0.0, 0.3];
        let logs: Vec<f32> = worth.iter().map(|x| x.ln()).chain([0.0, -9e9, -9e9, -9e9]).collect();
        let draws = run_one::<i64>(
            &Multinomial { samples: 4000, seed: Some(3) },
            &[&tensor(&logs, [2, 4])],
            [2, 4000],
        );
        for (class, worth) in worth.iter().enumerate() {
            let share = draws[..4000].iter().filter(|draw| **draw == class as i64).count() as f32 / 4000.0;
            assert!((share - worth).abs() < 0.03, "class {class}: {share}");
        }
        assert!(draws[4000..].iter().all(|draw| *draw == 0));
    }

    #[test]
    fn a_seed_repeats_and_no_seed_does_not() {
        let values = |seed| {
            let distribution = Distribution::Uniform { low: 0.0, high: 1.0 };
            let op = Random { distribution, seed, element: ElementType::F32 };
            let shape = tensor(&[8i64], [1]);
            let operands = [Some(single::operand(&shape, true))];
            let outputs = [(ElementType::F32, [8].into())];
            let packs = crate::pack::Packs::default();
            let node = Builder {
                inputs: &operands,
                outputs: &outputs,
                isa: crate::isa::Isa::portable(),
                packs: &packs,
            };
            let kernel = crate::kernel::build(&op, &node).unwrap();
            let mut result = [Tensor::zeros(ElementType::F32, [8])];
            single::run(&*kernel, &[Some(&shape)], &mut result).unwrap();
            result[0].to_vec::<f32>().unwrap()
        };
        assert_eq!(values(Some(1)), values(Some(1)));
        assert_ne!(values(Some(1)), values(Some(2)));
        assert_ne!(values(None), values(None));
    }
}
