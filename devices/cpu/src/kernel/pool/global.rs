//! Pooling over a whole channel.

use inferry_core::ElementType;
use inferry_engine::op::{GlobalPool, GlobalPoolKind, Op};

use crate::kernel::arguments::form;
use crate::kernel::fold::{Fold, Largest, Sum, fold_row};
use crate::kernel::simple::{simple, spread};
use crate::kernel::{BuildError, Builder, Built};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`GlobalPool`].
pub(crate) fn global_pool(op: &GlobalPool, node: &Builder<'_>) -> Built {
    let (x, output) = (node.input(0)?, &node.output(0).1);
    let channel: usize = x.shape.iter().skip(2).product();
    let channels: usize = x.shape.iter().take(2).product();
    if output.count() != channels {
        return Err(form(alloc::format!("{} of {} is not {output}", op.name(), x.shape)));
    }
    match (x.element, op.kind) {
        (ElementType::F32, GlobalPoolKind::Average) => vectors(node, channels, channel, Sum, channel as f64),
        (ElementType::F32, GlobalPoolKind::Max) => vectors(node, channels, channel, Largest, 1.0),
        (ElementType::F64, GlobalPoolKind::Average) => {
            doubles(channels, channel, |row| row.iter().sum::<f64>() / row.len() as f64)
        }
        (ElementType::F64, GlobalPoolKind::Max) => {
            doubles(channels, channel, |row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        }
        (element, _) => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn vectors(node: &Builder<'_>, channels: usize, channel: usize, fold: impl Fold, divisor: f64) -> Built {
    let isa = node.isa;
    let phase = spread(channels, 100 * channel as u64 + 5000);
    simple(phase, move |io| {
        let first = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        let x = &io.input::<f32>(0)[first * channel..(first + to.len()) * channel];
        dispatch(isa, Channels { fold, x, channel, divisor, to });
    })
}

struct Channels<'a, F> {
    fold: F,
    x: &'a [f32],
    channel: usize,
    divisor: f64,
    to: &'a mut [f32],
}

impl<F: Fold> Vectorized for Channels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (index, to) in self.to.iter_mut().enumerate() {
            let row = &self.x[index * self.channel..(index + 1) * self.channel];
            *to = (fold_row(s, self.fold, f64::from(F::START), row) / self.divisor) as f32;
        }
    }
}

fn doubles(channels: usize, channel: usize, pool: fn(&[f64]) -> f64) -> Built {
    let phase = spread(channels, 1000 * channel as u64 + 5000);
    simple(phase, move |io| {
        let first = io.tiles().start * phase.unit;
        let x = io.input::<f64>(0);
        for (index, to) in io.rows::<f64>().iter_mut().enumerate() {
            *to = pool(&x[(first + index) * channel..(first + index + 1) * channel]);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, run, run_one, tensor};
    use alloc::vec::Vec;

    #[test]
    fn each_channel_becomes_one_number() {
        let x: Vec<f32> = (0..2 * 3 * 5 * 5).map(|x| (x * 7 % 31) as f32).collect();
        let mean: Vec<f32> = x.chunks(25).map(|channel| channel.iter().sum::<f32>() / 25.0).collect();
        let most: Vec<f32> =
            x.chunks(25).map(|channel| channel.iter().copied().fold(0.0, f32::max)).collect();
        let outputs = [(ElementType::F32, [2, 3, 1, 1].into())];
        for isa in Isa::detect_for_tests() {
            for (kind, wanted) in [(GlobalPoolKind::Average, &mean), (GlobalPoolKind::Max, &most)] {
                let result = run(&GlobalPool { kind }, &[Some(tensor(&x, [2, 3, 5, 5]))], &outputs, isa);
                assert_close(&result[0].to_vec::<f32>().unwrap(), wanted, 0.0, 1e-6);
            }
        }
        let x = tensor(&[1.0f64, 2.0, 6.0], [1, 1, 3]);
        let op = GlobalPool { kind: GlobalPoolKind::Average };
        assert_eq!(run_one::<f64>(&op, &[&x], [1, 1, 1]), [3.0]);
    }
}
