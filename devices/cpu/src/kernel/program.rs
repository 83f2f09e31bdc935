//! Fused elementwise expressions: a node of its own, or the tail of a convolution or product.
//!
//! A program is interpreted, but not number by number: each instruction works on a block of a few hundred numbers that
//! stays in the first-level cache, so choosing what to do costs little beside doing it. Results of instructions live in
//! a few *slots*, given out when the kernel is built; the last instruction writes the output.
//!
//! ```text
//!  x: 256 numbers ─▶ add 3 ─▶ slot 1 ─▶ clip 0..6 ─▶ slot 2 ─▶ times x ─▶ slot 1 ─▶ divide by 6 ─▶ output
//! ```
//!
//! What this file does *not* do: it compiles nothing to machine code, and it does not decide what is fused (the engine's
//! pass `fuse` does).
//!
//! # Evidence
//!
//! Zen 5, AVX-512, one thread: the ten instructions of Magika's tanh form of Gelu on 2.1 million numbers took 40 ms while
//! every vector operation in them was a call, because closures stood between the shell and the instructions, and 6 ms since
//! each instruction is a function of its own without any.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{
    Arg, Binary, Conv, ConvTranspose, Elementwise, Fused, Gemm, MatMul, Op, Program, Step, Unary,
};
use inferry_engine::passes::Fusible;

use super::epilogue::{Epilogue, Row};
use super::functions as f;
use super::simple::{simple_with_scratch, spread};
use super::vector::{Map, MapBlock, Numbers, ZipBlock};
use super::walk::Walk;
use super::{BuildError, Builder, Built, conv, conv_transpose, matmul};
use crate::io::Io;
use crate::isa::Isa;
use crate::simd::{Simd, Vectorized, dispatch};

/// Operands that one program may have; the pass `fuse` stays below.
const OPERANDS: usize = 12;
/// Numbers in a block of a node of its own.
const BLOCK: usize = 512;
/// Numbers in a block of a tail: short, because so are the runs that it is called with.
const TAIL_BLOCK: usize = 128;
/// Slots that a tail may use; a program that needs more becomes a node of its own.
const TAIL_SLOTS: usize = 6;

/// Builds the kernel of a program that is a node of its own.
pub(crate) fn build_elementwise(op: &Elementwise, node: &Builder<'_>) -> Built {
    let expression = Expression::new(&op.program, node, 0, false)?;
    let (_, shape) = node.output(0);
    let phase = spread(shape.count(), expression.picoseconds());
    let scratch = expression.slots * BLOCK * size_of::<f32>();
    simple_with_scratch(phase, scratch, move |io| expression.run(phase.unit, io))
}

/// Builds the kernel of an operator with a program as its tail.
pub(crate) fn build_fused(op: &Fused, node: &Builder<'_>) -> Built {
    let mut inputs = node.inputs[..op.base_inputs].to_vec();
    let mut program = op.program.clone();
    if op.base.downcast::<MatMul>().is_some()
        && let Some((rest, operand)) = peel_bias(&program, node, op.base_inputs)
    {
        inputs.push(node.inputs[operand].clone());
        program = rest;
    }
    let base = Builder { inputs: &inputs, ..*node };
    let tail: Option<Box<dyn Epilogue>> = match program.steps.is_empty() {
        true => None,
        false => Some(Box::new(Tail(Expression::new(&program, node, op.base_inputs, true)?))),
    };
    if let Some(op) = op.base.downcast::<Conv>() {
        conv::build_conv(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<ConvTranspose>() {
        conv_transpose::build_conv_transpose(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<MatMul>() {
        matmul::build_matmul(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<Gemm>() {
        matmul::build_gemm(op, &base, tail)
    } else {
        Err(BuildError::Operator(op.base.name()))
    }
}

/// What the pass `fuse` may make of a graph for this device.
pub(crate) const FUSIBLE: Fusible = Fusible { base: takes_program, step: has_step };

/// Whether the kernel of an operator can have a program as its tail.
fn takes_program(op: &dyn Op) -> bool {
    op.downcast::<Conv>().is_some()
        || op.downcast::<ConvTranspose>().is_some()
        || op.downcast::<MatMul>().is_some()
        || op.downcast::<Gemm>().is_some()
}

/// Whether [`perform`] has a vector form of a step. The others are rare.
fn has_step(step: &Step) -> bool {
    use Unary::*;
    let Step::Unary(function, _) = step else { return true };
    matches!(
        function,
        Abs | Neg
            | Exp
            | Log
            | Sqrt
            | Reciprocal
            | Erf
            | Sigmoid
            | Tanh
            | Relu
            | HardSwish
            | HardSigmoid { .. }
            | LeakyRelu { .. }
            | Gelu { .. }
    )
}

/// A program that begins by adding a constant number for each column: the rest of it, and the node's input that holds the
/// numbers. Products add those in registers.
fn peel_bias(program: &Program, node: &Builder<'_>, first: usize) -> Option<(Program, usize)> {
    let (Step::Binary(Binary::Add, Arg::Input(0), Arg::Input(bias))
    | Step::Binary(Binary::Add, Arg::Input(bias), Arg::Input(0))) = *program.steps.first()?
    else {
        return None;
    };
    let input = first + bias.checked_sub(1)?;
    let operand = node.inputs.get(input)?.as_ref()?;
    let columns = *node.output(0).1.last()?;
    let used_again = program.steps[1..].iter().flat_map(Step::args).any(|arg| arg == Arg::Input(0));
    if operand.constant.is_none() || operand.shape[..] != [columns] || used_again {
        return None;
    }
    let shift = |arg| match arg {
        Arg::Step(0) => Arg::Input(0),
        Arg::Step(step) => Arg::Step(step - 1),
        input => input,
    };
    let steps = program.steps[1..].iter().map(|step| step.map(shift)).collect();
    Some((Program { inputs: program.inputs, steps }, input))
}

/// Where an instruction finds its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    /// An operand of the program, at the place that the walk gives.
    Operand(usize),
    /// The result of an earlier instruction.
    Slot(usize),
    /// The same number everywhere.
    Number(f32),
}

/// A step whose arguments have been found a place.
#[derive(Clone, Debug)]
struct Instruction {
    step: Step,
    a: Source,
    b: Source,
    /// The slot of the result; the last instruction has none.
    into: Option<usize>,
}

/// A program bound to shapes.
struct Expression {
    /// Where each operand stands for each element of the output.
    walk: Walk<OPERANDS>,
    instructions: Vec<Instruction>,
    slots: usize,
    /// The node's input that is operand 0; a tail has its operand 0 in slot 0.
    first: usize,
    tail: bool,
    isa: Isa,
}

impl Expression {
    /// Binds `program`, whose operands are the node's inputs from `first` on; in a `tail`, operand 0 is what has just been
    /// computed and the others are the inputs from `first` on.
    fn new(
        program: &Program,
        node: &Builder<'_>,
        first: usize,
        tail: bool,
    ) -> Result<Expression, BuildError> {
        let (element, shape) = node.output(0);
        if *element != ElementType::F32 {
            return Err(BuildError::Element { op: "Elementwise", element: *element });
        }
        if program.inputs > OPERANDS || program.steps.is_empty() {
            return Err(BuildError::Form(format!("a program with {} operands", program.inputs)));
        }
        let mut shapes: [&[usize]; OPERANDS] = [&[]; OPERANDS];
        let mut sources = Vec::new();
        for operand in 0..program.inputs {
            if tail && operand == 0 {
                shapes[0] = shape;
                sources.push(Source::Slot(0));
                continue;
            }
            let input = node.input(first + operand - usize::from(tail))?;
            shapes[operand] = &input.shape;
            let number = input.constant.filter(|constant| constant.len() == 1);
            let number = number.and_then(|constant| constant.to_vec::<f32>().ok()?.first().copied());
            sources.push(number.map_or(Source::Operand(operand), Source::Number));
        }
        let (instructions, slots) = place(program, &sources, usize::from(tail));
        let walk = Walk::broadcast(shape, shapes);
        Ok(Expression { walk, instructions, slots, first, tail, isa: node.isa })
    }

    /// Roughly what an element costs.
    fn picoseconds(&self) -> u64 {
        let one = |instruction: &Instruction| match instruction.step {
            // In a program for GELU it was six times the 250 of the others, unoptimised and on a busy machine (2026-11).
            Step::Unary(Unary::Tanh, ..) => 1000,
            Step::Unary(..) => 250,
            Step::Binary(Binary::Pow, ..) => 4000,
            Step::Binary(Binary::Div, ..) => 120,
            _ => 50,
        };
        100 + self.instructions.iter().map(one).sum::<u64>()
    }

    /// Computes the rows of a call.
    fn run(&self, unit: usize, io: &mut Io<'_>) {
        let out = io.rows::<f32>();
        let start = io.tiles().start * unit;
        let memory = io.scratch::<f32>();
        let mut slots: [&mut [f32]; OPERANDS] = Default::default();
        for (slot, memory) in slots.iter_mut().zip(memory.chunks_exact_mut(BLOCK)) {
            *slot = memory;
        }
        dispatch(self.isa, Run { expression: self, io, start, out, slots: &mut slots, block: BLOCK });
    }
}

/// Gives every step a slot, so that no step writes where one of its arguments lies; the first `taken` slots hold operands.
fn place(program: &Program, operands: &[Source], taken: usize) -> (Vec<Instruction>, usize) {
    let count = program.steps.len();
    let mut last_use = alloc::vec![0; count];
    for (index, step) in program.steps.iter().enumerate() {
        for arg in step.args() {
            if let Arg::Step(earlier) = arg {
                last_use[earlier] = index;
            }
        }
    }
    let mut of_step = alloc::vec![usize::MAX; count];
    let mut busy_until: Vec<usize> = alloc::vec![count; taken];
    let mut instructions = Vec::with_capacity(count);
    for (index, step) in program.steps.iter().enumerate() {
        let mut args = step.args().map(|arg| match arg {
            Arg::Input(operand) => operands[operand],
            Arg::Step(earlier) => Source::Slot(of_step[earlier]),
        });
        let a = args.next().expect("every step has an argument");
        let b = args.next().unwrap_or(a);
        let into = (index + 1 < count).then(|| {
            let free = busy_until.iter().position(|until| *until < index);
            let slot = free.unwrap_or_else(|| {
                busy_until.push(0);
                busy_until.len() - 1
            });
            busy_until[slot] = last_use[index].max(index);
            of_step[index] = slot;
            slot
        });
        instructions.push(Instruction { step: step.clone(), a, b, into });
    }
    (instructions, busy_until.len())
}

/// The program over a range of elements.
struct Run<'a, 'io, 'slot> {
    expression: &'a Expression,
    io: &'a Io<'io>,
    /// Position of the first element in the output.
    start: usize,
    out: &'a mut [f32],
    slots: &'a mut [&'slot mut [f32]],
    block: usize,
}

impl Vectorized for Run<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Run { expression, io, start, out, slots, block } = self;
        let strides = expression.walk.inner().strides;
        for run in expression.walk.runs(start..start + out.len()) {
            let range = run.output.start - start..run.output.end - start;
            for (index, out) in out[range].chunks_mut(block).enumerate() {
                if expression.tail {
                    slots[0][..out.len()].copy_from_slice(out);
                }
                let done = index * block;
                for instruction in &expression.instructions {
                    let target = instruction.into.map(|slot| core::mem::take(&mut slots[slot]));
                    let fetch = |source| match source {
                        Source::Number(number) => Numbers::Same(number),
                        Source::Slot(slot) => Numbers::Each(&slots[slot][..out.len()]),
                        Source::Operand(operand) => {
                            let data = io.input::<f32>(expression.input_of(operand));
                            if strides[operand] == 0 {
                                Numbers::Same(data[run.at[operand]])
                            } else {
                                Numbers::Each(&data[run.at[operand] + done..][..out.len()])
                            }
                        }
                    };
                    let (a, b) = (fetch(instruction.a), fetch(instruction.b));
                    match target {
                        Some(target) => {
                            perform(s, &instruction.step, a, b, &mut target[..out.len()]);
                            slots[instruction.into.expect("it had one")] = target;
                        }
                        None => perform(s, &instruction.step, a, b, out),
                    }
                }
            }
        }
    }
}

impl Expression {
    /// The node's input that is this operand.
    #[inline(always)]
    fn input_of(&self, operand: usize) -> usize {
        self.first + operand - usize::from(self.tail)
    }
}

/// One instruction over a block.
#[inline(always)]
fn perform<S: Simd>(s: S, step: &Step, a: Numbers<'_>, b: Numbers<'_>, out: &mut [f32]) {
    match *step {
        Step::Unary(function, _) => unary(s, function, a, out),
        Step::Clip(_, low, high) => s.call(MapBlock { map: f::Clamp { low, high }, a, out }),
        Step::Requantize { scale, zero, low, high, .. } => {
            s.call(MapBlock { map: Requantize { scale, zero, low, high }, a, out });
        }
        Step::Max(..) => s.call(ZipBlock { zip: f::Max, a, b, out }),
        Step::Min(..) => s.call(ZipBlock { zip: f::Min, a, b, out }),
        Step::Binary(function, ..) => match function {
            Binary::Add => s.call(ZipBlock { zip: f::Add, a, b, out }),
            Binary::Sub => s.call(ZipBlock { zip: f::Sub, a, b, out }),
            Binary::Mul => s.call(ZipBlock { zip: f::Mul, a, b, out }),
            Binary::Div => s.call(ZipBlock { zip: f::Div, a, b, out }),
            Binary::PRelu => s.call(ZipBlock { zip: f::PRelu, a, b, out }),
            // Pow, which `fuse` lets in; one at a time unless the exponent is a small whole number.
            _ => power(s, a, b, out),
        },
    }
}

/// A function of one number over a block.
#[inline(always)]
fn unary<S: Simd>(s: S, function: Unary, a: Numbers<'_>, out: &mut [f32]) {
    macro_rules! mapped {
        ($map:expr) => {
            s.call(MapBlock { map: $map, a, out })
        };
    }
    match function {
        Unary::Abs => mapped!(f::Abs {}),
        Unary::Neg => mapped!(f::Neg {}),
        Unary::Exp => mapped!(f::Exp {}),
        Unary::Log => mapped!(f::Log {}),
        Unary::Sqrt => mapped!(f::Sqrt {}),
        Unary::Reciprocal => mapped!(f::Reciprocal {}),
        Unary::Erf => mapped!(f::Erf {}),
        Unary::Sigmoid => mapped!(f::Sigmoid {}),
        Unary::Tanh => mapped!(f::Tanh {}),
        Unary::Relu => mapped!(f::Relu {}),
        Unary::HardSwish => mapped!(f::HardSwish {}),
        Unary::HardSigmoid { alpha, beta } => mapped!(f::HardSigmoid { alpha, beta }),
        Unary::LeakyRelu { alpha } => mapped!(f::LeakyRelu { alpha }),
        Unary::Gelu { tanh: false } => mapped!(f::Gelu {}),
        Unary::Gelu { tanh: true } => mapped!(f::GeluTanh {}),
        _ => unreachable!("`has_step` has been asked"),
    }
}

/// QuantizeLinear and DequantizeLinear at once.
#[derive(Clone, Copy)]
struct Requantize {
    scale: f32,
    zero: f32,
    low: f32,
    high: f32,
}

impl Map for Requantize {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let (scale, zero) = (s.splat(self.scale), s.splat(self.zero));
        let q = s.add(s.round(s.div(x, scale)), zero);
        s.mul(s.sub(s.min(s.splat(self.high), s.max(s.splat(self.low), q)), zero), scale)
    }
}

/// `a` to the power of `b`.
#[inline(always)]
fn power<S: Simd>(s: S, a: Numbers<'_>, b: Numbers<'_>, out: &mut [f32]) {
    match b {
        Numbers::Same(2.0) => s.call(MapBlock { map: f::Square {}, a, out }),
        Numbers::Same(3.0) => s.call(MapBlock { map: f::Cube {}, a, out }),
        Numbers::Same(0.5) => s.call(MapBlock { map: f::Sqrt {}, a, out }),
        Numbers::Same(-1.0) => s.call(MapBlock { map: f::Reciprocal {}, a, out }),
        _ => {
            for (index, out) in out.iter_mut().enumerate() {
                *out = libm::powf(a.at(index), b.at(index));
            }
        }
    }
}

/// A program as the tail of another operator.
struct Tail(Expression);

impl Epilogue for Tail {
    fn clip(&self) -> Option<[f32; 2]> {
        let [only] = &self.0.instructions[..] else { return None };
        match (&only.step, only.a) {
            (Step::Clip(_, low, high), Source::Slot(0)) => Some([*low, *high]),
            (Step::Unary(Unary::Relu, _), Source::Slot(0)) => Some([0.0, f32::INFINITY]),
            _ => None,
        }
    }

    fn apply(&self, row: Row<'_, '_>, values: &mut [f32]) {
        let mut memory = [[0.0f32; TAIL_BLOCK]; TAIL_SLOTS];
        let mut slots: [&mut [f32]; TAIL_SLOTS] = Default::default();
        let used = self.0.slots;
        for (slot, memory) in slots.iter_mut().zip(&mut memory[..used]) {
            *slot = memory;
        }
        let run = Run {
            expression: &self.0,
            io: row.io,
            start: row.offset,
            out: values,
            slots: &mut slots[..used],
            block: TAIL_BLOCK,
        };
        dispatch(self.0.isa, run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing;
    use alloc::sync::Arc;
    use inferry_core::{Shape, Tensor};

    /// Numbers between -2 and 2 in no order.
    fn numbers(extents: &[usize], seed: u32) -> Tensor {
        let shape = Shape::new(extents).unwrap();
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        let next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        let values: Vec<f32> = core::iter::repeat_with(next).take(shape.count()).collect();
        Tensor::from_slice(&values, shape).unwrap()
    }

    /// The same program, one step and one element at a time.
    fn reference(program: &Program, operands: &[Tensor], shape: &Shape) -> Vec<f32> {
        let data: Vec<Vec<f32>> = operands.iter().map(|operand| operand.to_vec().unwrap()).collect();
        let mut shapes: [&[usize]; OPERANDS] = [&[]; OPERANDS];
        for (slot, operand) in shapes.iter_mut().zip(operands) {
            *slot = operand.shape();
        }
        let walk = Walk::broadcast(shape, shapes);
        let element = |index: usize| {
            let at = walk.at(index);
            let mut results: Vec<f32> = Vec::new();
            for step in &program.steps {
                let value = |arg: Arg, results: &[f32]| match arg {
                    Arg::Input(operand) => data[operand][at[operand]],
                    Arg::Step(step) => results[step],
                };
                let mut args = step.args().map(|arg| value(arg, &results));
                let (a, b) = (args.next().unwrap(), args.next().unwrap_or(0.0));
                let result = match *step {
                    Step::Unary(Unary::Erf, _) => libm::erff(a),
                    Step::Unary(Unary::Sigmoid, _) => 1.0 / (1.0 + libm::expf(-a)),
                    Step::Unary(Unary::Relu, _) => a.max(0.0),
                    Step::Binary(Binary::Add, ..) => a + b,
                    Step::Binary(Binary::Sub, ..) => a - b,
                    Step::Binary(Binary::Mul, ..) => a * b,
                    Step::Binary(Binary::Div, ..) => a / b,
                    Step::Binary(Binary::PRelu, ..) => {
                        if a < 0.0 {
                            a * b
                        } else {
                            a
                        }
                    }
                    Step::Max(..) => a.max(b),
                    Step::Min(..) => a.min(b),
                    Step::Clip(_, low, high) => a.clamp(low, high),
                    Step::Requantize { scale, zero, low, high, .. } => {
                        ((libm::rintf(a / scale) + zero).clamp(low, high) - zero) * scale
                    }
                    ref step => panic!("no reference for {step:?}"),
                };
                results.push(result);
            }
            results[program.steps.len() - 1]
        };
        (0..shape.count()).map(element).collect()
    }

    /// A program of every kind of step over operands of several shapes.
    fn everything() -> Program {
        let (x, scale, row, number) = (Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Input(3));
        let steps = alloc::vec![
            Step::Binary(Binary::Mul, x, scale),
            Step::Binary(Binary::Add, Arg::Step(0), row),
            Step::Clip(Arg::Step(1), -1.5, 1.25),
            Step::Unary(Unary::Sigmoid, Arg::Step(2)),
            Step::Binary(Binary::Sub, Arg::Step(3), Arg::Step(0)),
            Step::Max(Arg::Step(4), Arg::Step(2)),
            Step::Unary(Unary::Erf, Arg::Step(5)),
            Step::Min(Arg::Step(6), x),
            Step::Binary(Binary::PRelu, Arg::Step(7), scale),
            Step::Requantize { x: Arg::Step(8), scale: 0.03, zero: 7.0, low: -40.0, high: 60.0 },
            Step::Binary(Binary::Div, Arg::Step(9), number),
            Step::Binary(Binary::Add, Arg::Step(10), Arg::Step(1)),
        ];
        Program { inputs: 4, steps }
    }

    /// Equal but for the rounding of one quantisation step.
    fn assert_close(results: &[f32], wanted: &[f32]) {
        assert_eq!(results.len(), wanted.len());
        for (index, (a, b)) in results.iter().zip(wanted).enumerate() {
            assert!((a - b).abs() <= 2e-6 || ((a - b).abs() - 0.03 / 1.5).abs() < 1e-5, "{index}: {a} {b}");
        }
    }

    #[test]
    fn a_program_alone_gives_what_its_steps_give() {
        for extents in [&[1, 3, 5, 7][..], &[2, 4, 1, 33], &[600], &[2, 1, 1300]] {
            let shape = Shape::new(extents).unwrap();
            let channel: Vec<usize> =
                extents.iter().enumerate().map(|(dim, extent)| if dim == 1 { *extent } else { 1 }).collect();
            let last = &extents[extents.len() - 1..];
            let operands =
                [numbers(extents, 1), numbers(&channel, 2), numbers(last, 3), Tensor::scalar(1.5f32)];
            let wanted = reference(&everything(), &operands, &shape);
            let op = Elementwise { program: everything() };
            let inputs: Vec<_> = operands.into_iter().map(Some).collect();
            for isa in Isa::detect_for_tests() {
                let outputs = [(ElementType::F32, shape.clone())];
                let results = testing::run_with_constants(&op, &inputs, &[3], &outputs, isa);
                assert_close(&results[0].to_vec::<f32>().unwrap(), &wanted);
            }
        }
    }

    #[test]
    fn a_product_with_bias_and_gelu_gives_what_the_operators_give() {
        let (rows, depth, columns) = (5, 12, 37);
        let (a, b, bias) =
            (numbers(&[rows, depth], 1), numbers(&[depth, columns], 2), numbers(&[columns], 3));
        let half = Tensor::scalar(0.5f32);
        let steps = alloc::vec![
            Step::Binary(Binary::Add, Arg::Input(1), Arg::Input(0)),
            Step::Unary(Unary::Erf, Arg::Step(0)),
            Step::Binary(Binary::Mul, Arg::Step(0), Arg::Step(1)),
            Step::Binary(Binary::Mul, Arg::Step(2), Arg::Input(2)),
        ];
        let program = Program { inputs: 3, steps };
        let (left, right): (Vec<f32>, Vec<f32>) = (a.to_vec().unwrap(), b.to_vec().unwrap());
        let products: Vec<f32> = (0..rows * columns)
            .map(|at| {
                (0..depth).map(|k| left[at / columns * depth + k] * right[k * columns + at % columns]).sum()
            })
            .collect();
        let shape = Shape::from([rows, columns]);
        let product = Tensor::from_slice(&products, &shape).unwrap();
        let wanted = reference(&program, &[product, bias.clone(), half.clone()], &shape);
        let op = Fused { base: Arc::new(MatMul), base_inputs: 2, program };
        let inputs = [Some(a), Some(b), Some(bias), Some(half)];
        for isa in Isa::detect_for_tests() {
            for constants in [&[1, 2, 3][..], &[3], &[]] {
                let outputs = [(ElementType::F32, shape.clone())];
                let results = testing::run_with_constants(&op, &inputs, constants, &outputs, isa);
                for (a, b) in results[0].to_vec::<f32>().unwrap().iter().zip(&wanted) {
                    assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn no_step_writes_where_its_arguments_lie() {
        let operands = [Source::Slot(0), Source::Operand(1), Source::Operand(2), Source::Number(1.5)];
        let (instructions, slots) = place(&everything(), &operands, 1);
        for instruction in &instructions {
            let into = instruction.into.map(Source::Slot);
            assert!(
                into != Some(instruction.a) && into != Some(instruction.b) && into != Some(Source::Slot(0))
            );
        }
        assert!(slots <= TAIL_SLOTS, "{slots}");
    }
}
