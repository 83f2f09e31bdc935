//! Functions of two numbers, element by element, with numpy's broadcasting.
//!
//! The four operations and PRelu on `f32` go through vectors; what broadcasts is one of a few loops there, because a merged
//! [`Walk`] leaves each operand either standing still or going along in its innermost dimension. All other types and
//! functions are one scalar loop, generic over both.

use inferry_core::ElementType;
use inferry_engine::op::{Binary, Op};

use crate::io::Plain;
use crate::kernel::functions;
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::vector::{self, Zip};
use crate::kernel::walk::Walk;
use crate::kernel::{BuildError, Builder, Built, power, text};

/// Builds the kernel of a [`Binary`].
pub(crate) fn binary(op: &Binary, node: &Builder<'_>) -> Built {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let pair = Pair::of(node)?;
    let wrong = Err(BuildError::Element { op: op.name(), element: a.element });
    if a.element != b.element && *op != Binary::Pow {
        return wrong;
    }
    match (op, a.element) {
        (Binary::Equal, ElementType::String) => text::equal([&a.shape, &b.shape], &node.output(0).1),
        (Binary::Pow, _) => power::build(node, pair),
        (Binary::And, ElementType::Bool) => pair.each(CHEAP, |a: u8, b: u8| a & b),
        (Binary::Or, ElementType::Bool) => pair.each(CHEAP, |a: u8, b: u8| a | b),
        (Binary::Xor, ElementType::Bool) => pair.each(CHEAP, |a: u8, b: u8| a ^ b),
        (Binary::Equal, ElementType::Bool) => pair.each(CHEAP, |a: u8, b: u8| u8::from(a == b)),
        (Binary::Add, ElementType::F32) => pair.zipped(node, functions::Add),
        (Binary::Sub, ElementType::F32) => pair.zipped(node, functions::Sub),
        (Binary::Mul, ElementType::F32) => pair.zipped(node, functions::Mul),
        (Binary::Div, ElementType::F32) => pair.zipped(node, functions::Div),
        (Binary::PRelu, ElementType::F32) => pair.zipped(node, functions::PRelu),
        _ => by_number!(op.name(), a.element, T => number::<T>(*op, pair)),
    }
}

const CHEAP: u64 = 200;
const DIVISION: u64 = 2_000;

fn number<T: Number>(op: Binary, pair: Pair) -> Built {
    match op {
        Binary::Add => pair.each(CHEAP, T::add),
        Binary::Sub => pair.each(CHEAP, T::sub),
        Binary::Mul => pair.each(CHEAP, T::mul),
        Binary::Div => pair.each(DIVISION, T::div),
        Binary::Mod { fmod: true } => pair.each(DIVISION, T::fmod),
        Binary::Mod { fmod: false } => pair.each(DIVISION, T::modulo),
        Binary::PRelu => pair.each(CHEAP, |a: T, b: T| if a < T::default() { a.mul(b) } else { a }),
        Binary::Equal => pair.each(CHEAP, |a: T, b: T| u8::from(a == b)),
        Binary::Less => pair.each(CHEAP, |a: T, b: T| u8::from(a < b)),
        Binary::LessOrEqual => pair.each(CHEAP, |a: T, b: T| u8::from(a <= b)),
        Binary::Greater => pair.each(CHEAP, |a: T, b: T| u8::from(a > b)),
        Binary::GreaterOrEqual => pair.each(CHEAP, |a: T, b: T| u8::from(a >= b)),
        Binary::And | Binary::Or | Binary::Xor | Binary::Pow => {
            Err(BuildError::Element { op: op.name(), element: T::TYPE })
        }
    }
}

/// Two operands that are broadcast against each other.
pub(crate) struct Pair {
    walk: Walk<2>,
    count: usize,
}

impl Pair {
    /// Inputs 0 and 1 of a node.
    pub(crate) fn of(node: &Builder<'_>) -> Result<Pair, BuildError> {
        let (a, b) = (node.input(0)?, node.input(1)?);
        let output = &node.output(0).1;
        for operand in [a, b] {
            super::arguments::broadcasts(&operand.shape, output)?;
        }
        Ok(Pair { walk: Walk::broadcast(output, [&a.shape, &b.shape]), count: output.count() })
    }

    /// A kernel that applies `f` to each pair, which takes about `picoseconds`.
    pub(crate) fn each<A: Plain, B: Plain, R: Plain>(
        self,
        picoseconds: u64,
        f: impl Fn(A, B) -> R + Copy + Send + Sync + 'static,
    ) -> Built {
        let phase = spread(self.count, picoseconds);
        simple(phase, move |io| {
            let (a, b) = (io.input::<A>(0), io.input::<B>(1));
            let start = io.tiles().start * phase.unit;
            let to = io.rows::<R>();
            let strides = self.walk.inner().strides;
            self.walk.each_run(start..start + to.len(), &mut |run| {
                let to = &mut to[run.output.start - start..run.output.end - start];
                each_run(&a[run.at[0]..], &b[run.at[1]..], strides, to, f);
            });
        })
    }

    /// A kernel that applies a vector function to each pair.
    pub(crate) fn zipped(self, node: &Builder<'_>, zip: impl Zip) -> Built {
        let phase = spread(self.count, CHEAP);
        let isa = node.isa;
        simple(phase, move |io| {
            let (a, b) = (io.input::<f32>(0), io.input::<f32>(1));
            let start = io.tiles().start * phase.unit;
            vector::zip(isa, zip, &self.walk, a, b, start, io.rows::<f32>());
        })
    }
}

#[inline]
fn each_run<A: Copy, B: Copy, R>(a: &[A], b: &[B], strides: [isize; 2], to: &mut [R], f: impl Fn(A, B) -> R) {
    match strides {
        [0, _] => {
            let first = a[0];
            let step = strides[1] as usize;
            if step == 0 {
                to.iter_mut().for_each(|to| *to = f(first, b[0]));
            } else {
                to.iter_mut().zip(b).for_each(|(to, b)| *to = f(first, *b));
            }
        }
        [_, 0] => {
            let second = b[0];
            to.iter_mut().zip(a).for_each(|(to, a)| *to = f(*a, second));
        }
        _ => to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = f(*a, *b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{noise, run, run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    /// Shapes of both operands and of the result.
    const BROADCASTS: &[(&[usize], &[usize], &[usize])] = &[
        (&[7, 9], &[7, 9], &[7, 9]),
        (&[7, 9], &[], &[7, 9]),
        (&[], &[7, 9], &[7, 9]),
        (&[4, 33], &[33], &[4, 33]),
        (&[33], &[4, 33], &[4, 33]),
        (&[200, 3], &[3], &[200, 3]),
        (&[5], &[90, 5], &[90, 5]),
        (&[30, 64], &[64], &[30, 64]),
        (&[2, 3, 5, 7], &[3, 1, 1], &[2, 3, 5, 7]),
        (&[2, 1, 7], &[1, 5, 1], &[2, 5, 7]),
        (&[3, 1], &[1, 1], &[3, 1]),
        (&[5, 1], &[1, 6], &[5, 6]),
        (&[2, 0], &[1], &[2, 0]),
        (&[1], &[1, 1], &[1, 1]),
    ];

    #[test]
    fn broadcasting_on_every_isa() {
        for (a, b, output) in BROADCASTS {
            let shape = |extents: &[usize]| Shape::new(extents).unwrap();
            let (x, y) = (noise(shape(a).count(), 1), noise(shape(b).count(), 2));
            let at = |operand: &[usize], index| Walk::broadcast(output, [operand]).at(index)[0];
            let wanted: Vec<f32> =
                (0..shape(output).count()).map(|index| x[at(a, index)] - y[at(b, index)]).collect();
            for isa in Isa::detect_for_tests() {
                let inputs = [Some(tensor(&x, shape(a))), Some(tensor(&y, shape(b)))];
                let result = run(&Binary::Sub, &inputs, &[(ElementType::F32, shape(output))], isa);
                assert_eq!(result[0].to_vec::<f32>().unwrap(), wanted, "{a:?} and {b:?}");
            }
            let whole = |values: &[f32]| values.iter().map(|x| (x * 100.0) as i32).collect::<Vec<_>>();
            let (x, y) = (whole(&x), whole(&y));
            let wanted: Vec<i32> =
                (0..shape(output).count()).map(|index| x[at(a, index)] - y[at(b, index)]).collect();
            let inputs = [&tensor(&x, shape(a)), &tensor(&y, shape(b))];
            assert_eq!(run_one::<i32>(&Binary::Sub, &inputs, shape(output)), wanted, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn integer_arithmetic_is_exact_and_never_fails() {
        let a = tensor(&[7i64, -7, i64::MAX, 3], [4]);
        let b = tensor(&[2i64, 2, 1, 0], [4]);
        let result = |op: Binary| run_one::<i64>(&op, &[&a, &b], [4]);
        assert_eq!(result(Binary::Add), [9, -5, i64::MIN, 3]);
        assert_eq!(result(Binary::Div), [3, -3, i64::MAX, 0]);
        assert_eq!(result(Binary::Mod { fmod: false }), [1, 1, 0, 0]);
        assert_eq!(result(Binary::Mod { fmod: true }), [1, -1, 0, 0]);
        let a = tensor(&[200u8, 3], [2]);
        assert_eq!(run_one::<u8>(&Binary::Mul, &[&a, &a], [2]), [64, 9]);
    }

    #[test]
    fn comparisons_and_logic() {
        let a = tensor(&[1.0f32, 2.0, f32::NAN], [3]);
        let b = tensor(&[2.0f32], Shape::scalar());
        let result = |op: Binary| run_one::<bool>(&op, &[&a, &b], [3]);
        assert_eq!(result(Binary::Less), [true, false, false]);
        assert_eq!(result(Binary::LessOrEqual), [true, true, false]);
        assert_eq!(result(Binary::Greater), [false, false, false]);
        assert_eq!(result(Binary::GreaterOrEqual), [false, true, false]);
        assert_eq!(result(Binary::Equal), [false, true, false]);
        let a = tensor(&[true, true, false, false], [2, 2]);
        let b = tensor(&[true, false], [2]);
        let result = |op: Binary| run_one::<bool>(&op, &[&a, &b], [2, 2]);
        assert_eq!(result(Binary::And), [true, false, false, false]);
        assert_eq!(result(Binary::Or), [true, true, true, false]);
        assert_eq!(result(Binary::Xor), [false, true, true, false]);
        assert_eq!(result(Binary::Equal), [true, false, false, true]);
    }

    #[test]
    fn prelu_has_a_slope_for_each_channel() {
        let x = tensor(&[-1.0f32, 2.0, -3.0, -4.0], [1, 2, 2]);
        let slope = tensor(&[0.5f32, 0.25], [2, 1]);
        assert_eq!(run_one::<f32>(&Binary::PRelu, &[&x, &slope], [1, 2, 2]), [-0.5, 2.0, -0.75, -1.0]);
    }
}
