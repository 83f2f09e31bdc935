//! Pow: one number to the power of another.
//!
//! The result has the type of the base; the exponent may be of any type. Integers to integer powers are exact and wrap. One
//! exponent for all elements is the usual case, and most such exponents are a multiplication or a root.

use inferry_core::ElementType;

use crate::kernel::binary::Pair;
use crate::kernel::functions::{Cube, Reciprocal, Sqrt, Square};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::vector;
use crate::kernel::{BuildError, Builder, Built};

/// Builds Pow.
pub(crate) fn build(node: &Builder<'_>, pair: Pair) -> Built {
    let (base, exponent) = (node.input(0)?, node.input(1)?);
    let single = exponent.shape.count() == 1 && base.shape.count() == node.output(0).1.count();
    if (base.element, exponent.element) == (ElementType::F32, ElementType::F32) && single {
        return one_exponent(node);
    }
    match base.element {
        ElementType::I32 => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<i32, U>)),
        ElementType::I64 => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<i64, U>)),
        ElementType::U32 => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<u32, U>)),
        ElementType::U64 => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<u64, U>)),
        ElementType::F64 => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<f64, U>)),
        ElementType::F32 => match exponent.element {
            ElementType::F32 => pair.each(SLOW, libm::powf),
            _ => by_number!("Pow", exponent.element, U => pair.each(SLOW, pow::<f32, U>)),
        },
        element => Err(BuildError::Element { op: "Pow", element }),
    }
}

const SLOW: u64 = 20_000;

fn pow<T: Number, U: Number>(base: T, exponent: U) -> T {
    if T::TYPE.is_integer() && U::TYPE.is_integer() {
        return base.powi(exponent.to_i64());
    }
    T::from_f64(libm::pow(base.to_f64(), exponent.to_f64()))
}

/// The same exponent for every element; which one is known when the kernel runs.
fn one_exponent(node: &Builder<'_>) -> Built {
    let constant = node.input(1)?.constant.and_then(|tensor| tensor.to_vec::<f32>().ok()?.first().copied());
    let quick = constant.is_some_and(|exponent| [2.0, 3.0, 0.5, 1.0, -1.0].contains(&exponent));
    let phase = spread(node.output(0).1.count(), if quick { 150 } else { SLOW });
    let isa = node.isa;
    simple(phase, move |io| {
        let exponent = io.input::<f32>(1)[0];
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        let from = &io.input::<f32>(0)[start..start + to.len()];
        if exponent == 2.0 {
            vector::map(isa, Square {}, from, to);
        } else if exponent == 3.0 {
            vector::map(isa, Cube {}, from, to);
        } else if exponent == 0.5 {
            vector::map(isa, Sqrt {}, from, to);
        } else if exponent == 1.0 {
            to.copy_from_slice(from);
        } else if exponent == -1.0 {
            vector::map(isa, Reciprocal {}, from, to);
        } else {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = libm::powf(*from, exponent));
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::kernel::testing::{assert_close, run_one, tensor};
    use inferry_core::Shape;
    use inferry_engine::op::Binary::Pow;

    #[test]
    fn one_exponent_for_all() {
        let x = tensor(&[1.0f32, 2.0, 3.0, 0.25], [4]);
        let cases = [
            (2.0f32, [1.0, 4.0, 9.0, 0.0625]),
            (3.0, [1.0, 8.0, 27.0, 0.015625]),
            (0.5, [1.0, core::f32::consts::SQRT_2, 1.732_050_8, 0.5]),
            (1.0, [1.0, 2.0, 3.0, 0.25]),
            (-1.0, [1.0, 0.5, 0.333_333_34, 4.0]),
            (-1.5, [1.0, 0.353_553_4, 0.192_450_09, 8.0]),
        ];
        for (exponent, wanted) in cases {
            let exponent = tensor(&[exponent], Shape::scalar());
            assert_close(&run_one::<f32>(&Pow, &[&x, &exponent], [4]), &wanted, 0.0, 2e-7);
        }
    }

    #[test]
    fn types_may_differ() {
        let base = tensor(&[1i64, 2, -3], [3]);
        let exponent = tensor(&[4i32, 5, 3], [3]);
        assert_eq!(run_one::<i64>(&Pow, &[&base, &exponent], [3]), [1, 32, -27]);
        let exponent = tensor(&[0.5f32, 2.5, 2.0], [3]);
        assert_eq!(run_one::<i64>(&Pow, &[&base, &exponent], [3]), [1, 5, 9]);
        let base = tensor(&[1.5f32, 2.0, 3.0], [3]);
        let exponent = tensor(&[2u8, 3, 0], [3]);
        assert_eq!(run_one::<f32>(&Pow, &[&base, &exponent], [3]), [2.25, 8.0, 1.0]);
        assert_eq!(run_one::<f32>(&Pow, &[&base, &base], [3])[1..], [4.0, 27.0]);
    }
}
