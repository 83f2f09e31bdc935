//! Functions of one number, element by element.
//!
//! `f32` goes through vectors, where a function has a vector form; the rest of the functions and `f64` take `libm`. Of the
//! integers there are absolute value, sign, negation and Relu; of truth values, negation.

use inferry_core::ElementType;
use inferry_engine::op::{Op, Unary};

use crate::io::Plain;
use crate::kernel::functions::*;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread};
use crate::kernel::vector::{self, Map};
use crate::kernel::{BuildError, Builder, Built};

/// Builds the kernel of a [`Unary`].
pub(crate) fn unary(op: &Unary, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    if x.shape.count() != node.output(0).1.count() {
        return Err(BuildError::Form(alloc::format!(
            "{}: {} is not {}",
            op.name(),
            x.shape,
            node.output(0).1
        )));
    }
    match x.element {
        ElementType::F32 => float(*op, node),
        ElementType::F64 => double(*op, node),
        ElementType::Bool if *op == Unary::Not => each(node, 60, |x: u8| x ^ 1),
        ElementType::I8 => signed::<i8>(*op, node),
        ElementType::I16 => signed::<i16>(*op, node),
        ElementType::I32 => signed::<i32>(*op, node),
        ElementType::I64 => signed::<i64>(*op, node),
        ElementType::U8 => unsigned::<u8>(*op, node),
        ElementType::U16 => unsigned::<u16>(*op, node),
        ElementType::U32 => unsigned::<u32>(*op, node),
        ElementType::U64 => unsigned::<u64>(*op, node),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// A kernel that applies `f` to every element, which takes about `picoseconds`.
pub(crate) fn each<A: Plain, B: Plain>(
    node: &Builder<'_>,
    picoseconds: u64,
    f: impl Fn(A) -> B + Send + Sync + 'static,
) -> Built {
    let phase = spread(node.output(0).1.count(), picoseconds);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<B>();
        let from = &io.input::<A>(0)[start..start + to.len()];
        to.iter_mut().zip(from).for_each(|(to, from)| *to = f(*from));
    })
}

/// A kernel that applies a vector function to every element.
pub(crate) fn mapped(node: &Builder<'_>, picoseconds: u64, map: impl Map) -> Built {
    let phase = spread(node.output(0).1.count(), picoseconds);
    let isa = node.isa;
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        vector::map(isa, map, &io.input::<f32>(0)[start..start + to.len()], to);
    })
}

/// Picoseconds of a function that is a few instructions, of one with an exponential, and of one from `libm`.
const CHEAP: u64 = 150;
const DEAR: u64 = 600;
const SCALAR: u64 = 15_000;

fn float(op: Unary, node: &Builder<'_>) -> Built {
    match op {
        Unary::Abs => mapped(node, CHEAP, Abs {}),
        Unary::Neg => mapped(node, CHEAP, Neg {}),
        Unary::Exp => mapped(node, DEAR, Exp {}),
        Unary::Log => mapped(node, DEAR, Log {}),
        Unary::Sqrt => mapped(node, CHEAP, Sqrt {}),
        Unary::Reciprocal => mapped(node, CHEAP, Reciprocal {}),
        Unary::Erf => mapped(node, DEAR, Erf {}),
        Unary::Sigmoid => mapped(node, DEAR, Sigmoid {}),
        Unary::Tanh => mapped(node, DEAR, Tanh {}),
        Unary::Relu => mapped(node, CHEAP, Relu {}),
        Unary::HardSwish => mapped(node, CHEAP, HardSwish {}),
        Unary::Softplus => mapped(node, DEAR, Softplus {}),
        Unary::Softsign => mapped(node, CHEAP, Softsign {}),
        Unary::Mish => mapped(node, DEAR, Mish {}),
        Unary::Sin => mapped(node, DEAR, Sin {}),
        Unary::Cos => mapped(node, DEAR, Cos {}),
        Unary::Floor => mapped(node, CHEAP, Floor {}),
        Unary::Ceil => mapped(node, CHEAP, Ceil {}),
        Unary::Round => mapped(node, CHEAP, Round {}),
        Unary::Sign => mapped(node, CHEAP, Sign {}),
        Unary::LeakyRelu { alpha } => mapped(node, CHEAP, LeakyRelu { alpha }),
        Unary::Elu { alpha } => mapped(node, DEAR, Elu { alpha }),
        Unary::Celu { alpha } => mapped(node, DEAR, Celu { alpha }),
        Unary::Selu { alpha, gamma } => mapped(node, DEAR, Selu { alpha, gamma }),
        Unary::HardSigmoid { alpha, beta } => mapped(node, CHEAP, HardSigmoid { alpha, beta }),
        Unary::ThresholdedRelu { alpha } => mapped(node, CHEAP, ThresholdedRelu { alpha }),
        Unary::Gelu { tanh: false } => mapped(node, DEAR, Gelu {}),
        Unary::Gelu { tanh: true } => mapped(node, DEAR, GeluTanh {}),
        Unary::Tan => each(node, SCALAR, libm::tanf),
        Unary::Asin => each(node, SCALAR, libm::asinf),
        Unary::Acos => each(node, SCALAR, libm::acosf),
        Unary::Atan => each(node, SCALAR, libm::atanf),
        Unary::Sinh => each(node, SCALAR, libm::sinhf),
        Unary::Cosh => each(node, SCALAR, libm::coshf),
        Unary::Asinh => each(node, SCALAR, libm::asinhf),
        Unary::Acosh => each(node, SCALAR, libm::acoshf),
        Unary::Atanh => each(node, SCALAR, libm::atanhf),
        Unary::IsNaN => each(node, CHEAP, |x: f32| u8::from(x.is_nan())),
        Unary::IsInf { positive, negative } => each(node, CHEAP, move |x: f32| {
            u8::from(positive && x == f32::INFINITY || negative && x == f32::NEG_INFINITY)
        }),
        Unary::Not => Err(BuildError::Element { op: op.name(), element: ElementType::F32 }),
    }
}

/// The same functions on `f64`; the parameters of the standard are `f32`.
fn double(op: Unary, node: &Builder<'_>) -> Built {
    let wide = |f: fn(f64) -> f64| each(node, SCALAR, f);
    match op {
        Unary::Abs => wide(libm::fabs),
        Unary::Neg => wide(|x| -x),
        Unary::Exp => wide(libm::exp),
        Unary::Log => wide(libm::log),
        Unary::Sqrt => wide(libm::sqrt),
        Unary::Reciprocal => wide(|x| 1.0 / x),
        Unary::Erf => wide(libm::erf),
        Unary::Sigmoid => wide(|x| 1.0 / (1.0 + libm::exp(-x))),
        Unary::Tanh => wide(libm::tanh),
        Unary::Relu => wide(|x| x.most(0.0)),
        Unary::HardSwish => wide(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        Unary::Softplus => wide(softplus),
        Unary::Softsign => wide(|x| x / (1.0 + x.magnitude())),
        Unary::Mish => wide(|x| x * libm::tanh(softplus(x))),
        Unary::Sin => wide(libm::sin),
        Unary::Cos => wide(libm::cos),
        Unary::Tan => wide(libm::tan),
        Unary::Asin => wide(libm::asin),
        Unary::Acos => wide(libm::acos),
        Unary::Atan => wide(libm::atan),
        Unary::Sinh => wide(libm::sinh),
        Unary::Cosh => wide(libm::cosh),
        Unary::Asinh => wide(libm::asinh),
        Unary::Acosh => wide(libm::acosh),
        Unary::Atanh => wide(libm::atanh),
        Unary::Floor => wide(libm::floor),
        Unary::Ceil => wide(libm::ceil),
        Unary::Round => wide(libm::rint),
        Unary::Sign => wide(Number::sign),
        Unary::Not => Err(BuildError::Element { op: op.name(), element: ElementType::F64 }),
        Unary::IsNaN => each(node, CHEAP, |x: f64| u8::from(x.is_nan())),
        Unary::IsInf { positive, negative } => each(node, CHEAP, move |x: f64| {
            u8::from(positive && x == f64::INFINITY || negative && x == f64::NEG_INFINITY)
        }),
        Unary::LeakyRelu { .. }
        | Unary::Elu { .. }
        | Unary::Celu { .. }
        | Unary::Selu { .. }
        | Unary::HardSigmoid { .. }
        | Unary::ThresholdedRelu { .. }
        | Unary::Gelu { .. } => each(node, SCALAR, move |x: f64| double_activation(op, x)),
    }
}

/// Those with parameters.
fn double_activation(op: Unary, x: f64) -> f64 {
    match op {
        Unary::LeakyRelu { alpha } if x < 0.0 => f64::from(alpha) * x,
        Unary::Elu { alpha } if x < 0.0 => f64::from(alpha) * libm::expm1(x),
        Unary::Celu { alpha } => {
            let alpha = f64::from(alpha);
            x.most(0.0) + (alpha * libm::expm1(x / alpha)).least(0.0)
        }
        Unary::Selu { alpha, gamma } if x > 0.0 || alpha == 0.0 => f64::from(gamma) * x,
        Unary::Selu { alpha, gamma } => f64::from(gamma) * f64::from(alpha) * libm::expm1(x),
        Unary::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Unary::ThresholdedRelu { alpha } if x <= f64::from(alpha) => 0.0,
        Unary::Gelu { tanh: false } => 0.5 * x * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2)),
        Unary::Gelu { tanh: true } => {
            let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        _ => x,
    }
}

fn softplus(x: f64) -> f64 {
    x.most(0.0) + libm::log1p(libm::exp(-x.magnitude()))
}

fn signed<T: Number>(op: Unary, node: &Builder<'_>) -> Built {
    match op {
        Unary::Neg => each(node, CHEAP, |x: T| T::default().sub(x)),
        Unary::Relu => each(node, CHEAP, |x: T| x.most(T::default())),
        _ => unsigned::<T>(op, node),
    }
}

fn unsigned<T: Number>(op: Unary, node: &Builder<'_>) -> Built {
    match op {
        Unary::Abs => each(node, CHEAP, T::magnitude),
        Unary::Sign => each(node, CHEAP, T::sign),
        _ => Err(BuildError::Element { op: op.name(), element: T::TYPE }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, run, run_one, tensor};
    use alloc::vec::Vec;

    const VALUES: [f32; 13] = [-20.0, -3.0, -1.5, -0.5, -0.25, -0.0, 0.0, 0.25, 0.5, 1.0, 2.5, 4.0, 20.0];

    /// Every function with a float form.
    const ALL: [Unary; 36] = [
        Unary::Abs,
        Unary::Neg,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Reciprocal,
        Unary::Erf,
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Relu,
        Unary::HardSwish,
        Unary::Softplus,
        Unary::Softsign,
        Unary::Mish,
        Unary::Sin,
        Unary::Cos,
        Unary::Tan,
        Unary::Asin,
        Unary::Acos,
        Unary::Atan,
        Unary::Sinh,
        Unary::Cosh,
        Unary::Asinh,
        Unary::Acosh,
        Unary::Atanh,
        Unary::Floor,
        Unary::Ceil,
        Unary::Round,
        Unary::Sign,
        Unary::LeakyRelu { alpha: 0.1 },
        Unary::Elu { alpha: 0.7 },
        Unary::Celu { alpha: 2.0 },
        Unary::Selu { alpha: 1.6, gamma: 1.05 },
        Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Unary::ThresholdedRelu { alpha: 1.0 },
        Unary::Gelu { tanh: true },
    ];

    #[test]
    fn vectors_agree_with_f64_on_every_isa() {
        let wide: Vec<f64> = VALUES.iter().map(|x| f64::from(*x)).collect();
        for op in ALL.into_iter().chain([Unary::Gelu { tanh: false }]) {
            let wanted = run_one::<f64>(&op, &[&tensor(&wide, [13])], [13]);
            let wanted: Vec<f32> = wanted.into_iter().map(|x| x as f32).collect();
            for isa in Isa::detect_for_tests() {
                let input = [Some(tensor(&VALUES, [13]))];
                let result = run(&op, &input, &[(ElementType::F32, [13].into())], isa);
                std::println!("{op:?}");
                assert_close(&result[0].to_vec::<f32>().unwrap(), &wanted, 1e-6, 1e-6);
            }
        }
    }

    /// Worked with numpy after the formulas of the standard, for x = -2, 0.5 and 3.
    #[test]
    fn values_of_the_standard() {
        let cases: [(Unary, [f32; 3]); 13] = [
            (Unary::Erf, [-0.995_322_3, 0.520_499_9, 0.999_977_9]),
            (Unary::HardSwish, [-0.333_333_34, 0.291_666_66, 3.0]),
            (Unary::Softplus, [0.126_928_01, 0.974_077, 3.048_587_3]),
            (Unary::Mish, [-0.252_501_5, 0.375_245_2, 2.986_535]),
            (Unary::LeakyRelu { alpha: 0.1 }, [-0.2, 0.5, 3.0]),
            (Unary::Elu { alpha: 2.0 }, [-1.729_329_4, 0.5, 3.0]),
            (Unary::Celu { alpha: 2.0 }, [-1.264_241_1, 0.5, 3.0]),
            (Unary::Selu { alpha: 2.0, gamma: 3.0 }, [-5.187_988, 1.5, 9.0]),
            (Unary::HardSigmoid { alpha: 0.5, beta: 0.6 }, [0.0, 0.85, 1.0]),
            (Unary::ThresholdedRelu { alpha: 0.5 }, [0.0, 0.0, 3.0]),
            (Unary::Gelu { tanh: false }, [-0.045_500_264, 0.345_731_23, 2.995_950_3]),
            (Unary::Gelu { tanh: true }, [-0.045_402_306, 0.345_714, 2.996_362_7]),
            (Unary::Sigmoid, [0.119_202_92, 0.622_459_35, 0.952_574_13]),
        ];
        for (op, wanted) in cases {
            let x = tensor(&[-2.0f32, 0.5, 3.0], [3]);
            assert_close(&run_one::<f32>(&op, &[&x], [3]), &wanted, 1e-6, 1e-6);
        }
    }

    #[test]
    fn halves_round_to_even_and_questions_answer() {
        let x = tensor(&[0.5f32, 1.5, 2.5, -0.5, -1.5], [5]);
        assert_eq!(run_one::<f32>(&Unary::Round, &[&x], [5]), [0.0, 2.0, 2.0, 0.0, -2.0]);
        let x = tensor(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0], [4]);
        assert_eq!(run_one::<bool>(&Unary::IsNaN, &[&x], [4]), [true, false, false, false]);
        let op = Unary::IsInf { positive: false, negative: true };
        assert_eq!(run_one::<bool>(&op, &[&x], [4]), [false, false, true, false]);
        let x = tensor(&[true, false], [2]);
        assert_eq!(run_one::<bool>(&Unary::Not, &[&x], [2]), [false, true]);
    }

    #[test]
    fn integers() {
        let x = tensor(&[i8::MIN, -1, 0, 5], [4]);
        assert_eq!(run_one::<i8>(&Unary::Abs, &[&x], [4]), [i8::MIN, 1, 0, 5]);
        assert_eq!(run_one::<i8>(&Unary::Neg, &[&x], [4]), [i8::MIN, 1, 0, -5]);
        assert_eq!(run_one::<i8>(&Unary::Sign, &[&x], [4]), [-1, -1, 0, 1]);
        assert_eq!(run_one::<i8>(&Unary::Relu, &[&x], [4]), [0, 0, 0, 5]);
        let x = tensor(&[0u32, 7], [2]);
        assert_eq!(run_one::<u32>(&Unary::Sign, &[&x], [2]), [0, 1]);
    }

    #[test]
    fn not_a_number_stays() {
        let x = tensor(&[f32::NAN], [1]);
        for op in ALL.into_iter().filter(|op| !matches!(op, Unary::ThresholdedRelu { .. })) {
            for isa in Isa::detect_for_tests() {
                let result = run(&op, &[Some(x.clone())], &[(ElementType::F32, [1].into())], isa);
                assert!(result[0].to_vec::<f32>().unwrap()[0].is_nan(), "{op:?} {isa:?}");
            }
        }
    }
}
