//! Functions of one number and of several at the same place.

use inferry_core::ElementType;
use inferry_engine::op::{Binary, Unary, Variadic};

use super::array::Array;
use super::eval::broadcast;
use super::number::{Number, approximate, unit};

pub(super) fn unary(function: Unary, x: &Array) -> Array {
    let element = match function {
        Unary::IsNaN | Unary::IsInf { .. } => ElementType::Bool,
        _ => x.element,
    };
    let number = |x_element: ElementType, number: Number| match number {
        Number::Unknown => Number::Unknown,
        Number::Whole(value) => Number::whole(x_element, whole(function, value)),
        real => of_real(function, x_element, real),
    };
    Array::new(element, &x.shape, |index| number(x.element, x.at(index)))
}

fn whole(function: Unary, value: i128) -> i128 {
    match function {
        Unary::Abs => value.abs(),
        Unary::Neg => -value,
        Unary::Sign => value.signum(),
        Unary::Relu => value.max(0),
        Unary::Not => 1 - value,
        other => unreachable!("{other:?} of integers is not drawn"),
    }
}

fn of_real(function: Unary, element: ElementType, x: Number) -> Number {
    let rough = |f: fn(f64) -> f64| {
        let at = x.parts().map_or(0.0, |(value, _)| f(value));
        x.monotone(element, f, approximate(element, at))
    };
    let exact = |f: &dyn Fn(f64) -> f64| x.monotone(element, f, 0.0);
    match function {
        // It falls and rises, but never faster than its argument.
        Unary::Abs => {
            let (value, doubt) = x.parts().expect("a float");
            Number::real(element, value.abs(), doubt)
        }
        Unary::Neg => exact(&|x| -x),
        Unary::Relu => exact(&|x| x.max(0.0)),
        Unary::LeakyRelu { alpha } => exact(&|x| if x < 0.0 { f64::from(alpha) * x } else { x }),
        Unary::Floor => exact(&f64::floor),
        Unary::Ceil => exact(&f64::ceil),
        Unary::Round => exact(&f64::round_ties_even),
        Unary::Sign => exact(&|x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }),
        Unary::Sqrt => exact(&f64::sqrt),
        Unary::Sigmoid => rough(|x| 1.0 / (1.0 + (-x).exp())),
        Unary::Tanh => rough(f64::tanh),
        Unary::Exp => rough(f64::exp),
        Unary::Softplus => rough(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        Unary::Atan => rough(f64::atan),
        // Of itself, without a doubt or with one.
        Unary::IsNaN => Number::Whole(0),
        other => unreachable!("{other:?} is not drawn"),
    }
}

pub(super) fn binary(function: Binary, a: &Array, b: &Array) -> Array {
    use Binary::*;
    let element = match function {
        Equal | Less | LessOrEqual | Greater | GreaterOrEqual => ElementType::Bool,
        _ => a.element,
    };
    let shape = broadcast(&[&a.shape, &b.shape]);
    Array::new(element, &shape, |index| {
        let (x, y) = (a.broadcast(index), b.broadcast(index));
        let truth = |truth: Option<bool>| truth.map_or(Number::Unknown, |truth| Number::Whole(truth.into()));
        match function {
            Equal => truth(x.is_equal(y)),
            Less => truth(x.is_less(y)),
            Greater => truth(y.is_less(x)),
            LessOrEqual => truth(y.is_less(x).map(|greater| !greater)),
            GreaterOrEqual => truth(x.is_less(y).map(|less| !less)),
            _ => match (x, y) {
                (Number::Whole(x), Number::Whole(y)) => whole_pair(function, element, x, y),
                (Number::Real { .. }, Number::Real { .. }) => real_pair(function, element, x, y),
                _ => Number::Unknown,
            },
        }
    })
}

fn whole_pair(function: Binary, element: ElementType, x: i128, y: i128) -> Number {
    Number::whole(
        element,
        match function {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
            Binary::And => x & y,
            Binary::Or => x | y,
            Binary::Xor => x ^ y,
            // What has no result is not compared.
            Binary::Div | Binary::Mod { .. } if y == 0 => return Number::Unknown,
            Binary::Div => x / y,
            Binary::Mod { fmod: true } => x % y,
            Binary::Mod { fmod: false } => {
                x - y * x.div_euclid(y) - if y < 0 && x.rem_euclid(y) != 0 { -y } else { 0 }
            }
            other => unreachable!("{other:?} of integers is not drawn"),
        },
    )
}

fn real_pair(function: Binary, element: ElementType, x: Number, y: Number) -> Number {
    let ((x, dx), (y, dy)) = (x.parts().expect("a float"), y.parts().expect("a float"));
    match function {
        Binary::Add => Number::real(element, x + y, dx + dy),
        Binary::Sub => Number::real(element, x - y, dx + dy),
        Binary::Mul => Number::real(element, x * y, x.abs() * dy + y.abs() * dx + dx * dy),
        Binary::Div => {
            let least = y.abs() - dy;
            let doubt = (x.abs() * dy + y.abs() * dx) / (y.abs() * least);
            // A fast division may be a product with the reciprocal.
            let doubt = doubt + 4.0 * unit(element) * (x / y).abs();
            if least > 0.0 { Number::real(element, x / y, doubt) } else { Number::Unknown }
        }
        Binary::PRelu => match (x - dx < 0.0, x + dx < 0.0) {
            (false, _) => Number::real(element, x, dx),
            (true, true) => real_pair(
                Binary::Mul,
                element,
                Number::Real { value: x, doubt: dx },
                Number::Real { value: y, doubt: dy },
            ),
            (true, false) => Number::real(element, x.max(0.0), dx * (1.0 + y.abs() + dy)),
        },
        other => unreachable!("{other:?} of floats is not drawn"),
    }
}

pub(super) fn variadic(function: Variadic, operands: &[&Array]) -> Array {
    let shapes: Vec<&[usize]> = operands.iter().map(|operand| &operand.shape[..]).collect();
    let element = operands[0].element;
    Array::new(element, &broadcast(&shapes), |index| {
        let mut numbers = operands.iter().map(|operand| operand.broadcast(index));
        let first = numbers.next().expect("at least one");
        match function {
            Variadic::Max => numbers.fold(first, |a, b| extreme(element, a, b, true)),
            Variadic::Min => numbers.fold(first, |a, b| extreme(element, a, b, false)),
            Variadic::Sum => numbers.fold(first, |a, b| match (a, b) {
                (Number::Real { .. }, Number::Real { .. }) => real_pair(Binary::Add, element, a, b),
                _ => Number::Unknown,
            }),
            Variadic::Mean => unreachable!("means are not drawn"),
        }
    })
}

/// The larger or the smaller of two.
pub(super) fn extreme(element: ElementType, a: Number, b: Number, larger: bool) -> Number {
    match (a, b) {
        (Number::Whole(a), Number::Whole(b)) => Number::Whole(if larger { a.max(b) } else { a.min(b) }),
        (Number::Real { value: a, doubt: x }, Number::Real { value: b, doubt: y }) => {
            Number::real(element, if larger { a.max(b) } else { a.min(b) }, x.max(y))
        }
        _ => Number::Unknown,
    }
}

pub(super) fn choose(condition: &Array, x: &Array, y: &Array) -> Array {
    let shape = broadcast(&[&condition.shape, &x.shape, &y.shape]);
    Array::new(x.element, &shape, |index| match condition.broadcast(index) {
        Number::Whole(0) => y.broadcast(index),
        Number::Whole(_) => x.broadcast(index),
        _ => Number::Unknown,
    })
}

pub(super) fn clip(x: &Array, low: f64, high: f64) -> Array {
    Array::new(x.element, &x.shape, |index| match x.at(index) {
        Number::Whole(value) => Number::Whole(value.max(low as i128).min(high as i128)),
        Number::Unknown => Number::Unknown,
        real => real.monotone(x.element, |value| value.max(low).min(high), 0.0),
    })
}

pub(super) fn cast(x: &Array, to: ElementType) -> Array {
    Array::new(to, &x.shape, |index| {
        let number = x.at(index);
        match (number, to) {
            (Number::Unknown, _) => Number::Unknown,
            (Number::Whole(value), ElementType::F32 | ElementType::F64) => {
                Number::real(to, value as f64, 0.0)
            }
            (Number::Whole(value), _) => Number::whole(to, value),
            (Number::Real { value, doubt }, ElementType::F32 | ElementType::F64) => {
                Number::real(to, value, doubt)
            }
            (Number::Real { value, doubt }, ElementType::Bool) => match (value.abs() > doubt, doubt == 0.0) {
                (true, _) => Number::Whole(1),
                (false, true) => Number::Whole(i128::from(value != 0.0)),
                (false, false) => Number::Unknown,
            },
            (Number::Real { value, doubt }, _) => {
                // What is beyond the type has no meaning in the standard.
                let (low, high) = ((value - doubt).trunc(), (value + doubt).trunc());
                let inside = [low, high]
                    .iter()
                    .all(|end| Number::whole(to, *end as i128) == Number::Whole(*end as i128));
                if low == high && inside { Number::Whole(low as i128) } else { Number::Unknown }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(function: Binary, x: i128, y: i128) -> Number {
        whole_pair(function, ElementType::I32, x, y)
    }

    #[test]
    fn remainders_have_a_sign_or_the_other() {
        let cases = [(-4, 2), (7, -3), (5, 8), (4, -2), (-7, 3), (8, 5)];
        let each = |fmod| cases.map(|(x, y)| pair(Binary::Mod { fmod }, x, y));
        assert_eq!(each(false), [0, -2, 5, 0, 2, 3].map(Number::Whole));
        assert_eq!(each(true), [0, 1, 5, 0, -1, 3].map(Number::Whole));
        assert_eq!(pair(Binary::Div, 7, 0), Number::Unknown);
        assert_eq!(pair(Binary::Mul, 1 << 31, 2), Number::Whole(0));
    }

    #[test]
    fn doubts_add_up() {
        let real = |value, doubt| Number::Real { value, doubt };
        let doubt = |number: Number| number.parts().unwrap().1;
        let f = |function, x, y| doubt(real_pair(function, ElementType::F64, x, y));
        assert!((f(Binary::Add, real(1.0, 0.5), real(2.0, 0.25)) - 0.75).abs() < 1e-9);
        assert!((f(Binary::Mul, real(3.0, 0.5), real(2.0, 0.25)) - 1.875).abs() < 1e-9);
        assert_eq!(real_pair(Binary::Div, ElementType::F64, real(1.0, 0.0), real(0.1, 0.2)), Number::Unknown);
        let x = Array {
            element: ElementType::F32,
            shape: vec![2],
            numbers: vec![real(1.9, 0.2), real(1.5, 0.2)],
        };
        assert_eq!(cast(&x, ElementType::I8).numbers, [Number::Unknown, Number::Whole(1)]);
    }
}
