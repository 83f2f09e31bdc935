//! Where and Clip: one of several values for each element.

use inferry_core::ElementType;
use inferry_engine::op::{Clip, Where};

use crate::io::{Io, Plain};
use crate::kernel::functions::Clamp;
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::Walk;
use crate::kernel::{Builder, Built, arguments, by_size, vector};

/// Builds Where: `x` where the condition holds, else `y`.
pub(crate) fn choose(_: &Where, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    let [condition, x, y] = [node.input(0)?, node.input(1)?, node.input(2)?];
    for operand in [condition, x, y] {
        arguments::broadcasts(&operand.shape, output)?;
    }
    let walk = Walk::broadcast(output, [&condition.shape, &x.shape, &y.shape]);
    by_size!("Where", *element, T => choose_from::<T>(walk, output.count()))
}

fn choose_from<T: Plain>(walk: Walk<3>, count: usize) -> Built {
    let phase = spread(count, 500);
    simple(phase, move |io| {
        let condition = io.input::<u8>(0);
        let (x, y) = (io.input::<T>(1), io.input::<T>(2));
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        let strides = walk.inner().strides;
        for run in walk.runs(start..start + to.len()) {
            let to = &mut to[run.output.start - start..run.output.end - start];
            let (condition, x, y) = (&condition[run.at[0]..], &x[run.at[1]..], &y[run.at[2]..]);
            match strides {
                [0, one, other] => {
                    let (from, stride) = if condition[0] != 0 { (x, one) } else { (y, other) };
                    match stride {
                        0 => to.fill(from[0]),
                        _ => to.copy_from_slice(&from[..to.len()]),
                    }
                }
                [_, 0, 0] => pick(to, condition, |_| x[0], |_| y[0]),
                [_, _, 0] => pick(to, condition, |at| x[at], |_| y[0]),
                [_, 0, _] => pick(to, condition, |_| x[0], |at| y[at]),
                _ => pick(to, condition, |at| x[at], |at| y[at]),
            }
        }
    })
}

#[inline(always)]
fn pick<T>(to: &mut [T], condition: &[u8], x: impl Fn(usize) -> T, y: impl Fn(usize) -> T) {
    for (at, (to, condition)) in to.iter_mut().zip(condition).enumerate() {
        *to = if *condition != 0 { x(at) } else { y(at) };
    }
}

/// Builds Clip: every element brought between two scalars, the upper of which wins where they cross.
pub(crate) fn clip(_: &Clip, node: &Builder<'_>) -> Built {
    let count = node.output(0).1.count();
    let element = node.input(0)?.element;
    let has = [1, 2].map(|index| node.optional(index).is_some());
    if element == ElementType::F32 {
        let phase = spread(count, 150);
        let isa = node.isa;
        return simple(phase, move |io| {
            let (low, high) = limits::<f32>(io, has);
            let start = io.tiles().start * phase.unit;
            let to = io.rows::<f32>();
            vector::map(isa, Clamp { low, high }, &io.input::<f32>(0)[start..start + to.len()], to);
        });
    }
    by_number!("Clip", element, T => {
        let phase = spread(count, 300);
        simple(phase, move |io| {
            let (low, high) = limits::<T>(io, has);
            let start = io.tiles().start * phase.unit;
            let to = io.rows::<T>();
            let from = &io.input::<T>(0)[start..start + to.len()];
            to.iter_mut().zip(from).for_each(|(to, x)| *to = x.most(low).least(high));
        })
    })
}

fn limits<T: Number>(io: &Io<'_>, has: [bool; 2]) -> (T, T) {
    let low = if has[0] { io.input::<T>(1)[0] } else { T::LOWEST };
    let high = if has[1] { io.input::<T>(2)[0] } else { T::HIGHEST };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, run_one, tensor};
    use inferry_core::Shape;

    #[test]
    fn each_operand_broadcasts() {
        let condition = tensor(&[true, false, true, true], [2, 2]);
        let x = tensor(&[1i64, 2], [2]);
        let y = tensor(&[9i64], Shape::scalar());
        assert_eq!(run_one::<i64>(&Where, &[&condition, &x, &y], [2, 2]), [1, 9, 1, 2]);
        assert_eq!(run_one::<i64>(&Where, &[&condition, &y, &x], [2, 2]), [9, 2, 9, 9]);
        assert_eq!(run_one::<i64>(&Where, &[&condition, &x, &x], [2, 2]), [1, 2, 1, 2]);
        assert_eq!(run_one::<i64>(&Where, &[&condition, &y, &y], [2, 2]), [9; 4]);
        let rows = tensor(&[true, false], [2, 1]);
        assert_eq!(run_one::<i64>(&Where, &[&rows, &x, &y], [2, 2]), [1, 2, 9, 9]);
        let x = tensor(&[true, true], [2]);
        let y = tensor(&[false], Shape::scalar());
        assert_eq!(run_one::<bool>(&Where, &[&rows, &x, &y], [2, 2]), [true, true, false, false]);
    }

    #[test]
    fn clips_between_what_is_given() {
        let x = [-2.0f32, 0.5, 7.0, f32::INFINITY];
        let low = Some(tensor(&[-1.0f32], Shape::scalar()));
        let high = Some(tensor(&[2.0f32], [1]));
        for isa in Isa::detect_for_tests() {
            let clip = |low: &Option<_>, high: &Option<_>| {
                let inputs = [Some(tensor(&x, [4])), low.clone(), high.clone()];
                run(&Clip, &inputs, &[(ElementType::F32, [4].into())], isa)[0].to_vec::<f32>().unwrap()
            };
            assert_eq!(clip(&low, &high), [-1.0, 0.5, 2.0, 2.0]);
            assert_eq!(clip(&None, &high), [-2.0, 0.5, 2.0, 2.0]);
            assert_eq!(clip(&low, &None), [-1.0, 0.5, 7.0, f32::INFINITY]);
            assert_eq!(clip(&high, &low), [-1.0; 4]);
        }
        let x = tensor(&[-5i8, 3, 100], [3]);
        let (low, high) = (tensor(&[-3i8], [1]), tensor(&[50i8], [1]));
        assert_eq!(run_one::<i8>(&Clip, &[&x, &low, &high], [3]), [-3, 3, 50]);
    }

    #[test]
    fn clipping_keeps_not_a_number() {
        let x = tensor(&[f32::NAN], [1]);
        for isa in Isa::detect_for_tests() {
            let inputs = [Some(x.clone()), Some(tensor(&[0.0f32], [1])), Some(tensor(&[1.0f32], [1]))];
            let result = run(&Clip, &inputs, &[(ElementType::F32, [1].into())], isa);
            assert!(result[0].to_vec::<f32>().unwrap()[0].is_nan());
        }
    }
}
