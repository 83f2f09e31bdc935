//! A program in fewer and larger instructions.
//!
//! Exporters write activations out in full. What is one short loop over registers should not be four passes over a block:
//!
//! ```text
//!  x + 3 ─▶ clip 0..6 ─▶ · x ─▶ / 6 ─▶ · s ─▶ + t        gate: x · line(x) · s/6 + t     (HardSwish and a scale)
//!  x · a ─▶ + b ─▶ clip                                   line: x · a + b between limits
//!  sigmoid ─▶ · x                                         swish
//!  / √2 ─▶ erf ─▶ + 1 ─▶ · x ─▶ · ½                       Gelu
//! ```
//!
//! Arithmetic with a number that is known beforehand becomes a *line*; lines that follow each other become one. A step that
//! is used twice stays. Results differ from those of the steps by a few units in the last place of the largest intermediate.

use alloc::vec::Vec;

use inferry_engine::op::{Arg, Binary, Program, Step, Unary};

use crate::kernel::functions::{Gate, Line, Requantize};
use crate::kernel::pointwise::Pointwise;

/// Where an instruction finds its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// An operand of the program.
    Operand(usize),
    /// The same number everywhere.
    Number(f32),
    /// The result of an earlier instruction.
    Result(usize),
}

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Code {
    /// A function of its first argument.
    Map(Pointwise),
    /// A function of both.
    Zip(Zip),
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Zip {
    Add,
    Sub,
    Mul,
    Div,
    PRelu,
    Pow,
    Max,
    Min,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operation {
    pub(super) code: Code,
    pub(super) a: Place,
    /// As `a` where there is no second argument.
    pub(super) b: Place,
}

/// The instructions of a program, the last of which gives its value. `number` knows operands that are one number.
pub(super) fn simplify(program: &Program, number: impl Fn(usize) -> Option<f32>) -> Vec<Operation> {
    let mut simple = Simplifier { operations: Vec::new(), uses: Vec::new() };
    let uses = |index: usize| {
        let args = program.steps.iter().flat_map(Step::args);
        args.filter(|arg| *arg == Arg::Step(index)).count()
    };
    let mut places: Vec<Place> = Vec::new();
    for (index, step) in program.steps.iter().enumerate() {
        let mut args = step.args().map(|arg| match arg {
            Arg::Input(operand) => number(operand).map_or(Place::Operand(operand), Place::Number),
            Arg::Step(earlier) => places[earlier],
        });
        let a = args.next().expect("every step has an argument");
        let b = args.next().unwrap_or(a);
        let place = simple.step(step, a, b);
        if let Place::Result(result) = place {
            simple.uses[result] = uses(index);
        }
        places.push(place);
    }
    match places.last() {
        Some(Place::Result(last)) => simple.compact(*last),
        _ => Vec::new(),
    }
}

struct Simplifier {
    operations: Vec<Operation>,
    /// How often each result is read.
    uses: Vec<usize>,
}

impl Simplifier {
    fn push(&mut self, code: Code, a: Place, b: Place) -> Place {
        self.operations.push(Operation { code, a, b });
        self.uses.push(0);
        Place::Result(self.operations.len() - 1)
    }

    /// Adds a step; where its result is.
    fn step(&mut self, step: &Step, a: Place, b: Place) -> Place {
        match *step {
            Step::Clip(_, low, high) => self.line(a, Line { low, high, ..Line::IDENTITY }),
            Step::Requantize { scale, zero, low, high, .. } => {
                let requantize = Requantize { scale, zero, low, high };
                self.push(Code::Map(Pointwise::Requantize(requantize)), a, a)
            }
            Step::Unary(Unary::Relu, _) => self.line(a, Line { low: 0.0, ..Line::IDENTITY }),
            Step::Unary(Unary::HardSigmoid { alpha, beta }, _) => {
                self.line(a, Line { scale: alpha, shift: beta, low: 0.0, high: 1.0 })
            }
            Step::Unary(Unary::HardSwish, _) => {
                let line = Line { scale: 1.0 / 6.0, shift: 0.5, low: 0.0, high: 1.0 };
                self.push(Code::Map(Pointwise::Gate(Gate::of(line))), a, a)
            }
            Step::Unary(function, _) => self.push(Code::Map(Pointwise::Unary(function)), a, a),
            Step::Max(..) => self.zip(Zip::Max, a, b),
            Step::Min(..) => self.zip(Zip::Min, a, b),
            Step::Binary(function, ..) => self.zip(
                match function {
                    Binary::Add => Zip::Add,
                    Binary::Sub => Zip::Sub,
                    Binary::Mul => Zip::Mul,
                    Binary::Div => Zip::Div,
                    Binary::PRelu => Zip::PRelu,
                    // The only other that `fuse` lets in.
                    _ => Zip::Pow,
                },
                a,
                b,
            ),
        }
    }

    fn zip(&mut self, zip: Zip, a: Place, b: Place) -> Place {
        let scaled = |scale| Line { scale, ..Line::IDENTITY };
        let shifted = |shift| Line { shift, ..Line::IDENTITY };
        let sane = |number: f32| number.is_finite() && number != 0.0;
        match (zip, a, b) {
            (_, Place::Number(_), Place::Number(_)) => {}
            (Zip::Add, x, Place::Number(n)) | (Zip::Add, Place::Number(n), x) => {
                return self.line(x, shifted(n));
            }
            (Zip::Sub, x, Place::Number(n)) => return self.line(x, shifted(-n)),
            (Zip::Sub, Place::Number(n), x) => {
                return self.line(x, Line { scale: -1.0, ..shifted(n) });
            }
            (Zip::Mul, x, Place::Number(n)) | (Zip::Mul, Place::Number(n), x) if sane(n) => {
                return self.line(x, scaled(n));
            }
            (Zip::Div, x, Place::Number(n)) if sane(n) && sane(1.0 / n) => {
                return self.line(x, scaled(1.0 / n));
            }
            (Zip::PRelu, x, Place::Number(alpha)) => {
                return self.push(Code::Map(Pointwise::Unary(Unary::LeakyRelu { alpha })), x, x);
            }
            (Zip::Max, x, Place::Number(low)) | (Zip::Max, Place::Number(low), x) if !low.is_nan() => {
                return self.line(x, Line { low, ..Line::IDENTITY });
            }
            (Zip::Min, x, Place::Number(high)) | (Zip::Min, Place::Number(high), x) if !high.is_nan() => {
                return self.line(x, Line { high, ..Line::IDENTITY });
            }
            (Zip::Mul, ..) => {
                if let Some(place) = self.gated(a, b).or_else(|| self.gated(b, a)) {
                    return place;
                }
            }
            _ => {}
        }
        self.push(Code::Zip(zip), a, b)
    }

    /// A line of `x`, put into the operation that makes `x` when it can be.
    fn line(&mut self, x: Place, line: Line) -> Place {
        if let Some(index) = self.once(x) {
            match &mut self.operations[index].code {
                Code::Map(Pointwise::Line(first)) => {
                    if let Some(both) = first.then(line) {
                        *first = both;
                        // Doubled and halved again.
                        let before = self.operations[index].a;
                        return if both == Line::IDENTITY && self.once(before).is_some() {
                            before
                        } else {
                            x
                        };
                    }
                }
                Code::Map(Pointwise::Gate(gate)) => {
                    if let Some(both) = gate.then(line) {
                        *gate = both;
                        return x;
                    }
                }
                _ => {}
            }
        }
        self.push(Code::Map(Pointwise::Line(line)), x, x)
    }

    /// `x` times a function of the same number that `x` is, or is a multiple of.
    fn gated(&mut self, x: Place, gate: Place) -> Option<Place> {
        let index = self.once(gate)?;
        let (times, x) = self.multiple(x, index);
        let Operation { code: Code::Map(map), a, .. } = self.operations[index] else { return None };
        let becomes = match map {
            Pointwise::Line(line) if a == x => Pointwise::Gate(Gate::of(line)),
            Pointwise::Unary(Unary::Sigmoid) if a == x => Pointwise::Swish,
            Pointwise::Line(line) => return self.gelu(x, index, line, times),
            _ => return None,
        };
        self.operations[index].code = Code::Map(becomes);
        Some(self.scaled(gate, times))
    }

    /// `times · x · line(erf(x / √2))` as Gelu, when the line adds as much as it multiplies by.
    fn gelu(&mut self, x: Place, index: usize, line: Line, times: f32) -> Option<Place> {
        let erf = self.once(self.operations[index].a)?;
        let inner = self.once(self.operations[erf].a)?;
        let Operation { code: Code::Map(Pointwise::Line(root)), a, .. } = self.operations[inner] else {
            return None;
        };
        let is_erf = self.operations[erf].code == Code::Map(Pointwise::Unary(Unary::Erf));
        let halves = (root.scale - core::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6 && root.shift == 0.0;
        if !is_erf || !halves || a != x || line.scale != line.shift || line.limits() || root.limits() {
            return None;
        }
        let code = Code::Map(Pointwise::Unary(Unary::Gelu { tanh: false }));
        self.operations[index] = Operation { code, a: x, b: x };
        Some(self.scaled(Place::Result(index), 2.0 * times * line.scale))
    }

    fn scaled(&mut self, x: Place, scale: f32) -> Place {
        if scale == 1.0 {
            return x;
        }
        // Only this reads it.
        if let Place::Result(index) = x {
            self.uses[index] = 1;
        }
        self.line(x, Line { scale, ..Line::IDENTITY })
    }

    /// `x` as a multiple of what it is made of, when nothing but the product with operation `other` reads it.
    fn multiple(&self, x: Place, other: usize) -> (f32, Place) {
        let Some(index) = self.once(x).filter(|index| *index != other) else { return (1.0, x) };
        match self.operations[index] {
            Operation { code: Code::Map(Pointwise::Line(line)), a, .. }
                if line.shift == 0.0 && !line.limits() =>
            {
                (line.scale, a)
            }
            _ => (1.0, x),
        }
    }

    /// The operation whose result `place` is, when it is read once.
    fn once(&self, place: Place) -> Option<usize> {
        match place {
            Place::Result(index) => (self.uses[index] == 1).then_some(index),
            _ => None,
        }
    }

    /// What `last` needs, in order.
    fn compact(self, last: usize) -> Vec<Operation> {
        let mut needed = alloc::vec![false; last + 1];
        needed[last] = true;
        for index in (0..=last).rev().filter(|index| *index <= last) {
            if needed[index] {
                for place in [self.operations[index].a, self.operations[index].b] {
                    if let Place::Result(earlier) = place {
                        needed[earlier] = true;
                    }
                }
            }
        }
        let new = |place: Place| match place {
            Place::Result(index) => Place::Result(needed[..index].iter().filter(|needed| **needed).count()),
            other => other,
        };
        let all = self.operations.iter().zip(&needed);
        let kept = all.filter(|(_, needed)| **needed).map(|(operation, _)| *operation);
        kept.map(|Operation { code, a, b }| Operation { code, a: new(a), b: new(b) }).collect()
    }
}

impl Line {
    const IDENTITY: Line = Line { scale: 1.0, shift: 0.0, low: f32::NEG_INFINITY, high: f32::INFINITY };

    fn limits(self) -> bool {
        self.low != f32::NEG_INFINITY || self.high != f32::INFINITY
    }

    /// This line, then `next`; `None` when that is no line between limits.
    fn then(self, next: Line) -> Option<Line> {
        let (scale, shift) = (self.scale * next.scale, self.shift * next.scale + next.shift);
        let fits = next.scale != 0.0 && next.scale.is_finite() && scale.is_finite() && shift.is_finite();
        if !fits || next.shift.is_infinite() || scale == 0.0 && self.scale != 0.0 {
            return None;
        }
        let through = |limit: f32| (limit * next.scale + next.shift).max(next.low).min(next.high);
        let (low, high) = (through(self.low), through(self.high));
        let (low, high) = if next.scale < 0.0 { (high, low) } else { (low, high) };
        Some(Line { scale, shift, low, high })
    }
}

impl Gate {
    fn of(Line { scale, shift, low, high }: Line) -> Gate {
        Gate { scale, shift, low, high, by: 1.0, plus: 0.0 }
    }

    /// The gate, then a line without limits.
    fn then(self, line: Line) -> Option<Gate> {
        let (by, plus) = (self.by * line.scale, self.plus * line.scale + line.shift);
        let fits = by.is_finite() && plus.is_finite() && !line.limits();
        fits.then_some(Gate { by, plus, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const X: Arg = Arg::Input(0);

    fn add(a: Arg, number: usize) -> Step {
        Step::Binary(Binary::Add, a, Arg::Input(number))
    }

    fn mul(a: Arg, b: Arg) -> Step {
        Step::Binary(Binary::Mul, a, b)
    }

    fn div(a: Arg, b: Arg) -> Step {
        Step::Binary(Binary::Div, a, b)
    }

    /// The simplified program; operand 0 comes in the run and the others are these numbers.
    fn simple(steps: Vec<Step>, numbers: &[f32]) -> Vec<Operation> {
        let program = Program { inputs: 1 + numbers.len(), steps };
        simplify(&program, |operand| numbers.get(operand.checked_sub(1)?).copied())
    }

    fn only(operations: Vec<Operation>) -> Pointwise {
        match operations[..] {
            [Operation { code: Code::Map(map), a: Place::Operand(0), .. }] => map,
            _ => panic!("{operations:?}"),
        }
    }

    #[test]
    fn a_written_out_hard_swish_with_scale_and_shift_is_one_gate() {
        let numbers = [3.0, 6.0, 0.5, -2.0];
        let steps = vec![
            add(X, 1),
            Step::Clip(Arg::Step(0), 0.0, 6.0),
            mul(X, Arg::Step(1)),
            div(Arg::Step(2), Arg::Input(2)),
            mul(Arg::Step(3), Arg::Input(3)),
            add(Arg::Step(4), 4),
        ];
        let Pointwise::Gate(gate) = only(simple(steps, &numbers)) else { panic!("a gate") };
        let wanted = Gate { scale: 1.0, shift: 3.0, low: 0.0, high: 6.0, by: 0.5 / 6.0, plus: -2.0 };
        assert_eq!(gate, Gate { by: wanted.by, ..gate });
        assert!((gate.by - wanted.by).abs() < 1e-8 && gate.plus == wanted.plus);
    }

    #[test]
    fn lines_become_one_and_limits_pass_through_them() {
        let steps = vec![
            Step::Clip(X, -1.0, 2.0),
            mul(Arg::Step(0), Arg::Input(1)),
            add(Arg::Step(1), 2),
            Step::Unary(Unary::Relu, Arg::Step(2)),
        ];
        // Between 2 and -4 times -2, plus 1: from 3 down to -3, of which Relu leaves 0.
        let line = Line { scale: -2.0, shift: 1.0, low: 0.0, high: 3.0 };
        assert_eq!(only(simple(steps, &[-2.0, 1.0])), Pointwise::Line(line));
    }

    #[test]
    fn swish_and_gelu_are_recognized() {
        let steps = vec![Step::Unary(Unary::Sigmoid, X), mul(X, Arg::Step(0))];
        assert_eq!(only(simple(steps, &[])), Pointwise::Swish);
        let gelu = Pointwise::Unary(Unary::Gelu { tanh: false });
        let root = core::f32::consts::SQRT_2;
        let erf = [div(X, Arg::Input(1)), Step::Unary(Unary::Erf, Arg::Step(0)), add(Arg::Step(1), 2)];
        let mut after = erf.to_vec();
        after.extend([mul(X, Arg::Step(2)), mul(Arg::Step(3), Arg::Input(3))]);
        assert_eq!(only(simple(after, &[root, 1.0, 0.5])), gelu);
        let mut before = erf.to_vec();
        before.extend([mul(X, Arg::Input(3)), mul(Arg::Step(3), Arg::Step(2))]);
        assert_eq!(only(simple(before, &[root, 1.0, 0.5])), gelu);
    }

    #[test]
    fn what_is_read_twice_stays() {
        let steps = vec![
            add(X, 1),
            Step::Unary(Unary::Relu, Arg::Step(0)),
            Step::Binary(Binary::Sub, Arg::Step(1), Arg::Step(0)),
        ];
        let operations = simple(steps, &[1.5]);
        assert_eq!(operations.len(), 3);
        assert_eq!(operations[2].code, Code::Zip(Zip::Sub));
        assert_eq!((operations[2].a, operations[2].b), (Place::Result(1), Place::Result(0)));
    }

    #[test]
    fn a_factor_of_nothing_is_no_line() {
        let operations = simple(vec![mul(X, Arg::Input(1))], &[0.0]);
        assert_eq!(operations[0].code, Code::Zip(Zip::Mul));
        let operations = simple(vec![div(X, Arg::Input(1))], &[0.0]);
        assert_eq!(operations[0].code, Code::Zip(Zip::Div));
    }
}
